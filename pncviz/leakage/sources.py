"""Class means from wherever they come, as flat arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.exceptions import DataError, LabelError, ParameterError, ResultError
from pncviz.inference.spectrum import check_labels_known
from pncviz.leakage.prior import Floats

__all__ = ["OVERALL", "RECOVERED", "flat", "images_of", "places_of", "sources_of"]

#: How the sources are called that are always there.
RECOVERED, OVERALL = "reconstructed", "overall mean"


def images_of(
    given: object, what: str, dims: tuple[Any, ...] | None = None
) -> tuple[xr.DataArray, Floats | None]:
    """Give images on (label, …), and the mean of all that they were made with, if it is there.

    Both in the order of ``dims``, where they have the same ones.
    """
    mean = None
    if isinstance(given, xr.Dataset) and "class_mean" in given:
        mean, given = given.get("overall_mean"), given["class_mean"]
    if not isinstance(given, xr.DataArray) or given.dims[:1] != ("label",) or given.ndim < 2:
        told = f"dimensions {given.dims}" if isinstance(given, xr.DataArray) else repr(given)
        raise ResultError(f"Class means must be images on (label, …), got {told:.80}.")
    if "label" not in given.coords or len(given) < 2:
        raise ResultError("Class means must be of two or more classes with a coordinate `label`.")
    _check_unique(given["label"].values, what)
    if not np.isfinite(given.values).all():
        raise DataError("Class means contain NaN or infinity.")
    dims = given.dims if dims is None else dims
    return _in_order(given, dims), None if mean is None else _flat_mean(mean, dims)


def flat(images: xr.DataArray) -> Floats:
    """Give images as (label, pixel)."""
    return images.values.reshape(len(images), -1).astype(np.float64)


def places_of(labels: NDArray[Any], known: NDArray[Any], what: str, what_known: str) -> list[int]:
    """Give the place of each label among those known; LabelError if one is not there."""
    check_labels_known(labels, known, what, what_known)
    listed = known.tolist()
    return [listed.index(label) for label in labels.tolist()]


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
        array, mean = _baseline(f"baseline {name!r}", values, given)
        images = np.broadcast_to(array.reshape(-1, shape[1]), shape)
        sources[name] = (images, weights @ images if mean is None else mean)
    return sources


def _baseline(what: str, values: Any, given: xr.DataArray) -> tuple[Floats, Floats | None]:
    """Give a baseline's images in the order of the labels and dimensions of ``given``."""
    mean = None
    if isinstance(values, xr.Dataset) and "class_mean" in values:
        mean, values = values.get("overall_mean"), values["class_mean"]
    if isinstance(values, xr.DataArray):
        values = _in_order(values, given.dims)
        if "label" in values.dims and "label" in values.coords:
            known = values["label"].values
            _check_unique(known, what)
            values = values.isel(
                label=places_of(given["label"].values, known, "reconstructed class means", what)
            )
    n, size = len(given), given[0].size
    must = f"{what} must be an image of {size} values or {n} of them"
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{must}, got {type(values).__name__}.") from error
    named = isinstance(values, xr.DataArray) and set(values.dims) <= set(given.dims)
    fits = (
        array.shape in (given.shape, given.shape[1:]) if named else array.size in (size, n * size)
    )
    if not fits:
        raise ParameterError(f"{must}, got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise DataError(f"{what} contains NaN or infinity.")
    return array, None if mean is None else _flat_mean(mean, given.dims)


def _in_order(images: xr.DataArray, dims: tuple[Any, ...]) -> xr.DataArray:
    """Transpose images of the same dimensions, or of those of them that an image has."""
    own = set(images.dims)
    return images.transpose(*(dim for dim in dims if dim in own)) if own <= set(dims) else images


def _flat_mean(mean: xr.DataArray, dims: tuple[Any, ...]) -> Floats:
    return np.asarray(_in_order(mean, dims).values, dtype=np.float64).ravel()


def _check_unique(labels: NDArray[Any], what: str) -> None:
    unique, counts = np.unique(labels, return_counts=True)
    if (counts > 1).any():
        twice = unique[counts > 1].tolist()[0]
        raise LabelError(f"labels of {what} have {twice!r} more than once; keep one of each.")
