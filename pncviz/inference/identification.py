"""Which class is a pattern of? Ranks, hits, and their permutation test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT", "identification_test", "own_ranks"]

#: Up to so many contrasts all permutations are gone through: 8! = 40 320.
EXACT = 8
#: Numbers per block of permutations.
_BLOCK = 2**21


def own_ranks(scores: NDArray[Any], own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank each pattern's own class among all contrasts.

    Parameters
    ----------
    scores : ndarray of shape (…, n_patterns, n_contrasts)
        Larger is more alike.
    own : int ndarray of shape (n_patterns,)
        The column of each pattern's own class.

    Returns
    -------
    int ndarray of shape (…, n_patterns)
        1 is best; ties count against the own class.

    Examples
    --------
    >>> own_ranks(np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([0, 1])).tolist()
    [1, 2]
    """
    mine = np.take_along_axis(scores, _column(own, scores), axis=-1)
    return np.asarray(np.count_nonzero(scores >= mine, axis=-1), dtype=np.int64)


def identification_test(
    scores: NDArray[Any],
    own: NDArray[np.int64],
    *,
    n_permutations: int = 10_000,
    rng: np.random.Generator | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Test whether patterns go with their own classes by permuting the classes.

    If a pattern had nothing to do with its class, any assignment of the contrasts to the patterns
    would be as likely as the one observed (quadratic assignment, after Hubert and Schultz).
    The own class's column is among the permuted, so the test needs no model of the images. With
    few classes it cannot be significant: the least p of 2, 3 and 4 is .5, .17 and .04.

    Parameters
    ----------
    scores : ndarray of shape (…, n_patterns, n_contrasts)
        Larger is more alike.
    own : int ndarray of shape (n_patterns,)
        The column of each pattern's own class.
    n_permutations : int, default=10_000
        Drawn, if there are more than 8 contrasts; else all are gone through.
    rng : numpy.random.Generator, optional

    Returns
    -------
    p_mean : ndarray of shape (…,)
        Share of permutations whose mean own-class score is at least the observed one: exact, or
        (b + 1) / (m + 1) of m drawn.
    p_hits : ndarray of shape (…,)
        Likewise for the number of patterns nearest to their own class.

    References
    ----------
    hubert1976quadratic, phipson2010permutation.

    Examples
    --------
    >>> identification_test(np.eye(4), np.arange(4))[0]  # one of 4! = 24
    array(0.04166667)
    """
    lead, n_contrasts = scores.shape[:-2], scores.shape[-1]
    flat = scores.reshape(-1, *scores.shape[-2:])
    unique_best = (flat >= flat.max(axis=-1, keepdims=True)).astype(np.float64)
    unique_best[unique_best.sum(axis=-1) > 1] = 0  # a tie is no hit
    statistics = np.stack([_finite(flat), unique_best])
    observed = np.take_along_axis(statistics, _column(own, statistics), axis=-1).sum((-2, -1))
    # Sums of the same numbers in another order differ by rounding; they are ties all the same.
    least = observed - 1e-10 * (1 + np.abs(statistics).max(axis=(-2, -1)))
    reached, drawn = np.zeros(observed.shape), 0
    rows = np.arange(len(own))
    # Both statistics of all cases are added up at once, so a block counts for each of them.
    per_block = max(1, _BLOCK // (2 * len(flat) * len(own)))
    for columns in _assignments(own, n_contrasts, n_permutations, per_block, rng):
        sums = statistics[:, :, rows, columns].sum(axis=-1)
        reached += (sums >= least[..., None]).sum(axis=-1)
        drawn += len(columns)
    exact = n_contrasts <= EXACT
    p = reached / drawn if exact else (reached + 1) / (drawn + 1)
    return p[0].reshape(lead), p[1].reshape(lead)


def _finite(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Put numbers in the place of infinities: one more of them beats any sum of the others."""
    finite = np.where(np.isfinite(scores), scores, 0.0)
    beyond = (1 + 2 * np.abs(finite).max(axis=(-2, -1), keepdims=True)) * scores.shape[-2]
    return np.where(np.isfinite(scores), scores, np.sign(scores) * beyond)


def _column(own: NDArray[np.int64], scores: NDArray[Any]) -> NDArray[np.int64]:
    return np.broadcast_to(own[:, None], (*scores.shape[:-1], 1))


def _assignments(
    own: NDArray[np.int64],
    n_contrasts: int,
    n: int,
    per_block: int,
    rng: np.random.Generator | None,
) -> Iterator[NDArray[np.int64]]:
    """Give columns for the patterns, a block of permutations (n, n_patterns) at a time."""
    if n_contrasts <= EXACT:
        every = permutations(range(n_contrasts))
        while block := list(islice(every, per_block)):
            yield np.array(block)[:, own]
        return
    rng = np.random.default_rng() if rng is None else rng
    for first in range(0, n, per_block):
        columns = np.tile(np.arange(n_contrasts), (min(per_block, n - first), 1))
        yield rng.permuted(columns, axis=1)[:, own]
