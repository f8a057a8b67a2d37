"""From grids to cells, and to the items of work that cells are made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

from pncviz.exceptions import StudyError
from pncviz.study.config import AXES, Grid, Part, Study
from pncviz.study.identity import STANDARD, canonical, fingerprint, key_of, versions_of, written

__all__ = ["Cell", "Item", "Plan", "make_plan"]


#: The axes that a model depends on, besides its data.
_TRAINED = ("architecture", "optimizer", "trainer", "seed")


@dataclass(frozen=True)
class Item:
    """One piece of work: a contrast, a null, a model, or a cell.

    Attributes
    ----------
    kind : {"contrast", "null", "model", "cell"}
    identity : dict
        Everything that its result depends on.
    needs : dict of str to str
        Key of each item that must be there first, by its kind.
    """

    kind: str
    identity: dict[str, Any] = field(repr=False)
    needs: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name of its file."""
        return key_of(self.identity)

    @property
    def title(self) -> str:
        """What it is, for people."""
        parts = [self.identity[axis] for axis in AXES[:-1] if axis in self.identity]
        names = [written(part["name"], part["params"]) for part in parts]
        seed = [f"seed {self.identity['seed']}"] if "seed" in self.identity else []
        return f"{self.kind}: {', '.join(names + seed)}"


@dataclass(frozen=True)
class Cell:
    """One point of the grid: what the study calls it, and the key of its result."""

    at: dict[str, Any]
    key: str
    needs: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """All cells of a study, and every item of work behind them.

    Attributes
    ----------
    name : str
        Of the study.
    cells : list of Cell
        In the order of the file.
    items : dict of str to Item
        By key, what is needed before what needs it. Empty in a plan read from a folder.
    description : str
    """

    name: str
    cells: list[Cell]
    items: dict[str, Item] = field(default_factory=dict, repr=False)
    description: str = ""

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of results: no trainer, where all models are trained in the standard way."""
        plain = all(cell.at["trainer"] == STANDARD for cell in self.cells)
        return tuple(axis for axis in AXES if not (plain and axis == "trainer"))

    def to_json(self) -> str:
        """Keep what collecting needs: neither data nor torch is needed to read it."""
        cells = [asdict(cell) for cell in self.cells]
        return json.dumps({"name": self.name, "description": self.description, "cells": cells})

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Undo :meth:`to_json`."""
        raw = json.loads(text)
        cells = [Cell(**{**cell, "at": _at(cell["at"])}) for cell in raw["cells"]]
        return cls(raw["name"], cells, description=raw.get("description", ""))


def _at(labels: dict[str, Any]) -> dict[str, Any]:
    """Give a cell's place on every axis; older plans have no trainer."""
    return {axis: labels.get(axis, STANDARD) for axis in AXES}


def make_plan(study: Study) -> Plan:
    """Lay out all cells of a study, and what they need, with keys.

    Loads the datasets, since their sums are part of every key.

    Parameters
    ----------
    study : Study

    Returns
    -------
    Plan

    Raises
    ------
    StudyError
        Two grids that put different work in one place, or compare one dataset by other metrics.
    UnknownNameError, ParameterError, DatasetError
        A part that there is not, or data that cannot be read.
    """
    items: dict[str, Item] = {}
    cells: dict[str, Cell] = {}
    _check_metrics(study)
    for grid in study.grid:
        for point in _points(grid):
            at = {axis: getattr(part, "label", part) for axis, part in point.items()}
            parts = _items(grid, point)
            cell = parts[-1]
            items.update((item.key, item) for item in parts if item.key not in items)
            place = canonical(at)
            known = cells.setdefault(place, Cell(at, cell.key, cell.needs))
            if known.key != cell.key:
                raise StudyError(
                    f"Two grids of {study.name} put different work at "
                    f"{', '.join(f'{axis} {label}' for axis, label in at.items())}; name one of "
                    f"its parts otherwise by `as`."
                )
    return Plan(study.name, list(cells.values()), items, study.description)


def _check_metrics(study: Study) -> None:
    """Raise unless all results of a dataset will have the same metrics, and so one table."""
    known: dict[str, list[str]] = {}
    for grid in study.grid:
        for part in grid.dataset:
            metrics = known.setdefault(part.label, grid.comparison.metrics)
            if metrics != grid.comparison.metrics:
                raise StudyError(
                    f"Grids of {study.name} compare {part.label} by {', '.join(metrics)} and by "
                    f"{', '.join(grid.comparison.metrics)}; use the same metrics, or two studies."
                )


def _points(grid: Grid) -> Iterator[dict[str, Any]]:
    """Give every combination, the dataset slowest, so that each is loaded once."""
    for values in product(*(getattr(grid, axis) for axis in AXES)):
        yield dict(zip(AXES, values, strict=True))


def _items(grid: Grid, point: Mapping[str, Part | Any]) -> list[Item]:
    """Give what one cell needs, and the cell itself last."""
    config: dict[str, Any] = {a: getattr(part, "config", part) for a, part in point.items()}
    if config["trainer"] == Part(name=STANDARD).config:
        del config["trainer"]  # what was computed before there were others stays what it is
    tables = {name: getattr(grid, name).model_dump() for name in ("training", "extraction")}
    if tables["extraction"]["max_queries"] is None:
        del tables["extraction"]["max_queries"]  # likewise
    comparison = grid.comparison.model_dump()
    data = {"dataset": config["dataset"], "data": fingerprint(config["dataset"])}
    found = [_item("contrast", data | {"normalize": comparison["normalize"]})]
    if comparison["null"] != "none":
        drawn = {name: comparison[name] for name in ("null", "n_draws", "normalize")}
        found.append(_item("null", data | drawn | {"seed": config["seed"]}))
    trained = {axis: config[axis] for axis in _TRAINED if axis in config}
    found.append(_item("model", data | trained | {"training": tables["training"]}))
    whole = data | config | tables | {"comparison": comparison}
    found.append(_item("cell", whole, {item.kind: item.key for item in found}))
    return found


def _item(kind: str, config: dict[str, Any], needs: dict[str, str] | None = None) -> Item:
    identity = {"kind": kind, **config, "versions": versions_of(kind, config)}
    return Item(kind, identity, needs or {})
