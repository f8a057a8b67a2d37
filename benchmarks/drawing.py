"""Grids of small images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["grid", "row_of"]


def row_of(images: xr.DataArray) -> list[NDArray[Any]]:
    """Give the first channel of each image."""
    return [image[0] for image in images.values]


def grid(
    rows: list[list[Any]], names: list[str], target: Path, sides: list[str] | None = None
) -> Path:
    """Draw rows of images: what has negative values around zero, others from white to black."""
    n, m = len(rows), len(rows[0])
    figure = Figure(figsize=(1.15 * m + (1.2 if sides else 0), 1.25 * n), layout="constrained")
    axes = figure.subplots(n, m, squeeze=False)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            ax = axes[i, j]
            ax.set_xticks([])
            ax.set_yticks([])
            if image is None:
                ax.set_axis_off()
                continue
            signed = image.min() < 0
            most = float(np.abs(image).max()) or 1.0
            ax.imshow(
                image,
                cmap="RdBu_r" if signed else "Greys",
                vmin=-most if signed else 0,
                vmax=most if signed else 1,
            )
            if i == 0:
                ax.set_title(names[j], fontsize=7, parse_math=False)
        if sides:
            axes[i, 0].set_ylabel(
                sides[i], rotation=0, ha="right", va="center", fontsize=7, parse_math=False
            )
    figure.savefig(target, dpi=110)
    return target
