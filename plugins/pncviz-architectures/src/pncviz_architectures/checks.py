"""What the architectures ask of an input shape and of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

from pncviz.exceptions import ModelError, ParameterError

__all__ = ["check_counts", "check_image_shape", "check_share"]


def check_image_shape(name: str, input_shape: Sequence[int], smallest: int) -> tuple[int, int, int]:
    """Give (channels, rows, columns) of an input shape.

    Parameters
    ----------
    name : str
        Of the architecture, with its article, for the message.
    input_shape : sequence of int
        (channels, rows, columns) or (rows, columns), in pixels.
    smallest : int
        The least number of rows and of columns.

    Raises
    ------
    ModelError
        A flat input shape, or a smaller image.

    Examples
    --------
    >>> check_image_shape("A LeNet", (28, 28), 13)
    (1, 28, 28)
    """
    shape = (1, *input_shape) if len(input_shape) == 2 else tuple(input_shape)
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise ModelError(
            f"{name} needs images of at least {smallest}×{smallest}: `input_shape` must be "
            f"(channels, rows, columns), got {tuple(input_shape)}. For flat X, give "
            "`image_shape` to the extractor or `module__input_shape` to the net."
        )
    channels, rows, columns = shape
    return channels, rows, columns


def check_counts(name: str, values: Sequence[int], *, empty: bool = False) -> tuple[int, ...]:
    """Give counts as a tuple.

    Raises
    ------
    ParameterError
        Something else than positive integers, or none unless ``empty``.

    Examples
    --------
    >>> check_counts("widths", [16, 32])
    (16, 32)
    """
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    good = listed and all(
        isinstance(value, Integral) and not isinstance(value, bool) and value > 0
        for value in values
    )
    if not good or not (empty or values):
        raise ParameterError(f"`{name}` must be a list of positive integers, got {values!r}.")
    return tuple(int(value) for value in values)


def check_share(name: str, value: float) -> float:
    """Give a share in [0, 1).

    Raises
    ------
    ParameterError
        Anything else.

    Examples
    --------
    >>> check_share("input_dropout", 0.2)
    0.2
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < 1:
        raise ParameterError(f"`{name}` must be a share in [0, 1), got {value!r}.")
    return float(value)
