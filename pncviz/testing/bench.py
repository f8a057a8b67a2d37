"""An attack before a model: what each of its runs is held to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pncviz.specs import QUERIES, Attack, AttackResult, Model, Stop, Target
from pncviz.synthesis.extraction import make_streams
from pncviz.testing.probes import close
from pncviz.testing.subject import Subject, global_seed

__all__ = ["N_ROWS", "Bench"]

#: Starts of one chunk.
N_ROWS = 6


class Bench(NamedTuple):
    """An attack before one model, with starts and targets."""

    subject: Subject
    attack: Attack
    model: Model
    inside: Any
    start: Tensor
    codes: Tensor

    def run(
        self,
        rows: Sequence[int],
        max_iter: int,
        seed: int,
        *,
        targeted: bool = True,
        max_queries: int | None = None,
    ) -> AttackResult:
        """Run some rows, each with its own generator, under a global seed that must not matter."""
        streams = make_streams(0, range(N_ROWS))
        rngs = [streams(row, 0) for row in rows]
        start = self.start[list(rows)]
        target = Target(codes=self.codes[list(rows)], targeted=targeted)
        kept = start.clone()
        with (
            self.model.session(),
            global_seed(seed, self.subject),
            self.subject.trying(f"run on {type(self.model).__name__}"),
        ):
            before = _state(self.inside)
            asked = getattr(self.model, "n_queries", 0)
            stop = Stop(max_iter=max_iter, max_queries=max_queries)
            result = self.attack.run(self.model, start, target, stop, rngs)
            asked = getattr(self.model, "n_queries", 0) - asked
            after = _state(self.inside)
        self.subject.require(torch.equal(start, kept), "leave its start as it is", "a change")
        same = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        self.subject.require(same, "leave weights and training flags as they are", "a change")
        self.check_result(result, rows, max_iter, targeted)
        if self.attack.needs <= QUERIES and result.n_queries is not None:
            self.check_queries(result, asked, max_queries)
        return result

    def check_queries(self, result: AttackResult, asked: int, limit: int | None) -> None:
        """Check what an attack that counts its questions says of them."""
        told = np.asarray(result.n_queries)
        n = int(told.sum())
        self.subject.require(n == asked, f"declare its queries ({asked}) in `n_queries`", n)
        least = limit is None or told.max() <= limit
        self.subject.require(least, f"ask at most max_queries={limit} times for a row", told)

    def check_result(
        self, result: AttackResult, rows: Sequence[int], max_iter: int, targeted: bool
    ) -> None:
        """Check shapes, types and values of one result."""
        require, n = self.subject.require, len(rows)
        require(isinstance(result, AttackResult), "give an AttackResult", type(result).__name__)
        adversarial = result.adversarial
        tensor = isinstance(adversarial, Tensor)
        require(tensor, "give adversarial examples as a tensor", type(adversarial).__name__)
        shape, came = (n, *self.model.input_shape), tuple(adversarial.shape)
        require(came == shape, f"give adversarial examples of shape {shape}", came)
        finite = bool(torch.isfinite(adversarial).all())
        require(finite, "give finite adversarial examples", "NaN or infinity")
        for name, kinds in (
            ("n_iter", "iu"),
            ("stop_reason", "UO"),
            ("loss", "f"),
            ("confidence", "f"),
        ):
            value = np.asarray(getattr(result, name))
            require(value.shape == (n,), f"give `{name}` of shape ({n},)", value.shape)
            require(value.dtype.kind in kinds, f"give `{name}` of its type", value.dtype)
        words = all(isinstance(word, str) and word for word in result.stop_reason.tolist())
        require(words, "give a word as each `stop_reason`", result.stop_reason)
        counted = (result.n_iter >= 0).all() and (result.n_iter <= max_iter).all()
        require(counted, f"make at most max_iter={max_iter} updates", result.n_iter)
        require(np.isfinite(result.loss).all(), "give a finite loss", result.loss)
        declared = self.confidence(adversarial, rows, targeted)
        what = "the target's probability" if targeted else "1 minus the unit's probability"
        require(
            close(declared, result.confidence),
            f"declare as `confidence` {what} at the adversarial example ({np.round(declared, 5)})",
            result.confidence,
        )
        clip = getattr(self.attack, "clip", None)
        if clip is not None:
            reach = float(adversarial.min()), float(adversarial.max())
            # The bounds as the model's precision has them.
            low, high = (float(torch.tensor(end, dtype=adversarial.dtype)) for end in clip)
            bound = low <= reach[0] and reach[1] <= high
            require(bound, f"stay within clip={clip}", reach)

    def confidence(
        self, x: Tensor, rows: Sequence[int], targeted: bool = True
    ) -> NDArray[np.float64]:
        """Ask the model how sure it is of what each row was to reach, or to leave."""
        with self.model.session(), torch.no_grad():
            shares = self.model.probabilities(x).double().cpu()
        share = shares.gather(1, self.codes[list(rows), None])[:, 0].numpy()
        return share if targeted else 1 - share

    def units(self, x: Tensor) -> NDArray[np.int64]:
        """Ask the model what it calls each row."""
        with self.model.session(), torch.no_grad():
            return self.model.labels(x).cpu().numpy()


def _state(inside: Any) -> list[Tensor]:
    """Copy what an attack must not touch: weights, buffers, training and gradient flags."""
    if not isinstance(inside, nn.Module):
        return [torch.tensor(inside.coef_), torch.tensor(inside.intercept_)]
    flags = [part.training for part in inside.modules()]
    flags += [weight.requires_grad for weight in inside.parameters()]
    return [*(value.clone() for value in inside.state_dict().values()), torch.tensor(flags)]
