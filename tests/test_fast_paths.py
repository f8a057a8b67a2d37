"""Gradients written out, and descent on the first layer: the same as autograd, but for rounding."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pncviz import extract_patterns, make_attack
from pncviz.builtin.architectures import CNN, FC
from pncviz.exceptions import ParameterError
from pncviz.models import TiledModel, TorchModel
from pncviz.specs import Stop, Target
from pncviz.synthesis import descend
from pncviz.synthesis.first_layer import FirstLayer, first_layer_pays
from pncviz.synthesis.links import Linear
from pncviz.synthesis.losses import LOSSES
from pncviz.synthesis.rows import size_of


class Plain(TorchModel):
    """A model that leaves its gradients to autograd."""

    chain = None


@pytest.fixture(autouse=True)
def seeded():
    """Weights drawn in a test are the same in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def is_chain(module, shape):
    """Say whether the module's gradient is written out."""
    model = TorchModel(module, input_shape=shape)
    with model.session():
        return model.chain is not None


def descended(kind, module, start, *, form="auto", codes=None, stop=None, targeted=True, **params):
    """Descend by autograd (Plain) or otherwise, in the module's own precision."""
    model = kind(module, input_shape=start.shape[1:])
    codes = torch.arange(len(start)) % model.n_units if codes is None else codes
    attack = make_attack("gradient_descent", first_layer=form, **params)
    with model.session():
        return attack.run(
            model, start, Target(codes=codes, targeted=targeted), stop or Stop(max_iter=25), []
        )


def assert_same(found, wanted, tolerance=1e-10):
    """Inputs, losses, confidences and traces to the tolerance; counts and reasons exactly."""
    assert found.stop_reason.tolist() == wanted.stop_reason.tolist()
    assert found.n_iter.tolist() == wanted.n_iter.tolist()
    scale = max(1.0, float(wanted.adversarial.abs().max()))
    difference = float((found.adversarial - wanted.adversarial).abs().max())
    assert difference <= tolerance * scale
    np.testing.assert_allclose(found.loss, wanted.loss, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.confidence, wanted.confidence, rtol=tolerance, atol=tolerance)
    assert (found.trace is None) == (wanted.trace is None)
    if wanted.trace is not None:
        np.testing.assert_array_equal(found.trace.iteration, wanted.trace.iteration)
        np.testing.assert_allclose(found.trace.loss, wanted.trace.loss, atol=tolerance)


ACTIVATIONS = (nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU(), nn.GELU(), nn.Identity())


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    learning_rate=st.sampled_from([0.01, 0.3, 1.0]),
    loss=st.sampled_from(sorted(LOSSES)),
    targeted=st.booleans(),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_dense_networks_descend_alike(
    data, hidden, momentum, learning_rate, loss, targeted, bias, seed
):
    """Any dense net, step and loss: first-layer form, direct form and autograd agree to 1e-10."""
    torch.manual_seed(seed)
    widths, layers = [12, *hidden, 4], []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after, bias=bias), data.draw(st.sampled_from(ACTIVATIONS))]
    module = nn.Sequential(*layers[:-1]).double()
    start = torch.randn(5, 12, dtype=torch.float64)
    options = {
        "momentum": momentum,
        "learning_rate": learning_rate,
        "loss": loss,
        "targeted": targeted,
    }
    wanted = descended(Plain, module, start, **options)
    assert_same(descended(TorchModel, module, start, form="direct", **options), wanted)
    assert_same(descended(TorchModel, module, start, form="auto", **options), wanted)


@pytest.mark.parametrize(
    "stop, params",
    [
        (Stop(max_iter=200, max_loss=1.3), {}),
        (Stop(max_iter=200, min_confidence=0.3), {"momentum": 0.5}),
        (Stop(max_iter=60, min_confidence=0.99, max_loss=0.3), {"trace_every": 7}),
        (Stop(max_iter=33), {"trace_every": 10}),
        (Stop(max_iter=1), {}),
    ],
)
def test_rules_stop_alike(stop, params):
    """Rows that stop by rule stop at the same step for the same reason, and leave the others be."""
    module = FC(input_shape=(3, 4), n_classes=5, hidden=(8, 6)).double()
    start = torch.randn(17, 3, 4, dtype=torch.float64)
    wanted = descended(Plain, module, start, stop=stop, learning_rate=0.5, **params)
    found = descended(TorchModel, module, start, stop=stop, learning_rate=0.5, **params)
    assert_same(found, wanted)
    if stop.max_iter == 200:
        assert len(set(wanted.n_iter.tolist())) > 3  # rows really stopped one by one


