"""Images as PNG inside the page, and rows of tables as bars by feature name."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.image import imsave
from numpy.typing import NDArray

from pncviz.dataset import printable
from pncviz.displays.common import SIGNED, limit_of
from pncviz.report.gather import class_order, in_order, source_names
from pncviz.report.numbers import number

__all__ = ["MOST_BARS", "gallery"]

#: More bars than this are not drawn; the largest are.
MOST_BARS = 20
# What all images of a page may take: a pixel is 4 bytes at most (3 channels in base64).
_MOST_PIXELS = 750_000


def gallery(found: Mapping[str, xr.Dataset]) -> list[dict[str, Any]]:
    """Make the pictures of every class: the contrasts, then one row per source.

    Parameters
    ----------
    found : mapping of str to xarray.Dataset
        By kind.

    Returns
    -------
    list of dict
        Rows with ``name``, ``scale`` (how far it reaches), ``note`` (what is drawn how) and
        ``cells``, one per class: an image's ``src``, ``bars``, why it ``failed``, or None.
    """
    classes, rows = class_order(found), _rows(in_order(found), source_names(found))
    if not rows:
        return []
    pixels = sum(row["images"].values[:, 0].size for row in rows if row["images"].ndim == 4)
    shrink = math.ceil(math.sqrt(pixels / _MOST_PIXELS)) or 1
    bars = _chosen_features(rows, classes)
    names = _feature_names(rows)
    return [_pictures(row, classes, shrink, bars, names) for row in rows]


def _rows(data: Mapping[str, xr.Dataset], names: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if "contrasts" in data:
        rows.append({"name": "contrast", "images": data["contrasts"]["contrast"]})
    if "patterns" in data:
        for source, name in enumerate(names):
            one = data["patterns"].isel(strategy=source)
            rows.append({"name": printable(name), "images": one["pattern"]})
            rows[-1] |= {"shown": one["succeeded"].values, "why": one["stop_reason"].values}
    for row in rows:
        shown = row.setdefault("shown", np.ones(len(row["images"]), dtype=bool))
        # As in PatternDisplay: what is left blank has no say in the scale.
        row["limit"] = limit_of(row["images"].values[shown])
    return rows


def _feature_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give the names that any of the rows has: a net knows none, its data often do."""
    for row in rows:
        if "feature" in row["images"].coords:
            return [printable(name) for name in row["images"]["feature"].values.tolist()]
    return [f"feature {i}" for i in range(rows[0]["images"].shape[-1])]


def _chosen_features(rows: Sequence[Mapping[str, Any]], classes: list[Any]) -> dict[Any, Any]:
    """Choose one set of features per class, so that its bars can be compared side by side."""
    chosen: dict[Any, NDArray[np.int64]] = {}
    for label in classes:
        sizes: Any = 0.0
        for row in rows:
            labels = row["images"]["label"].values.tolist()
            if row["images"].ndim == 2 and label in labels:
                i = labels.index(label)
                size = np.abs(row["images"].values[i]) / row["limit"]
                sizes = np.maximum(sizes, size * row["shown"][i])
        if np.ndim(sizes):
            chosen[label] = np.sort(np.argsort(-sizes, kind="stable")[:MOST_BARS])
    return chosen


def _pictures(
    row: Mapping[str, Any],
    classes: list[Any],
    shrink: int,
    bars: Mapping[Any, Any],
    names: Sequence[str],
) -> dict[str, Any]:
    images, limit = row["images"], row["limit"]
    labels = images["label"].values.tolist()
    cells: list[dict[str, Any] | None] = []
    for label in classes:
        i = labels.index(label) if label in labels else None
        if i is None:
            cells.append(None)
        elif not row["shown"][i]:
            cells.append({"failed": printable(row["why"][i])})
        elif images.ndim == 2:
            cells.append({"bars": _bars(images.values[i], limit, bars[label], names)})
        else:
            cells.append(_image(_shrunk(images.values[i], shrink), limit))
    return {
        "name": row["name"],
        "cells": cells,
        "scale": _scale(images, limit),
        "note": _note(images, shrink),
    }


def _scale(images: xr.DataArray, limit: float) -> str:
    """Write how far a row's scale reaches on either side of zero."""
    units = printable(images.attrs.get("units", "1"))
    return f"±{number(limit)}{'' if units == '1' else f' {units}'}"


def _note(images: xr.DataArray, shrink: int) -> str:
    """Say what colours or bars mean."""
    if images.ndim == 2:
        told = "Red bars to the right are positive, blue bars to the left negative"
        if images.shape[1] > MOST_BARS:
            told += f"; the {MOST_BARS} largest of {images.shape[1]} features are drawn"
    elif images.shape[1] == 3:
        told = "Colours are 0.5 + value ÷ width of the scale, so that zero is mid-grey"
    else:
        told = "Blue is negative, white zero, red positive"
        if images.shape[1] > 1:
            told += f"; the mean over {images.shape[1]} channels is drawn"
    return f"{told}." if shrink == 1 else f"{told}; drawn at 1/{shrink} of the resolution."


def _image(image: NDArray[Any], limit: float) -> dict[str, Any]:
    """Colour one image (channel, row, column) as pncviz.displays does, and write it as PNG."""
    if len(image) == 3:
        colours = np.clip(0.5 + np.moveaxis(image, 0, -1) / (2 * limit), 0, 1)
        pixels = np.round(255 * colours).astype(np.uint8)
    else:
        scaled = np.clip(0.5 + image.mean(axis=0) / (2 * limit), 0, 1)
        pixels = matplotlib.colormaps[SIGNED](scaled, bytes=True)
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png")
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {
        "src": f"data:image/png;base64,{text}",
        "width": image.shape[2],
        "height": image.shape[1],
    }


def _shrunk(image: NDArray[Any], factor: int) -> NDArray[Any]:
    """Average over squares of ``factor`` by ``factor`` pixels; smaller ones at the far edges."""
    if factor == 1:
        return image
    result = np.asarray(image, dtype=np.float64)
    for axis in (1, 2):
        starts = np.arange(0, image.shape[axis], factor)
        counts = np.diff(np.append(starts, image.shape[axis]))
        sums = np.add.reduceat(result, starts, axis=axis)
        result = sums / np.expand_dims(counts, tuple({0, 1, 2} - {axis}))
    return result


def _bars(
    values: NDArray[Any], limit: float, features: NDArray[np.int64], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Give name, length, side and value of each bar, on a scale from −1 to 1."""
    return [
        {
            "name": names[i],
            "start": round(min(0.0, float(values[i]) / limit), 4),
            "length": round(abs(float(values[i])) / limit, 4),
            "side": "below" if values[i] < 0 else "above",
            "text": number(float(values[i])),
        }
        for i in features.tolist()
    ]
