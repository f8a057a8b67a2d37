"""Layers run forward and backward by hand: what autograd would do, without its bookkeeping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

__all__ = ["Affine", "Convolution", "Linear", "Link", "MaxPool", "ReLU", "Reshape", "RowFunction"]

_aten = torch.ops.aten

#: ``backward(gradient, saved)``: from the gradient of the output to that of the input.
Backward: TypeAlias = Callable[[Tensor, Tensor], Tensor]

#: Below so many rows, and above so many weights, one product is slower than several side by side.
_FEW_ROWS, _MANY_WEIGHTS = 64, 2**20


class Link(Protocol):
    """A layer between two others. ``backward`` follows the ``forward`` that it belongs to.

    What ``forward`` gives may be overwritten by the next ``forward``. What ``backward`` is given is
    its own to overwrite; what it gives is not touched again.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Take inputs (n, …) to outputs (n, …)."""

    def backward(self, gradient: Tensor) -> Tensor:
        """Take the gradient of the outputs to that of the inputs."""


class Linear:
    """``x @ weight.T + bias``.

    Parameters
    ----------
    weight : tensor of shape (h, d)
    bias : tensor of shape (h,) or None
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight
        self.bias = weight.new_zeros(len(weight)) if bias is None else bias
        self._turned = weight.t()
        self._slices = _slices(weight)
        self._fit(weight[:0])

    def _fit(self, x: Tensor) -> None:
        """Make room for the outputs of these rows, of their kind: others are slower, or refused."""
        self._n, self._inference = x.size(0), x.is_inference()
        self._sliced = self._slices > 1 and self._n <= _FEW_ROWS
        with torch.inference_mode(self._inference):
            self._out = self.weight.new_empty(self._n, len(self.weight))

    def forward(self, x: Tensor) -> Tensor:
        # len(x) would take as long as a small product.
        if x.size(0) != self._n or x.is_inference() != self._inference:
            self._fit(x)
        if self._sliced:
            return self._sliced_forward(x)
        return torch.addmm(self.bias, x, self._turned, out=self._out)

    def backward(self, gradient: Tensor) -> Tensor:
        if self._sliced:
            return self._sliced_backward(gradient)
        return torch.mm(gradient, self.weight)

    def _sliced_forward(self, x: Tensor) -> Tensor:
        k, (h, d) = self._slices, self.weight.shape
        parts = x.reshape(len(x), k, d // k).transpose(0, 1)
        out = torch.bmm(parts, self.weight.view(h, k, d // k).permute(1, 2, 0)).sum(0)
        return out.add_(self.bias)

    def _sliced_backward(self, gradient: Tensor) -> Tensor:
        k, (h, d) = self._slices, self.weight.shape
        parts = torch.bmm(
            gradient.expand(k, *gradient.shape), self.weight.view(h, k, d // k).transpose(0, 1)
        )
        return parts.transpose(0, 1).reshape(len(gradient), d)


def _slices(weight: Tensor) -> int:
    """Give how many slices of the inputs to multiply side by side."""
    if weight.numel() < _MANY_WEIGHTS or not weight.is_contiguous() or weight.is_cuda:
        return 1
    return next((k for k in (8, 4, 2) if weight.shape[1] % k == 0), 1)


class Convolution:
    """A two-dimensional convolution.

    Parameters
    ----------
    weight : tensor of shape (out, in / groups, rows, columns)
    bias : tensor of shape (out,) or None
    settings : sequence
        Stride, padding, dilation, transposed, output padding, groups, as ATen takes them.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, settings: Sequence[Any]) -> None:
        # In this order pooling and convolutions are faster on a CPU. A copy, since with one channel
        # the order can be read in two ways, and a convolution takes the other.
        self.weight = torch.empty_like(weight, memory_format=torch.channels_last).copy_(weight)
        self.bias, self.settings = bias, tuple(settings)
        self._x: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        out: Tensor = _aten.convolution(x, self.weight, self.bias, *self.settings)
        return out

    def backward(self, gradient: Tensor) -> Tensor:
        found: Tensor = _aten.convolution_backward(
            gradient, self._x, self.weight, None, *self.settings, [True, False, False]
        )[0]
        return found


class MaxPool:
    """Two-dimensional max-pooling; a gradient goes to the first of the largest.

    Parameters
    ----------
    settings : sequence
        Kernel, stride, padding, dilation, ceil mode, as ATen takes them.
    """

    def __init__(self, settings: Sequence[Any]) -> None:
        kernel, stride, padding, dilation, ceil = settings
        self.settings = (kernel, stride or kernel, padding, dilation, ceil)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor
        out, self._places = _aten.max_pool2d_with_indices(x, *self.settings)
        self._x = x
        return out

    def backward(self, gradient: Tensor) -> Tensor:
        if self._x.is_contiguous(memory_format=torch.channels_last):
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        found: Tensor = _aten.max_pool2d_with_indices_backward(
            gradient, self._x, *self.settings, self._places
        )
        return found


class ReLU:
    """``max(x, 0)``.

    Parameters
    ----------
    in_place : bool
        Whether no one else needs what comes in.
    """

    def __init__(self, *, in_place: bool) -> None:
        self._function = torch.relu_ if in_place else torch.relu

    def forward(self, x: Tensor) -> Tensor:
        self._out = out = self._function(x)
        return out

    def backward(self, gradient: Tensor) -> Tensor:
        # Of products and signs, since ATen's own function takes three times as long to call.
        return gradient.mul_(self._out.sign())


class RowFunction:
    """A function of each value or row, with the derivative that ATen has for it.

    Parameters
    ----------
    function : callable
        From inputs to outputs.
    backward : callable
        ``backward(gradient, saved)``.
    saves : {"input", "output"}
        What ``backward`` needs.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], backward: Backward, *, saves: str
    ) -> None:
        self._function, self._backward, self._keeps_input = function, backward, saves == "input"

    def forward(self, x: Tensor) -> Tensor:
        out = self._function(x)
        self._saved = x if self._keeps_input else out
        return out

    def backward(self, gradient: Tensor) -> Tensor:
        return self._backward(gradient, self._saved)


class Affine:
    """``x * scale + shift``, as batch normalisation in evaluation mode and input scaling are.

    Parameters
    ----------
    scale, shift : tensor that broadcasts to the input
    """

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        self.scale, self.shift = scale, shift

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient * self.scale


class Reshape:
    """Another shape of the same values, such as flat rows.

    Parameters
    ----------
    before, after : tuple of int
        Shapes without the batch axis.
    """

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        self.before, self.after = tuple(before), tuple(after)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.after)

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient.reshape(len(gradient), *self.before)
