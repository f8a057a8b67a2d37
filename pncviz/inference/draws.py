"""From draws under a null to p-values, and to q-values over classes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from pncviz.exceptions import PatternWarning
from pncviz.inference.surrogates import phase_null
from pncviz.metrics import similarity_matrix

__all__ = ["draw_p_values", "null_similarity", "q_values"]


def draw_p_values(observed: NDArray[Any], draws: NDArray[Any]) -> NDArray[np.float64]:
    """Compare observations with draws under the null, one-sided: large is more than chance.

    Valid at any number of draws, if under the null the observation is exchangeable with them.

    Parameters
    ----------
    observed : ndarray of shape (…,)
        Larger is more alike.
    draws : ndarray of shape (n_draws, …)

    Returns
    -------
    ndarray of shape (…,)
        (b + 1) / (n_draws + 1), where b draws are at least as large as the observation.

    References
    ----------
    phipson2010permutation.

    Examples
    --------
    >>> draw_p_values(np.array([0.9, 0.2]), np.array([[0.1, 0.1], [0.3, 0.3], [0.5, 0.5]]))
    array([0.25, 0.75])
    """
    # Draws may come from sums in another precision; ties must be found all the same.
    with np.errstate(invalid="ignore"):
        least = np.where(np.isfinite(observed), observed - 1e-6 * (1 + np.abs(observed)), observed)
    reached = np.count_nonzero(draws >= least, axis=0)
    return np.asarray((reached + 1) / (len(draws) + 1), dtype=np.float64)


def q_values(p: NDArray[Any]) -> NDArray[np.float64]:
    """Control the false discovery rate over the last axis, the classes.

    Parameters
    ----------
    p : ndarray of shape (…, n_classes)

    Returns
    -------
    ndarray of the same shape
        Rejecting all with q < .05 keeps the expected share of false ones below .05.

    References
    ----------
    benjamini1995controlling.

    Examples
    --------
    >>> q_values(np.array([0.01, 0.02, 0.9])).round(3)
    array([0.03, 0.03, 0.9 ])
    """
    return np.asarray(false_discovery_control(p, axis=-1, method="bh"), dtype=np.float64)


def null_similarity(
    patterns: xr.Dataset,
    contrasts: xr.Dataset,
    null: str | xr.Dataset,
    metric: str,
    *,
    n_draws: int = 10_000,
    rng: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """Draw own-class similarities under a null.

    Parameters
    ----------
    patterns : xarray.Dataset
        On (label, …).
    contrasts : xarray.Dataset
        On (label, …), with the label of every pattern.
    null : "phase" or xarray.Dataset
        Contrasts on (draw, label, …) take the contrasts' place; patterns likewise.
    metric : str
    n_draws : int, default=10_000
        Of phases; a dataset has its own number.
    rng : numpy.random.Generator, optional
        Of phases.

    Returns
    -------
    ndarray of shape (n_draws, n_labels)
        Each pattern's draws are of its own class.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> from pncviz import positive_negative_contrast
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", max_epochs=5).fit(data.X, data.y)
    >>> patterns = extract_patterns(net, image_shape=(6, 6), max_iter=500)
    >>> contrasts = positive_negative_contrast(data.X, data.y)
    >>> null_similarity(patterns, contrasts, "phase", "pearson", n_draws=20).shape
    (20, 4)
    """
    labels = patterns["label"].values
    a = patterns["pattern"].values
    b = contrasts["contrast"].sel(label=labels).values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)  # constant images were told of before
        if isinstance(null, str):
            rng = np.random.default_rng() if rng is None else rng
            return phase_null(a, b, metric, n_draws=n_draws, rng=rng)
        drawn = null.sel(label=labels)
        of_patterns = null.attrs["kind"] == "patterns"
        images = drawn["pattern" if of_patterns else "contrast"]
        draws = images.transpose("draw", "label", ...).values
        fixed = b if of_patterns else a
        columns = [
            similarity_matrix(draws[:, i], fixed[i][None], metric)[:, 0] for i in range(len(labels))
        ]
    return np.stack(columns, axis=1)
