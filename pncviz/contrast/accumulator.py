"""Class sums that grow, block by block and class by class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pncviz.contrast.sums import class_sums
from pncviz.data import encode_labels
from pncviz.exceptions import LabelError

__all__ = ["Accumulator"]


class Accumulator:
    """Sums and counts of the classes seen so far; a block is added whole or not at all.

    Parameters
    ----------
    sample_shape : tuple of int
    classes : array-like of shape (n_classes,), optional
        All classes, if they are known; others are then refused.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted.
    sums : float64 ndarray of shape (n_classes, n_features)
    counts : ndarray of shape (n_classes,)

    Examples
    --------
    >>> totals = Accumulator((2,))
    >>> totals.add(np.array([[1.0, 2.0]]), np.array(["b"]))
    >>> totals.add(np.array([[3.0, 4.0]]), np.array(["a"]))
    >>> totals.classes.tolist(), totals.sums.tolist()
    (['a', 'b'], [[3.0, 4.0], [1.0, 2.0]])
    """

    def __init__(self, sample_shape: tuple[int, ...], classes: ArrayLike | None = None) -> None:
        self._closed = classes is not None
        self.classes: NDArray[Any] = np.unique(np.asarray([] if classes is None else classes))
        self.sums = np.zeros((len(self.classes), math.prod(sample_shape)))
        self.counts: NDArray[Any] = np.zeros(len(self.classes), dtype=np.int64)

    def add(self, X: Any, labels: NDArray[Any]) -> None:
        """Add samples by their labels."""
        classes = self._union(np.unique(labels))
        _, codes = encode_labels(labels, classes)
        self.add_weighted(X, classes, codes, np.bincount(codes, minlength=len(classes)))

    def add_weighted(
        self, X: Any, classes: NDArray[Any], weights: NDArray[Any], counts: NDArray[Any]
    ) -> None:
        """Add samples by codes or weights in ``classes``, which hold all of the earlier ones."""
        sums = class_sums(X, weights, len(classes))  # may raise: nothing has changed yet
        if len(self.classes):
            places = np.searchsorted(classes, self.classes)
            sums[places] += self.sums
            counts[places] += self.counts
        self.classes, self.sums, self.counts = classes, sums, counts

    def check_announced(self, classes: ArrayLike) -> None:
        """Raise LabelError unless later calls announce the same classes."""
        given = np.unique(np.asarray(classes))
        if not np.array_equal(given, self.classes):
            raise LabelError(
                f"`classes` {given.tolist()[:10]} differ from those of earlier calls, "
                f"{self.classes.tolist()[:10]}."
            )

    def _union(self, found: NDArray[Any]) -> NDArray[Any]:
        if not len(self.classes):
            return found
        if (found.dtype.kind == "U") != (self.classes.dtype.kind == "U"):
            raise LabelError(
                f"y holds {found.tolist()[:3]}, earlier blocks {self.classes.tolist()[:3]}; use "
                "integers or strings throughout."
            )
        return self.classes if self._closed else np.union1d(self.classes, found)
