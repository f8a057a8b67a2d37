"""The rows of a descent: who still runs, who stopped where, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pncviz.specs import STOP_REASONS, AttackResult, Stop, Trace

if TYPE_CHECKING:
    from pncviz.synthesis.slopes import Slope

__all__ = ["DIVERGED_AT", "MAX_ITER", "Rows", "size_of"]

#: An input that grows past this has left any meaning.
DIVERGED_AT = 1e6

RUNNING = -1
MAX_ITER, MAX_LOSS, MIN_CONFIDENCE, VANISHED, DIVERGED = range(len(STOP_REASONS))


def size_of(x: Tensor) -> Tensor:
    """Give the largest magnitude of each row; NaN if it holds one."""
    flat = x if x.ndim == 2 else x.flatten(1)
    return flat.abs().amax(1)


class Rows:
    """The rows still in the batch, and the outcome of all of them."""

    def __init__(self, start: Tensor, slope: Slope, stop: Stop, trace_every: int | None) -> None:
        n, device = len(start), start.device
        self.x, self.slope = slope.start.detach().clone(), slope
        self.place = torch.arange(n, device=device)
        self.reason = torch.full((n,), RUNNING, dtype=torch.int8, device=device)
        self.n_iter = torch.zeros(n, dtype=torch.int64, device=device)
        self.loss = torch.full((n,), torch.nan, dtype=start.dtype, device=device)
        self.confidence = self.loss.clone()
        self.out = {name: getattr(self, name).clone() for name in self._KEPT}
        self.inputs = start.detach().clone()
        self.stop = stop
        self.trace_every = trace_every
        self.traces: list[tuple[int, Tensor, Tensor]] = []

    _KEPT = ("reason", "n_iter", "loss", "confidence")

    def record(
        self, iteration: int, loss: Tensor, confidence: Tensor, among: Tensor | None = None
    ) -> Tensor:
        """Note where running rows are, and stop those that meet a rule; gives who still runs.

        ``among`` limits who may be found diverged.
        """
        running = self.reason == RUNNING
        # A loss that is no number keeps the last one that was.
        known = running & torch.isfinite(loss)
        self.loss = torch.where(known, loss, self.loss)
        self.confidence = torch.where(known, confidence, self.confidence)
        if self.trace_every and iteration % self.trace_every == 0:
            self._trace(iteration, running)
        lost = running & ~known
        self.finish(lost if among is None else lost & among, DIVERGED)
        if self.stop.max_loss is not None:
            self.finish(known & (loss <= self.stop.max_loss), MAX_LOSS)
        if self.stop.min_confidence is not None:
            self.finish(known & (confidence >= self.stop.min_confidence), MIN_CONFIDENCE)
        return self.reason == RUNNING

    def finish(self, rows: Tensor, reason: int) -> None:
        """Stop these rows, unless they stopped before."""
        self.reason = torch.where(
            rows & (self.reason == RUNNING), self.reason.new_tensor(reason), self.reason
        )

    def vanish(self, rows: Tensor) -> Tensor:
        """Stop these rows, which nothing moves any more; gives who still runs."""
        self.finish(rows, VANISHED)
        return self.reason == RUNNING

    def advance(self, new: Tensor, running: Tensor, among: Tensor | None = None) -> None:
        """Move running rows, except those (``among`` these) that would leave every bound."""
        bounded = self.slope.size(new) <= DIVERGED_AT  # False for NaN too
        fine = running & (bounded if among is None else bounded | ~among)
        self.finish(running & ~fine, DIVERGED)
        self.x = torch.where(fine.reshape(-1, *[1] * (new.ndim - 1)), new, self.x)
        self.n_iter = self.n_iter + fine

    def retire(self) -> Tensor | None:
        """Let finished rows leave the batch; says who stays, or None if all do."""
        stays = self.reason == RUNNING
        if bool(stays.all()):
            return None
        self.store()
        for name in ("x", *self._KEPT, "place"):
            setattr(self, name, getattr(self, name)[stays])
        return stays

    def store(self) -> None:
        """Write the rows that are done to their places in the outcome."""
        done = self.reason != RUNNING
        for name in self._KEPT:
            self.out[name][self.place[done]] = getattr(self, name)[done]
        self.inputs[self.place[done]] = self.slope.inputs(self.x)[done]

    def _trace(self, iteration: int, running: Tensor) -> None:
        columns = []
        for value in (self.loss, self.confidence):
            column = torch.full_like(self.out["loss"], torch.nan)
            column[self.place[running]] = value[running]
            columns.append(column)
        self.traces.append((iteration, columns[0], columns[1]))

    def result(self) -> AttackResult:
        """Give the outcome of every row, in the order of the starts."""
        # numpy has no bfloat16.
        host = {
            name: (value.double() if value.is_floating_point() else value).cpu().numpy()
            for name, value in self.out.items()
        }
        return AttackResult(
            adversarial=self.inputs,
            n_iter=host["n_iter"],
            stop_reason=np.array(STOP_REASONS)[host["reason"]],
            loss=host["loss"],
            confidence=host["confidence"],
            trace=self._traced(),
        )

    def _traced(self) -> Trace | None:
        if not self.trace_every:
            return None
        grid = np.arange(0, self.stop.max_iter + 1, self.trace_every)
        values = np.full((2, len(self.out["loss"]), len(grid)), np.nan)
        for iteration, *columns in self.traces:
            for value, column in zip(values, columns, strict=True):
                value[:, iteration // self.trace_every] = column.double().cpu().numpy()
        return Trace(iteration=grid, loss=values[0], confidence=values[1])
