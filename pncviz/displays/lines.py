"""One line per class, readable with two classes and with a hundred."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from numpy.typing import NDArray

__all__ = ["MOST_COLOURS", "Entry", "add_legend", "draw_lines", "last_kept"]

#: A line and what the legend says of it.
Entry = tuple[Line2D, str]

#: As many as can be told apart.
MOST_COLOURS = 10


def last_kept(values: NDArray[Any]) -> NDArray[Any]:
    """Replace NaN by the value before it on the last axis; leading ones stay.

    Examples
    --------
    >>> last_kept(np.array([[np.nan, 3.0, np.nan, 1.0]]))
    array([[nan,  3.,  3.,  1.]])
    """
    at = np.where(np.isnan(values), 0, np.arange(values.shape[-1]))
    kept: NDArray[Any] = np.take_along_axis(values, np.maximum.accumulate(at, axis=-1), axis=-1)
    return kept


def draw_lines(
    ax: Axes,
    x: NDArray[Any],
    values: NDArray[Any],
    names: list[str],
    *,
    failed: NDArray[np.bool_] | None = None,
    emphasis: Literal["median", "mean"] = "median",
) -> list[Entry]:
    """Draw a line per class: up to ten in colour, more in grey under one black line.

    Parameters
    ----------
    ax : matplotlib Axes
    x : ndarray of shape (n_x,)
    values : ndarray of shape (n_labels, n_x)
        NaN where a class has none; a line that ends early ends in a dot.
    names : list of n_labels str
    failed : bool ndarray of shape (n_labels,), optional
        Drawn dashed, and red among the grey.
    emphasis : {"median", "mean"}
        What the thick line is; it counts a class that ended with its last value. With colours
        the mean is drawn, the median is not.

    Returns
    -------
    list of (line, text)
        For :func:`add_legend`.
    """
    few = len(names) <= MOST_COLOURS
    grey: dict[str, Any] = {"color": "0.6", "alpha": 0.5, "linewidth": 0.5}
    red: dict[str, Any] = {"color": "#b2182b", "alpha": 0.8, "linewidth": 0.7}
    entries: list[Entry] = []
    kinds: dict[bool, Line2D] = {}  # the first line of each, for the legend
    for i, (name, line) in enumerate(zip(names, values, strict=True)):
        dashed = failed is not None and bool(failed[i])
        look = dict(red if dashed else grey)
        if few:
            look = {"color": to_hex(colormaps["tab10"](i)), "linewidth": 1.1}
        last = np.flatnonzero(np.isfinite(line))
        if len(last) and (last[-1] < len(x) - 1 or len(x) == 1):
            look |= {"marker": "o", "markersize": 3 if few else 1.5, "markevery": [last[-1]]}
        (drawn,) = ax.plot(x, line, linestyle="--" if dashed else "-", **look)
        if few:
            entries.append((drawn, name))
        else:
            kinds.setdefault(dashed, drawn)
    n_failed = 0 if failed is None else int(np.count_nonzero(failed))
    counts = {False: f"a class ({len(names) - n_failed})", True: f"× not reached ({n_failed})"}
    entries += [(kinds[kind], counts[kind]) for kind in sorted(kinds)]
    if emphasis == "mean" or not few:
        kept = last_kept(values)
        known = np.isfinite(kept).any(axis=0)
        reduce = np.nanmean if emphasis == "mean" else np.nanmedian
        thick = reduce(kept[:, known], axis=0)
        (drawn,) = ax.plot(x[known], thick, color="black", linewidth=2)
        entries.append((drawn, f"{emphasis} of classes"))
    return entries


def add_legend(ax: Axes, entries: list[Entry], *, title: str | None = None) -> Legend:
    """Put a legend beside the axes, its entries as they stand."""
    legend = ax.legend(
        [line for line, _ in entries],
        # Matplotlib hides what begins with "_", and would read a "$" as mathematics.
        [f"entry {i}" for i in range(len(entries))],
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        borderaxespad=0,
        frameon=False,
        fontsize=7,
        title=title,
        title_fontsize=7,
        alignment="left",
    )
    for shown, (_, text) in zip(legend.get_texts(), entries, strict=True):
        shown.set(text=text, parse_math=False)
    for line in legend.get_lines():  # hair lines are seen in their number, not alone
        line.set(linewidth=max(1.0, line.get_linewidth()), alpha=1)
    return legend
