"""A pncviz plugin: patterns that grow from a checkerboard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pncviz import Strategy, StrategySpec, hookimpl

__all__ = ["Checkerboard", "pncviz_strategies"]


class Checkerboard(Strategy):
    """Start every pattern from a checkerboard of zeros and ones."""

    def start(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:  # noqa: ARG002 # nothing random here
        """Give the checkerboard: (channel, row, column) for images, (feature,) for tables."""
        board: NDArray[np.float64] = np.indices(shape[-2:]).sum(axis=0) % 2 * np.ones(shape)
        return board


@hookimpl
def pncviz_strategies() -> list[StrategySpec]:
    """Give the checkerboard to pncviz, under the name that users write."""
    return [
        StrategySpec(name="checkerboard", factory=Checkerboard, summary="start from a checkerboard")
    ]
