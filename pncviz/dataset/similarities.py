"""From arrays to labelled similarities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from numpy.typing import ArrayLike

from pncviz.dataset.builder import as_floats, as_labels
from pncviz.dataset.fields import FIELDS
from pncviz.dataset.schema import validate
from pncviz.exceptions import ResultError

__all__ = ["build_similarities"]


def build_similarities(
    *,
    similarity: ArrayLike,
    metrics: Sequence[str],
    pattern_labels: ArrayLike,
    contrast_labels: ArrayLike,
    attrs: Mapping[str, Any],
    metric_units: Sequence[str] | None = None,
    higher_is_better: Sequence[bool] | None = None,
    strategies: Sequence[str] | None = None,
) -> xr.Dataset:
    """Label the similarities of every pattern with every contrast.

    Parameters
    ----------
    similarity : array of shape (n_metrics, n_pattern_labels, n_contrast_labels)
        With ``strategies``, of shape (n_strategies, n_metrics, ...). In the metrics' units.
    metrics : sequence of str
    pattern_labels, contrast_labels : arrays of shapes (n_pattern_labels,), (n_contrast_labels,)
    attrs : mapping
        From :func:`common_attrs`.
    metric_units : sequence of n_metrics str, optional
        Becomes the coordinate ``metric_units`` along ``metric``.
    higher_is_better : sequence of n_metrics bool, optional
        Becomes a coordinate along ``metric``; :func:`summary` ranks by it.
    strategies : sequence of str, optional
        Becomes the leading dimension ``strategy``.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ResultError
        For a shape, dtype or attribute that breaks the schema; names it.
    LabelError
        If labels mix types.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz.dataset import build_similarities, common_attrs
    >>> similarities = build_similarities(
    ...     similarity=np.eye(2)[None], metrics=["pearson"], pattern_labels=[0, 1],
    ...     contrast_labels=[0, 1], attrs=common_attrs("similarities", parameters={}),
    ... )
    >>> similarities["similarity"].dims
    ('metric', 'pattern_label', 'contrast_label')
    """
    names: dict[str, tuple[ArrayLike, str]] = {
        "metric": (metrics, "similarity measure"),
        "pattern_label": (pattern_labels, "class of the pattern"),
        "contrast_label": (contrast_labels, "class of the contrast"),
    }
    if strategies is not None:
        names = {"strategy": (strategies, "strategy"), **names}
    coords: dict[str, Any] = {}
    for dim, (values, long_name) in names.items():
        coords[dim] = (dim, as_labels(dim, values), {"long_name": long_name, "units": "1"})
    extra = {"metric_units": metric_units, "higher_is_better": higher_is_better}
    for name, along in extra.items():
        if along is not None:
            coords[name] = ("metric", as_labels(name, along))
    shape = tuple(len(coords[dim][1]) for dim in names)
    array = as_floats("similarity", similarity)
    for name, wanted, got in [("similarity", shape, array.shape)] + [
        (name, (len(coords["metric"][1]),), coords[name][1].shape)
        for name in extra
        if name in coords
    ]:
        if wanted != got:
            raise ResultError(f"`{name}` must be of shape {wanted}, got {got}.")
    field = FIELDS["similarities"]["similarity"]
    units = "1" if metric_units is None else " | ".join(dict.fromkeys(metric_units))
    variable = (tuple(names), array, {"long_name": field.long_name, "units": units})
    return validate(xr.Dataset({"similarity": variable}, coords, dict(attrs)), "similarities")
