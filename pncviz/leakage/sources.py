"""Class means from wherever they come, as flat arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from pncviz.exceptions import DataError, ParameterError, ResultError
from pncviz.leakage.prior import Floats

__all__ = ["OVERALL", "RECOVERED", "flat", "images_of", "sources_of"]

#: How the sources are called that are always there.
RECOVERED, OVERALL = "reconstructed", "overall mean"


def images_of(given: object) -> tuple[xr.DataArray, Floats | None]:
    """Give images on (label, …), and the mean of all that they were made with, if it is there."""
    mean = None
    if isinstance(given, xr.Dataset) and "class_mean" in given:
        if "overall_mean" in given:
            mean = given["overall_mean"].values.astype(np.float64).ravel()
        given = given["class_mean"]
    if not isinstance(given, xr.DataArray) or given.dims[:1] != ("label",) or given.ndim < 2:
        told = f"dimensions {given.dims}" if isinstance(given, xr.DataArray) else repr(given)
        raise ResultError(f"Class means must be images on (label, …), got {told:.80}.")
    if "label" not in given.coords or len(given) < 2:
        raise ResultError("Class means must be of two or more classes with a coordinate `label`.")
    if not np.isfinite(given.values).all():
        raise DataError("Class means contain NaN or infinity.")
    return given, mean


def flat(images: xr.DataArray) -> Floats:
    """Give images as (label, pixel)."""
    return images.values.reshape(len(images), -1).astype(np.float64)


def sources_of(
    given: xr.DataArray,
    own_mean: Floats | None,
    overall: Floats,
    p: Floats,
    baselines: Mapping[str, Any],
) -> dict[str, tuple[Floats, Floats]]:
    """Give the images (label, pixel) of each source, and its own mean of all."""
    rows = flat(given)
    shape, weights = rows.shape, p / p.sum()
    sources = {RECOVERED: (rows, weights @ rows if own_mean is None else own_mean)}
    sources[OVERALL] = (np.broadcast_to(overall, shape), overall)
    for name, values in baselines.items():
        if not isinstance(name, str) or name in sources:
            raise ParameterError(f"`baselines` may not be called {name!r}: it is taken or no text.")
        array = np.asarray(values, dtype=np.float64)
        if array.size not in (shape[1], rows.size):
            raise ParameterError(
                f"baseline {name!r} must be an image of {shape[1]} values or {shape[0]} of them, "
                f"got shape {array.shape}."
            )
        if not np.isfinite(array).all():
            raise DataError(f"baseline {name!r} contains NaN or infinity.")
        images = np.broadcast_to(array.reshape(-1, shape[1]), shape)
        sources[name] = (images, weights @ images)
    return sources
