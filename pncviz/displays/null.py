"""Each class's similarity to its own contrast against what the null gives."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pncviz.displays.choice import (
    check_alpha,
    check_leading,
    names_of,
    one_metric,
    one_strategy,
    places_named,
)
from pncviz.displays.common import plain
from pncviz.displays.scales import axis_label, neutral_of
from pncviz.exceptions import ParameterError

__all__ = ["NullDisplay"]

_OBSERVED = "#b2182b"
_QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)
#: Up to so many classes each name has room.
_NAMED = 60


class NullDisplay:
    """Observed own-class similarities over strips of the null's quantiles.

    Per class a light strip from the 2.5 % to the 97.5 % quantile of its null draws, a darker one
    from 25 % to 75 %, a line at the median, and the observed similarity as a dot: filled where
    q is below ``alpha``, with its interval as a bar where there is one. Patterns that did not
    reach their class have × before their name.

    Parameters
    ----------
    classes : xarray.Dataset
        On ``label``: ``similarity``, and perhaps ``q``, ``lower``, ``upper`` and ``succeeded``;
        ``null_similarity`` (draw, label).
    metric : str
    strategy : str
        For the title; may be empty.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : Axes

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz.dataset import build_similarities, common_attrs
    >>> similarities = build_similarities(
    ...     similarity=np.eye(2)[None], metrics=["pearson"], pattern_labels=["cat", "dog"],
    ...     contrast_labels=["cat", "dog"],
    ...     attrs=common_attrs("similarities", parameters={}, null="phase"),
    ...     statistics={"null_similarity": np.linspace(-0.5, 0.5, 101)[:, None, None] * [[1, 2]]},
    ... )
    >>> display = NullDisplay.from_dataset(similarities).plot()
    >>> print(display.ax_.get_title())
    pearson with the own class
    null: phase, 101 draws
    """

    def __init__(self, classes: xr.Dataset, *, metric: str, strategy: str = "") -> None:
        self.classes = classes
        self.metric = metric
        self.strategy = strategy

    @classmethod
    def from_dataset(
        cls, similarities: xr.Dataset, metric: str | None = None, strategy: str | None = None
    ) -> NullDisplay:
        """Take the result of :func:`~pncviz.compare` with a null.

        Parameters
        ----------
        similarities : xarray.Dataset
            With ``null_similarity``.
        metric, strategy : str, optional
            The first by default.

        Raises
        ------
        ParameterError
            There are no draws, no such metric or strategy, or a leading dimension other than
            ``strategy``.
        """
        chosen, metric = one_metric(similarities, metric)
        if "null_similarity" not in chosen:
            raise ParameterError(
                "The similarities hold no `null_similarity`; make them by compare(..., null=...)."
            )
        check_leading(chosen["similarity"], ("pattern_label", "contrast_label"), free=["strategy"])
        chosen, strategy = one_strategy(chosen, strategy)
        return cls(_own(chosen), metric=metric, strategy=strategy)

    def plot(self, *, ax: Axes | None = None, alpha: float = 0.05) -> NullDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        alpha : float, default=0.05
            The dots of classes with q below this are filled.

        Returns
        -------
        NullDisplay
            Itself, with ``figure_`` and ``ax_``.

        Raises
        ------
        ParameterError
            ``alpha`` is outside (0, 1].
        """
        check_alpha(alpha)
        n = self.classes.sizes["label"]
        if ax is None:
            width = float(np.clip(0.35 * n, 2.4, 11)) + 2.4
            self.figure_ = Figure(figsize=(width, 3.6), layout="constrained")
            ax = self.figure_.subplots()
        else:
            self.figure_ = cast(Figure, ax.figure)
        self.ax_ = ax
        neutral, _ = neutral_of(self.classes["similarity"], self.metric)
        ax.axhline(neutral, color="0.5", linewidth=0.6, linestyle=":", zorder=0)
        self._draw_null(ax)
        self._draw_observed(ax, alpha, size=float(np.clip(200 / n, 2.5, 6)))
        self._name(ax)
        return self

    def _draw_null(self, ax: Axes) -> None:
        """Draw strips of quantiles; a class without draws has none."""
        draws = self.classes["null_similarity"].transpose("draw", "label").values
        drawn = np.isfinite(draws).any(axis=0)
        x = np.flatnonzero(drawn)
        if not len(x):
            return
        finite = np.where(np.isfinite(draws), draws, np.nan)[:, drawn]
        low, quarter, middle, three, high = np.nanquantile(finite, _QUANTILES, axis=0)
        ax.use_sticky_edges = False  # else the lowest strip stands on the frame
        ax.bar(x, high - low, 0.7, bottom=low, color="0.85", label="null: 95 % of draws")
        ax.bar(x, three - quarter, 0.7, bottom=quarter, color="0.7", label="null: middle half")
        ax.hlines(middle, x - 0.35, x + 0.35, color="0.35", linewidth=1, label="null: median")

    def _draw_observed(self, ax: Axes, alpha: float, size: float) -> None:
        values = self.classes["similarity"].values
        x = np.arange(len(values))
        if "lower" in self.classes and "upper" in self.classes:
            lower, upper = self.classes["lower"].values, self.classes["upper"].values
            known = np.isfinite(lower) & np.isfinite(upper)
            if known.any():
                level = 100 * float(self.classes.attrs.get("confidence_level", 0.95))
                name = f"{level:g} % interval{_over(self.classes)}"
                ax.vlines(
                    x[known], lower[known], upper[known], color=_OBSERVED, linewidth=1, label=name
                )
        look: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": size}
        look |= {"markeredgecolor": _OBSERVED, "markeredgewidth": min(1.0, size / 4)}
        if "q" not in self.classes:
            ax.plot(x, values, markerfacecolor="white", label="observed", **look)
            return
        small = self.classes["q"].values < alpha
        for chosen, fill, sign in ((small, _OBSERVED, "<"), (~small, "white", "≥")):
            name = f"observed, q {sign} {alpha:g}"
            ax.plot(x[chosen], values[chosen], markerfacecolor=fill, label=name, **look)

    def _name(self, ax: Axes) -> None:
        labels = self.classes["label"].values.tolist()
        reached = self.classes["succeeded"].values if "succeeded" in self.classes else None
        names = names_of(labels, reached)
        named = places_named(len(labels), reached, roomy=_NAMED)
        turned = 90 if max(map(len, names)) > 3 or len(labels) > 30 else 0
        look: dict[str, Any] = {"rotation": turned, "fontsize": 7, "parse_math": False}
        ax.set_xticks(named, [names[i] for i in named], **look)
        ax.set_xlim(-0.6, len(labels) - 0.4)
        failed = 0 if reached is None else int((~reached).sum())
        marked = f" (×: pattern did not reach it, {failed} of {len(labels)})" if failed else ""
        ax.set_xlabel(f"class{marked}", fontsize=8)
        label = axis_label(self.classes["similarity"], self.metric)
        ax.set_ylabel(label, fontsize=8, parse_math=False)
        ax.tick_params(axis="y", labelsize=7)
        of = f", {plain(self.strategy)}" if self.strategy else ""
        null = plain(self.classes.attrs.get("null") or "unnamed", 60)
        draws = self.classes.sizes["draw"]
        title = f"{plain(self.metric)} with the own class{of}\nnull: {null}, {draws} draws"
        ax.set_title(title, fontsize=9, parse_math=False)
        handles, texts = ax.get_legend_handles_labels()
        order = sorted(range(len(texts)), key=lambda i: not texts[i].startswith("observed"))
        ax.legend(
            [handles[i] for i in order],
            [texts[i] for i in order],
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            borderaxespad=0,
            frameon=False,
            fontsize=7,
        )


def _own(similarities: xr.Dataset) -> xr.Dataset:
    """Keep what is on the pattern's class, and of the similarities those with the own class."""
    columns = {label: j for j, label in enumerate(similarities["contrast_label"].values.tolist())}
    labels = similarities["pattern_label"].values.tolist()
    matrix = similarities["similarity"].values
    own: NDArray[Any] = np.array(
        [
            matrix[i, columns[label]] if label in columns else np.nan
            for i, label in enumerate(labels)
        ]
    )
    kept = [name for name in _KEPT if name in similarities]
    classes = similarities[kept].rename(pattern_label="label")
    attrs = similarities["similarity"].attrs
    return classes.assign(similarity=("label", own, attrs)).assign_attrs(similarities.attrs)


_KEPT = ("null_similarity", "q", "lower", "upper", "succeeded", "interval_over")


def _over(classes: xr.Dataset) -> str:
    """Say what the interval resamples, where that is known."""
    if "interval_over" not in classes or classes["interval_over"].ndim:
        return ""
    return f"\nover {plain(classes['interval_over'].item(), 40)}"
