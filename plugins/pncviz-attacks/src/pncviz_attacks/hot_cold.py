"""The hot/cold approach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ParameterError
from pncviz.synthesis import UNTIL, awaited, check_clip, check_number
from pncviz_attacks.search import searched

__all__ = ["HotCold"]


class HotCold(Attack):
    r"""Towards one class and away from another, by the scores that the model gives the two.

    With :math:`z(x)` the scores before the softmax, :math:`h` the hot class and :math:`c` the cold
    one, the scores are given the values

    .. math::

        \omega_h = |z_h(x)|, \qquad \omega_c = -|z_c(x)|, \qquad \omega_j = 0 \text{ otherwise,}

    and these are taken back to the input: the direction is the gradient of
    :math:`\sum_j \omega_j z_j(x)` with :math:`\omega` held fixed. Along it the smallest change is
    searched for. The loss plays no part.

    Targeted, the target is hot and what the model calls the start is cold. Untargeted, the class to
    get away from is cold and the likeliest other one is hot.

    Parameters
    ----------
    clip : (low, high), optional
        Bounds of the input.
    pixel_step : float, optional
        Round the values of every candidate to whole multiples of it, such as 1/255.
    limit : float, optional
        The largest magnitude to try, as the change of the value that changes most; by default 16
        times the width of ``clip``, or 1024 without.
    until : {"target", "changed"}, default="target"
        Search for the target, or, as the paper counts, for any other label than the start's.

    Notes
    -----
    This is the form for the layer before the softmax, with one value per class. The absolute values
    make the direction lead towards the hot class and away from the cold one whatever the signs of
    their scores.

    Scores that differ by a constant have the same softmax and yet other directions, and a score of
    exactly 0 does not count: of a model without biases at a zero start, no direction is left.

    ``stop_reason`` is "changed" where the smallest change was found, "not_found" where no magnitude
    did (the candidate of the greatest confidence is given), "vanished_gradient" where there is no
    direction. Of the stop rule, loss and confidence are not asked.

    References
    ----------
    rozsa2016adversarial.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> net = torch.nn.Linear(2, 2)
    >>> net.weight.data, net.bias.data = torch.eye(2), torch.zeros(2)
    >>> model = TorchModel(net, input_shape=(2,))
    >>> start, target = torch.tensor([[6.0, 3.0]]), Target(codes=torch.tensor([1]))
    >>> with model.session():
    ...     result = HotCold().run(model, start, target, Stop(), [])
    >>> result.adversarial.round(decimals=1)  # along (-6, 3)
    tensor([[4., 4.]])
    """

    needs = frozenset({"gradients"})

    def __init__(
        self,
        clip: tuple[float, float] | None = None,
        pixel_step: float | None = None,
        limit: float | None = None,
        until: str = "target",
    ) -> None:
        self.clip = clip
        self.pixel_step = pixel_step
        self.limit = limit
        self.until = until

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_clip(self.clip)
        check_number("pixel_step", self.pixel_step, low=0, open_low=True, none=True)
        check_number("limit", self.limit, low=0, open_low=True, none=True)
        if self.until not in UNTIL:
            raise ParameterError(
                f"`until` must be one of {', '.join(UNTIL)}, got {self.until!r:.80}."
            )

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,  # noqa: ARG002 # one step, whatever it says
        rngs: Sequence[np.random.Generator],  # noqa: ARG002 # nothing random here
    ) -> AttackResult:
        """Search from n starts; with ``clip``, the start is clipped first."""
        if self.clip is not None:
            start = start.clamp(*self.clip)
        return searched(
            model,
            start,
            _direction(model, start, target),
            target,
            goal=awaited(model, start, target, self.until),
            clip=self.clip,
            pixel_step=self.pixel_step,
            limit=self.limit,
        )


def _direction(model: Model, start: Tensor, target: Target) -> Tensor:
    """Take the scores of the hot and the cold class back to the input."""
    with torch.enable_grad():
        x = start.detach().requires_grad_()
        logits = model.logits(x)
        scores = logits.detach()
        hot, cold = _classes(scores, target)
        weights = torch.zeros_like(scores)
        weights.scatter_(1, cold[:, None], -scores.gather(1, cold[:, None]).abs())
        # Last, so that where both are one class it is hot: that row is a hit already.
        weights.scatter_(1, hot[:, None], scores.gather(1, hot[:, None]).abs())
        (direction,) = torch.autograd.grad(logits, x, weights)
    return direction


def _classes(scores: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Give the hot and the cold class of each row."""
    if target.targeted:
        return target.codes, scores.argmax(dim=1)
    others = scores.scatter(1, target.codes[:, None], -torch.inf)
    return others.argmax(dim=1), target.codes
