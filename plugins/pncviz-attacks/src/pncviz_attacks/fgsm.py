"""The fast gradient sign method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.synthesis import check_clip, check_number, judged, loss_gradient, smallest_change
from pncviz_attacks.steps import BoxStep, check_reach

__all__ = ["FGSM"]


class FGSM(Attack):
    r"""One step by the sign of the gradient of the cross-entropy.

    ``x - epsilon * sign(gradient)``, with the loss of the target unit, or, untargeted, minus the
    loss of the unit to get away from.

    Parameters
    ----------
    epsilon : float or None, default=0.25
        Change of every value, units of the input. None searches the direction for the smallest
        change that gives the target, or, untargeted, another label ("FGS" of the LOTS paper); the
        stop rule on loss and confidence is not asked then.
    clip : (low, high), optional
        Bounds of the input.
    pixel_step : float, optional
        Round the values to whole multiples of it, such as 1/255, without leaving ``epsilon``.

    Notes
    -----
    ``stop_reason`` is "max_iter" where the step was taken, "vanished_gradient" where there is no
    direction, "max_loss" or "min_confidence" where the start is good already; with
    ``epsilon=None``, "changed" or "not_found".

    References
    ----------
    goodfellow2015explaining; the search, rozsa2017lots.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> target = Target(codes=torch.tensor([0, 1]))
    >>> with model.session():
    ...     result = FGSM(epsilon=0.1).run(model, torch.zeros(2, 4), target, Stop(), [])
    >>> result.adversarial.abs()
    tensor([[0.1000, 0.1000, 0.1000, 0.1000],
            [0.1000, 0.1000, 0.1000, 0.1000]])
    """

    needs = frozenset({"gradients"})

    def __init__(
        self,
        epsilon: float | None = 0.25,
        clip: tuple[float, float] | None = None,
        pixel_step: float | None = None,
    ) -> None:
        self.epsilon = epsilon
        self.clip = clip
        self.pixel_step = pixel_step

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_number("epsilon", self.epsilon, low=0, open_low=True, none=True)
        check_clip(self.clip)
        check_number("pixel_step", self.pixel_step, low=0, open_low=True, none=True)
        if self.epsilon is not None and self.pixel_step is not None:
            check_reach("epsilon", self.epsilon, self.pixel_step)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],  # noqa: ARG002 # nothing random here
    ) -> AttackResult:
        """Take the step, or search for the smallest one; with ``clip``, the start is clipped."""
        if self.clip is not None:
            start = start.clamp(*self.clip)
        loss, confidence, gradient = loss_gradient(model, start, target)
        flat = (gradient.flatten(1) == 0).all(dim=1)
        if self.epsilon is None:
            return self._search(model, start, target, gradient, flat)
        reason = _reasons(stop, loss, confidence, flat)
        moves = torch.from_numpy(reason == "max_iter").to(start.device)
        step = BoxStep(
            start,
            epsilon=self.epsilon,
            step_size=self.epsilon,
            clip=self.clip,
            pixel_step=self.pixel_step,
        )
        new = step(start, gradient, None)[0]
        if not bool(moves.all()):
            stays = step.inside(start)
            new = torch.where(moves.reshape(-1, *[1] * (start.ndim - 1)), new, stays)
        return judged(model, new, target, n_iter=moves, stop_reason=reason)

    def _search(
        self, model: Model, start: Tensor, target: Target, gradient: Tensor, flat: Tensor
    ) -> AttackResult:
        change = smallest_change(
            model, start, -gradient.sign(), target, clip=self.clip, pixel_step=self.pixel_step
        )
        found = change.found.cpu().numpy()
        lost = np.where(flat.cpu().numpy(), "vanished_gradient", "not_found")
        return judged(
            model,
            change.adversarial,
            target,
            n_iter=change.magnitude > 0,
            stop_reason=np.where(found, "changed", lost),
        )


def _reasons(stop: Stop, loss: Tensor, confidence: Tensor, flat: Tensor) -> NDArray[Any]:
    """Say of each row why it stops: before the step, or after it."""
    reason = np.where(flat.cpu().numpy(), "vanished_gradient", "max_iter")
    if stop.min_confidence is not None:
        reason[(confidence >= stop.min_confidence).cpu().numpy()] = "min_confidence"
    if stop.max_loss is not None:
        reason[(loss <= stop.max_loss).cpu().numpy()] = "max_loss"
    return reason
