"""The figures of evolution: confidence by generation, and the elites themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.drawing import grid, row_of

__all__ = ["draw_course", "draw_elites"]

#: Nines of the axis: each step up is a tenth of the doubt.
_LEVELS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_TOP = 6.0
_COLOURS = ("#4477aa", "#228833", "#ee6677")
_TITLES = {"direct": "pixels (direct encoding)", "cppn": "CPPNs (indirect encoding)"}


def draw_course(rows: dict[str, Any], level: float, target: Path) -> Path:
    """Draw medians and quartiles by generation: a panel for each encoding, a line for each model.

    ``rows`` are named "model, encoding" and have ``course``: quartiles and medians.
    """
    encodings = list(dict.fromkeys(name.split(", ")[1] for name in rows))
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    axes = figure.subplots(1, len(encodings), sharey=True, squeeze=False)[0]
    for ax, encoding in zip(axes, encodings, strict=True):
        here = {n.split(", ")[0]: row for n, row in rows.items() if n.endswith(f", {encoding}")}
        for colour, (model, row) in zip(_COLOURS, here.items(), strict=False):
            lower, middle, upper = map(_nines, row["course"])
            generation = np.arange(len(middle))
            ax.fill_between(generation, lower, upper, color=colour, alpha=0.18, linewidth=0)
            ax.plot(generation, middle, color=colour, label=model)
        ax.axhline(_nines([level])[0], color="0.4", linewidth=0.8, linestyle="--")
        ax.set_title(_TITLES.get(encoding, encoding), fontsize=10)
        ax.set_xlabel("generation")
        ax.set_yticks(_nines(_LEVELS), [f"{share:.10g} %" for share in np.array(_LEVELS) * 100])
        ax.set_ylim(0, _TOP)
        ax.set_xlim(0, max(len(row["course"][0]) for row in here.values()) - 1)
    axes[0].set_ylabel("confidence: median and quartiles")
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(names), fontsize=9)
    figure.savefig(target, dpi=110)
    return target


def _nines(confidence: Any) -> NDArray[np.float64]:
    """Count nines: 0.9 is 1, 0.99 is 2; float32 ends at seven."""
    doubt = np.maximum(1 - np.asarray(confidence, dtype=np.float64), 10.0**-_TOP)
    nines: NDArray[np.float64] = -np.log10(doubt)
    return nines


def draw_elites(elites: dict[str, Any], target: Path) -> Path:
    """Draw the elites of each run, a row each; those that are not called their class are named."""
    rows, sides = [], []
    for name, run in elites.items():
        rows.append(row_of(run["pattern"]))
        missed = [str(v) for v in run["label"].values[~run["succeeded"].values].tolist()]
        told = f"\nnot called so: {', '.join(missed)}" if missed else ""
        sides.append(name.replace("cppn", "CPPN") + told)
    labels = [str(label) for label in next(iter(elites.values()))["label"].values.tolist()]
    return grid(rows, labels, target, sides=sides)
