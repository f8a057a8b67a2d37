"""Noise taken out of patterns, as far as it lies where images do not vary."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from pncviz.leakage.prior import Floats, Prior

__all__ = ["denoise"]

#: Ratios of noise to the greatest spread that are gone through.
_RATIOS = np.linspace(np.log(1e-10), np.log(1e10), 200)


def denoise(pattern: Floats, prior: Prior, least: float = 0.0) -> tuple[Floats, float]:
    """Give a pattern without what is likely noise (Wiener's filter).

    A pattern is taken for signal, of variance a·spread in each direction of the prior, plus noise
    of variance b in every direction. The likeliest a and b are found; b is at least ``least``.

    Parameters
    ----------
    pattern : ndarray of shape (d,)
    prior : Prior
    least : float, default=0.0
        Variance of the noise in a pixel that is known of.

    Returns
    -------
    filtered : ndarray of shape (d,)
    noise_share : float
        Share of the expected squared size that is noise, 0 to 1.
    """
    energy = prior.along(pattern) ** 2
    n, spread = len(pattern), prior.spread
    # Directions outside of the basis hold noise alone.
    outside = n - len(spread)
    rest = max(0.0, float(pattern @ pattern) - float(energy.sum()))
    unit = float(spread.max())
    if not energy.any() or unit == 0:
        return np.zeros_like(pattern), 1.0

    def size(log_ratio: float) -> float:
        ratio = unit * np.exp(log_ratio)
        return float((energy / (spread + ratio)).sum() + rest / ratio) / n

    def surprise(log_ratio: float) -> float:
        ratio = unit * np.exp(log_ratio)
        spreads = np.log(spread + ratio).sum() + outside * np.log(ratio)
        return float(spreads) + n * float(np.log(size(log_ratio)))

    def excess(log_ratio: float) -> float:
        return size(log_ratio) * unit * float(np.exp(log_ratio)) - least

    low, high = float(_RATIOS[0]), float(_RATIOS[-1])
    if excess(low) < 0:
        low = high if excess(high) <= 0 else float(brentq(excess, low, high))
    grid = [low, *(ratio for ratio in _RATIOS if ratio > low)]
    at = int(np.argmin([surprise(ratio) for ratio in grid]))
    best = grid[at]
    if 0 < at < len(grid) - 1:
        ends = (grid[at - 1], grid[at + 1])
        best = float(minimize_scalar(surprise, bounds=ends, method="bounded").x)
    noise = unit * float(np.exp(best))
    gain = spread / (spread + noise)
    share = n * noise / (float(spread.sum()) + n * noise)
    return prior.across(gain * prior.along(pattern)), share
