"""Sums and outcomes of examples, in memory that does not grow with their number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.specs import AttackResult, Extraction, Strategy, Trace

__all__ = ["Tally"]


class Tally:
    """Sums and outcomes of all examples, never the examples themselves."""

    def __init__(self, k: int, n_examples: int, shape: tuple[int, ...], n_blocks: int) -> None:
        self.k, self.n = k, n_examples
        self.total = np.zeros((k, *shape))
        self.block = np.zeros((n_blocks, k, *shape)) if n_blocks else None
        self.loss, self.confidence = np.empty(k * n_examples), np.empty(k * n_examples)
        self.n_iter, self.unit = (np.empty(k * n_examples, dtype=np.int64) for _ in range(2))
        self.reason = np.empty(k * n_examples, dtype=object)
        self.grid: NDArray[np.int64] | None = None
        self.queries: NDArray[np.int64] | None = None
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
        if result.n_queries is not None:
            if self.queries is None:
                self.queries = np.zeros(self.k * self.n, dtype=np.int64)
            self.queries[here] = result.n_queries
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

    def extraction(self, strategy: Strategy, targets: NDArray[np.int64]) -> Extraction:
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
            n_queries=(
                None if self.queries is None else self.queries.reshape(self.k, self.n).sum(axis=1)
            ),
        )

    def _trace(self) -> Trace | None:
        if self.grid is None:
            return None
        empty = self.counted == 0
        means = np.where(empty, np.nan, self.traced / np.where(empty, 1, self.counted))
        return Trace(iteration=self.grid, loss=means[0], confidence=means[1])


def _mode(values: NDArray[Any]) -> Any:
    found, counts = np.unique(
        values.astype(str) if values.dtype == object else values, return_counts=True
    )
    return found[counts.argmax()]
