"""Inverted representations and features against closed forms."""

import numpy as np
import pytest
import torch

from pncviz import (
    Stop,
    Target,
    extract_patterns,
    load_dataset,
    make_classifier,
)
from pncviz.exceptions import AdapterError, DataError, ModelError, ParameterError
from pncviz.models import TorchModel
from pncviz.testing import check_attack
from pncviz_robust import RepresentationInversion, invert_representation, visualize_features
from pncviz_robust.representation import penultimate, walk


@pytest.fixture(scope="module")
def digits():
    """Give the handwritten digits of scikit-learn, 8 by 8."""
    return load_dataset("digits")


@pytest.fixture(scope="module")
def net(digits):
    """Train a net that knows the digits, from flat rows."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"optimizer": "adam", "lr": 0.005, "max_epochs": 15, "batch_size": 32}
        classifier = make_classifier("fc", hidden=[40, 20], **options)
        return classifier.fit(digits.X.reshape(-1, 64), digits.y)


def linear_net(weight):
    """Give a net whose representation is a linear map of the input, and logits of that."""
    first = torch.nn.Linear(*weight.T.shape, bias=False)
    first.weight.data = torch.as_tensor(weight, dtype=torch.float32)
    return torch.nn.Sequential(first, torch.nn.Linear(len(weight), 3))


@pytest.mark.parametrize("target", ["mean", "sample"])
def test_contract(target):
    """Everything that pncviz asks of an attack holds, for both kinds of target."""
    check_attack(RepresentationInversion(target=target))


def test_contract_by_name():
    """The name that the plugin registers is this attack."""
    check_attack("representation_inversion")


# ------------------------------------------------------------------------ closed forms


def test_a_linear_layer_is_inverted_by_its_pseudoinverse():
    """The nearest input to the seed with the target's representation is seed + W⁺(Wt − Ws)."""
    rng = np.random.default_rng(0)
    weight = np.linalg.qr(rng.normal(size=(6, 3)))[0].T * np.array([[1.0], [0.8], [1.2]])
    targets, seeds = rng.normal(size=(2, 4, 6))
    found = invert_representation(linear_net(weight), targets, seeds, n_steps=400)
    wanted = seeds + (targets - seeds) @ weight.T @ np.linalg.pinv(weight).T
    np.testing.assert_allclose(found["inverted"], wanted, atol=1e-4)
    before = np.linalg.norm((targets - seeds) @ weight.T, axis=1)
    np.testing.assert_allclose(found["distance_before"], before, rtol=1e-5)
    assert float(found["distance"].max()) < 1e-4


def test_steps_end_on_the_ball():
    """With a goal too far, the input ends where the straight way leaves the ball."""
    weight = np.eye(4)[:2]
    targets, seeds = np.full((1, 4), 5.0), np.zeros((1, 4))
    found = invert_representation(linear_net(weight), targets, seeds, epsilon=1.0)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found["inverted"], [[half, half, 0, 0]], atol=1e-5)


