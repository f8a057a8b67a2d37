"""Checks of parameters that attacks share."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from pncviz.exceptions import ParameterError

__all__ = ["check_clip", "check_count", "check_number"]


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    none: bool = False,
) -> None:
    """Raise ParameterError unless a parameter is a finite number in its range.

    Parameters
    ----------
    name : str
    value : object
    low, high : float
        Bounds, both allowed themselves.
    open_low : bool, default=False
        ``low`` itself is not allowed.
    none : bool, default=False
        None is allowed.

    Examples
    --------
    >>> check_number("epsilon", -1, low=0, open_low=True)
    Traceback (most recent call last):
        ...
    pncviz.exceptions.ParameterError: `epsilon` must be a positive number, got -1.
    """
    if none and value is None:
        return
    if _is_number(value) and low <= value <= high and not (open_low and value == low):
        return
    raise ParameterError(
        f"`{name}` must be {'None or ' if none else ''}{_range(low, high, open_low)}, "
        f"got {value!r:.80}."
    )


def _is_number(value: Any) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value)


def _range(low: float, high: float, open_low: bool) -> str:
    if high < math.inf:
        return f"a number in {'(' if open_low else '['}{low:g}, {high:g}]"
    if low == 0:
        return "a positive number" if open_low else "0 or a positive number"
    return "a finite number" if low == -math.inf else f"a number above {low:g}"


def check_count(name: str, value: Any, *, low: int = 1, none: bool = False) -> None:
    """Raise ParameterError unless a parameter is an integer from ``low`` on.

    Examples
    --------
    >>> check_count("n_steps", 2.5)
    Traceback (most recent call last):
        ...
    pncviz.exceptions.ParameterError: `n_steps` must be a positive integer, got 2.5.
    """
    if none and value is None:
        return
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if whole and value >= low:
        return
    kinds = {0: "0 or a positive integer", 1: "a positive integer"}
    kind = kinds.get(low, f"an integer from {low} on")
    raise ParameterError(f"`{name}` must be {'None or ' if none else ''}{kind}, got {value!r:.80}.")


def check_clip(clip: Any) -> None:
    """Raise ParameterError unless bounds of the input are None or (low, high).

    Examples
    --------
    >>> check_clip(1)
    Traceback (most recent call last):
        ...
    pncviz.exceptions.ParameterError: `clip` must be None or (low, high) with low < high, got 1.
    """
    pair = isinstance(clip, Sequence) and len(clip) == 2
    if clip is not None and not (pair and all(map(_is_number, clip)) and clip[0] < clip[1]):
        raise ParameterError(f"`clip` must be None or (low, high) with low < high, got {clip!r}.")
