"""Markdown tables of the collected results; what was not run says so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.paper import left_open
from benchmarks.paper.beside import accuracies, beyond_null
from benchmarks.paper.between import STOPS
from benchmarks.paper.left_open import BASELINE
from benchmarks.paper.results import METHODS, SIMPLEST, Place, Results, name_of, title_of

NOT_RUN = "not run"

HEAD = (
    "own-class r",
    "95 % interval, over",
    "SSIM",
    "of the ceiling",
    "hits",
    "p",
    "q < .05",
    "reached",
    "least confidence",
    "updates",
)

#: Cells of a row's title, and the labels that find it.
Entry = tuple[Sequence[str], dict[str, str]]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def number(value: float | None, digits: int = 2) -> str:
    """Write a number; nothing where there is none."""
    if value is None or math.isnan(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def share(value: float | None) -> str:
    """Write a share."""
    return "" if value is None or math.isnan(value) else f"{value:.0%}"


def p_value(value: float) -> str:
    """Write a p-value; the smallest that permutations give is not zero."""
    return "" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def similarities(
    results: Results, place: Place | None, head: Sequence[str], entries: Iterable[Entry]
) -> str:
    """Give the table of a figure: one row per entry, run or not."""
    rows = []
    for titles, at in entries:
        row = results.row(place, **at)
        rows.append([*titles, *(_numbers(results, place, row) if row else _missing())])
    return table([*head, *HEAD], rows)


def _missing() -> list[str]:
    return [NOT_RUN, *[""] * (len(HEAD) - 1)]


def _numbers(results: Results, place: Place, row: dict[str, Any]) -> list[str]:
    axes = ("architecture", "optimizer", "strategy", "attack")
    at = {axis: row[axis] for axis in axes}
    ssim = next((r for r in results.rows(place, "ssim") if all(r[a] == at[a] for a in axes)), {})
    hits = f"{number(row['hits'], 1)} of {row['n_classes']:.0f}"
    return [
        f"**{number(row['similarity'])}**",
        _interval(row),
        number(ssim.get("similarity")),
        number(row["share_of_ceiling"]),
        hits,
        p_value(row["identification_p"]),
        share(beyond_null(results, place, row)),
        share(row["succeeded"]),
        number(row["least_confidence"], 3),
        number(row["n_iter"], 0),
    ]


def _interval(row: dict[str, Any]) -> str:
    """Write an interval, and over how many seeds or classes it is."""
    if row["interval_over"] == "none":
        return ""
    n = row["n_seeds"] if row["interval_over"] == "seeds" else f"{row['n_classes']:.0f}"
    return f"{number(row['lower'])} to {number(row['upper'])}, {n} {row['interval_over']}"


# ------------------------------------------------------------------------------ by figure


def of_methods(results: Results) -> str:
    """Give the table of Figure 1."""
    model = dict(zip(("architecture", "optimizer"), SIMPLEST, strict=True))
    entries = [([name_of(m)], {**model, "strategy": m}) for m in METHODS]
    return similarities(results, results.layout.methods, ["method"], entries)


def of_stops(results: Results) -> str:
    """Give the table of Figure 2."""
    entries = [([label], {"strategy": label}) for labels in STOPS.values() for label in labels]
    return similarities(results, results.layout.stops, ["method and stop"], entries)


def of_models(results: Results, place: Place) -> str:
    """Give the table of Figure 3 or 4."""
    entries = [
        ([title_of(model), method], {"architecture": model[0], "optimizer": model[1]} | at)
        for model in results.layout.expected
        for method in METHODS[:2]
        for at in [{"strategy": method, "attack": BASELINE["attack"]}]
    ]
    return similarities(results, place, ["model", "method"], entries)


def of_patches(results: Results) -> str:
    """Give the table of Figures 5 and 6."""
    head, rows = ["dataset", "method", "r with the class image"], []
    for place in results.layout.patches:
        for method in METHODS:
            row = results.row(place, strategy=method)
            told = _numbers(results, place, row) if row else _missing()
            image = left_open.with_class_image(results, place, method)
            rows.append([place[1], name_of(method), number(image), *told])
    return table([*head, *HEAD], rows)


def of_accuracies(results: Results) -> str:
    """Give Table 1, beside the paper's."""
    head = ("dataset", "model", "accuracy", "paper's", "loss", "paper's", "epochs", "seeds")
    rows = []
    for row in accuracies(results):
        run = row["accuracy"] is not None
        rows.append(
            [
                name_of(row["dataset"]),
                title_of(row["model"]),
                number(row["accuracy"], 3) if run else NOT_RUN,
                number(row["paper_accuracy"]),
                number(row["loss"], 3),
                number(row["paper_loss"]),
                number(row["epochs"], 1).removesuffix(".0"),
                str(row["seeds"]) if run else "",
            ]
        )
    return table(head, rows)


# ------------------------------------------------------------------------------ open questions


def _pixel_row(told: dict[str, float] | None) -> list[str]:
    if told is None:
        return [NOT_RUN, *[""] * 5]
    return [
        number(told["all"]),
        number(told["without_never"]),
        number(told["without_hardly"]),
        share(told["energy_never"]),
        share(told["energy_hardly"]),
        number(told["seeds"]),
    ]


def of_pixels(results: Results) -> str:
    """Give what patterns owe to pixels that never, or hardly, vary."""
    head = ["dataset", "model", "r, all pixels", "r, varying", "r, clearly varying"]
    head += ["energy in constant ones", "energy in hardly varying ones", "r between seeds"]
    rows = []
    for place in results.layout.models:
        for model in results.layout.expected:
            at = dict(zip(("architecture", "optimizer"), model, strict=True))
            told = left_open.pixels(results, place, **at)
            rows.append([name_of(place[1]), title_of(model), *_pixel_row(told)])
    for place in results.layout.open:
        for label, title in left_open.DECAYS.items():
            told = left_open.pixels(results, place, optimizer=label)
            rows.append([name_of(place[1]), f"FC, SGD, weight decay {title}", *_pixel_row(told)])
    return table(head, rows)


def of_knob(results: Results, axis: str, settings: dict[str, str]) -> str:
    """Give what one setting does, on every dataset."""
    head = ["dataset", "setting", "r with the usual pattern", "test accuracy"]
    rows = []
    for place in results.layout.open:
        for label, title in settings.items():
            at = {**BASELINE, axis: label}
            row = results.row(place, **at)
            told = _numbers(results, place, row) if row else _missing()
            accuracy = row.get("test_accuracy") if row else None
            usual = left_open.to_baseline(results, place, **at)
            rows.append([name_of(place[1]), title, number(usual), number(accuracy, 3), *told])
    return table([*head, *HEAD], rows)
