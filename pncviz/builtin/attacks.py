"""The paper's attack: gradient descent on the input."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pncviz.exceptions import ParameterError
from pncviz.hookspecs import hookimpl
from pncviz.specs import Attack, AttackResult, AttackSpec, Model, Stop, Target
from pncviz.synthesis import FORMS, LOSSES, descend

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
        if not _is_number(self.learning_rate) or self.learning_rate <= 0:
            raise ParameterError(
                f"`learning_rate` must be a positive number, got {self.learning_rate!r}."
            )
        if not _is_number(self.momentum) or not 0 <= self.momentum < 1:
            raise ParameterError(f"`momentum` must lie in [0, 1), got {self.momentum!r}.")
        if self.loss not in LOSSES:
            raise ParameterError(f"`loss` must be one of {', '.join(LOSSES)}, got {self.loss!r}.")
        if self.clip is not None:
            pair = isinstance(self.clip, Sequence) and len(self.clip) == 2
            if not pair or not all(map(_is_number, self.clip)) or self.clip[0] >= self.clip[1]:
                raise ParameterError(
                    f"`clip` must be None or (low, high) with low < high, got {self.clip!r}."
                )
        if self.first_layer not in FORMS:
            raise ParameterError(
                f"`first_layer` must be one of {', '.join(FORMS)}, got {self.first_layer!r}."
            )
        every = self.trace_every
        if every is not None and (not isinstance(every, numbers.Integral) or every < 1):
            raise ParameterError(
                f"`trace_every` must be None or a positive integer, got {every!r}."
            )

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


def _is_number(value: object) -> bool:
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and bool(np.isfinite(float(value)))
    )


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
