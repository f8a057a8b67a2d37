"""Evolution finds images that a classifier is sure of: by generation, beside Nguyen et al."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.anyclassifier.fooling_figures import draw_course, draw_elites
from benchmarks.anyclassifier.fooling_work import ASCENT, ENCODINGS, NET, POPULATION, SURE, compute
from benchmarks.page_parts import Verdict, number, share, table
from pncviz import load, mean_interval
from pncviz.inference.proportions import proportion_interval

__all__ = ["compute", "section", "verdicts"]

#: Generations by which Nguyen et al. have all classes, and the median.
EARLY, LATE = 50, 200


def _first(course: list[float], level: float = SURE) -> int | None:
    """Give the first generation at which a level is reached."""
    reached = np.flatnonzero(np.asarray(course) >= level)
    return int(reached[0]) if len(reached) else None


def section(result: dict[str, Any], folder: Path) -> str:
    """Write the section, and draw its two figures."""
    rows = result["rows"]
    evolved = {name: row for name, row in rows.items() if "course" in row}
    draw_course(evolved, SURE, folder / "any-classifier-fooling.png")
    draw_elites(
        {name: load(file) for name, file in result["figure"].items()},
        folder / "any-classifier-fooling-images.png",
    )
    one = next(iter(evolved.values()))
    last = len(one["course"][1]) - 1
    head = ("images of", "median ≥ 99.99 % from", "all ≥ 99.99 % from", "median at the end")
    head += ("called their class", "own-class r with contrasts", "nearest to their own")
    head += tuple(f"the same class to {name}" for name in result["accuracy"])
    text = [
        f"In each generation {POPULATION} images are changed copies of the elites, and each is "
        f"judged for every class. {last} generations ask {one['n_queries']:,} times in all. "
        f"Quantiles are over {one['n']} elites: classes and seeds. Once the net's confidence is "
        "exactly 1 in float32, an elite stays as it is. Contrasts are of the training images.",
        "![Confidence by generation](any-classifier-fooling.png)",
        table(head, [_cells(name, row, result) for name, row in rows.items()]),
        f"Nguyen et al. (MNIST, LeNet): ≥ 99.99 % for every digit in fewer than {EARLY} "
        f"generations, median 99.99 % by {LATE}, for pixels and for CPPNs. Gradient ascent here "
        "stops at 99.99 %. A model that calls all images alike would agree with "
        f"{1 / _classes(rows):.0%} of them.",
        "![Elites of the first seed](any-classifier-fooling-images.png)",
    ]
    return "\n\n".join(text) + "\n"


def _classes(rows: dict[str, Any]) -> int:
    # Gradient ascent has one image of each class.
    return int(rows[f"{NET}, {ASCENT}"]["n"])


def _cells(name: str, row: dict[str, Any], result: dict[str, Any]) -> list[str]:
    course, n_runs = row.get("course"), len(row["r"])
    when = ["", ""]
    if course is not None:
        when = [_written(_first(values)) for values in (course[1], row["least"])]
    return [
        name.replace("cppn", "CPPN"),
        *when,
        _sure(row["median"]),
        f"{row['succeeded']} of {row['n']}",
        _with_interval(row["r"]),
        f"{np.mean(row['hits']):.1f} of {row['n'] // n_runs}",
        *(_rate(row["transfer"][other], row["n"]) for other in result["accuracy"]),
    ]


def _written(generation: int | None) -> str:
    return "not reached" if generation is None else f"generation {generation}"


def _sure(confidence: float) -> str:
    """Write a confidence such that no rounding lifts it over the level."""
    return f"above {share(SURE, 2)}" if confidence > SURE else share(confidence, 3)


def _with_interval(values: list[float]) -> str:
    """Write a mean, and over several seeds its interval."""
    if len(values) < 2:
        return number(values[0])
    interval = mean_interval(xr.DataArray(values, dims="seed"))
    ends = f"{number(float(interval['lower']))} to {number(float(interval['upper']))}"
    return f"{number(float(np.mean(values)))} ({ends})"


def _rate(hits: int, n: int) -> str:
    lower, upper = proportion_interval(hits, n)
    return f"{share(hits / n)} ({share(float(lower))} to {share(float(upper))})"


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """Hold the net's elites against what Nguyen et al. report."""
    rows, found = result["rows"], []
    for encoding, what in zip(ENCODINGS, ("pixels", "CPPNs"), strict=True):
        row = rows[f"{NET}, {encoding}"]
        middle, early = row["course"][1][-1], row["least"][:EARLY][-1]
        found.append(
            Verdict.of(
                f"Evolution of {what} reaches a median confidence of 99.99 % by {LATE} generations "
                "(nguyen2015deep)",
                middle >= SURE,
                middle >= 0.99,
                f"{_sure(middle)} after {len(row['course'][1]) - 1}",
            )
        )
        if encoding == "direct":
            half = row["course"][1][:EARLY][-1] >= SURE
            n = min(EARLY, len(row["least"])) - 1
            told = f"the least sure of {row['n']} elites after {n}: {_sure(early)}"
            claim = f"Fewer than {EARLY} generations give pixel images of every digit at 99.99 %"
            found.append(Verdict.of(f"{claim} (nguyen2015deep)", early >= SURE, half, told))
    return [*found, _transfer_verdict(result)]


def _transfer_verdict(result: dict[str, Any]) -> Verdict:
    """Judge by whether the interval lies above chance, for each encoding and other model."""
    rows, above, told = result["rows"], [], []
    chance = 1 / _classes(rows)
    for encoding in ENCODINGS:
        row = rows[f"{NET}, {encoding}"]
        for name, hits in row["transfer"].items():
            above.append(float(proportion_interval(hits, row["n"])[0]) > chance)
            told.append(f"{encoding} to {name} {_rate(hits, row['n'])}")
    claim = "Images evolved for one net fool other nets (nguyen2015deep), above chance"
    return Verdict.of(claim, all(above), any(above), "; ".join(told))
