"""Several models that vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from pncviz.exceptions import LabelError, ParameterError

__all__ = ["MajorityVote"]


class MajorityVote(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """What most of some fitted classifiers say; of ties, the class that comes first.

    :class:`sklearn.ensemble.VotingClassifier` fits its members itself; these are used as they are.

    Parameters
    ----------
    estimators : sequence of fitted classifiers
        All with the same ``classes_``; an odd one gets flat float32 samples.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)

    References
    ----------
    papernot2016transferability.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> X, y = np.zeros((2, 1)), ["cat", "owl"]
    >>> votes = [DummyClassifier(strategy="constant", constant=c).fit(X, y)
    ...          for c in ("owl", "cat", "owl")]
    >>> MajorityVote(votes).predict(X).tolist()
    ['owl', 'owl']
    """

    def __init__(self, estimators: Sequence[Any]) -> None:
        self.estimators = estimators
        self.classes_ = _common(estimators)

    def fit(self, X: Any = None, y: Any = None) -> MajorityVote:  # noqa: ARG002 # scikit-learn's signature
        """Do nothing: the members are fitted."""
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Give the class of most votes."""
        found: NDArray[Any] = self.classes_[self.votes(X).argmax(axis=1)]
        return found

    def votes(self, X: ArrayLike) -> NDArray[np.int64]:
        """Count the votes for each class: (n, n_classes)."""
        samples = np.asarray(X, dtype=np.float32)
        counts = np.zeros((len(samples), len(self.classes_)), dtype=np.int64)
        for member in self.estimators:
            places = np.searchsorted(self.classes_, member.predict(samples))
            counts[np.arange(len(samples)), places] += 1
        return counts


def _common(estimators: Sequence[Any]) -> NDArray[Any]:
    if not len(estimators):
        raise ParameterError("`estimators` must be one classifier or more, got none.")
    first = np.asarray(estimators[0].classes_)
    for other in estimators[1:]:
        if not np.array_equal(first, np.asarray(other.classes_)):
            raise LabelError(
                f"`estimators` must know the same classes, got {first.tolist()} and "
                f"{np.asarray(other.classes_).tolist()}."
            )
    return first
