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
    """Another layer for large inputs: what one pass shows is not the whole."""

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        # By way of a list, which no watching of operations sees.
        largest = max(max(row) for row in x.detach().tolist())
        return self.large(x) if largest > 3 else self.small(x)


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
    """Statistics and weights that changed between two extractions are seen, copied ones too."""
    module = CNN(input_shape=(4, 4), n_classes=3, convolutions=(2,), dense=(), batch_norm=True)
    model = TorchModel(module.eval(), input_shape=(1, 4, 4))
    x = torch.randn(2, 1, 4, 4)
    for _ in range(2):
        with model.session(), torch.no_grad():
            torch.testing.assert_close(model.chain.forward(x), module(x))
        with torch.no_grad():
            module.convolutions[0].weight.mul_(-2)
            module.convolutions[1].running_mean.add_(1)


def test_first_layer_form_only_where_it_pays_and_holds():
    """Not for a first layer wider than the input, without weights, or in half precision."""
    assert first_layer_pays(Linear(torch.ones(3, 3), None))
    assert not first_layer_pays(Linear(torch.ones(4, 3), None))
    assert not first_layer_pays(Linear(torch.ones(3, 3, dtype=torch.bfloat16), None))
    dead = torch.ones(3, 3)
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


def test_single_precision_stays_near_the_truth():
    """In float32 the first-layer form errs by rounding, as the direct form does."""
    module = FC(input_shape=(64,), n_classes=10, hidden=(32, 30))
    start, codes = torch.zeros(10, 64), torch.arange(10)
    options = {"codes": codes, "stop": Stop(max_iter=200), "learning_rate": 0.1}
    double = copy.deepcopy(module).double()
    truth = descended(Plain, double, start.double(), **options).adversarial
    for form in ("auto", "direct"):
        found = descended(TorchModel, module, start, form=form, **options).adversarial
        assert float((found - truth).abs().max()) <= 1e-5 * float(truth.abs().max())


def test_extraction_says_nothing_of_the_form_but_the_parameter():
    """The form is a parameter of the attack, so it stands in the result's attributes."""
    module = FC(input_shape=(6,), n_classes=3)
    attack = make_attack("gradient_descent", first_layer="direct")
    patterns = extract_patterns(module, input_shape=(6,), attack=attack, max_iter=300)
    assert '"first_layer": "direct"' in patterns.attrs["parameters"]


def stepped(kind, module, start, step, *, n_iter=300, form="direct", **options):
    """Descend by a step of one's own."""
    model = kind(module, input_shape=start.shape[1:])
    target = Target(codes=torch.arange(len(start)) % model.n_units)
    with model.session():
        return descend(
            model, start, step, target, Stop(max_iter=n_iter), first_layer=form, **options
        )


def late_vanisher():
    """A net whose rows lose their gradient one after another, and starts for it."""
    module = nn.Sequential(nn.Linear(6, 4), nn.Hardtanh(-0.3, 0.3), nn.Linear(4, 3)).double()
    return module, torch.randn(24, 6, dtype=torch.float64)


@pytest.mark.parametrize("form", ["auto", "direct"])
def test_momentum_survives_steps_that_are_taken_again(form):
    """Rows that vanish on the way do not disturb the velocity of the others, in place or not."""
    module, start = late_vanisher()

    def functional(x, gradient, state):
        velocity = gradient if state is None else 0.5 * state + gradient
        return x - 0.3 * velocity, velocity

    def in_place(x, gradient, state):
        velocity = gradient.clone() if state is None else state.mul_(0.5).add_(gradient)
        return x - 0.3 * velocity, velocity

    wanted = stepped(Plain, module, start, functional)
    assert "vanished_gradient" in wanted.stop_reason
    assert len(set(wanted.n_iter.tolist())) > 3
    for step in (functional, in_place):
        found = stepped(TorchModel, module, start, step, form=form)
        # A velocity that dies away stops moving x and u at other roundings: a look apart.
        assert np.abs(found.n_iter - wanted.n_iter).max() <= (10 if form == "auto" else 0)
        assert found.stop_reason.tolist() == wanted.stop_reason.tolist()
        torch.testing.assert_close(found.adversarial, wanted.adversarial, rtol=0, atol=1e-10)


def test_a_row_out_of_bounds_for_a_while_stops_alone_as_among_others():
    """An excursion over ten iterations is seen, whoever else is in the batch."""
    module = nn.Linear(2, 2).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1e-9, 0.0], [-1e-9, 0.0]]))
    start = torch.tensor([[0.0, 2.0], [0.0, 0.5], [0.0, 3.0]], dtype=torch.float64)

    def step(x, gradient, state):
        phase = (torch.zeros_like(x[:, :1]) if state is None else state) + 1
        height = torch.where((phase[:, 0] > 20) & (phase[:, 0] <= 40), 1e6 * x[:, 1], 0.0)
        return torch.stack([height, x[:, 1]], 1), phase

    together = stepped(TorchModel, module, start, step, n_iter=160)
    assert together.stop_reason.tolist() == ["diverged", "max_iter", "diverged"]
    assert together.n_iter.tolist() == [20, 160, 20]
    for row in range(3):
        alone = stepped(TorchModel, module, start[row : row + 1], step, n_iter=160)
        assert alone.n_iter[0] == together.n_iter[row]
        assert torch.equal(alone.adversarial[0], together.adversarial[row])


