"""Descent on the input, each row stopping by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pncviz.exceptions import ParameterError
from pncviz.specs import STOP_REASONS, AttackResult, Model, Stop, Target, Trace

__all__ = ["DIVERGED_AT", "LOSSES", "descend"]

#: An input that grows past this has left any meaning.
DIVERGED_AT = 1e6

#: How often, in iterations, the host asks the device which rows are done.
LOOK_EVERY = 10

Step: TypeAlias = Callable[[Tensor, Tensor, Any], tuple[Tensor, Any]]
_Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_RUNNING = -1
_MAX_ITER, _MAX_LOSS, _MIN_CONFIDENCE, _VANISHED, _DIVERGED = range(len(STOP_REASONS))


def _cross_entropy(logits: Tensor, codes: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, codes, reduction="none")


def _squared_error(logits: Tensor, codes: Tensor) -> Tensor:
    p = logits.softmax(dim=1)
    wanted = torch.nn.functional.one_hot(codes, p.shape[1]).to(p.dtype)
    return ((p - wanted) ** 2).sum(dim=1)


#: Name -> (logits, codes) to the loss of each row.
LOSSES: dict[str, _Loss] = {"cross_entropy": _cross_entropy, "squared_error": _squared_error}


class _Rows:
    """The rows still in the batch, and the outcome of all of them."""

    def __init__(self, start: Tensor, codes: Tensor, stop: Stop, trace_every: int | None) -> None:
        n, device = len(start), start.device
        self.x = start.detach().clone()
        self.codes = codes
        self.place = torch.arange(n, device=device)
        self.reason = torch.full((n,), _RUNNING, dtype=torch.int8, device=device)
        self.n_iter = torch.zeros(n, dtype=torch.int64, device=device)
        self.loss = torch.full((n,), torch.nan, dtype=start.dtype, device=device)
        self.confidence = self.loss.clone()
        self.out = {name: getattr(self, name).clone() for name in self._KEPT}
        self.stop = stop
        self.trace_every = trace_every
        self.traces: list[tuple[int, Tensor, Tensor]] = []

    _KEPT = ("x", "reason", "n_iter", "loss", "confidence")

    def record(
        self, iteration: int, loss: Tensor, confidence: Tensor, among: Tensor | None = None
    ) -> Tensor:
        """Note where running rows are, and stop those that meet a rule; gives who still runs.

        ``among`` limits who may be found diverged.
        """
        running = self.reason == _RUNNING
        # A loss that is no number keeps the last one that was.
        known = running & torch.isfinite(loss)
        self.loss = torch.where(known, loss, self.loss)
        self.confidence = torch.where(known, confidence, self.confidence)
        if self.trace_every and iteration % self.trace_every == 0:
            self._trace(iteration, running)
        lost = running & ~known
        self.finish(lost if among is None else lost & among, _DIVERGED)
        if self.stop.max_loss is not None:
            self.finish(known & (loss <= self.stop.max_loss), _MAX_LOSS)
        if self.stop.min_confidence is not None:
            self.finish(known & (confidence >= self.stop.min_confidence), _MIN_CONFIDENCE)
        return self.reason == _RUNNING

    def finish(self, rows: Tensor, reason: int) -> None:
        """Stop these rows, unless they stopped before."""
        self.reason = torch.where(
            rows & (self.reason == _RUNNING), self.reason.new_tensor(reason), self.reason
        )

    def advance(self, new: Tensor, running: Tensor, among: Tensor | None = None) -> None:
        """Move running rows, except those (``among`` these) that would leave every bound."""
        bounded = _size(new) <= DIVERGED_AT  # False for NaN too
        fine = running & (bounded if among is None else bounded | ~among)
        self.finish(running & ~fine, _DIVERGED)
        self.x = torch.where(fine.reshape(-1, *[1] * (new.ndim - 1)), new, self.x)
        self.n_iter = self.n_iter + fine

    def retire(self, state: Any) -> Any:
        """Let finished rows leave the batch; gives the step's state of those that stay."""
        stays = self.reason == _RUNNING
        if bool(stays.all()):
            return state
        self.store()
        for name in (*self._KEPT, "codes", "place"):
            setattr(self, name, getattr(self, name)[stays])
        return _select(state, stays)

    def store(self) -> None:
        """Write the rows of the batch to their places in the outcome."""
        for name in self._KEPT:
            self.out[name][self.place] = getattr(self, name)

    def _trace(self, iteration: int, running: Tensor) -> None:
        columns = []
        for value in (self.loss, self.confidence):
            column = torch.full_like(self.out["loss"], torch.nan)
            column[self.place[running]] = value[running]
            columns.append(column)
        self.traces.append((iteration, columns[0], columns[1]))

    def result(self) -> AttackResult:
        """Give the outcome of every row, in the order of the starts."""
        host = {name: self.out[name].cpu().numpy() for name in self._KEPT if name != "x"}
        return AttackResult(
            adversarial=self.out["x"],
            n_iter=host["n_iter"],
            stop_reason=np.array(STOP_REASONS)[host["reason"]],
            loss=host["loss"].astype(np.float64),
            confidence=host["confidence"].astype(np.float64),
            trace=self._traced(),
        )

    def _traced(self) -> Trace | None:
        if not self.trace_every:
            return None
        grid = np.arange(0, self.stop.max_iter + 1, self.trace_every)
        values = np.full((2, len(self.out["loss"]), len(grid)), np.nan)
        for iteration, *columns in self.traces:
            for value, column in zip(values, columns, strict=True):
                value[:, iteration // self.trace_every] = column.cpu().numpy()
        return Trace(iteration=grid, loss=values[0], confidence=values[1])


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
    start : tensor of shape (n, \\*input_shape)
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
    rows = _Rows(start, target.codes, stop, trace_every)
    every_step = bool(trace_every) or stop.max_loss is not None or stop.min_confidence is not None
    grade = _Grade(model, target, LOSSES[loss])
    state: Any = None
    iteration = 0
    while True:
        if iteration == stop.max_iter:
            rows.finish(rows.record(iteration, *grade(rows.x, rows.codes, last=True)), _MAX_ITER)
            break
        value, confidence, gradient = grade(rows.x, rows.codes, last=False)
        running = rows.record(iteration, value, confidence)
        new, state = step(rows.x, gradient, state)
        look = iteration % LOOK_EVERY == 0
        if look:
            # Absorbing, so a late look changes no pattern.
            still = ~(gradient.flatten(1) != 0).any(1) & ~(new != rows.x).flatten(1).any(1)
            rows.finish(still, _VANISHED)
            running = rows.reason == _RUNNING
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


def _glide(grade: _Grade, rows: _Rows, step: Step, state: Any, n: int) -> Any:
    """Take n steps unguarded, and once more with a guard for rows that got out of bounds.

    Without rules on loss or confidence, divergence alone can stop a row between two looks. The
    guard is for the rows that end out of bounds, so that none depends on the others.
    """
    x, before = rows.x, state
    for _ in range(n):
        x, state = step(x, grade.gradient(x, rows.codes), state)
    suspects = ~(_size(x) <= DIVERGED_AT)
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


def _size(x: Tensor) -> Tensor:
    """The largest magnitude of each row; NaN if it holds one."""
    return torch.linalg.vector_norm(x.flatten(1), ord=torch.inf, dim=1)


def _select(state: Any, stays: Tensor) -> Any:
    if state is None:
        return None
    return tuple(part[stays] for part in state) if isinstance(state, tuple) else state[stays]
