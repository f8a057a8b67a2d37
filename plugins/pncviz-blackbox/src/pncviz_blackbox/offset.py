"""What noise is added to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import DataError, ParameterError
from pncviz_blackbox.noise import Floats

__all__ = ["check_offset", "offset_of"]


def check_offset(offset: Any) -> None:
    """Raise ParameterError unless it is a finite number, an array of them, or "mean".

    Examples
    --------
    >>> check_offset("mean")
    """
    if isinstance(offset, str) and offset == "mean":
        return
    values = np.asarray(offset)
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ParameterError(
            f'`offset` must be a finite number, an array of them or "mean", got {offset!r:.80}.'
        )


def offset_of(offset: Any, samples: tuple[NDArray[Any], NDArray[Any]] | None, size: int) -> Floats:
    """Give what is added to each field of so many values: one number, or as many.

    Raises
    ------
    DataError
        It is the mean of samples, and there are none.
    ParameterError
        Another size.

    Examples
    --------
    >>> X, y = np.array([[0.0, 1.0], [0.0, 3.0], [4.0, 0.0]]), np.array([0, 0, 1])
    >>> offset_of("mean", (X, y), 2), offset_of(0.5, None, 2)
    (array([2., 1.], dtype=float32), array([0.5], dtype=float32))
    """
    if isinstance(offset, str):
        if samples is None:
            raise DataError('offset="mean" needs samples: give X and y.')
        X, y = samples
        means = [X[y == unit].mean(axis=0, dtype=np.float64) for unit in np.unique(y)]
        return np.asarray(np.mean(means, axis=0), dtype=np.float32).ravel()
    values = np.asarray(offset, dtype=np.float32).ravel()
    if values.size not in (1, size):
        raise ParameterError(f"`offset` must have {size} values or one, got {values.size}.")
    return values
