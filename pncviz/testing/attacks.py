"""What an attack must keep to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from pncviz.models import ProbabilityModel, QueriedModel, TiledModel, TorchModel
from pncviz.specs import NEEDS, QUERIES, Attack, AttackResult, AttackSpec, Model
from pncviz.testing.bench import N_ROWS, Bench
from pncviz.testing.probes import (
    N_CLASSES,
    SHAPES,
    close,
    samples,
    small_net,
    small_table_classifier,
    told_samples,
)
from pncviz.testing.subject import Subject, check_part, make

__all__ = ["check_attack"]

#: Queries allowed for each row, of attacks that only ask.
LIMITS = (1, 7, 60)

_MODES = frozenset({"targeted", "untargeted"})


def check_attack(
    attack: str | AttackSpec | Attack | Callable[..., Attack], *, max_iter: int = 30
) -> None:
    """Hold an attack to its contract.

    It must clone, print and pickle; know what it needs; give a whole ``AttackResult`` whose
    confidence is the model's own; obey ``Stop.max_iter``; leave start and model as they are; treat
    each row as if it were alone, by its own generator; and bring most rows nearer to their target,
    or farther from the unit that they are to leave. With ``deterministic=True`` a row must keep
    its bits. With a parameter ``clip`` it is also held to bounds. If it needs probabilities or
    labels alone and says how often it asked, that must be so, and at most ``Stop.max_queries``.

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


def _bench(subject: Subject, attack: Attack, model: Model, inside: Any) -> Bench:
    shape = model.input_shape
    # Classes that the model can tell: an attack may learn from them where it is to go.
    module = isinstance(inside, nn.Module)
    X, y = told_samples(inside, shape) if module else samples(shape)
    attack = clone(attack)
    if attack.needs <= QUERIES:
        model = QueriedModel(model)
    with subject.trying("prepare(X, y) with read-only X and y"):
        attack.prepare(X, y)
    start = model.tensor(np.random.default_rng(1).normal(size=(N_ROWS, *model.input_shape)))
    return Bench(subject, attack, model, inside, start, torch.arange(N_ROWS) % N_CLASSES)


def _check_on(bench: Bench, max_iter: int) -> None:
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
        if bench.attack.needs <= QUERIES and result.n_queries is not None:
            for limit in LIMITS:
                bench.run(range(N_ROWS), max_iter, seed=3, targeted=targeted, max_queries=limit)


def _check_apart(bench: Bench, result: AttackResult, max_iter: int, targeted: bool) -> None:
    """Check that no row depends on the others."""
    for row in range(N_ROWS):
        alone = bench.run([row], max_iter, seed=2, targeted=targeted)
        apart = float((alone.adversarial[0] - result.adversarial[row]).abs().max())
        bench.subject.require(
            close(alone.adversarial[0], result.adversarial[row]),
            "treat a row alone as it does together with others",
            f"a difference of {apart:.3g}",
        )


def _check_bits(bench: Bench, max_iter: int) -> None:
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


def _check_nearer(bench: Bench, result: AttackResult, max_iter: int, targeted: bool) -> None:
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
