"""Radial basis functions are confident near their centres alone."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from pncviz import load_dataset, make_classifier
from pncviz.models import TorchModel
from pncviz_architectures import RBF


def plain(net, x):
    """p_c by hand, sample by sample and centre by centre; of several centres the nearest counts."""
    scale, offset = (w.detach().double() for w in (net.distances.scale, net.distances.offset))
    rows = []
    for sample in x.flatten(1).double():
        per_centre = [
            math.exp(-float(((s * sample - b) ** 2).sum()))
            for s, b in zip(scale, offset, strict=True)
        ]
        n = net.n_centres
        rows.append([max(per_centre[c : c + n]) for c in range(0, len(per_centre), n)])
    return torch.tensor(rows)


@pytest.mark.parametrize("n_centres", [1, 3])
def test_plain(n_centres):
    """Logits are the logarithms of the own confidences by hand."""
    net = RBF(input_shape=(1, 3, 4), n_classes=5, n_centres=n_centres).eval()
    x = torch.rand(6, 1, 3, 4)
    p = plain(net, x)
    torch.testing.assert_close(net(x).exp(), p, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(net.own_confidence(x), p.amax(dim=1), rtol=1e-4, atol=1e-6)
    assert torch.equal(net(x.flatten(1)), net(x))


@pytest.mark.parametrize("n_centres", [1, 3])
def test_at_and_far_from_centres(n_centres):
    """Own confidence is 1 at every centre, falls with the distance, and is 0 far away.

    Far away gradients of the logits are still there.
    """
    net = RBF(input_shape=(30,), n_classes=4, n_centres=n_centres).eval()
    centres = (net.distances.offset / net.distances.scale).detach()
    ways = torch.randn(len(centres), 30)
    found = [net.own_confidence(centres + step * ways) for step in (0, 1, 2, 4)]
    torch.testing.assert_close(found[0], torch.ones(len(centres)), rtol=0, atol=1e-4)
    assert all(bool((b < a).all()) for a, b in pairwise(found))
    far = (centres + 1000 * ways).requires_grad_()
    assert not net.own_confidence(far).any()
    (gradient,) = torch.autograd.grad(net(far)[:, 0].sum(), far)
    assert bool((gradient.abs().amax(dim=1) > 1).all())
    assert bool((net.own_confidence(centres) <= 1).all())


def test_background():
    """In training the logits are log(p + background / n_classes), in evaluation log p.

    So far from every centre the softmax is even in training. Own confidence knows no mode.
    """
    net = RBF(input_shape=(8,), n_classes=5, background=0.2)
    x = torch.rand(6, 8)
    p = net.eval()(x).exp()
    torch.testing.assert_close(net.train()(x), (p + 0.04).log())
    torch.testing.assert_close(net.own_confidence(x), p.amax(dim=1))
    even = net(torch.full((1, 8), 1e3)).softmax(dim=1)
    torch.testing.assert_close(even, torch.full((1, 5), 0.2))
    without = RBF(input_shape=(8,), n_classes=5, background=0)
    assert torch.equal(without.train()(x), without.eval()(x))


@pytest.fixture(scope="module")
def trained():
    """Networks on digits, with a background and without."""
    data = load_dataset("digits")
    nets = {}
    for background in (0.1, 0.0):
        torch.manual_seed(0)
        net = make_classifier(
            "rbf", optimizer="adam", lr=0.01, max_epochs=10, batch_size=32, background=background
        )
        nets[background] = net.fit(data.X, data.y).module_.eval()
    return data, nets


def test_low_for_rubbish_high_for_data(trained):
    """Trained, own confidence is high on test images and near 0 on noise, where softmax is not."""
    data, nets = trained
    net = nets[0.1]
    noise = torch.tensor(
        np.random.default_rng(0).normal(size=(200, *data.X.shape[1:])), dtype=torch.float32
    )
    with torch.no_grad():
        clean = net.own_confidence(torch.tensor(data.X_test)).mean()
        rubbish = net.own_confidence(noise).mean()
        said = net(noise).softmax(dim=1).amax(dim=1).mean()
    assert clean > 0.4
    assert rubbish < 1e-3
    assert said > 0.8


def test_background_is_needed(trained):
    """By softmax alone, own confidence is lost even on the images trained on."""
    data, nets = trained
    with torch.no_grad():
        own = {key: net.own_confidence(torch.tensor(data.X)).mean() for key, net in nets.items()}
    assert own[0.0] < 0.01 < 0.4 < own[0.1]


def test_layer_by_name():
    """Squared distances are the layer `distances`."""
    net = RBF(input_shape=(6,), n_classes=2, n_centres=2)
    model = TorchModel(net, input_shape=(6,))
    x = torch.rand(3, 6)
    with model.session():
        found = model.activations(x, ["distances"])["distances"]
        assert found.shape == (3, 4)
        assert torch.equal(model.logits(x), -found.reshape(3, 2, 2).amin(dim=2))
