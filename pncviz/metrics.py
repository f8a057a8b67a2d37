"""Metrics applied to stacks of images: every pair, or one by one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pncviz.exceptions import ParameterError, PatternWarning, PluginError
from pncviz.registry import default_registry
from pncviz.specs import MetricSpec

__all__ = ["find_metric", "paired_similarity", "similarity_matrix"]


def find_metric(name: str) -> MetricSpec:
    """Look a metric up by its name; UnknownNameError lists the choices."""
    spec = default_registry().get("metric", name)
    assert isinstance(spec, MetricSpec)  # the registry checked it
    return spec


def similarity_matrix(A: ArrayLike, B: ArrayLike, metric: str = "pearson") -> NDArray[np.float64]:
    """Compare each image of one stack with each of another.

    Similarity with a constant image is 0 (or what the metric says of it).

    Parameters
    ----------
    A : array-like of shape (n, *image_shape)
    B : array-like of shape (m, *image_shape)
    metric : str, default="pearson"

    Returns
    -------
    ndarray of shape (n, m)

    Raises
    ------
    ParameterError
        The stacks hold images of different shapes, or the metric cannot take them.
    PluginError
        The metric raised, or gave NaN.

    Examples
    --------
    >>> images = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> similarity_matrix(images, images).round(2)
    array([[ 1. , -0.5],
           [-0.5,  1. ]])
    """
    spec = find_metric(metric)
    a, b = (np.asarray(stack, dtype=np.float64) for stack in (A, B))
    if a.shape[1:] != b.shape[1:]:
        raise ParameterError(
            f"Images of shapes {a.shape[1:]} and {b.shape[1:]} cannot be compared."
        )
    varied_a, varied_b = _varied(a), _varied(b)
    result = np.full((len(a), len(b)), spec.constant)
    if varied_a.any() and varied_b.any():
        values = _values(a[varied_a], b[varied_b], spec)
        result[np.ix_(varied_a, varied_b)] = values
    return result


def _varied(stack: NDArray[np.float64]) -> NDArray[np.bool_]:
    flat = stack.reshape(len(stack), -1)
    varied: NDArray[np.bool_] = (flat != flat[:, :1]).any(axis=1)
    if not varied.all():
        warnings.warn(
            f"{int((~varied).sum())} of {len(stack)} images are constant, like nothing.",
            PatternWarning,
            stacklevel=3,
        )
    return varied


def _values(
    a: NDArray[np.float64], b: NDArray[np.float64], spec: MetricSpec
) -> NDArray[np.float64]:
    def compute() -> Any:
        if spec.pairwise is not None:
            return spec.pairwise(a.reshape(len(a), -1), b.reshape(len(b), -1))
        return np.array([[spec.function(one, other) for other in b] for one in a])

    return _checked(spec, compute, a.shape[1:], len(a), len(b))


def _checked(
    spec: MetricSpec, compute: Callable[[], Any], image_shape: tuple[int, ...], *shape: int
) -> NDArray[np.float64]:
    """Run a metric, and name it if it raises or gives what is no similarity."""
    try:
        values = compute()
    except ParameterError:
        raise
    except Exception as error:
        raise PluginError(
            f'metric "{spec.name}" failed on images of shape {image_shape}: '
            f"{type(error).__name__}: {error}"
        ) from error
    if np.shape(values) != shape or np.isnan(values).any():
        raise PluginError(
            f'metric "{spec.name}" must give numbers of shape {shape}, got shape '
            f"{np.shape(values)}{' with NaN' if np.isnan(values).any() else ''}."
        )
    return np.asarray(values, dtype=np.float64)


def paired_similarity(A: ArrayLike, B: ArrayLike, metric: str = "pearson") -> NDArray[np.float64]:
    """Compare the images of one stack with those of another, the first with the first and so on.

    Similarity with a constant image is 0 (or what the metric says of it).

    Parameters
    ----------
    A, B : array-like of shape (n, *image_shape)
        One of them may hold a single image, which is compared with all of the other.
    metric : str, default="pearson"

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ParameterError
        The stacks do not fit, or the metric cannot take them.
    PluginError
        The metric raised, or gave NaN.

    Examples
    --------
    >>> images = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> paired_similarity(images, images).round(2)
    array([1., 1.])
    """
    a, b = (np.asarray(stack, dtype=np.float64) for stack in (A, B))
    if len(a) == 1 or len(b) == 1:
        return similarity_matrix(a, b, metric).ravel()
    if a.shape != b.shape:
        raise ParameterError(f"Stacks of shapes {a.shape} and {b.shape} cannot be paired.")
    spec = find_metric(metric)
    if spec.paired is None:
        pairs = zip(a[:, None], b[:, None], strict=True)
        return np.array([similarity_matrix(one, other, metric)[0, 0] for one, other in pairs])
    result = np.full(len(a), spec.constant)
    varied = _varied(a) & _varied(b)
    if not varied.any():
        return result
    flat_a, flat_b = (stack[varied].reshape(int(varied.sum()), -1) for stack in (a, b))
    paired = spec.paired
    result[varied] = _checked(spec, lambda: paired(flat_a, flat_b), a.shape[1:], len(flat_a))
    return result
