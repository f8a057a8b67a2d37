"""From any mix of results to at most one of each kind that fit each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from pncviz.comparison import compare
from pncviz.dataset import KINDS, check_labels_match, concat_patterns, validate
from pncviz.dataset.attributes import to_json
from pncviz.exceptions import LabelError, ParameterError

__all__ = ["class_order", "gather", "in_order", "source_names", "strategy_name"]

#: Where labels stand in each kind of result, those of contrasts first.
_LABELS = (
    ("contrasts", "label"),
    ("similarities", "contrast_label"),
    ("patterns", "label"),
    ("similarities", "pattern_label"),
)


def gather(
    datasets: Sequence[xr.Dataset], *, metrics: str | Sequence[str], random_state: int | None
) -> dict[str, xr.Dataset]:
    """Sort results by kind, join patterns, and compare them with the contrasts if no one has.

    Parameters
    ----------
    datasets : sequence of xarray.Dataset
        Any patterns, at most one contrasts and one similarities, in any order.
    metrics : str or sequence of str
    random_state : int or None
        Both for :func:`~pncviz.compare`.

    Returns
    -------
    dict of str to xarray.Dataset
        By kind.

    Raises
    ------
    ParameterError
        Nothing is given, too many of a kind, or dimensions that a page cannot show.
    LabelError
        They are about different classes.
    ResultError
        One of them breaks the schema.

    Examples
    --------
    >>> from pncviz import load_dataset, positive_negative_contrast
    >>> data = load_dataset("tiling")
    >>> contrasts = positive_negative_contrast(data.X, data.y)
    >>> list(gather([contrasts], metrics="pearson", random_state=0))
    ['contrasts']
    """
    if not datasets:
        raise ParameterError(
            "generate_report needs at least one dataset of patterns, contrasts or similarities, "
            "got none."
        )
    of_kind: dict[str, list[xr.Dataset]] = {kind: [] for kind in KINDS}
    for dataset in datasets:
        of_kind[validate(dataset).attrs["kind"]].append(dataset)
    for kind in ("contrasts", "similarities"):
        if len(of_kind[kind]) > 1:
            raise ParameterError(
                f"generate_report takes one dataset of {kind}, got {len(of_kind[kind])}."
            )
    _check_dims(of_kind)
    if len(of_kind["patterns"]) > 1:
        of_kind["patterns"] = [_side_by_side(of_kind["patterns"])]
    found = {kind: members[0] for kind, members in of_kind.items() if members}
    _check_labels(found)
    if "similarities" in found:
        _check_sources(found)
    elif len(found) == 2:
        found["similarities"] = compare(
            found["patterns"], found["contrasts"], metrics=metrics, random_state=random_state
        )
    return found


def _check_dims(of_kind: Mapping[str, Sequence[xr.Dataset]]) -> None:
    main = {"patterns": "pattern", "contrasts": "contrast", "similarities": "similarity"}
    for kind in set(of_kind) - set(main):
        if of_kind[kind]:
            raise ParameterError(
                f"a report cannot show {kind}; give patterns, contrasts or similarities."
            )
    own = {"label", "channel", "row", "column", "feature"}
    own |= {"metric", "pattern_label", "contrast_label"}
    for kind, members in of_kind.items():
        allowed = own | (set() if kind == "contrasts" else {"strategy"})
        for dataset in members:
            extra = [str(dim) for dim in dataset[main[kind]].dims if dim not in allowed]
            if extra:
                raise ParameterError(
                    f"a report cannot show {kind} along {', '.join(extra)}; select one with "
                    f"`.isel({extra[0]}=0, drop=True)` first."
                )


def _side_by_side(datasets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join patterns along ``strategy``, under names that none has twice."""
    parts: dict[str, xr.Dataset] = {}
    for dataset in datasets:
        for name, part in _split(dataset):
            unique, number = name, 1
            while unique in parts:
                number += 1
                unique = f"{name} {number}"
            parts[unique] = part
    return concat_patterns(parts)


