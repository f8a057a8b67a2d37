"""Whether what a reconstruction is asked for can be done."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from pncviz.dataset import validate
from pncviz.exceptions import ParameterError, ResultError
from pncviz.leakage.prior import Floats, Prior

__all__ = ["checked_frequencies", "checked_numbers", "checked_patterns", "checked_rule"]

SCALES = ("range", "variance", "balance")


def checked_frequencies(frequencies: ArrayLike | None, k: int) -> Floats:
    """Give the share of each of k classes; equal ones by default."""
    if frequencies is None:
        return np.full(k, 1 / k)
    try:
        p = np.asarray(frequencies, dtype=np.float64)
    except (TypeError, ValueError):
        p = np.zeros(0)
    good = p.shape == (k,) and bool(((p > 0) & (p < 1)).all()) and float(p.sum()) < 1 + 1e-6
    if not good:
        raise ParameterError(
            f"`frequencies` must be the shares of {k} classes, each between 0 and 1 and at most 1 "
            f"together, got {frequencies!r:.80}."
        )
    return p


def checked_patterns(patterns: xr.Dataset) -> xr.DataArray:
    """Give the images of patterns on (label, …); ResultError unless they are such."""
    validate(patterns, "patterns")
    images = patterns["pattern"]
    if images.dims[0] != "label":
        raise ResultError(
            f"`patterns` have a leading dimension {images.dims[0]!r}; select one of it, such as "
            f"patterns.isel({images.dims[0]}=0)."
        )
    if len(images) < 2:
        raise ResultError("`patterns` are of one class; a contrast is between two or more.")
    return images


def checked_rule(
    scale: object, smooth: object, tolerance: object, share: object, prior: Prior
) -> float | None:
    """Check what is no array; give the share of the variance between classes, if known."""
    if scale not in SCALES:
        raise ParameterError(f"`scale` must be one of {', '.join(SCALES)}; got {scale!r}.")
    if not isinstance(smooth, bool):
        raise ParameterError(f"`smooth` must be True or False, got {smooth!r}.")
    if not _within(tolerance, 0, 1):
        raise ParameterError(f"`tolerance` must be at least 0 and below 1, got {tolerance!r}.")
    if share is not None and not (_within(share, 0, 1) and share):
        raise ParameterError(f"`class_share` must be between 0 and 1, got {share!r}.")
    found = prior.class_share if share is None else float(share)  # type: ignore[arg-type] # checked
    if scale == "variance" and (found is None or prior.variance is None):
        raise ParameterError(
            '`scale="variance"` needs images as `prior`, and `class_share` or a Dataset, which has '
            "labels."
        )
    return found


def _within(value: object, low: float, high: float) -> bool:
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and low <= float(value) < high  # type: ignore[arg-type] # checked


def checked_numbers(n_resamples: object, confidence_level: object) -> None:
    """Raise ParameterError for numbers of an interval that are out of bounds."""
    whole = isinstance(n_resamples, Integral) and not isinstance(n_resamples, bool)
    if not whole or int(n_resamples) < 1:  # type: ignore[call-overload] # checked
        raise ParameterError(f"`n_resamples` must be a positive integer, got {n_resamples!r}.")
    if not _within(confidence_level, 0, 1) or not confidence_level:
        raise ParameterError(
            f"`confidence_level` must be between 0 and 1, got {confidence_level!r}."
        )
