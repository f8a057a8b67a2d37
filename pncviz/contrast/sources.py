"""Where samples come from: arrays, memory-mapped files and dask arrays, none held whole."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.contrast.lazy import is_lazy, plain_block
from pncviz.data import check_samples
from pncviz.exceptions import DataError, DataTypeError

__all__ = ["checked_source", "pieces"]

#: Rows of a memory-mapped array that are read at a time, at least.
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

    Raises
    ------
    DataError
        A dask array of unknown shape, or of Python objects; and see
        :func:`~pncviz.data.check_samples`.
    DataTypeError
        A dask collection that is no array.
    """
    if isinstance(X, xr.DataArray):  # around an array or a dask array
        X = X.data
    if is_lazy(X):
        _check_lazy(X)
        like = np.zeros((1, *X.shape[1:]), dtype=X.dtype) if len(X) else np.zeros(X.shape)
        check_samples(like, estimator=estimator, reset=reset)
        return X
    checked = check_samples(X, estimator=estimator, reset=reset, finite=False)
    return X if isinstance(X, np.memmap) else checked


def _check_lazy(X: Any) -> None:
    """Refuse what could only be checked by computing it."""
    import dask.array as da

    if not isinstance(X, da.Array):
        raise DataTypeError(
            f"X is a dask {type(X).__name__}, not a dask array; make it one first, such as a "
            "dataframe with X.to_dask_array(lengths=True)."
        )
    if any(math.isnan(side) for side in X.shape):
        raise DataError(
            f"X is a dask array of unknown shape {X.shape}; call X.compute_chunk_sizes() first."
        )
    if X.dtype.kind == "O":
        raise DataError(
            "X is a dask array of Python objects; convert it first, such as with X.astype(float)."
        )


def pieces(X: Any) -> Iterator[NDArray[Any]]:
    """Give X piece by piece: as dask cut it, and memory-mapped files without keeping them.

    Parameters
    ----------
    X : ndarray, memory-mapped or dask array of shape (n_samples, ...)

    Yields
    ------
    ndarray of shape (n_rows, ...)
        An array in memory comes whole; a dask array's block is computed when its turn comes.

    Examples
    --------
    >>> [len(piece) for piece in pieces(np.zeros((5, 2)))]
    [5]
    """
    if is_lazy(X):
        ends = np.cumsum(X.chunks[0])
        for first, last in zip([0, *ends[:-1]], ends, strict=True):
            if last > first:
                yield plain_block(X[first:last].compute())
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
