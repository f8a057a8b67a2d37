"""The losses that a descent can follow, and their gradients with respect to the logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["LOSSES", "Loss"]


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
