r"""Descent on the first layer's own coordinates: the same steps, with far smaller products.

A network that begins with a linear layer sees an input :math:`x` only through
:math:`z = W x + b`, with :math:`W` of shape (h, d). With :math:`\delta = \partial L / \partial z`,
the gradient to the input is :math:`W^T \delta`, so each step of a descent lies in the span of the
rows of :math:`W`:

.. math::

    x_t = x_0 + W^T u_t, \qquad u_0 = 0, \qquad
    u_{t+1} = u_t - \eta \, \delta_t, \qquad
    z_t = z_0 + W W^T u_t .

Walking :math:`u` by the gradient :math:`\delta` is the descent on :math:`x` itself, and so it is
with momentum, whose velocity is a sum of gradients too. An iteration costs one product with
:math:`W W^T` (h, h) instead of two with :math:`W` (h, d), forward and back. In exact arithmetic
nothing else differs. What it is not good for: steps that bend the gradient by its values (signs,
norms) or bound the input (clipping), since these leave that span.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pncviz.specs import Model, Target
from pncviz.synthesis.chain import Chain
from pncviz.synthesis.links import Linear
from pncviz.synthesis.rows import DIVERGED_AT, size_of
from pncviz.synthesis.slopes import WrittenOut

__all__ = ["FirstLayer", "first_layer_pays"]


def first_layer_pays(first: Linear) -> bool:
    """Say whether the products of this form are much the smaller, and nearly as exact."""
    h, d = first.weight.shape
    return (
        h <= d
        and first.weight.dtype in (torch.float32, torch.float64)
        # A unit without weights moves nothing, yet has a gradient of its own.
        and bool((first.weight != 0).any(dim=1).all())
    )


class FirstLayer(WrittenOut):
    """The slope in coordinates of the first layer's units; see the module's text.

    Parameters
    ----------
    model, start, target, loss
        As for :class:`~pncviz.synthesis.slopes.Slope`.
    first : Linear
    rest : Chain
        What follows it.
    """

    def __init__(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        loss: str,
        first: Linear,
        rest: Chain,
    ) -> None:
        self._first, self._inputs = first, start
        self._product = torch.mm(first.weight, first.weight.t())
        #: The length of all weights, which is more than that of any input's.
        self._reach = self._product.trace().sqrt()
        coordinates = start.new_zeros(len(start), len(first.weight))
        self._units = coordinates[:0]
        super().__init__(model, coordinates, target, loss, rest)

    @property
    def n_weights(self) -> int:
        """Multiplications per row and pass."""
        return self.chain.n_weights + self._product.numel()

    def prepared(self, wanted: Tensor) -> tuple[Tensor, ...]:
        """Give the targets, and the first layer's answer to the starts."""
        flat = self._inputs.flatten(1)
        self._sizes = size_of(flat)
        self._back = self.tiled(self._first.backward, self.start)
        # A copy: the layer gives a buffer that it uses again.
        return wanted, self.tiled(self._first.forward, flat)(flat).clone()

    def run(self, *rows: Tensor) -> tuple[Tensor, Tensor]:
        """Give gradient and logits, from coordinates and what is prepared."""
        x, wanted, first = rows
        if self._units.size(0) != x.size(0):
            self._units = torch.empty_like(x)
        return super().run(torch.addmm(first, x, self._product, out=self._units), wanted)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Leave out even what autograd does to be ready; the step only adds up gradients."""
        with super().session(), torch.inference_mode():
            yield

    def inputs(self, x: Tensor) -> Tensor:
        moved: Tensor = self._back(x)
        return self._inputs + moved.reshape(self._inputs.shape)

    def size(self, x: Tensor) -> Tensor:
        # |x_0 + W^T u| <= |x_0| + |u| |W| by Cauchy and Schwarz; exact where that is much.
        bound: Tensor = self._sizes + torch.linalg.vector_norm(x, dim=1) * self._reach
        if bound.max() <= DIVERGED_AT:  # False if there is a NaN
            return bound
        return size_of(self.inputs(x))

    def keep(self, stays: Tensor) -> None:
        super().keep(stays)
        self._inputs, self._sizes = self._inputs[stays], self._sizes[stays]
