"""A dataset in one .npz archive, read without pickle and within bounds."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.builtin.datasets.arrays import Part, as_dataset, as_labels, as_samples, check_size
from pncviz.builtin.datasets.bounded import MAX_BYTES, Readable, check_max_bytes, fault, read_up_to
from pncviz.exceptions import DatasetError
from pncviz.specs import Dataset

__all__ = ["npz"]

#: What an archive may hold.
KEYS = ("X", "y", "X_test", "y_test", "class_names")

# numpy itself refuses headers past 10 000 bytes, but only after it has read them.
HEADER_BYTES = 10_000 + 16

# What a damaged or forged zip can make zipfile raise.
ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    OverflowError,
    ValueError,
)


def npz(*, file: str | Path, max_bytes: int = MAX_BYTES) -> Dataset:
    """Load a dataset from an archive that ``numpy.savez`` or ``numpy.savez_compressed`` wrote.

    Keys: ``X`` and ``y``; optional ``X_test`` and ``y_test`` (both or neither; without them the
    test part is empty) and ``class_names``, one str for each sorted label. Other keys are refused,
    since a misspelt one would otherwise be lost silently. Nothing is ever unpickled.

    Parameters
    ----------
    file : path-like
    max_bytes : int
        The most bytes that all arrays together may take, once decompressed and in float32.

    Returns
    -------
    Dataset
        ``X`` (n, rows, columns) gets a channel axis, (n, channels, rows, columns) stays, and
        (n, n_features) is a table, whose ``image_shape`` is None. uint8 images are divided by
        255; all else is cast to float32 as it is.

    Raises
    ------
    DatasetError
        Not an archive, damaged, too large, object arrays, member names that lead out of the
        archive, links, unknown keys, values that are not finite, lengths that differ.
    ParameterError
        If ``max_bytes`` is not a positive integer.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "two.npz")
    ...     np.savez(file, X=np.eye(2).reshape(2, 1, 2), y=["cat", "dog"])
    ...     data = npz(file=file)
    >>> data.X.shape, data.class_names
    ((2, 1, 1, 2), ('cat', 'dog'))
    """
    check_max_bytes(max_bytes)
    path = Path(file)
    if not path.is_file():
        raise fault("no such file", path, expected="an .npz archive", got="nothing, or a folder")
    arrays = _read_archive(path, max_bytes)
    for key in ("X", "y"):
        if key not in arrays:
            raise fault(f"no {key}", path, expected="keys X and y", got=sorted(arrays))
    if ("X_test" in arrays) != ("y_test" in arrays):
        raise fault("half a test part", path, expected="X_test and y_test", got=sorted(arrays))
    test = _part(arrays, "_test", path) if "X_test" in arrays else None
    names = None
    if "class_names" in arrays:
        names = as_labels(arrays["class_names"], path, name="class_names").tolist()
    return as_dataset(_part(arrays, "", path), test, path, class_names=names)


def _part(arrays: dict[str, NDArray[Any]], suffix: str, path: Path) -> Part:
    raw, name = arrays[f"X{suffix}"], f"X{suffix}"
    if raw.dtype.kind not in "biuf":
        expected = "real numbers (bool, int or float)"
        raise fault(f"{name} is not numeric", path, expected=expected, got=f"dtype {raw.dtype}")
    if raw.ndim not in (2, 3, 4):
        expected = "(n, features), (n, rows, columns) or (n, channels, rows, columns)"
        raise fault(f"{name} has a strange shape", path, expected=expected, got=raw.shape)
    X = as_samples(raw[:, None] if raw.ndim == 3 else raw, path, images=raw.ndim > 2, name=name)
    return X, as_labels(arrays[f"y{suffix}"], path, name=f"y{suffix}")


def _read_archive(path: Path, max_bytes: int) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            keys = [_check_member(member, path) for member in archive.infolist()]
            if len(set(keys)) < len(keys):
                raise fault("a key twice", path, expected="each key once", got=sorted(keys))
            arrays: dict[str, NDArray[Any]] = {}
            left = max_bytes
            for key, member in zip(keys, archive.infolist(), strict=True):
                with archive.open(member) as stream:
                    arrays[key] = _read_array(stream, path, key, left)
                left -= arrays[key].size * max(arrays[key].itemsize, 4)
            return arrays
    except DatasetError:
        raise  # a ValueError too, but already in words
    except ZIP_FAULTS as error:
        raise fault("damaged archive", path, expected="an .npz (zip) archive", got=error) from error


def _check_member(member: zipfile.ZipInfo, path: Path) -> str:
    """Check a member's name, kind and compression; give its key."""
    name = member.orig_filename.replace("\\", "/")  # zipfile has cleaned .filename already
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or PureWindowsPath(name).drive:
        got = repr(member.orig_filename)
        raise fault("member leads out of the archive", path, expected="plain names", got=got)
    if (member.external_attr >> 16) & 0o170000 == 0o120000:  # S_IFMT, S_IFLNK
        raise fault("member is a link", path, expected="plain arrays", got=repr(name))
    key = name.removesuffix(".npy")
    if key not in KEYS or key == name:
        expected = "only " + ", ".join(f"{key}.npy" for key in KEYS)
        raise fault("unknown key", path, expected=expected, got=repr(name))
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile decompresses bzip2 and lzma without any bound; numpy writes neither
        got = f"type {member.compress_type} in {name!r}"
        raise fault("strange compression", path, expected="stored or deflated", got=got)
    return key


def _read_array(stream: Readable, path: Path, key: str, max_bytes: int) -> NDArray[Any]:
    """Read one .npy member: header first, then exactly what it declares."""
    start = bytes(read_up_to(stream, HEADER_BYTES))
    shape, fortran, dtype, offset = _parse_header(start, path, key)
    if dtype.hasobject:
        expected = "numbers or str; pickles are never loaded"
        raise fault(f"{key} is an object array", path, expected=expected, got=f"dtype {dtype}")
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        raise fault(f"{key} is not an array of numbers or str", path, expected="those", got=dtype)
    size = check_size(shape, dtype.itemsize, path, max_bytes=max_bytes, name=key)
    payload = bytearray(start[offset : offset + size])
    payload += read_up_to(stream, size - len(payload))
    if len(payload) < size:
        raise fault(f"{key} is cut off", path, expected=f"{size} bytes", got=len(payload))
    if len(start) > offset + size or stream.read(1):
        raise fault(f"{key} is longer than declared", path, expected=f"{size} bytes", got="more")
    array = np.frombuffer(payload, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _parse_header(
    start: bytes, path: Path, key: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    stream = io.BytesIO(start)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's remark on headers from Python 2
            shape, fortran, dtype = readers[np.lib.format.read_magic(stream)](stream)
    except Exception as error:  # numpy evaluates a stranger's literal: anything may come
        got = f"{type(error).__name__}: {error}"
        raise fault(f"{key} has a bad npy header", path, expected="a header", got=got) from error
    return shape, fortran, dtype, stream.tell()
