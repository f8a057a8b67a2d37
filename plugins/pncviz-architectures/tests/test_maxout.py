"""Maxout units give their largest piece; dropout is there in training alone."""

import pytest
import torch
from torch import nn

from pncviz.models import TorchModel
from pncviz_architectures import Maxout


def plain(net, x, pieces):
    """The net by hand: h_i = max_j (x·W_ij + b_ij), unit by unit and piece by piece."""
    layers = [part for part in net.modules() if isinstance(part, nn.Linear)]
    for layer in layers[:-1]:
        units = []
        for unit in range(layer.out_features // pieces):
            heights = []
            for piece in range(pieces):
                place = unit * pieces + piece
                heights.append((x * layer.weight[place]).sum(dim=1) + layer.bias[place])
            best = heights[0]
            for height in heights[1:]:
                best = torch.where(height > best, height, best)
            units.append(best)
        x = torch.stack(units, dim=1)
    return x @ layers[-1].weight.T + layers[-1].bias


@pytest.mark.parametrize("units, pieces", [((6,), 1), ((6, 4), 3), ((2, 3, 4), 2)])
def test_plain(units, pieces):
    """The logits are those of the net by hand, of flat rows and images alike."""
    net = Maxout(input_shape=(1, 3, 4), n_classes=5, units=units, pieces=pieces).eval()
    x = torch.randn(9, 1, 3, 4)
    torch.testing.assert_close(net(x), plain(net, x.flatten(1), pieces))
    assert torch.equal(net(x.flatten(1)), net(x))


def test_sizes():
    """By default two layers of 240 units with 5 pieces, as in the paper."""
    net = Maxout(input_shape=(28, 28), n_classes=10)
    layers = (785 * 1200, 241 * 1200, 2410)
    assert sum(p.numel() for p in net.parameters()) == sum(layers)
    model = TorchModel(net, input_shape=(28, 28))
    names = ["layers.linear1", "layers.maxout1", "layers.maxout2", "layers.output"]
    with model.session():
        found = model.activations(torch.rand(2, 28, 28), names)
    assert [found[name].shape[1] for name in names] == [1200, 240, 240, 10]
    pieces = found["layers.linear1"].reshape(2, 240, 5)
    assert torch.equal(found["layers.maxout1"], pieces.amax(dim=2))


def test_linear_pieces():
    """Each logit of a single hidden layer is convex where its unit counts positively."""
    net = Maxout(input_shape=(4,), n_classes=1, units=[3], pieces=4).eval()
    with torch.no_grad():
        net.layers.output.weight.abs_()
    a, b = torch.randn(200, 4), torch.randn(200, 4)
    middle, ends = net((a + b) / 2), (net(a) + net(b)) / 2
    assert bool((middle <= ends + 1e-5).all())
    assert bool((middle < ends - 1e-2).any())


def test_dropout():
    """In training shares of inputs and units are left out, before every linear layer."""
    net = Maxout(input_shape=(1000,), n_classes=2, units=[500])
    shares = {name: part.p for name, part in net.named_modules() if isinstance(part, nn.Dropout)}
    assert shares == {"layers.dropout1": 0.2, "layers.dropout": 0.5}
    kept = []
    net.layers.linear1.register_forward_hook(lambda _, given, __: kept.append(given[0]))
    net.layers.output.register_forward_hook(lambda _, given, __: kept.append(given[0]))
    net.train()(torch.ones(20, 1000))
    assert [(part == 0).float().mean().item() for part in kept] == pytest.approx(
        [0.2, 0.5], abs=0.02
    )
    two = Maxout(input_shape=(4,), n_classes=2, input_dropout=0.1, hidden_dropout=0.3)
    shares = [part.p for part in two.modules() if isinstance(part, nn.Dropout)]
    assert shares == [0.1, 0.3, 0.3]


def test_chain():
    """It is to pncviz a chain of layers, whose gradient is written out and right."""
    net = Maxout(input_shape=(1, 5, 5), n_classes=3, units=[8, 6], pieces=4)
    model = TorchModel(net, input_shape=(1, 5, 5))
    x = torch.randn(4, 1, 5, 5, requires_grad=True)
    with model.session():
        assert model.chain is not None
        logits = model.logits(x)
        (expected,) = torch.autograd.grad(logits.logsumexp(1).sum(), x)
        model.chain.forward(x.detach())
        torch.testing.assert_close(model.chain.backward(logits.detach().softmax(1)), expected)
