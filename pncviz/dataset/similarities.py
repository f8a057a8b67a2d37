"""From arrays to labelled similarities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pncviz.dataset.builder import as_counts, as_floats, as_labels
from pncviz.dataset.fields import FIELDS
from pncviz.dataset.schema import validate
from pncviz.exceptions import ResultError

__all__ = ["build_similarities"]

_IN_METRIC_UNITS = frozenset({"similarity", "lower", "upper", "null_similarity"})


def build_similarities(
    *,
    similarity: ArrayLike,
    metrics: Sequence[str],
    pattern_labels: ArrayLike,
    contrast_labels: ArrayLike,
    attrs: Mapping[str, Any],
    metric_units: Sequence[str] | None = None,
    higher_is_better: Sequence[bool] | None = None,
    leading: Mapping[str, ArrayLike] | None = None,
    statistics: Mapping[str, ArrayLike] | None = None,
) -> xr.Dataset:
    """Label the similarities of every pattern with every contrast, and what is known of them.

    Parameters
    ----------
    similarity : array of shape (*leading, n_metrics, n_pattern_labels, n_contrast_labels)
        In the metrics' units.
    metrics : sequence of str
    pattern_labels, contrast_labels : arrays of shapes (n_pattern_labels,), (n_contrast_labels,)
    attrs : mapping
        From :func:`common_attrs`.
    metric_units : sequence of n_metrics str, optional
        Becomes the coordinate ``metric_units`` along ``metric``.
    higher_is_better : sequence of n_metrics bool, optional
        Becomes a coordinate along ``metric``; :func:`summary` ranks by it.
    leading : mapping of str to array-like, optional
        Names and coordinates of further dimensions in front, such as ``strategy``.
    statistics : mapping of str to array-like, optional
        Other variables of the schema, such as ``rank`` or ``p``, each on the dimensions that
        ``docs/reference.md`` gives it, behind the leading ones.

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
    ...     statistics={"rank": [[1, 1]]},
    ... )
    >>> similarities["similarity"].dims, similarities["rank"].dims
    (('metric', 'pattern_label', 'contrast_label'), ('metric', 'pattern_label'))
    """
    coords = _coords(leading or {}, metrics, pattern_labels, contrast_labels)
    sizes = {dim: len(values) for dim, (_, values, _) in coords.items()}
    for name, along in {"metric_units": metric_units, "higher_is_better": higher_is_better}.items():
        if along is not None:
            values = as_labels(name, along)
            _check_shape(name, values, (sizes["metric"],))
            coords[name] = ("metric", values, {})
    units = "1" if metric_units is None else " | ".join(dict.fromkeys(metric_units))
    front = tuple(leading or {})
    variables = {}
    for name, given in {"similarity": similarity, **(statistics or {})}.items():
        if name not in FIELDS["similarities"]:
            raise ResultError(f"similarities have no variable `{name}`; see docs/reference.md.")
        field = FIELDS["similarities"][name]
        array = _cast(name, given, field.kinds)
        # How many draws there are is known from the array alone.
        places = field.dims[0]
        wanted = tuple(
            sizes.get(dim, n) for dim, n in zip((*front, *places), array.shape, strict=False)
        )
        _check_shape(name, array, wanted if array.ndim == len(front + places) else sizes)
        own_units = units if name in _IN_METRIC_UNITS else field.units
        variables[name] = (
            front + places,
            array,
            {"long_name": field.long_name, "units": own_units},
        )
    return validate(xr.Dataset(variables, coords, dict(attrs)), "similarities")


def _coords(
    leading: Mapping[str, ArrayLike],
    metrics: Sequence[str],
    pattern_labels: ArrayLike,
    contrast_labels: ArrayLike,
) -> dict[str, Any]:
    own: dict[str, tuple[ArrayLike, str]] = {
        "metric": (metrics, "similarity measure"),
        "pattern_label": (pattern_labels, "class of the pattern"),
        "contrast_label": (contrast_labels, "class of the contrast"),
    }
    names = {dim: (values, dim.replace("_", " ")) for dim, values in leading.items()} | own
    return {
        dim: (dim, as_labels(dim, values), {"long_name": long_name, "units": "1"})
        for dim, (values, long_name) in names.items()
    }


def _cast(name: str, values: ArrayLike, kinds: str) -> NDArray[Any]:
    if kinds == "f":
        return as_floats(name, values)
    return as_counts(name, values) if kinds == "iu" else as_labels(name, values)


def _check_shape(name: str, array: NDArray[Any], wanted: object) -> None:
    if array.shape != wanted:
        raise ResultError(f"`{name}` must be of shape {wanted}, got {array.shape}.")
