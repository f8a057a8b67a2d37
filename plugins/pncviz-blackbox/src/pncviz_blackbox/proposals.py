"""Where a step of the boundary attack would lead: along a sphere, and then inwards."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["length_of", "proposed"]

#: What is left of noise across the way, as a share of it, if it is all rounding: one feature.
_ROUNDING = 1e-12


def proposed(
    centre: Tensor,
    there: Tensor,
    noise: Tensor,
    spherical: Tensor,
    source: Tensor,
    clip: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Propose points on the sphere around the start, and from there towards it.

    Parameters
    ----------
    centre, there : tensors of shape (n, n_values)
        Starts, and the points that the rows have come to.
    noise : tensor of shape (n, n_values)
        Directions. Of one value nothing lies across the way, and the point stays.
    spherical, source : tensors of shape (n,)
        Lengths of both parts, as shares of the distance.
    clip : (low, high), optional
        Bounds of the input.

    Returns
    -------
    on_sphere, step : tensors of shape (n, n_values)

    Examples
    --------
    >>> centre, there = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    >>> lengths = torch.tensor([0.75]), torch.tensor([0.5])
    >>> proposed(centre, there, torch.tensor([[5.0, 2.0]]), *lengths)
    (tensor([[0.8000, 0.6000]]), tensor([[0.4000, 0.3000]]))
    """
    way = centre - there
    distance = length_of(way)
    direction = way / distance
    across = noise - (noise * direction).sum(dim=1, keepdim=True) * direction
    size = length_of(across)
    some = size > _ROUNDING * length_of(noise)
    reach = torch.where(some, spherical[:, None], 0)
    across = across * (reach * distance / torch.where(some, size, 1))
    on_sphere = _within(centre + (across - way) / (1 + reach**2).sqrt(), clip)
    way = centre - on_sphere
    left = length_of(way)
    # Clipping may have come off the sphere.
    forward = (source[:, None] * distance + left - distance).clamp_min(0) / left
    return on_sphere, _within(on_sphere + forward * way, clip)


def length_of(x: Tensor) -> Tensor:
    """Give the Euclidean length of each row, as a column.

    Examples
    --------
    >>> length_of(torch.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return length


def _within(x: Tensor, clip: tuple[float, float] | None) -> Tensor:
    return x if clip is None else x.clamp(*clip)
