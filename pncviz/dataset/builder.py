"""How arrays are checked and cast on their way into a labelled result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pncviz.dataset.fields import FIELDS, image_dims
from pncviz.dataset.schema import plain_array, validate
from pncviz.exceptions import LabelError, ResultError

__all__ = ["Builder", "as_counts", "as_floats", "as_labels"]


def as_labels(name: str, values: ArrayLike) -> NDArray[Any]:
    """Give labels as one array of integers, floats, bools or strings, never a mixture."""
    # numpy would turn [1, "a"] into strings without a word, so look at the objects first.
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    if array.dtype.kind == "O":
        types = {type(item.item() if isinstance(item, np.generic) else item) for item in array.flat}
        if len(types) > 1 or not types <= {bool, int, float, str}:
            found = ", ".join(sorted(t.__name__ for t in types))
            raise LabelError(
                f"`{name}` must be all integers or all strings, got {found}; convert them, for "
                "example with `.astype(str)`."
            )
        array = plain_array(array) if types == {str} else np.array(array.tolist())
    return array


def as_floats(name: str, values: ArrayLike) -> NDArray[Any]:
    """Keep float32 and float64, cast other real numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ResultError(f"`{name}` must be real numbers, got dtype {array.dtype}; convert it.")
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float32 if array.dtype == np.float16 else np.float64)


def as_counts(name: str, values: ArrayLike) -> NDArray[Any]:
    """Keep integers as int64; floats (weights) as float64."""
    array = np.asarray(values)
    return array.astype(np.int64) if array.dtype.kind in "biu" else as_floats(name, array)


class Builder:
    """Collects the variables of one dataset, each checked against the sizes known so far."""

    def __init__(
        self,
        kind: str,
        labels: ArrayLike,
        image_shape: Sequence[int],
        feature_names: ArrayLike | None,
    ) -> None:
        self.kind = kind
        self.shape = tuple(int(size) for size in image_shape)
        self.image = image_dims(self.shape)
        self.sizes = dict(zip(self.image, self.shape, strict=True))
        self.variables: dict[str, xr.Variable] = {}
        self.coords: dict[str, xr.Variable] = {}
        self.index("label", as_labels("labels", labels), "class")
        if feature_names is not None:
            if self.image != ("feature",):
                raise ResultError(
                    f"`feature_names` needs a table, but `image_shape` is {self.shape}; drop it."
                )
            self.index("feature", as_labels("feature_names", feature_names), "name of the feature")

    def index(self, dim: str, values: NDArray[Any], long_name: str) -> None:
        """Add a coordinate along its own dimension, which gets its length unless it has one."""
        wanted = self.sizes.setdefault(dim, values.size)
        if values.ndim != 1 or values.size != wanted:
            size = wanted if dim == "feature" else "n"
            raise ResultError(f"`{dim}` names must be of shape ({size},), got {values.shape}.")
        attrs = {"long_name": long_name, "units": "1"}
        self.coords[dim] = xr.Variable((dim,), values, attrs)

    def add(
        self,
        name: str,
        values: NDArray[Any],
        *dims: str,
        image: bool = False,
        units: str | None = None,
        parameter: str | None = None,
    ) -> None:
        """Add a variable; with ``image``, whatever follows ``dims`` is reshaped to the image."""
        lead = values.shape[: len(dims)]
        # A dimension without a size yet (block) takes it from here.
        wanted = tuple(self.sizes.get(dim, n) for dim, n in zip(dims, lead, strict=False))
        tail = self.shape if image else ()
        fits = math.prod(values.shape[len(dims) :]) == math.prod(tail) and (
            image or values.ndim == len(dims)
        )
        if len(lead) != len(dims) or lead != wanted or not fits:
            shape = ", ".join(str(size) for size in (*(self.sizes.get(d, d) for d in dims), *tail))
            raise ResultError(
                f"`{parameter or name}` must be of shape ({shape}), got {values.shape}."
            )
        self.sizes.update(zip(dims, lead, strict=True))
        dims = (*dims, *self.image) if image else dims
        field = FIELDS[self.kind][name]
        attrs = {"long_name": field.long_name, "units": units or field.units}
        self.variables[name] = xr.Variable(dims, values.reshape(lead + tail), attrs)

    def dataset(self, attrs: Mapping[str, Any]) -> xr.Dataset:
        """Put together and check."""
        return validate(xr.Dataset(self.variables, self.coords, dict(attrs)), self.kind)
