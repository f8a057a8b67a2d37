"""What the page says in words: the headline, the warnings, and where the results come from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import xarray as xr

from pncviz.dataset import printable
from pncviz.report.numbers import UNKNOWN, number, probability_told

__all__ = ["attributes", "headlines", "null_told", "parameters", "resampled", "warnings"]

_MOST_LISTED = 10
_RESAMPLED = {"examples": "adversarial examples", "rows": "data rows"}


def headlines(content: Mapping[str, Any], found: Mapping[str, xr.Dataset]) -> list[list[str]]:
    """Say per metric and source how many patterns are nearest to their own, or beyond the null."""
    null, told = null_told(found), []
    for m, metric in enumerate(content["metrics"]):
        sentences = []
        for s, source in enumerate(content["sources"]):
            summary = content["summary"][s][m]
            q = [one for one in content["own"][s][m].get("q", []) if one is not None]
            beyond = sum(one < 0.05 for one in q)
            text = f" {beyond} of {len(q)} beyond {null} (q < .05)." if q else ""
            sentences.append(_headline(source, metric, summary) + text)
        told.append(sentences)
    return told


def _headline(source: str, metric: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    if not summary["n"]:
        return f"{source}: no pattern has a contrast of its own class."
    text = (
        f"{source}: {summary['hits']} of {summary['n']} patterns are nearest to their own class's "
        "contrast"
    )
    if summary.get("identification_p") is not None:
        text += f" (identification {probability_told(summary['identification_p'])})"
    units = "" if metric["units"] == "1" else f" {metric['units']}"
    return f"{text}; mean {metric['name']} {number(summary['mean'], 2)}{units}."


def warnings(content: Mapping[str, Any], found: Mapping[str, xr.Dataset]) -> list[str]:
    """List what a reader must know before believing the rest."""
    told = []
    for s, reached in enumerate(content.get("reached", [])):
        failed = [i for i, one in enumerate(reached) if one is False]
        if failed:
            listed = [_failure(content, s, i) for i in failed[:_MOST_LISTED]]
            more = f" and {len(failed) - len(listed)} more" if len(failed) > len(listed) else ""
            total = sum(one is not None for one in reached)
            told.append(
                f"{content['sources'][s]}: {len(failed)} of {total} patterns did not reach their "
                f"class: {', '.join(listed)}{more}."
            )
    return told + _about_inference(content, found)


def _failure(content: Mapping[str, Any], source: int, place: int) -> str:
    label = str(content["classes"][place])
    if "patterns" not in content:
        return label
    return f"{label} ({content['patterns'][source]['stop_reason'][place]})"


def _about_inference(content: Mapping[str, Any], found: Mapping[str, xr.Dataset]) -> list[str]:
    told = []
    without: dict[tuple[str, ...], list[str]] = {}
    for m, metric in enumerate(content["metrics"]):
        sources = tuple(
            source
            for s, source in enumerate(content["sources"])
            if content["summary"][s][m].get("interval_over") == "none"
        )
        without.setdefault(sources, []).append(metric["name"])
    for sources, metrics in without.items():
        if sources:
            told.append(
                f"{', '.join(sources)}: no interval for {', '.join(metrics)}, because neither "
                "examples nor data rows could be resampled; make patterns or contrasts with "
                "n_blocks."
            )
    if content["metrics"]:
        sizes = sorted((len(content["rows"]), len(content["columns"])))
        least = 1 / math.perm(sizes[1], sizes[0])
        if least > 0.05:
            told.append(
                f"With so few classes the identification p is at least {number(least, 2)}, however "
                "alike patterns and contrasts are."
            )
    if null_told(found).startswith("phase"):
        told.append("p and q are under the phase null, which holds for stationary patterns only.")
    return told


def resampled(content: Mapping[str, Any], source: int | None, metric: int | None) -> str:
    """Say what intervals resample; empty if there are none."""
    if source is None or metric is None:
        return ""
    over = content["summary"][source][metric].get("interval_over", "none")
    parts = [_RESAMPLED.get(part, part) for part in str(over).split(", ")]
    return "" if over == "none" else " and ".join(parts)


def null_told(found: Mapping[str, xr.Dataset]) -> str:
    """Name the null that p and q are under; empty if there is none."""
    similarities = found.get("similarities")
    if similarities is None or "p" not in similarities:
        return ""
    return printable(similarities.attrs.get("null", "not recorded"))


def parameters(found: Mapping[str, xr.Dataset]) -> list[tuple[str, str]]:
    """Write the parameters of each result over several lines."""
    written = []
    for kind, dataset in found.items():
        text = str(dataset.attrs.get("parameters", "{}"))
        with suppress(ValueError):  # no JSON: shown as it stands
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        written.append((kind, "\n".join(printable(line) for line in text.split("\n"))))
    return written


def attributes(found: Mapping[str, xr.Dataset]) -> list[tuple[str, list[str]]]:
    """Set versions, seeds and dates of the results side by side."""
    names = dict.fromkeys(name for dataset in found.values() for name in dataset.attrs)
    return [
        (printable(name), [printable(d.attrs.get(name, UNKNOWN)) for d in found.values()])
        for name in names
        if name not in ("kind", "parameters")
    ]
