"""What takes inputs to few dimensions."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.decomposition import PCA

from pncviz.exceptions import ParameterError
from pncviz_detection.autoencoder import AutoencoderFeatures

__all__ = ["make_features"]


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
