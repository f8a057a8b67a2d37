"""Class sums of dask arrays: each block is added up where it lies, and only sums travel."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import DataTypeError

__all__ = ["is_lazy", "plain_block", "tree_sums"]

#: Sums of so many blocks are added at once; all of them wait in memory for the last.
_FAN = 4

_THRESHOLD = "distributed.admin.large-graph-warning-threshold"

_Sums = Callable[[Any, NDArray[Any], int], NDArray[np.float64]]


def is_lazy(X: Any) -> bool:
    """Say whether X is a dask collection, without importing dask."""
    graph = getattr(X, "__dask_graph__", None)
    return graph is not None and graph() is not None


def tree_sums(
    X: Any, weights: NDArray[Any], n_classes: int, class_sums: _Sums
) -> NDArray[np.float64]:
    """Add up the samples of each class, block by block and then blocks in a tree.

    The tree follows from the blocks' places alone, so every scheduler gives the same bits.

    Parameters
    ----------
    X : dask array of shape (n_samples, *shape)
    weights : ndarray of shape (n_samples,) or (n_samples, n_classes)
    n_classes : int
    class_sums : callable
        What adds up one block: ``class_sums(block, weights, n_classes)``.

    Returns
    -------
    ndarray of shape (n_classes, prod(shape))

    Raises
    ------
    DataTypeError
        X has blocks that are no plain arrays.
    ValueError
        Whatever ``class_sums`` raises, wherever the block lies.

    Examples
    --------
    >>> import dask.array
    >>> from pncviz.contrast import class_sums
    >>> X = dask.array.ones((6, 2), chunks=(4, 1))
    >>> tree_sums(X, np.array([0, 1, 0, 0, 1, 0]), 2, class_sums)
    array([[4., 4.],
           [2., 2.]])
    """
    import dask.array as da

    features = tuple(range(2, X.ndim + 1))
    shares = weights.ndim == 2
    given = da.from_array(  # type: ignore[no-untyped-call] # dask is typed in part
        weights, chunks=(X.chunks[0], *[-1] * shares), name=False
    )
    parts = da.blockwise(  # type: ignore[no-untyped-call] # likewise
        _block_sums,
        (0, 1, *features),
        X,
        (0, *features),
        given,
        (0, 1) if shares else (0,),
        n_classes=n_classes,
        class_sums=class_sums,
        new_axes={} if shares else {1: n_classes},
        adjust_chunks={0: 1},
        dtype=np.float64,
        meta=np.empty((0,) * (X.ndim + 1)),
    )
    with _room_for(weights.nbytes):
        found = parts.sum(axis=0, split_every=_FAN).compute()
    return np.asarray(found, dtype=np.float64).reshape(n_classes, -1)


def _room_for(n_bytes: int) -> AbstractContextManager[Any]:
    """Let labels go with the graph: dask would warn of what is a byte or two a sample."""
    # Without a cluster nothing is sent; and distributed, imported within, would lose its settings.
    if "distributed" not in sys.modules:
        return nullcontext()
    import dask
    from dask.utils import parse_bytes

    usual = parse_bytes(dask.config.get(_THRESHOLD, "10MB"))
    return dask.config.set({_THRESHOLD: usual + 2 * n_bytes})


def _block_sums(
    block: Any, weights: NDArray[Any], *, n_classes: int, class_sums: _Sums
) -> NDArray[np.float64]:
    """Give the class sums of one block, as a block of sums."""
    # Contiguous, since a block that has travelled is so, and must give the same bits.
    samples = np.ascontiguousarray(plain_block(block))
    return class_sums(samples, weights, n_classes).reshape(1, n_classes, *samples.shape[1:])


def plain_block(block: Any) -> NDArray[Any]:
    """Give a block as an array; masked and sparse ones, and those of a GPU, are refused.

    Examples
    --------
    >>> plain_block(np.ma.masked_array([1, 2]))
    Traceback (most recent call last):
    ...
    pncviz.exceptions.DataTypeError: X is a dask array whose blocks are MaskedArray; ...
    """
    if isinstance(block, np.ma.MaskedArray) or not isinstance(block, np.ndarray):
        raise DataTypeError(
            f"X is a dask array whose blocks are {type(block).__name__}; make them NumPy arrays "
            "first, with X.map_blocks."
        )
    return np.asarray(block)
