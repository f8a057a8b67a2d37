"""Maxout networks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from pncviz_architectures.checks import check_counts, check_share

__all__ = ["LargestPiece", "Maxout"]


class LargestPiece(nn.Module):
    """The largest of each unit's pieces: (n, units · pieces) to (n, units).

    The pieces of one unit lie side by side.

    Parameters
    ----------
    pieces : int

    Examples
    --------
    >>> import torch
    >>> LargestPiece(2)(torch.tensor([[1.0, 3.0, -2.0, -5.0]]))
    tensor([[ 3., -2.]])
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Largest pieces."""
        # As pooling, since pncviz has its derivative written out, so attacks need no autograd.
        pooled = functional.max_pool2d(x.reshape(len(x), 1, -1, self.pieces), (1, self.pieces))
        return pooled.flatten(1)


class Maxout(nn.Module):
    """Hidden layers of maxout units, each the largest of its linear pieces; logits.

    Layers, by name: ``layers.linear1`` (units · pieces), ``layers.maxout1`` (units), and so on,
    then ``layers.output``. Weights begin as torch's linear layers do. In training, dropout comes
    before every linear layer. The paper also bounds the norm of each unit's weights, which is left
    to the training.

    Parameters
    ----------
    input_shape : tuple of int
        One sample, flat or image.
    n_classes : int
    units : sequence of int, default=(240, 240)
        Of each hidden layer.
    pieces : int, default=5
        Of each unit.
    input_dropout : float, default=0.2
        Share of the inputs left out in training, in [0, 1).
    hidden_dropout : float, default=0.5
        Share of each hidden layer's units left out in training, in [0, 1).

    Raises
    ------
    ParameterError
        Units or pieces that are no positive integers, a dropout that is no share.

    References
    ----------
    goodfellow2013maxout, section 5.1.

    Examples
    --------
    >>> import torch
    >>> net = Maxout(input_shape=(1, 6, 6), n_classes=4, units=[8], pieces=3)
    >>> net(torch.zeros(2, 36)).shape, net.layers.linear1.out_features
    (torch.Size([2, 4]), 24)
    """

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        n_classes: int,
        units: Sequence[int] = (240, 240),
        pieces: int = 5,
        input_dropout: float = 0.2,
        hidden_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = [math.prod(input_shape), *check_counts("units", units)]
        (pieces,) = check_counts("pieces", [pieces])
        dropout = check_share("input_dropout", input_dropout)
        hidden_dropout = check_share("hidden_dropout", hidden_dropout)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, (before, after) in enumerate(pairwise(widths), start=1):
            layers[f"dropout{number}"] = nn.Dropout(dropout)
            layers[f"linear{number}"] = nn.Linear(before, after * pieces)
            layers[f"maxout{number}"] = LargestPiece(pieces)
            dropout = hidden_dropout
        layers["dropout"] = nn.Dropout(dropout)
        layers["output"] = nn.Linear(widths[-1], n_classes)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Flat or image input (n, …) to logits (n, n_classes)."""
        logits: Tensor = self.layers(x.flatten(1).to(next(self.parameters()).dtype))
        return logits
