"""Patterns and contrasts, a row per source and a column per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from pncviz.displays.common import (
    LONGEST_FEATURE,
    NAME_HEIGHT,
    SIGNED,
    blank,
    draw_image,
    limit_of,
    plain,
)
from pncviz.displays.grid import Grid
from pncviz.displays.sources import (
    common_labels,
    features_of,
    result_of,
    rows_of,
    titles_of,
    unique_name,
)
from pncviz.exceptions import LabelError, ParameterError

__all__ = ["MOST_LABELS", "PatternDisplay"]

#: More columns than this cannot be told apart, nor kept in a PNG.
MOST_LABELS = 200
#: Letters of a row's title.
LONGEST_NAME = 20


class PatternDisplay:
    """Images of classes from several sources, one row each, as in the paper's Figures 1 and 3.

    Each row has one colour scale, centred at zero, whose limits stand beside it. Tables are drawn
    as one bar per feature, by name. A pattern that did not reach its class is left blank and
    marked. More than 20 classes are broken into blocks of columns, one below the other.

    Parameters
    ----------
    sources : mapping of str to xarray.DataArray
        Row title to images (label, channel, row, column) or (label, feature).
    succeeded : mapping of str to xarray.DataArray, optional
        Row title to bool (label,); rows without one are drawn whole.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    axes_ : ndarray of Axes of shape (n_sources, n_labels)

    Examples
    --------
    >>> from pncviz import load_dataset, positive_negative_contrast
    >>> data = load_dataset("tiling")
    >>> contrasts = positive_negative_contrast(data.X, data.y)
    >>> PatternDisplay.from_dataset(contrasts).plot().axes_.shape
    (1, 4)
    """

    def __init__(
        self,
        sources: Mapping[str, xr.DataArray],
        *,
        succeeded: Mapping[str, xr.DataArray] | None = None,
    ) -> None:
        self.sources = dict(sources)
        self.succeeded = dict(succeeded or {})

    @classmethod
    def from_dataset(
        cls, *datasets: xr.Dataset, names: Sequence[str] | None = None, labels: Any = None
    ) -> PatternDisplay:
        """Take patterns (with or without strategies) and contrasts, in the order of the rows.

        Parameters
        ----------
        *datasets : xarray.Dataset
            Of kind patterns or contrasts, of one model or of several.
        names : sequence of str, optional
            One per dataset, such as the names of models. Where a dataset has strategies, its rows
            are titled "name: strategy".
        labels : array-like, optional
            The classes to draw; by default those that all have.

        Raises
        ------
        ParameterError
            There is no dataset, ``names`` are not one each or not unique, or a dataset has a
            leading dimension other than ``strategy``.
        LabelError
            A dataset lacks one of the labels, or there are none or too many.
        """
        if not datasets:
            raise ParameterError("from_dataset needs at least one dataset.")
        titles = titles_of(names, len(datasets), "dataset")
        first = common_labels(datasets) if labels is None else np.asarray(labels)
        if not 0 < len(first) <= MOST_LABELS:
            raise LabelError(
                f"A picture takes 1 to {MOST_LABELS} classes, got {len(first)}; choose `labels`."
            )
        sources: dict[str, xr.DataArray] = {}
        succeeded: dict[str, xr.DataArray] = {}
        for dataset, title in zip(datasets, titles, strict=True):
            for name, image, reached in rows_of(dataset, title):
                missing = set(first.tolist()) - set(image["label"].values.tolist())
                if missing:
                    raise LabelError(f"{name} has no {sorted(missing, key=str)[:10]}.")
                unique = unique_name(name, sources)
                sources[unique] = image.sel(label=first)
                if reached is not None:
                    succeeded[unique] = reached.sel(label=first)
        return cls(sources, succeeded=succeeded)

    @classmethod
    def from_estimator(
        cls, *estimators: Any, names: Sequence[str] | None = None, labels: Any = None
    ) -> PatternDisplay:
        """Take fitted extractors and PNC transformers, in the order of the rows.

        Parameters
        ----------
        *estimators : AdversarialPatternExtractor or PNCTransformer
            Fitted.
        names : sequence of str, optional
            Titles of the rows.
        labels : array-like, optional
            The classes to draw.
        """
        titles_of(names, len(estimators), "estimator")
        datasets = [result_of(estimator) for estimator in estimators]
        return cls.from_dataset(*datasets, names=names, labels=labels)

    def plot(self, *, cell: float | None = None) -> PatternDisplay:
        """Draw.

        Parameters
        ----------
        cell : float, optional
            Side of one image in inches; by default such that ten classes fill a page's width.

        Returns
        -------
        PatternDisplay
            Itself, with ``figure_`` and ``axes_``.
        """
        arrays = list(self.sources.values())
        n_labels = len(arrays[0])
        widest = 1.6 if all(array.ndim == 4 for array in arrays) else 2.2
        side = cell or float(np.clip(10 / n_labels, 0.5, widest))
        heights = tuple(_height(array, side) for array in arrays)
        grid = Grid(n_labels, heights, side, left=_left(self.sources))
        self.figure_ = grid.figure()
        self.axes_ = grid.axes(self.figure_)
        for row, (name, images) in enumerate(self.sources.items()):
            self._draw_row(grid, row, name, images)
        for ax, label in zip(self.axes_[0], arrays[0]["label"].values.tolist(), strict=True):
            size = 9 if side > 0.7 else 6
            longest = max(4, int(72 * side / (0.62 * size)))
            ax.set_title(plain(label, longest), fontsize=size, pad=3, parse_math=False)
        return self

    def _draw_row(self, grid: Grid, row: int, name: str, images: xr.DataArray) -> None:
        reached = self.succeeded.get(name)
        shown = np.ones(len(images), dtype=bool) if reached is None else reached.values
        limit = limit_of(images.values[shown])
        table = images.ndim == 2
        features = features_of(images) if table else None
        starts = {start for start, _ in grid.ends()}
        for i, (ax, image) in enumerate(zip(self.axes_[row], images.values, strict=True)):
            if shown[i]:
                own = features if i in starts else None
                draw_image(ax, image, limit, features=own)
            else:
                aspect = None if table else image.shape[-2] / image.shape[-1]
                wide = grid.width > 0.7
                mark = "not reached" if wide else "not\nreached"
                blank(ax, mark, aspect=aspect, fontsize=7 if wide else 5)
        for start, end in grid.ends():
            title: dict[str, Any] = {"rotation": 0, "ha": "right", "va": "center"}
            shown_name = plain(name, LONGEST_NAME)
            self.axes_[row, start].set_ylabel(shown_name, fontsize=9, parse_math=False, **title)
            self._state_scale(grid, row, end, limit, images)

    def _state_scale(
        self, grid: Grid, row: int, end: int, limit: float, images: xr.DataArray
    ) -> None:
        """Say what the colours of a row mean, at its right end."""
        if images.ndim == 2 or images.shape[1] == 3:
            bars = f"±{limit:.3g} at\nthe edges"
            text = bars if images.ndim == 2 else f"0.5 + value\n÷ {2 * limit:.3g}"
            at = (1.0, 0.5)
            self.axes_[row, end].annotate(
                text,
                at,
                (4, 0),
                xycoords="axes fraction",
                textcoords="offset points",
                va="center",
                fontsize=6,
            )
            return
        scale = ScalarMappable(Normalize(-limit, limit), cmap=SIGNED)
        bar = self.figure_.colorbar(scale, cax=grid.beside(self.figure_, row, end))
        bar.set_ticks([-limit, 0, limit], labels=[f"−{limit:.3g}", "0", f"{limit:.3g}"])
        bar.ax.tick_params(labelsize=6, length=2, pad=1)
        bottom, _, top = bar.ax.get_yticklabels()  # inside the row, clear of the next one's
        bottom.set_verticalalignment("bottom")
        top.set_verticalalignment("top")


def _height(images: xr.DataArray, side: float) -> float:
    """Inches of a row: square or as tall as the images are, by the number of bars for tables."""
    if images.ndim == 2:
        return float(np.clip(NAME_HEIGHT * images.shape[1], 0.6, 3.0)) + 0.02
    return side * float(np.clip(images.shape[2] / images.shape[3], 0.25, 3))


def _left(sources: Mapping[str, xr.DataArray]) -> float:
    """Inches for the titles of rows, at 9 points, and the names of features, at 6."""
    titles = max(len(plain(name, LONGEST_NAME)) for name in sources)
    names = [
        plain(f, LONGEST_FEATURE)
        for array in sources.values()
        if array.ndim == 2
        for f in features_of(array)
    ]
    return 0.15 + 0.085 * titles + (0.1 + 0.058 * max(map(len, names)) if names else 0.0)
