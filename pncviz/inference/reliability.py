"""How large a similarity could be: split halves and noise ceilings."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.exceptions import PatternWarning
from pncviz.inference.blocks import blocks_of, half_weights
from pncviz.inference.resampling import every_pair

__all__ = ["noise_ceiling", "split_half_reliability"]

#: Metrics of which Spearman's formulas hold: scalar products of two images.
CORRELATIONS = frozenset({"pearson", "cosine"})
#: Random halves that a reliability is the mean over.
N_SPLITS = 100


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
        blocks, for a selection of the classes and for other metrics; 0 where halves are not alike
        at all (r ≤ 0).

    Raises
    ------
    ParameterError
        There is a leading dimension.

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
    if blocks is None or not (blocks.counts >= 2).any() or metric not in CORRELATIONS:
        return unknown
    halves = half_weights(blocks.filled, N_SPLITS, np.random.default_rng(random_state))
    r = np.zeros(dataset.sizes["label"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)  # constant images were told of before
        for one, other in zip(*map(blocks.images, halves), strict=True):
            r += every_pair(one, other, metric).sum(axis=0)
    r /= N_SPLITS
    r = np.maximum(r, 0)
    # A class of one block is in both halves: nothing is known of it.
    return np.where(blocks.counts >= 2, 2 * r / (1 + r), unknown)


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
