"""Which operations of a forward pass have a written-out derivative, and which it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from pncviz.synthesis.links import (
    Affine,
    Convolution,
    Linear,
    Link,
    MaxPool,
    ReLU,
    RowFunction,
)

__all__ = ["LAYERS", "VIEWS", "Call", "Unlike"]

_aten = torch.ops.aten

#: Other shapes of the same values.
VIEWS = frozenset(
    {"view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "alias", "detach", "clone"}
)


class Call(NamedTuple):
    """One operation on the output ``x`` of the layers before."""

    x: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    links: Sequence[Link]


#: From an operation to the link that does the same.
Rule: TypeAlias = Callable[[Call], Link]


class Unlike(Exception):  # noqa: N818 # no error: a network that is no chain
    """The network is not the chain of layers that it would have to be, and why."""


def _addmm(call: Call) -> Link:
    bias, given, turned = call.args
    _must(
        given is call.x and bias.ndim == 1 and not call.kwargs,
        "addmm in another form than x @ W.T + b",
    )
    return Linear(turned.t(), bias)


def _mm(call: Call) -> Link:
    _must(call.args[0] is call.x, "a product with the weights on the left")
    return Linear(call.args[1].t(), None)


def _convolution(call: Call) -> Link:
    given, weight, bias, *settings = call.args
    _must(given is call.x and given.ndim == 4, "a convolution that is not two-dimensional")
    return Convolution(weight, bias, settings)


def _max_pool(call: Call) -> Link:
    _must(call.x.ndim == 4 and not call.kwargs, "pooling of something else than images")
    given = list(call.args[1:])
    usual: list[Any] = [None, [], [0, 0], [1, 1], False]
    return MaxPool(given + usual[len(given) :])


def _batch_norm(call: Call) -> Link:
    _, weight, bias, mean, variance, training, _, eps = call.args[:8]
    _must(not training and mean is not None, "batch statistics")
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (-1, *[1] * (call.x.ndim - 2))
    return Affine(scale.reshape(shape), shift.reshape(shape))


def _arithmetic(combine: Callable[[Any], tuple[Any, Any]]) -> Rule:
    """Make a rule for an operation of the input with a constant, from its (scale, shift)."""

    def rule(call: Call) -> Link:
        (given, constant), x = call.args[:2], call.x
        single = not isinstance(constant, Tensor) or (
            constant.ndim < x.ndim or constant.shape[0] == 1
        )
        _must(given is x and single and not call.kwargs, "arithmetic with more than a constant")
        if isinstance(constant, Tensor) and constant.ndim == x.ndim:
            constant = constant[0]
        return Affine(*(torch.as_tensor(v).to(x) for v in combine(constant)))

    return rule


def _from_output(function: Callable[..., Tensor], backward: Callable[..., Tensor]) -> Rule:
    """Make a rule for a function whose derivative is known from its output."""

    def rule(call: Call) -> Link:
        rest = call.args[1:]
        return RowFunction(
            lambda x: function(x, *rest), lambda g, y: backward(g, y, *rest), saves="output"
        )

    return rule


def _from_input(function: Callable[..., Tensor], backward: Callable[..., Tensor]) -> Rule:
    """Make a rule for a function whose derivative is known from its input."""

    def rule(call: Call) -> Link:
        rest, kwargs = call.args[1:], call.kwargs
        return RowFunction(
            lambda x: function(x, *rest, **kwargs),
            lambda g, x: backward(g, x, *rest, **kwargs),
            saves="input",
        )

    return rule


def _relu(call: Call) -> Link:
    before = call.links[-1] if call.links else None
    return ReLU(in_place=isinstance(before, Linear | Convolution | Affine | MaxPool))


def _elu_backward(
    g: Tensor, x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
) -> Tensor:
    found: Tensor = _aten.elu_backward(g, alpha, scale, input_scale, False, x)
    return found


def _must(holds: bool, problem: str) -> None:
    if not holds:
        raise Unlike(problem)


#: Name of the ATen operation -> rule(x, args, kwargs, links before) to the link.
LAYERS: dict[str, Rule] = {
    "addmm": _addmm,
    "mm": _mm,
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "native_batch_norm": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "add": _arithmetic(lambda c: (1.0, c)),
    "sub": _arithmetic(lambda c: (1.0, -c)),
    "mul": _arithmetic(lambda c: (c, 0.0)),
    "div": _arithmetic(lambda c: (1.0 / c, 0.0)),
    "relu": _relu,
    "tanh": _from_output(torch.tanh, _aten.tanh_backward),
    "sigmoid": _from_output(torch.sigmoid, _aten.sigmoid_backward),
    "_softmax": _from_output(
        _aten._softmax, lambda g, y, dim, _: _aten._softmax_backward_data(g, y, dim, y.dtype)
    ),
    "_log_softmax": _from_output(
        _aten._log_softmax,
        lambda g, y, dim, _: _aten._log_softmax_backward_data(g, y, dim, y.dtype),
    ),
    "avg_pool2d": _from_input(_aten.avg_pool2d, lambda g, x, *rest: _pool_backward(g, x, *rest)),
    "leaky_relu": _from_input(
        _aten.leaky_relu, lambda g, x, slope=0.01: _aten.leaky_relu_backward(g, x, slope, False)
    ),
    "elu": _from_input(_aten.elu, _elu_backward),
    "gelu": _from_input(_aten.gelu, _aten.gelu_backward),
    "silu": _from_input(_aten.silu, _aten.silu_backward),
    "hardtanh": _from_input(
        _aten.hardtanh, lambda g, x, low=-1, high=1: _aten.hardtanh_backward(g, x, low, high)
    ),
    "softplus": _from_input(
        _aten.softplus,
        lambda g, x, beta=1, threshold=20: _aten.softplus_backward(g, x, beta, threshold),
    ),
    "clamp_min": _from_input(torch.clamp_min, lambda g, x, low: g * (x >= low)),
    "log": _from_input(torch.log, lambda g, x: g / x),
}


def _pool_backward(
    g: Tensor,
    x: Tensor,
    kernel: Any,
    stride: Any = (),
    padding: Any = (0, 0),
    ceil: bool = False,
    count_pad: bool = True,
    divisor: int | None = None,
) -> Tensor:
    found: Tensor = _aten.avg_pool2d_backward(
        g, x, kernel, stride or kernel, padding, ceil, count_pad, divisor
    )
    return found
