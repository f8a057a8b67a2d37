"""The paper's three strategies (section 2.2): zero feed, noise feed, and the average image."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import ParameterError
from pncviz.hookspecs import hookimpl
from pncviz.specs import Strategy, StrategySpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AAI", "Noise", "Zero", "pncviz_strategies"]


class Zero(Strategy):
    """Start from zeros, so that the adversarial example is itself the pattern.

    References
    ----------
    dough2020, section 2.2.
    """

    def start(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:  # noqa: ARG002 # zeros need no chance
        """Give zeros."""
        return np.zeros(shape)


class Noise(Strategy):
    """Start from normal noise, and subtract it from the adversarial example.

    Parameters
    ----------
    scale : float, default=1.0
        Standard deviation of the noise, in units of the input.

    References
    ----------
    dough2020, section 2.2.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def validate(self) -> None:
        """Raise unless ``scale`` is a positive number."""
        _check_scale(self.scale)

    def start(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
        """Give normal noise."""
        return rng.normal(scale=self.scale, size=shape)


class AAI(Strategy):
    """Adversarial Average Image: the sum of many noise-started adversarial examples.

    The starts are not subtracted; their noise cancels as examples are added.

    Parameters
    ----------
    n_examples : int, default=30
    scale : float, default=1.0
        Standard deviation of the noise, in units of the input.

    References
    ----------
    dough2020, section 2.2.
    """

    def __init__(self, n_examples: int = 30, scale: float = 1.0) -> None:
        self.n_examples = n_examples
        self.scale = scale

    def validate(self) -> None:
        """Raise unless ``scale`` is a positive number; the core checks ``n_examples``."""
        _check_scale(self.scale)

    def start(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
        """Give normal noise."""
        return rng.normal(scale=self.scale, size=shape)

    def abstract(self, adversarial: Tensor, start: Tensor) -> Tensor:  # noqa: ARG002 # not subtracted
        """Keep the whole adversarial example."""
        return adversarial


def _check_scale(scale: Any) -> None:
    real = isinstance(scale, numbers.Real) and not isinstance(scale, bool)
    if not real or not np.isfinite(scale) or scale <= 0:
        raise ParameterError(f"`scale` must be a positive number, got {scale!r}.")


@hookimpl
def pncviz_strategies() -> list[StrategySpec]:
    """Give the paper's strategies."""
    return [
        StrategySpec(name="zero", factory=Zero, summary="start from zeros", reference="dough2020"),
        StrategySpec(
            name="noise",
            factory=Noise,
            summary="start from normal noise, subtract it",
            reference="dough2020",
        ),
        StrategySpec(
            name="aai",
            factory=AAI,
            summary="sum of many noise-started adversarial examples",
            reference="dough2020",
        ),
    ]
