"""What takes inputs to few dimensions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.decomposition import PCA

from pncviz.exceptions import ParameterError, PncvizWarning
from pncviz_detection.autoencoder import AutoencoderFeatures

__all__ = ["kept_components", "make_features"]


def make_features(features: Any, n_components: float, inputs: NDArray[Any], seed: int) -> Any:
    """Make the transformer of a name, or a copy of the given one; not fitted yet.

    Parameters
    ----------
    features : "pca", "autoencoder" or transformer
    n_components : int or float
        A number, or a share of the variance.
    inputs : ndarray of shape (n_samples, ...)
        What it is going to be fitted on; of names (n_samples, n_features).
    seed : int

    Raises
    ------
    ParameterError
        More principal components than there are samples or features.
    """
    if not isinstance(features, str):
        return clone(features)
    chance = seed % 2**32
    share = isinstance(n_components, float)
    if features == "autoencoder":
        n = (
            PCA(n_components, svd_solver="full").fit(inputs).n_components_
            if share
            else n_components
        )
        return AutoencoderFeatures(int(n), random_state=chance)
    if not share and n_components > min(inputs.shape):
        raise ParameterError(
            f"`n_components` may be at most {min(inputs.shape)} for X of shape {inputs.shape}, got "
            f"{n_components}."
        )
    return PCA(n_components, svd_solver="full" if share else "auto", random_state=chance)


def kept_components(features: Any, inputs: NDArray[Any]) -> Any:
    """Index the principal components that vary by more than rounding; warn where some do not.

    Parameters
    ----------
    features : fitted transformer
        Any but a PCA keeps all that it gives.
    inputs : ndarray of shape (n_samples, ...)
        What it was fitted on.

    Warns
    -----
    PncvizWarning
        Components are left out: scaled to unit variance, rounding would count like all others.
    """
    if not isinstance(features, PCA):
        return slice(None)
    deviation = features.transform(inputs).std(axis=0)
    # The transform multiplies before it subtracts the mean, so that its rounding is of `inputs`.
    largest = max(float(deviation.max()), float(np.abs(inputs).max()))
    kept = deviation > np.finfo(np.float64).eps * largest * np.sqrt(max(inputs.shape))
    kept[deviation.argmax()] = True  # the inputs do differ
    if not kept.all():
        warnings.warn(
            f"{kept.sum()} of {len(kept)} principal components are kept; the others vary by no "
            "more than rounding.",
            PncvizWarning,
            stacklevel=4,
        )
    return np.flatnonzero(kept)
