"""Where the boundary attack may begin: samples, the nearest first, and then noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz import Target
from pncviz_blackbox.asking import Purse

__all__ = ["Places", "search_places"]

#: Samples of the data that are tried before noise.
_MOST_SAMPLES = 10

#: Without bounds, noise is of the scale 1 at first, and of 32 at last.
_LARGEST_SCALE = 5


class Places:
    """Gives each row one point after another.

    Parameters
    ----------
    centre : tensor of shape (n, n_values)
        The starts.
    target : Target
    rngs : sequence of n numpy.random.Generator
    kept : mapping from units to arrays of shape (n_samples, n_values)
    n_tries : int
        Noises.
    clip : (low, high) or None
    """

    def __init__(
        self,
        centre: Tensor,
        target: Target,
        rngs: Sequence[np.random.Generator],
        *,
        kept: Mapping[int, NDArray[np.float32]],
        n_tries: int,
        clip: tuple[float, float] | None,
    ) -> None:
        self.centre, self.rngs, self.clip, self.n_tries = centre.numpy(), rngs, clip, n_tries
        self.samples = [
            _nearest(here, kept, code, target.targeted)
            for here, code in zip(self.centre, target.codes.tolist(), strict=True)
        ]

    def give(self, row: int, number: int) -> NDArray[np.float64] | None:
        """Give a row's next point; None after the last."""
        samples = self.samples[row]
        if number < len(samples):
            found: NDArray[np.float64] = samples[number]
            return found if self.clip is None else np.clip(found, *self.clip)
        number -= len(samples)
        if number >= self.n_tries:
            return None
        here, rng = self.centre[row], self.rngs[row]
        if self.clip is not None:
            return np.asarray(rng.uniform(*self.clip, here.shape))
        scale = 2.0 ** (_LARGEST_SCALE * number / max(self.n_tries - 1, 1))
        return np.asarray(rng.normal(here, scale))


def _nearest(
    here: NDArray[np.float64], kept: Mapping[int, NDArray[np.float32]], code: int, targeted: bool
) -> NDArray[np.float64]:
    """Give samples of the class, or of any other, the nearest first."""
    chosen = [found for unit, found in kept.items() if (unit == code) == targeted]
    if not chosen:
        return np.empty((0, len(here)))
    samples = np.concatenate(chosen).astype(np.float64)
    far = ((samples - here) ** 2).sum(axis=1)
    return samples[np.argsort(far, kind="stable")[:_MOST_SAMPLES]]


class _Asker(Protocol):
    x: Tensor
    purse: Purse

    def asked(self, rows: NDArray[np.int64], points: Tensor) -> NDArray[np.bool_]:
        """Say which points are called as asked."""


def search_places(
    walk: _Asker, rows: NDArray[np.int64], places: Places
) -> NDArray[np.int64]:  # fmt: skip
    """Try places, those of all rows together, and give the rows that have found one."""
    found: list[int] = []
    number = 0
    while len(rows):
        rows = rows[walk.purse.affords(rows, 2)]
        tried = {int(row): places.give(int(row), number) for row in rows}
        points = {row: point for row, point in tried.items() if point is not None}
        rows = np.array(list(points), dtype=np.int64)
        if not len(rows):
            break
        x = torch.from_numpy(np.stack(list(points.values())))
        there = walk.asked(rows, x)
        walk.x[rows[there]] = x[torch.from_numpy(there)]
        found += rows[there].tolist()
        rows, number = rows[~there], number + 1
    return np.array(sorted(found), dtype=np.int64)