@pytest.mark.parametrize("form", ["auto", "direct"])
def test_divergence_is_the_same(form):
    """A row that runs away is frozen at the same iterate, and the others go on."""
    module = nn.Sequential(nn.Linear(6, 4), nn.Identity(), nn.Linear(4, 3)).double()
    start = torch.randn(9, 6, dtype=torch.float64)
    options = {"learning_rate": 1e5, "targeted": False, "stop": Stop(max_iter=25)}
    wanted = descended(Plain, module, start, **options)
    assert {"diverged", "max_iter"} <= set(wanted.stop_reason.tolist())
    assert_same(descended(TorchModel, module, start, form=form, **options), wanted, 1e-8)


@pytest.mark.parametrize("form", ["auto", "direct"])
def test_a_vanished_gradient_is_the_same(form):
    """Rows without a gradient stop at once, or where they got stuck; the others go on."""
    module = nn.Sequential(nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)).double()
    start = torch.randn(5, 6, dtype=torch.float64)
    start[1] = 0
    with torch.no_grad():
        start[3] = -torch.linalg.lstsq(module[0].weight, torch.ones(4, 1).double())[0][:, 0]
    wanted = descended(Plain, module, start, learning_rate=0.3)
    assert wanted.stop_reason.tolist()[1] == wanted.stop_reason.tolist()[3] == "vanished_gradient"
    assert wanted.n_iter[1] == 0
    assert_same(descended(TorchModel, module, start, form=form, learning_rate=0.3), wanted)


LAYERS = {
    "relu in place": (nn.ReLU(inplace=True), (5,)),
    "tanh": (nn.Tanh(), (5,)),
    "relu after what keeps its output": (nn.Sequential(nn.Tanh(), nn.ReLU()), (5,)),
    "sigmoid": (nn.Sigmoid(), (5,)),
    "leaky relu": (nn.LeakyReLU(0.2, inplace=True), (5,)),
    "elu": (nn.ELU(0.7), (5,)),
    "gelu": (nn.GELU(), (5,)),
    "gelu by tanh": (nn.GELU(approximate="tanh"), (5,)),
    "silu": (nn.SiLU(), (5,)),
    "relu6": (nn.ReLU6(), (5,)),
    "hardtanh": (nn.Hardtanh(-0.3, 0.4), (5,)),
    "softplus": (nn.Softplus(2.0, 1.5), (5,)),
    "softmax": (nn.Softmax(1), (5,)),
    "log softmax": (nn.LogSoftmax(-1), (5,)),
    "dropout": (nn.Dropout(), (5,)),
    "batch norm": (nn.BatchNorm1d(5), (5,)),
    "batch norm without weights": (nn.BatchNorm1d(5, affine=False), (5,)),
    "convolution": (nn.Conv2d(2, 3, 3), (2, 6, 6)),
    "strided, grouped, dilated": (
        nn.Conv2d(4, 4, 2, stride=2, padding=1, dilation=2, groups=2, bias=False),
        (4, 6, 6),
    ),
    "max pool": (nn.MaxPool2d(2), (2, 6, 6)),
    "overlapping max pool": (nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), (2, 6, 6)),
    "average pool": (nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (2, 6, 6)),
    "batch norm of images": (nn.BatchNorm2d(2), (2, 3, 3)),
    "flatten": (nn.Flatten(), (2, 3, 3)),
}


class Scaled(nn.Module):
    """Inputs scaled as colour images are."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5])[:, None, None])
        self.rest = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3))

    def forward(self, x):
        return self.rest((x * 2 - 1 - self.mean) / 0.25 + 0.1)


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_has_its_derivative(name):
    """Every layer is taken up, and its derivative is autograd's."""
    layer, shape = LAYERS[name]
    for module in layer.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    inside = nn.Sequential(nn.Linear(shape[0], 5), layer) if len(shape) == 1 else layer
    width = inside.eval()(torch.rand(2, *shape)).flatten(1).shape[1]
    module = nn.Sequential(inside, nn.Flatten(), nn.Linear(width, 3)).double()
    start = torch.randn(4, *shape, dtype=torch.float64)
    before = copy.deepcopy(module.state_dict())
    assert is_chain(module, shape)
    assert_same(descended(TorchModel, module, start), descended(Plain, module, start))
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("output", ["softmax", "log_softmax"])
def test_probabilities_at_the_end(output):
    """A net that ends in probabilities or their logarithms is a chain, too."""
    end = nn.Softmax(1) if output == "softmax" else nn.LogSoftmax(1)
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3), end).double()
    start = torch.randn(4, 6, dtype=torch.float64)
    assert is_chain(module, (6,))
    assert_same(descended(TorchModel, module, start), descended(Plain, module, start))


