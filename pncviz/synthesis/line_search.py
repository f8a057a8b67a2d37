"""The smallest change along a direction that does what is asked, for many inputs at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pncviz.specs import Model, Target
from pncviz.synthesis.losses import LOSSES, grade
from pncviz.synthesis.rows import size_of

__all__ = ["Change", "smallest_change"]

#: Growth per step while the label holds: a fifth finer than doubling twice.
_GROWTH = math.sqrt(2)
#: Steps of growth: the first magnitude is 2**-12 of the limit.
_N_GROWTHS = 24
#: Halvings of the bracket: to a 400th of the magnitude.
_N_BISECTIONS = 8
#: The limit without bounds, in units of the input.
_LIMIT = 1024.0


class Change(NamedTuple):
    r"""What a line search found.

    Attributes
    ----------
    adversarial : tensor of shape (n, \*input_shape)
    magnitude : tensor of shape (n,)
        How far along the direction, as its largest component, before clipping and rounding; 0
        where nothing was to be done.
    found : bool tensor of shape (n,)
        Whether the model gives what is asked at ``adversarial``.
    """

    adversarial: Tensor
    magnitude: Tensor
    found: Tensor


def smallest_change(
    model: Model,
    start: Tensor,
    direction: Tensor,
    target: Target,
    *,
    clip: tuple[float, float] | None = None,
    pixel_step: float | None = None,
    limit: float | Tensor | None = None,
) -> Change:
    r"""Search each row's direction for the least magnitude at which the model gives its target.

    The direction is scaled to a largest component of 1. Magnitudes grow by a root of 2 until the
    model answers as asked; the interval before is then halved eight times. What is called is the
    first change met: a model may well change its mind again in between. Rows do not depend on
    each other, and each leaves the batch when it is done.

    Parameters
    ----------
    model : Model
    start, direction : tensors of shape (n, \*input_shape)
    target : Target
    clip : (low, high), optional
        Bounds of the input, which candidates never leave.
    pixel_step : float, optional
        Candidates are rounded to whole multiples of it.
    limit : float or tensor of shape (n,), optional
        Largest magnitude, of all rows or of each; by default 16 times the width of ``clip``, or
        1024 without.

    Returns
    -------
    Change
        Rows that are as asked from the start keep it. Rows without a direction keep theirs, and
        are not found; of others never found, the candidate of the greatest confidence.

    References
    ----------
    rozsa2016adversarial, rozsa2017lots: the search; its steps are not published.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Target
    >>> net = torch.nn.Linear(1, 2)
    >>> net.weight.data, net.bias.data = torch.tensor([[0.0], [1.0]]), torch.tensor([3.0, 0.0])
    >>> model = TorchModel(net, input_shape=(1,))
    >>> with model.session():
    ...     change = smallest_change(
    ...         model, torch.zeros(1, 1), torch.ones(1, 1), Target(codes=torch.tensor([1])))
    >>> 3 < change.adversarial.item() < 3.02, change.found.item()
    (True, True)
    """
    if limit is None:
        limit = _LIMIT if clip is None else 16 * (clip[1] - clip[0])
    with torch.no_grad():
        line = _Line(model, start, direction, target, clip, pixel_step)
        line.grow(limit)
        line.halve()
    return Change(line.best, line.upper, line.found)


class _Line:
    """The rows' lines, and where between a miss and a hit each of them is."""

    def __init__(
        self,
        model: Model,
        start: Tensor,
        direction: Tensor,
        target: Target,
        clip: tuple[float, float] | None,
        pixel_step: float | None,
    ) -> None:
        self.model, self.target = model, target
        self.clip, self.pixel_step = clip, pixel_step
        size = size_of(direction)
        usable = torch.isfinite(size) & (size > 0)
        unit = direction / _like(size, direction)
        self.start = start
        self.direction = torch.where(_like(usable, direction), unit, torch.zeros_like(unit))
        size = torch.zeros_like(size)
        rows = torch.arange(len(start), device=start.device)
        self.best = self.at(rows, size)
        self.lower, self.upper = size.clone(), size.clone()
        self.found, self.confidence = self.ask(rows, self.best)
        self.open = usable & ~self.found

    def at(self, rows: Tensor, magnitude: Tensor) -> Tensor:
        """Give the candidates of some rows, within bounds and on the grid of pixel values."""
        x = self.start[rows] + self.direction[rows] * _like(magnitude, self.start)
        if self.clip is not None:
            x = x.clamp(*self.clip)
        if self.pixel_step is not None:
            x = torch.round(x / self.pixel_step) * self.pixel_step
            # The grid need not meet the bounds.
            x = x if self.clip is None else x.clamp(*self.clip)
        return x

    def ask(self, rows: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Say which candidates are as asked, and with what confidence; in batches that fit."""
        target = Target(codes=self.target.codes[rows], targeted=self.target.targeted)
        logits = self.model.logits(x)
        same = logits.argmax(dim=1) == target.codes
        share = grade(logits, target, LOSSES["cross_entropy"])[1]
        return (same if target.targeted else ~same), share

    def grow(self, limit: float | Tensor) -> None:
        """Raise the magnitude until a row is as asked."""
        limits = torch.as_tensor(limit).to(self.lower).expand_as(self.lower)
        for step in range(_N_GROWTHS, -1, -1):
            rows = self.open.nonzero()[:, 0]
            if not len(rows):
                return
            magnitude = limits[rows] * _GROWTH**-step
            x = self.at(rows, magnitude)
            there, share = self.ask(rows, x)
            better = there | (share > self.confidence[rows])
            self.best[rows[better]] = x[better]
            self.confidence[rows[better]] = share[better]
            self.upper[rows[better]] = magnitude[better]
            self.lower[rows[~there]] = magnitude[~there]
            self.found[rows[there]] = True
            self.open[rows[there]] = False

    def halve(self) -> None:
        """Narrow the interval between the last miss and the first hit."""
        rows = (self.found & (self.upper > 0)).nonzero()[:, 0]
        for _ in range(_N_BISECTIONS if len(rows) else 0):
            middle = (self.lower[rows] + self.upper[rows]) / 2
            x = self.at(rows, middle)
            there = self.ask(rows, x)[0]
            self.best[rows[there]] = x[there]
            self.upper[rows[there]] = middle[there]
            self.lower[rows[~there]] = middle[~there]


def _like(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (x.ndim - 1))
