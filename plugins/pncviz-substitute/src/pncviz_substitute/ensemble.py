"""Several models that vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from pncviz.exceptions import LabelError, ParameterError

__all__ = ["MajorityVote"]


class MajorityVote(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """What most of some fitted classifiers say; of ties, the class that comes first.

    :class:`sklearn.ensemble.VotingClassifier` fits its members itself; these are used as they are.

    Parameters
    ----------
    estimators : sequence of fitted classifiers
        All with the same ``classes_``; an odd one gets flat float32 samples. Give
        ``FrozenEstimator(MajorityVote(...))`` where the vote is cloned, since a clone forgets what
        its members learnt.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The members'; NotFittedError where one is not fitted.

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

    @property
    def classes_(self) -> NDArray[Any]:
        """The members' classes; they are fitted, so that ``fit`` is not needed."""
        return _common(self.estimators)

    def __sklearn_is_fitted__(self) -> bool:
        """Say whether every member is fitted."""
        return all(hasattr(member, "classes_") for member in self.estimators)

    def fit(self, X: Any = None, y: Any = None) -> MajorityVote:  # noqa: ARG002 # scikit-learn's signature
        """Check the members, which are fitted.

        Raises
        ------
        ParameterError
            There are none.
        NotFittedError
            One is not fitted.
        LabelError
            They know different classes.
        """
        _common(self.estimators)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Give the class of most votes."""
        places = self.votes(X).argmax(axis=1)
        found: NDArray[Any] = self.classes_[places]
        return found

    def votes(self, X: ArrayLike) -> NDArray[np.int64]:
        """Count the votes for each class: (n, n_classes)."""
        samples, classes = np.asarray(X, dtype=np.float32), self.classes_
        counts = np.zeros((len(samples), len(classes)), dtype=np.int64)
        for member in self.estimators:
            places = np.searchsorted(classes, member.predict(samples))
            counts[np.arange(len(samples)), places] += 1
        return counts


def _common(estimators: Sequence[Any]) -> NDArray[Any]:
    if not len(estimators):
        raise ParameterError("`estimators` must be one classifier or more, got none.")
    for member in estimators:
        if not hasattr(member, "classes_"):
            raise NotFittedError(
                f"`estimators` must be fitted classifiers, got {type(member).__name__} without "
                "`classes_`. A clone forgets what its members learnt: give "
                "FrozenEstimator(MajorityVote(...)) where the vote is to be cloned."
            )
    first = np.asarray(estimators[0].classes_)
    for other in estimators[1:]:
        if not np.array_equal(first, np.asarray(other.classes_)):
            raise LabelError(
                f"`estimators` must know the same classes, got {first.tolist()} and "
                f"{np.asarray(other.classes_).tolist()}."
            )
    return first
