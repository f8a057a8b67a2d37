"""Joining results by label, where raw xarray would silently keep less, or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from pncviz.dataset.attributes import now, to_json
from pncviz.dataset.builder import as_labels
from pncviz.dataset.fields import FIELDS, OWN
from pncviz.dataset.schema import validate
from pncviz.exceptions import LabelError, ParameterError, ResultError

__all__ = ["check_labels_match", "concat_patterns"]

_GROUPS = {"b": "bool", "i": "integers", "u": "integers", "f": "numbers", "U": "strings"}
_TRACES = ("trace_loss", "trace_confidence")


def check_labels_match(a: ArrayLike, b: ArrayLike, what_a: str, what_b: str) -> None:
    """Raise unless two results are about the same classes; their order may differ.

    Parameters
    ----------
    a, b : arrays of shape (n_labels,)
    what_a, what_b : str
        What they are labels of, for the message.

    Raises
    ------
    LabelError
        If one has strings and the other numbers, or one has labels that the other lacks.

    Examples
    --------
    >>> from pncviz.dataset import check_labels_match
    >>> check_labels_match([0, 1], [1, 0], "patterns", "contrasts")
    >>> check_labels_match([0, 1], ["0", "1"], "patterns", "contrasts")
    Traceback (most recent call last):
        ...
    pncviz.exceptions.LabelError: labels of patterns are integers (0, 1), those of contrasts \
strings ('0', '1'); convert one of them, for example with `.astype(str)`.
    """
    first, second = as_labels("labels", a), as_labels("labels", b)
    kinds = [_GROUPS[array.dtype.kind] for array in (first, second)]
    # 1 and 1.0 are one label; "1" and True are others.
    if len({"numbers" if kind == "integers" else kind for kind in kinds}) > 1:
        raise LabelError(
            f"labels of {what_a} are {kinds[0]} ({_some(first)}), those of {what_b} {kinds[1]} "
            f"({_some(second)}); convert one of them, for example with `.astype(str)`."
        )
    lacking = [
        f"{lacks} lack {_some(missing)}"
        for missing, lacks in (
            (np.setdiff1d(first, second), what_b),
            (np.setdiff1d(second, first), what_a),
        )
        if missing.size
    ]
    if lacking:
        raise LabelError(
            f"labels of {what_a} and {what_b} differ: {', '.join(lacking)}; make both for the "
            "same classes, or select the common ones first."
        )


def _some(values: ArrayLike) -> str:
    """Write out the first few labels."""
    items = np.asarray(values).tolist()
    return ", ".join(repr(item) for item in items[:5]) + (", …" if len(items) > 5 else "")


def concat_patterns(mapping: Mapping[Any, xr.Dataset], *, dim: str = "strategy") -> xr.Dataset:
    """Put patterns of several strategies, seeds or models side by side on a leading dimension.

    Labels are brought into the order of the first. Traces are padded with NaN to common
    iterations; traces that not all have are left out. Blocks of examples are padded with empty
    ones (``n_block`` 0), so a strategy of one example stands beside one of thirty.

    Parameters
    ----------
    mapping : mapping of str to xarray.Dataset
        Patterns by the name of their strategy; by an integer or a name for other dimensions.
    dim : str, default="strategy"
        Such as "seed" or "model".

    Returns
    -------
    xarray.Dataset
        Attributes that are equal in all are kept; ``parameters`` becomes one JSON string of each
        strategy's parameters by name. A unit that differs is written as ``"nat | 1"``.

    Raises
    ------
    ParameterError
        If ``mapping`` is empty, or ``dim`` is a dimension that patterns have anyway.
    LabelError
        If labels differ; names the first that do.
    ResultError
        If one is not a patterns dataset, or image shapes or feature names differ.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz.dataset import build_patterns, common_attrs, concat_patterns
    >>> one = dict.fromkeys(["confidence", "loss", "success_rate", "pattern_confidence"], [1.0])
    >>> patterns = build_patterns(
    ...     pattern=np.zeros((1, 3)), labels=["cat"], image_shape=(3,), **one, n_iter=[3],
    ...     prediction=["cat"], pattern_prediction=["cat"], stop_reason=["max_iter"],
    ...     attrs=common_attrs("patterns", parameters={"max_iter": 3}),
    ... )
    >>> both = concat_patterns({"zero": patterns, "noise": patterns})
    >>> both["pattern"].dims, both.attrs["parameters"]
    (('strategy', 'label', 'feature'), '{"noise": {"max_iter": 3}, "zero": {"max_iter": 3}}')
    """
    if not mapping:
        raise ParameterError(f"`mapping` is empty; give at least one {{{dim}: patterns}}.")
    if not dim.isidentifier() or dim in OWN:
        raise ParameterError(f"`dim` must be a new name such as strategy or seed, got {dim!r}.")
    parts = _aligned(mapping, dim)
    names = list(mapping)
    try:
        joined = xr.concat(
            parts,
            dim=dim,
            data_vars="all",
            coords="minimal",
            compat="equals",
            join="exact",
            combine_attrs=_common,
        )
    except (ValueError, TypeError) as error:
        told = ", ".join(map(str, names))
        raise ResultError(f"patterns of {told} do not fit together: {error}") from error
    index = (dim, as_labels(dim, names), {"long_name": dim, "units": "1"})
    joined = joined.assign_coords({dim: index})
    attrs = _common([part.attrs for part in parts], None)
    attrs["created_at"] = now()
    attrs["parameters"] = to_json(
        {str(name): _parsed(ds.attrs.get("parameters", "{}")) for name, ds in mapping.items()}
    )
    if any("plugins" in part.attrs for part in parts):
        attrs["plugins"] = _all_plugins(parts)
    joined.attrs = attrs
    return validate(joined, "patterns")


def _aligned(mapping: Mapping[Any, xr.Dataset], dim: str) -> list[xr.Dataset]:
    """Check every part against the first, and give them the same labels, traces and variables."""
    parts: list[xr.Dataset] = []
    for name, ds in mapping.items():
        if dim == "strategy" and not isinstance(name, str):
            raise ParameterError(f"`mapping` keys must be strategy names, got {name!r}.")
        validate(ds, "patterns")
        if dim in ds.dims:
            raise ResultError(f"patterns of {name!r} have a `{dim}` dimension already.")
        ds = ds.drop_vars(dim, errors="ignore")
        if parts:
            first, other = parts[0], f"patterns of {name!r}"
            of_first = f"patterns of {next(iter(mapping))!r}"
            check_labels_match(first["label"].values, ds["label"].values, of_first, other)
            ds = ds.sel(label=first["label"].values).assign_coords(label=first["label"])
            shapes = [dict(part["pattern"].sizes) for part in (first, ds)]
            if shapes[0] != shapes[1] or first["pattern"].dims != ds["pattern"].dims:
                raise ResultError(f"{other} are {shapes[1]}, {of_first} {shapes[0]}; make equal.")
        parts.append(ds)
    blocks = max(part.sizes.get("block", 0) for part in parts)
    if blocks:
        parts = [_with_blocks(part, blocks) for part in parts]
    return _with_common_traces([_only(part, parts) for part in parts])


def _only(part: xr.Dataset, parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Leave out what is optional and not in every part."""
    kept = set(part.data_vars).intersection(*(other.data_vars for other in parts))
    drop = [name for name in part.data_vars if name not in kept]
    part = part.drop_vars(drop)
    used = {dim for variable in part.data_vars.values() for dim in variable.dims}
    return part.drop_vars([name for name, c in part.coords.items() if not set(c.dims) <= used])


