"""Results as files: written whole or not at all, and believed only after a check."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pncviz.dataset.atomic import check_folder, interrupts_deferred, replacing, sweep
from pncviz.dataset.content import SUM, content_sha256, plain_dataset
from pncviz.dataset.schema import validate
from pncviz.dataset.seal import seal
from pncviz.dataset.untrusted import inspect
from pncviz.exceptions import ParameterError, ResultError

__all__ = ["check_writable", "load", "save"]

# The netCDF library is not thread-safe, and xarray's locks leave gaps: two threads that save at
# once end the whole process with a segmentation fault.
_ONE_AT_A_TIME = threading.Lock()


def _target(path: str | os.PathLike[str]) -> Path:
    """Check the suffix."""
    target = Path(path)
    if target.suffix != ".nc":
        raise ParameterError(
            f"`path` must end in .nc, since results are NetCDF files; got {str(target)!r}."
        )
    return target


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise unless :func:`save` could write there; ask before hours of computing.

    Parameters
    ----------
    path : path-like
        The target, which ends in ``.nc``.

    Raises
    ------
    ResultError
        If ``path`` is a folder, or its folder is missing or cannot be written to.
    ParameterError
        If ``path`` does not end in ``.nc``.

    Examples
    --------
    >>> from pncviz.dataset import check_writable
    >>> check_writable("/no/such/folder/patterns.nc")
    Traceback (most recent call last):
        ...
    pncviz.exceptions.ResultError: /no/such/folder/patterns.nc cannot be written: there is no \
folder /no/such/folder within reach; create it first.
    """
    check_folder(Path(os.path.realpath(_target(path))))


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    """How one variable is kept."""
    if variable.dtype.kind == "U":
        # Variable-length strings would lie in a heap that no checksum covers.
        return {"dtype": "S1"}
    return {"zlib": True, "fletcher32": True, "_FillValue": None}


def save(ds: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a result to a NetCDF-4 file: afterwards there is the new one, whole, or the old one.

    The file is written beside the target, read back and compared, and then renamed over it.
    Ctrl-C waits until that is done. What killed processes left in the folder is removed first.

    Parameters
    ----------
    ds : xarray.Dataset
        Patterns, contrasts or similarities; not changed.
    path : path-like
        Ends in ``.nc``.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ResultError
        If ``ds`` breaks the schema, or the file cannot be written (then the old one stays).
    ParameterError
        If ``path`` does not end in ``.nc``.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pncviz.dataset import build_contrasts, common_attrs, load, save
    >>> means = dict.fromkeys(["contrast", "positive_mean", "negative_mean"], np.zeros((2, 3)))
    >>> contrasts = build_contrasts(
    ...     **means, n_positive=[4, 6], n_negative=[6, 4], labels=[0, 1], image_shape=(3,),
    ...     attrs=common_attrs("contrasts", parameters={}),
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load(save(contrasts, folder + "/contrasts.nc")).identical(contrasts)
    True
    """
    target = _target(path)
    validate(ds)
    check_writable(target)
    sweep(Path(os.path.realpath(target)).parent)
    plain = plain_dataset(ds)
    plain.attrs[SUM] = content_sha256(plain)
    with interrupts_deferred(), _ONE_AT_A_TIME:
        try:
            with replacing(target) as temporary:
                _write(plain, temporary)
                seal(temporary)
                if content_sha256(_read(temporary)) != plain.attrs[SUM]:
                    raise ResultError("what was read back is not what was written")
        except Exception as error:  # netCDF4 raises OSError, RuntimeError, … for a full disk
            raise ResultError(
                f"{target} could not be saved, and is as it was before: {_why(error)}"
            ) from error
    return target


def _why(error: BaseException) -> str:
    """Give an error as text, also if it has none of its own."""
    return str(error) or type(error).__name__


def _write(ds: xr.Dataset, path: Path) -> None:
    """Write with netCDF4."""
    encoding = {name: _encoding(variable) for name, variable in ds.variables.items()}
    ds.to_netcdf(path, format="NETCDF4", engine="netcdf4", encoding=encoding)


def _read(path: Path) -> xr.Dataset:
    """Read everything with netCDF4, decode strings and bool, and close; without the sum."""
    # Times, scales and fill values are decoded only if a file says so, and ours never do.
    with xr.open_dataset(
        path,
        engine="netcdf4",
        decode_times=False,
        decode_timedelta=False,
        mask_and_scale=False,
        cache=False,
    ) as file:
        return plain_dataset(file.load())


def load(path: str | os.PathLike[str], *, max_bytes: int = 8 * 2**30) -> xr.Dataset:
    """Read a result into memory, after making sure that it is one and is whole.

    Parameters
    ----------
    path : path-like
        A file that :func:`save` wrote, here or elsewhere. It may come from a stranger: links,
        external storage and the like are refused before any data are read.
    max_bytes : int
        The most that the variables together may take in memory.

    Returns
    -------
    xarray.Dataset
        Identical to what was saved. The file is closed.

    Raises
    ------
    ResultError
        If there is no such file, or it is not a pncviz result, is damaged, was made by a newer
        pncviz, is larger than ``max_bytes``, or holds what no result holds.
    ParameterError
        If ``max_bytes`` is not a positive integer.

    Examples
    --------
    >>> from pncviz.dataset import load
    >>> load("nowhere.nc")
    Traceback (most recent call last):
        ...
    pncviz.exceptions.ResultError: nowhere.nc: no such file.
    """
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int | np.integer) or max_bytes < 1:
        raise ParameterError(f"`max_bytes` must be a positive integer, got {max_bytes!r}.")
    source = Path(path)
    try:
        # A Ctrl-C inside netCDF4 can leave its lock held for ever.
        with interrupts_deferred(), _ONE_AT_A_TIME:
            inspect(source, int(max_bytes))
            return _verified(source)
    except ResultError as error:
        raise ResultError(f"{source}: {error}") from error
    except Exception as error:  # h5py, netCDF4, xarray: whatever damage makes them raise
        raise ResultError(f"{source}: damaged or not a pncviz result ({_why(error)}).") from error


def _verified(path: Path) -> xr.Dataset:
    """Read, check the sum, check the schema."""
    with xr.open_dataset(path, engine="netcdf4", decode_cf=False, cache=False) as file:
        wanted = file.attrs.get(SUM)
    if not isinstance(wanted, str):
        raise ResultError(f"attribute `{SUM}` is missing, so it cannot be known to be whole.")
    ds = _read(path)
    if content_sha256(ds) != wanted:
        raise ResultError(f"damaged or changed: `{SUM}` does not fit what it holds.")
    return validate(ds)
