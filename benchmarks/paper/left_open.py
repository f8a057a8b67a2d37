"""What the paper leaves open: pixels that never vary, learning rates, weight decay, losses."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from benchmarks.paper.between import alike, correlations
from benchmarks.paper.results import Place, Results, emerged, flat
from pncviz import similarity_matrix

#: A pixel hardly varies where no class's mean exceeds this share of its brightest pixel's.
FAINT = 0.01

#: Of the open questions: title, the axis, and its settings from small to large.
KNOBS = (
    (
        "The attack's learning rate (its step)",
        "attack",
        {"step .01": "step .01", "step .1": "step .1", "gradient_descent": "step 1 (the paper's)"},
    ),
    (
        "The attack's loss",
        "attack",
        {"gradient_descent": "cross-entropy", "squared error": "squared error"},
    ),
    (
        "The learning rate of training",
        "optimizer",
        {"lr .005": "lr .005", "lr .02": "lr .02 (as in Table 1)", "lr .1": "lr .1"},
    ),
    (
        "The weight decay of training",
        "optimizer",
        {
            "lr .02": "none (as in Table 1)",
            "decay 1e-4": "1e-4",
            "decay 1e-3": "1e-3",
            "decay 1e-2": "1e-2",
        },
    ),
)
DECAYS = KNOBS[-1][-1]
#: What the others are beside.
BASELINE = {"optimizer": "lr .02", "attack": "gradient_descent"}


def masks(node: xr.Dataset) -> dict[str, NDArray[np.bool_]]:
    """Say which pixels never vary over the samples, and which hardly do.

    A pixel without contrast in any class, and with the same mean in all, does not vary.
    """
    contrast, mean = flat(node["contrast"]), flat(node["positive_mean"])
    never = (contrast == 0).all(axis=0) & (mean == mean[0]).all(axis=0)
    return {"never": never, "hardly": (mean <= FAINT).all(axis=0)}


def facts(results: Results, place: Place, model: tuple[str, str]) -> dict[str, Any] | None:
    """Count a dataset's pixels, and give the numbers of one model."""
    at = dict(zip(("architecture", "optimizer"), model, strict=True))
    told, node = pixels(results, place, **at), results.node(place)
    if told is None or node is None:
        return None
    counts = {f"n_{name}": int(mask.sum()) for name, mask in masks(node).items()}
    return {**told, **counts, "n": node["contrast"][0].size}


def pixels(results: Results, place: Place, **at: Any) -> dict[str, float] | None:
    """Say what a model's zero patterns owe to pixels that never, or hardly, vary; and to the seed.

    Of the patterns that emerged; None where nothing was run.
    """
    node = results.node(place)
    cells = list(results.cells(place, strategy="zero", attack=BASELINE["attack"], **at))
    if node is None or "contrast" not in node or not cells:
        return None
    contrast, told = flat(node["contrast"]), {name: [np.array([])] for name in _PIXELS}
    for cell in cells:
        there = emerged(cell)
        pattern, own = flat(cell["pattern"])[there], contrast[there]
        energy = (pattern**2).sum(axis=1)
        told["all"].append(_paired(pattern, own))
        for name, mask in masks(node).items():
            told[f"without_{name}"].append(_paired(pattern[:, ~mask], own[:, ~mask]))
            told[f"energy_{name}"].append((pattern[:, mask] ** 2).sum(axis=1) / energy)
    seeds = alike(pair for pair in combinations(cells, 2))
    found = {name: _mean(np.concatenate(values)) for name, values in told.items()}
    return {**found, "seeds": seeds["mean"] if seeds else float("nan")}


_PIXELS = ("all", "without_never", "without_hardly", "energy_never", "energy_hardly")


def _paired(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compare the images of two stacks one by one."""
    return np.diag(similarity_matrix(a, b)) if len(a) else np.array([])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def to_baseline(results: Results, place: Place, **at: str) -> float | None:
    """Give the mean r of a setting's patterns with the usual setting's, same class and seed."""
    r: list[float] = []
    for cell in results.cells(place, strategy="zero", **(BASELINE | at)):
        usual = results.cell(place, architecture="fc", seed=cell["seed"].item(), **BASELINE)
        if usual is not None:
            r += np.diag(correlations(cell, usual)).tolist()
    return float(np.nanmean(r)) if np.isfinite(r).any() else None


def with_class_image(results: Results, place: Place, method: str) -> float | None:
    """Give the mean r of a dummy dataset's patterns with the class images."""
    node = results.node(place)
    if node is None or "positive_mean" not in node:
        return None
    images, r = flat(node["positive_mean"]), [np.array([])]
    for cell in results.cells(place, strategy=method):
        there = emerged(cell)
        r.append(_paired(flat(cell["pattern"])[there], images[there]))
    found = _mean(np.concatenate(r))
    return None if np.isnan(found) else found


def extremes(
    results: Results, place: Place, axis: str, settings: dict[str, str]
) -> dict[str, Any] | None:
    """Say at which setting the similarity is greatest, and at which least."""
    found = {
        title: row
        for label, title in settings.items()
        if (row := results.row(place, **{**BASELINE, axis: label})) is not None
    }
    if len(found) < 2:
        return None
    r = {title: row["similarity"] for title, row in found.items()}
    best, worst = max(r, key=r.__getitem__), min(r, key=r.__getitem__)
    return {
        "best": best,
        "most": r[best],
        "worst": worst,
        "least": r[worst],
        "hits": min(row["hits"] for row in found.values()),
        "succeeded": min(row["succeeded"] for row in found.values()),
        "complete": len(found) == len(settings),
    }
