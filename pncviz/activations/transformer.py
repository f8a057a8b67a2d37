"""Activations of a layer as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from pncviz.activations.reading import check_reading, layered_model, read_layer, shape_of_layer
from pncviz.data import (
    as_float32,
    check_labels,
    check_same_shape,
    check_samples,
    encode_labels,
    output_names,
    resolve_image_shape,
    resolve_seed,
)
from pncviz.exceptions import LabelError
from pncviz.models import fit_estimator, is_frozen
from pncviz.specs import Model

__all__ = ["LayerActivations"]


class LayerActivations(TransformerMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    r"""Take samples to what a layer of a model makes of them.

    The contrast of these is the contrast at that layer:
    ``positive_negative_contrast(LayerActivations(net, layer="conv2").fit_transform(X), y)``. It
    takes ``image_shape=layer_shape_`` where a layer of many channels has few columns, which would
    else be taken for channels last.

    Parameters
    ----------
    estimator : skorch net, torch.nn.Module, or scikit-learn classifier
        ``FrozenEstimator(net)`` and a bare module are used as they are. Anything else is cloned
        and fitted by ``fit(X, y)``, whether fitted before or not, as in every scikit-learn
        pipeline; ``fit(X)``, without labels, uses a fitted one as it is.
    layer : str
        By ``module.named_modules()``. Of one that runs several times, the last output.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        What a net that is fitted here is told of flat samples.
    classes : array-like of shape (n_classes,), optional
        All labels, in the order of the units, for a net that is fitted here.
    batch_size : int, optional
        The most inputs at once; bounds memory.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What a bare module gives.
    adapter : str, optional
        Force the adapter of that name.
    random_state : int, RandomState, Generator or None, default=None
        Of a net that is fitted here.

    Attributes
    ----------
    estimator_ : the fitted estimator
    layer_shape_ : tuple of int
        Of one sample's activations: (channels, rows, columns), (units,), or as the layer gives it.
    n_features_in_ : int

    Examples
    --------
    >>> import torch
    >>> from pncviz import LayerActivations, load_dataset, positive_negative_contrast
    >>> data = load_dataset("digits")
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(),
    ...                           torch.nn.Linear(144, 10))
    >>> layer = LayerActivations(net, layer="0").fit(data.X)
    >>> contrasts = positive_negative_contrast(
    ...     layer.transform(data.X), data.y, image_shape=layer.layer_shape_)
    >>> contrasts["contrast"].shape
    (10, 4, 6, 6)
    """

    def __init__(
        self,
        estimator: Any,
        *,
        layer: str,
        image_shape: tuple[int, ...] | None = None,
        classes: Any = None,
        batch_size: int | None = None,
        output: str = "auto",
        adapter: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.layer = layer
        self.image_shape = image_shape
        self.classes = classes
        self.batch_size = batch_size
        self.output = output
        self.adapter = adapter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> LayerActivations:
        """Find the layer, having fitted the estimator if there are labels and it is not frozen.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), (n_samples, rows, columns) or \
                (n_samples, channels, rows, columns)
            The model sees samples in this shape.
        y : array-like of shape (n_samples,), optional

        Raises
        ------
        ValueError
            X, y or a parameter cannot be used.
        NotFittedError
            There are no labels, and the estimator is neither frozen nor fitted.
        ModelError
            The model cannot be reached, or has no such layer.
        """
        check_reading(self.layer, self.batch_size)
        seed = resolve_seed(self.random_state)
        samples = check_samples(X, estimator=self)
        shape = resolve_image_shape(samples.shape[1:], self.image_shape)
        labels = None if y is None else check_labels(y, len(samples), X=X)
        self.estimator_ = self.estimator
        if labels is not None and not is_frozen(self.estimator):
            self.estimator_ = self._fitted(samples, labels, shape, seed)
        self._sample_shape = samples.shape[1:]
        try:
            model = self._model()
        except NotFittedError as error:
            if labels is not None or is_frozen(self.estimator):
                raise
            raise NotFittedError(
                f"{type(self.estimator).__name__} is not fitted, and to fit it LayerActivations "
                "requires y to be passed, but the target y is None."
            ) from error
        self.layer_shape_ = shape_of_layer(model, self.layer)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        r"""Give the activations of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            As in ``fit``; may be memory-mapped, and is read a batch at a time.

        Returns
        -------
        ndarray of shape (n_samples, \*layer_shape_)
            In units of the layer.

        Raises
        ------
        NotFittedError
        ValueError
            X cannot be used, or has samples of another shape than in ``fit``.
        ModelError
            Activations that are NaN or infinite.
        """
        check_is_fitted(self, "layer_shape_")
        samples = check_samples(X, estimator=self, reset=False)
        check_same_shape(samples, self._sample_shape)
        found = read_layer(
            self._model(),
            self.layer,
            len(samples),
            lambda rows: as_float32(samples[rows.start : rows.stop]),
        )
        return found.astype(np.float32, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Name the activations by layer and place, in the order of a flattened sample."""
        check_is_fitted(self, "layer_shape_")
        places = ["_".join(map(str, place)) for place in np.ndindex(self.layer_shape_)]
        return output_names(self, self.layer, np.array(places), input_features)

    # ---------------------------------------------------------------------- inside

    def _fitted(
        self,
        samples: NDArray[Any],
        labels: NDArray[Any],
        shape: tuple[int, ...],
        seed: int,
    ) -> Any:
        classes, codes = encode_labels(labels, self.classes)
        if len(classes) < 2:
            raise LabelError(
                f"y has only one class, {classes.tolist()}; to fit {type(self.estimator).__name__} "
                "takes two."
            )
        return fit_estimator(
            self.estimator,
            as_float32(samples),
            codes,
            shape=shape,
            n_classes=len(classes),
            seed=seed,
        )

    def _model(self) -> Model:
        return layered_model(
            self.estimator_,
            self.layer,
            input_shape=self._sample_shape,
            output=self.output,
            adapter=self.adapter,
            batch_size=self.batch_size,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = not is_frozen(self.estimator)
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
