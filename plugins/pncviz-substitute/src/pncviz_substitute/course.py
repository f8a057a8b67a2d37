"""The rounds: ask, learn, step, and ask again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pncviz.specs import Model
from pncviz.synthesis import in_batches
from pncviz_substitute.augmentation import jacobian_step, reservoir, signed_step
from pncviz_substitute.history import Round
from pncviz_substitute.learning import learnt, substitute_model
from pncviz_substitute.oracle import Answers, Oracle

__all__ = ["Course", "Spent"]


@dataclass
class Spent:
    """What has been asked, and what was made of it.

    Attributes
    ----------
    oracle : Oracle
    X : float32 ndarray of shape (n_queries, ...)
    answers : Answers
    substitutes : list of fitted estimators
        One for each round.
    rounds : list of dict
    """

    oracle: Oracle
    X: NDArray[np.float32]
    answers: Answers
    substitutes: list[Any] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)

    @staticmethod
    def shares(
        model: Model, place: NDArray[np.int64], X: NDArray[np.float32], n_classes: int
    ) -> NDArray[np.float64]:
        """Give probabilities of all classes, 0 for those that the substitute has no unit for."""
        found = np.zeros((len(X), n_classes))

        def work(rows: range) -> None:
            part = slice(rows.start, rows.stop)
            shares = model.probabilities(model.tensor(X[part].copy())).double().cpu().numpy()
            found[part, place[place >= 0]] = shares[:, place >= 0]

        with model.session(), torch.no_grad():
            in_batches(model, len(X), work)
        return found


@dataclass(frozen=True, kw_only=True)
class Course:
    """How the target is asked; see :class:`~pncviz_substitute.SubstituteClassifier`."""

    oracle: Oracle
    estimator: Any
    n_rounds: int
    step: float
    period: int | None
    reservoir: int | None
    reservoir_after: int
    max_queries: int | None
    clip: tuple[float, float] | None
    image_shape: tuple[int, ...] | None
    seed: int

    def run(
        self,
        starts: NDArray[np.float32],
        rng: np.random.Generator,
        held_out: NDArray[np.float32] | None = None,
    ) -> Spent:
        """Go through the rounds, until they or the queries are used up."""
        truth = None
        if held_out is not None:
            truth = self.oracle.ask(held_out).codes
            self.oracle.n_queries = 0  # the experimenter's, not the attacker's
        if self.clip is not None:
            starts = starts.clip(*self.clip)
        first = self._within_budget(starts, 0, rng)
        spent = Spent(self.oracle, first, self.oracle.ask(first))
        self._learn(spent, held_out, truth, step=np.nan, foreseen=np.nan)
        for number in range(1, self.n_rounds + 1):
            step = signed_step(self.step, number, self.period)
            new = self._within_budget(self._stepped(spent, number, step, rng), len(spent.X), rng)
            if not len(new):
                break
            answers = self.oracle.ask(new)
            foreseen = _same(self._codes(spent, new), answers.codes)
            spent.X = np.concatenate([spent.X, new])
            spent.answers = spent.answers + answers
            self._learn(spent, held_out, truth, step=step, foreseen=foreseen)
        return spent

    def _stepped(
        self, spent: Spent, number: int, step: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Make a round's new inputs out of those asked before."""
        rows = np.arange(len(spent.X))
        if self.reservoir is not None and number > self.reservoir_after:
            rows = reservoir(len(spent.X), self.reservoir, rng)
        model, place = self._model(spent)
        unit_of = np.full(len(self.oracle.classes), -1)
        unit_of[place[place >= 0]] = np.flatnonzero(place >= 0)
        units = unit_of[spent.answers.codes[rows]]
        return jacobian_step(model, spent.X[rows], units, step, self.clip)

    def _within_budget(
        self, X: NDArray[np.float32], used: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Leave out, at random, what would be too much."""
        if self.max_queries is None or used + len(X) <= self.max_queries:
            return X
        return X[reservoir(len(X), self.max_queries - used, rng)]

    def _learn(
        self,
        spent: Spent,
        held_out: NDArray[np.float32] | None,
        truth: NDArray[np.int64] | None,
        *,
        step: float,
        foreseen: float,
    ) -> None:
        net = learnt(
            self.estimator,
            spent.X,
            spent.answers,
            len(self.oracle.classes),
            image_shape=self.image_shape,
            seed=self.seed,
        )
        spent.substitutes.append(net)
        agreement = np.nan
        if held_out is not None and truth is not None:
            agreement = _same(self._codes(spent, held_out), truth)
        spent.rounds.append(
            {
                "n_queries": len(spent.X),
                "step": step,
                "learnt": _same(self._codes(spent, spent.X), spent.answers.codes),
                "foreseen": foreseen,
                "agreement": agreement,
                "n_seen": len(np.unique(spent.answers.codes)),
            }
        )

    def _model(self, spent: Spent) -> tuple[Model, NDArray[np.int64]]:
        return substitute_model(
            spent.substitutes[-1], self.oracle.input_shape, len(self.oracle.classes)
        )

    def _codes(self, spent: Spent, X: NDArray[np.float32]) -> NDArray[np.int64]:
        """Say what the last substitute calls inputs."""
        found = Spent.shares(*self._model(spent), X, len(self.oracle.classes))
        codes: NDArray[np.int64] = found.argmax(axis=1)
        return codes


def _same(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    return float(np.mean(a == b))
