"""A network that is one layer after another, with its gradient written out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from pncviz.synthesis.links import Linear, Link, Reshape

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
        self.links, self.input_shape = tuple(links), tuple(input_shape)
        self._back = self.links[::-1]

    def forward(self, x: Tensor) -> Tensor:
        """Take inputs (n, *input_shape) to logits (n, n_units)."""
        for link in self.links:
            x = link.forward(x)
        return x

    def backward(self, gradient: Tensor) -> Tensor:
        """Take the gradient of the logits to that of the inputs of the last ``forward``.

        ``gradient`` may be overwritten.
        """
        for link in self._back:
            gradient = link.backward(gradient)
        return gradient

    def after_first(self) -> tuple[Linear, Chain] | None:
        """Give the first layer and what follows it, if that layer is linear in flat inputs."""
        place = 1 if isinstance(self.links[0], Reshape) else 0
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
