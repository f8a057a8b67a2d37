"""Class sums that grow, block by block and class by class."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pncviz.contrast.sums import LOOKED_UP, class_sums, ranks
from pncviz.data import encode_labels
from pncviz.exceptions import LabelError, ParameterError

__all__ = ["MAX_BYTES", "N_BLOCKS", "Accumulator"]

logger = logging.getLogger("pncviz")

#: Blocks of samples: enough for an interval, few enough to keep.
N_BLOCKS = 20

#: The most that sums and contrasts may take.
MAX_BYTES = 8 * 2**30


class Accumulator:
    """Sums and counts of the classes seen so far; a block is added whole or not at all.

    Parameters
    ----------
    sample_shape : tuple of int
    classes : array-like of shape (n_classes,), optional
        All classes, if they are known; others are then refused.
    n_blocks : int, default=0
        Keep sums apart for so many interleaved blocks of samples: the first sample of each class
        goes into the first, the second into the second, and so on.
    max_bytes : int
        Refuse samples whose sums and contrasts would take more.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted.
    block_sums : float64 ndarray of shape (max(1, n_blocks), n_classes, n_features)
    block_counts : ndarray of shape (max(1, n_blocks), n_classes)

    Raises
    ------
    ParameterError
        Numbers that are none, or too many bytes.

    Examples
    --------
    >>> totals = Accumulator((2,))
    >>> totals.add(np.array([[1.0, 2.0]]), np.array(["b"]))
    >>> totals.add(np.array([[3.0, 4.0]]), np.array(["a"]))
    >>> totals.classes.tolist(), totals.sums.tolist()
    (['a', 'b'], [[3.0, 4.0], [1.0, 2.0]])
    """

    def __init__(
        self,
        sample_shape: tuple[int, ...],
        classes: ArrayLike | None = None,
        *,
        n_blocks: int = 0,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        for name, value, least in (("n_blocks", n_blocks, 0), ("max_bytes", max_bytes, 1)):
            if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
                what = "a positive integer" if least else "0 or a positive integer"
                raise ParameterError(f"`{name}` must be {what}, got {value!r}.")
        self._closed = classes is not None
        self.n_blocks, self.max_bytes = n_blocks, max_bytes
        self._shape = sample_shape
        self._n = max(1, n_blocks)
        self.classes: NDArray[Any] = np.unique(np.asarray([] if classes is None else classes))
        self._check_size(self.classes)
        self.block_sums = np.zeros((self._n, len(self.classes), math.prod(sample_shape)))
        self.block_counts: NDArray[Any] = np.zeros((self._n, len(self.classes)), dtype=np.int64)
        self._seen = np.zeros(len(self.classes), dtype=np.int64)

    @property
    def sums(self) -> NDArray[np.float64]:
        """Sums over all blocks, (n_classes, n_features)."""
        total: NDArray[np.float64] = self.block_sums.sum(axis=0)
        return total

    @property
    def counts(self) -> NDArray[Any]:
        """Samples of all blocks, (n_classes,)."""
        total: NDArray[Any] = self.block_counts.sum(axis=0)
        return total

    def add(self, X: Any, labels: NDArray[Any]) -> None:
        """Add samples by their labels."""
        classes, codes = self._encode(labels)
        self._check_size(classes)
        k = len(classes)
        places = self._places(classes, codes)
        sums = class_sums(X, places, self._n * k)
        self._take(classes, _count(codes, k), sums, _count(places, self._n * k))

    def add_weighted(self, X: NDArray[Any], classes: NDArray[Any], weights: NDArray[Any]) -> None:
        """Add samples by their shares (n_samples, n_classes) in ``classes``."""
        self._check_size(classes)
        codes = weights.argmax(axis=1)
        k = len(classes)
        blocks = self._places(classes, codes) // k
        sums, counts = [], []
        for block in range(self._n):
            rows = slice(None) if self._n == 1 else blocks == block
            sums.append(class_sums(X[rows], weights[rows], k))
            counts.append(weights[rows].sum(axis=0))
        self._take(classes, _count(codes, k), np.stack(sums), np.stack(counts))

    def _encode(self, labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give all classes, and the labels as positions in them, in as few bytes as they need."""
        # A slice at a time, since sorting labels takes many times what they do.
        parts = [_small(*np.unique(labels[rows], return_inverse=True)) for rows in _slices(labels)]
        found = np.unique(np.concatenate([some for some, _ in parts]))
        classes = self._union(found)
        positions = encode_labels(found, classes)[1].astype(np.min_scalar_type(len(classes)))
        codes = np.concatenate(
            [positions[np.searchsorted(found, some)][part] for some, part in parts]
        )
        return classes, codes

    def _places(self, classes: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
        """Deal the samples of each class out to the blocks in turn: block × n_classes + code."""
        if self._n == 1:
            return codes
        k = len(classes)
        seen = np.zeros(k, dtype=np.int64)
        seen[self._kept(classes)] = self._seen
        places = np.empty(len(codes), dtype=np.min_scalar_type(self._n * k))
        for rows in _slices(codes):
            turn, sizes = ranks(codes[rows], k)
            places[rows] = (turn + seen[codes[rows]]) % self._n * k + codes[rows]
            seen += sizes
        return places

    def _kept(self, classes: NDArray[Any]) -> NDArray[np.int64]:
        """Say where the classes seen so far stand among all; a model's own need no order."""
        if np.array_equal(classes, self.classes):
            return np.arange(len(classes))
        return np.searchsorted(classes, self.classes).astype(np.int64)

    def _take(
        self,
        classes: NDArray[Any],
        seen: NDArray[np.int64],
        sums: NDArray[np.float64],
        counts: NDArray[Any],
    ) -> None:
        """Take over what was added; until here nothing has changed."""
        sums = sums.reshape(self._n, len(classes), -1)
        counts = counts.reshape(self._n, len(classes))
        if len(self.classes):
            places = self._kept(classes)
            sums[:, places] += self.block_sums
            counts[:, places] += self.block_counts
            seen[places] += self._seen
        self.classes, self._seen = classes, seen
        self.block_sums, self.block_counts = sums, counts

    def _check_size(self, classes: NDArray[Any]) -> None:
        # Sums as they grow and as they are kept; then contrasts and both means.
        values = len(classes) * math.prod(self._shape)
        estimate = values * 8 * (2 * self._n + 6)
        logger.info("Contrasts will take about %.1f MB.", estimate / 2**20)
        if estimate > self.max_bytes:
            raise ParameterError(
                f"{len(classes)} contrasts of shape {self._shape} need about {estimate:,} bytes, "
                f"more than `max_bytes` ({self.max_bytes:,}). "
                f"{'Use n_blocks=0, or raise' if self.n_blocks else 'Raise'} it."
            )

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


def _slices(codes: NDArray[Any]) -> Iterator[slice]:
    """Cut so that what each sample takes on the way is held for few of them."""
    return (slice(first, first + LOOKED_UP) for first in range(0, len(codes), LOOKED_UP))


def _small(found: NDArray[Any], codes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return found, codes.astype(np.min_scalar_type(len(found)))


def _count(codes: NDArray[Any], n_codes: int) -> NDArray[np.int64]:
    """Count each code."""
    counts = np.zeros(n_codes, dtype=np.int64)
    for rows in _slices(codes):
        counts += np.bincount(codes[rows], minlength=n_codes)
    return counts
