"""Softmax regression."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["Softmax"]


class Softmax(nn.Module):
    """One linear layer, ``linear``: softmax regression; logits.

    Parameters
    ----------
    input_shape : tuple of int
        One sample, flat or image.
    n_classes : int

    References
    ----------
    goodfellow2015explaining, section 4, where it is attacked.

    Examples
    --------
    >>> import torch
    >>> Softmax(input_shape=(1, 6, 6), n_classes=4)(torch.zeros(2, 36)).shape
    torch.Size([2, 4])
    """

    def __init__(self, *, input_shape: Sequence[int], n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(input_shape), n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Flat or image input (n, …) to logits (n, n_classes)."""
        logits: Tensor = self.linear(x.flatten(1).to(self.linear.weight.dtype))
        return logits
