"""Checks of parameters, and of patterns by the name of their model."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import xarray as xr

from pncviz.dataset import check_labels_match, validate
from pncviz.exceptions import ParameterError, ResultError

__all__ = ["check_level", "checked_patterns"]


def check_level(level: object) -> None:
    """Raise ParameterError unless a confidence level lies between 0 and 1."""
    if not isinstance(level, Real) or isinstance(level, bool) or not 0 < float(level) < 1:
        raise ParameterError(f"`confidence_level` must be between 0 and 1, got {level!r}.")


def checked_patterns(patterns: Any) -> dict[str, xr.Dataset]:
    """Give patterns by name, all of the same classes in one order, and of one shape.

    Raises
    ------
    ParameterError
        No mapping, or patterns with leading dimensions.
    LabelError
        Labels differ.
    ResultError
        Not patterns, or images of different shapes.
    """
    # A dataset is a mapping too, of its variables.
    if not isinstance(patterns, Mapping) or isinstance(patterns, xr.Dataset) or not patterns:
        raise ParameterError(
            f"`patterns` must be a mapping of a model's name to its patterns, got {patterns!r:.80}."
        )
    found: dict[str, xr.Dataset] = {}
    for name, dataset in patterns.items():
        if not isinstance(name, str) or not name:
            raise ParameterError(f"`patterns` must have names, got {name!r}.")
        dims = validate(dataset, "patterns")["pattern"].dims
        if dims[0] != "label":
            raise ParameterError(
                f'Patterns of "{name}" have a leading dimension `{dims[0]}`; select one with '
                f"`.isel({dims[0]}=0)`."
            )
        if found:
            first = next(iter(found.values()))
            whose = (f"patterns of {next(iter(found))!r}", f"patterns of {name!r}")
            check_labels_match(first["label"].values, dataset["label"].values, *whose)
            dataset = dataset.sel(label=first["label"].values)
            shapes = [one["pattern"].shape for one in (first, dataset)]
            if shapes[0] != shapes[1]:
                raise ResultError(
                    f"{whose[1]} are of shape {shapes[1]}, {whose[0]} of {shapes[0]}; make equal."
                )
        found[name] = dataset
    return found
