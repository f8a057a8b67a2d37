"""Patterns and contrasts as classifiers: each sample goes to the image that it is most like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from pncviz.dataset import validate
from pncviz.dataset.builder import as_labels
from pncviz.exceptions import DataError, DataTypeError, LabelError, ResultError
from pncviz.inference.spectrum import check_labels_known, leading_coords
from pncviz.metrics import find_metric, similarity_matrix

__all__ = ["template_accuracy"]

#: Values of X and of similarities per piece, so that copies in float64 stay at some 32 MB.
_VALUES = 2**22
_LEVEL = 0.95
_VARIABLE = {"patterns": "pattern", "contrasts": "contrast"}


def template_accuracy(
    images: xr.Dataset, X: ArrayLike, y: ArrayLike, *, metric: str = "pearson"
) -> xr.Dataset:
    """Classify samples by the class image that they are most like, and count the hits.

    A sample that is equally like another class's image is no hit.

    Parameters
    ----------
    images : xarray.Dataset
        Patterns or contrasts; leading dimensions (such as ``strategy``) are kept.
    X : array-like of shape (n_samples, n_features) or (n_samples, *image_shape)
        Samples that neither the model nor the contrasts were made from.
    y : array-like of shape (n_samples,)
        Labels, each one of the images'. Classes without samples are allowed.
    metric : str, default="pearson"
        Of a metric whose smaller values are better, the smallest counts.

    Returns
    -------
    xarray.Dataset
        ``accuracy`` on the leading dimensions, the share of hits; ``lower`` and ``upper``, its
        95 % interval after Clopper and Pearson, for samples drawn independently; and
        ``n_samples``.

    Raises
    ------
    DataError, DataTypeError
        X has another shape than the images, no samples, or values that are not finite numbers.
    LabelError
        y has labels that the images lack, labels of another type, or not one for each sample.
    ResultError
        ``images`` is not what it should be.
    UnknownNameError
        No metric of that name.

    References
    ----------
    clopper1934use.

    Examples
    --------
    >>> from pncviz import load_dataset, positive_negative_contrast
    >>> data = load_dataset("digits")
    >>> contrasts = positive_negative_contrast(data.X, data.y)
    >>> found = template_accuracy(contrasts, data.X_test, data.y_test)
    >>> bool(found["lower"] < found["accuracy"]), float(found["accuracy"]) > 0.8
    (True, True)
    """
    validate(images)
    if images.attrs["kind"] not in _VARIABLE:
        raise ResultError(f"`images` must be patterns or contrasts, got {images.attrs['kind']}.")
    higher = find_metric(metric).higher_is_better
    stack = images[_VARIABLE[images.attrs["kind"]]]
    place = stack.dims.index("label")
    leading, image_shape = stack.shape[:place], stack.shape[place + 1 :]
    samples = _checked_samples(X, image_shape)
    codes = _codes(y, stack["label"].values, len(samples))
    templates = stack.values.reshape(-1, *image_shape)
    k, hits = stack.sizes["label"], np.zeros(math.prod(leading), dtype=np.int64)
    rows = max(1, _VALUES // max(math.prod(image_shape), len(templates)))
    for first in range(0, len(samples), rows):
        part = _piece(samples[first : first + rows], image_shape)
        values = similarity_matrix(part, templates, metric).reshape(len(part), -1, k)
        hits += _hits(values if higher else -values, codes[first : first + rows])
    return _labelled(stack, stack.dims[:place], hits.reshape(leading), len(samples))


def _hits(values: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the samples (n, leading, label) whose own class alone is best, for each leading."""
    own = np.take_along_axis(values, codes[:, None, None], axis=2)
    hits: NDArray[np.int64] = ((values >= own).sum(axis=2) == 1).sum(axis=0)
    return hits


def _checked_samples(X: ArrayLike, image_shape: tuple[int, ...]) -> NDArray[Any]:
    samples = np.asarray(X)
    if samples.dtype.kind not in "biuf":
        raise DataTypeError(
            f"X must hold real numbers, got dtype {samples.dtype}; convert it, such as with "
            "X.astype(float)."
        )
    shapes = [(math.prod(image_shape),), image_shape]
    if image_shape[0] == 1 and len(image_shape) == 3:
        shapes.append(image_shape[1:])
    if samples.ndim < 2 or not len(samples) or samples.shape[1:] not in shapes:
        raise DataError(
            "X must hold at least one sample, each of shape "
            f"{' or '.join(map(str, dict.fromkeys(shapes)))} like the images; got an array of "
            f"shape {samples.shape}."
        )
    return samples


def _piece(samples: NDArray[Any], image_shape: tuple[int, ...]) -> NDArray[np.float64]:
    part = samples.astype(np.float64).reshape(-1, *image_shape)
    if not np.isfinite(part).all():
        raise DataError("X contains NaN or infinity; remove or fill those samples.")
    return part


def _codes(y: ArrayLike, labels: NDArray[Any], n_samples: int) -> NDArray[np.int64]:
    """Give the place of each sample's label among those of the images."""
    found = as_labels("y", y)
    if found.shape != (n_samples,):
        raise LabelError(
            f"y must hold one label per sample ({n_samples}), got shape {found.shape}."
        )
    unique, inverse = np.unique(found, return_inverse=True)
    check_labels_known(unique, labels, "y", "images")
    places = {label: place for place, label in enumerate(labels.tolist())}
    return np.array([places[label] for label in unique.tolist()], dtype=np.int64)[inverse]


def _labelled(
    stack: xr.DataArray, dims: tuple[Any, ...], hits: NDArray[np.int64], n: int
) -> xr.Dataset:
    lower, upper = (np.empty(hits.shape) for _ in range(2))
    for place in np.ndindex(hits.shape):
        interval = binomtest(int(hits[place]), n).proportion_ci(_LEVEL, method="exact")
        lower[place], upper[place] = interval.low, interval.high
    percent = f"{_LEVEL:.0%} interval of the accuracy"
    variables = {
        "accuracy": (hits / n, "share of samples nearest to their own class's image"),
        "lower": (lower, f"{percent} from"),
        "upper": (upper, f"{percent} to"),
    }
    found = xr.Dataset(
        {
            name: (dims, values, {"long_name": long_name, "units": "1"})
            for name, (values, long_name) in variables.items()
        },
        coords=leading_coords(stack, *dims),
        attrs={"confidence_level": _LEVEL},
    )
    found["n_samples"] = ((), n, {"long_name": "samples", "units": "1"})
    return found