def test_a_linear_unit_grows_along_its_weights():
    """A unit of a linear layer gains |w| per unit of length, all of it along w."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(3, 5))
    seeds = rng.normal(size=(2, 5))
    options = {"n_steps": 10, "step_size": 0.5, "layer": "0"}
    found = visualize_features(linear_net(weight), [2, 0], seeds, **options)
    for i, unit in enumerate([2, 0]):
        size = np.linalg.norm(weight[unit])
        wanted = seeds + 5.0 * weight[unit] / size
        np.testing.assert_allclose(found["feature"][i], wanted, atol=1e-4)
        gain = (found["activation"] - found["activation_before"])[i]
        np.testing.assert_allclose(gain, 5.0 * size, rtol=1e-4)
    assert found["unit"].values.tolist() == [2, 0]


def test_a_goal_that_is_reached_is_not_left():
    """At the goal there is no gradient, and no NaN: the seed stays as it is."""
    same = np.ones((1, 6))
    found = invert_representation(linear_net(np.eye(3, 6)), same, same)
    np.testing.assert_array_equal(found["inverted"], same)
    assert float(found["distance"][0]) == 0.0


# --------------------------------------------------------------------------- the layer


@pytest.mark.parametrize(
    "module, name",
    [
        (torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)), "1"),
        (
            torch.nn.Sequential(
                torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3), torch.nn.Softmax(1)
            ),
            "1",
        ),
        (torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 3)), "0"),
    ],
)
def test_the_default_layer_is_the_penultimate(module, name):
    """The representation is what the last layer with weights takes, whatever comes after it."""
    model = TorchModel(module, input_shape=(4,))
    with model.session():
        assert penultimate(model) == name


def test_no_penultimate_layer():
    """A single layer has no representation before it."""
    model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    with model.session(), pytest.raises(ModelError, match="no layer before its last one"):
        penultimate(model)


def test_layers_by_name(net, digits):
    """A named layer is the one that is matched, and the dataset says which."""
    X = digits.X.reshape(-1, 64)
    found = invert_representation(net, X[:2], X[2:4], layer="layers.0", image_shape=(8, 8))
    assert found.attrs["layer"] == "layers.0"
    assert found["inverted"].dims == ("image", "channel", "row", "column")
    with torch.no_grad():
        first = net.module_.layers[0]
        far = first(torch.tensor(found["inverted"].values.reshape(2, 64)).float())
        far = (far - first(torch.tensor(X[:2]))).norm(dim=1)
    np.testing.assert_allclose(found["distance"], far, rtol=1e-4, atol=1e-5)


def test_inversion_of_digits_comes_near(net, digits):
    """On a trained net most of the distance goes, and values stay within bounds."""
    X = digits.X.reshape(-1, 64)
    found = invert_representation(net, X[:10], X[10:20], clip=(0, 1))
    assert float((found["distance"] / found["distance_before"]).max()) < 0.2
    assert 0 <= float(found["inverted"].min()) <= float(found["inverted"].max()) <= 1


# ------------------------------------------------------------------------------ the attack


def test_patterns_by_inversion(net, digits):
    """From zeros, an input nears the class's mean representation, and is called the class."""
    X = digits.X.reshape(-1, 64)
    patterns = extract_patterns(
        net, input_shape=(64,), attack=RepresentationInversion(), X=X, y=digits.y
    )
    assert float(patterns["success_rate"].mean()) == 1.0
    with torch.no_grad():
        zero, *means = (
            net.module_.layers[:4](torch.tensor(x)).mean(dim=0)
            for x in (np.zeros_like(X[:1]), *(X[digits.y == unit][:200] for unit in range(10)))
        )
    before = np.array([float((mean - zero).norm()) for mean in means])
    assert (patterns["loss"] < 0.5 * before).all()


def test_loss_is_the_distance_from_the_class_mean():
    """The loss that an attack declares is |R(x) − mean of R over the class|."""
    module = linear_net(np.eye(3, 5))
    X = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    y = np.arange(9) % 3
    attack = RepresentationInversion(n_steps=2)
    attack.prepare(X, y)
    model = TorchModel(module, input_shape=(5,))
    target = Target(codes=torch.arange(3))
    with model.session():
        result = attack.run(model, torch.zeros(3, 5), target, Stop(max_iter=5), [None] * 3)
    means = np.stack([X[y == unit, :3].mean(0) for unit in range(3)])
    far = np.linalg.norm(result.adversarial.numpy()[:, :3] - means, axis=1)
    np.testing.assert_allclose(result.loss, far, rtol=1e-5)
    assert result.n_iter.tolist() == [2, 2, 2]


