"""Patterns and contrasts put together again from blocks of examples and of samples."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.exceptions import ParameterError
from pncviz.means import contrast_from_sums

__all__ = [
    "Blocks",
    "ContrastBlocks",
    "PatternBlocks",
    "blocks_of",
    "bootstrap_weights",
    "half_weights",
]

#: Bytes of images held at once.
_HELD = 2**26


class Blocks:
    """Images of some labels as weighted sums of blocks.

    Attributes
    ----------
    filled : bool ndarray of shape (n_groups, n_blocks)
        Which blocks hold anything. Each group is resampled by itself: examples are one group,
        samples one per class, so that no class ever runs empty.
    """

    filled: NDArray[np.bool_]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Filled blocks of each label's own group, (n_labels,) or (1,)."""
        return np.asarray(self.filled.sum(axis=1), dtype=np.int64)

    def images(self, weights: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """Give the images (n, n_labels, …) for weights (n, n_groups, n_blocks), a few at a time."""
        per_part = max(1, _HELD // (8 * self._numbers()))
        for first in range(0, len(weights), per_part):
            yield self._images(weights[first : first + per_part])

    def _numbers(self) -> int:
        raise NotImplementedError

    def _images(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        raise NotImplementedError


class PatternBlocks(Blocks):
    """Patterns from blocks of examples.

    Parameters
    ----------
    patterns : xarray.Dataset
        Without leading dimensions; with ``pattern_block`` and ``n_block``.
    """

    def __init__(self, patterns: xr.Dataset) -> None:
        n_block = patterns["n_block"].values.astype(np.float64)
        self.filled = (n_block > 0)[None]
        sums = patterns["pattern_block"].values.astype(np.float64)
        total = sums.sum(axis=0)
        # Sums or means: the pattern says which, whatever its strategy's rule was.
        size = float((total * total).sum())
        scale = float((total * patterns["pattern"].values).sum()) / size if size else 1.0
        self._sums, self._n, self._scale = sums, n_block, scale

    def _numbers(self) -> int:
        return int(self._sums[0].size)

    def _images(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = weights[:, 0] @ self._sums.reshape(len(self._sums), -1)
        share = self._n.sum() / (weights[:, 0] @ self._n)
        images = flat * share[:, None] * self._scale
        return np.asarray(images.reshape(-1, *self._sums.shape[1:]), dtype=np.float64)


class ContrastBlocks(Blocks):
    """Contrasts from blocks of samples.

    Parameters
    ----------
    contrasts : xarray.Dataset
        Without leading dimensions; with ``contrast_block_sum`` and ``n_block``.

    Attributes
    ----------
    whole : bool
        Whether every class of the data is there; else negatives cannot be put together.
    """

    def __init__(self, contrasts: xr.Dataset) -> None:
        sums, counts = contrasts["contrast_block_sum"].values, contrasts["n_block"].values
        if counts.ndim == 1:
            counts = np.broadcast_to(counts[:, None], sums.shape[:2])
        self.filled = (counts > 0).T
        # Of a selection of classes, the others' samples are gone, and with them the negatives.
        everything = (contrasts["n_positive"] + contrasts["n_negative"]).values
        self.whole = bool(np.allclose(counts.sum(), everything))
        self._shape = sums.shape[2:]
        # A class's blocks side by side: (n_labels, n_blocks, n_features).
        self._sums = np.moveaxis(sums.reshape(*sums.shape[:2], -1), 0, 1).astype(np.float64)
        self._counts = counts.T.astype(np.float64)
        self._normalize = json.loads(contrasts.attrs["parameters"]).get("normalize")

    def _numbers(self) -> int:
        return 4 * int(self._sums[:, 0].size)  # sums, contrast, and both means

    def _images(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        by_class = np.moveaxis(weights, 1, 0)
        sums = np.moveaxis(by_class @ self._sums, 0, 1)
        counts = np.einsum("rkb,kb->rk", weights, self._counts)
        contrast = contrast_from_sums(sums, counts, self._normalize)[0]
        return contrast.reshape(*contrast.shape[:2], *self._shape)


def blocks_of(dataset: xr.Dataset) -> Blocks | None:
    """Give the blocks of patterns or contrasts, None if there are none, or not of all classes.

    Raises
    ------
    ParameterError
        There is a leading dimension.
    """
    images = dataset["pattern" if dataset.attrs["kind"] == "patterns" else "contrast"]
    if images.dims[0] != "label":
        raise ParameterError(
            f"Blocks are put together for one case; select one of `{images.dims[0]}` first."
        )
    kind = PatternBlocks if dataset.attrs["kind"] == "patterns" else ContrastBlocks
    name = "pattern_block" if kind is PatternBlocks else "contrast_block_sum"
    if name not in dataset or "n_block" not in dataset:
        return None
    blocks = kind(dataset)
    return blocks if not isinstance(blocks, ContrastBlocks) or blocks.whole else None


def bootstrap_weights(
    filled: NDArray[np.bool_], n: int, rng: np.random.Generator, *, least: int = 1
) -> NDArray[np.float64]:
    """Draw how often each filled block is taken, (n, n_groups, n_blocks); each group by itself.

    A group with fewer filled blocks than ``least`` stays as it is.

    Examples
    --------
    >>> weights = bootstrap_weights(np.array([[True, True, False]]), 4, np.random.default_rng(0))
    >>> weights.sum(axis=2).ravel().tolist(), weights[..., 2].any()
    ([2.0, 2.0, 2.0, 2.0], np.False_)
    """
    shares = filled / filled.sum(axis=1, keepdims=True)
    draws = rng.multinomial(filled.sum(axis=1), shares, size=(n, len(filled)))
    few = filled.sum(axis=1) < least
    draws[:, few] = filled[few]
    return draws.astype(np.float64)


def half_weights(
    filled: NDArray[np.bool_], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split the filled blocks of each group into two random halves, n times.

    A group of one block goes into both.

    Examples
    --------
    >>> first, second = half_weights(np.ones((1, 4), bool), 2, np.random.default_rng(0))
    >>> first.sum(axis=2).ravel().tolist(), (first + second).tolist()[0]
    ([2.0, 2.0], [[1.0, 1.0, 1.0, 1.0]])
    """
    keys = rng.random((n, *filled.shape))
    keys[:, ~filled] = 2  # behind all others
    place = keys.argsort(axis=-1).argsort(axis=-1)
    first = filled & (place < filled.sum(axis=1)[:, None] // 2)
    second = filled & ~first
    single = filled.sum(axis=1) == 1
    first[:, single] = filled[single]
    return first.astype(np.float64), second.astype(np.float64)
