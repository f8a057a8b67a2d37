"""What a result *is*, apart from how a file keeps it: plain variables, and a sum over them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from pncviz.dataset.schema import plain_array

__all__ = ["SUM", "content_sha256", "plain_dataset"]

#: The attribute that holds the sum in files; never part of a loaded result.
SUM = "content_sha256"


def plain_dataset(ds: xr.Dataset) -> xr.Dataset:
    """Give a dataset of numpy arrays with fixed-width strings, no encodings and no sum.

    Parameters
    ----------
    ds : xarray.Dataset

    Returns
    -------
    xarray.Dataset
        Shares numeric arrays with ``ds``, which stays as it is.

    Examples
    --------
    >>> import xarray as xr
    >>> plain_dataset(xr.Dataset({"a": ("x", np.array(["b"], dtype=object))}))["a"].dtype
    dtype('<U1')
    """
    variables = {
        name: xr.Variable(variable.dims, plain_array(variable.values), dict(variable.attrs))
        for name, variable in ds.variables.items()
    }
    coords = {name: variables.pop(name) for name in ds.coords}
    attrs = {key: value for key, value in ds.attrs.items() if key != SUM}
    return xr.Dataset(variables, coords, attrs)


def _canonical(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes in a form that does not change on the way through a file."""
    result: dict[str, Any] = {}
    for key, value in attrs.items():
        if isinstance(value, str):
            result[key] = ["text", value]
            continue
        array = np.asarray(value)
        # Hexadecimal floats are exact; Python ints have no width to lose.
        items = [float(item).hex() if array.dtype.kind == "f" else int(item) for item in array.flat]
        result[key] = [array.dtype.kind == "f", list(array.shape), items]
    return result


def content_sha256(ds: xr.Dataset) -> str:
    """Sum up names, dimensions, dtype kinds and widths, shapes, values and all attributes.

    Parameters
    ----------
    ds : xarray.Dataset
        As :func:`plain_dataset` gives it.

    Returns
    -------
    str
        64 hexadecimal digits. The width of strings, the byte order and the order of variables
        do not count, since files do not keep them.

    Examples
    --------
    >>> import xarray as xr
    >>> a, b = (xr.Dataset({"a": ("x", [1, value])}) for value in (2, 3))
    >>> content_sha256(a) == content_sha256(a.copy()), content_sha256(a) == content_sha256(b)
    (True, False)
    """
    digest = hashlib.sha256()

    def line(value: object) -> None:
        digest.update(json.dumps(value, sort_keys=True).encode("ascii") + b"\n")

    line(["pncviz", 1, _canonical(ds.attrs)])
    for name in sorted(ds.variables, key=str):
        variable = ds.variables[name]
        values = variable.values
        text = values.dtype.kind == "U"
        width = None if text else values.dtype.itemsize
        head = [name, name in ds.coords, list(variable.dims), values.dtype.kind, width]
        line([*head, list(values.shape), _canonical(variable.attrs)])
        if text:
            line(values.ravel().tolist())
        else:
            little = values.astype(values.dtype.newbyteorder("<"), order="C", copy=False)
            digest.update(np.ascontiguousarray(little).data)
    return digest.hexdigest()
