"""What comes in, and where examples go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite

from pncviz.contrast.lazy import is_lazy
from pncviz.contrast.sources import checked_source, pieces
from pncviz.data import as_float32, refuse_overflow
from pncviz.examples.pixels import returned_dtype
from pncviz.exceptions import ParameterError

__all__ = ["checked_out", "checked_pieces", "checked_values"]


def checked_values(X: Any, *, estimator: Any, reset: bool = True) -> Any:
    """Check X, its values too unless they are dask's; no copy of it is made.

    Raises
    ------
    ValueError
        As :func:`~pncviz.contrast.sources.checked_source`, and for NaN, infinity and numbers that
        float32 does not hold.
    """
    source = checked_source(X, estimator=estimator, reset=reset)
    if not is_lazy(source) and source.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            assert_all_finite(source, input_name="X", estimator_name=type(estimator).__name__)
        refuse_overflow(source)
    return source


def checked_pieces(X: Any) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give X piece by piece, each with the row that it begins at; dask's values are checked here.

    Raises
    ------
    ValueError
        For NaN, infinity and numbers that float32 does not hold.
    """
    first = 0
    for piece in pieces(X):
        if is_lazy(X):
            as_float32(piece)
        yield first, piece
        first += len(piece)


def checked_out(out: Any, X: Any) -> Any:
    """Give where examples go: a new array, or the one given if it fits.

    Raises
    ------
    ParameterError
        It has another shape or dtype than the examples, or is read only.
    """
    shape, dtype = tuple(X.shape), returned_dtype(X.dtype)
    if out is None:
        return np.empty(shape, dtype=dtype)
    found = tuple(getattr(out, "shape", ())), getattr(out, "dtype", None)
    flags = getattr(out, "flags", None)
    if found != (shape, dtype) or not getattr(flags, "writeable", True):
        state = "" if getattr(flags, "writeable", True) else ", read only"
        raise ParameterError(
            f"`out` must be an array of shape {shape} and dtype {dtype} that can be written to, "
            f"got shape {found[0]} and dtype {found[1]}{state}."
        )
    return out
