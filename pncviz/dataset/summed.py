"""Of how many examples each pattern is a sum: read from what made it."""

from __future__ import annotations

import json
from numbers import Integral
from typing import Any

import numpy as np
import xarray as xr

from pncviz.exceptions import ResultError

__all__ = ["n_summed"]


def n_summed(patterns: xr.Dataset) -> xr.DataArray:
    """Say how many examples each pattern is a sum of, so that sums can be taken as means.

    Parameters
    ----------
    patterns : xarray.Dataset
        Of :func:`~pncviz.extract_patterns`, also joined by :func:`~pncviz.concat_patterns`.

    Returns
    -------
    xarray.DataArray
        Counts, without dimensions or on those of the coordinate ``strategy``; 1 where the
        attribute ``parameters`` names no number, or the strategy takes means itself.

    Raises
    ------
    ResultError
        ``parameters`` is not as extract_patterns writes it.

    Examples
    --------
    >>> made = {"strategy": {"n_examples": 30, "reduction": "sum"}}
    >>> int(n_summed(xr.Dataset(attrs={"parameters": json.dumps(made)})))
    30
    """
    try:
        parameters = json.loads(patterns.attrs.get("parameters", "{}"))
        if "strategy" not in patterns.coords:
            return xr.DataArray(_of_one(parameters))
        # concat_patterns keeps the parameters of each strategy by its name.
        names = patterns["strategy"]
        flat = [_of_one(parameters.get(str(name), parameters)) for name in np.ravel(names.values)]
        return xr.DataArray(np.reshape(flat, names.shape), dims=names.dims)
    except (TypeError, ValueError, AttributeError) as error:
        raise ResultError(
            "patterns: attribute `parameters` does not say of how many examples they are sums; it "
            f"must be JSON as extract_patterns writes it: {error}"
        ) from error


def _of_one(parameters: dict[str, Any]) -> int:
    strategy = parameters.get("strategy", {})
    n = strategy.get("n_examples", 1) if strategy.get("reduction", "sum") == "sum" else 1
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"n_examples is {n!r}")
    return int(n)
