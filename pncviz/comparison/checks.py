"""Whether patterns, contrasts and null fit together."""

from __future__ import annotations

from numbers import Integral, Real

import xarray as xr

from pncviz.dataset import validate
from pncviz.exceptions import ParameterError, ResultError
from pncviz.inference.spectrum import check_labels_known

__all__ = [
    "check_labels_within",
    "check_numbers",
    "check_pair",
    "check_same_images",
    "leading_dims",
]


def check_numbers(n_permutations: object, n_resamples: object, confidence_level: object) -> None:
    """Raise ParameterError for numbers out of bounds."""
    numbers = (("n_permutations", n_permutations, 1), ("n_resamples", n_resamples, 0))
    for name, value, least in numbers:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            what = "a positive integer" if least else "0 or a positive integer"
            raise ParameterError(f"`{name}` must be {what}, got {value!r}.")
    if not isinstance(confidence_level, Real) or not 0 < float(confidence_level) < 1:
        raise ParameterError(
            f"`confidence_level` must be between 0 and 1, got {confidence_level!r}."
        )


def leading_dims(patterns: xr.Dataset) -> list[str]:
    """Name the dimensions in front of ``label``."""
    dims = [str(dim) for dim in patterns["pattern"].dims]
    return dims[: dims.index("label")]


def check_pair(patterns: xr.Dataset, contrasts: xr.Dataset) -> None:
    """Raise unless the patterns' classes are among the contrasts', and images of one shape."""
    validate(patterns, "patterns")
    validate(contrasts, "contrasts")
    if contrasts["contrast"].dims[0] != "label":
        raise ResultError(
            f"`contrasts` have a leading dimension {contrasts['contrast'].dims[0]!r}; select one, "
            "or give draws as `null`."
        )
    check_labels_within(patterns, contrasts, "contrasts")
    check_same_images(patterns, contrasts, "contrasts")


def check_labels_within(patterns: xr.Dataset, others: xr.Dataset, what: str) -> None:
    """Raise LabelError unless the patterns' labels are among the others'."""
    check_labels_known(patterns["label"].values, others["label"].values, "patterns", what)


def check_same_images(patterns: xr.Dataset, others: xr.Dataset, what: str) -> None:
    """Raise ResultError unless images have one shape."""
    name = "pattern" if others.attrs["kind"] == "patterns" else "contrast"
    shapes = []
    for dataset, variable in ((patterns, "pattern"), (others, name)):
        dims = dataset[variable].dims
        shapes.append(dataset[variable].shape[dims.index("label") + 1 :])
    if shapes[0] != shapes[1]:
        raise ResultError(f"Patterns are images of shape {shapes[0]}, {what} of {shapes[1]}.")
