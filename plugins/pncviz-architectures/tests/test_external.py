"""timm's and torchvision's models, with stand-ins for the two libraries."""

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from pncviz import make_classifier
from pncviz.exceptions import ModelError
from pncviz.models import TorchModel
from pncviz_architectures import External, timm_model, torchvision_model


class Small(nn.Module):
    """What a library's model is like: a body and a head."""

    def __init__(self, channels, n_outputs):
        super().__init__()
        self.body = nn.Conv2d(channels, 4, 3)
        self.head = nn.Linear(4, n_outputs)

    def forward(self, x):
        return self.head(self.body(x).mean(dim=(2, 3)))


@pytest.fixture
def timm(monkeypatch):
    """A stand-in that keeps what it was asked."""
    module = ModuleType("timm")

    def create_model(name, *, pretrained, num_classes, in_chans, **params):
        module.asked = {"name": name, "pretrained": pretrained, **params}
        if name == "nosuch":
            raise RuntimeError("Unknown model (nosuch)")
        made = Small(in_chans, num_classes)
        made.pretrained_cfg = {"mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3)}
        return made

    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


@pytest.fixture
def torchvision(monkeypatch):
    """Likewise; pretrained weights are for 1000 classes."""
    module = ModuleType("torchvision.models")
    usual = SimpleNamespace(mean=[0.4, 0.5, 0.6], std=[0.1, 0.2, 0.3])
    weights = SimpleNamespace(transforms=lambda: usual)

    def get_model(name, *, weights, num_classes=1000, **params):
        module.asked = {"name": name, "weights": weights, **params}
        if name == "nosuch":
            raise ValueError("Unknown model nosuch")
        return nn.Conv2d(3, 2, 1) if name == "headless" else Small(3, num_classes)

    module.get_model = get_model
    module.get_model_weights = lambda _: SimpleNamespace(DEFAULT=weights)
    module.weights = weights
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", module)
    return module


def test_not_imported_before_it_is_asked():
    """The plugin itself imports neither library."""
    code = "import sys, pncviz_architectures; print({'timm', 'torchvision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("factory", [timm_model, torchvision_model])
def test_absent(factory, monkeypatch):
    """Without the library the error says what to install."""
    name = factory.__name__.removesuffix("_model")
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    with pytest.raises(ModelError, match=rf'not installed: pip install "pncviz-arch.*\[{name}\]'):
        factory(input_shape=(3, 8, 8), n_classes=4)


def test_broken(monkeypatch):
    """A library that fails on import is told apart from an absent one, with its own reason."""

    def broken(_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(ModelError, match=r"cannot be imported \(operator torchvision::nms"):
        torchvision_model(input_shape=(3, 8, 8), n_classes=4)


def test_timm(timm):
    """Channels, classes and parameters reach timm; nothing is downloaded unless asked."""
    net = timm_model(input_shape=(5, 8, 9), n_classes=4, model="vit", img_size=8)
    assert timm.asked == {"name": "vit", "pretrained": False, "img_size": 8}
    x = torch.rand(2, 5, 8, 9)
    assert torch.equal(net(x), net.network(x))
    assert torch.equal(net(x.flatten(1)), net(x))
    assert net(x).shape == (2, 4)
    model = TorchModel(net, input_shape=(5, 8, 9))
    with model.session():
        assert model.activations(x, ["network.body"])["network.body"].shape == (2, 4, 6, 7)


def test_timm_pretrained(timm):
    """Pretrained weights get inputs normalised, if there are as many channels as they know."""
    net = timm_model(input_shape=(3, 8, 8), n_classes=4, pretrained=True)
    assert timm.asked["pretrained"] is True
    x = torch.rand(2, 3, 8, 8)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.1, 0.2, 0.3])
    normalised = (x - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(net(x), net.network(normalised))
    grey = timm_model(input_shape=(8, 8), n_classes=4, pretrained=True)
    assert torch.equal(grey(x[:, :1]), grey.network(x[:, :1]))


def test_torchvision(torchvision):
    """A grey image is repeated for three channels; nothing is downloaded unless asked."""
    net = torchvision_model(input_shape=(8, 8), n_classes=4, model="alexnet", dropout=0.1)
    assert torchvision.asked == {"name": "alexnet", "weights": None, "dropout": 0.1}
    x = torch.rand(2, 8, 8)
    assert torch.equal(net(x), net.network(torch.stack([x, x, x], dim=1)))
    with pytest.raises(ModelError, match="takes 1 or 3 channels, got 2"):
        torchvision_model(input_shape=(2, 8, 8), n_classes=4)


@pytest.mark.parametrize("n_classes", [4, 1000])
def test_torchvision_pretrained(torchvision, n_classes):
    """Pretrained weights get inputs normalised and, for other classes, a new last layer."""
    net = torchvision_model(input_shape=(3, 8, 8), n_classes=n_classes, pretrained=True)
    assert torchvision.asked["weights"] is torchvision.weights
    assert net.network.head.weight.shape == (n_classes, 4)
    x = torch.rand(2, 3, 8, 8)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.1, 0.2, 0.3])
    normalised = (x - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(net(x), net.network(normalised))


@pytest.mark.usefixtures("torchvision")
def test_no_linear_layer():
    """A model without a linear layer cannot be given other outputs."""
    with pytest.raises(ModelError, match='"headless" has no linear layer'):
        torchvision_model(input_shape=(3, 8, 8), n_classes=4, model="headless", pretrained=True)


@pytest.mark.usefixtures("timm", "torchvision")
@pytest.mark.parametrize("factory", [timm_model, torchvision_model])
def test_unknown_model(factory):
    """A name that the library does not know is told with the library's own words."""
    with pytest.raises(ModelError, match=r'cannot make "nosuch" .*: Unknown model'):
        factory(input_shape=(3, 8, 8), n_classes=4, model="nosuch")


def test_side_branches():
    """Of a model that gives several outputs in training, the first are the logits."""

    class Branching(Small):
        def forward(self, x):
            out = super().forward(x)
            return (out, out + 1) if self.training else out

    net = External(Branching(3, 4), image_shape=(3, 8, 8))
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(net.train()(x), net.eval()(x))


def test_trained(timm):
    """A library's model trains by its name like any other."""
    X, y = torch.rand(12, 3, 8, 8).numpy(), torch.arange(12).numpy() % 3
    net = make_classifier("timm", max_epochs=1, model="resnet18").fit(X, y)
    assert net.module_.network.head.out_features == 3
    assert timm.asked["name"] == "resnet18"
