"""What the page of a study says of one dataset: its tables, and its picture."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pncviz.dataset import printable
from pncviz.displays import PatternDisplay
from pncviz.displays.scales import smaller_is_alike
from pncviz.report.numbers import interval, number, probability
from pncviz.study.config import AXES
from pncviz.study.plan import Cell, Plan
from pncviz.study.tables import grouped, rows_of

__all__ = ["BLANK", "COLUMNS", "MOST_CLASSES", "MOST_ROWS", "section"]

#: Stands where nothing was computed.
BLANK = "\N{EN DASH}"
#: Of one picture; what is more is said to be left out.
MOST_ROWS, MOST_CLASSES = 12, 40
#: Letters that fit beside a row of a picture.
_ROW_NAME = 20
_DPI = 110

#: Key, heading and what it means.
COLUMNS = (
    ("test_accuracy", "test accuracy", "of the model on the test samples, mean over seeds"),
    (
        "similarity",
        "similarity",
        "between a pattern and its own class's contrast, mean over classes and seeds; patterns "
        "that did not reach their class are in it",
    ),
    (
        "interval",
        "95 % interval",
        "of that mean, by Student's t, or by a bootstrap from eight values on",
    ),
    ("over", "over", "what the interval is over: seeds if two are finished, else classes"),
    (
        "share_of_ceiling",
        "share of ceiling",
        "similarity divided by the highest that the noise in both images allows, mean",
    ),
    ("hits", "hits", "patterns nearest to their own class's contrast, mean over seeds"),
    ("p", "p", "chance of such an identification if classes were shuffled; the largest of seeds"),
    ("succeeded", "reached", "share of patterns that reached their class"),
    ("n_iter", "iterations", "updates made until synthesis stopped, median"),
    ("seeds", "seeds", "finished, of those that the study asks for"),
)


def section(label: str, plan: Plan, finished: xr.DataTree, summary: xr.DataTree) -> dict[str, Any]:
    """Give a dataset's name, tables and picture; neither of these if no cell of it is finished.

    Parameters
    ----------
    label : str
        Of the dataset, as the study calls it.
    plan : Plan
    finished : xarray.DataTree
        Of :func:`~pncviz.study.collect_study`, where a cell is finished.
    summary : xarray.DataTree
        Of the same, by :func:`~pncviz.study.summarize_study`.
    """
    name = label.replace("/", "-")  # as collect_study calls its node
    told: dict[str, Any] = {"name": printable(label), "tables": [], "picture": None}
    if name not in finished.children:
        return told
    node = finished.children[name].to_dataset()
    one = xr.DataTree.from_dict({name: summary.children[name].to_dataset()})
    cells = [cell for cell in plan.cells if cell.at["dataset"] == label]
    for metric in node["metric"].values.tolist():
        rows = list(rows_of(one, metric))
        told["tables"].append(_table(node, metric, rows, cells))
    told["picture"] = _picture(label, node, rows)
    return told


def _table(
    node: xr.Dataset, metric: str, rows: Sequence[Mapping[str, Any]], cells: Sequence[Cell]
) -> dict[str, Any]:
    values, axes = node["similarity"].sel(metric=metric), grouped(node)
    units = str(values["metric_units"].values) if "metric_units" in values.coords else "1"
    return {
        "metric": printable(metric),
        "units": "" if units == "1" else printable(units),
        "higher": not smaller_is_alike(values, metric),
        "rows": [
            {
                "parts": [printable(row[axis]) for axis in axes],
                "cells": _row(row, cells, axes),
                "failed": row["n_failed"] > 0,
                "empty": not row["n_seeds"],
            }
            for row in rows
        ],
    }


def _row(row: Mapping[str, Any], cells: Sequence[Cell], axes: Sequence[str]) -> list[str]:
    """Write out one row in the order of the columns."""
    n_seeds, n_classes = int(row["n_seeds"]), int(row["n_classes"])
    units = {"seeds": n_seeds, "classes": n_classes}.get(row["interval_over"])
    asked = sum(all(cell.at[axis] == row[axis] for axis in axes) for cell in cells)
    written = {
        "test_accuracy": _told(row.get("test_accuracy", math.nan), number),
        "similarity": _told(row["similarity"], number),
        "interval": BLANK if units is None else interval(row["lower"], row["upper"], 3),
        "over": BLANK if units is None else f"{units} {row['interval_over']}",
        "share_of_ceiling": _told(row["share_of_ceiling"], number),
        "hits": BLANK if math.isnan(row["hits"]) else f"{_count(row['hits'])} of {n_classes}",
        "p": _told(row["identification_p"], probability),
        "succeeded": _told(row["succeeded"], number),
        "n_iter": _told(row["n_iter"], _count),
        "seeds": f"{n_seeds} of {asked}",
    }
    return [written[key] for key, _, _ in COLUMNS]


def _told(value: float, write: Any) -> str:
    return BLANK if math.isnan(value) else str(write(value))


def _count(value: float) -> str:
    """Write what is a whole number in one seed as one, and a mean of several with a decimal."""
    return str(int(value)) if value.is_integer() else number(value, 1)


def _picture(label: str, node: xr.Dataset, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Draw contrasts and patterns, one row per combination: its first finished seed."""
    numbered = [(i, row) for i, row in enumerate(rows, 1) if row["n_seeds"]]
    drawn, classes = numbered[:MOST_ROWS], node.sizes["label"]
    sources, succeeded = _sources(node.isel(label=slice(MOST_CLASSES)), drawn)
    figure = PatternDisplay(sources, succeeded=succeeded).plot().figure_
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    axes = grouped(node)
    told = [f"{i} ({', '.join(printable(row[axis]) for axis in axes)})" for i, row in drawn]
    if "contrast" in node:
        told.insert(0, "contrast")
    return {
        "src": f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}",
        "width": round(96 * figure.get_figwidth()),
        "height": round(96 * figure.get_figheight()),
        "alt": f"Images of {min(classes, MOST_CLASSES)} classes of {printable(label)}, a column "
        f"each; rows: {', '.join(told)}.",
        "contrast": "contrast" in node,
        "rows_left": len(numbered) - len(drawn),
        "classes_left": max(0, classes - MOST_CLASSES),
        "blank": not all(bool(reached.all()) for reached in succeeded.values()),
    }


def _sources(
    node: xr.Dataset, drawn: Sequence[tuple[int, Mapping[str, Any]]]
) -> tuple[dict[str, xr.DataArray], dict[str, xr.DataArray]]:
    """Give the images by the titles of their rows, and which patterns reached their class."""
    sources = {"contrast": node["contrast"]} if "contrast" in node else {}
    succeeded = {}
    axes = grouped(node)
    names = _names([row for _, row in drawn])
    for (i, row), name in zip(drawn, names, strict=True):
        place = node.sel({axis: row[axis] for axis in axes})
        place = place.isel(seed=int(np.argmax(place["state"].values == "done")))
        title = f"{i} {name}".strip()
        sources[title], succeeded[title] = place["pattern"], place["succeeded"] == 1
    return sources, succeeded


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name rows by what differs between them, as far as there is room beside their numbers."""
    axes = [a for a in AXES[1:-1] if len({row[a] for row in rows if a in row}) > 1] or ["strategy"]
    while axes:
        names = [" ".join(printable(row[axis]) for axis in axes) for row in rows]
        if max(map(len, names)) + 3 <= _ROW_NAME:
            return names
        axes.remove(max(axes, key=lambda axis: max(len(printable(row[axis])) for row in rows)))
    return [""] * len(rows)
