"""From a model to the labelled patterns: what the estimator and its functional twin share."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from sklearn.base import clone

from pncviz.data import resolve_seed
from pncviz.dataset import build_patterns
from pncviz.exceptions import LabelError, ParameterError
from pncviz.models import as_prepared, check_queries
from pncviz.patterns.limits import check_stop, is_count
from pncviz.patterns.outcome import Names, result_attrs, warn_of_failures
from pncviz.patterns.setting import check_form, checked_attack, fitted_out, progress_bar, reached
from pncviz.registry import make_strategy
from pncviz.specs import Attack, Extraction, Model, Stop, Strategy, Streams
from pncviz.synthesis import (
    blame,
    extract,
    extract_itself,
    in_batches,
    make_streams,
)

__all__ = ["MAX_BYTES", "Course"]

logger = logging.getLogger("pncviz")

#: The most that patterns may take while they are made.
MAX_BYTES = 8 * 2**30


@dataclass(frozen=True, kw_only=True)
class Course:
    """Everything about an extraction but the model: parts, stop rule, seed, limits."""

    strategy: Strategy
    attack: Attack
    stop: Stop
    seed: int
    labels: Any = None
    batch_size: int | None = None
    deterministic: bool = False
    precision: str | None = None
    n_blocks: int = 0
    max_bytes: int = MAX_BYTES
    verbose: int = 0
    memory: Any = None
    n_jobs: int | None = None
    progress: Callable[[int], object] | None = field(default=None, compare=False)

    @classmethod
    def checked(
        cls,
        *,
        strategy: str | Strategy,
        attack: str | Attack,
        max_iter: int,
        max_loss: float | None,
        min_confidence: float | None,
        random_state: Any,
        max_queries: int | None = None,
        **options: Any,
    ) -> Course:
        """Check every parameter before any work, and make parts of names."""
        part = make_strategy(strategy) if isinstance(strategy, str) else strategy
        if not isinstance(part, Strategy):
            raise ParameterError(f"`strategy` must be a name or a Strategy, got {strategy!r:.80}.")
        part = clone(part)  # prepare() may store what it learns
        part.validate()
        means = checked_attack(attack)
        check_stop(max_iter, max_loss, min_confidence)
        counts = {name: options.get(name) for name in ("batch_size", "max_bytes")}
        check_form(options.get("precision"), **counts)
        n_blocks = options.get("n_blocks", 0)
        if not is_count(n_blocks) and n_blocks != 0:
            raise ParameterError(f"`n_blocks` must be 0 or a positive integer, got {n_blocks!r}.")
        check_queries(max_queries, options.get("memory"), options.get("n_jobs"))
        stop = Stop(
            max_iter=int(max_iter),
            max_loss=max_loss,
            min_confidence=min_confidence,
            max_queries=max_queries,
        )
        seed = resolve_seed(random_state)
        return cls(strategy=part, attack=means, stop=stop, seed=seed, **options)

    def run(
        self,
        model: Model,
        classes: NDArray[Any],
        units: NDArray[np.int64],
        *,
        image_shape: tuple[int, ...],
        data: tuple[NDArray[Any] | None, NDArray[Any] | None] = (None, None),
        feature_names: Any = None,
    ) -> xr.Dataset:
        """Extract the patterns of the chosen labels, and label them.

        Parameters
        ----------
        model : Model
        classes, units : the model's labels, and the output unit of each
        image_shape : tuple of int
        data : (X, y)
            Samples and the user's labels, for parts that prepare on them.
        feature_names : array-like of str, optional
        """
        positions = self._positions(classes)
        model = fitted_out(
            model,
            precision=self.precision,
            batch_size=self.batch_size,
            deterministic=self.deterministic,
        )
        model = reached(model, self.attack if self.uses_attack else self.strategy, self)
        self._check_size(model, len(positions))
        for part in (self.strategy, self.attack):
            with blame(part, "prepare"):
                part.prepare(*as_prepared(*data, classes, units))
        targets = units[positions]
        with model.session(), self._progress(len(positions)) as progress:
            streams = make_streams(self.seed, positions.tolist())
            found = self._extract(model, targets, streams, image_shape, progress)
            answers = self._answers(model, found, targets)
        names = Names(classes, units)
        dataset = build_patterns(
            pattern=found.pattern,
            labels=classes[positions],
            image_shape=image_shape,
            confidence=found.confidence,
            loss=found.loss,
            n_iter=found.n_iter,
            prediction=names.of(found.unit),
            stop_reason=found.stop_reason,
            success_rate=found.success_rate,
            pattern_prediction=names.of(answers[0]),
            pattern_confidence=answers[1],
            attrs=result_attrs(self, model),
            loss_units="nat" if getattr(self.attack, "loss", "") != "squared_error" else "1",
            feature_names=feature_names,
            trace=found.trace,
            block=found.block,
            n_block=found.n_block,
            n_queries=found.n_queries,
        )
        warn_of_failures(dataset)
        return dataset

    # ---------------------------------------------------------------------- inside

    def _positions(self, classes: NDArray[Any]) -> NDArray[np.int64]:
        if self.labels is None:
            return np.arange(len(classes))
        wanted, known = np.atleast_1d(np.asarray(self.labels)).tolist(), classes.tolist()
        missing = [label for label in wanted if label not in known]
        if missing or not wanted or len(set(wanted)) < len(wanted):
            problem = f"are not among the model's: {missing}" if missing else "repeat or are none"
            raise LabelError(f"`labels` {problem}. The model's classes are {known[:20]}.")
        return np.array([known.index(label) for label in wanted], dtype=np.int64)

    @property
    def uses_attack(self) -> bool:
        """Whether the strategy has a use for the attack."""
        return self.strategy.extract is None or self.strategy.needs is None

    def _extract(
        self,
        model: Model,
        targets: NDArray[np.int64],
        streams: Streams,
        image_shape: tuple[int, ...],
        progress: Callable[[int], object] | None,
    ) -> Extraction:
        """Take the strategy's own course if it has one, else the usual one."""
        run = extract if self.strategy.extract is None else extract_itself
        return run(
            self.strategy,
            model,
            self.attack,
            targets,
            self.stop,
            streams,
            image_shape=image_shape,
            n_blocks=self.n_blocks,
            progress=progress,
        )

    def _check_size(self, model: Model, k: int) -> None:
        # The sum in float64, its copy in the model's precision, and the dataset's.
        estimate = k * math.prod(model.input_shape) * 8 * (2 + 2 * self.n_blocks)
        logger.info("Patterns will take about %.1f MB.", estimate / 2**20)
        if estimate > self.max_bytes:
            raise ParameterError(
                f"{k} patterns of shape {model.input_shape} need about {estimate:,} bytes, more "
                f"than `max_bytes` ({self.max_bytes:,}). Choose fewer `labels`, or raise it."
            )

    @contextmanager
    def _progress(self, k: int) -> Iterator[Callable[[int], object] | None]:
        own = self.strategy.extract is not None
        what = "inputs asked about" if own else "patterns"
        total = self.stop.max_queries if own else k * self.strategy.n_examples
        wanted = bool(self.verbose) and self.progress is None
        with progress_bar(what, total, wanted) as shown:
            yield shown or self.progress

    def _answers(
        self, model: Model, found: Extraction, targets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Ask the model what it calls the patterns themselves; sums count as means."""
        n = self.strategy.n_examples if self.strategy.reduction == "sum" else 1
        parts = []

        def ask(rows: range) -> None:
            x = model.tensor(found.pattern[rows.start : rows.stop] / n)
            parts.append(model.probabilities(x).cpu().numpy())

        in_batches(model, len(targets), torch.no_grad()(ask))
        share = np.concatenate(parts).astype(np.float64)
        return share.argmax(axis=1), share[np.arange(len(targets)), targets]
