"""Whose labels sort the samples, if not the data's: a model's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.contrast.lazy import is_lazy
from pncviz.data import as_float32, encode_labels
from pncviz.exceptions import AdapterError, LabelError, ParameterError
from pncviz.specs import Model

__all__ = ["check_all_called", "sort_by_model"]


_Weigh = Callable[[NDArray[Any]], NDArray[np.float64]]


def sort_by_model(
    estimator: Any,
    X: Any,
    labels: NDArray[Any],
    *,
    image_shape: tuple[int, ...],
    soft: bool,
) -> tuple[Any, NDArray[Any], _Weigh]:
    """Fit the estimator, unless it is frozen; it then says to which class each sample belongs.

    Parameters
    ----------
    estimator : classifier, FrozenEstimator or torch.nn.Module
    X : array-like of shape (n_samples, ...)
        For a frozen estimator its shape alone matters.
    labels : ndarray of shape (n_samples,)
    image_shape : tuple of int
    soft : bool
        Probabilities rather than the likeliest class.

    Returns
    -------
    estimator : fitted
    classes : ndarray of shape (n_classes,)
    weigh : callable
        Takes samples, some or all, and gives shares of shape (n_samples, n_classes).

    Raises
    ------
    AdapterError
        ``soft``, and the model gives no probabilities.
    ParameterError
        A dask X and an estimator that is not frozen, whose training would need X whole.
    """
    # Contrasts of the data's own labels need no torch.
    from pncviz.models import adapt, fit_estimator, is_frozen, resolve_units

    classes, codes = encode_labels(labels)
    frozen = is_frozen(estimator)
    if not frozen:
        if is_lazy(X):
            raise ParameterError(
                "`estimator` must be in FrozenEstimator when X is a dask array, since training "
                f"would hold X whole, got {type(estimator).__name__}; fit it first, on a sample "
                "perhaps."
            )
        samples = as_float32(np.asarray(X))
        estimator = fit_estimator(
            estimator, samples, codes, shape=image_shape, n_classes=len(classes)
        )
    model = adapt(estimator, input_shape=X.shape[1:])
    units = np.arange(len(classes))
    if frozen:
        classes, units = resolve_units(model, y=labels)
    if soft and "probabilities" not in model.capabilities:
        raise AdapterError(
            f'{type(estimator).__name__} gives no probabilities; use labels_from="prediction".'
        )
    return estimator, classes, partial(_shares if soft else _calls, model, units)


def check_all_called(classes: NDArray[Any], counts: NDArray[Any]) -> None:
    """Raise LabelError if the model never predicts one of the classes."""
    if not counts.all():
        never = classes[counts == 0].tolist()
        raise LabelError(
            f"The model never predicts {never[:10]}, so these classes have no contrast; use "
            'labels_from="probability".'
        )


def _shares(model: Model, units: NDArray[Any], X: NDArray[Any]) -> NDArray[np.float64]:
    """Give probabilities, which add up to 1 over the classes."""
    share = _ask(model, model.probabilities, as_float32(X))[:, units].astype(np.float64)
    shares: NDArray[np.float64] = share / share.sum(axis=1, keepdims=True)
    return shares


def _calls(model: Model, units: NDArray[Any], X: NDArray[Any]) -> NDArray[np.float64]:
    """Give 1 for the class that the model predicts and 0 for the others."""
    # One more column than classes: a unit that no class has counts for none.
    n_classes = len(units)
    place = np.full(model.n_units, n_classes)
    place[units] = np.arange(n_classes)
    called = place[_ask(model, model.labels, as_float32(X))]
    hard: NDArray[np.float64] = np.eye(n_classes + 1)[called][:, :-1]
    return hard


def _ask(model: Model, method: Callable[[Any], Any], samples: NDArray[Any]) -> NDArray[Any]:
    """Put all samples to a model, a batch at a time."""
    import torch

    parts = []
    with model.session(), torch.no_grad():
        for first in range(0, len(samples), model.batch_size):
            x = model.tensor(samples[first : first + model.batch_size])
            parts.append(method(x).cpu().numpy())
    return np.concatenate(parts)
