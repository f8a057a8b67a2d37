"""What a layer makes of inputs, and descent on it by steps of one length."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from pncviz import Model
from pncviz.exceptions import ModelError

__all__ = ["Walk", "nearness", "penultimate", "representation", "resolved_layer", "walk"]

#: From inputs (n, *input_shape) to a value of each, to be made small, and a gradient that leads
#: there.
Slope: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
#: Stands for a length of 0 where one is divided by.
_LEAST = 1e-30

#: From inputs and values to the rows that need go no further.
Done: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def resolved_layer(model: Model, layer: str | None) -> str:
    """Give the layer's name: by default that of the penultimate one; within a session."""
    return penultimate(model) if layer is None else layer


def penultimate(model: Model) -> str:
    """Name the layer whose output the last layer with weights takes: the representation.

    Parameters
    ----------
    model : Model
        Within its session.

    Raises
    ------
    ModelError
        The model shows no module, or there is no such layer.

    Examples
    --------
    >>> from pncviz.models import TorchModel
    >>> module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> model = TorchModel(module, input_shape=(4,))
    >>> with model.session():
    ...     penultimate(model)
    '1'
    """
    module = getattr(model, "module", None)
    if not isinstance(module, nn.Module):
        raise ModelError("The model shows no layers, so `layer` must be named.")
    ran: list[str] = []
    weighty: list[int] = []

    def watch(name: str, leaf: nn.Module) -> Callable[..., None]:
        def note(*_: Any) -> None:
            if any(True for _ in leaf.parameters()):
                weighty.append(len(ran))
            ran.append(name)

        return note

    with ExitStack() as hooks, torch.no_grad():
        for name, part in module.named_modules():
            if not any(True for _ in part.children()):
                hooks.callback(part.register_forward_hook(watch(name, part)).remove)
        model.logits(torch.zeros(2, *model.input_shape, device=model.device, dtype=model.dtype))
    if not weighty or weighty[-1] == 0:
        raise ModelError(
            "The module has no layer before its last one with weights; name another by `layer`."
        )
    return ran[weighty[-1] - 1]


def representation(model: Model, layer: str, x: Tensor) -> Tensor:
    """Give R(x) as rows (n, n_features), differentiable.

    Raises
    ------
    ModelError
        No such layer, or one that keeps no rows apart.
    """
    found = model.activations(x, [layer])[layer]
    if found.ndim == 0 or len(found) != len(x):
        raise ModelError(
            f'Layer "{layer}" gives {tuple(found.shape)} for {len(x)} inputs, which is not one '
            "representation for each; choose another."
        )
    return found.reshape(len(x), -1)


def nearness(model: Model, layer: str, goal: Tensor) -> Slope:
    """Make the slope of the distance of R(x) from ``goal`` (n, n_features).

    The gradient is that of half the square: of the same direction, and shorter near the goal.
    """

    def slope(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        square = (representation(model, layer, x) - goal).square().sum(dim=1)
        (gradient,) = torch.autograd.grad(square.sum() / 2, x)
        return square.detach().sqrt(), gradient

    return slope


class Walk(NamedTuple):
    """Where rows came to: inputs, values, steps, and whether a row never had a gradient."""

    x: Tensor
    value: Tensor
    n_steps: Tensor
    flat: Tensor


def walk(
    start: Tensor,
    slope: Slope,
    *,
    step_size: float,
    n_steps: int,
    epsilon: float | None = None,
    clip: tuple[float, float] | None = None,
    done: Done | None = None,
) -> Walk:
    r"""Descend along the normalised gradient, in a ball and within bounds.

    Steps are as long as the step size at the steepest place that the row has met, and elsewhere
    shorter in proportion: steps of one length would end by dancing about the goal, and let rounding
    grow.

    Parameters
    ----------
    start : tensor of shape (n, \*input_shape)
    slope : callable
        Keeps rows apart.
    step_size : float
        Euclidean length of the longest steps, units of the input.
    n_steps : int
    epsilon : float, optional
        Radius of the ball about the start.
    clip : (low, high), optional
    done : callable, optional
        Says which rows need go no further.

    Returns
    -------
    Walk

    Examples
    --------
    >>> def slope(x):
    ...     return x.square().sum(1), 2 * x
    >>> walk(torch.ones(1, 4), slope, step_size=1.0, n_steps=2).x
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    x = start.detach() if clip is None else start.detach().clamp(*clip)
    origin, wide = x, (-1, *[1] * (x.ndim - 1))
    value, gradient = slope(x)
    flat = _length(gradient) == 0
    runs, taken = ~flat, torch.zeros_like(value, dtype=torch.int64)
    steepest = torch.full_like(value, _LEAST)
    for _ in range(n_steps):
        size = _length(gradient)
        runs = runs & (size > 0) & torch.isfinite(size)
        if done is not None:
            runs = runs & ~done(x, value)
        if not bool(runs.any()):
            break
        steepest = torch.maximum(steepest, size)
        rate = (step_size / steepest).reshape(wide)
        new = _inside(x - rate * gradient, origin, epsilon, clip)
        x, taken = torch.where(runs.reshape(wide), new, x), taken + runs
        value, gradient = slope(x)
    return Walk(x, value, taken, flat)


def _length(rows: Tensor) -> Tensor:
    length: Tensor = rows.flatten(1).norm(dim=1)
    return length


def _inside(
    x: Tensor, origin: Tensor, epsilon: float | None, clip: tuple[float, float] | None
) -> Tensor:
    """Project to the ball, then to the bounds, which the ball's centre lies within."""
    if epsilon is not None:
        away = x - origin
        size = _length(away).clamp_min(_LEAST).reshape(-1, *[1] * (x.ndim - 1))
        x = origin + away * (epsilon / size).clamp_max(1.0)
    return x if clip is None else x.clamp(*clip)
