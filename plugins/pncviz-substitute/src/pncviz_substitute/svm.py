"""A step that is orthogonal to the hyperplane of the class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.synthesis import check_clip, check_number, judged, smallest_change

__all__ = ["SVMNormal"]


class SVMNormal(Attack):
    r"""One step along the normal of a class's decision function.

    ``x - epsilon * w / |w|``, where w is the gradient of the logit of the unit to get away from: of
    a linear SVM with one hyperplane for each class, the normal of that hyperplane. Targeted, the
    step goes the other way, by the target's.

    Parameters
    ----------
    epsilon : float or None, default=5.0
        L2 length of the step, units of the input. None searches for the least that gives the
        target, or, untargeted, another label.
    clip : (low, high), optional
        Bounds of the input.

    Notes
    -----
    ``stop_reason`` is "max_iter" where the step was taken, "changed" or "not_found" after a
    search, "vanished_gradient" where there is no normal. Of the stop rule, loss and confidence are
    not asked.

    References
    ----------
    papernot2016transferability.

    Examples
    --------
    >>> from pncviz.models import TorchModel
    >>> net = torch.nn.Linear(2, 2, bias=False)
    >>> net.weight.data = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    >>> model = TorchModel(net, input_shape=(2,))
    >>> target = Target(codes=torch.tensor([0]), targeted=False)
    >>> with model.session():
    ...     result = SVMNormal(epsilon=1.0).run(model, torch.zeros(1, 2), target, Stop(), [])
    >>> result.adversarial
    tensor([[-0.6000, -0.8000]])
    """

    needs = frozenset({"gradients"})

    def __init__(
        self, epsilon: float | None = 5.0, clip: tuple[float, float] | None = None
    ) -> None:
        self.epsilon = epsilon
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_number("epsilon", self.epsilon, low=0, open_low=True, none=True)
        check_clip(self.clip)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,  # noqa: ARG002 # one step, whatever it says
        rngs: Sequence[np.random.Generator],  # noqa: ARG002 # nothing random here
    ) -> AttackResult:
        """Take the step; with ``clip``, the start is clipped first."""
        if self.clip is not None:
            start = start.clamp(*self.clip)
        normal = _unit(_slope(model, start, target.codes))
        direction = normal if target.targeted else -normal
        there = (normal != 0).flatten(1).any(dim=1)
        if self.epsilon is None:
            change = smallest_change(model, start, direction, target, clip=self.clip)
            reason = np.where(change.found.cpu().numpy(), "changed", "not_found")
            new, moved = change.adversarial, change.magnitude > 0
        else:
            new, moved = start + self.epsilon * direction, there
            new = new if self.clip is None else new.clamp(*self.clip)
            reason = np.full(len(start), "max_iter", dtype="<U17")
        reason = np.where(there.cpu().numpy() | (reason == "changed"), reason, "vanished_gradient")
        return judged(model, new, target, n_iter=moved, stop_reason=reason)


def _slope(model: Model, start: Tensor, codes: Tensor) -> Tensor:
    with torch.enable_grad():
        x = start.detach().clone().requires_grad_()
        own = model.logits(x).gather(1, codes[:, None])[:, 0]
        # Of the sum: each row's gradient is its own.
        (gradient,) = torch.autograd.grad(own, x, torch.ones_like(own))
    return gradient


def _unit(gradient: Tensor) -> Tensor:
    """Scale rows to an L2 length of 1; without a direction they are 0."""
    flat = gradient.flatten(1).double()
    # By the largest value first: squares of small gradients would vanish.
    size = flat.abs().amax(dim=1, keepdim=True)
    usable = torch.isfinite(size) & (size > 0)
    scaled = flat / torch.where(usable, size, torch.ones_like(size))
    length = scaled.norm(dim=1, keepdim=True)
    unit = torch.where(usable, scaled / torch.where(usable, length, 1), torch.zeros_like(flat))
    return unit.to(gradient.dtype).reshape(gradient.shape)
