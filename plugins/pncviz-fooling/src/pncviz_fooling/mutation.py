"""Polynomial mutation: small steps mostly, large ones at times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import ParameterError

__all__ = ["polynomial_mutation"]


def polynomial_mutation(
    x: NDArray[np.floating],
    rng: np.random.Generator,
    *,
    rate: float = 0.1,
    eta: float = 15.0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> NDArray[np.float64]:
    r"""Mutate some of the values of each row; the given array is left as it is.

    A value is chosen with probability ``rate`` and moved by ``d * (high - low)``, where d in
    (-1, 1) has the density (eta + 1) / 2 * (1 - abs(d)) ** eta, and then put back into its bounds.

    Parameters
    ----------
    x : array of shape (n, n_values)
        Within the bounds.
    rng : numpy.random.Generator
    rate : float, default=0.1
        Probability that a value is chosen.
    eta : float, default=15.0
        Strength: the mean of abs(d) is 1 / (eta + 2), so a larger one makes smaller steps.
    bounds : (low, high), default=(0, 1)

    Returns
    -------
    ndarray of shape (n, n_values)

    Raises
    ------
    ParameterError
        A rate out of 0..1, or an eta of -1 or less.

    References
    ----------
    deb2001multi, page 124; used by nguyen2015deep.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.full((1, 1000), 0.5)
    >>> moved = polynomial_mutation(x, np.random.default_rng(0)) != x
    >>> int(moved.sum())
    89
    """
    if not 0 <= rate <= 1:
        raise ParameterError(f"`rate` must be a number in [0, 1], got {rate!r}.")
    if not eta > -1:
        raise ParameterError(f"`eta` must be a number above -1, got {eta!r}.")
    low, high = bounds
    mutated: NDArray[np.float64] = np.array(x, dtype=np.float64)
    chosen = rng.random(mutated.shape) < rate
    u = rng.random(int(np.count_nonzero(chosen)))
    power = 1 / (eta + 1)
    step = np.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 * (1 - u)) ** power)
    mutated[chosen] = np.clip(mutated[chosen] + step * (high - low), low, high)
    return mutated
