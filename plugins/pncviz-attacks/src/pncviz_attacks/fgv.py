"""The fast gradient value method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.synthesis import check_clip, check_number, loss_gradient
from pncviz_attacks.search import searched
from pncviz_attacks.steps import unit_rows

__all__ = ["FGV"]


class FGV(Attack):
    r"""The smallest step along the gradient of the cross-entropy that changes the label.

    The direction is the gradient itself at an L2 length of 1, where FGSM takes its sign; the
    magnitude is searched for. Untargeted, the loss of the unit to get away from is climbed until
    the model names another; targeted, that of the target descended until the model names it.

    Parameters
    ----------
    clip : (low, high), optional
        Bounds of the input.
    pixel_step : float, optional
        Round the values of every candidate to whole multiples of it, such as 1/255.
    limit : float, optional
        The largest magnitude to try, as the change of the value that changes most; by default 16
        times the width of ``clip``, or 1024 without.

    Notes
    -----
    ``stop_reason`` is "changed" where the smallest change was found, "not_found" where no magnitude
    did (the candidate of the greatest confidence is given), "vanished_gradient" where there is no
    direction: float32 has no gradient left where the model is all too sure. Of the stop rule,
    loss and confidence are not asked.

    References
    ----------
    rozsa2016adversarial.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> net = torch.nn.Linear(2, 2)
    >>> net.weight.data, net.bias.data = torch.tensor([[0.0, 0.0], [0.6, 0.8]]), torch.zeros(2)
    >>> model = TorchModel(net, input_shape=(2,))
    >>> start, target = torch.tensor([[3.0, 4.0]]), Target(codes=torch.tensor([1]), targeted=False)
    >>> with model.session():
    ...     result = FGV().run(model, start, target, Stop(), [])
    >>> result.adversarial.norm() < 0.05, result.stop_reason  # the boundary goes through 0
    (tensor(True), array(['changed'], dtype='<U17'))
    """

    needs = frozenset({"gradients"})

    def __init__(
        self,
        clip: tuple[float, float] | None = None,
        pixel_step: float | None = None,
        limit: float | None = None,
    ) -> None:
        self.clip = clip
        self.pixel_step = pixel_step
        self.limit = limit

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_clip(self.clip)
        check_number("pixel_step", self.pixel_step, low=0, open_low=True, none=True)
        check_number("limit", self.limit, low=0, open_low=True, none=True)

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
        gradient = loss_gradient(model, start, target)[2]
        # A row without a finite gradient keeps it, so that the result can say so.
        finite = torch.isfinite(gradient).flatten(1).all(dim=1)
        unit = unit_rows(gradient)
        shape = (-1, *[1] * (start.ndim - 1))
        direction = -torch.where(finite.reshape(shape), unit, gradient)
        return searched(
            model,
            start,
            direction,
            target,
            clip=self.clip,
            pixel_step=self.pixel_step,
            limit=self.limit,
        )
