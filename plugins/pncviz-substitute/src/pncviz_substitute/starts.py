"""The first inputs, where there are no samples: what a strategy starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz import Strategy, make_strategy
from pncviz.data import resolve_image_shape
from pncviz.exceptions import ParameterError

__all__ = ["first_inputs", "shape_of"]


def first_inputs(
    start: str | Strategy,
    input_shape: tuple[int, ...],
    image_shape: tuple[int, ...] | None,
    n: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    r"""Draw starts of a strategy; equal ones are given once.

    Parameters
    ----------
    start : str or Strategy
    input_shape : tuple of int
    image_shape : tuple of int or None
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    float32 ndarray of shape (at most n, \*input_shape)

    Raises
    ------
    ParameterError
        No strategy, or one without starts.

    Examples
    --------
    >>> first_inputs("zero", (4,), None, 5, np.random.default_rng(0)).shape
    (1, 4)
    """
    strategy = make_strategy(start) if isinstance(start, str) else start
    if not isinstance(strategy, Strategy):
        raise ParameterError(f"`start` must be a name or a Strategy, got {start!r:.80}.")
    strategy.validate()
    shape = resolve_image_shape(input_shape, image_shape)
    try:
        rows = [np.asarray(strategy.start(shape, rng), dtype=np.float32) for _ in range(n)]
    except NotImplementedError as error:
        raise ParameterError(
            f"`start` must be a strategy that has starts, got {type(strategy).__name__}."
        ) from error
    found = np.stack(rows).reshape(n, -1)
    kept = np.sort(np.unique(found, axis=0, return_index=True)[1])
    return np.ascontiguousarray(found[kept].reshape(-1, *input_shape))


def shape_of(target: Any, input_shape: Any) -> tuple[int, ...]:
    """Give the shape of one input: as told, or as the target knows it.

    Raises
    ------
    ParameterError
        Neither says it.

    Examples
    --------
    >>> shape_of(None, (1, 8, 8))
    (1, 8, 8)
    """
    if input_shape is None:
        inner = getattr(target, "estimator", target)  # of a FrozenEstimator
        input_shape = getattr(target, "n_features_in_", getattr(inner, "n_features_in_", None))
    if input_shape is None:
        raise ParameterError(
            "`input_shape` must be the shape of one input where `fit` is given none, got None."
        )
    shape = tuple(int(side) for side in np.atleast_1d(input_shape))
    if min(shape) < 1:
        raise ParameterError(f"`input_shape` must have positive sides, got {shape}.")
    return shape
