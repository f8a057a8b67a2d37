"""What the pictures share: figures without pyplot, text as it stands, and the colour rule."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pncviz.dataset import printable
from pncviz.dataset.atomic import replacing

__all__ = ["SIGNED", "blank", "draw_image", "limit_of", "plain", "save_png"]

#: Diverging, so that zero is white and the signs can be told apart.
SIGNED = "RdBu_r"


def plain(text: object, longest: int = 24) -> str:
    """Make a label fit for a figure: no control characters, not too long.

    Draw it with ``parse_math=False``, so that a ``$`` stays one.
    """
    shown = printable(text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def limit_of(images: NDArray[Any]) -> float:
    """Give the symmetric limit of a colour scale: the largest magnitude, 1 if all are zero."""
    return float(np.abs(images).max(initial=0.0)) or 1.0


def draw_image(ax: Axes, image: NDArray[Any], limit: float) -> Any:
    """Draw one signed image (channel, row, column), or bars for a table (feature,).

    Three channels are drawn in colour as 0.5 + value / (2 · limit), so zero is mid-grey; one
    channel by the diverging map; any other number as the mean over channels.
    """
    if image.ndim == 1:
        ax.barh(np.arange(len(image)), image, color=np.where(image < 0, "#2166ac", "#b2182b"))
        ax.set(xlim=(-limit, limit), ylim=(len(image) - 0.5, -0.5), yticks=[])
        ax.tick_params(axis="x", labelsize=6)
        return None
    ax.set(xticks=[], yticks=[])
    if len(image) == 3:
        return ax.imshow(
            np.clip(0.5 + np.moveaxis(image, 0, -1) / (2 * limit), 0, 1), aspect="equal"
        )
    return ax.imshow(image.mean(axis=0), cmap=SIGNED, vmin=-limit, vmax=limit, aspect="equal")


def blank(ax: Axes, mark: str) -> None:
    """Leave a place empty and say why."""
    ax.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    ax.set_box_aspect(1)
    for spine in ax.spines.values():
        spine.set(linestyle=":", color="0.6")
    ax.text(0.5, 0.5, f"×\n{mark}", ha="center", va="center", fontsize=7, color="0.4")


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
