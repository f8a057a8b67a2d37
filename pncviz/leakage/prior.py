"""What the one who reconstructs knows beforehand of the images: their mean, and how they vary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.exceptions import DataError, DataTypeError, ParameterError
from pncviz.specs import Dataset

__all__ = ["Prior", "checked_prior", "checked_range", "flat_images"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """Flat images of d pixels, as they are expected.

    Attributes
    ----------
    told : str
        "range", "mean" or "images".
    mean : ndarray of shape (d,)
    spread : ndarray of shape (r,)
        Variance along each direction, up to a factor; outside of them there is none.
    basis : ndarray of shape (d, r), optional
        Orthonormal directions; None where each is a pixel.
    variance : float, optional
        Of an image about the mean, added up over pixels; of images only.
    class_share : float, optional
        Share of it that lies between classes, where the images have labels.
    """

    told: str
    mean: Floats
    spread: Floats
    basis: Floats | None = None
    variance: float | None = None
    class_share: float | None = None

    def along(self, images: Floats) -> Floats:
        """Give the coordinates (…, r) of flat images (…, d)."""
        return images if self.basis is None else images @ self.basis

    def across(self, coordinates: Floats) -> Floats:
        """Give the flat images (…, d) of coordinates (…, r)."""
        return coordinates if self.basis is None else coordinates @ self.basis.T


def checked_range(data_range: Any) -> tuple[float, float]:
    """Give the bounds of pixels; ParameterError unless they are two numbers in order."""
    try:
        low, high = (float(end) for end in data_range)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not -math.inf < low < high < math.inf:
        raise ParameterError(
            f"`data_range` must be the least and the greatest value of a pixel, got {data_range!r}."
        )
    return low, high


def checked_prior(prior: Any, image_shape: tuple[int, ...], bounds: tuple[float, float]) -> Prior:
    """Make of a user's prior what is known; see :func:`reconstruct_class_means`.

    Raises
    ------
    ParameterError
        It is none of what a prior may be, or of another shape than the patterns.
    DataError, DataTypeError
        Its values are not finite numbers within ``bounds``.
    """
    size, labels = math.prod(image_shape), None
    low, high = bounds
    if prior is None:
        return Prior("range", np.full(size, (low + high) / 2), np.ones(size))
    if isinstance(prior, Dataset):
        prior, labels = prior.X, np.asarray(prior.y)
    images = flat_images("prior", prior, size, bounds)
    if np.ndim(prior) == 0:
        return Prior("mean", images, np.ones(size))
    if images.ndim == 1:
        # No values within bounds vary more about a mean (Bhatia and Davis, 2000); where the mean
        # lies at a bound, every class mean does.
        return Prior("mean", images, (high - images) * (images - low))
    return _of_images(images, labels)


def flat_images(name: str, values: Any, size: int, bounds: tuple[float, float]) -> Floats:
    """Give images as (size,) or (n, size); a number fills one image."""
    array = np.asarray(values.values if isinstance(values, xr.DataArray) else values)
    if array.dtype.kind not in "biuf":
        raise DataTypeError(f"`{name}` must hold real numbers, got {type(values).__name__}.")
    if array.ndim == 0 and isinstance(array.item(), Real):
        array = np.full(size, float(array))
    # A stack of one is an image: there is no spread to learn from.
    if array.size == size:
        array = array.reshape(size)
    elif array.ndim > 1 and len(array) and math.prod(array.shape[1:]) == size:
        array = array.reshape(len(array), size)
    else:
        raise ParameterError(
            f"`{name}` must be a number, one image of {size} values, or a stack of them, got shape "
            f"{array.shape}."
        )
    found = array.astype(np.float64)
    if not np.isfinite(found).all():
        raise DataError(f"`{name}` contains NaN or infinity.")
    low, high = bounds
    slack = 1e-6 * (high - low)
    if found.min() < low - slack or found.max() > high + slack:
        raise DataError(
            f"`{name}` has values from {found.min():g} to {found.max():g}, outside of the range "
            f"{low:g} to {high:g} of pixels; scale it, or give `data_range`."
        )
    return np.clip(found, low, high)


def _of_images(images: Floats, labels: NDArray[Any] | None) -> Prior:
    mean = images.mean(axis=0)
    centred = images - mean
    variance = float((centred**2).sum() / len(images))
    if variance <= 1e-20 * float((images**2).mean() * images.shape[1]):  # rounding
        raise DataError("`prior` holds images that are all the same; give their mean instead.")
    n, size = centred.shape
    if n >= size:
        spread, basis = np.linalg.eigh(centred.T @ centred / n)
    else:
        _, singular, rows = np.linalg.svd(centred, full_matrices=False)
        spread, basis = singular**2 / n, rows.T
    spread = np.where(spread > spread.max() * 1e-10, spread, 0.0)
    share = None if labels is None else _class_share(centred, labels, variance)
    return Prior("images", mean, spread, basis, variance, share)


def _class_share(centred: Floats, labels: NDArray[Any], variance: float) -> float:
    """Share of the variance that lies between the means of classes."""
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(classes), centred.shape[1]))
    np.add.at(sums, codes, centred)
    between = float((sums**2 / counts[:, None]).sum()) / len(centred)
    return between / variance
