"""Few numbers that say most of an image: the narrow layer of a net that reproduces its input."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

from pncviz.exceptions import ParameterError

__all__ = ["AutoencoderFeatures"]


class AutoencoderFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """Features of an autoencoder: scikit-learn's ``MLPRegressor`` from inputs to themselves.

    Parameters
    ----------
    n_components : int, default=16
        Units of the narrow layer.
    hidden : int, default=128
        Units of the layers before and behind it.
    max_iter : int, default=20
        Epochs.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    explained_variance_ratio_ : float
        Share of the training inputs' variance that is reproduced.
    n_features_in_ : int

    Notes
    -----
    All layers are tanh. Training ends after ``max_iter`` epochs, whether or not the loss still
    falls.

    References
    ----------
    hinton2006reducing.

    Examples
    --------
    >>> from pncviz import load_dataset
    >>> X = load_dataset("digits").X.reshape(-1, 64)
    >>> features = AutoencoderFeatures(n_components=4, hidden=32, max_iter=30, random_state=0)
    >>> features.fit_transform(X).shape, features.explained_variance_ratio_ > 0.3
    ((1347, 4), True)
    """

    def __init__(
        self,
        n_components: int = 16,
        *,
        hidden: int = 128,
        max_iter: int = 20,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> AutoencoderFeatures:  # noqa: ARG002 # scikit-learn's form
        """Train the net.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Raises
        ------
        ParameterError
            A number that is no positive integer.
        ValueError
            X cannot be used.
        """
        for name in ("n_components", "hidden", "max_iter"):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or value < 1:
                raise ParameterError(f"`{name}` must be a positive integer, got {value!r}.")
        samples = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        self._mean = samples.mean(axis=0)
        # One scale for all features: a border that is nearly constant must not count like the rest.
        self._size = float(np.sqrt(((samples - self._mean) ** 2).mean())) or 1.0
        scaled = (samples - self._mean) / self._size
        self.net_ = MLPRegressor(
            hidden_layer_sizes=(self.hidden, self.n_components, self.hidden),
            activation="tanh",
            max_iter=self.max_iter,
            n_iter_no_change=self.max_iter,
            random_state=self.random_state,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is chosen
            self.net_.fit(scaled, scaled if scaled.shape[1] > 1 else scaled.ravel())
        self.n_iter_ = int(self.net_.n_iter_)
        self._n_features_out = self.n_components
        left = self.inverse_transform(self.transform(samples)) - samples
        total = float(((samples - self._mean) ** 2).sum())
        self.explained_variance_ratio_ = 1 - float((left**2).sum()) / total if total else 0.0
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Give the narrow layer's values, each between -1 and 1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        check_is_fitted(self, "net_")
        samples = validate_data(self, X, dtype=np.float64, reset=False)
        found = (samples - self._mean) / self._size
        for weights, bias in zip(self.net_.coefs_[:2], self.net_.intercepts_[:2], strict=True):
            found = np.tanh(found @ weights + bias)
        return np.asarray(found, dtype=np.float64)

    def inverse_transform(self, X: Any) -> NDArray[np.float64]:
        """Give the inputs that the net makes of the narrow layer's values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self, "net_")
        found = np.asarray(X, dtype=np.float64)
        weights, biases = self.net_.coefs_[2:], self.net_.intercepts_[2:]
        found = np.tanh(found @ weights[0] + biases[0]) @ weights[1] + biases[1]
        return np.asarray(found * self._size + self._mean, dtype=np.float64)
