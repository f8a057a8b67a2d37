"""The detector: how natural an input is, by the density of natural inputs in a few dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from pncviz.data import check_labels, resolve_seed
from pncviz.exceptions import DataError, LabelError
from pncviz_detection.checks import check_parameters, places_of
from pncviz_detection.densities import Density, threshold_of
from pncviz_detection.features import kept_components, make_features

__all__ = ["NaturalnessDetector"]

#: What is left out is rounding below this, in units of the input.
_LEAST = 1e-6


class NaturalnessDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """Say how natural an input is: the log density of natural inputs in learnt features.

    Parameters
    ----------
    features : "pca", "autoencoder" or transformer, default="pca"
        What takes inputs to few dimensions. A transformer, such as
        :class:`~pncviz.LayerActivations` before a PCA in a pipeline, is cloned and fitted;
        ``FrozenEstimator`` keeps a fitted one. Its output is flattened and scaled to unit
        variance.
    n_components : int or float, default=0.7
        Of "pca" and "autoencoder": their number, or the share of the variance that principal
        components must hold; the autoencoder has as many units.
    residual : bool, default=False
        Take the logarithm of the root mean square of what the features leave out of an input for
        one more feature: without it, a density in few dimensions knows nothing of all others. The
        transformer must have ``inverse_transform``.
    bandwidth : "scott", "silverman", "cv" or float, default="scott"
        Of the Gaussian kernel, in standard deviations of the features. "cv": the one of nine about
        Scott's that gives held-out folds the greatest likelihood.
    per_class : bool, default=False
        One density per class, which takes labels; the score is the greatest of them, whatever
        the class's frequency.
    false_alarm_rate : float, default=0.05
        Share of natural inputs that ``predict`` is to call unnatural.
    max_samples : int, optional
        The most samples behind each density, drawn at random; bounds time and memory. All by
        default.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    features_ : the fitted transformer
    bandwidth_ : ndarray of shape (n_densities,)
    offset_ : float
        Log density, in nats, below which an input is called unnatural: the quantile of the samples
        behind the densities, each scored without itself.
    n_dimensions_ : int
        Of the densities; components whose variance is rounding are left out, with a warning.
    classes_ : ndarray of shape (n_classes,)
        With ``per_class`` only.
    n_features_in_ : int

    References
    ----------
    feinman2017detecting.

    Examples
    --------
    >>> from pncviz import load_dataset
    >>> data = load_dataset("digits")
    >>> detector = NaturalnessDetector(residual=True, random_state=0).fit(data.X)
    >>> noise = np.random.default_rng(0).uniform(size=(100, 1, 8, 8))
    >>> bool((detector.predict(noise) == -1).all())
    True
    >>> bool((detector.predict(data.X_test) == 1).mean() > 0.85)
    True
    """

    def __init__(
        self,
        features: Any = "pca",
        *,
        n_components: float = 0.7,
        residual: bool = False,
        bandwidth: float | str = "scott",
        per_class: bool = False,
        false_alarm_rate: float = 0.05,
        max_samples: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.features = features
        self.n_components = n_components
        self.residual = residual
        self.bandwidth = bandwidth
        self.per_class = per_class
        self.false_alarm_rate = false_alarm_rate
        self.max_samples = max_samples
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> NaturalnessDetector:
        r"""Learn the features and the densities of natural inputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, \*image_shape)
        y : array-like of shape (n_samples,), optional
            Classes, for ``per_class``; else not looked at.

        Raises
        ------
        ParameterError
            A parameter is wrong, or the bandwidth is too small for any density.
        DataError
            Inputs that do not differ.
        LabelError
            ``per_class`` without labels, or with a class of one sample.
        ValueError
            X cannot be used.
        """
        check_parameters(self)
        seed = resolve_seed(self.random_state)
        samples = validate_data(self, X, dtype="numeric", allow_nd=True, ensure_min_samples=2)
        groups = self._groups(samples, y)
        rows = self._learn(samples, seed)
        rng = np.random.default_rng([seed % 2**32, 1])
        most = self.max_samples
        kept = [
            group if most is None or len(group) <= most else rng.choice(group, most, replace=False)
            for group in groups
        ]
        self._densities = [Density(rows[g], self.bandwidth, seed % 2**32) for g in kept]
        self.bandwidth_ = np.array([density.bandwidth for density in self._densities])
        left_out = [self._left_out(rows[group], i) for i, group in enumerate(kept)]
        self.offset_ = threshold_of(left_out, self.false_alarm_rate, self.bandwidth)
        return self

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Give the log density of each input, in nats; larger is more natural.

        Returns
        -------
        ndarray of shape (n_samples,)
            With ``per_class``, of the class that it fits best.
        """
        return np.asarray(self.class_score_samples(X).max(axis=1), dtype=np.float64)

    def class_score_samples(self, X: Any, labels: ArrayLike | None = None) -> NDArray[np.float64]:
        """Give the log density of each input under each class, or under a class of its own.

        Parameters
        ----------
        X : array-like, as in ``fit``
        labels : array-like of shape (n_samples,), optional
            A class for each input, such as a classifier's predictions.

        Returns
        -------
        ndarray of shape (n_samples, n_densities), or (n_samples,) with labels
            In the order of ``classes_``; of one column without ``per_class``.

        Raises
        ------
        LabelError
            Labels that are no classes, or without ``per_class``.
        """
        check_is_fitted(self, "offset_")
        samples = validate_data(self, X, dtype="numeric", allow_nd=True, reset=False)
        if (shape := samples.shape[1:]) != self._shape:
            raise DataError(f"Samples of shape {shape} came, but fit saw {self._shape}.")
        rows = self._rows(samples)
        scores = np.stack([density.score(rows) for density in self._densities], axis=1)
        if labels is None:
            return scores
        if not self.per_class:
            raise LabelError("Only a detector with `per_class=True` knows densities of classes.")
        columns = places_of(labels, self.classes_, len(scores))
        return np.asarray(scores[np.arange(len(scores)), columns], dtype=np.float64)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Give the log density above the threshold; negative is unnatural."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Give 1 for natural inputs and -1 for others."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _groups(self, samples: NDArray[Any], y: Any) -> list[NDArray[np.int64]]:
        """Give the rows behind each density."""
        if not self.per_class:
            return [np.arange(len(samples))]
        if y is None:
            raise LabelError("`per_class=True` takes labels: fit(X, y).")
        labels = check_labels(y, len(samples))
        self.classes_, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        if (counts < 2).any():
            raise LabelError(
                f"The classes {self.classes_[counts < 2].tolist()[:10]} have one sample each; a "
                "density takes two."
            )
        return [np.flatnonzero(codes == code) for code in range(len(self.classes_))]

    def _learn(self, samples: NDArray[Any], seed: int) -> NDArray[np.float64]:
        """Fit the features and their scale; give the training rows."""
        self._shape = samples.shape[1:]
        inputs = self._inputs(samples)
        if not (inputs != inputs[:1]).any():
            raise DataError("X holds the same sample over and over; there is no density of it.")
        self.features_ = make_features(self.features, self.n_components, inputs, seed)
        self.features_.fit(inputs, None)  # a frozen one demands a second argument
        self._kept = kept_components(self.features_, inputs)
        found = self._found(inputs)
        self._scaler = StandardScaler().fit(found)
        if self.residual and self._scaler.scale_[-1] < _LEAST:
            self._scaler.scale_[-1] = 1.0  # nothing is left out but rounding
        self.n_dimensions_ = found.shape[1]
        return np.asarray(self._scaler.transform(found), dtype=np.float64)

    def _left_out(self, rows: NDArray[np.float64], own: int) -> NDArray[np.float64]:
        """Score the rows behind one density as new ones would be: by it without themselves."""
        scores = [
            density.score_left_out() if i == own else density.score(rows)
            for i, density in enumerate(self._densities)
        ]
        return np.asarray(np.max(scores, axis=0), dtype=np.float64)

    def _inputs(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Named features take flat inputs, a transformer takes them as they come."""
        if isinstance(self.features, str):
            return samples.reshape(len(samples), -1).astype(np.float64, copy=False)
        return samples

    def _rows(self, samples: NDArray[Any]) -> NDArray[np.float64]:
        found = self._scaler.transform(self._found(self._inputs(samples)))
        return np.asarray(found, dtype=np.float64)

    def _found(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Give the features, each sample's flat, and what they leave out if that counts, too."""
        found = np.asarray(self.features_.transform(inputs), dtype=np.float64)
        found = found.reshape(len(found), -1)
        kept = found[:, self._kept]
        if not self.residual:
            return kept
        back = np.asarray(self.features_.inverse_transform(found)).reshape(inputs.shape)
        left = np.sqrt(((inputs - back) ** 2).reshape(len(found), -1).mean(axis=1))
        return np.column_stack([kept, np.log(left + _LEAST)])
