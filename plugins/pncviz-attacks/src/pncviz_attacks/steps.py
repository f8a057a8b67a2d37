"""Steps that stay near their start, as :func:`pncviz.synthesis.descend` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.exceptions import ParameterError

__all__ = ["BallStep", "BoxStep", "check_reach", "noise_in_ball", "noise_in_box", "unit_rows"]

#: Of a pixel value: what rounding may put between a bound and the multiple it stands for.
_ROUNDING = 1e-3

_Bounds = tuple[float, float]


class BoxStep:
    r"""Step by the sign of the gradient, and stay within ``epsilon`` of the start in every value.

    Parameters
    ----------
    start : tensor of shape (n, \*input_shape)
        Centre of each row's box.
    epsilon, step_size : float
        Units of the input.
    clip : (low, high), optional
        Bounds of the input.
    pixel_step : float, optional
        Values are whole multiples of it, as far as ``clip`` lets them.

    Examples
    --------
    >>> import torch
    >>> step = BoxStep(torch.zeros(1, 3), epsilon=0.25, step_size=1.0)
    >>> step(torch.zeros(1, 3), torch.tensor([[-7.0, 0.0, 0.1]]), None)[0]
    tensor([[ 0.2500,  0.0000, -0.2500]])
    """

    def __init__(
        self,
        start: Tensor,
        *,
        epsilon: float,
        step_size: float,
        clip: _Bounds | None = None,
        pixel_step: float | None = None,
    ) -> None:
        self.step_size, self.pixel_step = step_size, pixel_step
        low, high = start - epsilon, start + epsilon
        if pixel_step is not None:
            low = torch.ceil(low / pixel_step - _ROUNDING) * pixel_step
            high = torch.floor(high / pixel_step + _ROUNDING) * pixel_step
        self.bounds = (low, high) if clip is None else (low.clamp(*clip), high.clamp(*clip))

    def __call__(
        self, x: Tensor, gradient: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Take one step; the state is the box of the rows that are still there."""
        bounds = self.bounds if state is None else state
        return self._within(x - gradient.sign() * self.step_size, bounds), bounds

    def inside(self, x: Tensor) -> Tensor:
        """Bring the rows that the step began with into their boxes."""
        return self._within(x, self.bounds)

    def _within(self, x: Tensor, bounds: tuple[Tensor, Tensor]) -> Tensor:
        if self.pixel_step is not None:
            x = torch.round(x / self.pixel_step) * self.pixel_step
        return x.clamp(*bounds)


class BallStep:
    r"""Step by the normalised gradient, and stay within an L2 distance of the start.

    Parameters
    ----------
    start : tensor of shape (n, \*input_shape)
        Centre of each row's ball.
    epsilon, step_size : float
        L2 length, units of the input.
    clip : (low, high), optional
        Bounds of the input.

    Examples
    --------
    >>> import torch
    >>> step = BallStep(torch.zeros(1, 2), epsilon=2.0, step_size=5.0)
    >>> step(torch.zeros(1, 2), torch.tensor([[0.0, 1e-30]]), None)[0]
    tensor([[ 0., -2.]])
    """

    def __init__(
        self, start: Tensor, *, epsilon: float, step_size: float, clip: _Bounds | None = None
    ) -> None:
        self.start, self.epsilon = start, epsilon
        self.step_size, self.clip = step_size, clip

    def __call__(self, x: Tensor, gradient: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Take one step; the state is the start of the rows that are still there."""
        start = self.start if state is None else state
        return self._projected(x - unit_rows(gradient) * self.step_size, start), start

    def inside(self, x: Tensor) -> Tensor:
        """Bring the rows that the step began with into their balls."""
        return self._projected(x, self.start)

    def _projected(self, x: Tensor, start: Tensor) -> Tensor:
        moved = x - start
        length = _lengths(moved)
        # Where nothing moved, any finite factor does.
        factor = (self.epsilon / length.clamp_min(torch.finfo(length.dtype).tiny)).clamp_max(1)
        new = start + moved * _each(factor, moved)
        # A start within bounds is no farther away after this than before.
        return new if self.clip is None else new.clamp(*self.clip)


def unit_rows(x: Tensor) -> Tensor:
    """Scale rows to an L2 length of 1; rows that are zero or not finite become zero.

    Examples
    --------
    >>> import torch
    >>> unit_rows(torch.tensor([[3e-30, 4e-30], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    size = x.flatten(1).abs().amax(1)
    usable = torch.isfinite(size) & (size > 0)
    # By the largest value first: squares of small gradients would vanish.
    scaled = x / _each(torch.where(usable, size, torch.ones_like(size)), x)
    length = torch.where(usable, _lengths(scaled), torch.ones_like(size))
    return torch.where(_each(usable, x), scaled / _each(length, x), torch.zeros_like(x))


def noise_in_box(start: Tensor, epsilon: float, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Add uniform noise within ``epsilon``, each row's from its own generator."""
    shape = tuple(start.shape[1:])
    noise = [rng.uniform(-epsilon, epsilon, shape) for rng in rngs]
    return start + _tensor(noise, start)


def noise_in_ball(start: Tensor, epsilon: float, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Add noise that is uniform in the L2 ball, each row's from its own generator."""
    shape = tuple(start.shape[1:])
    noise = []
    for rng in rngs:
        direction = rng.standard_normal(shape)
        # The volume within a radius grows with its d-th power.
        radius = epsilon * rng.random() ** (1 / direction.size)
        noise.append(direction * (radius / np.linalg.norm(direction)))
    return start + _tensor(noise, start)


def _tensor(rows: list[NDArray[Any]], like: Tensor) -> Tensor:
    return torch.from_numpy(np.stack(rows)).to(like)


def _lengths(x: Tensor) -> Tensor:
    # In float64, so that the order of the sum, which may depend on the batch, is of no account.
    length: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1, dtype=torch.float64)
    return length.to(x.dtype)


def _each(values: Tensor, x: Tensor) -> Tensor:
    """Give one value per row the shape to be multiplied with the rows."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


def check_reach(name: str, length: float, pixel_step: float) -> None:
    """Raise ParameterError for a length that rounding to pixel values would swallow."""
    if length < pixel_step * (1 - 1e-6):
        raise ParameterError(
            f"`{name}` must be at least `pixel_step` ({pixel_step:g}), or nothing would change, "
            f"got {length!r}."
        )
