"""What a collected study comes to: one row per combination, over seeds and classes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from pncviz.exceptions import StudyError
from pncviz.inference import mean_interval
from pncviz.metrics import find_metric
from pncviz.study.config import AXES

__all__ = ["grouped", "rows_of", "summarize_study"]

_NAMES = {
    "n_seeds": "seeds finished",
    "n_failed": "cells that failed",
    "similarity": "own-class similarity, mean over classes and seeds",
    "lower": "interval of the mean from",
    "upper": "interval of the mean to",
    "interval_over": "what the interval is over",
    "share_of_ceiling": "similarity as a share of the noise ceiling, mean",
    "hits": "patterns nearest to their own class's contrast, mean over seeds",
    "least_hits": "fewest hits of a seed",
    "n_classes": "classes",
    "identification_p": "p of the identification, the largest of the seeds",
    "succeeded": "share of patterns that reached their class",
    "least_confidence": "least confidence of a class's adversarial examples",
    "n_iter": "updates, median over classes and seeds",
    "test_accuracy": "accuracy on the test samples, mean over seeds",
    "test_loss": "loss on the test samples, mean over seeds",
}


def grouped(node: xr.Dataset) -> tuple[str, ...]:
    """Name the axes that a table has a row for every combination of: all but dataset and seed.

    Examples
    --------
    >>> grouped(xr.Dataset(coords={"strategy": ["zero"], "optimizer": ["sgd"], "seed": [0]}))
    ('optimizer', 'strategy')
    """
    return tuple(axis for axis in AXES[1:-1] if axis in node.dims)


def summarize_study(tree: xr.DataTree, *, confidence_level: float = 0.95) -> xr.DataTree:
    """Average a collected study over classes and seeds, with intervals.

    Parameters
    ----------
    tree : xarray.DataTree
        Of :func:`collect_study`.
    confidence_level : float, default=0.95

    Returns
    -------
    xarray.DataTree
        A node per dataset of which something is finished, with the dimensions (architecture,
        optimizer, trainer, strategy, attack) as far as the study has them; similarities have
        ``metric``, too. ``lower`` and ``upper`` are of the mean: over seeds if there are two
        (Student's t, or a bootstrap from eight), else over classes (``interval_over``).
        ``share_of_ceiling``, ``hits``, ``least_hits``, ``identification_p`` (the largest),
        ``succeeded`` (a share), ``least_confidence``, ``n_iter`` (the median), ``test_accuracy``,
        ``test_loss``, ``n_seeds``, ``n_failed``. NaN where no cell is finished.

    Raises
    ------
    StudyError
        Not a collected study.
    """
    if tree.attrs.get("kind") != "study":
        raise StudyError("`tree` must be a study collected by collect_study.")
    nodes = {
        name: _summary(node.to_dataset(), confidence_level)
        for name, node in tree.items()
        if "own_similarity" in node  # else nothing of the dataset is finished
    }
    found = xr.DataTree.from_dict(nodes)
    found.attrs = dict(tree.attrs)
    return found


def _summary(node: xr.Dataset, confidence_level: float) -> xr.Dataset:
    over = ("seed", "label")
    done = node["state"] == "done"
    own = node["own_similarity"]
    ceiling = node["ceiling"] if "ceiling" in node else xr.full_like(own, np.nan)
    found = {
        "n_seeds": done.sum("seed"),
        "n_failed": (node["state"] == "failed").sum("seed"),
        "similarity": own.mean(over),
        "share_of_ceiling": (own / ceiling.where(ceiling > 0)).mean(over),
        "hits": node["hits"].mean("seed"),
        "least_hits": node["hits"].min("seed"),
        "n_classes": node["succeeded"].notnull().sum("label").max("seed"),
        "identification_p": node["identification_p"].max("seed"),
        "succeeded": node["succeeded"].mean(over),
        "least_confidence": node["confidence"].min(over),
        "n_iter": node["n_iter"].median(over),
    }
    for name in ("test_accuracy", "test_loss"):
        if name in node:
            found[name] = node[name].mean("seed")
    table = xr.Dataset(found).assign_coords(metric=node["metric"])
    table = table.merge(_intervals(own, grouped(node), confidence_level)).drop_attrs()
    for key, array in table.items():
        array.attrs = {"long_name": _NAMES[str(key)], "units": "1"}
    return table


def _intervals(own: xr.DataArray, axes: tuple[str, ...], confidence_level: float) -> xr.Dataset:
    """Give an interval of each mean: over seeds if two are there, else over classes."""
    cases = own.transpose(*axes, "metric", "seed", "label")
    shape = cases.shape[:-2]
    lower, upper = np.full(shape, np.nan), np.full(shape, np.nan)
    over = np.full(shape, "none", dtype="<U7")
    ranges = [find_metric(name).range for name in own["metric"].values.tolist()]
    for at in np.ndindex(shape):
        values = cases.values[at]
        values = values[~np.isnan(values).all(axis=-1)]
        units, name = (values.mean(-1), "seeds") if len(values) > 1 else (values.ravel(), "classes")
        if len(units) > 1 and np.isfinite(units).all():
            told = mean_interval(
                xr.DataArray(units, dims="unit"), "unit", confidence_level=confidence_level
            )
            least, most = ranges[at[-1]]  # Student's t of two seeds reaches far
            lower[at] = max(float(told["lower"]), least)
            upper[at] = min(float(told["upper"]), most)
            over[at] = name
    dims = cases.dims[:-2]
    return xr.Dataset(
        {"lower": (dims, lower), "upper": (dims, upper), "interval_over": (dims, over)}
    )


def rows_of(summary: xr.DataTree, metric: str | None = None) -> Iterator[dict[str, Any]]:
    """Give the table's rows, dataset by dataset: those with a finished or failed cell.

    Parameters
    ----------
    summary : xarray.DataTree
        Of :func:`summarize_study`.
    metric : str, optional
        By default each dataset's first.

    Yields
    ------
    dict
        ``dataset``, the axes and ``metric`` as strings; numbers as floats.

    Raises
    ------
    StudyError
        No such metric.
    """
    for name, node in summary.items():
        table = node.to_dataset()
        known = table["metric"].values.tolist()
        chosen = known[0] if metric is None else metric
        if chosen not in known:
            raise StudyError(f'{name} has no metric "{chosen}"; it has {", ".join(known)}.')
        table = table.sel(metric=chosen)
        axes = grouped(table)
        for place in product(*(table[axis].values.tolist() for axis in axes)):
            row = table.sel(dict(zip(axes, place, strict=True)))
            if row["n_seeds"] or row["n_failed"]:
                numbers = {str(key): row[key].item() for key in row.data_vars}
                where = {"dataset": name, **dict(zip(axes, place, strict=True))}
                yield {**where, "metric": chosen, **numbers}
