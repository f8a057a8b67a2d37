"""The `transform` of both estimators: samples against one image per class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from pncviz.data import check_same_shape, check_samples, output_names, refuse_overflow
from pncviz.metrics import similarity_matrix

__all__ = ["SimilarityTransformer"]


class SimilarityTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """Base of the two estimators: fitted, they hold an image per class.

    A subclass has the parameter ``similarity``, sets ``image_shape_`` and ``_sample_shape`` in
    ``fit``, and gives :meth:`_class_images`.
    """

    similarity: str
    image_shape_: tuple[int, ...]
    _sample_shape: tuple[int, ...]

    def _class_images(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give the labels and their images; raises NotFittedError before ``fit``."""
        raise NotImplementedError

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Compare each sample with each class's image.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_labels)
            In the units of the metric; a column per label.

        Raises
        ------
        NotFittedError
        ValueError
            X cannot be used, or has samples of another shape than in ``fit``.
        """
        _, images = self._class_images()
        samples = check_samples(X, estimator=self, reset=False)
        check_same_shape(samples, self._sample_shape)
        if samples.dtype.kind == "f":
            refuse_overflow(samples)
        return similarity_matrix(samples.reshape(-1, *self.image_shape_), images, self.similarity)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Name the columns of ``transform``: the metric and the label."""
        labels, _ = self._class_images()
        return output_names(self, self.similarity, labels, input_features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
