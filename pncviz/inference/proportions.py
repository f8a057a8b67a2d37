"""Intervals of shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

__all__ = ["proportion_interval"]


def proportion_interval(
    hits: ArrayLike, n: ArrayLike, *, confidence_level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give Wilson's interval of each share.

    Parameters
    ----------
    hits, n : integer array-likes
        Broadcast against each other.
    confidence_level : float, default=0.95

    Returns
    -------
    lower, upper : ndarrays
        NaN where ``n`` is 0.

    References
    ----------
    wilson1927probable.

    Examples
    --------
    >>> [float(end.round(3)) for end in proportion_interval(1, 10)]
    [0.018, 0.404]
    """

    def ends(k: Any, of: Any) -> tuple[float, float]:
        if not of:
            return np.nan, np.nan
        interval = binomtest(int(k), int(of)).proportion_ci(confidence_level, method="wilson")
        return float(interval.low), float(interval.high)

    lower, upper = np.vectorize(ends, otypes=[np.float64, np.float64])(hits, n)
    return lower, upper
