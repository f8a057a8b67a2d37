"""What the pictures of results ask of a dataset first: one metric, one strategy, known dims."""

from __future__ import annotations

import numbers
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.dataset import validate
from pncviz.displays.common import plain
from pncviz.exceptions import ParameterError

__all__ = [
    "FAILED",
    "check_alpha",
    "check_leading",
    "names_of",
    "one_metric",
    "one_strategy",
    "places_named",
]

#: With more classes than this, those that failed are no longer all named: they would overlap.
_ALL_FAILED = 120

#: Stands before the name of a class whose pattern did not reach it.
FAILED = "× "


def check_alpha(alpha: float) -> float:
    """Give ``alpha`` back if it is a number in (0, 1]."""
    is_number = isinstance(alpha, numbers.Real) and not isinstance(alpha, bool)
    if not is_number or not 0 < alpha <= 1:
        raise ParameterError(f"`alpha` must be a number in (0, 1], got {alpha!r}.")
    return float(alpha)


def check_leading(array: xr.DataArray, own: Collection[str], *, free: Sequence[str] = ()) -> None:
    """Raise ParameterError for a dimension that a picture has no place for.

    Parameters
    ----------
    array : xarray.DataArray
    own : collection of str
        Dimensions that every such array has.
    free : sequence of str
        Dimensions that get panels or rows of their own.
    """
    for dim in array.dims:
        if dim not in own and dim not in free:
            raise ParameterError(
                f"The picture has no place for the dimension `{dim}` ({array.sizes[dim]}); select "
                f"one first, for example with `.isel({dim}=0)`."
            )


def one_metric(similarities: xr.Dataset, metric: str | None) -> tuple[xr.Dataset, str]:
    """Select a metric by name, the first by default; ParameterError lists the choices."""
    validate(similarities, "similarities")
    known = similarities["metric"].values.tolist()
    name = known[0] if metric is None else metric
    if name not in known:
        raise ParameterError(f"`metric` must be one of {', '.join(known)}, got {metric!r}.")
    return similarities.sel(metric=name), str(name)


def one_strategy(dataset: xr.Dataset, strategy: str | None) -> tuple[xr.Dataset, str]:
    """Select a strategy by name, the first by default; the name is empty where there is none."""
    if "strategy" not in dataset.dims:
        only = str(dataset["strategy"].item()) if "strategy" in dataset.coords else ""
        if strategy not in (None, only):
            raise ParameterError(
                f"`strategy` is {strategy!r}, but the dataset has none to choose; leave it out."
            )
        return dataset, only
    known = dataset["strategy"].values.tolist()
    name = known[0] if strategy is None else strategy
    if name not in known:
        raise ParameterError(f"`strategy` must be one of {', '.join(known)}, got {strategy!r}.")
    return dataset.sel(strategy=name), str(name)


def names_of(
    labels: Sequence[Any], succeeded: NDArray[Any] | None = None, longest: int = 12
) -> list[str]:
    """Write out labels, marking those whose pattern did not reach its class.

    Examples
    --------
    >>> names_of([3, 5], np.array([True, False]))
    ['3', '× 5']
    """
    reached = np.ones(len(labels), dtype=bool) if succeeded is None else succeeded
    return [
        plain(label, longest) if there else FAILED + plain(label, longest)
        for label, there in zip(labels, reached, strict=True)
    ]


def places_named(n: int, succeeded: NDArray[Any] | None, *, roomy: int) -> NDArray[np.int64]:
    """Choose which of n names are written: every one, or every n-th and those that failed.

    Examples
    --------
    >>> places_named(6, np.array([True, True, True, False, True, True]), roomy=3)
    array([0, 2, 3, 4])
    """
    written = np.arange(n) % -(-n // roomy) == 0
    if succeeded is not None and n <= _ALL_FAILED:
        written |= ~succeeded  # these are what one looks for
    return np.flatnonzero(written)
