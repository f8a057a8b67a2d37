"""At which spatial frequencies patterns are like their contrasts, and where their power lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pncviz.displays.choice import check_leading, names_of
from pncviz.displays.common import plain
from pncviz.displays.lines import Entry, add_legend, draw_lines

__all__ = ["SpectrumDisplay"]

_POWERS = {
    "pattern_power": ("pattern", "#b2182b", "-"),
    "contrast_power": ("contrast", "#2166ac", "--"),
}


class SpectrumDisplay:
    """Similarity to the own class in bands of spatial frequency, over the shares of power.

    Above: a thin line per class, the mean over classes thick. Below: the mean share of each
    image's power that lies in each band, pattern and contrast, with the classes thin. Bands
    without power tell nothing about similarity, which is why both are shown.

    Parameters
    ----------
    bands : xarray.Dataset
        ``similarity``, ``pattern_power`` and ``contrast_power`` on (label, frequency), perhaps
        with a leading ``strategy``: one column of panels each. ``frequency`` in cycles/pixel.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    axes_ : ndarray of Axes of shape (2, n_columns)
        Similarity above, power below.
    ax_ : Axes
        The first panel.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> share = xr.DataArray([[0.9, 0.1]], dims=("label", "frequency"))
    >>> bands = xr.Dataset(
    ...     {"similarity": share, "pattern_power": share, "contrast_power": share},
    ...     coords={"label": ["cat"], "frequency": [0.1, 0.4]},
    ... )
    >>> SpectrumDisplay(bands).plot().axes_.shape
    (2, 1)
    """

    def __init__(self, bands: xr.Dataset) -> None:
        self.bands = bands

    @classmethod
    def from_dataset(
        cls, patterns: xr.Dataset, contrasts: xr.Dataset, *, n_bands: int | None = None
    ) -> SpectrumDisplay:
        """Compare patterns with contrasts band by band.

        Parameters
        ----------
        patterns, contrasts : xarray.Dataset
            Images, not tables.
        n_bands : int, optional
            As of :func:`pncviz.inference.band_similarity`.

        Raises
        ------
        ParameterError
            There is a leading dimension other than ``strategy``.
        """
        from pncviz.inference import band_similarity

        bands = band_similarity(patterns, contrasts, n_bands=n_bands)
        check_leading(bands["similarity"], ("label", "frequency"), free=["strategy"])
        return cls(bands)

    @classmethod
    def from_estimator(
        cls, extractor: Any, contrast: Any, *, n_bands: int | None = None
    ) -> SpectrumDisplay:
        """Take a fitted extractor and a fitted PNC transformer."""
        return cls.from_dataset(extractor.patterns_, contrast.contrasts_, n_bands=n_bands)

    def plot(self) -> SpectrumDisplay:
        """Draw.

        Returns
        -------
        SpectrumDisplay
            Itself, with ``figure_``, ``axes_`` and ``ax_``.
        """
        check_leading(self.bands["similarity"], ("label", "frequency"), free=["strategy"])
        names = self.bands["strategy"].values.tolist() if "strategy" in self.bands.dims else [None]
        self.figure_ = Figure(figsize=(3.4 * len(names) + 1.6, 4.2), layout="constrained")
        self.axes_ = self.figure_.subplots(
            2, len(names), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 2)
        )
        self.ax_ = self.axes_[0, 0]
        upper: list[Entry] = []
        lower: list[Entry] = []
        for column, name in zip(self.axes_.T, names, strict=True):
            bands = self.bands if name is None else self.bands.sel(strategy=name)
            upper, lower = _similarity(column[0], bands), _powers(column[1], bands)
            title = "" if name is None else plain(name)
            column[0].set_title(title, fontsize=9, parse_math=False)
            column[1].set_xlabel("spatial frequency (cycles/pixel)", fontsize=8)
        self.axes_[0, 0].set_ylabel("similarity to the own class", fontsize=8)
        self.axes_[1, 0].set_ylabel("share of power", fontsize=8)
        add_legend(self.axes_[0, -1], upper)
        add_legend(self.axes_[1, -1], lower, title="mean over classes")
        return self


def _lines(bands: xr.Dataset, name: str) -> Any:
    return bands[name].transpose("label", "frequency").values


def _similarity(ax: Axes, bands: xr.Dataset) -> list[Entry]:
    ax.axhline(0, color="0.5", linewidth=0.6, linestyle=":")
    ax.tick_params(labelsize=7)
    names = names_of(bands["label"].values.tolist(), longest=24)
    x = bands["frequency"].values
    return draw_lines(ax, x, _lines(bands, "similarity"), names, emphasis="mean")


def _powers(ax: Axes, bands: xr.Dataset) -> list[Entry]:
    """Classes thin and pale, their mean thick, in one colour for each of the two."""
    entries: list[Entry] = []
    x = bands["frequency"].values
    for name, (what, colour, dashes) in _POWERS.items():
        shares = _lines(bands, name)
        ax.plot(x, shares.T, color=colour, alpha=0.2, linewidth=0.5)
        (thick,) = ax.plot(x, np.nanmean(shares, axis=0), dashes, color=colour, linewidth=2)
        entries.append((thick, what))
    ax.set_ylim(bottom=0)
    ax.tick_params(labelsize=7)
    return entries
