"""Every pattern against every contrast."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pncviz.dataset import build_similarities, check_labels_match, common_attrs, validate
from pncviz.exceptions import ParameterError, PatternWarning, PluginError, ResultError
from pncviz.registry import default_registry
from pncviz.specs import MetricSpec

__all__ = ["compare", "own_class", "similarity_matrix"]


def similarity_matrix(A: ArrayLike, B: ArrayLike, metric: str = "pearson") -> NDArray[np.float64]:
    """Compare each image of one stack with each of another.

    Similarity with a constant image is 0.

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
    spec = default_registry().get("metric", metric)
    assert isinstance(spec, MetricSpec)  # the registry checked it
    a, b = (np.asarray(stack, dtype=np.float64) for stack in (A, B))
    if a.shape[1:] != b.shape[1:]:
        raise ParameterError(
            f"Images of shapes {a.shape[1:]} and {b.shape[1:]} cannot be compared."
        )
    varied_a, varied_b = _varied(a), _varied(b)
    result = np.zeros((len(a), len(b)))
    if varied_a.any() and varied_b.any():
        values = _values(a[varied_a], b[varied_b], spec)
        result[np.ix_(varied_a, varied_b)] = values
    return result


def _varied(stack: NDArray[np.float64]) -> NDArray[np.bool_]:
    flat = stack.reshape(len(stack), -1)
    varied: NDArray[np.bool_] = (flat != flat[:, :1]).any(axis=1)
    if not varied.all():
        warnings.warn(
            f"{int((~varied).sum())} of {len(stack)} images are constant; their similarity is 0.",
            PatternWarning,
            stacklevel=3,
        )
    return varied


def _values(
    a: NDArray[np.float64], b: NDArray[np.float64], spec: MetricSpec
) -> NDArray[np.float64]:
    try:
        if spec.pairwise is not None:
            values = spec.pairwise(a.reshape(len(a), -1), b.reshape(len(b), -1))
        else:
            values = np.array([[spec.function(one, other) for other in b] for one in a])
    except ParameterError:
        raise
    except Exception as error:
        raise PluginError(
            f'metric "{spec.name}" failed on images of shape {a.shape[1:]}: '
            f"{type(error).__name__}: {error}"
        ) from error
    if np.shape(values) != (len(a), len(b)) or np.isnan(values).any():
        raise PluginError(
            f'metric "{spec.name}" must give numbers of shape {(len(a), len(b))}, got shape '
            f"{np.shape(values)}{' with NaN' if np.isnan(values).any() else ''}."
        )
    return np.asarray(values, dtype=np.float64)


def compare(
    patterns: xr.Dataset, contrasts: xr.Dataset, *, metrics: str | Sequence[str] = "pearson"
) -> xr.Dataset:
    """Compare every pattern with every contrast.

    Parameters
    ----------
    patterns : xarray.Dataset
        Of :func:`~pncviz.extract_patterns`, or several of them by
        :func:`~pncviz.concat_patterns`.
    contrasts : xarray.Dataset
        Of :func:`~pncviz.positive_negative_contrast`.
    metrics : str or sequence of str, default="pearson"

    Returns
    -------
    xarray.Dataset
        ``similarity`` (metric, pattern_label, contrast_label), with a leading ``strategy`` if the
        patterns have one.

    Raises
    ------
    LabelError
        Labels of different kinds, or that overlap only in part.
    ResultError
        One of the two is not what it should be, or their images differ in shape.
    UnknownNameError
        No metric of that name.
    """
    validate(patterns, "patterns")
    validate(contrasts, "contrasts")
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if not names:
        raise ParameterError("`metrics` is empty; give at least one name.")
    registry = default_registry()
    specs = [registry.get("metric", name) for name in names]
    labels = patterns["label"].values
    subset = set(labels.tolist()) < set(contrasts["label"].values.tolist())
    if not subset:  # patterns of some of the classes are compared with all contrasts
        check_labels_match(labels, contrasts["label"].values, "patterns", "contrasts")
    a, b = patterns["pattern"], contrasts["contrast"]
    extra = [dim for dim in a.dims if dim not in b.dims]
    if set(extra) - {"strategy"}:
        raise ResultError(f"compare takes patterns with dims {b.dims}, got {a.dims}.")
    image_shape = b.shape[1:]
    if a.shape[-len(image_shape) :] != image_shape:
        raise ResultError(
            f"Patterns are images of shape {a.shape[-len(image_shape) :]}, contrasts of "
            f"{image_shape}."
        )
    strategies = patterns["strategy"].values.tolist() if extra else None
    stacks = a.values if strategies else a.values[None]
    values = np.stack(
        [[similarity_matrix(stack, b.values, name) for name in names] for stack in stacks]
    )
    return build_similarities(
        similarity=values if strategies else values[0],
        metrics=[spec.name for spec in specs],
        metric_units=[spec.units for spec in specs if isinstance(spec, MetricSpec)],
        pattern_labels=labels,
        contrast_labels=contrasts["label"].values,
        strategies=strategies,
        attrs=common_attrs("similarities", parameters={"metrics": names}),
    )


def own_class(similarities: xr.Dataset) -> xr.Dataset:
    """Read off each pattern's similarity to its own class, and whether that is its nearest.

    Parameters
    ----------
    similarities : xarray.Dataset
        Of :func:`compare`.

    Returns
    -------
    xarray.Dataset
        ``similarity`` and ``nearest`` (bool) on (…, metric, label).
    """
    validate(similarities, "similarities")
    values = similarities["similarity"]
    registry = default_registry()
    labels = values["pattern_label"].values
    places = [values["contrast_label"].values.tolist().index(label) for label in labels.tolist()]
    rows = np.arange(len(labels))
    own = values.values[..., rows, places]
    better = [_higher_is_better(registry.get("metric", str(m))) for m in values["metric"].values]
    signed = values.values * np.where(better, 1.0, -1.0)[:, None, None]
    nearest = signed[..., rows, places] == signed.max(axis=-1)
    # A tie with another class is no identification.
    nearest &= (signed == signed.max(axis=-1, keepdims=True)).sum(axis=-1) == 1
    dims = (*values.dims[:-2], "label")
    coords = {dim: values[dim] for dim in values.dims[:-2]} | {"label": labels}
    return xr.Dataset({"similarity": (dims, own), "nearest": (dims, nearest)}, coords=coords)


def _higher_is_better(spec: object) -> bool:
    return isinstance(spec, MetricSpec) and spec.higher_is_better
