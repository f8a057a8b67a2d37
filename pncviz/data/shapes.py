"""The shape of one sample, and the shape in which it is labelled and drawn."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from pncviz.exceptions import DataError, DataTypeError

__all__ = ["resolve_image_shape", "sample_shape"]

_CHANNELS = (1, 3, 4)


def sample_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Give the image shape that samples of this shape have by themselves.

    Examples
    --------
    >>> sample_shape((64,)), sample_shape((8, 8)), sample_shape((3, 8, 8))
    ((64,), (1, 8, 8), (3, 8, 8))
    """
    return (1, *shape) if len(shape) == 2 else tuple(shape)


def resolve_image_shape(shape: Sequence[int], image_shape: Sequence[int] | None) -> tuple[int, ...]:
    """Say how samples of a shape are labelled and drawn.

    Parameters
    ----------
    shape : tuple of int
        One sample's shape, ``X.shape[1:]``.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        Flat samples without it are a table; a square is never guessed.

    Returns
    -------
    tuple of int
        (channels, rows, columns) or (n_features,).

    Raises
    ------
    DataError, DataTypeError
        ``image_shape`` does not fit, or the channels seem to come last.

    Examples
    --------
    >>> resolve_image_shape((64,), (8, 8))
    (1, 8, 8)
    """
    own = sample_shape(shape)
    if image_shape is None:
        if len(own) == 3 and _channels_last(own):
            raise DataError(
                f"X looks like channels last: expected (n, channels, rows, columns), got (n, "
                f"{', '.join(map(str, own))}). Use X.transpose(0, 3, 1, 2), or give `image_shape` "
                "if the first axis really is the channels."
            )
        return own
    wanted = _checked_image_shape(image_shape)
    if math.prod(wanted) != math.prod(own) or (len(own) == 3 and wanted != own):
        need = f"be {own}" if len(own) == 3 else f"have a product of {math.prod(own)}"
        raise DataError(
            f"`image_shape` {tuple(image_shape)} does not fit samples of shape {tuple(shape)}; it "
            f"must {need}."
        )
    if len(own) == 1 and _channels_last(wanted):
        raise DataError(
            f"`image_shape` {wanted} looks like channels last; it must be (channels, rows, "
            f"columns), and flat rows ordered so. If {wanted[0]} really is the channels, give X "
            "in that shape."
        )
    return wanted


def _channels_last(shape: tuple[int, ...]) -> bool:
    return shape[-1] in _CHANNELS and shape[0] not in _CHANNELS


def _checked_image_shape(image_shape: Any) -> tuple[int, ...]:
    try:
        if any(isinstance(side, bool | np.bool) for side in image_shape):
            raise TypeError("a truth value is no length")
        wanted = tuple(operator.index(side) for side in image_shape)
    except TypeError as error:
        raise DataTypeError(
            f"`image_shape` must be (rows, columns) or (channels, rows, columns) of integers, got "
            f"{image_shape!r}."
        ) from error
    if len(wanted) not in (2, 3) or min(wanted) < 1:
        raise DataError(
            "`image_shape` must be (rows, columns) or (channels, rows, columns) with positive "
            f"sides, got {tuple(image_shape)}."
        )
    return sample_shape(wanted)
