"""Where to ask next: from each input a step along the substitute's gradient."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pncviz import Model, Target
from pncviz.synthesis import in_batches, loss_gradient

__all__ = ["jacobian_step", "reservoir", "signed_step"]


def jacobian_step(
    model: Model,
    X: NDArray[np.float32],
    units: NDArray[np.int64],
    step: float,
    clip: tuple[float, float] | None = None,
) -> NDArray[np.float32]:
    r"""Move each input by the sign of the Jacobian of its own unit's probability.

    ``x + step * sign(dp_unit / dx)``: the gradient of the cross-entropy has the same sign with a
    minus, and does not vanish where the probability is next to 0.

    Parameters
    ----------
    model : Model
        Of the substitute; needs gradients.
    X : float32 ndarray of shape (n, \*input_shape)
    units : int64 ndarray of shape (n,)
        What the target called each input, as the substitute's output unit.
    step : float
        Units of the input; a negative one leads the other way.
    clip : (low, high), optional
        Bounds of the input.

    Returns
    -------
    float32 ndarray of X's shape

    References
    ----------
    papernot2017practical, section 4.

    Examples
    --------
    >>> from pncviz.models import TorchModel
    >>> net = torch.nn.Linear(2, 2)
    >>> net.weight.data = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> jacobian_step(TorchModel(net, input_shape=(2,)), np.zeros((1, 2), dtype=np.float32),
    ...               np.array([0]), 0.5).tolist()
    [[0.5, -0.5]]
    """
    new = np.empty_like(X)

    def work(rows: range) -> None:
        part = slice(rows.start, rows.stop)
        x = model.tensor(X[part].copy())
        codes = torch.as_tensor(units[part], device=x.device)
        gradient = loss_gradient(model, x, Target(codes=codes))[2]
        sign = gradient.sign().neg().cpu().numpy().reshape(X[part].shape)
        new[part] = X[part] + np.float32(step) * sign.astype(np.float32)

    with model.session():
        in_batches(model, len(X), work)
    return new if clip is None else new.clip(*clip)


def signed_step(step: float, round_: int, period: int | None) -> float:
    """Give a round's step: its sign changes every ``period`` rounds.

    Parameters
    ----------
    step : float
    round_ : int
        The first augmentation is round 1.
    period : int or None
        None keeps the sign.

    References
    ----------
    papernot2016transferability, equation of the periodic step size.

    Examples
    --------
    >>> [signed_step(0.1, r, 2) for r in range(1, 7)]
    [0.1, 0.1, -0.1, -0.1, 0.1, 0.1]
    """
    if period is None:
        return step
    return -step if (round_ - 1) // period % 2 else step


def reservoir(n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``size`` of ``n`` rows, every subset alike, in one pass over them.

    Parameters
    ----------
    n, size : int
    rng : numpy.random.Generator

    Returns
    -------
    int64 ndarray of shape (min(n, size),)
        Ascending.

    References
    ----------
    vitter1985random, algorithm R; papernot2016transferability, algorithm 1.

    Examples
    --------
    >>> reservoir(3, 5, np.random.default_rng(0))
    array([0, 1, 2])
    """
    kept = np.arange(min(n, size))
    for row in range(size, n):
        place = rng.integers(row + 1)
        if place < size:
            kept[place] = row
    return np.sort(kept)
