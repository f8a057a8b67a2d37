"""How often the steps of the boundary attack succeed, and what becomes of their lengths."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Rates"]


class Rates:
    """Successes of each row since its lengths were last looked at.

    Parameters
    ----------
    n : int
        Rows.
    adaptation : float
        What lengths are multiplied with or divided by.

    Examples
    --------
    >>> import torch
    >>> rates, rows = Rates(1, 1.5), np.array([0])
    >>> for _ in range(Rates.N_STEPS):
    ...     rates.note_step(rows, np.array([True]))
    >>> spherical, source = torch.ones(1), torch.full((1,), 0.5)
    >>> rates.adapt(rows, spherical, source)
    >>> spherical, source
    (tensor([1.]), tensor([0.7500]))
    """

    #: Every so many steps, the point on the sphere is asked for by itself.
    CHECK_EVERY: ClassVar[int] = 5
    #: Points and steps after which their successes are looked at.
    N_SPHERES: ClassVar[int] = 20
    N_STEPS: ClassVar[int] = 30
    #: Lengths grow no further: 1 leads to the start itself, and so large a part is all across.
    MOST_SOURCE: ClassVar[float] = 1.0
    MOST_SPHERICAL: ClassVar[float] = 1e6

    def __init__(self, n: int, adaptation: float) -> None:
        self.adaptation = adaptation
        self._spheres, self._steps = (np.zeros((2, n), dtype=np.int64) for _ in range(2))

    def note_sphere(self, rows: NDArray[np.int64], there: NDArray[np.bool_]) -> None:
        """Note which points on the sphere were as asked."""
        _note(self._spheres, rows, there)

    def note_step(self, rows: NDArray[np.int64], there: NDArray[np.bool_]) -> None:
        """Note which whole steps were as asked, and nearer."""
        _note(self._steps, rows, there)

    def adapt(self, rows: NDArray[np.int64], spherical: Tensor, source: Tensor) -> None:
        """Change lengths in place where enough has been noted."""
        often, seldom = _extremes(self._spheres, rows, self.N_SPHERES, 0.5, 0.2)
        for lengths in (spherical, source):
            lengths[often] *= self.adaptation
            lengths[seldom] /= self.adaptation
        often, seldom = _extremes(self._steps, rows, self.N_STEPS, 0.25, 0.1)
        source[often] *= self.adaptation
        source[seldom] /= self.adaptation
        source.clamp_(max=self.MOST_SOURCE)
        spherical.clamp_(max=self.MOST_SPHERICAL)


def _note(
    counts: NDArray[np.int64], rows: NDArray[np.int64], there: NDArray[np.bool_]
) -> None:  # fmt: skip
    counts[0, rows] += there
    counts[1, rows] += 1


def _extremes(
    counts: NDArray[np.int64], rows: NDArray[np.int64], n: int, high: float, low: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give rows that succeed often and seldom, and count all that are full anew."""
    full = rows[counts[1, rows] >= n]
    share = counts[0, full] / n
    counts[:, full] = 0
    return full[share > high], full[share < low]