@pytest.mark.parametrize(
    "module, shape",
    [
        (Scaled(), (2, 6, 6)),
        (CNN(input_shape=(1, 8, 8), n_classes=4, convolutions=(3, 4), dense=(6,)), (64,)),
        (CNN(input_shape=(8, 8), n_classes=4, convolutions=(3,), batch_norm=True), (1, 8, 8)),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 3))), (6,)),
    ],
)
def test_whole_networks_are_chains(module, shape):
    """Scaled inputs, the paper's CNN from flat rows and images, and made-up weights."""
    module = copy.deepcopy(module).double()
    start = torch.randn(4, *shape, dtype=torch.float64)
    assert is_chain(module, shape)
    assert_same(descended(TorchModel, module, start), descended(Plain, module, start))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.second(x + torch.relu(self.first(x)))


class Branching(nn.Module):
    """Another layer for inputs of a large sum: what one pass shows is not the whole."""

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        return self.large(x) if float(x.detach().abs().sum()) > 1e3 else self.small(x)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x):
        return self.layer(x) * torch.linalg.vector_norm(x, dim=1, keepdim=True)


class Turned(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x):
        return self.layer(x.reshape(-1, 2, 3).transpose(1, 2).reshape(-1, 6))


@pytest.mark.parametrize("kind", [Residual, Branching, Twice, Turned])
def test_what_is_no_chain_goes_by_autograd(kind):
    """A branch, a dependence on values or an unknown operation: autograd, and the same patterns."""
    module = kind().double()
    start = torch.randn(4, 6, dtype=torch.float64)
    assert not is_chain(module, (6,))
    wanted = descended(Plain, module, start)
    assert torch.equal(descended(TorchModel, module, start).adversarial, wanted.adversarial)


def test_a_chain_is_tried_out_on_other_inputs():
    """What one pass showed is dropped where other inputs prove it wrong."""
    module = nn.Sequential(nn.Linear(6, 3), nn.Threshold(-100.0, 7.0), nn.Linear(3, 3))
    assert not is_chain(module, (6,))  # an operation of no rule
    model = TorchModel(nn.Sequential(nn.Linear(6, 3)), input_shape=(6,))
    with model.session():
        assert model.chain is not None
    model._chain, model.logits = "unknown", lambda x: model.module(x) * (1 if len(x) == 2 else 2)
    with model.session():
        assert model.chain is None


def test_new_weights_make_a_new_chain():
    """Weights that changed between two extractions are seen."""
    module = FC(input_shape=(6,), n_classes=3, hidden=(5,))
    model = TorchModel(module, input_shape=(6,))
    x = torch.randn(2, 6)
    for _ in range(2):
        with model.session(), torch.no_grad():
            torch.testing.assert_close(model.chain.forward(x), module(x))
        with torch.no_grad():
            module.layers[0].weight.copy_(torch.randn(5, 6))


def test_first_layer_form_only_where_it_pays_and_holds():
    """Not for a first layer wider than twice the input, without weights, or in half precision."""
    assert first_layer_pays(Linear(torch.ones(5, 3), None))
    assert not first_layer_pays(Linear(torch.ones(6, 3), None))
    assert not first_layer_pays(Linear(torch.ones(5, 3, dtype=torch.bfloat16), None))
    dead = torch.ones(5, 3)
    dead[1] = 0
    assert not first_layer_pays(Linear(dead, None))


def test_a_unit_without_weights_stops_as_it_should():
    """A first layer of zeros moves no input: vanished, not a thousand steps of nothing."""
    module = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    nn.init.zeros_(module[0].weight)
    result = descended(TorchModel, module, torch.zeros(3, 6))
    assert result.stop_reason.tolist() == ["vanished_gradient"] * 3
    assert result.n_iter.tolist() == [0] * 3


def test_the_bound_holds_and_far_inputs_are_measured():
    """The size of an input on the first layer's coordinates is never below what it is."""
    module = FC(input_shape=(6,), n_classes=3, hidden=(5,)).double()
    model = TorchModel(module, input_shape=(6,))
    start = torch.randn(4, 6, dtype=torch.float64)
    with model.session(), torch.no_grad():
        slope = FirstLayer(
            model,
            start,
            Target(codes=torch.arange(4) % 3),
            "cross_entropy",
            *model.chain.after_first(),
        )
        for scale in (1.0, 1e3, 1e9):
            u = scale * torch.randn(4, 5, dtype=torch.float64)
            exact = size_of(start + u @ module.layers[0].weight)
            assert (slope.size(u) >= exact * (1 - 1e-12)).all()
        torch.testing.assert_close(slope.size(u), exact)  # so far out it is measured


def test_clipped_steps_walk_on_the_input():
    """With bounds on the input the first-layer form would be wrong, and is not used."""
    module = FC(input_shape=(6,), n_classes=3, hidden=(5,)).double()
    start = torch.randn(4, 6, dtype=torch.float64)
    options = {"clip": (-0.5, 0.5), "learning_rate": 0.5}
    found = descended(TorchModel, module, start, **options)
    assert_same(found, descended(Plain, module, start, **options))
    assert found.adversarial.abs().max() == 0.5


