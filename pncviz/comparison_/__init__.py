"""Every pattern against every contrast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pncviz.dataset import build_similarities, check_labels_match, common_attrs, validate
from pncviz.exceptions import ParameterError, ResultError
from pncviz.metrics import similarity_matrix
from pncviz.registry import default_registry
from pncviz.specs import MetricSpec

__all__ = ["compare", "own_class"]


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
        leading={"strategy": strategies} if strategies else None,
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
