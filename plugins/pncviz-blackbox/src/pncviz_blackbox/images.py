"""From sums over noise to images, and images divided by the noise's own spread."""

from __future__ import annotations

import numpy as np

from pncviz_blackbox.noise import Doubles, Noise
from pncviz_blackbox.sums import Sums

__all__ = ["images_of", "variances_left", "whitened"]

#: Of the mean variance: along axes with less, whitening would leave little but chance.
_LEAST = 0.01


def images_of(sums: Sums, weights: str) -> Doubles:
    """Give what each block adds to n times the patterns (n_blocks, k, n_values), for rms 1.

    With labels the covariance of answer and field, divided by the variance p (1 - p) of the
    answer, is the mean of the fields called the class minus the mean of the others.
    """
    variance = sums.variance
    size = variance if weights == "labels" else np.sqrt(variance)
    empty = variance == 0
    images: Doubles = sums.covariances() / np.where(empty, 1, size)[:, None]
    images[:, empty] = 0
    return images


def whitened(images: Doubles, noise: Noise, shape: tuple[int, ...]) -> Doubles:
    """Divide images by a noise's covariance, scaled to keep the size of a white one's.

    Axes along which a field has less than a hundredth of its mean variance are left out.

    Parameters
    ----------
    images : float64 ndarray of shape (..., n_values)
    noise : Noise
    shape : tuple of int
        The image shape.

    Examples
    --------
    >>> from pncviz_blackbox.noise import WhiteNoise
    >>> whitened(np.ones((1, 4)), WhiteNoise(), (4,))
    array([[1., 1., 1., 1.]])
    """
    variances, axes = noise.axes(shape)
    if axes is None:
        return images
    left = variances >= _LEAST * variances.mean()
    axes, variances = axes[left], variances[left]
    return np.asarray((images @ axes.T / variances * variances.mean()) @ axes)


def variances_left(variances: Doubles) -> Doubles:
    """Give what :func:`whitened` makes of variances along the axes that it leaves.

    Examples
    --------
    >>> variances_left(np.array([3.0, 1.0, 0.0]))
    array([1.33333333, 4.        ])
    """
    left = variances[variances >= _LEAST * variances.mean()]
    return np.asarray(left.mean() ** 2 / left)
