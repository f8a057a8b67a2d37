"""One kernel density: its bandwidth, its scores, and its scores of what it was made from."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity

from pncviz.exceptions import ParameterError

__all__ = ["RULES", "Density", "check_bandwidth"]

#: Ways to choose the bandwidth.
RULES = ("scott", "silverman", "cv")
#: Multiples of Scott's bandwidth that cross-validation goes through.
_MULTIPLES = np.geomspace(0.15, 2.5, 9)
_FOLDS = 5

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
        own = -d * math.log(self.bandwidth * math.sqrt(2 * math.pi)) - math.log(n)
        whole = self.score(self._features)
        others = -np.expm1(np.minimum(own - whole, 0.0))
        with np.errstate(divide="ignore"):
            return np.asarray(whole + np.log(others) + math.log(n / (n - 1)), dtype=np.float64)
