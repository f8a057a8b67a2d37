"""Everything that the page says in numbers, read from the datasets and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from pncviz.comparison import own_class
from pncviz.dataset import printable
from pncviz.displays.scales import scale_of, smaller_is_alike
from pncviz.report.gather import class_order, in_order, source_names
from pncviz.report.numbers import plain_value

__all__ = ["OWN", "PATTERN", "page_content"]

#: Variables per pattern and class.
PATTERN = (
    "confidence",
    "loss",
    "n_iter",
    "stop_reason",
    "prediction",
    "success_rate",
    "succeeded",
    "pattern_prediction",
    "pattern_confidence",
)
#: Variables per metric and class.
OWN = (
    "similarity",
    "lower",
    "upper",
    "rank",
    "p",
    "q",
    "ceiling",
    "share_of_ceiling",
    "pattern_reliability",
    "contrast_reliability",
)
_SUMMARY = ("hits", "hits_p", "identification_p", "interval_over")


def page_content(found: Mapping[str, xr.Dataset]) -> dict[str, Any]:
    """Read off what the page shows.

    Parameters
    ----------
    found : mapping of str to xarray.Dataset
        By kind, as :func:`~pncviz.report.gather.gather` gives them.

    Returns
    -------
    dict
        ``classes``, ``sources`` and ``metrics`` name what the other entries are ordered by:
        ``patterns`` [source][variable][class], ``contrasts`` [variable][class], ``own`` and
        ``summary`` [source][metric][variable] ([class]), ``reached`` [source][class] whether a
        pattern reached its class, ``matrix`` [source][metric][row][column]
        with the places of its rows and columns among the classes. None is unknown.
    """
    classes = class_order(found)
    data = in_order(found)
    content: dict[str, Any] = {
        "classes": [printable(label) for label in classes],
        "sources": [printable(name) for name in source_names(found)],
        "metrics": [],
    }
    if "patterns" in data:
        content["patterns"] = _by_source(data["patterns"], PATTERN, classes)
        content["reached"] = [facts["succeeded"] for facts in content["patterns"]]
    if "contrasts" in data:
        content["contrasts"] = _variables(data["contrasts"], ("n_positive", "n_negative"), classes)
    if "similarities" in data:
        content |= _similarities(data["similarities"], classes)
        table = own_class(data["similarities"])
        content.setdefault(
            "reached",
            [
                facts.get("succeeded", [None] * len(classes))
                for facts in _by_source(table, ("succeeded",), classes)
            ],
        )
    return content


def _by_source(dataset: xr.Dataset, names: tuple[str, ...], classes: list[Any]) -> list[Any]:
    return [
        _variables(dataset.isel(strategy=i), names, classes)
        for i in range(dataset.sizes["strategy"])
    ]


def _variables(
    dataset: xr.Dataset, names: tuple[str, ...], classes: list[Any]
) -> dict[str, list[Any]]:
    """Give each variable as one value per class, None for classes that have none."""
    labels = dataset["label"].values.tolist()
    place = {label: i for i, label in enumerate(labels)}
    found = {}
    for name in names:
        if name in dataset.data_vars and dataset[name].dims == ("label",):
            values = dataset[name].values.tolist()
            found[name] = [
                plain_value(values[place[label]]) if label in place else None for label in classes
            ]
    return found


def _similarities(dataset: xr.Dataset, classes: list[Any]) -> dict[str, Any]:
    rows, columns = (dataset[f"{kind}_label"].values.tolist() for kind in ("pattern", "contrast"))
    metrics = [_metric(dataset, i) for i in range(dataset.sizes["metric"])]
    table = own_class(dataset)
    found: dict[str, Any] = {"own": [], "summary": [], "matrix": []}
    for source in range(dataset.sizes["strategy"]):
        places = [{"strategy": source, "metric": i} for i in range(len(metrics))]
        parts = [dataset.isel(at, missing_dims="ignore") for at in places]
        own = [table.isel(at) for at in places]
        found["own"].append([_variables(facts, OWN, classes) for facts in own])
        found["summary"].append([_summary(*both) for both in zip(parts, own, strict=True)])
        found["matrix"].append([_grid(part["similarity"].values) for part in parts])
    return found | {
        "metrics": metrics,
        "rows": [classes.index(label) for label in rows],
        "columns": [classes.index(label) for label in columns],
    }


def _metric(dataset: xr.Dataset, index: int) -> dict[str, Any]:
    """Name, units, direction, and the colour scale, common to all sources."""
    values = dataset["similarity"].isel(metric=index)
    name = str(values["metric"].values)
    scale = scale_of(values, name)
    units = str(values["metric_units"].values) if "metric_units" in values.coords else "1"
    return {
        "name": printable(name),
        "units": printable(units),
        "higher": not smaller_is_alike(values, name),
        "low": float(scale.low),
        "neutral": float(scale.neutral),
        "high": float(scale.high),
    }


def _summary(part: xr.Dataset, own: xr.Dataset) -> dict[str, Any]:
    """Give what holds for all classes together."""
    found = {
        name: plain_value(part[name].values.item())
        for name in _SUMMARY
        if name in part.data_vars and part[name].ndim == 0
    }
    known = own["similarity"].values[~np.isnan(own["similarity"].values)]
    found.setdefault("hits", int(own["nearest"].values.sum()))
    return found | {"n": len(known), "mean": float(known.mean()) if len(known) else None}


def _grid(values: Any) -> list[list[Any]]:
    return [[plain_value(value) for value in row] for row in values.tolist()]
