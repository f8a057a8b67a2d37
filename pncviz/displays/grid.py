"""Where the images of a picture go: rows of sources, columns of classes, in blocks of columns.

Places are reckoned here, in inches: matplotlib's own layout takes minutes for hundreds of axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["Grid"]

#: More columns than this do not fit a page's width; the next ones go below.
_COLUMNS = 20
_GAP = 0.05
_TITLE = 0.22
_BETWEEN = 0.15
#: A colour bar with its numbers, at the right end of every row.
_RIGHT = 0.75


@dataclass(frozen=True)
class Grid:
    """Sizes in inches, and how many of each there are.

    Attributes
    ----------
    n_labels : int
    heights : tuple of float
        Of each row's images.
    width : float
        Of every image.
    left : float
        Room for the titles of rows.
    """

    n_labels: int
    heights: tuple[float, ...]
    width: float
    left: float

    @property
    def columns(self) -> int:
        """Columns in a block: all, or as many as make equal blocks within a page's width."""
        n_blocks = -(-self.n_labels // _COLUMNS)
        return -(-self.n_labels // n_blocks)

    @property
    def _block(self) -> float:
        return _TITLE + sum(self.heights) + _GAP * (len(self.heights) - 1)

    def figure(self) -> Figure:
        """Make an empty figure of the right size."""
        n_blocks = -(-self.n_labels // self.columns)
        width = self.left + self.columns * (self.width + _GAP) + _RIGHT
        return Figure(figsize=(width, n_blocks * (self._block + _BETWEEN)))

    def axes(self, figure: Figure) -> NDArray[np.object_]:
        """Fill the figure with axes of shape (n_rows, n_labels)."""
        axes = np.empty((len(self.heights), self.n_labels), dtype=object)
        for row, column in np.ndindex(axes.shape):
            x = self.left + column % self.columns * (self.width + _GAP)
            axes[row, column] = self._add(figure, row, column, x, self.width)
        return axes

    def beside(self, figure: Figure, row: int, column: int) -> Axes:
        """Add narrow axes at the right end of the row that holds a column."""
        x = self.left + (column % self.columns + 1) * (self.width + _GAP)
        return self._add(figure, row, column, x, 0.07)

    def ends(self) -> list[tuple[int, int]]:
        """First and last column of each block."""
        starts = range(0, self.n_labels, self.columns)
        return [(start, min(start + self.columns, self.n_labels) - 1) for start in starts]

    def _add(self, figure: Figure, row: int, column: int, x: float, width: float) -> Axes:
        whole, high = figure.get_size_inches()
        above = column // self.columns * (self._block + _BETWEEN) + _TITLE
        above += sum(self.heights[:row]) + row * _GAP
        height = self.heights[row]
        bottom = high - above - height
        return figure.add_axes((x / whole, bottom / high, width / whole, height / high))
