"""Every architecture keeps to pncviz's contract, and its models can be kept and randomised."""

import numpy as np
import pytest
import torch

from pncviz import (
    extract_patterns,
    load_classifier,
    load_dataset,
    make_classifier,
    model_null,
    save_classifier,
)
from pncviz.exceptions import ModelError, ParameterError
from pncviz.testing import check_architecture
from pncviz_architectures import pncviz_architectures

OWN = ("lenet", "maxout", "rbf", "softmax", "resnet")

#: Name, its parameters, a shape.
CASES = [
    ("lenet", {}, (3, 16, 14)),
    ("maxout", {"units": [7], "pieces": 3}, (1, 8, 8)),
    ("rbf", {"n_centres": 2, "background": 0.5}, (1, 8, 8)),
    ("softmax", {}, (5,)),
    ("resnet", {"blocks": [1, 2], "widths": [4, 6]}, (3, 16, 16)),
]


@pytest.mark.parametrize("name", OWN)
def test_contract(name):
    """Everything that pncviz asks of an architecture holds, as it is by default."""
    check_architecture(name)


@pytest.mark.parametrize("name, params, shape", CASES)
def test_contract_with_parameters(name, params, shape):
    """And with parameters, on images in colour, and on tables."""
    check_architecture(name, input_shape=shape, **params)


@pytest.mark.parametrize("name", ["timm", "torchvision"])
def test_libraries_that_are_absent(name, monkeypatch):
    """Without the library the check says what to install."""
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(AssertionError, match=rf'pip install "pncviz-architectures\[{name}\]"\.$'):
        check_architecture(name)


def test_specs():
    """Names are those that are documented, and each says what it is."""
    specs = pncviz_architectures()
    assert [spec.name for spec in specs] == [*OWN, "timm", "torchvision"]
    assert all(0 < len(spec.summary) <= 80 for spec in specs)


@pytest.mark.parametrize("name, params, shape", CASES)
def test_file(name, params, shape, tmp_path):
    """A trained net comes back from its file with its parameters and answers."""
    X = np.random.default_rng(0).random((12, *shape), dtype=np.float32)
    net = make_classifier(name, max_epochs=2, **params).fit(X, np.arange(12) % 3)
    again = load_classifier(save_classifier(net, tmp_path / "net.safetensors"))
    shown, expected = again.get_params_for("module"), net.get_params_for("module")
    assert shown == expected | {"input_shape": list(shape)}
    assert torch.equal(net.forward(X), again.forward(X))


@pytest.mark.parametrize("name, params, shape", CASES)
@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_patterns_and_model_null(name, params, shape):
    """Patterns grow from a trained net, and every layer of it can be initialised again."""
    X = np.random.default_rng(0).random((12, *shape), dtype=np.float32)
    y = np.arange(12) % 3
    net = make_classifier(name, max_epochs=1, **params).fit(X, y)
    patterns = extract_patterns(net, input_shape=shape, max_iter=5)
    assert bool((patterns["pattern"] != 0).any())
    null = model_null(net, X, y, kind="cascaded", n=1, max_iter=2, random_state=0)
    layers = {key.rpartition(".")[0] for key, _ in net.module_.named_parameters()}
    assert set(null["layer"].values.tolist()) == layers


@pytest.mark.parametrize(
    "name, optimizer, epochs", [("softmax", "sgd", 10), ("maxout", "sgd", 10), ("rbf", "adam", 10)]
)
def test_digits(name, optimizer, epochs):
    """More than nine of ten digits are recognised after few epochs."""
    data = load_dataset("digits")
    net = make_classifier(name, optimizer=optimizer, max_epochs=epochs, batch_size=32)
    net.set_params(lr=0.1 if optimizer == "sgd" else 0.003).fit(data.X, data.y)
    assert net.score(data.X_test, data.y_test) > 0.9


@pytest.mark.parametrize("name", ["lenet", "resnet"])
def test_flat_shapes_are_refused(name):
    """Flat X without an image shape is an error that says what to give, as with the CNN."""
    X = np.zeros((4, 784), dtype=np.float32)
    with pytest.raises(ModelError, match=r"got \(784,\)\. For flat X, give `image_shape`"):
        make_classifier(name).fit(X, np.arange(4))


@pytest.mark.parametrize(
    "name, params, match",
    [
        ("maxout", {"units": []}, r"`units` must be a list of positive integers, got \[\]"),
        ("maxout", {"units": [3, 0]}, r"`units` must be .*, got \[3, 0\]"),
        ("maxout", {"units": 240}, r"`units` must be .*, got 240"),
        ("maxout", {"pieces": 2.5}, r"`pieces` must be .*, got \[2\.5\]"),
        ("maxout", {"input_dropout": 1.0}, r"`input_dropout` must be a share .*, got 1\.0"),
        ("maxout", {"hidden_dropout": -0.1}, r"`hidden_dropout` must be a share .*, got -0\.1"),
        ("rbf", {"n_centres": 0}, r"`n_centres` must be .*, got \[0\]"),
        ("rbf", {"background": -1.0}, r"`background` must be 0 or a positive finite .*, got -1\.0"),
        ("rbf", {"background": float("inf")}, "`background` must be .*, got inf"),
        ("resnet", {"preset": "resnet9"}, "`preset` must be one of resnet20, .*, got 'resnet9'"),
        ("resnet", {"blocks": [1, True]}, r"`blocks` must be .*, got \[1, True\]"),
        ("resnet", {"widths": "16"}, "`widths` must be .*, got '16'"),
        ("resnet", {"widths": [16]}, r"one number per stage each, got \(3, 3, 3\) and \(16,\)"),
    ],
)
def test_bad_parameters(name, params, match):
    """A parameter that makes no sense is named, with its value."""
    factory = {spec.name: spec.factory for spec in pncviz_architectures()}[name]
    with pytest.raises(ParameterError, match=match):
        factory(input_shape=(1, 16, 16), n_classes=3, **params)
