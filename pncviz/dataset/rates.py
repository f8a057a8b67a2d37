"""Rows of the plain-text tables of results that have no images."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

__all__ = ["agreement_rows", "example_rows", "pattern_transfer_rows", "transfer_rows"]

#: The head of a table, and its rows.
Rows = tuple[list[str], list[list[Any]]]


def example_rows(ds: xr.Dataset) -> Rows:
    """Per class, and for all samples: how many, how many succeeded, and by how much of a change."""
    by = "label" if "label" in ds else "original_prediction"
    classes = np.ravel(ds[by].values)
    columns = ("already", "succeeded", "confidence", "n_iter", "l2", "linf")
    values = {name: np.ravel(ds[name].values) for name in columns}
    groups = [(label, classes == label) for label in np.unique(classes).tolist()]
    groups.append(("all", np.ones(len(classes), dtype=bool)))
    head = ["class", "n", *columns[:3], "iterations", *columns[4:]]
    rows = [
        [str(label), int(there.sum()), *(float(values[name][there].mean()) for name in columns)]
        for label, there in groups
    ]
    return head, rows


def transfer_rows(ds: xr.Dataset) -> Rows:
    """Per pair of models: how often the target errs, and how often what fools one fools both."""
    rows = []
    for source, target, at in _pairs(ds):
        error, transfer = (_rate(ds, name, at) for name in ("error", "transfer"))
        clean = float(ds["clean_error"].sel(target=target))
        rows.append([source, target, clean, *error, *transfer, int(ds["n_fooled"].sel(at))])
    head = ["source", "target", "clean error", "error", "interval", "transfer", "interval", "of"]
    return head, rows


def pattern_transfer_rows(ds: xr.Dataset) -> Rows:
    """Per pair of models: how often the target calls samples the class of the pattern added."""
    rows = []
    for source, target, at in _pairs(ds):
        clean = float(ds["overall_clean_rate"].sel(target=target))
        rate, interval = _rate(ds, "overall", at)
        per_class = ds["rate"].sel(at)
        rows.append([source, target, clean, rate, interval, *_ends(per_class)])
    return ["source", "target", "clean", "rate", "interval", "least class", "most"], rows


def agreement_rows(ds: xr.Dataset) -> Rows:
    """Per pair of models: how alike their patterns are."""
    rows = []
    for source, target, at in _pairs(ds):
        one = ds.sel(at)
        hits = f"{int(one['hits'])}/{ds.sizes['label']}"
        numbers = (float(one[name]) for name in ("mean_similarity", "identification_p"))
        mean, p = numbers
        rows.append([source, target, mean, *_ends(one["similarity"]), hits, p])
    return ["source", "target", "similarity", "least class", "most", "hits", "p"], rows


def _pairs(ds: xr.Dataset) -> list[tuple[str, str, dict[str, str]]]:
    sources, targets = (ds[dim].values.tolist() for dim in ("source", "target"))
    return [
        (source, target, {"source": source, "target": target})
        for source in sources
        for target in targets
    ]


def _rate(ds: xr.Dataset, name: str, at: dict[str, str]) -> tuple[float, str]:
    rate, low, high = (float(ds[f"{name}_{part}"].sel(at)) for part in ("rate", "lower", "upper"))
    return rate, "-" if np.isnan(low) else f"{low:.3g} to {high:.3g}"


def _ends(values: xr.DataArray) -> tuple[float, float]:
    return float(values.min()), float(values.max())
