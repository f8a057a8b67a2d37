"""Climbing the score of a class: the image that a model calls it the most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ParameterError
from pncviz.specs import STOP_REASONS
from pncviz.synthesis import DIVERGED_AT, check_clip, check_count, check_number

__all__ = ["GradientAscent"]

_RUNNING = -1
_MAX_ITER, _MAX_LOSS, _MIN_CONFIDENCE, _VANISHED, _DIVERGED = range(len(STOP_REASONS))


class GradientAscent(Attack):
    r"""Climb the score (the logit) of the target unit, perhaps towards smooth or small images.

    ``x <- x + learning_rate * d/dx (score - l2 * |x|² - total_variation * TV(x))``, where TV is the
    sum of the absolute differences between neighbouring values of a row and of a column.
    Untargeted, the score is descended; the penalties stay. Unlike the cross-entropy, the score has
    no optimum that says when to stop: without a penalty or ``clip``, images grow with every step.

    Parameters
    ----------
    learning_rate : float, default=1.0
        Units of the input per unit of gradient.
    l2 : float, default=0.0
        Weight of the squared length of the input, per squared unit of it.
    total_variation : float, default=0.0
        Weight of the total variation, per unit of the input; images only.
    jitter : int, default=0
        Show the model the image rolled by up to so many rows and columns, anew in each iteration;
        images only.
    clip : (low, high), optional
        Bounds of the input.

    Notes
    -----
    The loss is minus the score, or, untargeted, the score, without the penalties: this is what
    ``max_loss`` is compared with. With jitter, the stop rule sees the image as the model does.

    References
    ----------
    erhan2009visualizing; simonyan2014deep, section 2.

    Examples
    --------
    On a linear model, every step adds the weights of the unit.

    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> net = torch.nn.Linear(2, 2)
    >>> net.weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> model = TorchModel(net, input_shape=(2,))
    >>> target = Target(codes=torch.tensor([0, 1]))
    >>> with model.session():
    ...     result = GradientAscent().run(model, torch.zeros(2, 2), target, Stop(max_iter=3), [])
    >>> result.adversarial
    tensor([[ 3.,  6.],
            [ 9., 12.]])
    """

    needs = frozenset({"gradients"})

    def __init__(
        self,
        learning_rate: float = 1.0,
        l2: float = 0.0,
        total_variation: float = 0.0,
        jitter: int = 0,
        clip: tuple[float, float] | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.l2 = l2
        self.total_variation = total_variation
        self.jitter = jitter
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_number("learning_rate", self.learning_rate, low=0, open_low=True)
        check_number("l2", self.l2, low=0)
        check_number("total_variation", self.total_variation, low=0)
        check_count("jitter", self.jitter, low=0)
        check_clip(self.clip)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],
    ) -> AttackResult:
        """Climb from n starts; with ``clip``, the start is clipped too."""
        if start.ndim < 3 and (self.total_variation or self.jitter):
            name = "jitter" if self.jitter else "total_variation"
            raise ParameterError(
                f"`{name}` must be 0 for inputs without rows and columns, such as these of shape "
                f"{tuple(start.shape[1:])}, got {getattr(self, name)!r}."
            )
        climb = _Climb(model, start if self.clip is None else start.clamp(*self.clip), target)
        for _ in range(stop.max_iter):
            rows = climb.running()
            if not len(rows):
                break
            self._step(climb, rows, stop, rngs)
        climb.finish(climb.running(), _MAX_ITER)
        return climb.result()

    def _step(
        self, climb: _Climb, rows: Tensor, stop: Stop, rngs: Sequence[np.random.Generator]
    ) -> None:
        """Move the rows that still run, or say why they do not."""
        x, rolls = climb.x[rows], None
        if self.jitter:
            rolls = _rolls(self.jitter, [rngs[row] for row in rows.tolist()], x.device)
            x = _rolled(x, rolls)
        loss, confidence, gradient = climb.slope(x, rows)
        if rolls is not None:
            x, gradient = climb.x[rows], _rolled(gradient, -rolls)
        gradient = gradient + self._penalty(x)
        # With jitter, a gradient that is zero now need not be so in the next iteration.
        still = ~gradient.flatten(1).any(dim=1) & (not self.jitter)
        new = x - gradient * self.learning_rate
        if self.clip is not None:
            new = new.clamp(*self.clip)
        # False for NaN too.
        bounded = new.flatten(1).abs().amax(dim=1) <= DIVERGED_AT
        moves = climb.sort(rows, stop, loss, confidence, still, bounded)
        climb.x[rows[moves]] = new[moves]
        climb.n_iter[rows[moves]] += 1

    def _penalty(self, x: Tensor) -> Tensor:
        """Give the gradient of the penalties."""
        found = x * (2 * self.l2)
        if self.total_variation:
            for dim in (-2, -1):
                n = x.shape[dim] - 1
                sign = x.diff(dim=dim).sign() * self.total_variation
                found.narrow(dim, 1, n).add_(sign)
                found.narrow(dim, 0, n).sub_(sign)
        return found


class _Climb:
    """The rows, where they are and why they stopped."""

    def __init__(self, model: Model, start: Tensor, target: Target) -> None:
        self.model, self.codes = model, target.codes
        self.targeted = target.targeted
        self.x = start.detach().clone()
        self.n_iter = torch.zeros(len(start), dtype=torch.int64, device=start.device)
        self.reason = torch.full_like(self.n_iter, _RUNNING)

    def running(self) -> Tensor:
        """Give the numbers of the rows that did not stop."""
        return (self.reason == _RUNNING).nonzero()[:, 0]

    def finish(self, rows: Tensor, reason: int) -> None:
        """Stop rows."""
        self.reason[rows] = reason

    def sort(
        self,
        rows: Tensor,
        stop: Stop,
        loss: Tensor,
        confidence: Tensor,
        still: Tensor,
        bounded: Tensor,
    ) -> Tensor:
        """Stop those of some rows that have a reason to; says which of them have none."""
        ends = [(still, _VANISHED), (~bounded, _DIVERGED)]
        if stop.min_confidence is not None:
            ends.append((confidence >= stop.min_confidence, _MIN_CONFIDENCE))
        if stop.max_loss is not None:
            ends.append((loss <= stop.max_loss, _MAX_LOSS))
        # The first reason counts the most, and so is written last.
        for which, reason in ends:
            self.finish(rows[which], reason)
        return self.reason[rows] == _RUNNING

    def slope(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give loss and confidence of some rows, and the gradient of the summed loss."""
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.model.logits(x)
            score = logits.gather(1, self.codes[rows, None])[:, 0]
        weights = torch.full_like(score, -1.0 if self.targeted else 1.0)
        (gradient,) = torch.autograd.grad(score, x, weights)
        return *self.grade(logits.detach(), rows), gradient

    def grade(self, logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Give the loss, a score, and the confidence of some rows."""
        places = self.codes[rows, None]
        score = logits.gather(1, places)[:, 0]
        share = logits.softmax(dim=1).gather(1, places)[:, 0]
        return (-score, share) if self.targeted else (score, 1 - share)

    def result(self) -> AttackResult:
        """Give the outcome of every row, as the model sees it at last."""
        with torch.no_grad():
            every = torch.arange(len(self.x), device=self.x.device)
            loss, confidence = self.grade(self.model.logits(self.x), every)
        return AttackResult(
            adversarial=self.x,
            n_iter=self.n_iter.cpu().numpy(),
            stop_reason=np.array(STOP_REASONS)[self.reason.cpu().numpy()],
            loss=loss.double().cpu().numpy(),
            confidence=confidence.double().cpu().numpy(),
        )


def _rolls(most: int, rngs: Sequence[np.random.Generator], device: torch.device) -> Tensor:
    """Draw how many rows and columns each image is rolled by: (n, 2)."""
    drawn: NDArray[np.int64] = np.stack([rng.integers(-most, most + 1, 2) for rng in rngs])
    return torch.from_numpy(drawn).to(device)


def _rolled(x: Tensor, rolls: Tensor) -> Tensor:
    """Roll the last two axes of each row by its own numbers."""
    n, (height, width) = len(x), x.shape[-2:]
    down = (torch.arange(height, device=x.device) - rolls[:, :1]) % height
    right = (torch.arange(width, device=x.device) - rolls[:, 1:]) % width
    flat = x.reshape(n, -1, height, width)
    rows = torch.arange(n, device=x.device)[:, None, None]
    # Indices around a slice put the sliced axis last.
    rolled = flat[rows, :, down[:, :, None], right[:, None, :]]
    return rolled.movedim(-1, 1).reshape(x.shape)
