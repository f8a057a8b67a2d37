"""Attributes that NetCDF can hold: what is recorded with every result, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from pncviz._version import __version__
from pncviz.exceptions import ParameterError, ResultError

__all__ = ["KINDS", "SCHEMA_VERSION", "check_attrs", "common_attrs", "now", "to_json"]

#: Version of the layout; a file with a larger one was made by a newer pncviz.
SCHEMA_VERSION = "1"

#: What a labelled result can be.
KINDS = (
    *("patterns", "contrasts", "similarities"),
    *("examples", "transfer", "pattern_transfer", "pattern_agreement"),
)

_DISTRIBUTIONS = {
    "torch_version": "torch",
    "skorch_version": "skorch",
    "sklearn_version": "scikit-learn",
    "numpy_version": "numpy",
    "xarray_version": "xarray",
}

# Names that NetCDF, HDF5 or xarray's decoding read as orders, not as information.
_RESERVED = frozenset(
    {"_FillValue", "missing_value", "scale_factor", "add_offset", "coordinates", "dtype"}
    | {"_Encoding", "_Unsigned", "_NCProperties", "_Netcdf4Dimid", "_Netcdf4Coordinates"}
    | {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}
)


def now() -> str:
    """UTC time in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(value: object) -> object:
    """Give containers and numpy values as what JSON knows; keys become strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=repr)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist()) if isinstance(value, np.ndarray) else value.item()
    return value


def to_json(value: object) -> str:
    """One line of JSON with sorted keys; what JSON does not know is written as its ``repr``."""
    return json.dumps(_plain(value), sort_keys=True, default=repr)


def _attribute(value: object) -> str | int | float:
    """Cast one value to what an attribute may be."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        # Seeds may be wider than any integer of NetCDF.
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, str | float):
        return value
    return to_json(value)


@cache
def _version(distribution: str) -> str | None:
    """Read a version from metadata, once: importing torch takes seconds, parsing milliseconds."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def common_attrs(
    kind: str,
    *,
    parameters: Mapping[str, object],
    random_state: int | None = None,
    plugins: Mapping[str, str] | None = None,
    **extra: object,
) -> dict[str, Any]:
    """Give the attributes that every result carries: what made it, when, and with which versions.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`, such as "patterns".
    parameters : mapping
        Everything that the user set; kept as one JSON string with sorted keys, and ``repr`` for
        what JSON does not know.
    random_state : int, optional
        The seed; left out when None.
    plugins : mapping of str to str, optional
        Version by distribution of each plugin that had a part, kept as one JSON string.
    **extra : object
        More attributes. None is left out, a bool becomes 0 or 1, containers become JSON.

    Returns
    -------
    dict
        Strings and numbers only, as NetCDF demands.

    Raises
    ------
    ParameterError
        If ``kind`` is none of them.

    Examples
    --------
    >>> from pncviz.dataset import common_attrs
    >>> attrs = common_attrs("patterns", parameters={"max_iter": 10}, random_state=0, fast=True)
    >>> attrs["kind"], attrs["parameters"], attrs["random_state"], attrs["fast"]
    ('patterns', '{"max_iter": 10}', 0, 1)
    """
    check_kind(kind)
    attrs: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "created_at": now(),
        "pncviz_version": __version__,
    }
    for name, distribution in _DISTRIBUTIONS.items():
        if found := _version(distribution):
            attrs[name] = found
    if random_state is not None:
        attrs["random_state"] = _attribute(random_state)
    attrs["parameters"] = to_json(dict(parameters))
    attrs["plugins"] = to_json(dict(plugins or {}))
    attrs.update({key: _attribute(value) for key, value in extra.items() if value is not None})
    return attrs


def check_kind(kind: str) -> None:
    """Raise ParameterError unless ``kind`` is one of :data:`KINDS`."""
    if kind not in KINDS:
        raise ParameterError(f"`kind` must be one of {', '.join(KINDS)}; got {kind!r}.")


def text_fault(text: str) -> str | None:
    """Say why a string would not survive a NetCDF file, or None if it would."""
    if "\0" in text:
        return f"holds a NUL character ({text!r}), at which NetCDF would cut it"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return f"is not valid Unicode ({text!r})"
    return None


def _attribute_fault(value: object) -> str | None:
    """Say why NetCDF would refuse or change an attribute, or None if it would not."""
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value)
        # Length 1 would come back as a scalar.
        if array.dtype.kind in "iuf" and array.ndim == 1 and array.size > 1:
            return None
        return f"is {value!r}; a sequence must be of two or more numbers (else write it as JSON)"
    if isinstance(value, bool | np.bool_) or value is None or isinstance(value, Mapping):
        what = "None" if value is None else type(value).__name__
        return f"is a {what} ({value!r}), which NetCDF cannot hold; use 0 or 1, JSON, or leave out"
    if isinstance(value, int | np.integer):
        return None if -(2**63) <= value < 2**63 else f"is {value}, too wide; write it as text"
    if isinstance(value, float | np.float32):  # NetCDF has no float16 and no float128
        return None
    return f"is of type {type(value).__name__}; use a string or a number"


def check_attrs(attrs: Mapping[Any, Any], owner: str) -> None:
    """Raise ResultError for the first attribute that a NetCDF file could not give back.

    Parameters
    ----------
    attrs : mapping
    owner : str
        Whose attributes they are, for the message.

    Raises
    ------
    ResultError
        For bool, None, dict and other types, reserved names, NUL characters, too wide integers.

    Examples
    --------
    >>> check_attrs({"units": "1"}, "variable `pattern`")
    """
    for key, value in attrs.items():
        if not isinstance(key, str) or not key or "/" in key or key in _RESERVED or text_fault(key):
            raise ResultError(f"{owner}: an attribute may not be called {key!r}; rename it.")
        fault = _attribute_fault(value)
        if fault:
            raise ResultError(f"{owner}: attribute `{key}` {fault}.")
