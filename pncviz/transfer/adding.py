"""Counting what models call samples with patterns added to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pncviz.examples.checks import checked_pieces
from pncviz.synthesis import in_batches
from pncviz.transfer.panel import Panel

__all__ = ["count_called"]


def count_called(
    panel: Panel,
    scaled: Mapping[str, NDArray[np.float64]],
    X: Any,
    own: NDArray[np.int64],
    wanted: NDArray[np.int64],
    clip: tuple[float, float] | None,
) -> NDArray[np.int64]:
    r"""Count the samples of other classes that each model calls a pattern's class.

    Parameters
    ----------
    panel : Panel
        Within its session.
    scaled : mapping of str to ndarray of shape (n_labels, \*shape)
        The patterns of each source.
    X : array of shape (n_samples, \*shape)
    own : int64 ndarray of shape (n_samples,)
        The code of each sample's class.
    wanted : int64 ndarray of shape (n_labels,)
        The code of each pattern's class.
    clip : (low, high) or None

    Returns
    -------
    int64 ndarray of shape (1 + n_sources, n_targets, n_labels)
        The first row is without any pattern.
    """
    counts = np.zeros((1 + len(scaled), len(panel.models), len(wanted)), dtype=np.int64)
    for first, piece in checked_pieces(X):
        for j, name in enumerate(panel.models):
            asked = _Asked(panel, name, piece, own[first : first + len(piece)], wanted, clip)
            counts[0, j] += asked.count(None)
            for i, stack in enumerate(scaled.values()):
                counts[i + 1, j] += asked.count(stack)
    return counts


class _Asked:
    """One model and one piece of the samples."""

    def __init__(
        self,
        panel: Panel,
        name: str,
        X: NDArray[Any],
        own: NDArray[np.int64],
        wanted: NDArray[np.int64],
        clip: tuple[float, float] | None,
    ) -> None:
        self.model, self.codes = panel.models[name], panel.codes[name]
        self.X, self.own, self.wanted, self.clip = X, own, wanted, clip

    def count(self, stack: NDArray[np.float64] | None) -> NDArray[np.int64]:
        """Count, for each class, the samples of others that are called it with its pattern."""
        found: dict[int, list[int]] = {}

        def work(rows: range) -> None:
            x = self.X[rows.start : rows.stop].astype(np.float64)
            others = self.own[rows.start : rows.stop] != self.wanted[:, None]
            if stack is None:
                calls = self._ask(x)
                called = [calls[there] for there in others]
            else:
                called = [
                    self._ask(x[there] + one) for there, one in zip(others, stack, strict=True)
                ]
            found[rows.start] = [
                int(np.count_nonzero(codes == code))
                for codes, code in zip(called, self.wanted, strict=True)
            ]

        with torch.no_grad():
            in_batches(self.model, len(self.X), work)
        total: NDArray[np.int64] = np.array(list(found.values()), dtype=np.int64).sum(axis=0)
        return total

    def _ask(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        if not len(x):
            return np.empty(0, dtype=np.int64)
        inputs = self.model.tensor(x if self.clip is None else x.clip(*self.clip))
        found: NDArray[np.int64] = self.codes[self.model.labels(inputs).cpu().numpy()]
        return found
