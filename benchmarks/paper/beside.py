"""Patterns beside contrasts and class images; Table 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.paper.between import Cases
from benchmarks.paper.results import (
    METHODS,
    METRIC,
    SIMPLEST,
    Place,
    Results,
    emerged,
    flat,
    name_of,
)
from pncviz import similarity_matrix

SIGNIFICANT = 0.05
#: The paper's Table 1: accuracy and loss by dataset and model.
PAPER = {
    ("mnist", "fc", "sgd"): (0.95, 0.19),
    ("mnist", "fc", "adam"): (0.98, 0.07),
    ("mnist", "cnn", "sgd"): (0.93, 0.24),
    ("mnist", "cnn", "adam"): (0.99, 0.05),
    ("mnist", "cnn + batch norm", "sgd"): (0.99, 0.03),
    ("mnist", "cnn + batch norm", "adam"): (0.98, 0.06),
    ("fashion_mnist", "fc", "sgd"): (0.85, 0.42),
    ("fashion_mnist", "fc", "adam"): (0.88, 0.33),
    ("fashion_mnist", "cnn", "sgd"): (0.84, 0.45),
    ("fashion_mnist", "cnn", "adam"): (0.92, 0.24),
    ("fashion_mnist", "cnn + batch norm", "sgd"): (0.92, 0.22),
    ("fashion_mnist", "cnn + batch norm", "adam"): (0.92, 0.25),
}
#: Accuracies that differ by no more are the same; the paper gives two digits.
CLOSE = 0.02


def model_rows(results: Results, place: Place) -> Iterator[dict[str, Any]]:
    """Give the table's rows of the models of Table 1, with ``model``, in the paper's order."""
    for model in results.layout.expected:
        for method in ("zero", "noise"):
            at = {"architecture": model[0], "optimizer": model[1], "strategy": method}
            row = results.row(place, attack="gradient_descent", **at)
            if row is not None:
                yield {**row, "model": model}


def _mean(rows: Iterable[dict[str, Any]], key: str) -> float:
    values = [row[key] for row in rows]
    return float(np.mean(values)) if values else float("nan")


def clarity(results: Results) -> Cases:
    """Own-class similarity, from the simplest models to the most complex."""
    steps = {"fc_sgd": [("fc", "sgd")], "fc_adam": [("fc", "adam")]}
    steps["cnn"] = [("cnn", "sgd"), ("cnn", "adam")]
    steps["norm"] = [("cnn + batch norm", "sgd"), ("cnn + batch norm", "adam")]
    cases: Cases = {}
    for place in results.layout.models:
        rows = list(model_rows(results, place))
        told = {
            step: _mean((row for row in rows if row["model"] in which), "similarity")
            for step, which in steps.items()
        }
        done = sum(map(np.isfinite, told.values()))
        of = sum(bool(set(which) & set(results.layout.expected)) for which in steps.values())
        cases[name_of(place[1])] = {**told, "done": done, "of": of} if done > 1 else None
    return cases


def resemblance(results: Results) -> Cases:
    """Patterns of each model beside the contrasts, against chance."""
    cases: Cases = {}
    for place in results.layout.models:
        rows = list(model_rows(results, place))
        if not rows:
            cases[name_of(place[1])] = None
            continue
        beyond = [value for row in rows if (value := beyond_null(results, place, row)) is not None]
        cases[name_of(place[1])] = {
            "identified": sum(row["identification_p"] < SIGNIFICANT for row in rows),
            "n": len(rows),
            "done": len(rows),
            "of": 2 * len(results.layout.expected),
            "hits": _mean(rows, "hits"),
            "least_hits": min(row["least_hits"] for row in rows),
            "classes": rows[0]["n_classes"],
            "beyond": float(np.mean(beyond)) if beyond else float("nan"),
        }
    return cases


def beyond_null(results: Results, place: Place, row: dict[str, Any]) -> float | None:
    """Give the share of a row's patterns with q < .05; None where no null was drawn."""
    axes = ("architecture", "optimizer", "strategy", "attack")
    cells = list(results.cells(place, **{axis: row[axis] for axis in axes}))
    q = [cell["q"].sel(metric=METRIC).values for cell in cells if "q" in cell]
    if not q or np.isnan(q).all():
        return None
    return float(np.mean(np.concatenate(q) < SIGNIFICANT))


