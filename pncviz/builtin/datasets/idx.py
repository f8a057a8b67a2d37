"""IDX, the format of MNIST: two zeros, a dtype code, a rank, big-endian dimensions, the values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.builtin.datasets.arrays import Part, as_dataset, as_labels, as_samples, check_size
from pncviz.builtin.datasets.bounded import (
    GZIP_MAGIC,
    MAX_BYTES,
    Readable,
    check_folder,
    check_max_bytes,
    fault,
    open_content,
    read_up_to,
)
from pncviz.specs import Dataset

__all__ = ["DTYPES", "as_images", "idx", "parse_idx", "read_idx"]

#: Code in the third byte -> dtype in the file.
DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

#: The word for each in file names such as ``train-images-idx3-ubyte``.
WORDS = ("ubyte", "byte", "short", "int", "float", "double")


def parse_idx(stream: Readable, path: Path | str, *, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """Read an array from a stream of uncompressed IDX.

    The declared size is checked before anything is allocated, and no more than that is read.

    Parameters
    ----------
    stream : Readable
    path : path-like
        For errors.
    max_bytes : int
        The most bytes that the array may take, in float32.

    Returns
    -------
    ndarray
        In the machine's own byte order.

    Raises
    ------
    DatasetError
        Wrong magic number, unknown dtype code, short header, absurd dimensions, short or long
        payload, gzip within gzip.

    Examples
    --------
    >>> import io
    >>> parse_idx(io.BytesIO(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])), "labels")
    array([7, 9], dtype=uint8)
    """
    magic = bytes(read_up_to(stream, 4))
    _check_magic(magic, path)
    header = bytes(read_up_to(stream, 4 * magic[3]))
    if len(header) < 4 * magic[3]:
        got = f"{4 + len(header)} bytes"
        raise fault("short header", path, expected=f"{4 + 4 * magic[3]} bytes", got=got)
    shape = tuple(np.frombuffer(header, dtype=">u4").tolist())
    dtype = np.dtype(DTYPES[magic[2]])
    size = check_size(shape, dtype.itemsize, path, max_bytes=max_bytes)
    payload = read_up_to(stream, size)
    if len(payload) < size:
        raise fault("short payload", path, expected=f"{size} bytes for {shape}", got=len(payload))
    if stream.read(1):
        raise fault("long payload", path, expected=f"{size} bytes for {shape}", got="more")
    return np.frombuffer(payload, dtype=dtype).astype(dtype.newbyteorder("=")).reshape(shape)


def _check_magic(magic: bytes, path: Path | str) -> None:
    if magic[:2] == GZIP_MAGIC:
        got = "gzip within gzip; decompress it once"
        raise fault("double gzip", path, expected="IDX within gzip", got=got)
    if len(magic) < 4:
        raise fault("short header", path, expected="4 bytes or more", got=f"{len(magic)} bytes")
    if magic[:2] != b"\0\0" or magic[3] == 0:
        expected = "two zeros, a dtype code, a rank of at least 1"
        raise fault("wrong magic number", path, expected=expected, got=f"0x{magic.hex()}")
    if magic[2] not in DTYPES:
        expected = "one of " + ", ".join(f"0x{code:02x}" for code in DTYPES)
        raise fault("unknown dtype code", path, expected=expected, got=f"0x{magic[2]:02x}")


def read_idx(path: Path, *, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """Read an IDX file, gzipped or not.

    Parameters
    ----------
    path : pathlib.Path
    max_bytes : int
        The most bytes that the array may take, in float32.

    Returns
    -------
    ndarray

    Raises
    ------
    DatasetError
        As :func:`parse_idx`, and for a file that cannot be read or a damaged gzip stream.
    """
    with open_content(path) as stream:
        return parse_idx(stream, path, max_bytes=max_bytes)


def as_images(raw: NDArray[Any], path: Path | str) -> NDArray[np.float32]:
    """Make image samples of a rank-3 or rank-4 array.

    Parameters
    ----------
    raw : ndarray of shape (n, rows, columns) or (n, channels, rows, columns)
    path : path-like
        For errors.

    Returns
    -------
    ndarray of shape (n, channels, rows, columns)
        float32; 0..1 if ``raw`` is uint8, else unscaled.

    Raises
    ------
    DatasetError
        If the rank is another, or a value is not finite.

    Examples
    --------
    >>> as_images(np.full((2, 3, 3), 255, np.uint8), "here").shape
    (2, 1, 3, 3)
    """
    if raw.ndim not in (3, 4):
        expected = "(n, rows, columns) or (n, channels, rows, columns)"
        raise fault("not images", path, expected=expected, got=f"shape {raw.shape}")
    return as_samples(raw if raw.ndim == 4 else raw[:, None], path)


def idx(*, folder: str | Path, max_bytes: int = MAX_BYTES) -> Dataset:
    """Load any folder of IDX files that is laid out like MNIST's.

    Files are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and, if there is a test
    part, ``t10k-images-…`` and ``t10k-labels-…``; each may end in ``.gz`` (where both lie there,
    the uncompressed one is read), and other ranks and words (``idx4-float``) are found as well.
    What a file holds is decided by its header, not by its name. Without a test part ``X_test``
    and ``y_test`` are empty: no split is made behind your back.

    Parameters
    ----------
    folder : path-like
    max_bytes : int
        The most bytes that one file's array may take, in float32.

    Returns
    -------
    Dataset
        X of shape (n, channels, rows, columns): ubyte pixels divided by 255, others unscaled.
        Labels are int64, class names their digits.

    Raises
    ------
    DatasetError
        A missing, damaged or lying file; counts or shapes that differ between files.
    ParameterError
        If ``max_bytes`` is not a positive integer.

    Examples
    --------
    >>> idx(folder="/no/such/folder")
    Traceback (most recent call last):
    ...
    pncviz.exceptions.DatasetError: /no/such/folder: no such folder. Expected a folder, got nothing.
    """
    check_max_bytes(max_bytes)
    path = check_folder(folder)
    train = _read_part(path, "train", max_bytes)
    if train is None:
        expected = "train-images-idx3-ubyte and train-labels-idx1-ubyte, with or without .gz"
        got = sorted(file.name for file in path.iterdir())[:10] or "an empty folder"
        raise fault("no training images and labels", path, expected=expected, got=got)
    return as_dataset(train, _read_part(path, "t10k", max_bytes), path)


def _read_part(folder: Path, part: str, max_bytes: int) -> Part | None:
    images, labels = _find(folder, f"{part}-images"), _find(folder, f"{part}-labels")
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        got = (images or labels or folder).name
        raise fault(f"half of {part}", folder, expected="images and labels", got=f"only {got}")
    X = as_images(read_idx(images, max_bytes=max_bytes), images)
    y = as_labels(read_idx(labels, max_bytes=max_bytes), labels)
    if len(X) != len(y):
        got = f"{len(y)} labels in {labels.name}"
        raise fault("counts differ", images, expected=f"{len(X)} labels, one per image", got=got)
    return X, y


def _find(folder: Path, stem: str) -> Path | None:
    """Find the one file of that stem, whatever its rank and word, uncompressed before gzipped."""
    names = [f"{stem}-idx{rank}-{word}" for rank in range(1, 5) for word in WORDS]
    found = [
        path
        for name in names
        for path in (folder / name, folder / f"{name}.gz")
        if path.exists() or path.is_symlink()
    ]
    if len({path.name.removesuffix(".gz") for path in found}) > 1:
        got = ", ".join(path.name for path in found)
        raise fault(f"more than one file of {stem}", folder, expected="one", got=got)
    return found[0] if found else None
