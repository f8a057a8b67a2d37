"""From samples to class sums: one pass, in float64, without holding X."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array
from sklearn.utils import assert_all_finite

from pncviz.data import check_samples, refuse_overflow

__all__ = ["checked_source", "class_sums"]

#: Rows per product: float32 sums of so few terms keep seven digits, and float64 takes them over.
_ROWS = 512
#: Bytes of a memory-mapped array that may stay resident behind the pass.
_RESIDENT = 2**26


def checked_source(X: Any, *, estimator: Any = None, reset: bool = True) -> Any:
    """Check X by type and shape; its values are seen when they are added up.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        A dask or memory-mapped array is given back as it is, so that it is never held whole.
    estimator : estimator, optional
    reset : bool, default=True
        As for :func:`~pncviz.data.check_samples`.
    """
    if hasattr(X, "__dask_graph__"):
        like = np.zeros((1, *X.shape[1:]), dtype=X.dtype) if len(X) else np.zeros(X.shape)
        check_samples(like, estimator=estimator, reset=reset)
        return X
    checked = check_samples(X, estimator=estimator, reset=reset, finite=False)
    return X if isinstance(X, np.memmap) else checked


def class_sums(X: Any, weights: NDArray[Any], n_classes: int) -> NDArray[np.float64]:
    """Add up the samples of each class, in one pass and in float64.

    Parameters
    ----------
    X : ndarray, memory-mapped or dask array of shape (n_samples, *shape)
    weights : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Class codes, or how much of each sample belongs to each class.
    n_classes : int

    Returns
    -------
    ndarray of shape (n_classes, prod(shape))

    Raises
    ------
    ValueError
        X contains NaN or infinity.

    Examples
    --------
    >>> class_sums(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([0, 1, 0]), 2)
    array([[6., 8.],
           [3., 4.]])
    """
    sums = np.zeros((n_classes, math.prod(X.shape[1:])))
    place = 0
    for chunk in _chunks(X):
        part = weights[place : place + len(chunk)]
        place += len(chunk)
        if chunk.dtype.kind == "f" and chunk.dtype.itemsize > 4:
            refuse_overflow(chunk)
        with np.errstate(over="ignore", invalid="ignore"):
            found = _chunk_sums(chunk, part, n_classes, np.float32)
        if not np.isfinite(found).all():
            # NaN and infinity reach every sum they could; but large finite values may, too.
            with np.errstate(over="ignore", invalid="ignore"):
                assert_all_finite(chunk, input_name="X")
            found = _chunk_sums(chunk, part, n_classes, np.float64)
        sums += found
    return sums


def _chunk_sums(
    chunk: NDArray[Any], weights: NDArray[Any], n_classes: int, smallest: type[np.floating[Any]]
) -> NDArray[np.float64]:
    flat = chunk.reshape(len(chunk), -1)
    # float32 holds sums of small integers and keeps what float32 data have; not larger integers.
    wide = flat.dtype.itemsize > 4 or (flat.dtype.kind in "iu" and flat.dtype.itemsize == 4)
    dtype = np.result_type(smallest, np.float64 if wide else smallest)
    sums = np.zeros((n_classes, flat.shape[1]))
    for first in range(0, len(flat), _ROWS):
        rows = flat[first : first + _ROWS].astype(dtype, copy=False)
        part = weights[first : first + _ROWS]
        if weights.ndim == 1:
            # One addition per value, where a dense product would take n_classes.
            ones, ends = np.ones(len(part), dtype=dtype), np.arange(len(part) + 1)
            sums += csc_array((ones, part, ends), shape=(n_classes, len(part))) @ rows
        else:
            sums += part.T.astype(dtype) @ rows
    return sums


def _chunks(X: Any) -> Iterator[NDArray[Any]]:
    """Give X piece by piece: as dask cut it, and memory-mapped files without keeping them."""
    if hasattr(X, "__dask_graph__"):
        ends = np.cumsum(X.chunks[0])
        for first, last in zip([0, *ends[:-1]], ends, strict=True):
            yield np.asarray(X[first:last])
        return
    mapped = getattr(X, "_mmap", None)
    if mapped is None or getattr(X, "mode", "c") not in ("r", "r+"):
        yield X
        return
    rows = max(_ROWS, _RESIDENT // max(1, X[:1].nbytes))
    for first in range(0, len(X), rows):
        yield np.asarray(X[first : first + rows])
        if hasattr(mapped, "madvise"):
            # The pages are clean or the file's own; private ones (mode "c") never come here.
            mapped.madvise(mmap.MADV_DONTNEED)
