"""The paper's attack: gradient descent on the input."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pncviz.exceptions import ParameterError
from pncviz.hookspecs import hookimpl
from pncviz.specs import Attack, AttackResult, AttackSpec, Model, Stop, Target
from pncviz.synthesis import FORMS, check_clip, check_count, check_number, descend
from pncviz.synthesis.losses import loss_named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GradientDescent", "pncviz_attacks"]


class GradientDescent(Attack):
    """Walk the input down the gradient of the loss towards the target class.

    ``v <- momentum * v + gradient``, ``x <- x - learning_rate * v``.

    Parameters
    ----------
    learning_rate : float, default=1.0
        Units of the input per unit of gradient.
    momentum : float, default=0.0
        In [0, 1).
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
        Distance between prediction and target label: nats, or the squared distance of the
        probabilities to the one-hot label.
    clip : (low, high), optional
        Bounds of the input. None by default: clipping a zero start at 0 would cut off the
        negative half of a pattern.
    trace_every : int, optional
        Keep loss and confidence every so many iterations.
    first_layer : {"auto", "direct"}, default="auto"
        "auto" takes the same steps on the coordinates of the first layer's units where that is
        faster: where the network begins with a linear layer, and without ``clip``. "direct" always
        walks on the input. The two differ by rounding.

    References
    ----------
    dough2020, section 2.1; szegedy2013intriguing.
    """

    needs = frozenset({"gradients"})

    def __init__(
        self,
        learning_rate: float = 1.0,
        momentum: float = 0.0,
        loss: str = "cross_entropy",
        clip: tuple[float, float] | None = None,
        trace_every: int | None = None,
        first_layer: str = "auto",
    ) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.loss = loss
        self.clip = clip
        self.trace_every = trace_every
        self.first_layer = first_layer

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_number("learning_rate", self.learning_rate, low=0, open_low=True)
        if not isinstance(self.momentum, numbers.Real) or not 0 <= self.momentum < 1:
            raise ParameterError(f"`momentum` must lie in [0, 1), got {self.momentum!r}.")
        loss_named(self.loss)
        check_clip(self.clip)
        if self.first_layer not in FORMS:
            raise ParameterError(
                f"`first_layer` must be one of {', '.join(FORMS)}, got {self.first_layer!r}."
            )
        check_count("trace_every", self.trace_every, none=True)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],  # noqa: ARG002 # nothing random here
    ) -> AttackResult:
        """Descend from n starts to their targets; with ``clip``, the start is clipped too."""
        if self.clip is not None:
            start = start.clamp(*self.clip)
        return descend(
            model,
            start,
            self._step,
            target,
            stop,
            loss=self.loss,
            trace_every=self.trace_every,
            first_layer="direct" if self.clip is not None else self.first_layer,
        )

    def _step(self, x: Tensor, gradient: Tensor, state: Tensor | None) -> tuple[Tensor, Any]:
        # Product and difference apart: fused, the last bit would depend on a row's place.
        velocity = gradient if state is None else state * self.momentum + gradient
        new = x - (velocity if self.learning_rate == 1 else velocity * self.learning_rate)
        if self.clip is not None:
            new = new.clamp(*self.clip)
        return new, velocity if self.momentum else None


@hookimpl
def pncviz_attacks() -> list[AttackSpec]:
    """Give the paper's attack."""
    return [
        AttackSpec(
            name="gradient_descent",
            factory=GradientDescent,
            summary="descend the gradient of the loss on the input",
            reference="dough2020",
        )
    ]
