"""The pictures of the leak: class means, and what leaks against what was asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from pncviz import ClassMeanDisplay

__all__ = ["draw_means", "draw_queries"]


def draw_means(found: dict[str, Any], target: Path) -> None:
    """Draw true class means above those of other data and of each route."""
    labels, rows = found["labels"], {}
    for key, title in (("true", "true class means"), ("other", "other data")):
        rows[title] = _images(found, key, labels)
    for key in found["order"]:
        route = found["routes"][key]
        if route["seen"]:
            rows[f"{route['title']} ({route['access']})"] = _images(found, key, labels)
    shown = ClassMeanDisplay.from_means(rows).plot()
    shown.figure_.savefig(target, dpi=110)


def _images(found: dict[str, Any], key: str, labels: list[str]) -> xr.DataArray:
    dims = ("label", "channel", "row", "column")
    return xr.DataArray(np.load(found["files"][key]), dims=dims, coords={"label": labels})


def draw_queries(result: dict[str, Any], target: Path) -> None:
    """Draw what leaks against the inputs asked, with intervals."""
    figure = Figure(figsize=(4.2 * len(result) + 0.6, 3.4), layout="constrained")
    axes = figure.subplots(1, len(result), squeeze=False, sharey=True)[0]
    for ax, (dataset, found) in zip(axes, result.items(), strict=True):
        for model, colour in (("fc", "#2166ac"), ("lenet", "#b2182b")):
            if f"{model}-aai" not in found["routes"]:
                continue
            for access, style in (("probabilities", "-"), ("labels", "--")):
                ones = [
                    route["images"]
                    for key, route in found["routes"].items()
                    if key.startswith(f"{model}-fields-{access}-")
                ]
                r = np.array([one["deviation_correlation"] for one in ones]).T
                ax.errorbar(
                    [one["queries"] for one in ones],
                    r[0],
                    yerr=[r[0] - r[1], r[2] - r[0]],
                    color=colour,
                    linestyle=style,
                    marker="o",
                    markersize=3,
                    capsize=2,
                    label=f"{model}, {access}",
                )
            own = found["routes"][f"{model}-aai"]["images"]["deviation_correlation"][0]
            ax.axhline(own, color=colour, linestyle=":", label=f"{model}, gradients")
        ax.set(xscale="log", xlabel="inputs asked", ylim=(min(0, ax.get_ylim()[0]), 1))
        ax.set_title(dataset, fontsize=9, parse_math=False)
    axes[0].set_ylabel("r of what leaks")
    axes[-1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(target, dpi=110)
