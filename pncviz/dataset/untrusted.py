"""What is refused in a result file before any of its data are read.

A file from a stranger may point to other files of this machine, or declare terabytes. h5py shows
the declarations without following them.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pncviz.dataset.attributes import KINDS
from pncviz.dataset.schema import check_version
from pncviz.dataset.seal import check_seal
from pncviz.exceptions import ResultError

__all__ = ["inspect"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Names, attributes and the like, which no variable declares.
_OVERHEAD = 2**24
# deflate, shuffle, fletcher32: whatever else would load a filter plugin of this machine.
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}


def inspect(path: Path, max_bytes: int) -> None:
    """Raise unless a file declares only what a saved result can have.

    Parameters
    ----------
    path : Path
    max_bytes : int
        The most that all variables together may take in memory.

    Raises
    ------
    ResultError
        If there is no such file, it is no NetCDF-4 file of pncviz or of a newer one, it has
        links, groups, external or virtual storage, foreign filters or types, or is too large.
    OSError, KeyError, RuntimeError, ValueError
        From h5py, if the file is damaged.

    Examples
    --------
    >>> inspect(Path("nowhere.nc"), 10)
    Traceback (most recent call last):
        ...
    pncviz.exceptions.ResultError: no such file.
    """
    _check_file(path, max_bytes)
    check_seal(path)
    with h5py.File(path, "r") as file:
        _check_ours(file)
        declared = 0
        for name in file:
            link = file.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                target = getattr(link, "filename", "") or getattr(link, "path", "")
                raise ResultError(f"`{name}` is a link ({type(link).__name__} to {target!r}).")
            if file.get(name, getclass=True) is not h5py.Dataset:
                raise ResultError(f"`{name}` is a group or a type; results have neither.")
            declared += _declared(file[name], name)
            if declared > max_bytes:
                raise ResultError(
                    f"its variables up to `{name}` take {declared} bytes, more than `max_bytes` "
                    f"({max_bytes}); raise it if you trust the file."
                )


def _check_file(path: Path, max_bytes: int) -> None:
    """Check that the path is a plain file, of bounded size, that begins as NetCDF-4 files do."""
    try:
        # Without O_NONBLOCK, a named pipe would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise ResultError("no such file.") from error
    except OSError as error:
        raise ResultError(f"cannot be opened: {error.strerror}.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ResultError("not a file.")
        if status.st_size > max_bytes + _OVERHEAD:
            raise ResultError(f"{status.st_size} bytes are more than `max_bytes` ({max_bytes}).")
        start = os.read(descriptor, len(_SIGNATURE))
    finally:
        os.close(descriptor)
    if not start:
        raise ResultError("the file is empty.")
    if start != _SIGNATURE:
        raise ResultError(f"not a NetCDF-4 file (it begins with {start!r}).")


def _check_ours(file: Any) -> None:
    """Check kind and schema version, first of all: a newer layout may break every other rule."""
    found = {}
    for key in ("schema_version", "kind"):
        value = file.attrs.get(key)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        found[key] = value
    check_version(found["schema_version"])
    if found["kind"] not in KINDS:
        raise ResultError(f"not a pncviz result (`kind` is {found['kind']!r}).")


def _declared(dataset: Any, name: str) -> int:
    """Bytes that one variable will take in memory."""
    plist = dataset.id.get_create_plist()
    layout = plist.get_layout()
    if layout == h5py.h5d.VIRTUAL:
        raise ResultError(f"`{name}` is a virtual dataset, made of other files.")
    if plist.get_external_count():
        raise ResultError(f"`{name}` is kept in external storage, another file.")
    for i in range(plist.get_nfilters()):
        code = plist.get_filter(i)[0]
        if code not in _FILTERS:
            raise ResultError(
                f"`{name}` uses filter {code}; only {list(_FILTERS.values())} may be."
            )
    dtype: np.dtype[Any] = dataset.dtype
    text = dtype == np.dtype("S1")
    if not text and (dtype.kind not in "iuf" or dtype.itemsize > 8):
        raise ResultError(f"`{name}` is of type {dtype}; results hold numbers and characters.")
    items = math.prod(dataset.shape or (0,))
    if layout == h5py.h5d.CHUNKED:
        # A chunk may be declared larger than the data, and is unpacked whole.
        items = max(items, math.prod(plist.get_chunk()))
    # Characters become four bytes each in numpy.
    return items * (4 if text else dtype.itemsize)
