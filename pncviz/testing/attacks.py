"""What an attack must keep to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor, nn

from pncviz.models import ProbabilityModel, TorchModel
from pncviz.specs import NEEDS, Attack, AttackResult, AttackSpec, Model, Stop, Target
from pncviz.synthesis.extraction import make_streams
from pncviz.testing.probes import (
    N_CLASSES,
    SHAPES,
    close,
    samples,
    small_net,
    small_table_classifier,
)
from pncviz.testing.subject import Subject, check_part, global_seed, make

__all__ = ["check_attack"]

#: Starts of one chunk.
N_ROWS = 6


class _Bench(NamedTuple):
    """An attack before one model, with starts and targets."""

    subject: Subject
    attack: Attack
    model: Model
    inside: Any
    start: Tensor
    codes: Tensor

    def run(self, rows: Sequence[int], max_iter: int, seed: int) -> AttackResult:
        """Run some rows, each with its own generator, under a global seed that must not matter."""
        streams = make_streams(0, range(N_ROWS))
        rngs = [streams(row, 0) for row in rows]
        start, target = self.start[list(rows)], Target(codes=self.codes[list(rows)])
        kept = start.clone()
        with (
            self.model.session(),
            global_seed(seed, self.subject),
            self.subject.trying(f"run on {type(self.model).__name__}"),
        ):
            before = _state(self.inside)
            result = self.attack.run(self.model, start, target, Stop(max_iter=max_iter), rngs)
            after = _state(self.inside)
        self.subject.require(torch.equal(start, kept), "leave its start as it is", "a change")
        same = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        self.subject.require(same, "leave weights and training flags as they are", "a change")
        self.check_result(result, rows, max_iter)
        return result

    def check_result(self, result: AttackResult, rows: Sequence[int], max_iter: int) -> None:
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
        declared = self.confidence(adversarial, rows)
        require(
            close(declared, result.confidence),
            "declare as `confidence` the target's probability at the adversarial example "
            f"({np.round(declared, 5)})",
            result.confidence,
        )
        clip = getattr(self.attack, "clip", None)
        if clip is not None:
            low, high = clip
            reach = float(adversarial.min()), float(adversarial.max())
            bound = low - 1e-6 <= reach[0] and reach[1] <= high + 1e-6
            require(bound, f"stay within clip={clip}", reach)

    def confidence(self, x: Tensor, rows: Sequence[int]) -> NDArray[np.float64]:
        """Ask the model for the probability of each row's target."""
        with self.model.session(), torch.no_grad():
            shares = self.model.probabilities(x).double().cpu()
        return shares.gather(1, self.codes[list(rows), None])[:, 0].numpy()


def check_attack(
    attack: str | AttackSpec | Attack | Callable[..., Attack], *, max_iter: int = 30
) -> None:
    """Hold an attack to its contract.

    It must clone, print and pickle; know what it needs; give a whole ``AttackResult`` whose
    confidence is the model's own; obey ``Stop.max_iter``; leave start and model as they are; treat
    each row as if it were alone, by its own generator; and bring most rows nearer to their target.
    It is tried on two small networks (layers "flatten", "hidden", "activation", "output") and, if
    it needs neither gradients nor layers, on a logistic regression.

    Parameters
    ----------
    attack : name, AttackSpec, Attack, or a factory without parameters
    max_iter : int, default=30
        Iterations that suffice to bring most rows nearer.

    Raises
    ------
    AssertionError
        A rule is broken; names the attack, its distribution, the rule and what came.

    Examples
    --------
    >>> from pncviz.testing import check_attack
    >>> check_attack("gradient_descent")
    """
    subject, part = make("attack", attack)
    subject.require(isinstance(part, Attack), "be a pncviz.Attack", type(part).__name__)
    check_part(subject, part)
    known = isinstance(part.needs, frozenset | set) and part.needs <= NEEDS
    subject.require(known, f"have `needs`, a set of some of {sorted(NEEDS)}", part.needs)
    for shape in SHAPES:
        net = small_net(shape)
        _check_on(_bench(subject, part, TorchModel(net, input_shape=shape), net), max_iter)
    if not part.needs & {"gradients", "layers"}:
        classifier = small_table_classifier()
        model = ProbabilityModel(classifier, input_shape=SHAPES[1])
        _check_on(_bench(subject, part, model, classifier), max_iter)


def _bench(subject: Subject, attack: Attack, model: Model, inside: Any) -> _Bench:
    X, y = samples(model.input_shape)
    attack = clone(attack)
    with subject.trying("prepare(X, y) with read-only X and y"):
        attack.prepare(X, y)
    start = model.tensor(np.random.default_rng(1).normal(size=(N_ROWS, *model.input_shape)))
    clip = getattr(attack, "clip", None)
    if clip is not None:
        start = start.clamp(*clip)
    return _Bench(subject, attack, model, inside, start, torch.arange(N_ROWS) % N_CLASSES)


def _check_on(bench: _Bench, max_iter: int) -> None:
    """Check the runs of one attack on one model."""
    rows, require = range(N_ROWS), bench.subject.require
    result = bench.run(rows, max_iter, seed=0)
    again = bench.run(rows, max_iter, seed=1)
    same = torch.equal(result.adversarial, again.adversarial)
    require(same, "give the same result for the same generators", "two that differ")
    for row in rows:
        alone = bench.run([row], max_iter, seed=2)
        apart = float((alone.adversarial[0] - result.adversarial[row]).abs().max())
        require(
            close(alone.adversarial[0], result.adversarial[row]),
            "treat a row alone as it does together with others",
            f"a difference of {apart:.3g}",
        )
    before = bench.confidence(bench.start, rows)
    nearer = bench.confidence(result.adversarial, rows) > before
    require(
        nearer.mean() > 0.5,
        f"bring most rows nearer to their target in {max_iter} iterations",
        f"{int(nearer.sum())} of {N_ROWS}",
    )
    bench.run(rows, 1, seed=3)


def _state(inside: Any) -> list[Tensor]:
    """Copy what an attack must not touch: weights, buffers, training and gradient flags."""
    if not isinstance(inside, nn.Module):
        return [torch.tensor(inside.coef_), torch.tensor(inside.intercept_)]
    flags = [part.training for part in inside.modules()]
    flags += [weight.requires_grad for weight in inside.parameters()]
    return [*(value.clone() for value in inside.state_dict().values()), torch.tensor(flags)]
