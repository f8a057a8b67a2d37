"""From class sums to contrasts: the formula alone, on plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["contrast_from_sums", "minmax"]


def minmax(images: NDArray[Any]) -> NDArray[Any]:
    """Scale each image of (…, n_features) to 0..1; a constant one becomes 0.

    Examples
    --------
    >>> minmax(np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]]))
    array([[0. , 1. , 0.5],
           [0. , 0. , 0. ]])
    """
    low = images.min(axis=-1, keepdims=True)
    span = images.max(axis=-1, keepdims=True) - low
    return np.where(span > 0, (images - low) / np.where(span > 0, span, 1), 0.0)


def contrast_from_sums(
    sums: NDArray[Any], counts: NDArray[Any], normalize: str | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Turn class sums into contrasts.

    Parameters
    ----------
    sums : ndarray of shape (…, n_classes, n_features)
    counts : ndarray of shape (…, n_classes)
        Samples, or sums of weights, behind each sum; none may be 0.
    normalize : {"minmax", None}
        Scale each mean to 0..1 first, or not.

    Returns
    -------
    contrast, positive_mean, negative_mean : ndarrays of the shape of ``sums``

    References
    ----------
    dough2020, section 2.5.

    Examples
    --------
    >>> contrast_from_sums(np.array([[2.0, 4.0], [0.0, 6.0]]), np.array([2, 3]), None)[0]
    array([[ 1.,  0.],
           [-1.,  0.]])
    """
    weight = counts[..., None]
    positive = sums / weight
    negative = sums.sum(axis=-2, keepdims=True) - sums
    negative /= counts.sum(axis=-1)[..., None, None] - weight
    if normalize == "minmax":
        positive, negative = minmax(positive), minmax(negative)
    return positive - negative, positive, negative
