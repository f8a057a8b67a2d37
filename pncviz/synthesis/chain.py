"""A network that is one layer after another, with its gradient written out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from pncviz.synthesis.links import Linear, Link, MaxPool, ReLU, Reshape

__all__ = ["Chain"]


class Chain:
    """Links run one after another, and back.

    Autograd builds its graph anew in every iteration, which for a small network takes several
    times as long as the arithmetic. Here each link knows its own derivative.

    Parameters
    ----------
    links : sequence of Link
    input_shape : tuple of int

    Examples
    --------
    >>> import torch
    >>> from pncviz.synthesis.links import Linear
    >>> chain = Chain([Linear(torch.tensor([[1.0, 2.0]]), None)], (2,))
    >>> chain.forward(torch.tensor([[3.0, 4.0]])), chain.backward(torch.ones(1, 1))
    (tensor([[11.]]), tensor([[1., 2.]]))
    """

    def __init__(self, links: Sequence[Link], input_shape: Sequence[int]) -> None:
        self.links, self.input_shape = tuple(_pooled_first(links)), tuple(input_shape)
        # Looked up once: for small networks each lookup counts.
        self._forward = [link.forward for link in self.links]
        self._backward = [link.backward for link in reversed(self.links)]

    def forward(self, x: Tensor) -> Tensor:
        """Take inputs (n, *input_shape) to logits (n, n_units)."""
        for forward in self._forward:
            x = forward(x)
        return x

    def backward(self, gradient: Tensor) -> Tensor:
        """Take the gradient of the logits to that of the inputs of the last ``forward``.

        ``gradient`` may be overwritten.
        """
        for backward in self._backward:
            gradient = backward(gradient)
        return gradient

    def after_first(self) -> tuple[Linear, Chain] | None:
        """Give the first layer and what follows it, if that layer is linear in flat inputs."""
        place = next((i for i, link in enumerate(self.links) if not isinstance(link, Reshape)), 0)
        first = self.links[place] if place < len(self.links) else None
        if not isinstance(first, Linear) or first.weight.shape[1] != math.prod(self.input_shape):
            return None
        return first, Chain(self.links[place + 1 :], (len(first.weight),))

    @property
    def n_weights(self) -> int:
        """Weights of the linear layers: multiplications per row and product."""
        return sum(link.weight.numel() for link in self.links if isinstance(link, Linear))

    @property
    def is_dense(self) -> bool:
        """Whether there are linear layers and pointwise functions alone."""
        return not any(hasattr(link, "settings") for link in self.links)


def _pooled_first(links: Sequence[Link]) -> list[Link]:
    """Let pooling come before a ReLU: the same values and gradients, from a quarter of the work.

    A monotone function commutes with the maximum, and the largest value above 0 is at the same
    place before the ReLU as after it; of others no gradient passes.
    """
    ordered = list(links)
    for place, (one, other) in enumerate(pairwise(links)):
        if isinstance(one, ReLU) and isinstance(other, MaxPool):
            ordered[place : place + 2] = other, ReLU(in_place=True)
    return ordered
