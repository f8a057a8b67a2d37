"""From a strategy and an attack to one pattern per target, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.exceptions import ParameterError, PluginError, PncvizError
from pncviz.registry import distribution_of
from pncviz.specs import (
    Attack,
    AttackResult,
    Extraction,
    Model,
    Stop,
    Strategy,
    Streams,
    Target,
    Trace,
)

__all__ = ["blame", "extract", "make_streams"]

logger = logging.getLogger("pncviz")


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
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)

    def stream(row: int, example: int) -> np.random.Generator:
        counter = np.array([0, 0, positions[row], example], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))

    return stream


@contextmanager
def blame(part: object, method: str) -> Iterator[None]:
    """Name the part whose method failed, and where it comes from."""
    try:
        yield
    except (PncvizError, KeyboardInterrupt, torch.OutOfMemoryError):
        raise
    except BaseException as error:  # a plugin may even call sys.exit
        raise PluginError(
            f"{_origin(part)} failed in {method}: {type(error).__name__}: {error}"
        ) from error


def _origin(part: object) -> str:
    return f"{type(part).__name__} ({' '.join(distribution_of(part)).strip()})"


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
    """
    _check_strategy(strategy, n_blocks)
    weights = _fingerprint(model)
    tally = _Tally(len(targets), strategy.n_examples, model.input_shape, n_blocks)
    total, first = len(targets) * strategy.n_examples, 0
    while first < total:
        jobs = range(first, min(first + model.batch_size, total))
        try:
            _run_batch(jobs, strategy, model, attack, targets, stop, streams, image_shape, tally)
        except torch.OutOfMemoryError:
            if model.batch_size == 1:
                raise
            model.batch_size = max(1, min(model.batch_size, len(jobs)) // 2)
            logger.warning("Out of memory; going on with batch_size=%d.", model.batch_size)
            continue
        first = jobs.stop
        if progress is not None:
            progress(len(jobs))
    if _fingerprint(model) != weights:
        raise PluginError(f"{_origin(attack)} or {_origin(strategy)} changed the model's weights.")
    return tally.extraction(strategy, targets, model)


def _fingerprint(model: Model) -> list[float]:
    take = getattr(model, "fingerprint", None)
    return take() if take else []


def _check_strategy(strategy: Strategy, n_blocks: int) -> None:
    n = strategy.n_examples
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ParameterError(f"`n_examples` must be a positive integer, got {n!r}.")
    if strategy.reduction not in ("sum", "mean"):
        raise ParameterError(f'`reduction` must be "sum" or "mean", got {strategy.reduction!r}.')
    if n_blocks < 0 or n_blocks > n:
        raise ParameterError(
            f"`n_blocks` must lie between 0 and the number of examples ({n}), got {n_blocks}."
        )


def _run_batch(
    jobs: range,
    strategy: Strategy,
    model: Model,
    attack: Attack,
    targets: NDArray[np.int64],
    stop: Stop,
    streams: Streams,
    image_shape: tuple[int, ...],
    tally: _Tally,
) -> None:
    """Make the examples of these jobs (row-major in target, example) and add them up."""
    places = [divmod(job, strategy.n_examples) for job in jobs]
    rngs = [streams(row, example) for row, example in places]
    with blame(strategy, "start"):
        starts = [np.asarray(strategy.start(image_shape, rng)) for rng in rngs]
    start = model.tensor(_checked_starts(starts, strategy, image_shape))
    codes = torch.as_tensor(targets[[row for row, _ in places]], device=start.device)
    before = start._version
    with blame(attack, "run"):
        result = attack.run(model, start, Target(codes=codes), stop, rngs)
    _check_result(result, attack, start, before)
    with blame(strategy, "abstract"):
        abstraction = strategy.abstract(result.adversarial, start)
    if not isinstance(abstraction, Tensor) or abstraction.shape != start.shape:
        raise PluginError(
            f"{_origin(strategy)}.abstract must give a tensor of shape {tuple(start.shape)}, got "
            f"{getattr(abstraction, 'shape', type(abstraction).__name__)}."
        )
    with torch.no_grad():
        units = model.labels(result.adversarial).cpu().numpy()
    tally.add(jobs, places, abstraction.detach().cpu().numpy(), result, units)


def _checked_starts(
    starts: list[NDArray[Any]], strategy: Strategy, shape: tuple[int, ...]
) -> NDArray[Any]:
    for start in starts:
        if start.shape != shape or start.dtype.kind not in "biuf":
            raise PluginError(
                f"{_origin(strategy)}.start must give real numbers of shape {shape}, got dtype "
                f"{start.dtype} of shape {start.shape}."
            )
        if not np.isfinite(start).all():
            raise PluginError(f"{_origin(strategy)}.start gave NaN or infinity.")
    return np.stack(starts)


def _check_result(result: object, attack: Attack, start: Tensor, version: int) -> None:
    if not isinstance(result, AttackResult):
        raise PluginError(
            f"{_origin(attack)}.run must give an AttackResult, got {type(result).__name__}."
        )
    if start._version != version:
        raise PluginError(f"{_origin(attack)}.run changed its start in place; clone it first.")
    adversarial = result.adversarial
    if not isinstance(adversarial, Tensor) or adversarial.shape != start.shape:
        raise PluginError(
            f"{_origin(attack)}.run must give adversarial examples of shape {tuple(start.shape)}, "
            f"got {getattr(adversarial, 'shape', type(adversarial).__name__)}."
        )
    if not torch.isfinite(adversarial).all():
        raise PluginError(f"{_origin(attack)}.run gave NaN or infinity.")
    for name in ("n_iter", "stop_reason", "loss", "confidence"):
        rows = np.shape(getattr(result, name))
        if rows != (len(start),):
            raise PluginError(
                f"{_origin(attack)}.run must give `{name}` of shape ({len(start)},), got {rows}."
            )


class _Tally:
    """Sums and outcomes of all examples, never the examples themselves."""

    def __init__(self, k: int, n_examples: int, shape: tuple[int, ...], n_blocks: int) -> None:
        self.k, self.n = k, n_examples
        self.total = np.zeros((k, *shape))
        self.block = np.zeros((n_blocks, k, *shape)) if n_blocks else None
        self.loss, self.confidence = np.empty(k * n_examples), np.empty(k * n_examples)
        self.n_iter, self.unit = (np.empty(k * n_examples, dtype=np.int64) for _ in range(2))
        self.reason = np.empty(k * n_examples, dtype=object)
        self.grid: NDArray[np.int64] | None = None
        self.dtype: Any = np.float32

    def add(
        self,
        jobs: range,
        places: list[tuple[int, int]],
        abstraction: NDArray[Any],
        result: AttackResult,
        units: NDArray[np.int64],
    ) -> None:
        """Add a batch, example by example: a fixed order, whatever the batch."""
        self.dtype = abstraction.dtype
        for (row, example), image in zip(places, abstraction, strict=True):
            self.total[row] += image
            if self.block is not None:
                self.block[example % len(self.block), row] += image
        here = slice(jobs.start, jobs.stop)
        self.loss[here], self.confidence[here] = result.loss, result.confidence
        self.n_iter[here], self.reason[here] = result.n_iter, result.stop_reason
        self.unit[here] = units
        if result.trace is not None:
            self._add_trace(places, result.trace)

    def _add_trace(self, places: list[tuple[int, int]], trace: Trace) -> None:
        if self.grid is None:
            self.grid = trace.iteration
            self.traced = np.zeros((2, self.k, len(self.grid)))
            self.counted = np.zeros((self.k, len(self.grid)))
        for (row, _), loss, confidence in zip(places, trace.loss, trace.confidence, strict=True):
            present = ~np.isnan(loss)
            self.counted[row] += present
            self.traced[0, row, present] += loss[present]
            self.traced[1, row, present] += confidence[present]

    def extraction(
        self, strategy: Strategy, targets: NDArray[np.int64], model: Model
    ) -> Extraction:
        """Reduce: sums or means of patterns; mean, mean, max and mode of outcomes."""
        divisor = self.n if strategy.reduction == "mean" else 1
        per_target = {
            name: getattr(self, name).reshape(self.k, self.n)
            for name in ("loss", "confidence", "n_iter", "unit", "reason")
        }
        n_block = None
        if self.block is not None:
            n_block = np.bincount(np.arange(self.n) % len(self.block), minlength=len(self.block))
        return Extraction(
            pattern=(self.total / divisor).astype(self.dtype),
            loss=per_target["loss"].mean(axis=1),
            confidence=per_target["confidence"].mean(axis=1),
            n_iter=per_target["n_iter"].max(axis=1),
            unit=np.array([_mode(row) for row in per_target["unit"]], dtype=np.int64),
            stop_reason=np.array([_mode(row) for row in per_target["reason"]], dtype=str),
            success_rate=(per_target["unit"] == targets[:, None]).mean(axis=1),
            trace=self._trace(),
            block=None if self.block is None else self.block.astype(self.dtype),
            n_block=n_block,
        )

    def _trace(self) -> Trace | None:
        if self.grid is None:
            return None
        empty = self.counted == 0
        means = np.where(empty, np.nan, self.traced / np.where(empty, 1, self.counted))
        return Trace(iteration=self.grid, loss=means[0], confidence=means[1])


def _mode(values: NDArray[Any]) -> Any:
    found, counts = np.unique(values.astype(str) if values.dtype == object else values,
                              return_counts=True)
    return found[counts.argmax()]
