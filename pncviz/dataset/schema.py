"""Whether a dataset keeps the schema."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.dataset.attributes import (
    KINDS,
    SCHEMA_VERSION,
    check_attrs,
    check_kind,
    text_fault,
)
from pncviz.dataset.fields import (
    FIELDS,
    IMAGE,
    IMAGES,
    INDEXED,
    KIND_NAMES,
    LABEL_KINDS,
    OWN,
    Field,
    image_dims,
)
from pncviz.exceptions import ResultError

__all__ = ["KINDS", "SCHEMA_VERSION", "check_version", "image_dims", "plain_array", "validate"]


def plain_array(values: Any) -> NDArray[Any]:
    """Give an array whose strings are fixed-width (``U``); the same array if they are already.

    Strings with a NUL stay objects: numpy would cut them, and then no one could tell.
    """
    array = np.asarray(values)
    if array.dtype.kind in "OT" and all(isinstance(i, str) and "\0" not in i for i in array.flat):
        return array.astype(str)
    return array


def validate(ds: xr.Dataset, kind: str | None = None) -> xr.Dataset:
    """Check that a dataset keeps the schema, and give it back.

    Parameters
    ----------
    ds : xarray.Dataset
        May have further dimensions (``strategy``, ``draw``, ``seed``, …) in front of ``label``
        (in front of ``metric`` for similarities), and further variables.
    kind : str, optional
        What it has to be; by default any of them.

    Returns
    -------
    xarray.Dataset
        ``ds`` itself.

    Raises
    ------
    ResultError
        For the first thing found wrong; names the variable.
    ParameterError
        If ``kind`` is none of :data:`KINDS`.

    Examples
    --------
    >>> import xarray as xr
    >>> from pncviz.dataset import validate
    >>> validate(xr.Dataset())
    Traceback (most recent call last):
        ...
    pncviz.exceptions.ResultError: attribute `schema_version` is missing: not a pncviz result.
    """
    if kind is not None:
        check_kind(kind)
    if not isinstance(ds, xr.Dataset):
        raise ResultError(f"`ds` must be an xarray.Dataset, got {type(ds).__name__}.")
    check_version(ds.attrs.get("schema_version"))
    found = ds.attrs.get("kind")
    if found not in KINDS or (kind is not None and found != kind):
        wanted = kind or " or ".join(KINDS)
        got = "no such attribute" if found is None else repr(found)
        raise ResultError(f"attribute `kind` must be {wanted}; got {got}.")
    check_attrs(ds.attrs, "dataset")
    for variable in ds.variables:
        _check_storable(ds, variable)
    _check_coords(ds, found)
    for name, field in FIELDS[found].items():
        if name in ds.data_vars:
            _check_field(ds[name], field, found)
        elif field.required:
            wanted = _written(field.dims[0])
            raise ResultError(f"{found}: variable `{name}` on {wanted} is missing.")
    return ds


def check_version(value: object) -> None:
    """Raise ResultError unless this pncviz can read that ``schema_version``."""
    if value is None:
        raise ResultError("attribute `schema_version` is missing: not a pncviz result.")
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise ResultError(f"attribute `schema_version` must be {SCHEMA_VERSION!r}; got {value!r}.")
    if len(value) > len(SCHEMA_VERSION) or int(value) > int(SCHEMA_VERSION):
        raise ResultError(
            f"`schema_version` {value[:20]} was made by a newer pncviz; this one reads up to "
            f"{SCHEMA_VERSION}. Upgrade pncviz."
        )
    if value != SCHEMA_VERSION:
        raise ResultError(f"attribute `schema_version` must be {SCHEMA_VERSION!r}; got {value!r}.")


def _written(dims: tuple[str, ...]) -> str:
    """Dimensions as messages show them."""
    image = "channel, row, column (or feature)"
    return f"(…, {', '.join(image if dim == IMAGE else dim for dim in dims)})"


def _fits(dims: tuple[Any, ...], pattern: tuple[str, ...]) -> bool:
    """Whether dimensions end as the schema says, with only free ones in front."""
    for image in IMAGES:
        tail = tuple(part for dim in pattern for part in (image if dim == IMAGE else (dim,)))
        if dims[-len(tail) :] == tail and not OWN & set(dims[: -len(tail)]):
            return True
    return False


def _check_field(array: xr.DataArray, field: Field, kind: str) -> None:
    """Check one variable's dimensions, dtype and values."""
    where = f"{kind}: variable `{array.name}`"
    if not any(_fits(array.dims, dims) for dims in field.dims):
        wanted = " or ".join(_written(dims) for dims in field.dims)
        raise ResultError(f"{where} must have the dimensions {wanted}, got {array.dims}.")
    values = plain_array(array.values)
    if values.dtype.kind not in field.kinds:
        wanted = " or ".join(dict.fromkeys(KIND_NAMES[letter] for letter in field.kinds))
        raise ResultError(f"{where} must be of {wanted} dtype, got {array.dtype}.")
    if field.finite and not np.isfinite(values).all():
        raise ResultError(
            f"{where} contains NaN or infinity ({np.count_nonzero(~np.isfinite(values))} of "
            f"{values.size} values)."
        )


def _check_coords(ds: xr.Dataset, kind: str) -> None:
    """Check that labels are there, once each, and that nothing is empty."""
    for dim, size in ds.sizes.items():
        if size == 0:
            raise ResultError(f"{kind}: dimension `{dim}` is empty.")
    needed = (*INDEXED[kind], *(dim for dim in ("strategy",) if dim in ds.dims))
    for dim in needed:
        if dim not in ds.coords or ds[dim].dims != (dim,):
            raise ResultError(f"{kind}: coordinate `{dim}` on ({dim},) is missing.")
        values = plain_array(ds[dim].values)
        if values.dtype.kind not in (LABEL_KINDS if "label" in dim else "U"):
            what = "integers or strings" if "label" in dim else "strings"
            raise ResultError(f"{kind}: coordinate `{dim}` must hold {what}, got {ds[dim].dtype}.")
        unique, counts = np.unique(values, return_counts=True)
        if (counts > 1).any():
            raise ResultError(f"{kind}: duplicate {unique[counts > 1][0]!r} in `{dim}`.")


def _check_storable(ds: xr.Dataset, name: Any) -> None:
    """Check what NetCDF demands of one variable or coordinate, and what readers need."""
    if not isinstance(name, str) or not name or "/" in name:
        raise ResultError(f"a variable may not be called {name!r}; use a word without `/`.")
    where = f"variable `{name}`"
    values = plain_array(ds.variables[name].values)
    kind, width = values.dtype.kind, values.dtype.itemsize
    if kind in "UO":
        for text in values.flat:
            if isinstance(text, str) and (fault := text_fault(text)):
                raise ResultError(f"{where} {fault}.")
    if kind not in KIND_NAMES or (kind == "f" and width not in (4, 8)):
        raise ResultError(f"{where} has dtype {values.dtype}; use numbers, bool or strings.")
    if name in ds.data_vars:
        for key in ("long_name", "units"):
            if not isinstance(ds[name].attrs.get(key), str):
                raise ResultError(f'{where}: attribute `{key}` is missing (units "1" if none).')
    check_attrs(ds.variables[name].attrs, where)
