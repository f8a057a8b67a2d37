"""Which output unit belongs to which label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pncviz.data import check_labels, encode_labels
from pncviz.exceptions import LabelError, ModelError
from pncviz.specs import Model

__all__ = ["as_prepared", "resolve_units"]


def resolve_units(
    model: Model, *, classes: ArrayLike | None = None, y: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Give the model's classes and the output unit of each.

    In this order: ``classes`` names the units; as many labels as units means position; integer
    labels that all lie in 0..n_units-1 *are* the units. The labels are those that the estimator
    knows, or else those in ``y``, or else 0..n_units-1.

    Parameters
    ----------
    model : Model
    classes : array-like of shape (n_classes,), optional
        The labels of the first units, in order.
    y : ndarray of shape (n_samples,), optional
        Labels in the data.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    units : int64 ndarray of shape (n_classes,)

    Raises
    ------
    ModelError
        Fewer units than classes, or no rule fits.
    LabelError
        ``y`` has a label that the model does not have, or ``classes`` repeats one.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> model = TorchModel(torch.nn.Linear(4, 10), input_shape=(4,))
    >>> resolve_units(model, y=np.array([0, 5, 9, 5]))
    (array([0, 5, 9]), array([0, 5, 9]))
    """
    found = None if y is None else np.unique(y)
    if classes is not None:
        named = _named(classes, model.n_units)
        _refuse_foreign(found, named)
        return named, np.arange(len(named))
    known = found
    if model.classes is not None:  # skorch may have seen 0 and 1 as floats
        known = check_labels(model.classes, len(model.classes))
    if known is None:
        return np.arange(model.n_units), np.arange(model.n_units)
    if found is not None and model.classes is not None:
        if _are_codes(known) and found.dtype.kind == "U" and len(found) == len(known):
            known = found  # fitted on codes, asked about names: sorted names are the codes
        _refuse_foreign(found, known)
    if len(known) > model.n_units:
        raise ModelError(
            f"The model has {model.n_units} output units, fewer than the {len(known)} classes "
            f"{known.tolist()[:10]}."
        )
    if len(known) == model.n_units:
        return known, np.arange(model.n_units)
    if known.dtype.kind in "iu" and known.min() >= 0 and known.max() < model.n_units:
        return known, known.astype(np.int64)
    raise ModelError(
        f"The model has {model.n_units} output units and the labels are {known.tolist()[:10]}; say "
        "which label each unit stands for with `classes`."
    )


def _named(classes: ArrayLike, n_units: int) -> NDArray[Any]:
    try:
        named = check_labels(classes, len(np.atleast_1d(np.asarray(classes, dtype=object))))
    except LabelError as error:
        raise LabelError(f"`classes` must be one label per output unit: {error}") from error
    if not len(named) or len(np.unique(named)) != len(named):
        raise LabelError(f"`classes` must be distinct labels, got {named.tolist()!r:.200}.")
    if len(named) > n_units:
        raise ModelError(f"`classes` names {len(named)} units, but the model has {n_units}.")
    return named


def _are_codes(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind in "iu" and np.array_equal(labels, np.arange(len(labels)))


def _refuse_foreign(found: NDArray[Any] | None, known: NDArray[Any]) -> None:
    if found is None:
        return
    foreign = sorted(set(found.tolist()) - set(known.tolist()), key=str)
    if foreign:
        raise LabelError(
            f"y has labels that the model does not have: {foreign[:10]}. Its classes are "
            f"{known.tolist()[:10]}."
        )


def as_prepared(
    X: NDArray[Any] | None,
    y: NDArray[Any] | None,
    classes: NDArray[Any],
    units: NDArray[np.int64],
) -> tuple[NDArray[Any] | None, NDArray[np.int64] | None]:
    """Give samples and labels as strategies and attacks prepare on them: units, write-protected.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...) or None
    y : ndarray of shape (n_samples,) or None
    classes, units : the model's labels, and the output unit of each

    Examples
    --------
    >>> y, classes = np.array(["owl", "cat"]), np.array(["cat", "owl"])
    >>> as_prepared(None, y, classes, np.array([5, 7]))
    (None, array([7, 5]))
    """
    codes = None if y is None else units[encode_labels(y, classes)[1]]
    return _read_only(X), _read_only(codes)


def _read_only(array: Any) -> Any:
    if array is None:
        return None
    view = array.view()
    view.flags.writeable = False
    return view
