"""What a dataset must keep to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pncviz.specs import Dataset, DatasetSpec
from pncviz.testing.subject import Subject, make

__all__ = ["check_dataset"]


def check_dataset(
    dataset: str | DatasetSpec | Dataset | Callable[..., Dataset], **params: Any
) -> None:
    """Hold a dataset to its contract.

    Samples must be finite float32, images between 0 and 1; labels of one kind and as many as
    samples; each sorted label named; the test part like the training part; and two calls of the
    factory must give the same data.

    Parameters
    ----------
    dataset : name, DatasetSpec, factory, or Dataset
    **params
        Of the factory.

    Raises
    ------
    AssertionError
        A rule is broken; names the dataset, its distribution, the rule and what came.

    Examples
    --------
    >>> from pncviz.testing import check_dataset
    >>> check_dataset("tiling")
    """
    subject, data = make("dataset", dataset, **params)
    subject.require(isinstance(data, Dataset), "be a pncviz.Dataset", type(data).__name__)
    for name in ("X", "X_test"):
        _check_samples(subject, name, getattr(data, name))
    shape, test = data.X.shape[1:], data.X_test.shape[1:]
    subject.require(shape == test, f"have test samples of the shape {shape}", test)
    _check_labels(subject, data)
    _check_shape(subject, data)
    if data is not dataset:
        _, again = make("dataset", dataset, **params)
        for name in ("X", "y", "X_test", "y_test"):
            same = np.array_equal(getattr(data, name), getattr(again, name))
            subject.require(same, "give equal data at each call", f"another {name}")


def _check_samples(subject: Subject, name: str, X: Any) -> None:
    array = isinstance(X, np.ndarray)
    subject.require(
        array and X.dtype == np.float32,
        f"have `{name}`, a float32 ndarray",
        X.dtype if array else type(X).__name__,
    )
    subject.require(
        X.ndim in (2, 4) and X.size,
        f"have `{name}` of shape (n_samples, n_features) or (n_samples, channels, rows, columns)",
        X.shape,
    )
    subject.require(np.isfinite(X).all(), f"have finite numbers in `{name}`", "NaN or infinity")


def _check_labels(subject: Subject, data: Dataset) -> None:
    kinds = set()
    for X, name in ((data.X, "y"), (data.X_test, "y_test")):
        y = getattr(data, name)
        subject.require(isinstance(y, np.ndarray), f"have `{name}`, an ndarray", type(y).__name__)
        subject.require(y.shape == (len(X),), f"have `{name}` of shape ({len(X)},)", y.shape)
        kinds |= {type(label).__name__ for label in y.tolist()}
    subject.require(
        len(kinds) == 1 and kinds <= {"int", "str", "bool"},
        "have labels of one kind, integers or text",
        sorted(kinds),
    )
    labels, names = np.unique(np.concatenate([data.y, data.y_test])), data.class_names
    words = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
    subject.require(words, "have `class_names`, a tuple of str", names)
    named = len(names) == len(labels)
    subject.require(named, f"have a class name for each of the {len(labels)} labels", names)


def _check_shape(subject: Subject, data: Dataset) -> None:
    shape = data.image_shape
    if shape is None:
        subject.require(data.X.ndim == 2, "have an `image_shape` for images", None)
        return
    whole = isinstance(shape, tuple) and len(shape) == 3
    subject.require(whole, "have `image_shape` (channels, rows, columns) or None", shape)
    sample = data.X.shape[1:]
    fits = sample in (shape, (math.prod(shape),))
    subject.require(fits, f"have an `image_shape` that fits samples of shape {sample}", shape)
    low = min(float(data.X.min()), float(data.X_test.min()))
    high = max(float(data.X.max()), float(data.X_test.max()))
    subject.require(low >= 0 and high <= 1, "have images between 0 and 1", (low, high))
