"""Descents that stay near their start: the basic iterative method, and projected descent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ParameterError
from pncviz.synthesis import check_clip, check_count, check_number, descend
from pncviz_attacks.steps import BallStep, BoxStep, check_reach, noise_in_ball, noise_in_box

__all__ = ["BIM", "PGD"]

#: What `PGD` takes for its norm.
NORMS = ("linf", "l2")


class BIM(Attack):
    r"""Small steps by the sign of the gradient of the cross-entropy, within a box.

    ``x <- x - step_size * sign(gradient)``, and no value farther from the start than ``epsilon``.

    Parameters
    ----------
    epsilon : float, default=0.3
        The most that any value changes, units of the input.
    step_size : float, optional
        Change of every value per step; by default 1.25 * epsilon / n_steps, as many pixel values in
        all as in the paper, and at least ``pixel_step``.
    n_steps : int, default=10
        Fewer where ``max_iter`` is less.
    clip : (low, high), optional
        Bounds of the input.
    pixel_step : float, optional
        Round the values to whole multiples of it, such as 1/255, after each step.

    References
    ----------
    kurakin2017adversarial.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> target = Target(codes=torch.tensor([0, 1]), targeted=False)
    >>> with model.session():
    ...     result = BIM(epsilon=0.1).run(model, torch.zeros(2, 4), target, Stop(), [])
    >>> result.n_iter, bool(result.adversarial.abs().max() <= 0.1)
    (array([10, 10]), True)
    """

    needs = frozenset({"gradients"})

    def __init__(
        self,
        epsilon: float = 0.3,
        step_size: float | None = None,
        n_steps: int = 10,
        clip: tuple[float, float] | None = None,
        pixel_step: float | None = None,
    ) -> None:
        self.epsilon = epsilon
        self.step_size = step_size
        self.n_steps = n_steps
        self.clip = clip
        self.pixel_step = pixel_step

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_number("epsilon", self.epsilon, low=0, open_low=True)
        check_number("step_size", self.step_size, low=0, open_low=True, none=True)
        check_count("n_steps", self.n_steps)
        check_clip(self.clip)
        check_number("pixel_step", self.pixel_step, low=0, open_low=True, none=True)
        if self.pixel_step is not None:
            check_reach("epsilon", self.epsilon, self.pixel_step)
            if self.step_size is not None:
                check_reach("step_size", self.step_size, self.pixel_step)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],  # noqa: ARG002 # nothing random here
    ) -> AttackResult:
        """Descend from n starts within their boxes; with ``clip``, the start is clipped too."""
        if self.clip is not None:
            start = start.clamp(*self.clip)
        step = BoxStep(
            start,
            epsilon=self.epsilon,
            step_size=self._step_size(),
            clip=self.clip,
            pixel_step=self.pixel_step,
        )
        return descend(model, step.inside(start), step, target, _at_most(self.n_steps, stop))

    def _step_size(self) -> float:
        if self.step_size is not None:
            return self.step_size
        return max(1.25 * self.epsilon / self.n_steps, self.pixel_step or 0.0)


class PGD(Attack):
    r"""Projected gradient descent of the cross-entropy, from a random start near the given one.

    In a box (``norm="linf"``), steps go by the sign of the gradient; in a ball (``norm="l2"``), by
    the gradient at a length of 1.

    Parameters
    ----------
    epsilon : float, default=0.3
        Radius of the box or the ball, units of the input. For images in 0..1, a ball of the same
        use has a radius of a few units.
    norm : {"linf", "l2"}, default="linf"
        How far is far: the largest change of a value, or the Euclidean length of all changes.
    step_size : float, optional
        Length of a step in that norm; by default 2.5 * epsilon / n_steps.
    n_steps : int, default=40
        Fewer where ``max_iter`` is less.
    random_start : bool, default=True
        Begin at a random place of the box or ball, uniformly, rather than in its middle.
    clip : (low, high), optional
        Bounds of the input.
    pixel_step : float, optional
        In a box, round values to whole multiples of it in every step, such as 1/255; a step is
        then at least so long. A ball is left as it is.

    References
    ----------
    madry2018towards.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> target = Target(codes=torch.tensor([0, 1]))
    >>> attack = PGD(epsilon=2, norm="l2", random_start=False)
    >>> with model.session():
    ...     result = attack.run(model, torch.zeros(2, 4), target, Stop(), [])
    >>> result.adversarial.norm(dim=1).round(decimals=3)
    tensor([2., 2.])
    """

    needs = frozenset({"gradients"})

    def __init__(
        self,
        epsilon: float = 0.3,
        norm: str = "linf",
        step_size: float | None = None,
        n_steps: int = 40,
        random_start: bool = True,
        clip: tuple[float, float] | None = None,
        pixel_step: float | None = None,
    ) -> None:
        self.epsilon = epsilon
        self.norm = norm
        self.step_size = step_size
        self.n_steps = n_steps
        self.random_start = random_start
        self.clip = clip
        self.pixel_step = pixel_step

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_number("epsilon", self.epsilon, low=0, open_low=True)
        if self.norm not in NORMS:
            raise ParameterError(f"`norm` must be one of {', '.join(NORMS)}, got {self.norm!r}.")
        check_number("step_size", self.step_size, low=0, open_low=True, none=True)
        check_count("n_steps", self.n_steps)
        if not isinstance(self.random_start, bool | np.bool_):
            raise ParameterError(
                f"`random_start` must be True or False, got {self.random_start!r}."
            )
        check_clip(self.clip)
        check_number("pixel_step", self.pixel_step, low=0, open_low=True, none=True)
        if self.pixel_step is not None and self.norm == "linf":
            check_reach("epsilon", self.epsilon, self.pixel_step)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],
    ) -> AttackResult:
        """Descend near n starts; with ``clip``, the start is clipped first."""
        if self.clip is not None:
            start = start.clamp(*self.clip)
        step = self._step(start)
        if self.random_start:
            noise = noise_in_box if self.norm == "linf" else noise_in_ball
            noisy = noise(start, self.epsilon, rngs)
            start = step.inside(noisy)
        return descend(model, start, step, target, _at_most(self.n_steps, stop))

    def _step(self, start: Tensor) -> BoxStep | BallStep:
        size = 2.5 * self.epsilon / self.n_steps if self.step_size is None else self.step_size
        if self.norm == "l2":
            return BallStep(start, epsilon=self.epsilon, step_size=size, clip=self.clip)
        return BoxStep(
            start,
            epsilon=self.epsilon,
            step_size=max(size, self.pixel_step or 0.0),
            clip=self.clip,
            pixel_step=self.pixel_step,
        )


def _at_most(n_steps: int, stop: Stop) -> Stop:
    return replace(stop, max_iter=min(int(n_steps), stop.max_iter))
