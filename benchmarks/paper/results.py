"""What the studies of one folder found, by the place that it has on the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from benchmarks.paper.work import Work, read_work
from pncviz.study import collect_study, summarize_study
from pncviz.study.tables import rows_of

METRIC = "pearson"
#: What a cell has unless said otherwise.
USUAL = {"strategy": "zero", "attack": "gradient_descent", "seed": 0}

#: (study, dataset)
Place = tuple[str, str]

NAMES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "fc": "FC",
    "cnn": "CNN",
    "cnn + batch norm": "CNN BN",
    "sgd": "SGD",
    "adam": "Adam",
    "aai": "AAI",
    "gradient_descent": "step 1, cross-entropy",
}

#: Architecture, optimizer; in the order of the paper's Table 1.
MODELS = (
    ("fc", "sgd"),
    ("fc", "adam"),
    ("cnn", "sgd"),
    ("cnn", "adam"),
    ("cnn + batch norm", "sgd"),
    ("cnn + batch norm", "adam"),
)
SIMPLEST = MODELS[0]
METHODS = ("zero", "noise", "aai")


def name_of(label: str) -> str:
    """Give a label as people write it."""
    return NAMES.get(label, label)


def title_of(model: tuple[str, str]) -> str:
    """Give a model's title, such as "FC, SGD"."""
    return ", ".join(map(name_of, model))


@dataclass(frozen=True)
class Layout:
    """Where each part of the page comes from.

    Attributes
    ----------
    files : tuple of str
        Study files to run, without ``.toml``.
    methods, stops : (study, dataset) or None
        Figures 1 and 2.
    models : tuple of (study, dataset)
        Table 1, Figures 3 and 4.
    patches : tuple of (study, dataset)
        Figures 5 and 6.
    open : tuple of (study, dataset)
        What the paper leaves open.
    expected : tuple of (architecture, optimizer)
        Models of Table 1.
    """

    files: tuple[str, ...]
    methods: Place
    stops: Place | None
    models: tuple[Place, ...]
    patches: tuple[Place, ...]
    open: tuple[Place, ...] = ()
    expected: tuple[tuple[str, str], ...] = MODELS


FULL = Layout(
    files=("figure5", "figure1", "figure2", "table1", "open"),
    methods=("figure1", "mnist"),
    stops=("figure2", "mnist"),
    models=(("table1", "mnist"), ("table1", "fashion_mnist")),
    patches=tuple(("figure5", name) for name in ("tiling", "overlapping", "overlapping corners")),
    open=(("open", "mnist"), ("open", "fashion_mnist")),
)
QUICK = Layout(
    files=("quick",),
    methods=("quick", "digits"),
    stops=None,
    models=(("quick", "digits"),),
    patches=(("quick", "tiling"), ("quick", "overlapping")),
    expected=MODELS[:4],
)


@dataclass(frozen=True)
class Results:
    """Collected trees and what making them took.

    Attributes
    ----------
    layout : Layout
    trees : dict of str to xarray.DataTree
        By study; those of which something is finished.
    work : Work
    """

    layout: Layout
    trees: dict[str, xr.DataTree]
    work: Work
    _rows: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict, repr=False)

    def node(self, place: Place | None) -> xr.Dataset | None:
        """Give all cells of a study's dataset; None if none is finished."""
        if place is None or place[0] not in self.trees:
            return None
        tree = self.trees[place[0]]
        if place[1] not in tree.children:
            return None
        node = tree[place[1]].to_dataset()
        return node if "pattern" in node else None

    def cell(self, place: Place | None, **at: Any) -> xr.Dataset | None:
        """Give one cell, named by its labels; None unless it is finished."""
        return next(self.cells(place, **(USUAL | at)), None)

    def cells(self, place: Place | None, **at: Any) -> Iterator[xr.Dataset]:
        """Give every finished cell that has these labels."""
        node = self.node(place)
        if node is None or any(value not in node[axis].values for axis, value in at.items()):
            return
        axes = ("architecture", "optimizer", "strategy", "attack", "seed")
        node = node.sel({axis: [value] for axis, value in at.items()})
        for where in np.argwhere((node["state"] == "done").transpose(*axes).values):
            yield node.isel(dict(zip(axes, where.tolist(), strict=True)))

    def rows(self, place: Place | None, metric: str = METRIC) -> list[dict[str, Any]]:
        """Give the table of a study's dataset: a row per model, strategy and attack."""
        node = self.node(place)
        if place is None or node is None or metric not in node["metric"].values:
            return []
        key = (place[0], metric)
        if key not in self._rows:
            whole = self.trees[place[0]]
            told = {name: node for name, node in whole.items() if "pattern" in node}
            tree = xr.DataTree.from_dict(told)
            tree.attrs = dict(whole.attrs)
            self._rows[key] = list(rows_of(summarize_study(tree), metric))
        return [row for row in self._rows[key] if row["dataset"] == place[1] and row["n_seeds"]]

    def row(self, place: Place | None, **at: str) -> dict[str, Any] | None:
        """Give one row of the table; None if nothing of it is finished."""
        for row in self.rows(place):
            if all(row[axis] == value for axis, value in at.items()):
                return row
        return None

    def seeds(self, place: Place | None) -> list[int]:
        """Give the seeds of a study's dataset."""
        node = self.node(place)
        return [] if node is None else node["seed"].values.tolist()


def read_results(out: Any, layout: Layout) -> Results:
    """Collect what is finished of a layout's studies.

    Raises
    ------
    StudyError
        Not a study's folder.
    ResultError
        A file is damaged.
    """
    work = read_work(out, layout.files)
    begun = [name for name in layout.files if work.cells.get(name, (0, 0))[0]]
    return Results(layout, {name: collect_study(out, name) for name in begun}, work)


def flat(images: xr.DataArray) -> NDArray[np.float64]:
    """Give images as (label, pixel)."""
    return images.values.astype(np.float64).reshape(len(images), -1)


def reached(cell: xr.Dataset) -> NDArray[np.bool_]:
    """Say which patterns reached their class; NaN did not."""
    return np.asarray(cell["succeeded"].values == 1)


def emerged(cell: xr.Dataset) -> NDArray[np.bool_]:
    """Say which patterns reached their class by a change: some starts are there at once."""
    return reached(cell) & (np.ptp(flat(cell["pattern"]), axis=1) > 0)
