"""How much a similarity would vary, and how large it could be: intervals and noise ceilings."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import product

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import norm, t

from pncviz.exceptions import ParameterError, PatternWarning
from pncviz.inference.blocks import (
    Blocks,
    ContrastBlocks,
    PatternBlocks,
    bootstrap_weights,
    half_weights,
)
from pncviz.metrics import find_metric, paired_similarity

__all__ = [
    "centred_interval",
    "mean_interval",
    "noise_ceiling",
    "resampled_similarity",
    "split_half_reliability",
]

#: Metrics of which Spearman's formulas hold: scalar products of two images.
CORRELATIONS = frozenset({"pearson", "cosine"})
#: How far a resample goes from the observed weights (0) to bootstrap weights (1). A whole step
#: would double the noise of an image and so shrink every similarity and its spread; a short one
#: keeps to the first order, and deviations are divided by it.
STEP = 0.25
#: Blocks that an interval needs; with fewer it covers too little (measured: 80 % of 95 at three).
LEAST_BLOCKS = 5
#: Random halves that a reliability is the mean over.
N_SPLITS = 100


def blocks_of(dataset: xr.Dataset) -> Blocks | None:
    """Give the blocks of patterns or contrasts, None if there are none."""
    kind = PatternBlocks if dataset.attrs["kind"] == "patterns" else ContrastBlocks
    name = "pattern_block" if kind is PatternBlocks else "contrast_block_sum"
    if name not in dataset or "n_block" not in dataset:
        return None
    return kind(dataset)


def resampled_similarity(
    patterns: xr.Dataset,
    contrasts: xr.Dataset,
    metrics: Sequence[str],
    *,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], int, str]:
    """Draw each pattern's similarity to its own contrast anew, by a bootstrap of blocks.

    A resample goes a quarter of the way from the observed weights of the blocks to bootstrap
    weights, so that what is seen is the first-order effect (the infinitesimal jackknife's) and not
    the noise that resampling adds; :func:`centred_interval` undoes the quarter.

    Parameters
    ----------
    patterns : xarray.Dataset
        On (label, …). With ``pattern_block`` its examples are resampled.
    contrasts : xarray.Dataset
        With the label of every pattern. With ``contrast_block_sum`` its samples are resampled,
        each class by itself.
    metrics : sequence of str
    n_resamples : int
    rng : numpy.random.Generator

    Returns
    -------
    draws : ndarray of shape (n_metrics, n_resamples, n_labels)
        NaN unless examples or samples have at least five blocks.
    n_blocks : int
        Of whichever has fewer.
    over : str
        "examples, rows", "examples", "rows" or "none".

    References
    ----------
    efron1982jackknife, chapter 6.
    """
    sources = {"examples": blocks_of(patterns), "rows": blocks_of(contrasts)}
    found = {name: b for name, b in sources.items() if b is not None and b.smallest >= LEAST_BLOCKS}
    own = _places(patterns, contrasts)
    draws = np.full((len(metrics), n_resamples, len(own)), np.nan)
    if not found:
        return draws, 0, "none"
    weights = {
        name: (1 - STEP) * blocks.filled + STEP * bootstrap_weights(blocks.filled, n_resamples, rng)
        for name, blocks in found.items()
    }
    # Both kinds of images go along in steps of equal length: the smaller of the two.
    step = min(len(next(blocks.images(weights[name]))) for name, blocks in found.items())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)  # constant images were told of before
        for first in range(0, n_resamples, step):
            here = slice(first, first + step)
            a, b = patterns["pattern"].values[None], contrasts["contrast"].values[None, own]
            if "examples" in found:
                a = next(found["examples"].images(weights["examples"][here]))
            if "rows" in found:
                b = next(found["rows"].images(weights["rows"][here]))[:, own]
            for (i, metric), label in product(enumerate(metrics), range(len(own))):
                draws[i, here, label] = paired_similarity(a[:, label], b[:, label], metric)
    return draws, min(blocks.smallest for blocks in found.values()), ", ".join(found)


def centred_interval(
    observed: NDArray[np.float64],
    draws: NDArray[np.float64],
    metric: str,
    *,
    n_blocks: int,
    confidence_level: float = 0.95,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give an interval for what a repetition with as many examples and samples would give.

    Deviations of the draws from their mean, four times as large as drawn (see
    :func:`resampled_similarity`), are put around the observation and cut at quantiles that are
    widened for few blocks. Metrics that end at -1 and 1 are treated on Fisher's scale, so
    that the interval ends there, too.

    Parameters
    ----------
    observed : ndarray of shape (n_labels,)
    draws : ndarray of shape (n_resamples, n_labels)
        Of :func:`resampled_similarity`.
    metric : str
    n_blocks : int
    confidence_level : float, default=0.95

    Returns
    -------
    lower, upper : ndarrays of shape (n_labels,)

    References
    ----------
    hesterberg2015bootstrap, section 3.4 (expanded percentiles).

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(0.5, 0.0125, size=(1000, 1))
    >>> lower, upper = centred_interval(np.array([0.5]), draws, "pearson", n_blocks=20)
    >>> 0.37 < lower.item() < 0.40 < 0.58 < upper.item() < 0.62
    True
    """
    fisher = find_metric(metric).range == (-1.0, 1.0)
    if fisher:
        observed, draws = (np.arctanh(np.clip(x, -1 + 1e-12, 1 - 1e-12)) for x in (observed, draws))
    wider = expanded_tail(n_blocks, confidence_level)
    deviation = np.quantile((draws - draws.mean(axis=0)) / STEP, [wider, 1 - wider], axis=0)
    lower, upper = observed + deviation
    return (np.tanh(lower), np.tanh(upper)) if fisher else (lower, upper)


def mean_interval(
    values: xr.DataArray,
    dim: str = "seed",
    *,
    n_resamples: int = 10_000,
    confidence_level: float = 0.95,
    random_state: int = 0,
) -> xr.Dataset:
    """Average over training seeds, say, and bootstrap them for an interval of the average.

    Parameters
    ----------
    values : xarray.DataArray
        Such as ``own_class(similarities)["similarity"]`` of patterns joined by
        ``concat_patterns({0: …, 1: …}, dim="seed")``.
    dim : str, default="seed"
        The dimension that is resampled.
    n_resamples : int, default=10_000
    confidence_level : float, default=0.95
    random_state : int, default=0

    Returns
    -------
    xarray.Dataset
        ``mean``, ``lower``, ``upper`` on the other dimensions; percentiles widened for few values.

    Raises
    ------
    ParameterError
        No such dimension, or fewer than two values along it.

    References
    ----------
    hesterberg2015bootstrap.

    Examples
    --------
    >>> found = mean_interval(xr.DataArray([0.3, 0.4, 0.5, 0.4], dims="seed"))
    >>> float(found["lower"]) < float(found["mean"]) < float(found["upper"])
    True
    """
    n = values.sizes.get(dim, 0)
    if n < 2:
        raise ParameterError(f"`values` must have two or more along `{dim}`, got {n}.")
    rng = np.random.default_rng(random_state)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n
    means = np.tensordot(weights, values.transpose(dim, ...).values, axes=1)
    tail = expanded_tail(n, confidence_level)
    lower, upper = np.quantile(means, [tail, 1 - tail], axis=0)
    mean = values.mean(dim, keep_attrs=True)
    return xr.Dataset(
        {"mean": mean, "lower": mean.copy(data=lower), "upper": mean.copy(data=upper)}
    )


def expanded_tail(n: int, confidence_level: float) -> float:
    """Widen a percentile for n units, so that it covers as Student's t would."""
    tail = (1 - confidence_level) / 2
    return float(norm.cdf(math.sqrt(n / (n - 1)) * t.ppf(tail, n - 1)))


def split_half_reliability(
    dataset: xr.Dataset, metric: str = "pearson", *, random_state: int = 0
) -> NDArray[np.float64]:
    """Correlate two halves of the examples or samples behind each image, stepped up to the whole.

    Parameters
    ----------
    dataset : xarray.Dataset
        Patterns or contrasts on (label, …), made with ``n_blocks``.
    metric : {"pearson", "cosine"}, default="pearson"
    random_state : int, default=0
        Of the 100 random halves.

    Returns
    -------
    ndarray of shape (n_labels,)
        Spearman-Brown's 2r / (1 + r) of the mean r over random halves; NaN without at least two
        blocks and for other metrics; 0 where halves are not alike at all (r ≤ 0).

    References
    ----------
    spearman1910correlation.

    Examples
    --------
    >>> from pncviz import load_dataset, positive_negative_contrast
    >>> data = load_dataset("digits")
    >>> contrasts = positive_negative_contrast(data.X, data.y)
    >>> bool((split_half_reliability(contrasts) > 0.9).all())
    True
    """
    unknown = np.full(dataset.sizes["label"], np.nan)
    blocks = blocks_of(dataset)
    if blocks is None or blocks.smallest < 2 or metric not in CORRELATIONS:
        return unknown
    halves = half_weights(blocks.filled, N_SPLITS, np.random.default_rng(random_state))
    r = np.zeros(dataset.sizes["label"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)  # constant images were told of before
        for one, other in zip(*map(blocks.images, halves), strict=True):
            for label in range(len(r)):
                r[label] += paired_similarity(one[:, label], other[:, label], metric).sum()
    r /= N_SPLITS
    r = np.maximum(r, 0)
    return 2 * r / (1 + r)


def noise_ceiling(
    pattern_reliability: NDArray[np.float64], contrast_reliability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the largest correlation that two images of these reliabilities can be expected to have.

    Parameters
    ----------
    pattern_reliability, contrast_reliability : ndarrays of shape (n_labels,)
        NaN where unknown.

    Returns
    -------
    ndarray of shape (n_labels,)
        The square root of the product of those known; NaN if neither is.

    References
    ----------
    spearman1904proof.

    Examples
    --------
    >>> noise_ceiling(np.array([0.64, np.nan, np.nan]), np.array([1.0, 0.81, np.nan]))
    array([0.8, 0.9, nan])
    """
    both = np.stack([pattern_reliability, contrast_reliability])
    known = ~np.isnan(both)
    shared = np.where(known, both, 1.0).prod(axis=0)
    return np.where(known.any(axis=0), np.sqrt(shared), np.nan)


def _places(patterns: xr.Dataset, contrasts: xr.Dataset) -> list[int]:
    known = contrasts["label"].values.tolist()
    return [known.index(label) for label in patterns["label"].values.tolist()]
