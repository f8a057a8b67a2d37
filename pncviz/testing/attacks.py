"""What an attack must keep to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor, nn

from pncviz.models import ProbabilityModel, TiledModel, TorchModel
from pncviz.specs import NEEDS, Attack, AttackResult, AttackSpec, Model, Stop, Target
from pncviz.synthesis.extraction import make_streams
from pncviz.testing.probes import (
    N_CLASSES,
    SHAPES,
    close,
    samples,
    small_net,
    small_table_classifier,
    told_samples,
)
from pncviz.testing.subject import Subject, check_part, global_seed, make

__all__ = ["check_attack"]

#: Starts of one chunk.
N_ROWS = 6

_MODES = frozenset({"targeted", "untargeted"})


class _Bench(NamedTuple):
    """An attack before one model, with starts and targets."""

    subject: Subject
    attack: Attack
    model: Model
    inside: Any
    start: Tensor
    codes: Tensor

    def run(
        self, rows: Sequence[int], max_iter: int, seed: int, *, targeted: bool = True
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
            result = self.attack.run(self.model, start, target, Stop(max_iter=max_iter), rngs)
            after = _state(self.inside)
        self.subject.require(torch.equal(start, kept), "leave its start as it is", "a change")
        same = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        self.subject.require(same, "leave weights and training flags as they are", "a change")
        self.check_result(result, rows, max_iter, targeted)
        return result

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


def check_attack(
    attack: str | AttackSpec | Attack | Callable[..., Attack], *, max_iter: int = 30
) -> None:
    """Hold an attack to its contract.

    It must clone, print and pickle; know what it needs; give a whole ``AttackResult`` whose
    confidence is the model's own; obey ``Stop.max_iter``; leave start and model as they are; treat
    each row as if it were alone, by its own generator; and bring most rows nearer to their target,
    or farther from the unit that they are to leave. With ``deterministic=True`` a row must keep
    its bits. With a parameter ``clip`` it is also held to
    bounds.
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
    known = isinstance(part.modes, frozenset | set) and bool(part.modes) and part.modes <= _MODES
    subject.require(known, f"have `modes`, a set of some of {sorted(_MODES)}", part.modes)
    for shape in SHAPES:
        net = small_net(shape)
        model = TorchModel(net, input_shape=shape)
        _check_on(_bench(subject, part, model, net), max_iter)
        _check_bits(_bench(subject, part, TiledModel(model), net), max_iter)
    if "clip" in part.get_params():
        bounded = clone(part).set_params(clip=(-0.5, 0.5))
        net = small_net(SHAPES[0])
        bench = _bench(subject, bounded, TorchModel(net, input_shape=SHAPES[0]), net)
        for mode in sorted(part.modes):
            bench.run(range(N_ROWS), max_iter, seed=4, targeted=mode == "targeted")
    if not part.needs & {"gradients", "layers"}:
        classifier = small_table_classifier()
        box = ProbabilityModel(classifier, input_shape=SHAPES[1])
        _check_on(_bench(subject, part, box, classifier), max_iter)


def _bench(subject: Subject, attack: Attack, model: Model, inside: Any) -> _Bench:
    shape = model.input_shape
    # Classes that the model can tell: an attack may learn from them where it is to go.
    module = isinstance(inside, nn.Module)
    X, y = told_samples(inside, shape) if module else samples(shape)
    attack = clone(attack)
    with subject.trying("prepare(X, y) with read-only X and y"):
        attack.prepare(X, y)
    start = model.tensor(np.random.default_rng(1).normal(size=(N_ROWS, *model.input_shape)))
    return _Bench(subject, attack, model, inside, start, torch.arange(N_ROWS) % N_CLASSES)


def _check_on(bench: _Bench, max_iter: int) -> None:
    """Check the runs of one attack on one model, in each of its modes."""
    for mode in sorted(bench.attack.modes):
        targeted = mode == "targeted"
        result = bench.run(range(N_ROWS), max_iter, seed=0, targeted=targeted)
        again = bench.run(range(N_ROWS), max_iter, seed=1, targeted=targeted)
        same = torch.equal(result.adversarial, again.adversarial)
        bench.subject.require(same, "give the same result for the same generators", f"two, {mode}")
        _check_apart(bench, result, max_iter, targeted)
        _check_nearer(bench, result, max_iter, targeted)
        bench.run(range(N_ROWS), 1, seed=3, targeted=targeted)


def _check_apart(bench: _Bench, result: AttackResult, max_iter: int, targeted: bool) -> None:
    """Check that no row depends on the others."""
    for row in range(N_ROWS):
        alone = bench.run([row], max_iter, seed=2, targeted=targeted)
        apart = float((alone.adversarial[0] - result.adversarial[row]).abs().max())
        bench.subject.require(
            close(alone.adversarial[0], result.adversarial[row]),
            "treat a row alone as it does together with others",
            f"a difference of {apart:.3g}",
        )


def _check_bits(bench: _Bench, max_iter: int) -> None:
    """Check that in deterministic mode a row alone has the same bits as among others."""
    targeted = "targeted" in bench.attack.modes
    result = bench.run(range(N_ROWS), max_iter, seed=5, targeted=targeted)
    for row in (0, N_ROWS - 1):
        alone = bench.run([row], max_iter, seed=6, targeted=targeted)
        bench.subject.require(
            torch.equal(alone.adversarial[0], result.adversarial[row]),
            "keep a row's bits, whatever the others, with deterministic=True (operations on each "
            "row for itself; sums over rows by the model alone)",
            "other bits",
        )


def _check_nearer(bench: _Bench, result: AttackResult, max_iter: int, targeted: bool) -> None:
    """Check that most rows that have a way to go have gone some of it."""
    rows = range(N_ROWS)
    before = bench.confidence(bench.start, rows, targeted)
    after = bench.confidence(result.adversarial, rows, targeted)
    units = bench.units(bench.start)
    # An attack may well leave alone what is as asked already.
    there = (units == bench.codes.numpy()) == targeted
    nearer = (after > before) | there
    bench.subject.require(
        nearer.mean() > 0.5,
        f"bring most rows {'nearer to' if targeted else 'farther from'} their unit in {max_iter} "
        "iterations",
        f"{int(nearer.sum())} of {N_ROWS}",
    )


def _state(inside: Any) -> list[Tensor]:
    """Copy what an attack must not touch: weights, buffers, training and gradient flags."""
    if not isinstance(inside, nn.Module):
        return [torch.tensor(inside.coef_), torch.tensor(inside.intercept_)]
    flags = [part.training for part in inside.modules()]
    flags += [weight.requires_grad for weight in inside.parameters()]
    return [*(value.clone() for value in inside.state_dict().values()), torch.tensor(flags)]
