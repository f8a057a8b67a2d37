"""The direct encoding: an individual is its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz_fooling.mutation import polynomial_mutation

__all__ = ["Pixels"]


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Every pixel is a number of its own.

    Parameters
    ----------
    n_pixels : int
    bounds : (low, high)
    rate : float
        Of mutation, at first.
    halve_every : int or None
        Generations after which the rate has fallen to a half.
    eta : float
        Strength of the mutation.

    Examples
    --------
    >>> pixels = Pixels(n_pixels=4, bounds=(0.0, 1.0), rate=0.1, halve_every=1000, eta=15.0)
    >>> pixels.rate_at(999), pixels.rate_at(1000), pixels.rate_at(2000)
    (0.1, 0.05, 0.025)
    """

    n_pixels: int
    bounds: tuple[float, float]
    rate: float
    halve_every: int | None
    eta: float

    def rate_at(self, generation: int) -> float:
        """Give the rate of a generation: it drops by half every so many."""
        halvings = 0 if self.halve_every is None else generation // self.halve_every
        return float(self.rate * 0.5**halvings)

    def first(self, n: int, rng: np.random.Generator) -> list[NDArray[Any]]:
        """Draw n images of uniform noise."""
        return list(rng.uniform(*self.bounds, size=(n, self.n_pixels)))

    def children(
        self, parents: list[NDArray[Any]], generation: int, rng: np.random.Generator
    ) -> list[NDArray[Any]]:
        """Mutate a copy of each parent."""
        rate = self.rate_at(generation)
        return list(
            polynomial_mutation(np.stack(parents), rng, rate=rate, eta=self.eta, bounds=self.bounds)
        )

    def images(self, genomes: list[NDArray[Any]]) -> NDArray[np.float64]:
        """Put the pixels together."""
        return np.stack(genomes)
