"""Patterns and contrasts, a row per source and a column per class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pncviz.dataset import concat_patterns, validate
from pncviz.displays.common import SIGNED, blank, draw_image, limit_of, plain
from pncviz.exceptions import LabelError, ParameterError

__all__ = ["MOST_LABELS", "PatternDisplay"]

#: More columns than this cannot be told apart, nor kept in a PNG.
MOST_LABELS = 200


class PatternDisplay:
    """Images of classes from several sources, one row each, as in the paper's Figures 1 and 3.

    Each row has one colour scale, centred at zero, whose limits stand beside it. A pattern that
    did not reach its class is left blank and marked.

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
    def from_dataset(cls, *datasets: xr.Dataset, labels: Any = None) -> PatternDisplay:
        """Take patterns (with or without strategies) and contrasts, in the order of the rows.

        Parameters
        ----------
        *datasets : xarray.Dataset
            Of kind patterns or contrasts.
        labels : array-like, optional
            The classes to draw; by default those that all have.

        Raises
        ------
        LabelError
            A dataset lacks one of the labels, or there are none or too many.
        """
        if not datasets:
            raise ParameterError("from_dataset needs at least one dataset.")
        first = _common(datasets) if labels is None else np.asarray(labels)
        if not 0 < len(first) <= MOST_LABELS:
            raise LabelError(
                f"A picture takes 1 to {MOST_LABELS} classes, got {len(first)}; choose `labels`."
            )
        sources: dict[str, xr.DataArray] = {}
        succeeded: dict[str, xr.DataArray] = {}
        for dataset in datasets:
            for name, image, reached in _rows(dataset):
                missing = set(first.tolist()) - set(image["label"].values.tolist())
                if missing:
                    raise LabelError(f"{name} has no {sorted(missing, key=str)[:10]}.")
                unique = name if name not in sources else f"{name} {len(sources)}"
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
        if names is not None and len(names) != len(estimators):
            raise ParameterError(
                f"`names` must have one name per estimator ({len(estimators)}), got {len(names)}."
            )
        datasets = [_result(estimator) for estimator in estimators]
        display = cls.from_dataset(*datasets, labels=labels)
        if names is not None:
            old = list(display.sources)
            display.sources = dict(zip(names, display.sources.values(), strict=True))
            renamed = dict(zip(old, names, strict=True))
            display.succeeded = {renamed[name]: v for name, v in display.succeeded.items()}
        return display

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
        n_rows, n_labels = len(self.sources), len(next(iter(self.sources.values())))
        side = cell or float(np.clip(10 / n_labels, 0.45, 1.6))
        width, height = n_labels * side + 2.0, n_rows * side + 0.5
        self.figure_ = Figure(figsize=(width, height), layout="constrained")
        self.axes_ = self.figure_.subplots(n_rows, n_labels, squeeze=False)
        for axes, (name, images) in zip(self.axes_, self.sources.items(), strict=True):
            self._draw_row(axes, name, images)
        for ax, label in zip(self.axes_[0], images["label"].values.tolist(), strict=True):
            size = 9 if side > 0.7 else 6
            ax.set_title(plain(label, max(4, int(12 * side))), fontsize=size, parse_math=False)
        return self

    def _draw_row(self, axes: Sequence[Axes], name: str, images: xr.DataArray) -> None:
        reached = self.succeeded.get(name)
        shown = np.ones(len(images), dtype=bool) if reached is None else reached.values
        limit = limit_of(images.values[shown])
        for ax, image, there in zip(axes, images.values, shown, strict=True):
            if there:
                draw_image(ax, image, limit)
            else:
                blank(ax, "not reached")
        axes[0].set_ylabel(plain(name), fontsize=9, parse_math=False)
        if images.ndim == 4:
            self._state_scale(axes, limit, in_colour=images.shape[1] == 3)

    def _state_scale(self, axes: Sequence[Axes], limit: float, *, in_colour: bool) -> None:
        """Say what the colours of a row mean, at its right end."""
        if in_colour:
            text = f"0.5 + value\n÷ {2 * limit:.3g}"
            axes[-1].annotate(text, (1.08, 0.5), xycoords="axes fraction", va="center", fontsize=6)
            return
        scale = ScalarMappable(Normalize(-limit, limit), cmap=SIGNED)
        bar = self.figure_.colorbar(scale, ax=list(axes), fraction=0.02, pad=0.01, aspect=12)
        bar.set_ticks([-limit, 0, limit], labels=[f"−{limit:.3g}", "0", f"{limit:.3g}"])
        bar.ax.tick_params(labelsize=6)


def _rows(dataset: xr.Dataset) -> Iterator[tuple[str, xr.DataArray, xr.DataArray | None]]:
    validate(dataset)
    kind = dataset.attrs["kind"]
    if kind == "contrasts":
        yield "contrast", dataset["contrast"], None
    elif kind != "patterns":
        raise ParameterError(f"PatternDisplay draws patterns and contrasts, got {kind}.")
    else:
        if "strategy" not in dataset.dims:
            dataset = concat_patterns({_strategy(dataset): dataset})
        for name in dataset["strategy"].values.tolist():
            one = dataset.sel(strategy=name)
            yield name, one["pattern"], one["succeeded"]


def _common(datasets: Sequence[xr.Dataset]) -> NDArray[Any]:
    """Give the labels of the first dataset that all the others have."""
    first = validate(datasets[0])["label"].values
    shared = set(first.tolist()).intersection(*(d["label"].values.tolist() for d in datasets[1:]))
    return first[[label in shared for label in first.tolist()]]


def _strategy(dataset: xr.Dataset) -> str:
    import json

    try:
        return str(json.loads(dataset.attrs["parameters"])["strategy"]["class"]).lower()
    except (KeyError, TypeError, ValueError):
        return "pattern"


def _result(estimator: Any) -> xr.Dataset:
    for name in ("patterns_", "contrasts_"):
        if hasattr(type(estimator), name) or hasattr(estimator, name):
            result: xr.Dataset = getattr(estimator, name)
            return result
    raise ParameterError(
        f"{type(estimator).__name__} has neither patterns_ nor contrasts_; fit it first."
    )