def _with_blocks(part: xr.Dataset, n: int) -> xr.Dataset:
    """Add empty blocks up to a common number."""
    field = FIELDS["patterns"]
    if "pattern_block" not in part:
        none = part["pattern"].expand_dims(block=0)
        counts = xr.zeros_like(none["block"], dtype=np.int64)
        part = part.assign(
            pattern_block=none.assign_attrs(long_name=field["pattern_block"].long_name),
            n_block=counts.assign_attrs(long_name=field["n_block"].long_name, units="1"),
        ).drop_vars("block", errors="ignore")
    missing = n - part.sizes["block"]
    return part.pad(block=(0, missing), constant_values=0) if missing else part


def _with_common_traces(parts: list[xr.Dataset]) -> list[xr.Dataset]:
    """Pad traces with NaN to the union of their iterations, as a stopped pattern has anyway."""
    if not all("trace_iteration" in part.coords for part in parts):
        return parts
    union = np.unique(np.concatenate([part["trace_iteration"].values for part in parts]))
    attrs = parts[0]["trace_iteration"].attrs
    padded = []
    for part in parts:
        traces = [name for name in _TRACES if name in part.data_vars]
        longer = part[traces].reindex(trace_iteration=union)
        longer["trace_iteration"].attrs.update(attrs)
        padded.append(part.drop_dims("trace_iteration").merge(longer))
    return padded


def _common(attrs: Sequence[Mapping[str, Any]], context: Any) -> dict[str, Any]:  # noqa: ARG001 - xarray calls it with two
    """Attributes that are equal in all; units and long names that differ are listed."""
    first = dict(attrs[0])
    common = {
        key: value
        for key, value in first.items()
        if all(key in other and np.array_equal(other[key], value) for other in attrs)
    }
    for key in ("units", "long_name"):
        if key in first and key not in common:
            common[key] = " | ".join(dict.fromkeys(str(other.get(key)) for other in attrs))
    return common


def _parsed(text: Any) -> Any:
    """Undo JSON, or keep what is none."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _all_plugins(parts: Sequence[xr.Dataset]) -> str:
    """All plugins of all parts; versions that differ are listed."""
    versions: dict[str, list[str]] = {}
    for part in parts:
        plugins = _parsed(part.attrs.get("plugins", "{}"))
        for name, version in plugins.items() if isinstance(plugins, dict) else ():
            versions.setdefault(name, []).append(str(version))
    return to_json({name: " | ".join(dict.fromkeys(found)) for name, found in versions.items()})
