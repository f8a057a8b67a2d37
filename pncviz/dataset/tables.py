"""From arrays to labelled results without images: adversarial examples, and what transfers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr
from numpy.typing import ArrayLike

from pncviz.dataset.attributes import check_kind
from pncviz.dataset.builder import as_counts, as_floats, as_labels
from pncviz.dataset.fields import FIELDS
from pncviz.dataset.schema import validate
from pncviz.exceptions import ParameterError, ResultError

__all__ = ["build_table"]

_LONG_NAMES = {
    "sample": "row of the samples",
    "source": "model that the examples or patterns are of",
    "target": "model that is asked",
    "label": "class",
}


def build_table(
    kind: str,
    variables: Mapping[str, ArrayLike | None],
    *,
    attrs: Mapping[str, Any],
    coords: Mapping[str, ArrayLike] | None = None,
) -> xr.Dataset:
    """Label what became of samples, or of pairs of models.

    Parameters
    ----------
    kind : {"examples", "transfer", "pattern_transfer", "pattern_agreement"}
    variables : mapping of str to array-like
        Those that ``docs/reference.md`` names for the kind, on the dimensions given there; None
        leaves one out.
    attrs : mapping
        From :func:`common_attrs`.
    coords : mapping of str to array-like, optional
        Values along the dimensions.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ParameterError
        If ``kind`` is none of the four.
    ResultError
        For a variable that the kind does not have, or a shape, dtype or attribute that breaks the
        schema; names it.
    LabelError
        If labels mix types.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz.dataset import build_table, common_attrs
    >>> one = dict.fromkeys(["confidence", "loss", "l2", "linf"], [0.5, 1.0])
    >>> examples = build_table(
    ...     "examples",
    ...     {"original_prediction": ["cat", "dog"], "prediction": ["dog", "dog"], **one,
    ...      "succeeded": [True, False], "already": [False, False], "n_iter": [3, 10],
    ...      "stop_reason": ["max_iter", "max_iter"]},
    ...     attrs=common_attrs("examples", parameters={}), coords={"sample": np.arange(2)},
    ... )
    >>> examples["prediction"].dims
    ('sample',)
    """
    check_kind(kind)
    if any(field.dims[0][-1] not in _LONG_NAMES for field in FIELDS[kind].values()):
        raise ParameterError(f"{kind} have images or metrics; use build_{kind}.")
    found, sizes = {}, {}
    for dim, values in (coords or {}).items():
        array = as_labels(dim, values)
        names = {"long_name": _LONG_NAMES.get(dim, dim), "units": "1"}
        sizes[dim] = array.size
        found[dim] = (dim, array, names)
    arrays = {
        name: _variable(kind, name, values, sizes)
        for name, values in variables.items()
        if values is not None
    }
    return validate(xr.Dataset(arrays, found, dict(attrs)), kind)


def _variable(kind: str, name: str, values: ArrayLike, sizes: dict[str, int]) -> xr.Variable:
    """Cast and check one variable; a dimension without a size yet takes it from here."""
    if name not in FIELDS[kind]:
        raise ResultError(f"{kind} have no variable `{name}`; see docs/reference.md.")
    field = FIELDS[kind][name]
    array = _CASTS.get(field.kinds, as_labels)(name, values)
    dims = field.dims[0]
    shape = zip(dims, array.shape, strict=False)
    if array.ndim != len(dims) or any(sizes.setdefault(dim, n) != n for dim, n in shape):
        wanted = ", ".join(f"{dim}: {sizes.get(dim, 'n')}" for dim in dims)
        raise ResultError(f"`{name}` must be of shape ({wanted}), got {array.shape}.")
    return xr.Variable(dims, array, {"long_name": field.long_name, "units": field.units})


_CASTS = {"f": as_floats, "iu": as_counts}
