"""What stands in the cells of a matrix of similarities: numbers and marks."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pncviz.displays.scales import Scale

__all__ = ["are_written", "mark_cells", "own_cells"]

#: Up to so many labels the numbers are written into the cells.
_WRITTEN = 12


def are_written(similarities: xr.DataArray) -> bool:
    """Whether there is room for numbers."""
    return max(similarities.shape[-2:]) <= _WRITTEN


def own_cells(matrix: xr.DataArray) -> list[tuple[int, int]]:
    """Positions (row, column) of the own classes; a pattern without its contrast has none."""
    columns = {label: j for j, label in enumerate(matrix["contrast_label"].values.tolist())}
    rows = matrix["pattern_label"].values.tolist()
    return [(i, columns[label]) for i, label in enumerate(rows) if label in columns]


def mark_cells(
    ax: Axes,
    matrix: xr.DataArray,
    significant: NDArray[np.bool_] | None,
    scale: Scale,
    points: float,
) -> None:
    """Write the numbers if there is room, and mark the own class where it is significant.

    Parameters
    ----------
    ax : matplotlib Axes
    matrix : xarray.DataArray of shape (n_pattern_labels, n_contrast_labels)
    significant : bool ndarray of shape (n_pattern_labels,), optional
    scale : Scale
        Decides between black and white ink.
    points : float
        Side of a cell, for the size of what stands in it.
    """
    chosen = np.zeros(len(matrix), dtype=bool) if significant is None else significant
    marked = [cell for cell in own_cells(matrix) if chosen[cell[0]]]
    values = matrix.values
    if are_written(matrix):
        _write(ax, values, set(marked), scale, size=float(np.clip(points / 5, 5, 9)))
    elif marked:
        i, j = np.transpose(marked)
        ink = ["white" if scale.is_dark(values[cell]) else "black" for cell in marked]
        ax.scatter(j, i, s=float(np.clip(points / 3, 0.8, 5)) ** 2, c=ink, linewidths=0)


def _write(
    ax: Axes, values: NDArray[np.float64], marked: set[tuple[int, int]], scale: Scale, size: float
) -> None:
    digits = 2 if max(abs(scale.low), abs(scale.high)) < 10 else 1
    for (i, j), value in np.ndenumerate(values):
        ax.text(
            j,
            i,
            f"{value:z.{digits}f}".replace("-", "−") + "*" * ((i, j) in marked),
            ha="center",
            va="center",
            fontsize=size,
            color="white" if scale.is_dark(value) else "black",
        )
