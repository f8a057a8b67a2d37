"""The matrix of similarities, patterns down, contrasts across."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pncviz.dataset import validate
from pncviz.displays.common import SIGNED, limit_of, plain
from pncviz.exceptions import ParameterError

__all__ = ["SimilarityDisplay"]

#: Up to so many labels the numbers are written into the cells.
_WRITTEN = 12


class SimilarityDisplay:
    """Similarity of every pattern with every contrast; the own class is outlined.

    Parameters
    ----------
    similarities : xarray.DataArray
        (pattern_label, contrast_label), or with a leading ``strategy``: one panel each.
    metric : str
        For the titles.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    axes_ : ndarray of Axes of shape (n_panels,)
    ax_ : Axes
        The first panel.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz.dataset import build_similarities, common_attrs
    >>> similarities = build_similarities(
    ...     similarity=np.eye(3)[None], metrics=["pearson"], pattern_labels=[0, 1, 2],
    ...     contrast_labels=[0, 1, 2], attrs=common_attrs("similarities", parameters={}),
    ... )
    >>> SimilarityDisplay.from_dataset(similarities).plot().ax_.get_title()
    'pearson'
    """

    def __init__(self, similarities: xr.DataArray, *, metric: str) -> None:
        self.similarities = similarities
        self.metric = metric

    @classmethod
    def from_dataset(
        cls, similarities: xr.Dataset, *, metric: str | None = None
    ) -> SimilarityDisplay:
        """Take the result of :func:`~pncviz.compare`.

        Parameters
        ----------
        similarities : xarray.Dataset
        metric : str, optional
            The first by default.

        Raises
        ------
        ParameterError
            The metric was not computed.
        """
        validate(similarities, "similarities")
        known = similarities["metric"].values.tolist()
        metric = known[0] if metric is None else metric
        if metric not in known:
            raise ParameterError(f"`metric` must be one of {', '.join(known)}, got {metric!r}.")
        return cls(similarities["similarity"].sel(metric=metric), metric=str(metric))

    @classmethod
    def from_estimator(
        cls, extractor: Any, contrast: Any, *, metric: str = "pearson"
    ) -> SimilarityDisplay:
        """Compare a fitted extractor's patterns with a fitted PNC transformer's contrasts."""
        from pncviz.comparison import compare

        return cls.from_dataset(
            compare(extractor.patterns_, contrast.contrasts_, metrics=metric), metric=metric
        )

    def plot(self, *, ax: Axes | None = None) -> SimilarityDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, if there is one panel.

        Returns
        -------
        SimilarityDisplay
            Itself, with ``figure_``, ``axes_`` and ``ax_``.
        """
        panels = self._panels()
        if ax is not None and len(panels) > 1:
            raise ParameterError(f"`ax` is one panel, but there are {len(panels)} strategies.")
        side = float(np.clip(0.42 * self.similarities.sizes["contrast_label"], 2.6, 12))
        if ax is None:
            size = (len(panels) * side + 1.2, side + 0.8)
            self.figure_ = Figure(figsize=size, layout="constrained")
            self.axes_ = self.figure_.subplots(1, len(panels), squeeze=False)[0]
        else:
            self.figure_ = cast(Figure, ax.figure)  # or a sub-figure, which draws alike
            self.axes_ = np.array([ax])
        self.ax_ = self.axes_[0]
        limit = limit_of(self.similarities.values[np.isfinite(self.similarities.values)])
        for panel, (title, matrix) in zip(self.axes_, panels.items(), strict=True):
            image = self._draw(panel, title, matrix, limit)
        bar = self.figure_.colorbar(image, ax=list(self.axes_), fraction=0.03, pad=0.01)
        bar.set_label(self.metric, fontsize=8)
        bar.ax.tick_params(labelsize=7)
        return self

    def _panels(self) -> dict[str, xr.DataArray]:
        if "strategy" not in self.similarities.dims:
            return {self.metric: self.similarities}
        names = self.similarities["strategy"].values.tolist()
        return {f"{name}": self.similarities.sel(strategy=name) for name in names}

    def _draw(self, ax: Axes, title: str, matrix: xr.DataArray, limit: float) -> Any:
        values = matrix.values
        image = ax.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit, aspect="equal")
        rows = matrix["pattern_label"].values.tolist()
        columns = matrix["contrast_label"].values.tolist()
        for i, label in enumerate(rows):
            if label in columns:
                corner = (columns.index(label) - 0.5, i - 0.5)
                ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.2))
        step = max(1, len(columns) // 25)
        ax.set_xticks(range(0, len(columns), step))
        ax.set_yticks(range(0, len(rows), step))
        names: dict[str, Any] = {"parse_math": False, "fontsize": 7}
        ax.set_xticklabels([plain(c, 12) for c in columns[::step]], rotation=90, **names)
        ax.set_yticklabels([plain(r, 12) for r in rows[::step]], **names)
        ax.set_xlabel("contrast of", fontsize=8)
        ax.set_ylabel("pattern of", fontsize=8)
        ax.set_title(plain(title), fontsize=9, parse_math=False)
        if len(columns) <= _WRITTEN:
            for (i, j), value in np.ndenumerate(values):
                colour = "white" if abs(value) > 0.7 * limit else "black"
                ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=5, color=colour)
        return image
