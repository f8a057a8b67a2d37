"""The `transform` of both estimators: samples against one image per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from pncviz.data import check_same_shape, check_samples, output_names, refuse_overflow
from pncviz.metrics import similarity_matrix

if TYPE_CHECKING:
    from pncviz.report import Report

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

    def generate_report(self, *others: Any, **options: Any) -> Report:
        """Make a page of what was fitted, beside other results.

        Parameters
        ----------
        *others : xarray.Dataset or fitted estimator
            Patterns, contrasts or similarities, or estimators that hold the former two.
        **options
            Of :func:`~pncviz.report.generate_report`, such as ``title`` and ``metrics``.

        Returns
        -------
        Report
            With ``save(path)``; in a notebook it shows itself.

        Raises
        ------
        NotFittedError
            This estimator, or one of the others, is not fitted.
        """
        from pncviz.report import generate_report  # jinja2 is not needed for anything else

        results = [_result(one) for one in (self, *others)]
        return generate_report(*results, **options)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _result(one: Any) -> Any:
    """Give the dataset of a fitted estimator; anything else as it is."""
    if not isinstance(one, SimilarityTransformer):
        return one
    check_is_fitted(one, "classes_")
    return one.patterns_ if hasattr(one, "patterns_") else one.contrasts_
