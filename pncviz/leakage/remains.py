"""What of a pattern is left to reconstruct from, and what users are told where it is nothing."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.exceptions import PatternWarning
from pncviz.leakage.prior import Floats, Prior

__all__ = ["spent", "tell_empty", "tell_failed"]

#: A share of noise above which the rest is rounding, and differences that are.
_ALL_NOISE, _ROUNDING = 1 - 1e-6, 1e-6

#: Of labels in a warning.
_N_NAMED = 10


def spent(patterns: Floats, noise: Floats, prior: Prior, table: bool) -> NDArray[np.bool_]:
    """Say which patterns (k, d) have nothing left: those that are constant, or all noise.

    A constant image says nothing of how a class looks; features of a table that are as large as
    each other do. Only pixels count where the prior leaves room.

    Examples
    --------
    >>> prior = Prior("range", np.full(2, 0.5), np.ones(2))
    >>> spent(np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 2.0]]), np.array([0, 0, 1]), prior, False)
    array([ True, False,  True])
    """
    room = _room(patterns, prior)
    there = patterns[:, room]
    size = np.abs(there).max(axis=1, initial=0.0)
    empty = (noise > _ALL_NOISE) | (size == 0)
    if table or there.shape[1] < 2:
        return np.asarray(empty)
    return np.asarray(empty | (np.ptp(there, axis=1) <= _ROUNDING * size))


def tell_empty(
    factors: Floats,
    deviations: Floats,
    patterns: Floats,
    prior: Prior,
    labels: NDArray[np.generic],
) -> None:
    """Warn of classes whose mean is the mean of all, by what they lack."""
    empty = factors == 0
    # What is nowhere but where the mean lies at a bound is not the pattern's fault either.
    outside = patterns.any(axis=1) & ~patterns[:, _room(patterns, prior)].any(axis=1)
    left = deviations.any(axis=1)
    # Only balance gives some of the deviations a factor and others none.
    unbalanced = empty & left & bool(factors[left].any())
    cramped = empty & ((left & ~unbalanced) | outside)
    for which, text in (
        (
            empty & ~unbalanced & ~cramped,
            "The patterns of {} leave nothing to reconstruct from, being constant or all noise",
        ),
        (unbalanced, "The patterns of {} cannot be balanced with the others"),
        (
            cramped,
            "`prior` lies at a bound of `data_range` and leaves no room for the patterns of {}; "
            "give another prior, or a larger `tolerance`",
        ),
    ):
        if which.any():
            _warn(f"{text.format(_named(labels[which]))}; their class mean is the overall mean.")


def tell_failed(patterns: xr.Dataset) -> None:
    """Warn of patterns that did not reach their class."""
    if "succeeded" not in patterns or patterns["succeeded"].values.all():
        return
    labels = patterns["label"].values[~patterns["succeeded"].values]
    _warn(
        f"The patterns of {_named(labels)} did not reach their class; their class means may be "
        "those of others. See `succeeded`."
    )


def _room(patterns: Floats, prior: Prior) -> NDArray[np.bool_]:
    if prior.basis is not None:
        return np.ones(patterns.shape[1], dtype=bool)
    return np.asarray(prior.spread > 0)


def _named(labels: NDArray[np.generic]) -> str:
    more = len(labels) - _N_NAMED
    return f"{labels[:_N_NAMED].tolist()}{f' and {more} more' if more > 0 else ''}"


def _warn(text: str) -> None:
    warnings.warn(text, PatternWarning, stacklevel=4)
