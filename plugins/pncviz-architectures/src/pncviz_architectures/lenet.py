"""LeNet as Caffe has it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pncviz_architectures.checks import check_image_shape

__all__ = ["LeNet"]

#: What two convolutions of 5×5 and two poolings by 2, rounded up, leave one pixel of.
_SMALLEST = 13


class _Convolution(nn.Conv2d):
    """A convolution that begins as Caffe's; a method, so that a model null begins so too."""

    def reset_parameters(self) -> None:
        _as_in_caffe(self.weight, self.bias)


class _InnerProduct(nn.Linear):
    """A linear layer that begins as Caffe's."""

    def reset_parameters(self) -> None:
        _as_in_caffe(self.weight, self.bias)


def _as_in_caffe(weight: Tensor, bias: Tensor | None) -> None:
    """Fill by Caffe's "xavier", which heeds the inputs alone: ±√(3 / fan-in); biases are 0."""
    nn.init.kaiming_uniform_(weight, nonlinearity="linear")
    if bias is not None:
        nn.init.zeros_(bias)


class LeNet(nn.Module):
    """LeNet as in Caffe's ``lenet_train_test.prototxt``; logits.

    Layers, by the names that ``activations`` and attacks on layers take: ``conv1`` (20 of 5×5),
    ``pool1`` (largest of 2×2), ``conv2`` (50 of 5×5), ``pool2``, ``ip1`` (500), ``relu1``, ``ip2``
    (n_classes). As there, no nonlinearity follows the convolutions but the pooling, pooled sizes
    are rounded up, and weights begin uniform in ±√(3 / inputs), biases at 0. On 28×28 grey images
    with ten classes it has 431 080 parameters.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns) or (rows, columns); at least 13×13.
    n_classes : int

    Raises
    ------
    ModelError
        A flat input shape, or an image smaller than that.

    References
    ----------
    lecun1998gradient, jia2014caffe.

    Examples
    --------
    >>> import torch
    >>> LeNet(input_shape=(1, 28, 28), n_classes=10)(torch.zeros(2, 784)).shape
    torch.Size([2, 10])
    """

    def __init__(self, *, input_shape: Sequence[int], n_classes: int) -> None:
        super().__init__()
        self.image_shape = check_image_shape("A LeNet", input_shape, _SMALLEST)
        channels, rows, columns = self.image_shape
        self.conv1 = _Convolution(channels, 20, 5)
        self.pool1 = nn.MaxPool2d(2, ceil_mode=True)
        self.conv2 = _Convolution(20, 50, 5)
        self.pool2 = nn.MaxPool2d(2, ceil_mode=True)
        self.ip1 = _InnerProduct(50 * _left(rows) * _left(columns), 500)
        self.relu1 = nn.ReLU()
        self.ip2 = _InnerProduct(500, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Flat or image input (n, …) to logits (n, n_classes)."""
        images = x.reshape(-1, *self.image_shape).to(self.conv1.weight.dtype)
        found = self.pool1(self.conv1(images))
        found = self.pool2(self.conv2(found))
        logits: Tensor = self.ip2(self.relu1(self.ip1(found.flatten(1))))
        return logits


def _left(pixels: int) -> int:
    """Give how many pixels both convolutions and poolings leave in a row."""
    for _ in range(2):
        pixels = (pixels - 4 + 1) // 2
    return pixels
