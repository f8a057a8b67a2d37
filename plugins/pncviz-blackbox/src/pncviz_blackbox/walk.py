"""The walk along estimated gradients: rows at once, each stopping by its own rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pncviz import AttackResult, Model, Stop, Target
from pncviz.synthesis import DIVERGED_AT
from pncviz_blackbox.asking import Purse, ask, flat_start, shaped
from pncviz_blackbox.directions import make_source
from pncviz_blackbox.estimates import Estimator

__all__ = ["Gains", "Walk"]


@dataclass(frozen=True)
class Gains:
    """What step k is made of.

    Attributes
    ----------
    rate, width : callable
        From k to the learning rate, and to the length of the differences.
    momentum : float
    sign : bool
        Only the sign of the step counts.
    """

    rate: Callable[[int], float]
    width: Callable[[int], float]
    momentum: float = 0.0
    sign: bool = False


class Walk:
    r"""Rows on their way, and what became of those that stopped.

    Parameters
    ----------
    model : Model
    start : tensor of shape (n, \*input_shape)
    target : Target
    stop : Stop
    rngs : sequence of n numpy.random.Generator
    kind : {"gaussian", "signs"}
    gains : Gains
    loss : str
    n_samples : int
    antithetic : bool
    epsilon : float or None
    clip : (low, high) or None
    """

    def __init__(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],
        *,
        kind: str,
        gains: Gains,
        loss: str,
        n_samples: int,
        antithetic: bool,
        epsilon: float | None,
        clip: tuple[float, float] | None,
    ) -> None:
        n = len(start)
        self.model, self.start, self.stop, self.gains = model, start, stop, gains
        self.loss_name, self.clip, self.epsilon = loss, clip, epsilon
        self.codes, self.targeted = target.codes.cpu(), target.targeted
        self.estimator = Estimator(model, loss=loss, n_samples=n_samples, antithetic=antithetic)
        self.sources = [make_source(kind, rng) for rng in rngs]
        self.x = flat_start(start, clip)
        self.centre = self.x.clone()
        self.velocity = torch.zeros_like(self.x)
        self.purse = Purse(n, stop)
        self.alive = np.arange(n)
        self.n_iter = np.zeros(n, dtype=np.int64)
        self.reason = np.full(n, "", dtype=object)
        self.loss = torch.full((n,), torch.nan, dtype=torch.float64)
        self.confidence = self.loss.clone()
        ruled = stop.max_loss is not None or stop.min_confidence is not None
        #: Whether rows are looked at before each step, or only at their end.
        self.looks = ruled

    def result(self) -> AttackResult:
        """Walk to the end."""
        for k in range(self.stop.max_iter + 1):
            if self.looks:
                self._look(self.alive)
                self._rule()
            if k == self.stop.max_iter:
                self._finish(np.ones(len(self.alive), dtype=bool), "max_iter")
            # One is kept for the look after the step.
            cost = self.estimator.n_asked + 1
            self._finish(~self.purse.affords(self.alive, cost), "max_queries")
            if not len(self.alive):
                break
            self._step(k)
        if not self.looks:
            self._look(np.arange(len(self.start)))
        return AttackResult(
            adversarial=shaped(self.x, self.start),
            n_iter=self.n_iter,
            stop_reason=self.reason.astype(str),
            loss=self.loss.numpy(),
            confidence=self.confidence.numpy(),
            n_queries=self.purse.spent,
        )

    def _aim(self, rows: Tensor) -> Target:
        return Target(codes=self.codes[rows], targeted=self.targeted)

    def _look(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Ask where rows are."""
        if not len(rows):
            return
        places = torch.from_numpy(rows)
        found = ask(self.model, self.x[places], self._aim(places), self.loss_name)
        self.purse.pay(rows)
        # A loss that is no number keeps the last one that was.
        known = torch.isfinite(found.loss)
        self.loss[places[known]] = found.loss[known]
        self.confidence[places[known]] = found.confidence[known]
        if self.looks:
            self._finish(~known.numpy(), "diverged")

    def _rule(self) -> None:
        """Stop rows that meet the rule."""
        if self.stop.max_loss is not None:
            here = self.loss[torch.from_numpy(self.alive)]
            self._finish((here <= self.stop.max_loss).numpy(), "max_loss")
        if self.stop.min_confidence is not None:
            here = self.confidence[torch.from_numpy(self.alive)]
            self._finish((here >= self.stop.min_confidence).numpy(), "min_confidence")

    def _finish(self, which: np.ndarray[tuple[int], np.dtype[np.bool_]], reason: str) -> None:
        """Let some of those still there leave."""
        self.reason[self.alive[which]] = reason
        self.alive = self.alive[~which]

    def _step(self, k: int) -> None:
        """Estimate, and move those rows that something moves, and not out of all bounds."""
        rows = torch.from_numpy(self.alive)
        x = self.x[rows]
        gradient = self.estimator(
            x,
            self._aim(rows),
            [self.sources[row] for row in self.alive],
            self.gains.width(k),
        )
        self.purse.pay(self.alive, self.estimator.n_asked)
        velocity = self.velocity[rows] * self.gains.momentum + gradient
        new = x - (velocity.sign() if self.gains.sign else velocity) * self.gains.rate(k)
        new = self._bounded(new, self.centre[rows])
        rests = ((gradient == 0).all(dim=1) & (new == x).all(dim=1)).numpy()
        # False for NaN, too.
        fine = (new.abs().amax(dim=1) <= DIVERGED_AT).numpy()
        moves = torch.from_numpy(fine & ~rests)
        self.x[rows[moves]], self.velocity[rows[moves]] = new[moves], velocity[moves]
        self.n_iter[self.alive[fine & ~rests]] += 1
        reason = np.where(rests, "vanished_gradient", "diverged")
        self.reason[self.alive] = np.where(fine & ~rests, "", reason)
        self.alive = self.alive[fine & ~rests]

    def _bounded(self, x: Tensor, centre: Tensor) -> Tensor:
        if self.epsilon is not None:
            x = torch.minimum(torch.maximum(x, centre - self.epsilon), centre + self.epsilon)
        return x if self.clip is None else x.clamp(*self.clip)
