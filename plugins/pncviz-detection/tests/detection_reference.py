"""Slow, plain versions of what the plugin computes."""

from __future__ import annotations

import math

import numpy as np


def plain_density(x, points, bandwidth):
    """Log of the mean of Gaussian kernels, one point at a time."""
    d, total = len(x), 0.0
    for point in points:
        distance = sum((a - b) ** 2 for a, b in zip(x, point, strict=True))
        kernel = math.exp(-distance / (2 * bandwidth**2))
        total += kernel / (bandwidth * math.sqrt(2 * math.pi)) ** d
    return math.log(total / len(points)) if total else -math.inf


def plain_delong(natural, adversarial):
    """DeLong's AUC and standard error by every pair."""
    psi = np.array(
        [[1.0 if n > a else 0.5 if n == a else 0.0 for a in adversarial] for n in natural]
    )
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    variance = v10.var(ddof=1) / len(natural) + v01.var(ddof=1) / len(adversarial)
    return psi.mean(), math.sqrt(variance)
