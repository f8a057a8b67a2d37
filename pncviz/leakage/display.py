"""Class means side by side: true ones, and what was put together from patterns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pncviz.displays.common import plain
from pncviz.exceptions import ParameterError
from pncviz.leakage.prior import checked_range

__all__ = ["ClassMeanDisplay"]

#: Inches of one image, and of the titles of rows per letter.
_SIDE, _LETTER = 0.72, 0.07


class ClassMeanDisplay:
    """Rows of class means, one row per source, all on the same scale of grey.

    Parameters
    ----------
    rows : mapping of str to DataArray on (label, channel, row, column)
    data_range : (low, high), default=(0, 1)
        Black and white.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        After :meth:`plot`.
    axes_ : ndarray of shape (n_rows, n_labels)

    Examples
    --------
    >>> images = xr.DataArray(np.eye(2).reshape(2, 1, 1, 2), coords={"label": ["a", "b"]},
    ...                       dims=("label", "channel", "row", "column"))
    >>> ClassMeanDisplay.from_means({"true": images, "reconstructed": images}).plot().axes_.shape
    (2, 2)
    """

    def __init__(
        self, rows: Mapping[str, xr.DataArray], data_range: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        self.rows = rows
        self.data_range = data_range

    @classmethod
    def from_means(
        cls,
        means: Mapping[str, xr.DataArray | xr.Dataset],
        *,
        data_range: tuple[float, float] = (0.0, 1.0),
    ) -> ClassMeanDisplay:
        """Take class means of any source.

        Parameters
        ----------
        means : mapping of str to DataArray or Dataset
            Row by row; a Dataset of :func:`~pncviz.reconstruct_class_means`, or images on
            (label, channel, row, column) with grey or three channels. The first row says which
            classes are drawn; a row may lack some of them.
        data_range : (low, high), default=(0, 1)

        Raises
        ------
        ParameterError
            No rows, or one that is not such images.
        """
        checked_range(data_range)
        if not means:
            raise ParameterError("`means` is empty; give at least one row of class means.")
        rows = {}
        for name, given in means.items():
            images = given["class_mean"] if isinstance(given, xr.Dataset) else given
            dims = ("label", "channel", "row", "column")
            if not isinstance(images, xr.DataArray) or images.dims != dims:
                raise ParameterError(f"{name!r} must be images on {dims}, got {given!r:.80}.")
            rows[str(name)] = images
        return cls(rows, data_range)

    def plot(self) -> ClassMeanDisplay:
        """Draw.

        Returns
        -------
        ClassMeanDisplay
            Itself, with ``figure_`` and ``axes_``.
        """
        labels = next(iter(self.rows.values()))["label"].values.tolist()
        left = 0.2 + _LETTER * max(len(plain(name, 44)) for name in self.rows)
        wide, high = left + _SIDE * len(labels) + 0.1, 0.3 + _SIDE * len(self.rows)
        self.figure_ = Figure(figsize=(wide, high))
        self.axes_: NDArray[np.object_] = np.empty((len(self.rows), len(labels)), dtype=object)
        for i, (name, images) in enumerate(self.rows.items()):
            known = images["label"].values.tolist()
            for j, label in enumerate(labels):
                bottom = high - 0.25 - (i + 1) * _SIDE
                place = (left + j * _SIDE) / wide, bottom / high
                size = 0.95 * _SIDE / wide, 0.95 * _SIDE / high
                ax = self.axes_[i, j] = self.figure_.add_axes((*place, *size))
                ax.set(xticks=[], yticks=[])
                if label in known:
                    self._draw(ax, images.values[known.index(label)])
                if i == 0:
                    ax.set_title(plain(label, 12), fontsize=8, pad=3, parse_math=False)
            side: dict[str, Any] = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 8}
            self.axes_[i, 0].set_ylabel(plain(name, 44), parse_math=False, **side)
        return self

    def _draw(self, ax: Axes, image: NDArray[Any]) -> None:
        low, high = self.data_range
        if len(image) == 3:
            shown = np.clip((np.moveaxis(image, 0, -1) - low) / (high - low), 0, 1)
            ax.imshow(shown)
        else:
            ax.imshow(image.mean(axis=0), cmap="gray", vmin=low, vmax=high)
