"""How much a similarity would vary: bootstrap intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import norm, t

from pncviz.exceptions import ParameterError, PatternWarning
from pncviz.inference.blocks import blocks_of, bootstrap_weights
from pncviz.metrics import find_metric, paired_similarity

__all__ = ["centred_interval", "every_pair", "mean_interval", "resampled_similarity"]

#: How far a resample goes from the observed weights (0) to bootstrap weights (1). A whole step
#: would double the noise of an image and so shrink every similarity and its spread; a short one
#: keeps to the first order, and deviations are divided by it.
STEP = 0.25
#: Blocks that an interval needs; with fewer it covers too little (measured: 80 % of 95 at three).
LEAST_BLOCKS = 5
#: Values below which their mean's interval is Student's.
FEW_VALUES = 8


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
        NaN unless examples or samples have at least five blocks, and for classes with fewer.
    n_blocks : int
        Of whichever has fewest; 0 if there are no draws.
    over : str
        "examples, rows", "examples", "rows" or "none".

    References
    ----------
    efron1982jackknife, chapter 6.
    """
    sources = {"examples": blocks_of(patterns), "rows": blocks_of(contrasts)}
    found = {
        name: blocks
        for name, blocks in sources.items()
        if blocks is not None and (blocks.counts >= LEAST_BLOCKS).any()
    }
    own = _places(patterns, contrasts)
    draws = np.full((len(metrics), n_resamples, len(own)), np.nan)
    if not found:
        return draws, 0, "none"
    weights = {
        name: (1 - STEP) * blocks.filled
        + STEP * bootstrap_weights(blocks.filled, n_resamples, rng, least=LEAST_BLOCKS)
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
            for i, metric in enumerate(metrics):
                draws[i, here] = every_pair(a, b, metric)
    counts = np.full(len(own), np.iinfo(np.int64).max)
    for name, blocks in found.items():
        mine = blocks.counts[own] if name == "rows" else blocks.counts
        counts = np.minimum(counts, mine)
    enough = counts >= LEAST_BLOCKS
    if not enough.any():
        return np.full_like(draws, np.nan), 0, "none"
    draws[..., ~enough] = np.nan  # a class of few samples shows no spread
    return draws, int(counts[enough].min()), ", ".join(found)


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
        NaN where the observation or a draw is not finite, and for metrics that go in steps.

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
    spec = find_metric(metric)
    if not spec.smooth:
        return np.full_like(observed, np.nan), np.full_like(observed, np.nan)
    known = np.isfinite(observed) & np.isfinite(draws).all(axis=0)
    observed, draws = np.where(known, observed, 0), np.where(known, draws, 0)
    fisher = spec.range == (-1.0, 1.0)
    if fisher:
        observed, draws = (np.arctanh(np.clip(x, -1 + 1e-12, 1 - 1e-12)) for x in (observed, draws))
    wider = expanded_tail(n_blocks, confidence_level)
    deviation = np.quantile((draws - draws.mean(axis=0)) / STEP, [wider, 1 - wider], axis=0)
    ends = observed + deviation
    lower, upper = np.where(known, np.clip(np.tanh(ends) if fisher else ends, *spec.range), np.nan)
    return lower, upper


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
        ``mean``, ``lower``, ``upper`` on the other dimensions. From eight values on, widened
        percentiles of a bootstrap; below, where that covers too little (measured: 51 % of 95 at
        two, 75 % at three), Student's t.

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
    if n_resamples < 1:
        raise ParameterError(f"`n_resamples` must be a positive integer, got {n_resamples}.")
    mean = values.mean(dim, keep_attrs=True, skipna=False)
    if n < FEW_VALUES:
        error = values.std(dim, ddof=1, skipna=False).values / math.sqrt(n)
        reach = t.ppf((1 + confidence_level) / 2, n - 1) * error
        lower, upper = mean.values - reach, mean.values + reach
    else:
        rng = np.random.default_rng(random_state)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n
        means = np.tensordot(weights, values.transpose(dim, ...).values, axes=1)
        tail = expanded_tail(n, confidence_level)
        lower, upper = np.quantile(means, [tail, 1 - tail], axis=0)
    return xr.Dataset(
        {"mean": mean, "lower": mean.copy(data=lower), "upper": mean.copy(data=upper)}
    )


def expanded_tail(n: int, confidence_level: float) -> float:
    """Widen a percentile for n units, so that it covers as Student's t would."""
    tail = (1 - confidence_level) / 2
    return float(norm.cdf(math.sqrt(n / (n - 1)) * t.ppf(tail, n - 1)))


def every_pair(a: NDArray[np.float64], b: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Compare (n or 1, n_labels, …) with (n or 1, n_labels, …), place by place."""
    shape = (max(len(a), len(b)), *a.shape[1:])
    one, other = (np.broadcast_to(x, shape).reshape(-1, *shape[2:]) for x in (a, b))
    return paired_similarity(one, other, metric).reshape(shape[:2])


def _places(patterns: xr.Dataset, contrasts: xr.Dataset) -> list[int]:
    known = contrasts["label"].values.tolist()
    return [known.index(label) for label in patterns["label"].values.tolist()]