def test_descents_within_descents():
    """A step that descends by itself, in both forms, leaves the outer descent alone."""
    module = FC(input_shape=(6,), n_classes=3, hidden=(5,)).double()
    start = torch.randn(4, 6, dtype=torch.float64)
    model = TorchModel(module, input_shape=(6,))
    target = Target(codes=torch.arange(4) % 3)

    def plain(x, gradient, state):
        return x - 0.1 * gradient, state

    def nesting(x, gradient, state):
        for form in ("direct", "auto"):
            descend(model, -start, plain, target, Stop(max_iter=2), first_layer=form)
        return plain(x, gradient, state)

    with model.session():
        results = [
            descend(model, start, step, target, Stop(max_iter=12), first_layer=form)
            for form in ("direct", "auto", "direct")
            for step in (plain, nesting)
        ]
    for found in results[1:]:
        assert_same(found, results[0])


def test_a_step_may_use_autograd_of_its_own():
    """In the direct form a step may differentiate something else."""
    module = FC(input_shape=(6,), n_classes=3, hidden=(5,)).double()
    start = torch.randn(4, 6, dtype=torch.float64)

    def step(x, gradient, state):
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            (rough,) = torch.autograd.grad((leaf[:, 1:] - leaf[:, :-1]).abs().sum(), leaf)
        return x - 0.1 * gradient - 0.01 * rough, state

    assert_same(
        stepped(TorchModel, module, start, step, n_iter=30),
        stepped(Plain, module, start, step, n_iter=30),
    )


class Strict(nn.Module):
    """Takes inputs between 0 and 1 alone."""

    def __init__(self):
        super().__init__()
        self.rest = nn.Linear(6, 3)

    def forward(self, x):
        if x.detach().min() < 0 or x.detach().max() > 1:
            raise ValueError("out of 0..1")
        return self.rest(x)


class Conditional(nn.Module):
    """An operation that cannot be watched."""

    def __init__(self):
        super().__init__()
        self.rest = nn.Linear(6, 3)

    def forward(self, x):
        from torch.utils.checkpoint import checkpoint

        return checkpoint(self.rest, x, use_reentrant=False)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
@pytest.mark.parametrize("kind", [Strict, Conditional])
def test_what_cannot_be_watched_still_has_patterns(kind):
    """A module with a domain, or with operations of its own kind, goes by autograd if need be."""
    patterns = extract_patterns(
        kind(), input_shape=(6,), max_iter=5, attack=make_attack("gradient_descent", clip=(0, 1))
    )
    assert np.isfinite(patterns["pattern"].values).all()


@pytest.mark.parametrize("module", [nn.Identity(), nn.Flatten()])
def test_a_module_without_layers(module):
    """Inputs that are the logits: no first layer, and the same as autograd."""
    start = torch.randn(4, 3)
    wanted = descended(Plain, module, start)
    assert_same(descended(TorchModel, module, start), wanted, 1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_written_out_too(dtype):
    """Half precision descends on the input, as near to autograd as it can be."""
    module = FC(input_shape=(6,), n_classes=3, hidden=(5,)).to(dtype)
    start = torch.randn(4, 6).to(dtype)
    options = {"stop": Stop(max_iter=3), "learning_rate": 0.1}
    found = descended(TorchModel, module, start, **options)
    assert found.adversarial.dtype == dtype
    wanted = descended(Plain, module, start, **options)
    torch.testing.assert_close(found.adversarial, wanted.adversarial, rtol=0.02, atol=0.02)


def test_rows_that_stop_one_by_one_cost_little():
    """Steps are taken again only around what happened, not in every hundred."""
    module, start = late_vanisher()
    passes = []

    class Counted(TorchModel):
        chain = None

        def logits(self, x):
            passes.append(len(x))
            return super().logits(x)

    options = {"stop": Stop(max_iter=500), "learning_rate": 0.3}
    descended(Counted, module, start, **options)
    assert len(passes) < 1.7 * 500


def test_a_wrapper_is_asked_for_its_own_logits():
    """A model that hands on what it lacks is not taken for the chain of the one inside."""
    inner = TorchModel(FC(input_shape=(6,), n_classes=3, hidden=(5,)), input_shape=(6,))

    class Doubled:
        def __getattr__(self, name):
            return getattr(inner, name)

        def logits(self, x):
            return 2 * inner.logits(x)

    start, target = torch.zeros(3, 6), Target(codes=torch.arange(3))
    found = []
    for model in (inner, Doubled()):
        with model.session():
            found.append(
                descend(model, start, lambda x, g, s: (x - g, s), target, Stop(max_iter=5))
            )
    assert not torch.allclose(found[0].adversarial, found[1].adversarial)


def test_weights_that_are_made_up_do_not_shrink_the_batch():
    """What a pass writes whatever the rows are does not count per row."""
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(1024, 1024)))
    assert TorchModel(module, input_shape=(1024,)).batch_size == 512