def test_untargeted_goes_to_the_nearest_other_class():
    """Away from a class means to the class mean that is nearest at the layer."""
    module = linear_net(np.eye(2))
    X = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 9.0]], dtype=np.float32)
    attack = RepresentationInversion(n_steps=300)
    attack.prepare(X, np.arange(3))
    model = TorchModel(module, input_shape=(2,))
    target = Target(codes=torch.tensor([0]), targeted=False)
    with model.session():
        result = attack.run(model, torch.zeros(1, 2), target, Stop(), [None])
    torch.testing.assert_close(result.adversarial, torch.tensor([[2.0, 0.0]]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("rule, word", [({"max_loss": 1.0}, "max_loss"), ({}, "max_iter")])
def test_stop_rules(rule, word):
    """A row stops at the first step that meets its rule, and says which."""
    attack = RepresentationInversion(n_steps=50)
    attack.prepare(np.array([[3.0, 0.0]], dtype=np.float32), np.array([0]))
    model = TorchModel(linear_net(np.eye(2)), input_shape=(2,))
    with model.session():
        target = Target(codes=torch.tensor([0]))
        result = attack.run(model, torch.zeros(1, 2), target, Stop(**rule), [None])
    assert result.stop_reason.tolist() == [word]
    assert (result.n_iter[0] < 50) == bool(rule)


def test_a_confidence_stops_it(net, digits):
    """With `min_confidence`, a row goes no further than it must."""
    options = {"input_shape": (64,), "X": digits.X.reshape(-1, 64), "y": digits.y}
    attack = RepresentationInversion()
    patterns = extract_patterns(net, attack=attack, min_confidence=0.5, **options)
    assert set(patterns["stop_reason"].values.tolist()) == {"min_confidence"}
    assert float(patterns["confidence"].min()) >= 0.5
    assert int(patterns["n_iter"].max()) < 200


# ------------------------------------------------------------------------------- refusals


def test_data_that_are_needed():
    """Without data, or without a class's, there is no target."""
    model = TorchModel(linear_net(np.eye(3, 5)), input_shape=(5,))
    attack, start = RepresentationInversion(), torch.zeros(1, 5)
    target = Target(codes=torch.tensor([2]))
    with model.session():
        with pytest.raises(ParameterError, match="give `X` and `y`"):
            attack.run(model, start, target, Stop(), [None])
        attack.prepare(np.zeros((2, 5), np.float32), np.array([0, 1]))
        with pytest.raises(ParameterError, match="no sample of unit 2"):
            attack.run(model, start, target, Stop(), [None])


@pytest.mark.parametrize(
    "params, match",
    [
        ({"layer": 3}, "`layer` must be None or the name"),
        ({"target": "median"}, "`target` must be one of mean, sample, got 'median'"),
        ({"n_samples": 0}, "`n_samples` must be None or a positive integer"),
        ({"n_steps": 0}, "`n_steps` must be a positive integer"),
        ({"step_size": 0}, "`step_size` must be a positive number"),
        ({"epsilon": 0}, "`epsilon` must be None or a positive number"),
        ({"clip": (1, 1)}, "`clip` must be None or"),
    ],
)
def test_bad_parameters(params, match):
    """Each parameter that cannot be used is named."""
    with pytest.raises(ParameterError, match=match):
        RepresentationInversion(**params).validate()


def test_images_and_units_that_cannot_be_used():
    """Shapes that differ, NaN, and units that the layer lacks are told."""
    module, ones = linear_net(np.eye(3, 5)), np.ones((2, 5))
    with pytest.raises(DataError, match=r"one shape, got \(2, 5\) and \(1, 5\)"):
        invert_representation(module, ones, ones[:1])
    with pytest.raises(DataError, match="`seeds` must be finite"):
        invert_representation(module, ones, ones * np.nan)
    with pytest.raises(DataError, match="`seeds` must be real numbers"):
        visualize_features(module, [0], [1.0])
    for units in ([3], [-1], []):
        with pytest.raises(ParameterError, match=r"`units` must be places from 0 to 2"):
            visualize_features(module, units, ones)
    with pytest.raises(ModelError, match='No layer "nowhere"'):
        visualize_features(module, [0], ones, layer="nowhere")


def test_models_without_layers(digits):
    """A classifier that has neither gradients nor layers cannot be inverted."""
    from sklearn.ensemble import RandomForestClassifier  # which no adapter knows from inside

    X = digits.X.reshape(-1, 64)[:100]
    forest = RandomForestClassifier(10, random_state=0).fit(X, digits.y[:100])
    with pytest.raises(AdapterError, match="gradients and layers"):
        invert_representation(forest, X[:1], X[1:2])


def test_rows_without_a_gradient_stay():
    """Where no gradient is, a row takes no step; the others take theirs."""

    def slope(x):
        near = x[:, :1] > 0
        return x.square().sum(1), torch.where(near, 2 * x, torch.zeros_like(x))

    start = torch.tensor([[1.0, 1.0], [-1.0, 1.0]])
    found = walk(start, slope, step_size=0.5, n_steps=3)
    assert found.n_steps.tolist() == [3, 0]
    assert found.flat.tolist() == [False, True]
    assert torch.equal(found.x[1], start[1])
