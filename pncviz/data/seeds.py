"""One integer that says where all random numbers come from."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from pncviz.exceptions import DataTypeError, ParameterError

__all__ = ["resolve_seed"]


def resolve_seed(random_state: Any) -> int:
    """Turn a random state into one integer, which is recorded and can be given again.

    Parameters
    ----------
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        None draws a fresh seed.

    Raises
    ------
    DataTypeError
        Anything else.
    ParameterError
        A negative integer, or one past 63 bits, which neither torch nor NetCDF take.

    Examples
    --------
    >>> resolve_seed(7)
    7
    """
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    if isinstance(random_state, bool) or not isinstance(random_state, numbers.Integral):
        raise DataTypeError(
            f"`random_state` must be an integer, a RandomState, a Generator or None, got "
            f"{random_state!r}."
        )
    seed = int(random_state)
    if not 0 <= seed < 2**63:
        raise ParameterError(f"`random_state` must not be negative, and below 2**63, got {seed}.")
    return seed
