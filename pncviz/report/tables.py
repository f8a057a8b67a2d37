"""The tables: what stands in their cells, and how the cells of a matrix are coloured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np

from pncviz.displays.common import SIGNED
from pncviz.report.numbers import UNKNOWN, interval, number, probability

__all__ = ["cell_styles", "columns", "matrix", "rows", "scale_told"]

#: Steps of the colour scale; odd, so that one of them is zero.
_STEPS = 41
_SIGNIFICANT = 0.05

#: Key, heading and what it means; shown where the results have it.
_COLUMNS = (
    ("similarity", "similarity", "between the pattern and its own class's contrast"),
    ("interval", "interval", "bootstrap interval of the similarity"),
    (
        "rank",
        "rank",
        "of the own class among all contrasts; 1 is the most alike, ties count against",
    ),
    ("p", "p", "chance of such a similarity under the null"),
    ("q", "q", "p after control of the false discovery rate over classes"),
    ("ceiling", "ceiling", "the highest similarity that the noise in both images allows"),
    ("share_of_ceiling", "share of ceiling", "similarity divided by the ceiling"),
    ("pattern_reliability", "pattern reliability", "agreement of two halves of the examples"),
    ("contrast_reliability", "contrast reliability", "agreement of two halves of the data rows"),
    ("confidence", "confidence", "of the model in the class, for the adversarial examples"),
    (
        "pattern_confidence",
        "pattern confidence",
        "of the model in the class, for the pattern itself",
    ),
    ("loss", "loss", "of the adversarial examples, at the end"),
    ("n_iter", "iterations", "updates made until synthesis stopped"),
    ("stop_reason", "stopped by", "the rule that ended synthesis"),
    (
        "success_rate",
        "success rate",
        "share of the adversarial examples that the model calls the class",
    ),
    ("prediction", "example called", "what the model calls the adversarial examples"),
    ("pattern_prediction", "pattern called", "what the model calls the pattern itself"),
    ("n_positive", "samples", "of the class, behind its contrast"),
)
_WRITTEN: dict[str, Callable[..., str]] = {
    "p": probability,
    "q": probability,
    "n_iter": str,
    "stop_reason": str,
    "prediction": str,
    "pattern_prediction": str,
}
_TEXT = frozenset({"stop_reason", "prediction", "pattern_prediction"})


def columns(content: Mapping[str, Any], level: float | None) -> list[dict[str, Any]]:
    """Give key, heading and meaning of the columns for which there are values anywhere."""
    facts = [content.get("contrasts", {}), *content.get("patterns", [])]
    facts += [one for source in content.get("own", []) for one in source]
    known = {
        name
        for one in facts
        for name, values in one.items()
        if any(value is not None for value in values)
    }
    if {"lower", "upper"} <= known:
        known.add("interval")
    chosen = []
    for key, title, help_text in _COLUMNS:
        if key in known:
            if key == "interval" and level:
                title = f"{100 * level:.3g} % interval"
            chosen.append({"key": key, "title": title, "help": help_text, "text": key in _TEXT})
    return chosen


def rows(
    content: Mapping[str, Any], shown: list[dict[str, Any]], source: int | None, metric: int | None
) -> list[dict[str, Any]]:
    """Write out the values of every class for one source and metric."""
    facts = dict(content.get("contrasts", {}))
    if source is not None and "patterns" in content:
        facts |= content["patterns"][source]
    if source is not None and metric is not None:
        facts |= content["own"][source][metric]
    n_contrasts = len(content.get("columns", []))
    written = []
    for i in range(len(content["classes"])):
        here = {name: values[i] for name, values in facts.items()}
        cells = [_cell(column["key"], here, n_contrasts) for column in shown]
        failed = source is not None and content["reached"][source][i] is False
        written.append({"cells": cells, "failed": failed, "place": i})
    return written


def _cell(key: str, facts: Mapping[str, Any], n_contrasts: int) -> str:
    if key == "interval":
        return interval(facts.get("lower"), facts.get("upper"), 3)
    value = facts.get(key)
    if value is None:
        return UNKNOWN
    if key == "rank":
        return f"{value} of {n_contrasts}"
    if key == "n_positive":
        return f"{value:g}"
    write = _WRITTEN.get(key, number)
    return write(value)


def matrix(content: Mapping[str, Any], source: int, metric: int) -> list[dict[str, Any]]:
    """Write out and colour one matrix; marks the own class, and where its q is below .05."""
    significant = content["own"][source][metric].get("q", [])
    lines = []
    for place, values in zip(content["rows"], content["matrix"][source][metric], strict=True):
        marked = bool(significant) and (significant[place] or 1.0) < _SIGNIFICANT
        cells = []
        for column, value in zip(content["columns"], values, strict=True):
            own = column == place
            cells.append(
                {
                    "text": number(value, 2, fixed=True) + ("*" if own and marked else ""),
                    "look": _look(value, content["metrics"][metric]) + (" own" if own else ""),
                }
            )
        failed = content["reached"][source][place] is False
        lines.append({"cells": cells, "failed": failed, "place": place})
    return lines


def _look(value: float | None, metric: Mapping[str, Any]) -> str:
    """Name the style of a cell; no inline styles, which the page's own policy forbids."""
    if value is None:
        return "kx"
    ends = [metric["low"], metric["neutral"], metric["high"]]
    heights = [0.0 if metric["low"] < metric["neutral"] else 0.5, 0.5, 1.0]
    if not metric["higher"]:  # red is alike, at whichever end
        heights = [1 - height for height in heights] if heights[0] == 0 else [1.0, 1.0, 0.5]
    at = float(np.interp(value, ends, heights))
    return f"k{round(at * (_STEPS - 1))}"


def scale_told(metric: Mapping[str, Any]) -> str:
    """Say what the colours of a matrix mean."""
    low, neutral, high = (number(metric[end], 2) for end in ("low", "neutral", "high"))
    units = "" if metric["units"] == "1" else f" {metric['units']}"
    if metric["low"] < metric["neutral"]:
        first, last = (low, high) if metric["higher"] else (high, low)
        return f"Blue is {first}{units}, white {neutral}, red {last} and most alike."
    first, last = (low, high) if metric["higher"] else (high, low)
    return f"White is {first}{units}, red {last} and most alike."


def cell_styles() -> str:
    """Write the style sheet of the colour scale: each step with black or white text on it."""
    rules = []
    for step in range(_STEPS):
        red, green, blue, _ = matplotlib.colormaps[SIGNED](step / (_STEPS - 1), bytes=True)
        light = _luminance(red, green, blue)
        # WCAG 2: black contrasts more than white above this luminance, and both with 4.5 or more.
        text = "#000" if light > 0.179 else "#fff"
        rules.append(f".k{step}{{background:#{red:02x}{green:02x}{blue:02x};color:{text}}}")
    return "".join(rules)


def _luminance(*channels: float) -> float:
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2)."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(channel) / 255 for channel in channels)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