def striking(results: Results) -> Cases:
    """Own-class similarity of the simplest model."""
    cases: Cases = {}
    for place in results.layout.models:
        rows = [row for row in model_rows(results, place) if row["model"] == SIMPLEST]
        cases[name_of(place[1])] = (
            {
                "mean": _mean(rows, "similarity"),
                "ceiling": _mean(rows, "share_of_ceiling"),
                "hits": _mean(rows, "hits"),
                "classes": rows[0]["n_classes"],
            }
            if rows
            else None
        )
    return cases


def blanks(results: Results) -> Cases:
    """Patterns that did not reach their class."""
    cases: Cases = {}
    for place in results.layout.models:
        rows = list(model_rows(results, place))
        of = 2 * len(results.layout.expected)
        share = [row["succeeded"] for row in rows]
        n = [row["n_classes"] * row["n_seeds"] for row in rows]
        failed = [round((1 - s) * m) for s, m in zip(share, n, strict=True)]
        both = zip(failed, rows, strict=True)
        simplest = sum(f for f, row in both if row["model"] == SIMPLEST)
        cases[name_of(place[1])] = (
            {
                "failed": sum(failed),
                "n": sum(n),
                "done": len(rows),
                "of": of,
                "simplest": simplest,
            }
            if rows
            else None
        )
    return cases


def accuracies(results: Results) -> list[dict[str, Any]]:
    """Give Table 1: a row per model and dataset that the page expects, run or not."""
    rows = []
    for place in results.layout.models:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in model_rows(results, place):
            found.setdefault(row["model"], row)
        for model in results.layout.expected:
            told = found.get(model, {})
            paper = PAPER.get((place[1], *model), (None, None))
            row = {"dataset": place[1], "model": model, "seeds": told.get("n_seeds")}
            row["epochs"] = _epochs(results, place, model)
            row |= {"accuracy": told.get("test_accuracy"), "loss": told.get("test_loss")}
            rows.append(row | {"paper_accuracy": paper[0], "paper_loss": paper[1]})
    return rows


def _epochs(results: Results, place: Place, model: tuple[str, str]) -> float | None:
    at = dict(zip(("architecture", "optimizer"), model, strict=True))
    cells = results.cells(place, strategy="zero", **at)
    epochs = [cell["epochs"].item() for cell in cells if "epochs" in cell]
    return float(np.mean(epochs)) if epochs else None


def table1(results: Results) -> Cases:
    """How far accuracies are from the paper's."""
    cases: Cases = {}
    for place in results.layout.models:
        rows = [row for row in accuracies(results) if row["dataset"] == place[1]]
        known = [row for row in rows if row["accuracy"] is not None and row["paper_accuracy"]]
        off = [abs(row["accuracy"] - row["paper_accuracy"]) for row in known]
        close = sum(difference <= CLOSE for difference in off)
        told = {"close": close, "n": len(off), "done": len(off), "of": len(rows)}
        cases[name_of(place[1])] = told | {"most": max(off)} if off else None
    return cases


def patches(results: Results, name: str) -> Cases:
    """Patterns of a dummy dataset beside the class images and beside the contrasts."""
    place = next((p for p in results.layout.patches if p[1] == name), None)
    node = results.node(place)
    own: list[float] = []
    contrast: list[float] = []
    for method in METHODS:
        for cell in results.cells(place, strategy=method):
            own += _own(cell, node["positive_mean"])
            contrast += _own(cell, node["contrast"])
    if not own:
        return {name: None}
    told = {"image": float(np.mean(own)), "least_image": min(own), "n": len(own)}
    told |= {"contrast": float(np.mean(contrast)), "least_contrast": min(contrast)}
    told["closer"] = float(np.mean(np.array(contrast) > np.array(own)))
    return {name: told}


def _own(cell: xr.Dataset, images: xr.DataArray) -> list[float]:
    """Compare a cell's patterns with one image per class, in the same order."""
    there = emerged(cell)
    if not there.any():
        return []
    r = similarity_matrix(flat(cell["pattern"])[there], flat(images)[there])
    return np.diag(r).tolist()


def contrasts(results: Results, names: tuple[str, ...]) -> Cases:
    """Contrasts of the dummy datasets beside the class images."""
    cases: Cases = {}
    for place in results.layout.patches:
        if place[1] not in names:
            continue
        node = results.node(place)
        if node is None:
            cases[place[1]] = None
            continue
        r = np.diag(similarity_matrix(flat(node["contrast"]), flat(node["positive_mean"])))
        cases[place[1]] = {
            "mean": float(r.mean()),
            "least": float(r.min()),
            "most": float(r.max()),
        }
    return cases
