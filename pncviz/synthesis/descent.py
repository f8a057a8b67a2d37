"""Descent on the input, each row stopping by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pncviz.exceptions import ParameterError
from pncviz.specs import AttackResult, Model, Stop, Target
from pncviz.synthesis.rows import DIVERGED_AT, MAX_ITER, RUNNING, VANISHED, Rows, size_of

__all__ = ["DIVERGED_AT", "LOSSES", "descend"]

#: How often, in iterations, the host asks the device which rows are done.
LOOK_EVERY = 10

Step: TypeAlias = Callable[[Tensor, Tensor, Any], tuple[Tensor, Any]]
_Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def _cross_entropy(logits: Tensor, codes: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, codes, reduction="none")


def _squared_error(logits: Tensor, codes: Tensor) -> Tensor:
    p = logits.softmax(dim=1)
    wanted = torch.nn.functional.one_hot(codes, p.shape[1]).to(p.dtype)
    return ((p - wanted) ** 2).sum(dim=1)


#: Name -> (logits, codes) to the loss of each row.
LOSSES: dict[str, _Loss] = {"cross_entropy": _cross_entropy, "squared_error": _squared_error}


def descend(
    model: Model,
    start: Tensor,
    step: Step,
    target: Target,
    stop: Stop,
    *,
    loss: str = "cross_entropy",
    trace_every: int | None = None,
) -> AttackResult:
    """Repeat a gradient step on the input until each row's own stop rule is met.

    The gradient is of the *sum* of the rows' losses, so no row depends on how many there are. A
    row is frozen at the iterate that met its rule, and leaves the batch soon after. The rule is
    tried on the start too.

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

    Returns
    -------
    AttackResult
        ``stop_reason`` is "max_iter", "max_loss", "min_confidence", "vanished_gradient" (nothing
        moves any more) or "diverged" (not finite, or past 1e6).

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
    if loss not in LOSSES:
        raise ParameterError(f"`loss` must be one of {', '.join(LOSSES)}, got {loss!r}.")
    rows = Rows(start, target.codes, stop, trace_every)
    every_step = bool(trace_every) or stop.max_loss is not None or stop.min_confidence is not None
    grade = _Grade(model, target, LOSSES[loss])
    state: Any = None
    iteration = 0
    while True:
        if iteration == stop.max_iter:
            rows.finish(rows.record(iteration, *grade(rows.x, rows.codes, last=True)), MAX_ITER)
            break
        value, confidence, gradient = grade(rows.x, rows.codes, last=False)
        running = rows.record(iteration, value, confidence)
        new, state = step(rows.x, gradient, state)
        look = iteration % LOOK_EVERY == 0
        if look:
            # Absorbing, so a late look changes no pattern.
            still = ~(gradient.flatten(1) != 0).any(1) & ~(new != rows.x).flatten(1).any(1)
            rows.finish(still, VANISHED)
            running = rows.reason == RUNNING
        rows.advance(new, running)
        iteration += 1
        if look:
            state = rows.retire(state)
            if not len(rows.place):
                break
            if not every_step:
                n = min(LOOK_EVERY - 1, stop.max_iter - iteration)
                state = _glide(grade, rows, step, state, n)
                iteration += n
    rows.store()
    return rows.result()


class _Grade:
    """Loss and confidence of each row, and the gradient of the summed loss."""

    def __init__(self, model: Model, target: Target, loss: _Loss) -> None:
        self.model, self.sign, self.loss = model, 1.0 if target.targeted else -1.0, loss

    def __call__(self, x: Tensor, codes: Tensor, *, last: bool) -> tuple[Tensor, ...]:
        """Give loss, confidence and, unless last, gradient.

        Untargeted, the loss is negative and the confidence that of not being the unit.
        """
        if last:
            with torch.no_grad():
                logits = self.model.logits(x)
                parts: tuple[Tensor, ...] = (self.loss(logits, codes),)
        else:
            value, logits, gradient = self.full(x, codes)
            parts = (value, gradient)
        share = logits.softmax(dim=1).gather(1, codes[:, None])[:, 0]
        return (self.sign * parts[0], share if self.sign > 0 else 1 - share, *parts[1:])

    def gradient(self, x: Tensor, codes: Tensor) -> Tensor:
        """Give the gradient of the summed loss to the input."""
        return self.full(x, codes)[2]

    def full(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give loss, logits and gradient from one pass."""
        x = x.detach().requires_grad_()
        logits = self.model.logits(x)
        value = self.loss(logits, codes)
        # Weights of the sum over rows: one, or minus one to climb.
        (gradient,) = torch.autograd.grad(value, x, torch.full_like(value, self.sign))
        return value.detach(), logits.detach(), gradient


def _glide(grade: _Grade, rows: Rows, step: Step, state: Any, n: int) -> Any:
    """Take n steps unguarded, and once more with a guard for rows that got out of bounds.

    Without rules on loss or confidence, divergence alone can stop a row between two looks. The
    guard is for the rows that end out of bounds, so that none depends on the others.
    """
    x, before = rows.x, state
    for _ in range(n):
        x, state = step(x, grade.gradient(x, rows.codes), state)
    suspects = ~(size_of(x) <= DIVERGED_AT)
    if not bool(suspects.any()):
        rows.x, rows.n_iter = x, rows.n_iter + n
        return state
    state = before
    for _ in range(n):
        value, confidence, gradient = grade(rows.x, rows.codes, last=False)
        running = rows.record(-1, value, confidence, among=suspects)
        new, state = step(rows.x, gradient, state)
        rows.advance(new, running, among=suspects)
    return state
