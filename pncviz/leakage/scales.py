"""How large a pattern is as a difference of images: nothing in the pattern itself says so."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from pncviz.leakage.prior import Floats

__all__ = ["balanced_scales", "range_scale", "variance_scales"]


def range_scale(
    deviation: Floats, mean: Floats, bounds: tuple[float, float], tolerance: float
) -> float:
    """Give the largest factor that keeps mean + factor · deviation within bounds.

    Parameters
    ----------
    deviation, mean : ndarrays of the same shape
    bounds : (low, high)
    tolerance : float
        Share of the squared deviation that may lie in pixels outside.

    Returns
    -------
    float
        0 for a deviation of zeros.

    Examples
    --------
    >>> range_scale(np.array([-0.5, 0.25]), np.array([0.2, 0.5]), (0.0, 1.0), 0.0)
    0.4
    """
    moved = deviation != 0
    if not moved.any():
        return 0.0
    step, place = deviation[moved], mean[moved]
    room = np.where(step < 0, place - bounds[0], bounds[1] - place) / np.abs(step)
    order = np.argsort(room)
    outside = np.cumsum(step[order] ** 2)
    # Rounding of the sum must not let the last pixel out.
    first = int(np.searchsorted(outside, tolerance * outside[-1], side="right"))
    return float(room[order][min(first, len(order) - 1)])


def variance_scales(deviations: Floats, variance: float) -> Floats:
    """Give each deviation (k, d) the factor that makes its squared size the given one."""
    sizes = np.sqrt((deviations**2).sum(axis=1))
    return np.where(sizes > 0, np.sqrt(variance) / np.where(sizes > 0, sizes, 1.0), 0.0)


def balanced_scales(deviations: Floats, frequencies: Floats) -> Floats:
    """Give factors, up to a common one, under which the weighted deviations add up to nothing.

    Class means average to the overall mean, so the sum of frequency · factor · deviation is zero:
    least squares over factors that are not negative and whose terms' sizes add up to one.

    Parameters
    ----------
    deviations : ndarray of shape (k, d)
    frequencies : ndarray of shape (k,)

    Returns
    -------
    ndarray of shape (k,)
        0 for a deviation of zeros.

    Examples
    --------
    >>> balanced_scales(np.array([[1.0, 1.0], [-4.0, -4.0]]), np.array([0.5, 0.5])).round(6)
    array([1.  , 0.25])
    """
    sizes = np.sqrt((deviations**2).sum(axis=1))
    there = sizes > 0
    factors = np.zeros(len(deviations))
    if not there.any():
        return factors
    terms = (deviations[there] / sizes[there, None]).T
    # A heavy row holds the sum of the weights at one.
    heavy = 1e3
    rows = np.vstack([terms, np.full((1, terms.shape[1]), heavy)])
    weights, _ = nnls(rows, np.append(np.zeros(len(terms)), heavy))
    factors[there] = weights / (sizes[there] * frequencies[there])
    return np.asarray(factors / factors.max() if factors.any() else factors, dtype=np.float64)
