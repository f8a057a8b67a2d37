"""The paper's figures again, from the collected results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from benchmarks.paper.between import STOPS
from benchmarks.paper.left_open import BASELINE, KNOBS
from benchmarks.paper.results import METHODS, SIMPLEST, Place, Results, emerged, name_of, title_of
from pncviz import PatternDisplay
from pncviz.displays.common import save_png

DPI = 80
#: Inches of an image's side, of ten in a row.
SIDE = 0.85
#: The class of Figure 2.
SHOWN = 5

#: Title, images (label, …), and which are drawn.
Row = tuple[str, xr.DataArray, xr.DataArray | None]


def draw(rows: list[Row], *, cell: float | None = None) -> Figure:
    """Draw rows of images."""
    sources = {title: images for title, images, _ in rows}
    shown = {title: drawn for title, _, drawn in rows if drawn is not None}
    return PatternDisplay(sources, succeeded=shown).plot(cell=cell).figure_


def _of_cell(title: str, cell: xr.Dataset | None) -> Iterator[Row]:
    if cell is not None:
        yield title, _scaled(cell), _drawn(cell)


def _scaled(cell: xr.Dataset) -> xr.DataArray:
    """Scale each pattern to its largest magnitude, as in the paper: only its contrasts count."""
    pattern = cell["pattern"].reset_coords(drop=True)
    largest = abs(pattern).max(("channel", "row", "column"))
    return pattern / largest.where(largest > 0, 1.0)


def _drawn(cell: xr.Dataset) -> xr.DataArray:
    return xr.DataArray(emerged(cell), dims="label", coords={"label": cell["label"]})


def _of_contrast(results: Results, place: Place, title: str = "PNC") -> Iterator[Row]:
    node = results.node(place)
    if node is not None and "contrast" in node:
        yield title, node["contrast"], None


def figure1(results: Results) -> list[Row]:
    """Contrasts, and patterns of the three methods, FC by SGD, seed 0."""
    place = results.layout.methods
    at = dict(zip(("architecture", "optimizer"), SIMPLEST, strict=True))
    rows = [
        row
        for method in METHODS
        for row in _of_cell(name_of(method), results.cell(place, strategy=method, **at))
    ]
    return [*_of_contrast(results, place), *rows] if rows else []


def figure2(results: Results) -> list[Row]:
    """One class at nine stops: a method in each row, its stops from left to right."""
    rows = []
    for method, labels in STOPS.items():
        cells = [
            next(results.cells(results.layout.stops, strategy=s, seed=0), None) for s in labels
        ]
        known = [cell for cell in cells if cell is not None]
        if len(known) < len(cells):
            continue
        letters = xr.IndexVariable("label", ["a", "b", "c"])
        images, drawn = (
            xr.concat([value(cell).sel(label=SHOWN, drop=True) for cell in known], letters)
            for value in (_scaled, _drawn)
        )
        rows.append((method, images, drawn))
    return rows


def models(results: Results, place: Place, strategy: str) -> list[Row]:
    """Contrasts, and patterns of every model, seed 0."""
    rows = []
    for model in results.layout.expected:
        at = dict(zip(("architecture", "optimizer"), model, strict=True))
        rows += _of_cell(title_of(model), results.cell(place, strategy=strategy, **at))
    return [*_of_contrast(results, place), *rows] if rows else []


def patches(results: Results, place: Place) -> list[Row]:
    """Class images, contrasts and patterns of a dummy dataset, seed 0."""
    node = results.node(place)
    if node is None or "positive_mean" not in node:
        return []
    rows = [("class", node["positive_mean"], None), *_of_contrast(results, place)]
    for method in METHODS:
        cell = next(results.cells(place, strategy=method, seed=0), None)
        rows += _of_cell(name_of(method), cell)
    return rows


def settings(results: Results, place: Place) -> list[Row]:
    """Contrasts, and zero patterns of FC at every setting of the open questions, seed 0."""
    rows: dict[str, Row] = {}
    for _, axis, labels in KNOBS:
        for label in labels:
            at = {"architecture": "fc"} | BASELINE | {axis: label}
            cell = results.cell(place, **at)
            title = "usual" if at | BASELINE == at else label
            rows.update((row[0], row) for row in _of_cell(title, cell) if row[0] not in rows)
    usual = [rows.pop("usual")] if "usual" in rows else []
    found = [*usual, *rows.values()]
    return [*_of_contrast(results, place), *found] if found else []


def plans(results: Results) -> dict[str, Callable[[Results], list[Row]]]:
    """Say which pictures a page has, by their names."""
    layout = results.layout
    found: dict[str, Callable[[Results], list[Row]]] = {"figure1": figure1}
    if layout.stops is not None:
        found["figure2"] = figure2
    for number, place in enumerate(layout.models, start=3):
        for strategy in ("zero", "noise"):
            name = f"figure{number}-{strategy}"
            found[name] = partial(models, place=place, strategy=strategy)
    for place in layout.patches:
        number = 5 if place[1] == "tiling" else 6
        corners = "-corners" if "corners" in place[1] else ""
        found[f"figure{number}{corners}"] = partial(patches, place=place)
    for place in layout.open[:1]:
        found["open"] = partial(settings, place=place)
    return found


def save_figures(results: Results, folder: Path) -> dict[str, str]:
    """Draw what there is, and give the files' names by the figures'; "" where nothing was run."""
    names = {}
    for name, rows_of in plans(results).items():
        rows = rows_of(results)
        file = folder / f"paper-{name}.png"
        names[name] = file.name if rows else ""
        if rows:
            save_png(draw(rows, cell=SIDE if len(rows[0][1]) > 4 else 1.2), file, dpi=DPI)
        else:
            file.unlink(missing_ok=True)  # of an earlier page
    return names
