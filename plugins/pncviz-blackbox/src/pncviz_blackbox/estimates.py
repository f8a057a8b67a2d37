r"""Gradients of a model that can only be asked, from differences of its losses.

For a direction u of independent values of mean 0 and variance 1, the difference of the losses on
its two sides, times u, is on average the gradient:
``E[(L(x + sigma u) - L(x - sigma u)) / (2 sigma) u]`` is that of the loss blurred by sigma, and for
a linear loss the gradient itself. The mean over m Gaussian directions in d dimensions has then a
relative error of ``sqrt((d + 1) / m)``; over m directions of signs, of ``sqrt((d - 1) / m)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pncviz import Model, Target
from pncviz.exceptions import ParameterError
from pncviz.synthesis import check_count, check_number
from pncviz.synthesis.losses import loss_named
from pncviz_blackbox.asking import ask, flat_start
from pncviz_blackbox.directions import DIRECTIONS, Source, make_source

__all__ = ["Estimate", "Estimator", "check_estimate", "estimate_gradient"]

#: Directions that are drawn and added up at once. Fixed, so that sums are the same to the bit
#: whatever the batch size.
_BLOCK = 128


class Estimate(NamedTuple):
    r"""What :func:`estimate_gradient` found.

    Attributes
    ----------
    gradient : tensor of shape (n, \*input_shape)
        Of each row's loss, in the precision and on the device of the inputs.
    n_queries : int
        Inputs that the model was asked about for each row.
    """

    gradient: Tensor
    n_queries: int


def estimate_gradient(
    model: Model,
    x: Tensor,
    target: Target,
    rngs: Sequence[np.random.Generator],
    *,
    n_samples: int = 50,
    sigma: float = 0.01,
    loss: str = "cross_entropy",
    kind: str = "gaussian",
    antithetic: bool = True,
) -> Estimate:
    r"""Estimate the gradient of each row's loss from the model's probabilities alone.

    Parameters
    ----------
    model : Model
        In a session.
    x : tensor of shape (n, \*input_shape)
    target : Target
        Untargeted, the loss is negative, so that it is always to be descended.
    rngs : sequence of n numpy.random.Generator
        One per row; what a row gives depends on no other row and on no batch size.
    n_samples : int, default=50
        Inputs asked about for each row, one or two to a direction. An odd one over is not asked.
    sigma : float, default=0.01
        Length of the differences, per value, in units of the input.
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
    kind : {"gaussian", "signs"}, default="gaussian"
        Directions of normal values, or of -1 and 1.
    antithetic : bool, default=True
        Ask on both sides of each direction. Otherwise on one, and the losses count from their mean:
        half the questions to a direction, but each estimate has an error of its own where the loss
        is curved, and nothing is cancelled of the rounding of large losses.

    Returns
    -------
    Estimate
        A gradient of zeros where no answer differs from another.

    Raises
    ------
    ParameterError
        A parameter that cannot be.

    References
    ----------
    ilyas2018blackbox, spall1992multivariate.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.synthesis import loss_gradient
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> x, target = torch.zeros(1, 4), Target(codes=torch.tensor([0]))
    >>> with model.session():
    ...     found = estimate_gradient(model, x, target, [np.random.default_rng(0)],
    ...                               n_samples=20_000)
    ...     _, _, true = loss_gradient(model, x, target)
    >>> bool((found.gradient - true).norm() / true.norm() < 0.1), found.n_queries
    (True, 20000)
    """
    check_estimate(n_samples, sigma, loss, kind)
    estimator = Estimator(model, loss=loss, n_samples=n_samples, antithetic=antithetic)
    aim = Target(codes=target.codes.cpu(), targeted=target.targeted)
    sources = [make_source(kind, rng) for rng in rngs]
    gradient = estimator(flat_start(x, None), aim, sources, sigma)
    return Estimate(gradient.reshape(x.shape).to(x), estimator.n_asked)


def check_estimate(n_samples: object, sigma: object, loss: str, kind: str = "gaussian") -> None:
    """Raise ParameterError for a parameter of an estimate that cannot be."""
    check_count("n_samples", n_samples, low=2)
    check_number("sigma", sigma, low=0, open_low=True)
    loss_named(loss)
    if kind not in DIRECTIONS:
        raise ParameterError(f"`kind` must be one of {', '.join(DIRECTIONS)}, got {kind!r:.80}.")


class Estimator:
    """Estimates gradients of some rows, in calls of about the model's batch size.

    Memory is that of one such call, however many samples there are.

    Parameters
    ----------
    model : Model
    loss : {"cross_entropy", "squared_error"}
    n_samples : int
        As of :func:`estimate_gradient`.
    antithetic : bool
        Two sides to a direction, or one.

    Attributes
    ----------
    n_asked : int
        Inputs asked about for each row.
    """

    def __init__(self, model: Model, *, loss: str, n_samples: int, antithetic: bool) -> None:
        self.model, self.loss, self.sides = model, loss, 2 if antithetic else 1
        self.n_directions = n_samples // self.sides
        self.n_asked = self.sides * self.n_directions
        # What the model has anyway; less would blur differences.
        self._dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
        self._room: Tensor | None = None

    def __call__(
        self, x: Tensor, target: Target, sources: Sequence[Source], sigma: float
    ) -> Tensor:
        """Estimate at flat rows (n, d), float64."""
        sums = [_Sums(x.shape[1]) for _ in sources]
        for units in self._calls(len(x)):
            drawn = [(row, sources[row](m, x.shape[1])) for row, m in units]
            answers = self._losses(x, target, drawn, sigma)
            for (row, directions), losses in zip(drawn, answers, strict=True):
                if self.sides == 2:
                    m = len(directions)
                    sums[row].add(directions, (losses[:m] - losses[m:]) / (2 * sigma))
                else:
                    sums[row].add_around_mean(directions, losses / sigma)
        return torch.stack([one.mean() for one in sums])

    def _calls(self, n: int) -> Iterator[list[tuple[int, int]]]:
        """Give (row, directions) of one call after another; at least one block in each."""
        units: list[tuple[int, int]] = []
        filled = 0
        for row in range(n):
            for first in range(0, self.n_directions, _BLOCK):
                m = min(_BLOCK, self.n_directions - first)
                if units and filled + self.sides * m > self.model.batch_size:
                    yield units
                    units, filled = [], 0
                units.append((row, m))
                filled += self.sides * m
        if units:
            yield units

    def _losses(
        self, x: Tensor, target: Target, drawn: list[tuple[int, Tensor]], sigma: float
    ) -> tuple[Tensor, ...]:
        """Ask on the sides of each direction."""
        counts = [self.sides * len(directions) for _, directions in drawn]
        points, at = self._space(sum(counts), x.shape[1]), 0
        for (row, directions), count in zip(drawn, counts, strict=True):
            m, here = len(directions), x[row].to(self._dtype)
            # Of one precision before the sums: mixed ones take ten times as long.
            way = (directions * sigma).to(self._dtype)
            torch.add(here, way, out=points[at : at + m])
            if self.sides == 2:
                torch.sub(here, way, out=points[at + m : at + 2 * m])
            at += count
        rows = torch.tensor([row for row, _ in drawn]).repeat_interleave(torch.tensor(counts))
        aim = Target(codes=target.codes[rows], targeted=target.targeted)
        return torch.split(ask(self.model, points, aim, self.loss).loss, counts)

    def _space(self, n: int, d: int) -> Tensor:
        """Give room for points: the same again, since fresh memory is slow to be written."""
        if self._room is None or len(self._room) < n:
            self._room = torch.empty(n, d, dtype=self._dtype)
        return self._room[:n]


class _Sums:
    """What is added up over one row's directions."""

    def __init__(self, d: int) -> None:
        self.n, self.weighted = 0, torch.zeros(d, dtype=torch.float64)
        self.weights, self.directions = 0.0, torch.zeros_like(self.weighted)
        self.middle: float | None = None

    def add(self, directions: Tensor, weights: Tensor) -> None:
        """Add weighted directions."""
        # By itself, of a fixed shape and without a matrix product: the same bits always.
        weighted = directions * weights.to(directions.dtype)[:, None]
        self.weighted += weighted.sum(dim=0)
        self.n += len(directions)

    def add_around_mean(self, directions: Tensor, weights: Tensor) -> None:
        """Add directions whose weights count from their mean over all."""
        if self.middle is None:  # near the mean, so that little is cancelled; 0 if all are alike
            self.middle = float(weights[0])
        weights = weights - self.middle
        self.add(directions, weights)
        self.weights += float(weights.sum())
        self.directions += directions.sum(dim=0)

    def mean(self) -> Tensor:
        """Give the mean product of weight and direction; around a mean, their covariance."""
        if self.middle is None:
            return self.weighted / self.n
        return (self.weighted - self.weights / self.n * self.directions) / (self.n - 1)
