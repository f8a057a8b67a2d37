"""Patterns against the paper's way, a plain loop, three libraries, and the bare arithmetic.

``python -m benchmarks.speed.patterns``
"""

import statistics
import warnings
from dataclasses import dataclass, field

import numpy as np
import torch

from benchmarks.speed.limits import bare
from benchmarks.speed.rivals import PLAIN, RIVALS, available
from benchmarks.speed.timing import in_turn, quotient
from pncviz import extract_patterns, make_attack, make_classifier, make_strategy
from pncviz.exceptions import PatternWarning
from pncviz.models import TorchModel
from pncviz.specs import Stop, Target

OURS, ATTACK, LIMIT = "pncviz", "its descent alone", "bare arithmetic"
BEST = "best of the libraries"


@dataclass
class Work:
    """One row of the table: so many inputs of a network, for so many iterations."""

    name: str
    architecture: str
    n: int
    n_iter: int = 1000
    rivals: tuple = ("plain batched",)
    #: Against whom, and how many times faster at least; or of the limit, how many times at most.
    reach: dict = field(default_factory=dict)
    n_classes: int = 10
    side: int = 28
    limit_of: str = OURS


WORKS = (
    Work(
        "FC, 10 patterns, 1000 iterations",
        "fc",
        10,
        rivals=("one at a time", "plain batched", *RIVALS),
        reach={BEST: 8, "one at a time": 40},
    ),
    Work(
        "FC, 300 ADEs, 1000 iterations",
        "fc",
        300,
        rivals=("plain batched", *RIVALS),
        reach={BEST: 6, LIMIT: 2},
    ),
    Work("FC, 10 000 ADEs, 1000 iterations", "fc", 10_000, reach={"plain batched": 4.5}),
    Work(
        "CNN [128, 256; 512, 256], 10 patterns, 200 iterations",
        "cnn",
        10,
        n_iter=200,
        rivals=("plain batched", *RIVALS),
        reach={"plain batched": 1.3},
    ),
    Work(
        "CNN [128, 256; 512, 256], 100 ADEs, 20 iterations",
        "cnn",
        100,
        n_iter=20,
        reach={LIMIT: 2},
    ),
)


def network(work):
    """An untrained net: what it has learned does not matter for its speed."""
    torch.manual_seed(0)
    shape = (1, work.side, work.side) if work.architecture == "cnn" else (work.side**2,)
    net = make_classifier(work.architecture).set_params(
        module__input_shape=shape,
        module__n_classes=work.n_classes,
        classes=list(range(work.n_classes)),
    )
    return net.initialize(), shape


def measure(work, repeats=5):
    """Time one row; gives seconds by who did it."""
    net, shape = network(work)
    codes = torch.arange(work.n) % work.n_classes
    start = torch.zeros(work.n, *shape)
    strategy = "zero"
    if work.n > work.n_classes:
        strategy = make_strategy("aai", n_examples=work.n // work.n_classes)
        start = torch.from_numpy(np.random.default_rng(0).normal(size=start.shape)).float()
    model = TorchModel(net.module_, input_shape=shape)
    attack, stop = make_attack("gradient_descent"), Stop(max_iter=work.n_iter)

    def ours():
        return extract_patterns(
            net, input_shape=shape, strategy=strategy, max_iter=work.n_iter, random_state=0
        )

    def descent():
        with model.session():
            for rows in torch.split(torch.arange(work.n), model.batch_size):
                attack.run(model, start[rows], Target(codes=codes[rows]), stop, [])

    works = {OURS: ours, ATTACK: descent}
    known = set(PLAIN) | set(available())
    for name in work.rivals:
        if name in known:
            prepare = (PLAIN | RIVALS)[name]
            run = prepare(net.module_, work.n_iter, shape, work.n_classes)
            works[name] = lambda run=run: run(start, codes)
    works |= limits(work, net.module_, shape, model.batch_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)  # the net is not trained
        return in_turn(works, repeats)


def limits(work, module, shape, batch_size):
    """The products of the form used, in batches as large as ours; of two memory layouts both."""
    n = min(work.n, batch_size)
    rounds = work.n / n
    if work.architecture == "fc":
        return {LIMIT: bare(module, n, round(rounds * work.n_iter), "first_layer", shape)}
    formats = {"last": torch.channels_last, "first": torch.contiguous_format}
    return {
        f"{LIMIT}, channels {name}": bare(
            module, n, round(rounds * work.n_iter), "direct", shape, memory_format
        )
        for name, memory_format in formats.items()
    }


def summed_up(seconds):
    """Add the best library and the smallest limit, round by round; gives seconds by who."""
    libraries = [seconds[name] for name in RIVALS if name in seconds]
    if libraries:
        medians = [statistics.median(values) for values in libraries]
        seconds[BEST] = libraries[medians.index(min(medians))]
    formats = [name for name in seconds if name.startswith(f"{LIMIT},")]
    if formats:
        best = min(formats, key=lambda name: statistics.median(seconds[name]))
        seconds[LIMIT] = seconds[best]
    return seconds


def row(work, seconds):
    """Give a row as a dictionary: medians, and how often faster than each (the limit: slower)."""
    seconds = summed_up(seconds)
    others = [name for name in seconds if name not in (OURS, ATTACK, LIMIT)]
    return {
        "work": work.name,
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "faster": {
            mine: {name: quotient(seconds, name, mine) for name in others}
            for mine in (OURS, ATTACK)
        },
        "of the limit": {mine: quotient(seconds, mine, LIMIT) for mine in (OURS, ATTACK)},
        "reach": work.reach,
    }


def verdicts(found):
    """Give (against, wanted, descent's, whole's, whether) for what a row should reach.

    The rivals are given a wrapped model and starts, and give adversarial examples back: so does
    the descent alone, which is what is held to the mark. The whole makes models, starts, checks
    and a dataset besides.
    """
    for against, wanted in found["reach"].items():
        if against == LIMIT:
            mine = found["of the limit"]
            yield "the bare arithmetic", f"at most {wanted} ×", mine, mine[ATTACK] <= wanted
        elif against in found["faster"][ATTACK]:
            mine = {name: found["faster"][name][against] for name in (ATTACK, OURS)}
            yield against, f"at least {wanted} × faster", mine, mine[ATTACK] >= wanted


def main():
    for work in WORKS:
        found = row(work, measure(work))
        print(f"\n{work.name}")
        for name, value in found["seconds"].items():
            print(f"  {name:32s} {value:8.3f} s")
        for against, wanted, mine, good in verdicts(found):
            print(
                f"  {'ok   ' if good else 'SHORT'} against {against}: {mine[ATTACK]:.2f}, "
                f"the whole {mine[OURS]:.2f} ({wanted})"
            )


if __name__ == "__main__":
    main()