def test_steps_of_plugins_walk_on_the_input():
    """A step that bends the gradient gets the input and its gradient, unless it says otherwise."""
    module = FC(input_shape=(6,), n_classes=3, hidden=(5,)).double()
    results = []
    for kind in (TorchModel, Plain):
        model = kind(module, input_shape=(6,))
        with model.session():
            results.append(
                descend(
                    model,
                    torch.zeros(3, 6, dtype=torch.float64),
                    lambda x, gradient, state: (x - 0.01 * gradient.sign(), state),
                    Target(codes=torch.arange(3)),
                    Stop(max_iter=30),
                )
            )
    assert_same(*results)


def test_unknown_form_is_refused():
    """`first_layer` is "auto" or "direct"."""
    with pytest.raises(ParameterError, match="`first_layer` must be one of auto, direct, got 'x'"):
        make_attack("gradient_descent", first_layer="x").validate()
    model = TorchModel(nn.Linear(2, 2), input_shape=(2,))
    with pytest.raises(ParameterError, match="`first_layer` must be one of auto, direct, got 'x'"):
        descend(
            model, torch.zeros(1, 2), None, Target(codes=torch.zeros(1)), Stop(), first_layer="x"
        )


def test_nothing_stays_changed_after_a_fault():
    """Threads, inference mode and the start are as before, also when a step raises."""
    module = FC(input_shape=(6,), n_classes=3)
    model = TorchModel(module, input_shape=(6,))
    threads, start = torch.get_num_threads(), torch.zeros(3, 6)

    def step(x, gradient, state):
        raise ValueError("no step")

    torch.set_num_threads(2)
    try:
        with model.session(), pytest.raises(ValueError, match="no step"):
            descend(model, start, step, Target(codes=torch.arange(3)), Stop())
        assert torch.get_num_threads() == 2
        assert not torch.is_inference_mode_enabled()
    finally:
        torch.set_num_threads(threads)
    result = descended(TorchModel, module, start)
    assert not result.adversarial.is_inference()
    assert torch.equal(start, torch.zeros(3, 6))


def test_wide_layers_in_slices():
    """A wide layer at a small batch is multiplied in slices, to the same values."""
    weight, bias = torch.randn(1024, 1032).double(), torch.randn(1024).double()
    layer, x, g = Linear(weight, bias), torch.randn(3, 1032).double(), torch.randn(3, 1024).double()
    assert layer._slices == 8
    torch.testing.assert_close(layer.forward(x), x @ weight.t() + bias)
    torch.testing.assert_close(layer.backward(g), g @ weight)
    many = torch.randn(65, 1032).double()
    torch.testing.assert_close(layer.forward(many), many @ weight.t() + bias)


def test_deterministic_mode_takes_the_fast_path_and_keeps_its_bits():
    """The same bits one by one as all together, on the first layer's coordinates."""
    module = FC(input_shape=(12,), n_classes=4, hidden=(9, 7))
    start = torch.randn(37, 12)

    def tiled(rows):
        model = TiledModel(TorchModel(module, input_shape=(12,)))
        with model.session():
            assert model.chain is not None
            return make_attack("gradient_descent").run(
                model, start[rows], Target(codes=torch.arange(37)[rows] % 4), Stop(max_iter=40), []
            )

    together = tiled(torch.arange(37))
    for rows in (torch.tensor([5]), torch.arange(20, 37), torch.arange(36, -1, -3)):
        apart = tiled(rows)
        assert torch.equal(apart.adversarial, together.adversarial[rows])
        assert apart.loss.tolist() == together.loss[rows.numpy()].tolist()


def test_single_precision_is_as_close_to_the_truth_as_the_direct_form():
    """In float32 the first-layer form errs no more than twice what the direct form errs."""
    module = FC(input_shape=(64,), n_classes=10)
    start, codes = torch.zeros(10, 64), torch.arange(10)
    options = {"codes": codes, "stop": Stop(max_iter=200), "learning_rate": 0.1}
    truth = descended(Plain, copy.deepcopy(module).double(), start.double(), **options).adversarial
    errors = {
        form: float(
            (descended(TorchModel, module, start, form=form, **options).adversarial - truth)
            .abs()
            .max()
        )
        for form in ("auto", "direct")
    }
    assert errors["auto"] <= 2 * max(errors["direct"], 1e-7 * float(truth.abs().max()))


def test_extraction_says_nothing_of_the_form_but_the_parameter():
    """The form is a parameter of the attack, so it stands in the result's attributes."""
    module = FC(input_shape=(6,), n_classes=3)
    attack = make_attack("gradient_descent", first_layer="direct")
    patterns = extract_patterns(module, input_shape=(6,), attack=attack, max_iter=300)
    assert '"first_layer": "direct"' in patterns.attrs["parameters"]