def _split(dataset: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    if "strategy" not in dataset.dims:
        return [(strategy_name(dataset), dataset)]
    parameters = _parameters(dataset)
    parts = []
    for name in dataset["strategy"].values.tolist():
        part = dataset.sel(strategy=name, drop=True)
        if isinstance(parameters.get(name), dict):  # as concat_patterns wrote them
            part = part.assign_attrs(parameters=to_json(parameters[name]))
        parts.append((name, part))
    return parts


def strategy_name(patterns: xr.Dataset) -> str:
    """Name the strategy that patterns without a ``strategy`` dimension come from."""
    if "strategy" in patterns.coords:  # one selected from several
        return str(patterns["strategy"].item())
    strategy = _parameters(patterns).get("strategy")
    name = strategy.get("class") if isinstance(strategy, dict) else None
    return str(name).lower() if name else "pattern"


def _parameters(dataset: xr.Dataset) -> dict[str, Any]:
    try:
        parameters = json.loads(dataset.attrs["parameters"])
    except (KeyError, TypeError, ValueError):
        return {}
    return parameters if isinstance(parameters, dict) else {}


def _check_labels(found: Mapping[str, xr.Dataset]) -> None:
    """Raise unless all are about the same classes, or patterns about some of the contrasts'."""
    values = {(kind, dim): found[kind][dim].values for kind, dim in _LABELS if kind in found}
    patterns, contrasts = ("patterns", "label"), ("contrasts", "label")
    compared = {"pattern_label": patterns, "contrast_label": contrasts}
    for dim, other in compared.items():
        if ("similarities", dim) in values and other in values:
            check_labels_match(
                values["similarities", dim], values[other], f"similarities ({dim})", other[0]
            )
    if patterns in values and contrasts in values:
        some = set(values[patterns].tolist()) < set(values[contrasts].tolist())
        if not some:
            check_labels_match(values[patterns], values[contrasts], "patterns", "contrasts")
    if len({_group(array.dtype.kind) for array in values.values()}) > 1:
        raise LabelError("labels are numbers in one result and strings in another; convert one.")


def _group(kind: str) -> str:
    return {"b": "bool", "U": "string", "O": "string"}.get(kind, "number")


def _check_sources(found: Mapping[str, xr.Dataset]) -> None:
    """Raise unless similarities and patterns have the same strategies."""
    if "patterns" not in found:
        return
    two = [
        set(found[kind]["strategy"].values.tolist()) if "strategy" in found[kind].dims else None
        for kind in ("similarities", "patterns")
    ]
    if two[0] != two[1]:
        told = ["none" if names is None else ", ".join(sorted(names)) for names in two]
        raise ParameterError(
            f"the similarities are of the strategies: {told[0]}; the patterns of: {told[1]}. Give "
            "the patterns that were compared, or leave the similarities out to compare anew."
        )


def source_names(found: Mapping[str, xr.Dataset]) -> list[str]:
    """Name the rows of patterns; none if there are only contrasts."""
    dataset = found.get("patterns", found.get("similarities"))
    if dataset is None:
        return []
    if "strategy" in dataset.dims:
        return [str(name) for name in dataset["strategy"].values.tolist()]
    return [strategy_name(dataset) if "patterns" in found else "pattern"]


def class_order(found: Mapping[str, xr.Dataset]) -> list[Any]:
    """List every class once, in the order of the contrasts."""
    labels = [found[kind][dim].values.tolist() for kind, dim in _LABELS if kind in found]
    return list(dict.fromkeys(label for some in labels for label in some))


def in_order(found: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Bring labels into the page's order, and sources into the patterns'."""
    classes = class_order(found)
    names = source_names(found)
    ordered = {}
    for kind, dataset in found.items():
        for _, dim in (pair for pair in _LABELS if pair[0] == kind):
            held = dataset[dim].values.tolist()
            places = [held.index(label) for label in classes if label in held]
            dataset = dataset.isel({dim: places})
        if "strategy" in dataset.dims:
            dataset = dataset.sel(strategy=names)
        elif kind != "contrasts":
            dataset = dataset.drop_vars("strategy", errors="ignore").expand_dims(strategy=names)
        ordered[kind] = dataset
    return ordered
