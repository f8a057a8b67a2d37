"""From a linear model's weights to the patterns that they respond to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pncviz.exceptions import DataError, DataTypeError, ParameterError

__all__ = ["haufe_transform"]

#: Values per piece of X, so that its float64 copy stays at 32 MB.
_VALUES = 2**22
#: A variance this much smaller than its terms is rounding.
_NO_VARIANCE = 1e-24
#: Eigenvalues this much smaller than the largest are rounding: scores often sum to a constant.
_RTOL = 1e-12


def haufe_transform(coef: ArrayLike, X: ArrayLike, *, joint: bool = False) -> NDArray[np.float64]:
    r"""Turn a linear model's weights into activation patterns.

    Weights say how a model reads its input: a pixel may have weight only to cancel what another
    carries. The activation pattern says what the model responds to: how each feature goes along
    with the score. For class k with weights :math:`w_k` it is

    .. math:: \mathrm{Cov}(X)\, w_k / \mathrm{Var}(X w_k),

    or, of all scores together, the rows of :math:`(\mathrm{Cov}(X)\, W\, \mathrm{Cov}(\hat
    s)^{+})^T`, where columns of W are the weights and :math:`\hat s = X W` (Haufe et al. 2014;
    a pseudo-inverse, since scores often sum to a constant).

    Least squares of one-hot labels, with an intercept, give patterns that are the raw
    positive-negative contrasts up to a positive factor: an oracle.

    Parameters
    ----------
    coef : array-like of shape (n_classes, n_features)
        Weights, such as ``LogisticRegression.coef_``. Intercepts do not matter.
    X : array-like of shape (n_samples, n_features)
        The samples that the model was trained on; no whole copy in float64 is made, and no
        covariance of all features.
    joint : bool, default=False
        Explain features by all scores together instead of by each for itself.

    Returns
    -------
    float64 ndarray of shape (n_classes, n_features)
        In units of X per unit of the score.

    Raises
    ------
    ParameterError
        ``coef`` is not (n_classes, n_features) or not finite, or gives every sample the same
        score.
    DataError
        X has other features, fewer than two samples, or NaN or infinity.
    DataTypeError
        X does not hold real numbers.

    References
    ----------
    haufe2014interpretation.

    Examples
    --------
    The first feature is signal plus noise, the second the noise alone. Good weights subtract the
    noise, yet the pattern is the signal's.

    >>> signal, noise = np.array([1.0, 1, -1, -1]), np.array([1.0, -1, 1, -1])
    >>> X = np.column_stack([signal + noise, noise])
    >>> haufe_transform([[1.0, -1.0]], X)
    array([[1., 0.]])
    """
    samples = _checked_samples(X)
    weights = _checked_weights(coef, samples.shape[1])
    mean, squares = _moments(samples)
    across = np.zeros((len(weights), samples.shape[1]))
    scores = np.zeros((len(weights), len(weights)))
    for part in _pieces(samples):
        centred = part - mean
        score = centred @ weights.T
        across += score.T @ centred  # Cov(X) w without Cov(X), which has n_features² entries
        scores += score.T @ score
    across /= len(samples) - 1
    scores /= len(samples) - 1
    if joint:
        return np.asarray(np.linalg.pinv(scores, rcond=_RTOL, hermitian=True) @ across)
    variance = np.diag(scores)
    flat = np.flatnonzero(variance <= _NO_VARIANCE * (np.square(weights) @ squares))
    if flat.size:
        raise ParameterError(
            f"`coef` gives every sample the same score in {flat.size} of {len(weights)} rows "
            f"({', '.join(map(str, flat[:5]))}), so nothing goes along with it; leave them out."
        )
    return across / variance[:, None]


def _checked_samples(X: ArrayLike) -> NDArray[Any]:
    samples = np.asarray(X)
    if samples.dtype.kind not in "biuf":
        raise DataTypeError(
            f"X must hold real numbers, got dtype {samples.dtype}; convert it, such as with "
            "X.astype(float)."
        )
    if samples.ndim != 2 or len(samples) < 2 or not samples.shape[1]:
        raise DataError(
            "X must have the shape (n_samples, n_features) with at least two samples and one "
            f"feature, got {samples.shape}; use X.reshape(len(X), -1) for images."
        )
    return samples


def _checked_weights(coef: ArrayLike, n_features: int) -> NDArray[np.float64]:
    weights = np.asarray(coef)
    if weights.dtype.kind not in "biuf" or weights.ndim != 2 or not len(weights):
        raise ParameterError(
            "`coef` must be real numbers of shape (n_classes, n_features), got "
            f"{weights.dtype} of shape {weights.shape}."
        )
    if weights.shape[1] != n_features:
        raise DataError(
            f"X has {n_features} features and `coef` {weights.shape[1]}; both must have the same."
        )
    if not np.isfinite(weights).all():
        raise ParameterError(
            f"`coef` contains NaN or infinity in {int((~np.isfinite(weights)).sum())} of "
            f"{weights.size} places."
        )
    return weights.astype(np.float64)


def _pieces(samples: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    rows = max(1, _VALUES // samples.shape[1])
    for first in range(0, len(samples), rows):
        yield samples[first : first + rows].astype(np.float64)


def _moments(samples: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the mean and the mean square of each feature; raise for NaN and infinity."""
    total, squares = np.zeros(samples.shape[1]), np.zeros(samples.shape[1])
    for part in _pieces(samples):
        if not np.isfinite(part).all():
            raise DataError("X contains NaN or infinity; remove or fill those samples.")
        total += part.sum(axis=0)
        squares += np.square(part).sum(axis=0)
    return total / len(samples), squares / len(samples)
