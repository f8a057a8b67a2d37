"""The paper's two architectures: fully connected, and convolutional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from pncviz.exceptions import ModelError
from pncviz.hookspecs import hookimpl
from pncviz.specs import ArchitectureSpec

__all__ = ["CNN", "FC", "pncviz_architectures"]


def _dense(widths: Sequence[int]) -> list[nn.Module]:
    """Linear layers with ReLU between them, none after the last."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return layers[:-1]


class FC(nn.Module):
    """Fully connected feed-forward network; logits.

    Parameters
    ----------
    input_shape : tuple of int
        One sample, flat or image.
    n_classes : int
    hidden : sequence of int, default=(200, 30)
        Widths of the hidden layers; empty for softmax regression.

    References
    ----------
    dough2020, section 2.2.

    Examples
    --------
    >>> import torch
    >>> FC(input_shape=(1, 6, 6), n_classes=4)(torch.zeros(2, 36)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self, *, input_shape: Sequence[int], n_classes: int, hidden: Sequence[int] = (200, 30)
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_dense([math.prod(input_shape), *hidden, n_classes]))

    def forward(self, x: Tensor) -> Tensor:
        """Flat or image input (n, …) to logits (n, n_classes)."""
        logits: Tensor = self.layers(x.flatten(1).to(next(self.parameters()).dtype))
        return logits


class CNN(nn.Module):
    """Convolutions of 3×3, each with max-pooling by 2, then dense layers; logits.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns) or (rows, columns).
    n_classes : int
    convolutions : sequence of int, default=(128, 256)
        Channels.
    dense : sequence of int, default=(512, 256)
        Widths of the hidden dense layers.
    batch_norm : bool, default=False
        Normalise each convolution's output before its ReLU.

    Raises
    ------
    ModelError
        A flat input shape, or an image smaller than the pooling.

    References
    ----------
    dough2020, section 2.4.

    Examples
    --------
    >>> import torch
    >>> CNN(input_shape=(1, 8, 8), n_classes=10)(torch.zeros(2, 64)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        n_classes: int,
        convolutions: Sequence[int] = (128, 256),
        dense: Sequence[int] = (512, 256),
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        shape = (1, *input_shape) if len(input_shape) == 2 else tuple(input_shape)
        shrink = 2 ** len(convolutions)
        if len(shape) != 3 or min(shape[1:]) < shrink:
            raise ModelError(
                f"A CNN needs images of at least {shrink}×{shrink}: `input_shape` must be "
                f"(channels, rows, columns), got {tuple(input_shape)}. For flat X, give "
                "`image_shape` to the extractor or `module__input_shape` to the net."
            )
        self.image_shape = shape
        layers: list[nn.Module] = []
        for before, after in pairwise([shape[0], *convolutions]):
            layers.append(nn.Conv2d(before, after, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(after))
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.convolutions = nn.Sequential(*layers)
        pixels = (shape[1] // shrink) * (shape[2] // shrink)
        flat = pixels * (convolutions[-1] if convolutions else shape[0])
        self.dense = nn.Sequential(*_dense([flat, *dense, n_classes]))

    def forward(self, x: Tensor) -> Tensor:
        """Flat or image input (n, …) to logits (n, n_classes)."""
        images = x.reshape(-1, *self.image_shape).to(next(self.parameters()).dtype)
        logits: Tensor = self.dense(self.convolutions(images).flatten(1))
        return logits


@hookimpl
def pncviz_architectures() -> list[ArchitectureSpec]:
    """Give the paper's architectures."""
    return [
        ArchitectureSpec(
            name="fc",
            factory=FC,
            summary="fully connected, hidden [200, 30] by default",
            reference="dough2020",
        ),
        ArchitectureSpec(
            name="cnn",
            factory=CNN,
            summary="conv 128, 256; dense 512, 256; batch_norm on request",
            reference="dough2020",
        ),
    ]
