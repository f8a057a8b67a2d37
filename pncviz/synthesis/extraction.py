"""From a strategy and an attack to one pattern per target, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.specs import (
    Attack,
    AttackResult,
    Extraction,
    Model,
    Stop,
    Strategy,
    Streams,
    Target,
)
from pncviz.synthesis.batching import in_batches
from pncviz.synthesis.checks import (
    blame,
    check_abstraction,
    check_result,
    check_strategy,
    checked_starts,
    unchanged,
)
from pncviz.synthesis.tally import Tally

__all__ = ["extract", "make_streams", "run_attack"]


def make_streams(seed: int, positions: Sequence[int]) -> Streams:
    """Give the random generator of each example, by counter.

    Parameters
    ----------
    seed : int
    positions : sequence of int
        Each target's place among the model's classes, so that a stream does not depend on which
        other classes are asked for.

    Examples
    --------
    >>> few, many = make_streams(0, [2]), make_streams(0, [0, 1, 2])
    >>> bool(few(0, 7).normal() == many(2, 7).normal())
    True
    """
    return _Streams(seed, positions)


class _Streams:
    """Generators by counter: 2^64 numbers apart, however many are drawn of each."""

    def __init__(self, seed: int, positions: Sequence[int]) -> None:
        self._key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
        self._positions = positions

    def __call__(self, row: int, example: int) -> np.random.Generator:
        return self._at(0, self._positions[row], example)

    def shared(self, index: int) -> np.random.Generator:
        return self._at(1, 0, index)

    def _at(self, *place: int) -> np.random.Generator:
        counter = np.array([0, *place], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=self._key, counter=counter))


def extract(
    strategy: Strategy,
    model: Model,
    attack: Attack,
    targets: NDArray[np.int64],
    stop: Stop,
    streams: Streams,
    *,
    image_shape: tuple[int, ...],
    n_blocks: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Extraction:
    """Run start, attack, abstract, reduce for each target.

    Examples are made ``model.batch_size`` at a time and added up in float64 in a fixed order, so
    memory and sums do not depend on how many there are or how they were batched.

    Parameters
    ----------
    strategy, model, attack : the three parts
    targets : int64 ndarray of shape (k,)
        Output units.
    stop : Stop
    streams : callable
        ``streams(row, example)`` gives a generator; see :func:`make_streams`.
    image_shape : tuple of int
        What starts are shaped as.
    n_blocks : int, default=0
        Keep sums over so many interleaved blocks of examples.
    progress : callable, optional
        Called with the number of examples done after each batch.

    Returns
    -------
    Extraction

    Raises
    ------
    PluginError
        The strategy or attack raised, or gave something of the wrong shape, type or value.
    ModelError
        No memory for a single input.
    """
    check_strategy(strategy, n_blocks)
    tally = Tally(len(targets), strategy.n_examples, model.input_shape, n_blocks)

    def run(jobs: range) -> None:
        _run_batch(jobs, strategy, model, attack, targets, stop, streams, image_shape, tally)
        if progress is not None:
            progress(len(jobs))

    with unchanged(model, attack, strategy):
        in_batches(model, len(targets) * strategy.n_examples, run)
    return tally.extraction(strategy, targets)


def run_attack(
    model: Model,
    attack: Attack,
    start: Tensor,
    target: Target,
    stop: Stop,
    rngs: Sequence[np.random.Generator],
) -> AttackResult:
    """Run an attack on a chunk, and hold it to its contract; parameters as of its ``run``.

    Raises
    ------
    PluginError
        The attack raised, or gave something of the wrong shape, type or value.
    """
    before = start._version
    with blame(attack, "run"):
        result = attack.run(model, start, target, stop, rngs)
    check_result(result, attack, start, before, stop)
    return result


def _run_batch(
    jobs: range,
    strategy: Strategy,
    model: Model,
    attack: Attack,
    targets: NDArray[np.int64],
    stop: Stop,
    streams: Streams,
    image_shape: tuple[int, ...],
    tally: Tally,
) -> None:
    """Make the examples of these jobs (row-major in target, example) and add them up."""
    places = [divmod(job, strategy.n_examples) for job in jobs]
    rngs = [streams(row, example) for row, example in places]
    with blame(strategy, "start"):
        starts = [np.asarray(strategy.start(image_shape, rng)) for rng in rngs]
    start = model.tensor(checked_starts(starts, strategy, image_shape))
    codes = torch.as_tensor(targets[[row for row, _ in places]], device=start.device)
    result = run_attack(model, attack, start, Target(codes=codes), stop, rngs)
    with torch.no_grad():
        units = model.labels(result.adversarial).cpu().numpy()
    with blame(strategy, "abstract"):
        # Copies: a strategy that works in place must not reach the result.
        abstraction = strategy.abstract(result.adversarial.detach().clone(), start.clone())
    check_abstraction(abstraction, strategy, start)
    abstraction = abstraction.detach().cpu()
    if abstraction.dtype == torch.bfloat16:  # numpy has none
        abstraction = abstraction.float()
    tally.add(jobs, places, abstraction.numpy(), result, units)
