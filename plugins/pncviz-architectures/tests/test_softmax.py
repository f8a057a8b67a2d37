"""Softmax regression is one linear layer."""

import torch

from pncviz.models import TorchModel
from pncviz_architectures import Softmax


def test_plain():
    """Logits are x·Wᵀ + b, of flat rows and images alike; parameters are W and b."""
    net = Softmax(input_shape=(3, 4, 5), n_classes=6)
    x = torch.randn(7, 3, 4, 5)
    by_hand = [
        [sum(a * b for a, b in zip(row, w, strict=True)) + c for w, c in zip(*layer, strict=True)]
        for row in x.flatten(1).tolist()
        for layer in [(net.linear.weight.tolist(), net.linear.bias.tolist())]
    ]
    torch.testing.assert_close(net(x), torch.tensor(by_hand))
    assert torch.equal(net(x.flatten(1)), net(x))
    assert sum(p.numel() for p in net.parameters()) == 60 * 6 + 6


def test_layer_and_chain():
    """The layer is reached by its name, and the first-layer form of the descent applies."""
    model = TorchModel(Softmax(input_shape=(5,), n_classes=3), input_shape=(5,))
    x = torch.randn(2, 5)
    with model.session():
        assert torch.equal(model.activations(x, ["linear"])["linear"], model.logits(x))
        assert model.chain is not None
        assert model.chain.after_first() is not None
