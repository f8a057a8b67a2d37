"""From samples to class sums: one pass, in float64, without holding X."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array
from sklearn.utils import assert_all_finite

from pncviz.contrast.lazy import is_lazy, tree_sums
from pncviz.contrast.sources import pieces
from pncviz.data import refuse_overflow

__all__ = ["LOOKED_UP", "class_sums", "ranks"]

#: Terms per sum of floats in float32: so few keep seven digits, and float64 takes them over.
_TERMS = 32
#: Rows per product with shares, where every row is a term of every sum.
_ROWS = 512
#: Bytes that are cast or copied at a time, and that are read where they lie.
_CAST, _DIRECT = 2**23, 2**28
#: Rows that are looked up at a time, each of which takes some thirty bytes.
LOOKED_UP = 2**18
#: Bytes that stay in the processor's cache while they are looked at twice.
_CACHED = 2**21
#: Sums larger than this are larger than most blocks, which then had better move themselves.
_LARGE = 2**25


def class_sums(X: Any, weights: NDArray[Any], n_classes: int) -> NDArray[np.float64]:
    """Add up the samples of each class, in one pass and in float64.

    Parameters
    ----------
    X : ndarray, memory-mapped or dask array of shape (n_samples, *shape)
        A dask array's blocks are added up where they lie, all in one ``compute()``.
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
    if is_lazy(X) and sums.nbytes <= _LARGE:
        return tree_sums(X, weights, n_classes, class_sums)
    place = 0
    for chunk in pieces(X):
        # float32 holds sums of small integers and keeps what float32 data have; not larger ones.
        wide = chunk.dtype.itemsize > 4 or (chunk.dtype.kind in "iu" and chunk.dtype.itemsize == 4)
        part = weights[place : place + len(chunk)]
        _add(sums, chunk, part, np.float64 if wide else np.float32)
        place += len(chunk)
    return sums


def ranks(codes: NDArray[Any], n_codes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count how often each code came before, and in all.

    Returns
    -------
    rank : ndarray of shape (n_samples,)
    sizes : ndarray of shape (n_codes,)

    Examples
    --------
    >>> rank, sizes = ranks(np.array([1, 0, 1, 1]), 3)
    >>> rank.tolist(), sizes.tolist()
    ([0, 0, 1, 2], [1, 3, 0])
    """
    # scipy turns columns into rows by counting, which is faster than any sort.
    rows = _members(codes, n_codes, np.int8).tocsr()
    sizes = np.diff(rows.indptr)
    rank = np.empty(len(codes), dtype=np.int64)
    rank[rows.indices] = np.arange(len(codes)) - np.repeat(rows.indptr[:-1], sizes)
    return rank, sizes.astype(np.int64)


def _members(codes: NDArray[Any], n_codes: int, dtype: Any) -> csc_array:
    """Give ones at (code, sample): its product with samples takes one addition per value."""
    ones, ends = np.ones(len(codes), dtype=dtype), np.arange(len(codes) + 1)
    return csc_array((ones, codes, ends), shape=(n_codes, len(codes)))


def _add(
    sums: NDArray[np.float64],
    chunk: NDArray[Any],
    weights: NDArray[Any],
    dtype: type[np.floating[Any]],
) -> None:
    """Add a chunk to the sums, piece by piece; ``dtype`` is that of the first few additions."""
    step = _ROWS if weights.ndim == 2 else _rows_per_piece(chunk, dtype, sums.nbytes)
    for first in range(0, len(chunk), step):
        rows, part = chunk[first : first + step], weights[first : first + step]
        _refuse_overflow(rows)
        with np.errstate(over="ignore", invalid="ignore"):
            parts, codes = _parts(rows, part, len(sums), dtype)
            if not np.isfinite(parts).all():
                # NaN and infinity reach every sum they could; but large finite values may, too.
                assert_all_finite(rows, input_name="X")
                if dtype is np.float32:
                    _add(sums, rows, part, np.float64)
                    continue
        _take_over(sums, parts, codes)


def _rows_per_piece(chunk: NDArray[Any], dtype: type[np.floating[Any]], of_sums: int) -> int:
    """Keep copies small, but no piece much smaller than the sums that it is added to."""
    direct = chunk.dtype == dtype and chunk.flags.c_contiguous
    most = max(_DIRECT, 8 * of_sums) if direct else max(_CAST, of_sums)
    rows = most // max(1, math.prod(chunk.shape[1:]) * np.dtype(dtype).itemsize)
    return min(max(1, rows), LOOKED_UP)


def _refuse_overflow(rows: NDArray[Any]) -> None:
    if rows.dtype.kind == "f" and rows.dtype.itemsize > 4:
        step = max(1, _CACHED // rows[:1].nbytes)
        for first in range(0, len(rows), step):
            refuse_overflow(rows[first : first + step])


def _parts(
    rows: NDArray[Any], weights: NDArray[Any], n_classes: int, dtype: type[np.floating[Any]]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """Give sums of few terms each, and the class of each sum, in order."""
    flat = rows.reshape(len(rows), -1).astype(dtype, order="C", copy=False)
    if weights.ndim == 2:
        return weights.T.astype(dtype) @ flat, np.arange(n_classes)
    terms = _terms(rows.dtype, dtype)
    if len(rows) <= terms:
        return _members(weights, n_classes, dtype) @ flat, np.arange(n_classes)
    rank, sizes = ranks(weights, n_classes)
    n_parts = -(-sizes // terms)
    codes = (np.cumsum(n_parts) - n_parts)[weights] + rank // terms
    return _members(codes, n_parts.sum(), dtype) @ flat, np.repeat(np.arange(n_classes), n_parts)


def _terms(given: np.dtype[Any], dtype: type[np.floating[Any]]) -> int:
    """Give how many values of one dtype may be added in another."""
    if dtype is np.float64:
        return sys.maxsize
    # The sum of so many stays below 2**24, up to which float32 has every integer.
    return _TERMS if given.kind == "f" else {1: 2**16, 2: 2**8}[given.itemsize]


def _take_over(
    sums: NDArray[np.float64], parts: NDArray[np.floating[Any]], codes: NDArray[np.int64]
) -> None:
    """Add sums of few terms to those of the classes, in float64."""
    step = max(1, _CACHED // parts[:1].nbytes)
    for first in range(0, len(parts), step):
        some, whose = parts[first : first + step], codes[first : first + step]
        mine = slice(whose[0], whose[-1] + 1)
        if (np.diff(whose) == 1).all():
            sums[mine] += some
        else:
            members = _members(whose - whose[0], mine.stop - mine.start, np.float64)
            sums[mine] += members @ some.astype(np.float64, copy=False)
