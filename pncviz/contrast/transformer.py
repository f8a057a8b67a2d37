"""Contrasts as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any

import xarray as xr
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from pncviz.contrast.accumulator import MAX_BYTES, N_BLOCKS, Accumulator
from pncviz.contrast.arithmetic import check_normalize, contrast_dataset
from pncviz.contrast.sorting import check_all_called, sort_by_model
from pncviz.contrast.sources import checked_source, pieces
from pncviz.data import (
    check_labels,
    check_same_shape,
    resolve_image_shape,
)
from pncviz.dataset import image_dims
from pncviz.exceptions import LabelError, ParameterError
from pncviz.similarity import SimilarityTransformer

__all__ = ["PNCTransformer"]

_LABELS_FROM = ("y", "prediction", "probability")


class PNCTransformer(SimilarityTransformer):
    """Positive-negative contrasts of the classes; transforms samples to similarities with them.

    Parameters
    ----------
    normalize : {"minmax", None}, default="minmax"
        Scale each mean to 0..1 before subtracting, as the paper does, or leave it raw.
    labels_from : {"y", "prediction", "probability"}, default="y"
        Whose labels sort the samples: the data's, or those of ``estimator``, hard or soft.
    estimator : classifier, optional
        Needed unless ``labels_from="y"``. Fitted on (X, y) first, unless in ``FrozenEstimator``.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        How to label and draw flat samples.
    similarity : str, default="pearson"
        The metric of ``transform``.
    n_blocks : int, default=20
        Keep sums over so many interleaved blocks of samples, for intervals and reliability; 0
        keeps none.
    max_bytes : int
        Refuse to start if sums and results would take more.

    Attributes
    ----------
    contrasts_ : xarray.Dataset
        See :func:`~pncviz.positive_negative_contrast`.
    classes_ : ndarray of shape (n_classes,)
    image_shape_ : tuple of int
    n_features_in_ : int
    estimator_ : classifier
        Unless ``labels_from="y"``.

    References
    ----------
    dough2020, section 2.5.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> X, y = load_digits(return_X_y=True)
    >>> model = make_pipeline(PNCTransformer(image_shape=(8, 8)), LogisticRegression())
    >>> model.fit(X, y).score(X, y) > 0.9
    True
    """

    _totals: Accumulator

    def __init__(
        self,
        *,
        normalize: str | None = "minmax",
        labels_from: str = "y",
        estimator: Any = None,
        image_shape: tuple[int, ...] | None = None,
        similarity: str = "pearson",
        n_blocks: int = N_BLOCKS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.normalize = normalize
        self.labels_from = labels_from
        self.estimator = estimator
        self.image_shape = image_shape
        self.similarity = similarity
        self.n_blocks = n_blocks
        self.max_bytes = max_bytes

    def fit(self, X: Any, y: Any = None) -> PNCTransformer:
        """Learn the contrasts.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), (n_samples, rows, columns) or \
                (n_samples, channels, rows, columns)
            May be memory-mapped or a dask array; it is read once and not held whole. Class sums
            of dask blocks are computed where the blocks lie; if a model sorts the samples, the
            blocks come here one after the other, and ``estimator`` must be frozen.
        y : array-like of shape (n_samples,)
            A dask array is computed.

        Raises
        ------
        ValueError
            X or y cannot be used, or there is only one class.
        """
        self._check_params()
        given, X = X, self._checked(X, reset=True)
        labels = check_labels(y, len(X), X=given)
        totals = self._empty()
        if self.labels_from == "y":
            totals.add(X, labels)
        else:
            estimator, classes, weigh = sort_by_model(
                self.estimator,
                X,
                labels,
                image_shape=self.image_shape_,
                soft=self.labels_from == "probability",
            )
            for piece in pieces(X):
                totals.add_weighted(piece, classes, weigh(piece))
            check_all_called(classes, totals.counts)
            self.estimator_ = estimator
        self._totals, self.classes_ = totals, totals.classes
        self._contrasts = self._dataset()
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> PNCTransformer:
        """Add samples, which may all be of one class.

        Parameters
        ----------
        X : array-like, as for :meth:`fit`
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), optional
            All classes; without it, classes are added as they come.

        Raises
        ------
        ParameterError
            ``labels_from`` is not "y": an estimator must have seen all data first.
        """
        self._check_params()
        if self.labels_from != "y":
            raise ParameterError(
                f'partial_fit needs labels_from="y", got {self.labels_from!r}; use fit.'
            )
        first = not hasattr(self, "_totals")
        given, X = X, self._checked(X, reset=first)
        labels = check_labels(y, len(X), X=given)
        totals = self._empty(classes) if first else self._totals
        if classes is not None:
            totals.check_announced(classes)
        totals.add(X, labels)
        self._totals, self.classes_ = totals, totals.classes
        self.__dict__.pop("_contrasts", None)
        return self

    @property
    def contrasts_(self) -> xr.Dataset:
        """The contrasts of all classes seen so far."""
        check_is_fitted(self, "classes_")
        stored: xr.Dataset | None = getattr(self, "_contrasts", None)
        return self._dataset() if stored is None else stored

    def class_means(self) -> xr.DataArray:
        """Give the mean image of each class, (label, …), not normalised."""
        check_is_fitted(self, "classes_")
        if not (self._totals.counts > 0).all():
            missing = self.classes_[self._totals.counts == 0].tolist()
            raise LabelError(f"No samples of the classes {missing[:10]} yet, so they have no mean.")
        means = (self._totals.sums / self._totals.counts[:, None]).reshape(-1, *self.image_shape_)
        return xr.DataArray(
            means,
            dims=("label", *image_dims(self.image_shape_)),
            coords={"label": self.classes_},
            name="class_mean",
            attrs={"long_name": "class mean", "units": "1"},
        )

    def _class_images(self) -> tuple[NDArray[Any], NDArray[Any]]:
        contrast = self.contrasts_["contrast"]
        return contrast["label"].values, contrast.values

    # ---------------------------------------------------------------------- inside

    def _check_params(self) -> None:
        check_normalize(self.normalize)
        if self.labels_from not in _LABELS_FROM:
            raise ParameterError(
                f"`labels_from` must be one of {', '.join(_LABELS_FROM)}, got {self.labels_from!r}."
            )
        if self.labels_from != "y" and self.estimator is None:
            raise ParameterError(f'labels_from="{self.labels_from}" needs an `estimator`.')

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Check X by its type and shape; its values are seen when they are added up."""
        X = checked_source(X, estimator=self, reset=reset)
        if reset:
            self.image_shape_ = resolve_image_shape(X.shape[1:], self.image_shape)
            self._sample_shape = tuple(X.shape[1:])
        check_same_shape(X, self._sample_shape)
        return X

    def _empty(self, classes: Any = None) -> Accumulator:
        return Accumulator(
            self._sample_shape, classes, n_blocks=self.n_blocks, max_bytes=self.max_bytes
        )

    def _dataset(self) -> xr.Dataset:
        return contrast_dataset(
            self._totals,
            image_shape=self.image_shape_,
            normalize=self.normalize,
            parameters={"labels_from": self.labels_from},
            feature_names=getattr(self, "feature_names_in_", None),
        )
