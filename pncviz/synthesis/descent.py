"""Descent on the input, each row stopping by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pncviz.exceptions import ParameterError
from pncviz.specs import AttackResult, Model, Stop, Target
from pncviz.synthesis.chain import Chain
from pncviz.synthesis.first_layer import FirstLayer, first_layer_pays
from pncviz.synthesis.rows import DIVERGED_AT, MAX_ITER, Rows, size_of
from pncviz.synthesis.slopes import Autograd, Slope, WrittenOut

__all__ = ["DIVERGED_AT", "FORMS", "chain_of", "descend", "slope_of"]

#: How often, in iterations, rows are looked at: who is done, who is out of bounds.
LOOK_EVERY = 10
#: Where a descent may walk: on the input, or on the first layer where it can.
FORMS = ("auto", "direct")

Step: TypeAlias = Callable[[Tensor, Tensor, Any], tuple[Tensor, Any]]


def descend(
    model: Model,
    start: Tensor,
    step: Step,
    target: Target,
    stop: Stop,
    *,
    loss: str = "cross_entropy",
    trace_every: int | None = None,
    first_layer: str = "direct",
) -> AttackResult:
    """Repeat a gradient step on the input until each row's own stop rule is met.

    The gradient is of the *sum* of the rows' losses, so no row depends on how many there are. A
    row is frozen at the iterate that met its rule, and leaves the batch soon after. The rule is
    tried on the start too.

    Where the model is a chain of simple layers its gradient is written out rather than left to
    autograd: the same arithmetic in less time. Autograd is then off in the step; with
    ``first_layer="direct"`` the step may switch it on.

    Parameters
    ----------
    model : Model
    start : tensor of shape (n, *input_shape)
    step : callable
        ``step(x, gradient, state) -> (x, state)``; ``state`` is None at first, then whatever the
        step gave: None, a tensor of n rows, or a tuple of those. Must keep rows apart.
    target : Target
    stop : Stop
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
        Nats of the target unit, or squared distance of the probabilities to the one-hot label;
        negative when moving away from the target.
    trace_every : int, optional
        Keep loss and confidence every so many iterations.
    first_layer : {"direct", "auto"}, default="direct"
        "auto" says that the step only adds up multiples of gradients, whatever x is. If the model
        begins with a linear layer, ``x`` and ``gradient`` are then coordinates of that layer's
        units; see :mod:`pncviz.synthesis.first_layer`.

    Returns
    -------
    AttackResult
        ``stop_reason`` is "max_iter", "max_loss", "min_confidence", "vanished_gradient" (nothing
        moves any more) or "diverged" (not finite, or past 1e6).

    Raises
    ------
    ParameterError
        An unknown loss or form.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> with model.session():
    ...     result = descend(model, torch.zeros(3, 4), lambda x, g, s: (x - g, s),
    ...                      Target(codes=torch.arange(3)), Stop(max_iter=5))
    >>> result.n_iter
    array([5, 5, 5])
    """
    if first_layer not in FORMS:
        raise ParameterError(
            f"`first_layer` must be one of {', '.join(FORMS)}, got {first_layer!r}."
        )
    slope = slope_of(model, start, target, loss, first_layer)
    rows = Rows(start, slope, stop, trace_every)
    with slope.session():
        _walk(rows, slope, step)
        if len(rows.place):
            rows.finish(rows.record(stop.max_iter, *slope.graded(rows.x)), MAX_ITER)
            rows.store()
    return rows.result()


def chain_of(model: Model) -> Chain | None:
    """Give the logits as a chain of layers, if the model is one."""
    # Of the model's own class: a wrapper that hands on what it lacks has other logits.
    return model.chain if hasattr(type(model), "chain") else None  # type: ignore[attr-defined]


def slope_of(
    model: Model, start: Tensor, target: Target, loss: str, first_layer: str = "direct"
) -> Slope:
    """Choose the fastest way to the loss's gradient that the model allows."""
    chain = chain_of(model)
    if chain is None:
        return Autograd(model, start, target, loss)
    split = chain.after_first() if first_layer == "auto" else None
    with torch.no_grad():
        if split is not None and first_layer_pays(split[0]):
            return FirstLayer(model, start, target, loss, *split)
        return WrittenOut(model, start, target, loss, chain)


def _walk(rows: Rows, slope: Slope, step: Step) -> None:
    """Iterate until no row runs or the iterations are used up."""
    stop, state, iteration, careful = rows.stop, None, 0, 1
    ruled = bool(rows.trace_every) or stop.max_loss is not None or stop.min_confidence is not None
    while iteration < stop.max_iter and len(rows.place):
        # The start is looked at by itself: what does not move from there has taken no step.
        most = LOOK_EVERY if ruled or iteration < careful else slope.at_once
        n, among = min(most, stop.max_iter - iteration) if iteration else 1, None
        if not ruled:
            found, among = _glide(rows, slope, step, state, n)
            if among is None:
                state, iteration = found, iteration + n
                continue
            careful = iteration + slope.at_once
            if n > LOOK_EVERY:
                continue
        state = _guarded(rows, slope, step, state, iteration, n, among=among)
        iteration += n
        if (stays := rows.retire()) is not None:
            slope.keep(stays)
            state = _select(state, stays)


def _glide(rows: Rows, slope: Slope, step: Step, state: Any, n: int) -> tuple[Any, Tensor | None]:
    """Take n steps without a guard; if a row was in a strange place, take none and say which.

    Without rules on loss or confidence a row stops only if it is out of bounds or without a
    gradient when it is looked at. The steps are then taken again with a guard for those rows
    alone, so that none depends on the others.
    """
    # Copies, for steps that work in place: what is taken again begins where this did.
    x, state, looks = rows.x.clone(), _each(state, Tensor.clone), []
    for taken in range(1, n + 1):
        gradient = slope.gradient(x)
        x, state = step(x, gradient, state)
        if taken % LOOK_EVERY == 0 or taken == n:
            looks.append((slope.size(x), size_of(gradient)))
    sizes, steepness = (torch.stack(part) for part in zip(*looks, strict=True))
    flattest, steepest = torch.aminmax(steepness)
    # False if there is a NaN, too.
    if sizes.max() <= DIVERGED_AT and flattest > 0 and steepest < torch.inf:
        rows.x, rows.n_iter = x, rows.n_iter + n
        return state, None
    fine = (sizes <= DIVERGED_AT) & torch.isfinite(steepness) & (steepness > 0)
    return None, ~fine.all(0)


def _guarded(
    rows: Rows,
    slope: Slope,
    step: Step,
    state: Any,
    iteration: int,
    n: int,
    among: Tensor | None = None,
) -> Any:
    """Take n steps, looking at each row's rules in every one, and for stillness in the last."""
    for now in range(iteration, iteration + n):
        loss, confidence, gradient = slope.full(rows.x)
        running = rows.record(now, loss, confidence, among=among)
        new, state = step(rows.x, gradient, state)
        if now == iteration + n - 1:
            # Absorbing, so a late look changes no pattern.
            flat, rests = (size_of(value) == 0 for value in (gradient, new - rows.x))
            running = rows.vanish(flat & rests)
        rows.advance(new, running, among=among)
    return state


def _select(state: Any, stays: Tensor) -> Any:
    return _each(state, lambda part: part[stays])


def _each(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change each tensor of a step's state: None, a tensor, or a tuple of them."""
    if state is None:
        return None
    return tuple(map(change, state)) if isinstance(state, tuple) else change(state)
