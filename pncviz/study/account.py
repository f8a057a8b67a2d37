"""What a folder tells of a study before any result is read: what is done, what is not, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pncviz.dataset import printable
from pncviz.study.config import AXES
from pncviz.study.folder import Folder
from pncviz.study.identity import STANDARD, canonical
from pncviz.study.manifest import Line
from pncviz.study.plan import Cell, Plan

__all__ = ["STATES", "duration", "failures", "made", "missing", "places", "state_of", "states"]

#: What may have become of a cell.
STATES = ("done", "failed", "missing")
#: A point of the grid over all its seeds.
_PLACE = AXES[:-1]
_STANDARD = {"name": STANDARD, "params": {}}
_SETTINGS = ("training", "extraction", "comparison")


def state_of(folder: Folder, cell: Cell) -> str:
    """Say what became of a cell, as :func:`~pncviz.study.collect_study` does."""
    if cell.key in folder.manifest.lines:
        return "done"
    return "failed" if folder.failure(cell.key) else "missing"


def states(folder: Folder, plan: Plan) -> dict[str, dict[str, int]]:
    """Count each dataset's cells by what became of them."""
    counts: dict[str, dict[str, int]] = {}
    for cell in plan.cells:
        count = counts.setdefault(cell.at["dataset"], dict.fromkeys(STATES, 0))
        count[state_of(folder, cell)] += 1
    return counts


def places(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Give each combination once: a printable label per axis, and under ``seeds`` which seeds.

    Examples
    --------
    >>> at = dict(zip(AXES, ["digits", "fc", "sgd", "standard", "zero", "gradient_descent", 0]))
    >>> cells = [Cell(at | {"seed": seed}, f"key{seed}", {}) for seed in (0, 1)]
    >>> places(cells)[0]["strategy"], places(cells)[0]["seeds"]
    ('zero', '0, 1')
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        seeds = found.setdefault(tuple(cell.at[axis] for axis in _PLACE), [])
        seeds.append(str(cell.at["seed"]))
    return [
        {**dict(zip(_PLACE, map(printable, place), strict=True)), "seeds": ", ".join(seeds)}
        for place, seeds in found.items()
    ]


def missing(folder: Folder, plan: Plan) -> list[dict[str, Any]]:
    """Give the :func:`places` of cells that are neither finished nor failed."""
    return places(cell for cell in plan.cells if state_of(folder, cell) == "missing")


def failures(folder: Folder, plan: Plan) -> list[dict[str, Any]]:
    """List what failed once, with the cells that wait for it.

    A cell whose model failed is listed with the model, not by itself.

    Returns
    -------
    list of dict
        ``title``, ``key``, ``message``, ``traceback`` and ``cells``, as :func:`places` gives them.
    """
    waiting: dict[str, list[Cell]] = {}
    for cell in plan.cells:
        if cell.key in folder.manifest.lines:
            continue
        needs = [key for key in cell.needs.values() if key not in folder.manifest.lines]
        for key in [key for key in needs if folder.failure(key)] or [cell.key]:
            waiting.setdefault(key, []).append(cell)
    records = ((key, folder.failure(key), cells) for key, cells in waiting.items())
    return [_failure(key, record, cells) for key, record, cells in records if record]


def _failure(key: str, record: Mapping[str, Any], cells: list[Cell]) -> dict[str, Any]:
    trace = str(record.get("traceback") or "").rstrip("\n")
    return {
        "title": printable(record.get("title", "what it was is not on record")),
        "key": key,
        "message": printable(" ".join(str(record.get("message", "")).split())),
        "traceback": "\n".join(printable(line) for line in trace.split("\n")),
        "cells": places(cells),
    }


# ------------------------------------------------------------------------------ how it was made


def made(folder: Folder, plan: Plan) -> dict[str, Any]:
    """Read off the manifest what the finished items of a study are the results of.

    Returns
    -------
    dict
        ``versions`` (name to versions), ``seeds``, ``parts`` (axis, label, what it is, in which
        datasets), ``settings`` (title and JSON), ``files`` (axes and file of each finished cell),
        and ``time``, what all of it took.
    """
    lines = folder.manifest.lines
    cells = [cell for cell in plan.cells if cell.key in lines]
    keys = dict.fromkeys(key for cell in cells for key in (*cell.needs.values(), cell.key))
    items = [lines[key] for key in keys if key in lines]
    return {
        "versions": _versions(items),
        "seeds": ", ".join(str(seed) for seed in dict.fromkeys(c.at["seed"] for c in plan.cells)),
        "parts": _parts(plan.axes[:-1], cells, lines),
        "settings": _settings(cells, lines),
        "files": [
            {**{axis: printable(cell.at[axis]) for axis in AXES}, "file": lines[cell.key].file}
            for cell in cells
        ],
        "time": duration(sum(line.seconds for line in items)),
    }


def _versions(items: Iterable[Line]) -> dict[str, str]:
    """Give every version that finished items record; more than one if it changed between them."""
    found: dict[str, dict[str, None]] = {}
    for line in items:
        for name, version in line.identity.get("versions", {}).items():
            found.setdefault(printable(name), {})[printable(version)] = None
    return {name: ", ".join(versions) for name, versions in sorted(found.items())}


def _parts(
    axes: Sequence[str], cells: list[Cell], lines: Mapping[str, Line]
) -> list[dict[str, str]]:
    """Say what the labels of the grid stand for; one may stand for two things in two datasets."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for cell in cells:
        for axis in axes:
            # An identity says nothing of the standard trainer.
            what = _written(lines[cell.key].identity.get(axis, _STANDARD))
            dataset = printable(cell.at["dataset"])
            found.setdefault((axis, printable(cell.at[axis]), what), {})[dataset] = None
    rows = [
        {"axis": axis, "label": label, "what": what, "datasets": ", ".join(datasets)}
        for (axis, label, what), datasets in found.items()
    ]
    return sorted(rows, key=lambda row: _PLACE.index(row["axis"]))


def _written(part: Mapping[str, Any]) -> str:
    params = ", ".join(f"{key} = {canonical(v)}" for key, v in sorted(part["params"].items()))
    return printable(f"{part['name']} with {params}" if params else part["name"])


def _settings(cells: list[Cell], lines: Mapping[str, Line]) -> list[dict[str, str]]:
    """Write out training, extraction and comparison, with the datasets that each holds for."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for table in _SETTINGS:
        for cell in cells:
            text = json.dumps(lines[cell.key].identity[table], indent=2, ensure_ascii=False)
            found.setdefault((table, text), {})[printable(cell.at["dataset"])] = None
    return [
        {
            "title": f"{table} of {', '.join(datasets)}",
            "text": "\n".join(printable(line) for line in text.split("\n")),
        }
        for (table, text), datasets in found.items()
    ]


def duration(seconds: float) -> str:
    """Write a time as people say it.

    Examples
    --------
    >>> duration(0.0), duration(42.4), duration(600.0), duration(9000.0)
    ('not on record', '42 s', '10 min', '2.5 h')
    """
    if not seconds:  # adopted files only: who made them did not say
        return "not on record"
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
