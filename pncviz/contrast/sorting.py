"""Whose labels sort the samples, if not the data's: a model's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.data import as_float32, encode_labels
from pncviz.exceptions import AdapterError, LabelError
from pncviz.specs import Model

__all__ = ["sort_by_model"]


def sort_by_model(
    estimator: Any,
    X: Any,
    labels: NDArray[Any],
    *,
    image_shape: tuple[int, ...],
    soft: bool,
) -> tuple[Any, NDArray[Any], NDArray[np.float64]]:
    """Fit the estimator, unless it is frozen, and ask it to which class each sample belongs.

    Parameters
    ----------
    estimator : classifier, FrozenEstimator or torch.nn.Module
    X : array-like of shape (n_samples, ...)
    labels : ndarray of shape (n_samples,)
    image_shape : tuple of int
    soft : bool
        Probabilities rather than the likeliest class.

    Returns
    -------
    estimator : fitted
    classes : ndarray of shape (n_classes,)
    weights : ndarray of shape (n_samples, n_classes)

    Raises
    ------
    LabelError
        The model never predicts one of the classes.
    AdapterError
        ``soft``, and the model gives no probabilities.
    """
    # Contrasts of the data's own labels need no torch.
    from pncviz.models import adapt, fit_estimator, is_frozen, resolve_units

    samples = as_float32(np.asarray(X))
    classes, codes = encode_labels(labels)
    frozen = is_frozen(estimator)
    if not frozen:
        estimator = fit_estimator(
            estimator, samples, codes, shape=image_shape, n_classes=len(classes)
        )
    model = adapt(estimator, input_shape=samples.shape[1:])
    units = np.arange(len(classes))
    if frozen:
        classes, units = resolve_units(model, y=labels)
    if soft:
        if "probabilities" not in model.capabilities:
            raise AdapterError(
                f'{type(estimator).__name__} gives no probabilities; use labels_from="prediction".'
            )
        share = _ask(model, model.probabilities, samples)[:, units].astype(np.float64)
        return estimator, classes, share / share.sum(axis=1, keepdims=True)
    # One more column than classes: a unit that no class has counts for none.
    place = np.full(model.n_units, len(classes))
    place[units] = np.arange(len(classes))
    called = place[_ask(model, model.labels, samples)]
    hard: NDArray[np.float64] = np.eye(len(classes) + 1)[called][:, :-1]
    if not hard.any(axis=0).all():
        never = classes[~hard.any(axis=0)].tolist()
        raise LabelError(
            f"The model never predicts {never[:10]}, so these classes have no contrast; use "
            'labels_from="probability".'
        )
    return estimator, classes, hard


def _ask(model: Model, method: Callable[[Any], Any], samples: NDArray[Any]) -> NDArray[Any]:
    """Put all samples to a model, a batch at a time."""
    import torch

    parts = []
    with model.session(), torch.no_grad():
        for first in range(0, len(samples), model.batch_size):
            x = model.tensor(samples[first : first + model.batch_size])
            parts.append(method(x).cpu().numpy())
    return np.concatenate(parts)
