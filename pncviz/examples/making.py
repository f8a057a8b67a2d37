"""The making of examples: batch by batch, judged as they are handed over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.examples.aims import Aim
from pncviz.examples.checks import checked_pieces
from pncviz.examples.pixels import returned, returned_dtype
from pncviz.specs import Attack, Model, Stop, Target
from pncviz.synthesis import in_batches, make_streams, run_attack, unchanged

__all__ = ["Maker", "Record"]


class Record:
    """What became of each sample: one array per thing known, units instead of labels."""

    def __init__(self, n: int) -> None:
        self.original, self.code, self.unit, self.n_iter = np.zeros((4, n), dtype=np.int64)
        self.confidence, self.loss, self.l2, self.linf = np.zeros((4, n))
        self.stop_reason = np.full(n, "", dtype=object)  # words of any length
        self.n_queries = np.full(n, -1)  # of attacks that say it

    def write(self, rows: range, **values: Any) -> None:
        """Keep the values of these rows."""
        for name, value in values.items():
            getattr(self, name)[rows.start : rows.stop] = value

    def hits(self, targeted: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Say which samples were what was wanted, and which examples are."""
        before, after = self.original == self.code, self.unit == self.code
        return (before, after) if targeted else (~before, ~after)


@dataclass(frozen=True, kw_only=True)
class Maker:
    """An attack, the model that it works on, and the one that judges what comes of it.

    The attack is prepared, and knows the dtype. Both models are of one estimator; ``judge`` is as
    the user's own predictions are made, also where the attack computes in another precision.
    """

    attack: Attack
    model: Model
    judge: Model
    stop: Stop
    seed: int
    deterministic: bool = False
    progress: Callable[[int], object] | None = None

    def make(self, X: Any, own: NDArray[np.int64] | None, aim: Aim, out: Any) -> Record:
        """Make an example of each sample.

        Parameters
        ----------
        X : ndarray, memory-mapped or dask array of shape (n_samples, ...)
            Taken piece by piece.
        own : int64 ndarray of shape (n_samples,) or None
            The unit of each true class; None for the model's own predictions.
        aim : Aim
        out : array or the like
            Examples are written to it, ``out[first:last] = examples``.

        Returns
        -------
        Record
        """
        record = Record(len(X))
        with ExitStack() as stack:
            stack.enter_context(self.model.session())
            if self.judge is not self.model:
                stack.enter_context(self.judge.session())
            stack.enter_context(unchanged(self.model, self.attack))
            for first, piece in checked_pieces(X):
                batch = _Batch(self, own, aim, out, record, piece, first)
                in_batches(self.model, len(piece), batch.make)
        return record


@dataclass(frozen=True)
class _Batch:
    """One piece of the samples, worked on a batch at a time."""

    maker: Maker
    own: NDArray[np.int64] | None
    aim: Aim
    out: Any
    record: Record
    piece: NDArray[Any]
    first: int

    def make(self, batch: range) -> None:
        """Attack these rows of the piece; may be called again for some, if memory runs out."""
        maker, aim = self.maker, self.aim
        x = np.array(self.piece[batch.start : batch.stop])  # a copy: models may share memory
        rows = range(self.first + batch.start, self.first + batch.stop)
        streams = make_streams(maker.seed, range(rows.stop))
        original, share = _answers(maker.judge, x)
        own = original if self.own is None else self.own[rows.start : rows.stop]
        code = aim.choose(rows, own, np.exp(share), lambda row: streams(row, 1))
        start = maker.model.tensor(x)
        codes = torch.as_tensor(code, device=start.device)
        target = Target(codes=codes, targeted=aim.targeted)
        rngs = [streams(row, 0) for row in rows]
        result = run_attack(maker.model, maker.attack, start, target, maker.stop, rngs)
        dtype = returned_dtype(x.dtype)
        made = returned(result.adversarial, start, x, maker.attack, dtype)
        unit, share = _answers(maker.judge, made)
        mine = np.take_along_axis(share, code[:, None], axis=1)[:, 0]
        reason = result.stop_reason
        if dtype.kind in "iu":
            undone = (reason == "changed") & ((unit == code) != aim.targeted)
            reason = np.where(undone, "rounded_away", reason)
        change = made.reshape(len(x), -1).astype(np.float64) - x.reshape(len(x), -1)
        self.record.write(
            rows,
            original=original,
            code=code,
            unit=unit,
            n_iter=result.n_iter,
            stop_reason=reason,
            confidence=np.exp(mine) if aim.targeted else -np.expm1(mine),
            loss=-mine if aim.targeted else mine,
            l2=np.linalg.norm(change, axis=1),
            linf=np.abs(change).max(axis=1),
        )
        if result.n_queries is not None:
            self.record.write(rows, n_queries=result.n_queries)
        self.out[rows.start : rows.stop] = made
        if maker.progress is not None:
            maker.progress(len(rows))


def _answers(model: Model, x: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ask a model about samples: the unit that each is taken for, and log-probabilities."""
    inputs: Tensor = model.tensor(x.copy())
    with torch.no_grad():
        logits = model.logits(inputs)
        # One pass tells both, where the label is the likeliest unit; of an SVM it need not be.
        both = getattr(model, "labels_by_logits", False)
        units = logits.argmax(dim=1) if both else model.labels(inputs)
        share = logits.double().log_softmax(dim=1)
    return units.cpu().numpy(), share.cpu().numpy()
