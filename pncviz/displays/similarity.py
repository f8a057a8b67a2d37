"""The matrix of similarities, patterns down, contrasts across."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pncviz.displays.cells import are_written, mark_cells, own_cells
from pncviz.displays.choice import check_alpha, check_leading, names_of, one_metric, places_named
from pncviz.displays.common import plain
from pncviz.displays.scales import Scale, draw_bar, scale_of
from pncviz.exceptions import ParameterError

__all__ = ["SimilarityDisplay"]

#: With more classes only every n-th is named.
_NAMED = 50
_OWN = ("pattern_label", "contrast_label")


class SimilarityDisplay:
    """Similarity of every pattern with every contrast; the own class is outlined.

    All panels have one colour scale, centred at no similarity (0; 90 for angles in degrees).
    Own-class cells with q below ``alpha`` carry a mark (* after the number, or a dot where there
    are too many classes for numbers). Patterns that did not reach their class have × before
    their name.

    Parameters
    ----------
    similarities : xarray.DataArray
        (pattern_label, contrast_label), or with a leading ``strategy``: one panel each.
    metric : str
        For the titles.
    q : xarray.DataArray, optional
        (pattern_label,), perhaps with ``strategy``: p of the own class after false discovery
        control. NaN is not marked.
    succeeded : xarray.DataArray, optional
        (pattern_label,), perhaps with ``strategy``: whether the pattern reached its class.
    null : str
        Which null ``q`` is under.

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
    ...     contrast_labels=[0, 1, 2], statistics={"q": [[0.01, 0.2, 0.01]]},
    ...     attrs=common_attrs("similarities", parameters={}, null="phase"),
    ... )
    >>> display = SimilarityDisplay.from_dataset(similarities).plot()
    >>> [text.get_text() for text in display.ax_.texts][::4]
    ['1.00*', '1.00', '1.00*']
    """

    def __init__(
        self,
        similarities: xr.DataArray,
        *,
        metric: str,
        q: xr.DataArray | None = None,
        succeeded: xr.DataArray | None = None,
        null: str = "",
    ) -> None:
        self.similarities = similarities
        self.metric = metric
        self.q = q
        self.succeeded = succeeded
        self.null = null

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
            The metric was not computed, or there is a leading dimension other than ``strategy``.
        """
        chosen, metric = one_metric(similarities, metric)
        check_leading(chosen["similarity"], _OWN, free=["strategy"])
        return cls(
            chosen["similarity"],
            metric=metric,
            q=chosen.get("q"),
            succeeded=chosen.get("succeeded"),
            null=str(similarities.attrs.get("null", "")),
        )

    @classmethod
    def from_estimator(
        cls, extractor: Any, contrast: Any, *, metric: str = "pearson"
    ) -> SimilarityDisplay:
        """Compare a fitted extractor's patterns with a fitted PNC transformer's contrasts."""
        from pncviz.comparison import compare

        return cls.from_dataset(
            compare(extractor.patterns_, contrast.contrasts_, metrics=metric), metric=metric
        )

    def plot(self, *, ax: Axes | None = None, alpha: float = 0.05) -> SimilarityDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, if there is one panel.
        alpha : float, default=0.05
            Own-class cells with q below this are marked.

        Returns
        -------
        SimilarityDisplay
            Itself, with ``figure_``, ``axes_`` and ``ax_``.

        Raises
        ------
        ParameterError
            ``alpha`` is outside (0, 1], or ``ax`` is given for several panels.
        """
        check_alpha(alpha)
        check_leading(self.similarities, _OWN, free=["strategy"])
        panels = list(self._panels())
        if ax is not None and len(panels) > 1:
            raise ParameterError(f"`ax` is one panel, but there are {len(panels)} strategies.")
        side = float(np.clip(0.42 * self.similarities.sizes["contrast_label"], 2.6, 12))
        if ax is None:
            size = (len(panels) * (side + 0.4) + 1.0, side + 0.8)
            # Square panels: the constrained layout would cut their labels off.
            self.figure_ = Figure(figsize=size, layout="compressed")
            self.axes_ = self.figure_.subplots(1, len(panels), squeeze=False)[0]
        else:
            self.figure_ = cast(Figure, ax.figure)  # or a sub-figure, which draws alike
            self.axes_ = np.array([ax])
            side = ax.get_window_extent().width / ax.figure.dpi
        self.ax_ = self.axes_[0]
        points = 72 * side / max(self.similarities.shape[-2:])  # of a cell, about
        scale = scale_of(self.similarities, self.metric)
        for panel, (title, at) in zip(self.axes_, panels, strict=True):
            image = self._draw(panel, at, scale, points)
            panel.set_title(plain(title), fontsize=9, parse_math=False)
            q = self._of(self.q, at)
            significant = None if q is None else q < alpha
            mark_cells(panel, self.similarities.sel(at), significant, scale, points)
        self._state_scale(image, scale, alpha)
        return self

    def _panels(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Title of each panel, and how to select what it shows."""
        if "strategy" not in self.similarities.dims:
            yield self.metric, {}
            return
        for name in self.similarities["strategy"].values.tolist():
            yield name, {"strategy": name}

    def _of(self, array: xr.DataArray | None, at: dict[str, Any]) -> NDArray[Any] | None:
        """Values of one panel, where there are any."""
        if array is None:
            return None
        values: NDArray[Any] = array.sel({d: v for d, v in at.items() if d in array.dims}).values
        return values

    def _draw(self, ax: Axes, at: dict[str, Any], scale: Scale, points: float) -> Any:
        """Colours, names and outlines of one panel."""
        matrix = self.similarities.sel(at)
        image = ax.imshow(
            np.ma.masked_invalid(matrix.values),
            cmap=colormaps[scale.cmap].with_extremes(bad="0.8"),
            vmin=scale.low,
            vmax=scale.high,
            aspect="equal",
            interpolation="nearest",
        )
        self._name_axes(ax, matrix, self._of(self.succeeded, at))
        width = float(np.clip(points / 12, 0.3, 1.2))
        for i, j in own_cells(matrix):
            ax.add_patch(
                Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=width)
            )
        return image

    def _name_axes(self, ax: Axes, matrix: xr.DataArray, reached: NDArray[Any] | None) -> None:
        rows = matrix["pattern_label"].values.tolist()
        columns = matrix["contrast_label"].values.tolist()
        across = places_named(len(columns), None, roomy=_NAMED)
        down = places_named(len(rows), reached, roomy=_NAMED)
        names: dict[str, Any] = {"parse_math": False, "fontsize": 7 if len(rows) <= 50 else 6}
        below = [plain(columns[j], 12) for j in across]
        turned = 90 if max(map(len, below)) > 3 else 0
        ax.set_xticks(across, below, rotation=turned, **names)
        written = names_of(rows, reached)
        ax.set_yticks(down, [written[i] for i in down], **names)
        ax.set_xlabel("contrast of", fontsize=8)
        failed = 0 if reached is None else np.count_nonzero(~reached)
        marked = f" (× did not reach its class: {failed} of {len(rows)})" if failed else ""
        ax.set_ylabel(f"pattern of{marked}", fontsize=8)

    def _state_scale(self, image: Any, scale: Scale, alpha: float) -> None:
        """Say what the colours and the marks mean."""
        note = ""
        if self.q is not None:
            sign = "*" if are_written(self.similarities) else "dot:"
            under = f" under {plain(self.null, 40)}" if self.null else ""
            note = f"\n{sign} q < {alpha:g}{under}"
        draw_bar(self.figure_, list(self.axes_), image, scale, note)
