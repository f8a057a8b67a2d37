"""Checks of counts and of the stop rule."""

from __future__ import annotations

import math
import numbers

import numpy as np

from pncviz.exceptions import ParameterError

__all__ = ["check_stop", "is_count"]


def is_count(value: object) -> bool:
    """Say whether a value is a positive integer, and no bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 1)


def check_stop(max_iter: object, max_loss: object, min_confidence: object) -> None:
    """Raise ParameterError for a stop rule that cannot be met."""
    if not is_count(max_iter):
        raise ParameterError(f"`max_iter` must be a positive integer, got {max_iter!r}.")
    for name, value, high in (
        ("max_loss", max_loss, math.inf),
        ("min_confidence", min_confidence, 1),
    ):
        if value is None:
            continue
        if (
            not isinstance(value, numbers.Real)
            or isinstance(value, bool)
            or not 0 < float(value) <= high
        ):
            allowed = "a positive number" if high == math.inf else "a number in (0, 1]"
            raise ParameterError(f"`{name}` must be None or {allowed}, got {value!r}.")
