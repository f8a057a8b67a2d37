"""What the pictures share: figures without pyplot, text as it stands, and the colour rule."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pncviz.dataset import printable
from pncviz.dataset.atomic import replacing

__all__ = [
    "MOST_BARS",
    "NAME_HEIGHT",
    "SIGNED",
    "blank",
    "draw_image",
    "limit_of",
    "plain",
    "save_png",
]

#: Diverging, so that zero is white and the signs can be told apart.
SIGNED = "RdBu_r"

#: Up to so many features each gets a bar of its own.
MOST_BARS = 100
#: Inches that the name of a feature takes.
NAME_HEIGHT = 0.12
#: Letters of a feature's name.
LONGEST_FEATURE = 28

_NEGATIVE, _POSITIVE = "#2166ac", "#b2182b"


def plain(text: object, longest: int = 24) -> str:
    """Make a label fit for a figure: no control characters, not too long.

    Draw it with ``parse_math=False``, so that a ``$`` stays one.
    """
    shown = printable(text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def limit_of(images: NDArray[Any]) -> float:
    """Give the symmetric limit of a colour scale: the largest magnitude, 1 if all are zero."""
    return float(np.abs(images).max(initial=0.0)) or 1.0


def draw_image(
    ax: Axes, image: NDArray[Any], limit: float, *, features: Sequence[str] | None = None
) -> Any:
    """Draw one signed image (channel, row, column), or bars for a table (feature,).

    Three channels are drawn in colour as 0.5 + value / (2 · limit), so zero is mid-grey; one
    channel by the diverging map; any other number as the mean over channels. ``features`` names
    the bars of a table, from the top.
    """
    if image.ndim == 1:
        _draw_bars(ax, image, limit, features)
        return None
    ax.set(xticks=[], yticks=[])
    if len(image) == 3:
        return ax.imshow(
            np.clip(0.5 + np.moveaxis(image, 0, -1) / (2 * limit), 0, 1), aspect="equal"
        )
    return ax.imshow(image.mean(axis=0), cmap=SIGNED, vmin=-limit, vmax=limit, aspect="equal")


def _draw_bars(
    ax: Axes, values: NDArray[Any], limit: float, features: Sequence[str] | None
) -> None:
    """One bar per feature, the first on top; names as many as there is room for."""
    n = len(values)
    place = np.arange(n)
    if n <= MOST_BARS:
        ax.barh(place, values, color=np.where(values < 0, _NEGATIVE, _POSITIVE))
    else:  # thousands of rectangles take seconds, two outlines none
        edges = np.repeat(np.arange(n + 1) - 0.5, 2)[1:-1]
        for side, colour in (
            (np.minimum(values, 0), _NEGATIVE),
            (np.maximum(values, 0), _POSITIVE),
        ):
            ax.fill_betweenx(edges, 0, np.repeat(side, 2), color=colour, linewidth=0)
    ax.axvline(0, color="0.4", linewidth=0.5)
    ax.set(xlim=(-limit, limit), ylim=(n - 0.5, -0.5), xticks=[], yticks=[])
    if features is not None:
        inches = ax.get_window_extent().height / ax.figure.dpi
        step = -(-n // max(1, int(inches / NAME_HEIGHT)))
        names = [plain(name, LONGEST_FEATURE) for name in features[::step]]
        ax.set_yticks(place[::step], names, fontsize=6, parse_math=False)
        ax.tick_params(axis="y", length=2, pad=1)


def blank(ax: Axes, mark: str, *, aspect: float | None = 1.0, fontsize: float = 7) -> None:
    """Leave a place empty and say why; ``aspect`` is height by width, None as it comes."""
    ax.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    ax.set_box_aspect(aspect)
    for spine in ax.spines.values():
        spine.set(linestyle=":", color="0.6")
    ax.text(0.5, 0.5, f"×\n{mark}", ha="center", va="center", fontsize=fontsize, color="0.4")


def save_png(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> Path:
    """Write a figure in one step, so that no half picture is ever found.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path-like
    dpi : int, default=150
        Dots per inch.
    """
    target = Path(path)
    with replacing(target) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")
    return target
