"""One kernel density: its bandwidth, its scores, and its scores of what it was made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity

from pncviz.exceptions import ParameterError

__all__ = ["RULES", "Density", "check_bandwidth", "threshold_of"]

#: Ways to choose the bandwidth.
RULES = ("scott", "silverman", "cv")
#: Multiples of Scott's bandwidth that cross-validation goes through.
_MULTIPLES = np.geomspace(0.15, 2.5, 9)
_FOLDS = 5
#: A share of the others below this is computed from them alone.
_DIGITS = 1e-6
#: Distances held at a time.
_AT_ONCE = 4_000_000

Floats = NDArray[np.float64]


def check_bandwidth(bandwidth: object) -> None:
    """Raise ParameterError unless it is a rule or a positive number."""
    if isinstance(bandwidth, str) and bandwidth in RULES:
        return
    real = isinstance(bandwidth, Real) and not isinstance(bandwidth, bool)
    if not real or not 0 < float(bandwidth) < math.inf:  # type: ignore[arg-type] # checked
        raise ParameterError(
            f"`bandwidth` must be a positive number or one of {', '.join(RULES)}, got "
            f"{bandwidth!r:.80}."
        )


class Density:
    """A Gaussian kernel density.

    Parameters
    ----------
    features : ndarray of shape (n_samples, n_features)
        Of unit variance, for rules.
    bandwidth : float or str
    seed : int
        Of the folds of cross-validation.

    Attributes
    ----------
    bandwidth : float
        In units of the features.
    """

    def __init__(self, features: Floats, bandwidth: Any, seed: int) -> None:
        n, d = features.shape
        scott = n ** (-1 / (d + 4))
        if bandwidth == "cv":
            grid = {"bandwidth": scott * _MULTIPLES}
            folds = KFold(min(_FOLDS, n), shuffle=True, random_state=seed)
            search = GridSearchCV(KernelDensity(), grid, cv=folds).fit(features)
            self._density = search.best_estimator_
        else:
            self._density = KernelDensity(bandwidth=bandwidth).fit(features)
        self.bandwidth = float(self._density.bandwidth_)
        self._features = features

    def score(self, features: Floats) -> Floats:
        """Give the log density, in nats, of each row."""
        return np.asarray(self._density.score_samples(features), dtype=np.float64)

    def score_left_out(self) -> Floats:
        """Give the log density of each own row by all the others.

        The row's own kernel would make it look more natural than any new row.
        """
        n, d = self._features.shape
        unit = -d * math.log(self.bandwidth * math.sqrt(2 * math.pi))
        whole = self.score(self._features)
        others = -np.expm1(np.minimum(unit - math.log(n) - whole, 0.0))
        with np.errstate(divide="ignore"):
            found = whole + np.log(others) + math.log(n / (n - 1))
        # The difference has lost its digits where the own kernel is nearly all there is.
        lost = np.flatnonzero(~(others > _DIGITS))
        size = max(1, _AT_ONCE // n)
        for begin in range(0, len(lost), size):
            rows = lost[begin : begin + size]
            found[rows] = self._by_others(rows) + unit - math.log(n - 1)
        return np.asarray(found, dtype=np.float64)

    def _by_others(self, rows: NDArray[np.int64]) -> Floats:
        """Give the log of the sum of the others' kernels, each 1 at its centre."""
        with np.errstate(over="ignore"):
            apart = (cdist(self._features[rows], self._features) / self.bandwidth) ** 2
        apart[np.arange(len(rows)), rows] = np.inf
        nearest = apart.min(axis=1, keepdims=True)
        # A row that is infinitely far from all others has no nearest to measure from.
        base = np.where(np.isfinite(nearest), nearest, 0.0)
        with np.errstate(divide="ignore"):
            total = np.log(np.exp((base - apart) / 2).sum(axis=1))
        return np.asarray(total - base[:, 0] / 2, dtype=np.float64)


def threshold_of(left_out: Sequence[Floats], rate: float, bandwidth: Any) -> float:
    """Give the quantile of scores left out; ParameterError if it is not finite."""
    found = float(np.quantile(np.concatenate(left_out), rate, method="inverted_cdf"))
    if not math.isfinite(found):
        raise ParameterError(
            f"`bandwidth` {bandwidth!r:.80} is too small: by the other samples some have no "
            f"density, and the threshold would be {found}."
        )
    return found
