"""What is computed for one set of patterns against the contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.inference import (
    centred_interval,
    draw_p_values,
    identification_test,
    noise_ceiling,
    null_similarity,
    own_ranks,
    q_values,
    resampled_similarity,
    split_half_reliability,
)
from pncviz.metrics import similarity_matrix
from pncviz.specs import MetricSpec

__all__ = ["Statistics"]

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The course of a comparison: metrics, how often to draw, and from which seed."""

    metrics: Sequence[MetricSpec]
    n_permutations: int
    n_resamples: int
    confidence_level: float
    seed: int

    def reliability(self, dataset: xr.Dataset) -> NDArray[np.float64]:
        """Split halves of patterns or contrasts, (metric, label)."""
        return np.stack([split_half_reliability(dataset, spec.name) for spec in self.metrics])

    def of(
        self,
        patterns: xr.Dataset,
        contrasts: xr.Dataset,
        contrast_reliability: NDArray[np.float64],
        null: Any,
    ) -> Arrays:
        """Compute all for patterns on (label, …); arrays by the schema's names."""
        known = contrasts["label"].values.tolist()
        own = np.array([known.index(label) for label in patterns["label"].values.tolist()])
        a, b = patterns["pattern"].values, contrasts["contrast"].values
        similarity = np.stack([similarity_matrix(a, b, spec.name) for spec in self.metrics])
        mine = similarity[:, np.arange(len(own)), own]
        found = {"similarity": similarity, "succeeded": patterns["succeeded"].values}
        found |= self._identification(similarity * self._signs[:, None, None], own)
        found |= self._intervals(mine, patterns, contrasts)
        reliability = self.reliability(patterns)
        found |= {
            "pattern_reliability": reliability,
            "contrast_reliability": contrast_reliability,
            "ceiling": noise_ceiling(reliability, contrast_reliability[:, own]),
        }
        if null is not None:
            found |= self._against(null, mine, patterns, contrasts)
        return found

    @property
    def _signs(self) -> NDArray[np.float64]:
        """1 where larger is more alike, -1 where smaller is."""
        return np.array([1.0 if spec.higher_is_better else -1.0 for spec in self.metrics])

    def _rng(self, purpose: int) -> np.random.Generator:
        """Give each purpose its own stream, the same for every case."""
        return np.random.default_rng([self.seed, purpose])

    def _identification(self, scores: NDArray[np.float64], own: NDArray[np.int64]) -> Arrays:
        rank = own_ranks(scores, own)
        p, hits_p = identification_test(
            scores, own, n_permutations=self.n_permutations, rng=self._rng(0)
        )
        hits = np.count_nonzero(rank == 1, axis=-1)
        return {"rank": rank, "hits": hits, "identification_p": p, "hits_p": hits_p}

    def _intervals(
        self, mine: NDArray[np.float64], patterns: xr.Dataset, contrasts: xr.Dataset
    ) -> Arrays:
        lower, upper = np.full((2, *mine.shape), np.nan)
        over = "none"
        if self.n_resamples:
            names = [spec.name for spec in self.metrics]
            draws, n_blocks, over = resampled_similarity(
                patterns, contrasts, names, n_resamples=self.n_resamples, rng=self._rng(1)
            )
            for i, name in enumerate(names if n_blocks else []):
                lower[i], upper[i] = centred_interval(
                    mine[i], draws[i], name, n_blocks=n_blocks,
                    confidence_level=self.confidence_level,
                )  # fmt: skip
        told = np.full(len(mine), over)
        return {"lower": lower, "upper": upper, "interval_over": told}

    def _against(
        self, null: Any, mine: NDArray[np.float64], patterns: xr.Dataset, contrasts: xr.Dataset
    ) -> Arrays:
        options: dict[str, Any] = {"n_draws": self.n_permutations}
        draws = [
            null_similarity(patterns, contrasts, null, spec.name, rng=self._rng(2), **options)
            for spec in self.metrics
        ]
        signs = self._signs[:, None]
        drawn = np.stack(draws, axis=1)
        p = draw_p_values(mine * signs, drawn * signs)
        return {"p": p, "q": q_values(p), "null_similarity": drawn.astype(np.float32)}
