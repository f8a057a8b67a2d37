"""Patterns beside patterns: of methods, stops, models and classes, and what models say of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from benchmarks.paper.results import (
    METHODS,
    METRIC,
    SIMPLEST,
    Place,
    Results,
    emerged,
    flat,
    name_of,
    reached,
)
from pncviz import similarity_matrix

Numbers = dict[str, float]
#: By the case's name; None where nothing of it was run.
Cases = dict[str, Numbers | None]
Pair = tuple[xr.Dataset, xr.Dataset]

#: From here on the patterns of two classes count as one pattern.
SHARED = 0.5

#: The stops of Figure 2, the strictest last.
STOPS = {
    "zero": ("zero, confidence .8", "zero, confidence .9", "zero, confidence .99"),
    "noise": ("noise, loss 1", "noise, loss 1e-2", "noise, loss 1e-4"),
    "AAI": ("aai of 10", "aai of 100", "aai of 1000"),
}


def correlations(a: xr.Dataset, b: xr.Dataset) -> NDArray[np.float64]:
    """Compare each pattern of a cell with each of another; NaN where one is blank."""
    rows, columns = emerged(a), emerged(b)
    r = np.full((len(rows), len(columns)), np.nan)
    if rows.any() and columns.any():
        told = similarity_matrix(flat(a["pattern"])[rows], flat(b["pattern"])[columns])
        r[np.ix_(rows, columns)] = told
    return r


def alike(pairs: Iterable[Pair]) -> Numbers | None:
    """Say how alike patterns of the same class are, beside patterns of different classes."""
    same: list[float] = []
    other: list[float] = []
    found: list[bool] = []
    for a, b in pairs:
        r = correlations(a, b)
        own = np.diag(r)
        known = np.isfinite(own)
        same += own[known].tolist()
        apart = r[~np.eye(len(r), dtype=bool)]
        other += apart[np.isfinite(apart)].tolist()
        for table in (r, r.T):
            found += (own[known] >= np.nanmax(table[known], axis=1)).tolist() if known.any() else []
    if not same or not other:
        return None
    return {
        "mean": float(np.mean(same)),
        "least": min(same),
        "other": float(np.mean(other)),
        "most_other": max(other),
        "nearest": float(np.mean(found)),
        "n": len(same),
    }


def methods(results: Results) -> Cases:
    """Patterns of the three methods, of the same model."""
    place = results.layout.methods
    model = dict(zip(("architecture", "optimizer"), SIMPLEST, strict=True))
    pairs = []
    for seed in results.seeds(place):
        cells = [results.cell(place, strategy=m, seed=seed, **model) for m in METHODS]
        pairs += combinations([cell for cell in cells if cell is not None], 2)
    return {"FC, SGD": alike(pairs)}


def confidence(results: Results) -> Cases:
    """What the model says of the examples, and of the patterns themselves."""
    place = results.layout.methods
    model = dict(zip(("architecture", "optimizer"), SIMPLEST, strict=True))
    cases: Cases = {}
    for method in METHODS:
        told = []
        for cell in results.cells(place, strategy=method, **model):
            right = cell["pattern_prediction"].values == cell["label"].values
            values = (reached(cell), cell["confidence"].values, right)
            told.append((*values, cell["pattern_confidence"].values))
        if not told:
            cases[name_of(method)] = None
            continue
        succeeded, sure, right, itself = (np.concatenate(v) for v in zip(*told, strict=True))
        cases[name_of(method)] = {
            "reached": float(np.mean(succeeded)),
            "least": float(np.min(sure)),
            "right": float(np.mean(right)),
            "itself": float(np.min(itself)),
            "n": len(succeeded),
        }
    return cases


def stops(results: Results, which: tuple[str, ...]) -> Cases:
    """Patterns at the looser stops beside those at the strictest one."""
    place = results.layout.stops
    cases: Cases = {}
    for method in which:
        *looser, strictest = STOPS[method]
        last = {cell["seed"].item(): cell for cell in results.cells(place, strategy=strictest)}
        told = []
        for label in looser:
            pairs = [
                (cell, last[cell["seed"].item()])
                for cell in results.cells(place, strategy=label)
                if cell["seed"].item() in last
            ]
            numbers = alike(pairs)
            if numbers is not None:
                numbers["expected"] = _expected(pairs)
                numbers["blank"] = sum(int((~emerged(cell)).sum()) for cell, _ in pairs)
            told.append(numbers)
        cases[method] = _both(told)
    return cases


def _expected(pairs: list[Pair]) -> float:
    """Mean r that patterns would have, were they alike but for their reliabilities."""
    both = [np.sqrt(_reliability(a) * _reliability(b)) for a, b in pairs]
    known = np.concatenate(both) if both else np.array([np.nan])
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else float("nan")


def _reliability(cell: xr.Dataset) -> NDArray[np.float64]:
    if "pattern_reliability" not in cell:
        return np.full(cell.sizes["label"], np.nan)
    return np.clip(cell["pattern_reliability"].sel(metric=METRIC).values, 0, 1)


def _both(told: list[Numbers | None]) -> Numbers | None:
    """Put what the two looser stops gave side by side."""
    first, second = told
    if first is None or second is None:
        return None
    return {
        "first": first["mean"],
        "first_least": first["least"],
        "first_expected": first["expected"],
        "second": second["mean"],
        "second_least": second["least"],
        "second_expected": second["expected"],
        "other": second["other"],
        "blank": first["blank"],
    }


def pace(results: Results) -> Cases:
    """How many times the updates of the fastest class the slowest needs, to the same stop."""
    cases: Cases = {}
    for method in ("zero", "noise"):
        for label in STOPS[method]:
            ratios = []
            for cell in results.cells(results.layout.stops, strategy=label):
                n = cell["n_iter"].values[reached(cell)]
                ratios += [float(n.max() / max(n.min(), 1))] if len(n) else []
            cases[label] = {"ratio": float(np.median(ratios))} if ratios else None
    return cases


def _first_seed(results: Results, place: Place, strategy: str) -> Iterator[xr.Dataset]:
    for architecture, optimizer in results.layout.expected:
        at = {"architecture": architecture, "optimizer": optimizer, "strategy": strategy}
        cell = results.cell(place, **at)
        if cell is not None:
            yield cell


def models(results: Results) -> Cases:
    """Patterns of the same class from different models."""
    cases: Cases = {}
    for place in results.layout.models:
        by_method = [list(_first_seed(results, place, method)) for method in ("zero", "noise")]
        numbers = alike(pair for cells in by_method for pair in combinations(cells, 2))
        if numbers is not None:
            numbers["done"] = max(map(len, by_method))
            numbers["of"] = len(results.layout.expected)
        cases[name_of(place[1])] = numbers
    return cases


def unique(results: Results) -> Cases:
    """Patterns of different classes from the same model."""
    cases: Cases = {}
    for place in results.layout.models:
        r: list[float] = []
        for method in ("zero", "noise"):
            for cell in _first_seed(results, place, method):
                table = correlations(cell, cell)
                r += table[np.triu_indices(len(table), 1)].tolist()
        known = np.array([value for value in r if np.isfinite(value)])
        cases[name_of(place[1])] = (
            {
                "mean": float(known.mean()),
                "most": float(known.max()),
                "shared": float(np.mean(known >= SHARED)),
                "n": len(known),
            }
            if len(known)
            else None
        )
    return cases
