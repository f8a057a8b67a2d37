"""Whether draws are such that patterns can be tested against them."""

from __future__ import annotations

import json
import warnings
from typing import Any

import xarray as xr

from pncviz.comparison.checks import check_labels_within, check_same_images
from pncviz.dataset import validate
from pncviz.exceptions import LabelError, ParameterError, PatternWarning

__all__ = ["PHASE", "check_null"]

#: The phase null is named with its limit, so that no one meets the one without the other.
PHASE = "phase-randomised patterns (right for stationary patterns only)"
#: What draws of each kind are, unless they say.
_DRAWS = {"contrasts": "drawn contrasts", "patterns": "drawn patterns"}
#: Parameters of patterns that a null must share, and those that it should.
_MUST, _SHOULD = ("strategy", "attack"), ("max_iter", "max_loss", "min_confidence")


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
    if "draw" in patterns.dims:
        raise ParameterError("`patterns` are draws themselves; select one of `draw` to test it.")
    _check_leading(null, patterns)
    if kind == "contrasts":
        _check_rule(null, contrasts)
    else:
        _check_making(null, patterns)
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


def _parameters(dataset: xr.Dataset) -> dict[str, Any]:
    try:
        found = json.loads(dataset.attrs["parameters"])
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_rule(null: xr.Dataset, contrasts: xr.Dataset) -> None:
    """Raise unless contrasts and their draws were normalised alike."""
    rules = [_parameters(dataset).get("normalize", "") for dataset in (null, contrasts)]
    if "" not in rules and rules[0] != rules[1]:
        raise ParameterError(
            f"The draws were made with normalize={rules[0]!r}, the contrasts with "
            f"normalize={rules[1]!r}; make both alike."
        )


def _making(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Give the parameters of each strategy that a dataset holds, as far as they are known."""
    found = _parameters(dataset)
    names = dataset["strategy"].values.ravel().tolist() if "strategy" in dataset.coords else []
    if any(isinstance(found.get(name), dict) and "attack" in found[name] for name in names):
        return {name: found[name] for name in names if isinstance(found.get(name), dict)}
    return {"": found} if isinstance(found.get("attack"), dict) else {}


def _check_making(null: xr.Dataset, patterns: xr.Dataset) -> None:
    """Raise unless patterns and drawn patterns come from the same strategy and attack."""
    drawn = _making(null)
    for name, made in _making(patterns).items():
        other = drawn.get(name, drawn.get("") or (next(iter(drawn.values())) if drawn else {}))
        for key in _MUST:
            if key in other and key in made and other[key] != made[key]:
                raise ParameterError(
                    f"The draws were made with {key} {other[key]}, the patterns with {made[key]}; "
                    "patterns can be tested only against patterns made alike."
                )
        differing = [k for k in _SHOULD if k in other and k in made and other[k] != made[k]]
        if differing:
            told = ", ".join(f"{key} {other[key]} against {made[key]}" for key in differing)
            warnings.warn(
                f"The null's draws stopped by another rule than the patterns: {told}.",
                PatternWarning,
                stacklevel=4,
            )
