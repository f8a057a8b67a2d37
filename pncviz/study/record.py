"""A cell's file: its patterns, and on the same labels their similarities and the model's scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import xarray as xr

from pncviz.dataset import validate
from pncviz.dataset.fields import FIELDS

__all__ = ["as_cell", "similarities_of"]

_SCORES = {
    "epochs": "epochs of training",
    "train_loss": "mean loss of the last epoch of training",
    "train_accuracy": "accuracy in the last epoch of training",
    "test_loss": "mean loss on the test samples",
    "test_accuracy": "accuracy on the test samples",
}
_OWN_ATTRS = "similarities_attrs"


def as_cell(
    patterns: xr.Dataset, similarities: xr.Dataset, scores: Mapping[str, float]
) -> xr.Dataset:
    """Put what is known of one cell into one labelled dataset.

    Parameters
    ----------
    patterns : xarray.Dataset
    similarities : xarray.Dataset
        Of these patterns, without further dimensions.
    scores : mapping of str to float
        Of the model: ``epochs``, ``train_loss``, ``test_accuracy``, …

    Returns
    -------
    xarray.Dataset
        Patterns, with ``similarity`` on (metric, label, contrast_label) and everything else that
        :func:`~pncviz.compare` gives, on ``label`` where that has ``pattern_label``.
    """
    # `succeeded` is the patterns' own.
    told = similarities.drop_vars("succeeded", errors="ignore").rename(pattern_label="label")
    attrs = {key: value for key, value in similarities.attrs.items() if key != "created_at"}
    cell = patterns.assign_attrs({_OWN_ATTRS: json.dumps(attrs, sort_keys=True)})
    for name, variable in {**told.coords, **told.data_vars}.items():
        if name != "label":
            cell[name] = variable
    for name, value in scores.items():
        units = "nat" if name.endswith("loss") else "1"
        cell[name] = ((), value, {"long_name": _SCORES.get(name, name), "units": units})
    return validate(cell, "patterns")


def similarities_of(cell: xr.Dataset) -> xr.Dataset:
    """Give a cell's similarities as :func:`~pncviz.compare` gave them.

    Raises
    ------
    ResultError
        Not a cell.
    """
    validate(cell, "patterns")
    attrs: dict[str, Any] = json.loads(cell.attrs.get(_OWN_ATTRS, "{}"))
    names = [name for name, v in cell.data_vars.items() if {"metric", "contrast_label"} & {*v.dims}]
    found = cell[[*names, "succeeded"]].rename(label="pattern_label")
    found.attrs = {**attrs, "created_at": cell.attrs["created_at"]}
    # Patterns say it in other words.
    found["succeeded"].attrs["long_name"] = FIELDS["similarities"]["succeeded"].long_name
    return validate(found, "similarities")
