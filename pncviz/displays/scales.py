"""What the colours of similarities mean: white is "no more alike than nothing", red is alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pncviz.displays.common import SIGNED, limit_of, plain
from pncviz.exceptions import ConflictError, UnknownNameError
from pncviz.metrics import find_metric
from pncviz.specs import MetricSpec

__all__ = ["Scale", "axis_label", "draw_bar", "neutral_of", "scale_of", "smaller_is_alike"]


@dataclass(frozen=True)
class Scale:
    """A colour scale and its statement.

    Attributes
    ----------
    low, high : float
        In the metric's units.
    neutral : float
        The value of no similarity, drawn white: 0 for correlations, 90 for angles in degrees.
    cmap : str
        Red is alike, whether that is the high or the low end.
    label : str
        For the colour bar.
    """

    low: float
    high: float
    neutral: float
    cmap: str
    label: str

    def is_dark(self, value: float) -> bool:
        """Whether text on this value's colour must be white."""
        reach = max(self.high - self.neutral, self.neutral - self.low)
        return abs(value - self.neutral) > 0.7 * reach


def _spec(metric: str) -> MetricSpec | None:
    """Find what a metric says of itself; a file may outlive the plugin it was made with."""
    try:
        return find_metric(metric)
    except (UnknownNameError, ConflictError):
        return None


def smaller_is_alike(similarities: xr.DataArray, metric: str) -> bool:
    """Whether a small value of the metric means alike, as for angles."""
    if "higher_is_better" in similarities.coords:
        return not bool(similarities["higher_is_better"].values.all())
    spec = _spec(metric)
    return spec is not None and not spec.higher_is_better


def _units(similarities: xr.DataArray, metric: str) -> str:
    """Units of one metric; the variable's own attribute lists those of all metrics."""
    if "metric_units" in similarities.coords and not similarities["metric_units"].ndim:
        return str(similarities["metric_units"].item())
    spec = _spec(metric)
    return str(similarities.attrs.get("units", "1")) if spec is None else spec.units


def axis_label(similarities: xr.DataArray, metric: str) -> str:
    """Name a metric with its units, and say so if less is more alike."""
    units = _units(similarities, metric)
    text = plain(metric) + ("" if units == "1" else f" ({plain(units)})")
    return text + (", less is more alike" if smaller_is_alike(similarities, metric) else "")


def neutral_of(similarities: xr.DataArray, metric: str) -> tuple[float, bool]:
    """Give the value of no similarity, and whether there are values on both sides of it.

    Examples
    --------
    >>> neutral_of(xr.DataArray(0.5), "pearson"), neutral_of(xr.DataArray(80.0), "angle")
    ((0.0, True), (90.0, True))
    """
    spec = _spec(metric)
    if spec is None:
        return (90.0 if _units(similarities, metric) == "degree" else 0.0), True
    (low, high), constant = spec.range, spec.constant
    if low < 0:
        return 0.0, True
    if low < constant < high:
        return constant, True
    # Never below `low`, such as mutual information: half of a two-sided scale would lie idle.
    return low, False


def scale_of(similarities: xr.DataArray, metric: str) -> Scale:
    """Choose one colour scale for all panels of a metric, centred at no similarity.

    Parameters
    ----------
    similarities : xarray.DataArray
        Of one metric, any dims; may hold NaN and infinities.
    metric : str

    Returns
    -------
    Scale

    Examples
    --------
    >>> scale = scale_of(xr.DataArray([30.0, 100.0]), "angle")
    >>> scale.low, scale.neutral, scale.high, scale.cmap
    (30.0, 90.0, 150.0, 'RdBu')
    """
    finite = similarities.values[np.isfinite(similarities.values)]
    neutral, two_sided = neutral_of(similarities, metric)
    reach = limit_of(finite - neutral)
    reverse = smaller_is_alike(similarities, metric)
    label = axis_label(similarities, metric)
    if two_sided:
        cmap = "RdBu" if reverse else SIGNED
        return Scale(neutral - reach, neutral + reach, neutral, cmap, label)
    return Scale(neutral, neutral + reach, neutral, "Reds_r" if reverse else "Reds", label)


def draw_bar(figure: Figure, axes: Sequence[Axes], image: Any, scale: Scale, note: str) -> None:
    """Draw a colour bar with the limits and the neutral value among its ticks."""
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01)
    stated = list(dict.fromkeys([scale.low, scale.neutral, scale.high]))
    apart = 0.1 * (scale.high - scale.low)
    between = [
        tick
        for tick in bar.get_ticks().tolist()
        if scale.low < tick < scale.high and all(abs(tick - other) > apart for other in stated)
    ]
    ticks = sorted(stated + between)
    bar.set_ticks(ticks, labels=[f"{tick:.3g}".replace("-", "−") for tick in ticks])
    bar.set_label(scale.label + note, fontsize=8, parse_math=False)
    bar.ax.tick_params(labelsize=7)
