"""How far to go along the directions: a given distance, or to the smallest change that counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pncviz import AttackResult, Model, Target
from pncviz.synthesis import judged, smallest_change

__all__ = ["Bounds", "go_far", "go_until_changed"]

#: From inputs (n, *input_shape) to directions of that shape.
Slope = Callable[[Tensor], Tensor]


class Bounds(NamedTuple):
    """What inputs may be: in ``clip``, on the grid of ``pixel_step``, ``limit`` away at most."""

    clip: tuple[float, float] | None
    pixel_step: float | None
    limit: float | None

    def within(self, x: Tensor) -> Tensor:
        """Clip."""
        return x if self.clip is None else x.clamp(*self.clip)

    def left(self, x: Tensor, start: Tensor) -> dict[str, Any]:
        """Give what is left of the bounds for a line from ``x``."""
        limit: Any = self.limit
        if limit is not None:
            limit = (limit - (x - start).abs().flatten(1).amax(dim=1)).clamp_min(0)
        return {"clip": self.clip, "pixel_step": self.pixel_step, "limit": limit}

    def on_grid(self, x: Tensor) -> Tensor:
        """Round to pixel values, and clip again, since the grid need not meet the bounds."""
        if self.pixel_step is None:
            return x
        return self.within(torch.round(x / self.pixel_step) * self.pixel_step)


def go_far(
    model: Model,
    start: Tensor,
    slope: Slope,
    target: Target,
    bounds: Bounds,
    *,
    n: int,
    epsilon: float,
) -> AttackResult:
    """Go ``epsilon`` far by the largest component, in n equal steps, each along its own slope."""
    x, moved = start, torch.zeros(len(start), dtype=torch.bool, device=start.device)
    for _ in range(n):
        unit, steep = _scaled_to_one(slope(x))
        x = bounds.within(x + unit * (epsilon / n))
        moved |= steep
    reason = np.where(moved.cpu().numpy(), "max_iter", "vanished_gradient")
    return judged(model, bounds.on_grid(x), target, n_iter=n, stop_reason=reason)


def go_until_changed(
    model: Model,
    start: Tensor,
    slope: Slope,
    target: Target,
    goal: Target,
    bounds: Bounds,
    *,
    n: int,
) -> AttackResult:
    """Search n lines for the goal, each from a part of the way along the one before; keep the best.

    The part is such that, were every line straight on, all parts would be equal: a third of the
    way, half of what is left, all of it.
    """
    x, best, device = start, start, start.device
    least = torch.full((len(start),), torch.inf, dtype=start.dtype, device=device)
    taken = torch.full((len(start),), n, device=device)
    moved = torch.zeros(len(start), dtype=torch.bool, device=device)
    for now in range(n):
        direction = slope(x)
        change = smallest_change(model, x, direction, goal, **bounds.left(x, start))
        size = (change.adversarial - start).abs().flatten(1).amax(dim=1)
        better = change.found & (size < least)
        # Rows never found show how far they came.
        best = torch.where(_like(better | least.isinf(), best), change.adversarial, best)
        least = torch.where(better, size, least)
        # What is as asked from the start has taken no step.
        steps = torch.where((change.magnitude > 0) | (now > 0), now + 1, 0)
        taken = torch.where(better, steps, taken)
        unit, steep = _scaled_to_one(direction)
        moved |= steep
        x = bounds.within(x + unit * _like(change.magnitude / (n - now), unit))
    found, steep_once = least.isfinite().cpu().numpy(), moved.cpu().numpy()
    reason = np.where(found, "changed", np.where(steep_once, "not_found", "vanished_gradient"))
    return judged(model, best, target, n_iter=taken, stop_reason=reason)


def _like(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (x.ndim - 1))


def _scaled_to_one(direction: Tensor) -> tuple[Tensor, Tensor]:
    """Scale each row to a largest component of 1, and say which rows have a direction."""
    size = direction.abs().flatten(1).amax(dim=1)
    steep = size > 0
    return direction / _like(torch.where(steep, size, 1.0), direction), steep
