"""LeNet is Caffe's: its layers, its sizes, its beginning; and a chain of layers to pncviz."""

import math

import pytest
import torch
from torch.nn import functional

from pncviz.exceptions import ModelError
from pncviz.models import TorchModel
from pncviz_architectures import LeNet

#: Outputs for one grey image of 28×28, as Caffe prints them when it sets up the net.
SIZES = {
    "conv1": (20, 24, 24),
    "pool1": (20, 12, 12),
    "conv2": (50, 8, 8),
    "pool2": (50, 4, 4),
    "ip1": (500,),
    "relu1": (500,),
    "ip2": (10,),
}


def plain(net, x):
    """The net by hand, in the order of the prototxt."""
    weights = dict(net.named_parameters())
    for name in ("1", "2"):
        x = functional.conv2d(x, weights[f"conv{name}.weight"], weights[f"conv{name}.bias"])
        # Caffe's pooling rounds up: the last window may be cut off by the edge.
        rows, columns = ((n + 1) // 2 for n in x.shape[2:])
        windows = [
            x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].amax(dim=(2, 3))
            for i in range(rows)
            for j in range(columns)
        ]
        x = torch.stack(windows, dim=2).reshape(len(x), -1, rows, columns)
    x = x.flatten(1) @ weights["ip1.weight"].T + weights["ip1.bias"]
    return x.clamp_min(0) @ weights["ip2.weight"].T + weights["ip2.bias"]


def test_number_of_parameters():
    """431 080 on MNIST's shape, counted layer by layer."""
    net = LeNet(input_shape=(28, 28), n_classes=10)
    layers = (25 * 20 + 20, 25 * 20 * 50 + 50, 800 * 500 + 500, 500 * 10 + 10)
    assert sum(p.numel() for p in net.parameters()) == sum(layers) == 431_080


def test_layers_by_name():
    """Each named layer's output can be had, in Caffe's sizes, and nothing follows a convolution."""
    x = torch.rand(2, 1, 28, 28)
    model = TorchModel(LeNet(input_shape=(1, 28, 28), n_classes=10), input_shape=(1, 28, 28))
    with model.session():
        found = model.activations(x, list(SIZES))
    assert {name: tuple(value.shape[1:]) for name, value in found.items()} == SIZES
    pooled = functional.max_pool2d(found["conv1"], 2)
    assert torch.equal(found["pool1"], pooled)
    assert bool((found["pool1"] < 0).any())
    assert torch.equal(found["relu1"], found["ip1"].clamp_min(0))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 27, 30), (1, 13, 14), (3, 32, 32)])
def test_plain(shape):
    """The logits are those of the net by hand, also for odd sizes and the smallest, grey or colour.

    Flat input is taken for the image.
    """
    net = LeNet(input_shape=shape, n_classes=4)
    x = torch.randn(3, *shape)
    torch.testing.assert_close(net(x), plain(net, x))
    assert torch.equal(net(x.flatten(1)), net(x))


def test_too_small():
    """12×12 leaves no pixel, and says so."""
    with pytest.raises(ModelError, match=r"at least 13×13: .* got \(1, 28, 12\)"):
        LeNet(input_shape=(1, 28, 12), n_classes=4)


def test_beginning():
    """Weights begin uniform within ±√(3 / inputs), biases at 0; so they do when begun again."""
    net = LeNet(input_shape=(1, 28, 28), n_classes=10)
    for _ in range(2):
        for layer, inputs in ((net.conv1, 25), (net.conv2, 500), (net.ip1, 800), (net.ip2, 500)):
            bound, weight = math.sqrt(3 / inputs), layer.weight.detach()
            assert bound * 0.9 < weight.abs().max() <= bound
            # The spread of a uniform distribution.
            assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert not layer.bias.any()
            with torch.no_grad():
                layer.bias.fill_(1)
                layer.weight.fill_(9)
            layer.reset_parameters()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 27, 30), (784,)])
def test_chain(shape):
    """It is to pncviz a chain of layers, whose gradient is written out and right."""
    image = shape if len(shape) == 3 else (1, 28, 28)
    model = TorchModel(LeNet(input_shape=image, n_classes=10), input_shape=shape)
    x = torch.rand(3, *shape, requires_grad=True)
    with model.session():
        chain = model.chain
        assert chain is not None
        logits = model.logits(x)
        (expected,) = torch.autograd.grad(logits.logsumexp(1).sum(), x)
        torch.testing.assert_close(chain.forward(x.detach()), logits.detach())
        found = chain.backward(logits.detach().softmax(1))
    torch.testing.assert_close(found, expected)
