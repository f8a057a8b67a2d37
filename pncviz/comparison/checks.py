"""Whether patterns, contrasts and null fit together."""

from __future__ import annotations

from numbers import Integral, Real

import xarray as xr

from pncviz.dataset import check_labels_match, validate
from pncviz.exceptions import LabelError, ParameterError, ResultError

__all__ = ["check_null", "check_numbers", "check_pair", "leading_dims"]

#: The phase null is named with its limit, so that no one meets the one without the other.
PHASE = "phase-randomised patterns (right for stationary patterns only)"
#: What draws of each kind are, unless they say.
_DRAWS = {"contrasts": "drawn contrasts", "patterns": "drawn patterns"}


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
    labels, known = patterns["label"].values, others["label"].values
    if not set(labels.tolist()) < set(known.tolist()):
        check_labels_match(labels, known, "patterns", what)


def check_same_images(patterns: xr.Dataset, others: xr.Dataset, what: str) -> None:
    """Raise ResultError unless images have one shape."""
    name = "pattern" if others.attrs["kind"] == "patterns" else "contrast"
    shapes = []
    for dataset, variable in ((patterns, "pattern"), (others, name)):
        dims = dataset[variable].dims
        shapes.append(dataset[variable].shape[dims.index("label") + 1 :])
    if shapes[0] != shapes[1]:
        raise ResultError(f"Patterns are images of shape {shapes[0]}, {what} of {shapes[1]}.")


def check_null(null: object, patterns: xr.Dataset, contrasts: xr.Dataset) -> str:
    """Raise unless own-class similarity can be tested against a null; name the null."""
    if null is None or (isinstance(null, str) and null == "phase"):
        if null and contrasts["contrast"].ndim != 4:
            raise ParameterError(
                'null="phase" needs images: the features of a table have no neighbours. Use '
                "label_shuffled_contrasts or model_null."
            )
        return PHASE if null else "none"
    if not isinstance(null, xr.Dataset):
        raise ParameterError(
            '`null` must be None, "phase", or a dataset of label_shuffled_contrasts or '
            f"model_null, got {null!r:.80}."
        )
    validate(null)
    kind = null.attrs["kind"]
    if kind not in _DRAWS or "draw" not in null.dims:
        raise ParameterError(
            f"`null` must be patterns or contrasts with a dimension `draw`, got {kind} with "
            f"{tuple(null.sizes)}."
        )
    _check_leading(null, patterns)
    check_labels_within(patterns, null, "the null")
    check_same_images(patterns, null, "the null's draws")
    return str(null.attrs.get("null", _DRAWS[kind]))


def _check_leading(null: xr.Dataset, patterns: xr.Dataset) -> None:
    name = "pattern" if null.attrs["kind"] == "patterns" else "contrast"
    dims = [str(dim) for dim in null[name].dims]
    for dim in set(dims[: dims.index("label")]) - {"draw"}:
        if dim != "strategy":
            raise ParameterError(
                f"`null` has a dimension `{dim}`; choose a stage, such as null.isel({dim}=-1)."
            )
        if "strategy" not in patterns.dims:
            raise ParameterError("`null` has strategies but `patterns` have none; select one.")
    if name == "contrast" or "strategy" not in patterns.dims:
        return
    needed = patterns["strategy"].values.tolist()
    given = null["strategy"].values.tolist() if "strategy" in null.dims else []
    missing = [strategy for strategy in needed if strategy not in given]
    if missing:
        raise LabelError(
            f"`null` has no draws of the strategies {missing}: patterns can be tested only against "
            "patterns made alike. Make a null for each, and join them by concat_patterns; or "
            "compare one strategy at a time."
        )
