"""How patterns came about: by iteration, and by number of adversarial examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pncviz.dataset import validate
from pncviz.displays.choice import check_leading, names_of
from pncviz.displays.common import plain
from pncviz.displays.lines import MOST_COLOURS, Entry, add_legend, draw_lines
from pncviz.exceptions import ParameterError

__all__ = ["ConvergenceDisplay"]

_HOW = (
    'The patterns hold neither traces nor blocks; extract them with attack=make_attack("gradient_'
    'descent", trace_every=10), or with n_blocks=20 and a strategy of many examples such as "aai".'
)
#: From this ratio of the largest to the smallest loss on, equal factors are drawn equally far.
_LOGARITHMIC = 30.0


class ConvergenceDisplay:
    """Loss and confidence by iteration, and the pattern by its number of adversarial examples.

    One line per class: in colour up to ten, else grey with the median in black. A pattern that
    stopped early ends in a dot at its last trace, and counts in the median with that value.
    Patterns that did not reach their class are dashed, and have × before their name or are red.

    Parameters
    ----------
    panels : mapping of str to xarray.DataArray
        (label, trace_iteration) or (n_examples, label), by what the y axis is called.
    succeeded : xarray.DataArray, optional
        (label,): whether the pattern reached its class.
    title : str
        Over the first panel; may be empty.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    axes_ : ndarray of Axes of shape (n_panels,)
    ax_ : Axes
        The first panel.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_attack, make_classifier
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", max_epochs=100).fit(data.X, data.y)
    >>> attack = make_attack("gradient_descent", trace_every=10)
    >>> patterns = extract_patterns(net, image_shape=(6, 6), attack=attack, max_iter=200)
    >>> [ax.get_ylabel() for ax in ConvergenceDisplay.from_dataset(patterns).plot().axes_]
    ['loss (nat)', 'confidence']
    """

    def __init__(
        self,
        panels: Mapping[str, xr.DataArray],
        *,
        succeeded: xr.DataArray | None = None,
        title: str = "",
    ) -> None:
        self.panels = dict(panels)
        self.succeeded = succeeded
        self.title = title

    @classmethod
    def from_dataset(
        cls, patterns: xr.Dataset, contrasts: xr.Dataset | None = None
    ) -> ConvergenceDisplay:
        """Take patterns with traces (``trace_every``), with blocks (``n_blocks``), or with both.

        Parameters
        ----------
        patterns : xarray.Dataset
        contrasts : xarray.Dataset, optional
            With blocks, the sum of the first n examples is then compared with the contrast of
            its class, else with the whole pattern, by Pearson's r.

        Raises
        ------
        ParameterError
            There are neither traces nor blocks, or there is a leading dimension.
        """
        validate(patterns, "patterns")
        check_leading(patterns["succeeded"], ("label",))
        panels: dict[str, xr.DataArray] = {}
        for name in ("loss", "confidence"):
            if f"trace_{name}" in patterns:
                trace = patterns[f"trace_{name}"]
                units = trace.attrs.get("units", "1")
                panels[name if units == "1" else f"{name} ({plain(units)})"] = trace
        if "pattern_block" in patterns and patterns["n_block"].values.any():
            panels |= _by_examples(patterns, contrasts)
        if not panels:
            raise ParameterError(_HOW)
        title = str(patterns["strategy"].item()) if "strategy" in patterns.coords else ""
        return cls(panels, succeeded=patterns["succeeded"], title=title)

    @classmethod
    def from_estimator(cls, extractor: Any, contrast: Any = None) -> ConvergenceDisplay:
        """Take a fitted extractor and, perhaps, a fitted PNC transformer."""
        return cls.from_dataset(
            extractor.patterns_, None if contrast is None else contrast.contrasts_
        )

    def plot(self, *, ax: Axes | None = None) -> ConvergenceDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, if there is one panel.

        Returns
        -------
        ConvergenceDisplay
            Itself, with ``figure_``, ``axes_`` and ``ax_``.

        Raises
        ------
        ParameterError
            ``ax`` is given for several panels.
        """
        n = len(self.panels)
        if ax is not None and n > 1:
            raise ParameterError(f"`ax` is one panel, but there are {n}: {', '.join(self.panels)}.")
        if ax is None:
            self.figure_ = Figure(figsize=(3.0 * n + 1.6, 2.8), layout="constrained")
            self.axes_ = self.figure_.subplots(1, n, squeeze=False)[0]
        else:
            self.figure_ = cast(Figure, ax.figure)
            self.axes_ = np.array([ax])
        self.ax_ = self.axes_[0]
        entries: list[Entry] = []
        for panel, (name, array) in zip(self.axes_, self.panels.items(), strict=True):
            entries = self._draw(panel, name, array)
        self.ax_.set_title(plain(self.title), fontsize=9, parse_math=False)
        failed = self.succeeded is not None and not bool(self.succeeded.all())
        few = next(iter(self.panels.values())).sizes["label"] <= MOST_COLOURS
        explained = "× class not reached" if failed and few else None
        add_legend(self.axes_[-1], entries, title=explained)
        return self

    def _draw(self, ax: Axes, name: str, array: xr.DataArray) -> list[Entry]:
        (along,) = set(array.dims) - {"label"}
        lines = array.transpose("label", along)
        labels = lines["label"].values.tolist()
        reached = None if self.succeeded is None else self.succeeded.values
        names = names_of(labels, reached, longest=24)
        failed = None if reached is None else ~reached
        entries = draw_lines(ax, lines[along].values, lines.values, names, failed=failed)
        ax.set_xlabel("iteration" if along == "trace_iteration" else "examples", fontsize=8)
        ax.set_ylabel(name, fontsize=8, parse_math=False)
        ax.tick_params(labelsize=7)
        positive = lines.values[np.isfinite(lines.values)]
        if name.startswith("loss") and positive.size and positive.min() > 0:
            if positive.max() / positive.min() > _LOGARITHMIC:
                ax.set_yscale("log")
        elif name == "confidence":
            ax.set_ylim(-0.03, 1.03)
        return entries


def _by_examples(patterns: xr.Dataset, contrasts: xr.Dataset | None) -> dict[str, xr.DataArray]:
    """Similarity of the growing sum to the contrast, or without contrasts to the whole."""
    from pncviz.inference import example_convergence

    found = example_convergence(patterns, contrasts, metric="pearson")
    if contrasts is None:
        return {"pearson with the whole pattern": found["similarity_to_whole"]}
    return {"pearson with the contrast": found["similarity_to_contrast"]}
