"""The losses that a descent can follow, and their gradients with respect to the logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pncviz.exceptions import ParameterError
from pncviz.specs import Target

__all__ = ["LOSSES", "Loss", "grade", "loss_named"]


class Loss(NamedTuple):
    """A loss of each row.

    Attributes
    ----------
    value : callable
        From logits (n, n_units) and units (n,) to the loss of each row (n,).
    slope : callable
        From probabilities (n, n_units) and one-hot targets (n, n_units) to the gradient of the
        summed loss to the logits; the probabilities may be overwritten.
    """

    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]


def _cross_entropy(logits: Tensor, codes: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, codes, reduction="none")


def _cross_entropy_slope(p: Tensor, wanted: Tensor) -> Tensor:
    return p.sub_(wanted)


def _squared_error(logits: Tensor, codes: Tensor) -> Tensor:
    p = logits.softmax(dim=1)
    wanted = torch.nn.functional.one_hot(codes, p.shape[1]).to(p.dtype)
    return ((p - wanted) ** 2).sum(dim=1)


def _squared_error_slope(p: Tensor, wanted: Tensor) -> Tensor:
    weighted = 2 * (p - wanted) * p
    return weighted - p * weighted.sum(dim=1, keepdim=True)


#: By the name that attacks take.
LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(_cross_entropy, _cross_entropy_slope),
    "squared_error": Loss(_squared_error, _squared_error_slope),
}


def loss_named(name: str) -> Loss:
    """Give the loss of that name; raises ParameterError if there is none."""
    if name not in LOSSES:
        raise ParameterError(f"`loss` must be one of {', '.join(LOSSES)}, got {name!r}.")
    return LOSSES[name]


def grade(logits: Tensor, target: Target, loss: Loss) -> tuple[Tensor, Tensor]:
    """Give loss and confidence of each row.

    Untargeted, the loss is negative and the confidence that of not being the unit.
    """
    share = logits.softmax(dim=1).gather(1, target.codes[:, None])[:, 0]
    value = loss.value(logits, target.codes)
    return (value, share) if target.targeted else (-value, 1 - share)
