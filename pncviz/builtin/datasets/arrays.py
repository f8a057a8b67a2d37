"""Raw arrays to the samples and labels of a Dataset: float32, in 0..1 for images, finite."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.builtin.datasets.bounded import fault
from pncviz.specs import Dataset

__all__ = ["as_dataset", "as_labels", "as_samples", "check_size", "empty_like_part"]

Part = tuple[NDArray[np.float32], NDArray[Any]]


def check_size(
    shape: Sequence[int], itemsize: int, path: Path | str, *, max_bytes: int, name: str = "data"
) -> int:
    """Check a declared shape before anything is allocated.

    Parameters
    ----------
    shape : sequence of int
        As the header says it.
    itemsize : int
        Bytes per element in the file; elements count at least 4 bytes, since they become float32.
    path : path-like
    max_bytes : int
        The most bytes that the array may take.
    name : str
        What the array is called in the error.

    Returns
    -------
    int
        Bytes to read.

    Raises
    ------
    DatasetError
        If a dimension is not positive, or the array would be larger than ``max_bytes``.

    Examples
    --------
    >>> check_size((60000, 28, 28), 1, "train", max_bytes=2**30)
    47040000
    """
    if any(dimension < 1 for dimension in shape):
        raise fault(
            f"{name} with an empty dimension",
            path,
            expected="positive dimensions",
            got=tuple(shape),
        )
    count = math.prod(shape)  # Python integers: no overflow, however absurd the header
    need = count * max(itemsize, 4)
    if need > max_bytes:
        expected = f"at most max_bytes={max_bytes} bytes"
        raise fault(f"{name} too large", path, expected=expected, got=f"{need} for {tuple(shape)}")
    return count * itemsize


def as_samples(
    raw: NDArray[Any], path: Path | str, *, images: bool = True, name: str = "X"
) -> NDArray[np.float32]:
    """Make float32 samples: uint8 images divided by 255, everything else unscaled.

    Parameters
    ----------
    raw : ndarray
        Of any real dtype and byte order.
    path : path-like
        Where it came from.
    images : bool
        Whether uint8 means 0..255.
    name : str
        What the array is called in the error.

    Returns
    -------
    ndarray of float32
        Of the shape of ``raw``; dimensionless.

    Raises
    ------
    DatasetError
        If a value is NaN or infinite, or too large for float32.

    Examples
    --------
    >>> as_samples(np.array([[0, 51, 255]], dtype=np.uint8), "pixels")
    array([[0. , 0.2, 1. ]], dtype=float32)
    """
    if images and raw.dtype == np.uint8:
        scaled: NDArray[np.float32] = np.divide(raw, np.float32(255), dtype=np.float32)
        return scaled
    with np.errstate(over="ignore"):  # an overflow is found, and named, just below
        samples = np.ascontiguousarray(raw, dtype=np.float32)
    finite = np.isfinite(samples)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        got = f"{raw[where]!s} ({raw.dtype}) at {where}"
        raise fault(f"{name} holds values that float32 cannot", path, expected="finite", got=got)
    return samples


def as_labels(raw: NDArray[Any], path: Path | str, *, name: str = "y") -> NDArray[Any]:
    """Make labels: int64 or str, one-dimensional.

    Parameters
    ----------
    raw : ndarray
    path : path-like
        Where it came from.
    name : str
        What the array is called in the error.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    DatasetError
        If it has more dimensions (one-hot), or is neither integer nor str.

    Examples
    --------
    >>> as_labels(np.array([3, 1], dtype=">u2"), "labels")
    array([3, 1])
    """
    if raw.ndim != 1:
        expected = "one label per sample, 1-D (argmax turns one-hot into labels)"
        raise fault(f"{name} is not 1-D", path, expected=expected, got=f"shape {raw.shape}")
    if raw.dtype.kind == "U":
        return _as_text(raw, path, name)
    if raw.dtype.kind not in "iu":
        raise fault(
            f"{name} has no labels", path, expected="integers or str", got=f"dtype {raw.dtype}"
        )
    if raw.size and int(raw.max()) > np.iinfo(np.int64).max:
        raise fault(f"{name} too large", path, expected="labels within int64", got=raw.max())
    return raw.astype(np.int64)


def _as_text(raw: NDArray[Any], path: Path | str, name: str) -> NDArray[Any]:
    # UCS-4 from a file may hold numbers that are no characters; touching one is a SystemError
    codes = np.ascontiguousarray(raw, dtype=raw.dtype.newbyteorder("=")).view(np.uint32)
    if codes.size and int(codes.max()) > sys.maxunicode:
        raise fault(f"{name} is no text", path, expected="Unicode", got=hex(int(codes.max())))
    return np.array(raw.tolist(), dtype=np.str_)


def empty_like_part(samples: NDArray[np.float32], labels: NDArray[Any]) -> Part:
    """Make the test part of data that has none: no rows, the right trailing shape and dtypes.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, ...)
    labels : ndarray of shape (n_samples,)

    Returns
    -------
    tuple of ndarray
        Shapes (0, ...) and (0,).

    Examples
    --------
    >>> empty_like_part(np.ones((3, 1, 2, 2), np.float32), np.arange(3))[0].shape
    (0, 1, 2, 2)
    """
    return samples[:0].copy(), labels[:0].copy()


def as_dataset(
    train: Part, test: Part | None, path: Path | str, *, class_names: Sequence[str] | None = None
) -> Dataset:
    """Put parts together, after checking that they fit one another.

    Parameters
    ----------
    train : tuple of ndarray
        Samples (n_samples, n_features) or (n_samples, channels, rows, columns), labels.
    test : tuple of ndarray or None
        Likewise; None gives empty arrays.
    path : path-like
        Where they came from.
    class_names : sequence of str, optional
        By default the labels themselves.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetError
        If counts, shapes, kinds of label, classes or the number of names differ.

    Examples
    --------
    >>> X = np.zeros((2, 1, 6, 6), np.float32)
    >>> as_dataset((X, np.array([5, 7])), None, "made here").class_names
    ('5', '7')
    """
    X, y = train
    X_test, y_test = empty_like_part(X, y) if test is None else test
    for part, samples, labels in (("train", X, y), ("test", X_test, y_test)):
        if len(samples) != len(labels):
            got = f"{len(samples)} samples and {len(labels)} labels"
            raise fault(f"{part} counts differ", path, expected="a label per sample", got=got)
    if X_test.shape[1:] != X.shape[1:]:
        raise fault("shapes differ", path, expected=f"test {X.shape[1:]}", got=X_test.shape[1:])
    classes = np.unique(y)
    if y.dtype.kind != y_test.dtype.kind:
        raise fault("labels differ", path, expected=f"{y.dtype} in test", got=y_test.dtype)
    strange = np.setdiff1d(y_test, classes).tolist()
    if strange:
        raise fault("test has labels that train lacks", path, expected="none", got=strange[:10])
    names = tuple(map(str, classes.tolist() if class_names is None else class_names))
    if len(names) != len(classes):
        raise fault("class names", path, expected=f"{len(classes)}, one a class", got=len(names))
    shape = X.shape[1:] if X.ndim == 4 else None
    return Dataset(X=X, y=y, X_test=X_test, y_test=y_test, class_names=names, image_shape=shape)
