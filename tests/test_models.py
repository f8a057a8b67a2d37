"""Reaching the model: what it gives, which unit is which label, and that nothing stays changed."""

import contextlib
import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.multioutput import MultiOutputClassifier
from sklearn.svm import LinearSVC
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from pncviz import AdversarialPatternExtractor, extract_patterns, make_attack
from pncviz.exceptions import (
    AdapterError,
    LabelError,
    ModelError,
    ParameterError,
    PatternWarning,
    PncvizWarning,
)
from pncviz.models import (
    ProbabilityModel,
    TiledModel,
    TorchModel,
    adapt,
    fit_estimator,
    is_frozen,
    require,
    resolve_units,
)
from pncviz.models.memory import fitting_batch, pass_bytes
from pncviz.specs import NEEDS, Model


@pytest.fixture(autouse=True)
def seeded():
    """Weights drawn in a test are the same in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Of(nn.Module):
    """A linear layer, and whatever a test does with it."""

    def __init__(self, function, n_units=3):
        super().__init__()
        self.linear = nn.Linear(4, n_units)
        self.function = function

    def forward(self, x):
        return self.function(self.linear(x))


def model_of(module, **options):
    return TorchModel(module, input_shape=(4,), **options)


def ask(model, rows=5):
    """Probabilities for a few inputs."""
    x = np.random.default_rng(1).normal(size=(rows, *model.input_shape))
    with model.session(), torch.no_grad():
        return model.probabilities(model.tensor(x)).numpy()


@contextlib.contextmanager
def ignoring_failures():
    """For extractions too short for some patterns to reach their class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)
        yield


X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
y = np.arange(30) % 3


def net_of(module, kind=NeuralNetClassifier, fit=True, labels=y, **params):
    """A skorch net, fitted for one epoch."""
    net = kind(module, max_epochs=1, train_split=None, verbose=0, **params)
    return net.fit(X, labels) if fit else net


# ------------------------------------------------------------------- everything is put back


def awkward():
    """A module with all that a careless caller could change, flags set one way and the other."""
    module = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.ReLU(), nn.Linear(6, 3)
    )
    module.train()
    module(torch.randn(8, 4))  # statistics that are neither 0 nor 1
    module[2].eval()
    module[0].bias.requires_grad_(False)
    module[4].register_forward_hook(lambda module, inputs, output: None)
    return module


def state_of(module):
    return {
        "training": [part.training for part in module.modules()],
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "grad": [p.grad for p in module.parameters()],
        "hooks": [len(part._forward_hooks) for part in module.modules()],
        "identity": [id(t) for t in (*module.parameters(), *module.buffers())],
        "values": {name: value.clone() for name, value in module.state_dict().items()},
        "rng": torch.get_rng_state(),
        "threads": torch.get_num_threads(),
        "grad_mode": torch.is_grad_enabled(),
    }


def assert_as_before(module, before):
    after = state_of(module)
    for name, value in before.pop("values").items():
        torch.testing.assert_close(after["values"][name], value, rtol=0, atol=0)
    assert torch.equal(before.pop("rng"), after["rng"])
    assert before == {name: after[name] for name in before}
    assert all(grad is None for grad in after["grad"])


@pytest.mark.parametrize("wrap", [lambda model: model, TiledModel])
@pytest.mark.parametrize("fails", [False, True])
def test_a_session_leaves_no_trace(wrap, fails):
    """Flags, statistics, requires_grad, .grad, hooks, random state: as before, after errors too."""
    module = awkward()
    before = state_of(module)
    model = wrap(model_of(module))
    with contextlib.suppress(ZeroDivisionError), model.session():
        assert not any(part.training for part in module.modules())
        assert not any(p.requires_grad for p in module.parameters())
        x = model.tensor(X).requires_grad_()
        model.activations(x, ["1", "3"])
        model.logits(x).sum().backward()
        assert x.grad is not None
        torch.rand(3)
        module[1].train()(torch.randn(8, 6))  # as a careless attack might
        if fails:
            raise ZeroDivisionError
    assert_as_before(module, before)


def test_an_extraction_leaves_no_trace():
    """The whole way, the net that a skorch fit leaves in training mode is as it was."""
    module = awkward()
    before = state_of(module)
    with ignoring_failures():
        extract_patterns(module, input_shape=(4,), max_iter=3, strategy="noise")
    assert_as_before(module, before)


def test_an_exception_in_the_module_leaves_no_trace():
    """A module that raises in the middle of the probing is put back, too."""
    module = awkward()
    module[3].register_forward_hook(lambda *_: 1 / 0)
    before = state_of(module)
    with pytest.raises(ModelError, match=r"cannot take inputs of shape .* ZeroDivisionError"):
        model_of(module)
    assert_as_before(module, before)


def test_a_replaced_buffer_is_put_back():
    """A module that binds a new tensor to a buffer's name gets the old one back."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls = self.calls + 1
            return self.linear(x)

    module = Counting()
    calls = module.calls
    model_of(module)
    assert module.calls is calls
    assert calls == 0


def test_evaluation_mode_decides_the_answer():
    """Dropout is off and BatchNorm uses its statistics, whatever mode the module is in."""
    module = awkward()
    expected = copy.deepcopy(module).eval()(torch.from_numpy(X)).softmax(1).detach().numpy()
    model = model_of(module)
    with model.session(), torch.no_grad():
        np.testing.assert_allclose(model.probabilities(model.tensor(X)), expected, rtol=1e-6)


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients(caller):
    """Inside no_grad or inference_mode patterns are the same as outside, in any precision."""
    module = nn.Linear(4, 3)
    options = {"input_shape": (4,), "max_iter": 5, "random_state": 0}
    for precision in ("float32", "float64"):
        outside = extract_patterns(module, precision=precision, **options)
        with caller():
            inside = extract_patterns(module, precision=precision, **options)
        np.testing.assert_array_equal(inside["pattern"], outside["pattern"])
        assert np.abs(inside["pattern"]).max() > 0


def test_a_caller_inside_autocast():
    """Autocast does not reach the model, which has a precision of its own."""
    module = nn.Linear(4, 3)
    expected = ask(model_of(module))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(ask(model_of(module)), expected)


def test_astype_is_a_copy():
    """Another precision leaves the module alone, and says nothing twice."""
    module = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    with pytest.warns(PncvizWarning, match="softmax is applied twice"):
        model = model_of(module, output="logits", batch_size=7, classes=["a", "b", "c"])
    twin = model.astype(torch.float64)
    assert (twin.dtype, twin.output, twin.batch_size) == (torch.float64, "logits", 7)
    assert twin.classes.tolist() == ["a", "b", "c"]
    assert module[0].weight.dtype == torch.float32
    np.testing.assert_allclose(ask(twin), ask(model), rtol=1e-6)


def test_fingerprint_notices_changed_weights():
    """The last bit of any weight is noticed, whatever its precision and its tensor's size."""
    for dtype in (torch.float32, torch.float64, torch.float16):
        module = nn.Linear(4, 3).to(dtype)
        model = model_of(module)
        for parameter in (module.weight, module.bias):
            before = model.fingerprint()
            assert model.fingerprint() == before
            flat = parameter.detach().view(-1)
            flat[-1] *= 1 + 2 * torch.finfo(dtype).eps
            assert model.fingerprint() != before
    large = nn.Linear(64, 64).double()  # changes that cancel in a sum of bits
    for change in (torch.neg, lambda w: 2 * w):
        model = TorchModel(large, input_shape=(64,))
        before = model.fingerprint()
        with torch.no_grad():
            large.weight.copy_(change(large.weight))
        assert model.fingerprint() != before


# ---------------------------------------------------------------------- device and precision


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_precision_is_read_from_a_parameter(dtype):
    """Inputs come in the module's own precision."""
    model = model_of(nn.Linear(4, 3).to(dtype))
    assert (model.dtype, model.device) == (dtype, torch.device("cpu"))
    assert model.tensor(X).dtype == dtype
    with model.session():
        assert model.logits(model.tensor(X)).dtype == dtype


def test_a_module_without_parameters():
    """Without a parameter to read, it is float32 on the CPU."""
    model = model_of(nn.Flatten())
    assert (model.dtype, model.n_units) == (torch.float32, 4)


@pytest.mark.parametrize(
    "array",
    [X, X.astype(np.float64), X[::-1, ::-1], X.astype(">f4"), X > 0, X.astype("f2"), X.tolist()],
)
def test_tensor_takes_any_array_and_copies_it(array):
    """Reversed, foreign-endian, integer and read-only arrays become tensors of their own."""
    array = np.asarray(array).view()
    array.flags.writeable = False  # torch alone would warn
    before = array.copy()
    tensor = model_of(nn.Linear(4, 3)).tensor(array)
    np.testing.assert_array_equal(tensor.numpy(), before.astype(np.float32))
    tensor += 1
    np.testing.assert_array_equal(array, before)


def test_tensor_of_another_shape():
    """Inputs that do not fit are refused with both shapes."""
    with pytest.raises(ModelError, match=r"inputs of shape \(n, 4\), got \(2, 3\)"):
        model_of(nn.Linear(4, 3)).tensor(np.zeros((2, 3)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_asked_for_and_absent():
    """A device that is not there is a ModelError that names it, before any training."""
    net = net_of(nn.Linear, fit=False, module__in_features=4, module__out_features=3, device="cuda")
    with pytest.raises(ModelError, match='device="cuda", which is not there; use "cpu"'):
        AdversarialPatternExtractor(net).fit(X, y)
    with pytest.raises(ModelError, match='device="foo", which is not there'):
        AdversarialPatternExtractor(net.set_params(device="foo")).fit(X, y)


def test_default_batch_size_bounds_memory():
    """At least one row, at most 512, and otherwise as many as write 32 MB in a pass."""
    narrow = TorchModel(nn.Linear(4, 3), input_shape=(4,))
    wide = TorchModel(nn.Sequential(nn.Linear(4, 2**19), nn.Linear(2**19, 3)), input_shape=(4,))
    assert pass_bytes(narrow) == 4 * (4 + 3)
    assert narrow.batch_size == 512
    assert wide.batch_size == (2**25 - 1) // 2**21
    assert fitting_batch(2**21, torch.device("cpu"), weight_bytes=2**26) == 2**5  # weights count
    assert fitting_batch(2**30, torch.device("cpu")) == 1


# --------------------------------------------------------------------- what the module gives


def classes(module_kind):
    """Give a module class for skorch that ends as asked."""

    class Module(Of):
        def __init__(self):
            super().__init__(module_kind)

    return Module


LOGITS = classes(lambda z: z)
PROBABILITIES = classes(lambda z: z.softmax(1))
LOGS = classes(lambda z: z.log_softmax(1))


@pytest.mark.parametrize(
    "module, criterion, output",
    [
        (LOGITS, nn.CrossEntropyLoss, "logits"),
        (LOGITS, nn.MultiMarginLoss, "logits"),
        (PROBABILITIES, nn.NLLLoss, "probabilities"),
    ],
)
def test_the_criterion_decides(module, criterion, output):
    """CrossEntropyLoss means logits, NLLLoss in skorch probabilities; answers are skorch's own."""
    net = net_of(module, criterion=criterion)
    model = adapt(net, input_shape=(4,))
    assert model.output == output
    with model.session(), torch.no_grad():
        ours = model.probabilities(model.tensor(X)).numpy()
    logits = net.forward(X).numpy()
    expected = logits if output == "probabilities" else torch.from_numpy(logits).softmax(1).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "module, looks", [(LOGITS, "logits"), (LOGS, "log-probabilities")], ids=["logits", "logs"]
)
def test_nllloss_on_anything_but_probabilities(module, looks):
    """NLLLoss over logits or log-probabilities gives NaN in skorch; here it is a ModelError."""
    net = net_of(module, criterion=nn.NLLLoss, fit=False).initialize()
    with pytest.raises(ModelError, match=f"its rows look like {looks}. Use CrossEntropyLoss"):
        adapt(net, input_shape=(4,))


def test_nllloss_of_a_plain_net_takes_log_probabilities():
    """Only skorch's classifier takes the logarithm itself; a plain NeuralNet hands it on."""
    net = net_of(LOGS, kind=NeuralNet, criterion=nn.NLLLoss)
    assert adapt(net, input_shape=(4,)).output == "log_probabilities"


def test_softmax_under_crossentropy_is_a_double_softmax():
    """It trains so, so it is taken so; but it is said."""
    net = net_of(PROBABILITIES, criterion=nn.CrossEntropyLoss)
    with pytest.warns(
        PncvizWarning, match="softmax is applied twice.*Drop the softmax, or use NLL"
    ):
        model = adapt(net, input_shape=(4,))
    with model.session():
        x = model.tensor(X)
        expected = net.module_(x).softmax(1)
        torch.testing.assert_close(model.probabilities(x), expected)


@pytest.mark.parametrize("flat", [False, True])
def test_one_unit_of_logits(flat):
    """BCEWithLogits: one unit z is two classes with logits (0, z), so p = sigmoid(z)."""

    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 1)

        def forward(self, x):
            return self.linear(x)[:, 0] if flat else self.linear(x)

    net = net_of(One, kind=NeuralNetBinaryClassifier, labels=(y > 0).astype(np.float32))
    model = adapt(FrozenEstimator(net), input_shape=(4,))
    with model.session(), torch.no_grad():
        x = model.tensor(X)
        z = net.module_(x).reshape(-1)
        torch.testing.assert_close(model.logits(x), torch.stack([torch.zeros_like(z), z], 1))
        torch.testing.assert_close(model.probabilities(x)[:, 1], z.sigmoid())
    labels, units = resolve_units(model, y=np.array([0, 1]))
    assert (labels.tolist(), units.tolist()) == ([0, 1], [0, 1])
    assert labels.dtype == np.int64  # skorch itself saw floats


def test_one_unit_of_probabilities():
    """BCELoss after a sigmoid: the unit is the second class's probability."""

    class One(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(4, 1), nn.Sigmoid())

    labels = (y > 0).astype(np.float32)
    net = net_of(One, kind=NeuralNetBinaryClassifier, criterion=nn.BCELoss, labels=labels)
    model = adapt(net, input_shape=(4,))
    assert model.output == "probabilities"
    with model.session(), torch.no_grad():
        p = net.module_(model.tensor(X))[:, 0]
        expected = torch.stack([1 - p, p], 1)
        torch.testing.assert_close(model.probabilities(model.tensor(X)), expected)


def test_an_unfitted_binary_net_is_fitted_on_string_labels():
    """The extractor encodes two string classes for a net with one unit."""

    class One(nn.Linear):
        def __init__(self):
            super().__init__(4, 1)

        def forward(self, x):
            return super().forward(x)[:, 0]

    net = net_of(One, kind=NeuralNetBinaryClassifier, fit=False)
    extractor = AdversarialPatternExtractor(net, max_iter=3, random_state=0)
    extractor.fit(X, np.where(y > 0, "owl", "cat"))
    assert extractor.classes_.tolist() == ["cat", "owl"]
    # A linear logit: the two descents go opposite ways along one line.
    a, b = extractor.patterns_["pattern"].values
    np.testing.assert_allclose(a / np.linalg.norm(a), -b / np.linalg.norm(b), rtol=1e-4)


def sequential(*ends, n_units=3):
    return nn.Sequential(nn.Linear(4, n_units), *ends)


@pytest.mark.parametrize(
    "module, output",
    [
        (sequential(), "logits"),
        (sequential(nn.Sigmoid()), "logits"),  # rows that do not sum to 1
        (sequential(nn.Softmax(dim=1)), "probabilities"),
        (sequential(nn.LogSoftmax(dim=1)), "log_probabilities"),
        (sequential(n_units=1), "logits"),
        (sequential(nn.Sigmoid(), n_units=1), "probabilities"),
        (sequential(nn.LogSigmoid(), n_units=1), "log_probabilities"),
        (nn.Sequential(nn.Softmax(dim=1), nn.Linear(4, 3)), "logits"),
    ],
)
def test_auto_for_a_bare_module(module, output):
    """Logits, unless softmax, log-softmax or, for one unit, a sigmoid ends it; no warning then."""
    assert model_of(module).output == output


@pytest.mark.parametrize(
    "function, output",
    [(lambda z: z.softmax(1), "probabilities"), (lambda z: z.log_softmax(1), "log_probabilities")],
)
def test_auto_by_probing_warns(function, output):
    """Without such a module at the end, rows that sum to 1 decide, with a warning."""
    with pytest.warns(PncvizWarning, match=f"sum to 1, so they are taken for {output}"):
        assert model_of(Of(function)).output == output
    with pytest.warns(PncvizWarning, match=r"lie in 0..1, so they are taken for probabilities"):
        model_of(Of(torch.sigmoid, n_units=1))


@pytest.mark.parametrize(
    "module, output",
    [
        (sequential(nn.Softmax(dim=1)), "probabilities"),
        (sequential(nn.LogSoftmax(dim=1)), "log_probabilities"),
        (
            sequential(nn.LogSoftmax(dim=1)),
            "logits",
        ),  # the same thing: softmax undoes the logarithm
    ],
)
def test_probabilities_are_the_modules_own(module, output):
    """Whatever the module gives, probabilities come out as they should."""
    model = model_of(module, output=output)
    with torch.no_grad():
        out = module(torch.from_numpy(X))
        expected = out if output == "probabilities" else out.exp()
        torch.testing.assert_close(model.probabilities(model.tensor(X)), expected)


@pytest.mark.parametrize("output", ["probabilities", "log_probabilities"])
def test_one_unit_of_a_given_kind(output):
    """One unit of probability or its logarithm: logits whose difference is the log odds."""
    end = nn.Sigmoid() if output == "probabilities" else nn.LogSigmoid()
    module = sequential(end, n_units=1)
    model = model_of(module, output=output)
    z = module[0](torch.from_numpy(X))[:, 0]
    logits = model.logits(model.tensor(X))
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], z, rtol=1e-4, atol=1e-5)


def test_one_unit_saturated_has_finite_gradients():
    """A probability of exactly 0 or 1 gives finite logits and a gradient without NaN."""
    model = model_of(sequential(nn.Sigmoid(), n_units=1))
    with model.session():
        x = model.tensor([[1e4] * 4, [-1e4] * 4]).requires_grad_()
        logits = model.logits(x)
        (gradient,) = torch.autograd.grad(logits.sum(), x)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    "module, output, match",
    [
        (sequential(), "probabilities", "its rows look like logits"),
        (sequential(), "log_probabilities", "exponentials do not sum to 1"),
        (sequential(n_units=1), "probabilities", "look like logits. Use BCEWithLogitsLoss"),
        (sequential(n_units=1), "log_probabilities", "exponentials exceed 1"),
    ],
)
def test_promised_output_that_is_something_else(module, output, match):
    """What the user says the module gives is checked."""
    with pytest.raises(ModelError, match=match):
        model_of(module, output=output)


def test_sigmoid_where_logits_are_expected():
    """One sigmoid unit under BCEWithLogits is a double sigmoid: taken so, and said."""
    with pytest.warns(PncvizWarning, match="sigmoid is applied twice"):
        model = model_of(sequential(nn.Sigmoid(), n_units=1), output="logits")
    assert model.output == "logits"


def test_unknown_output():
    """The choices are listed."""
    with pytest.raises(ParameterError, match=r"`output` must be one of auto, logits, .* got 'foo'"):
        model_of(nn.Linear(4, 3), output="foo")


@pytest.mark.parametrize(
    "function, match",
    [
        (lambda z: (z, z), "must return one tensor .* got a tuple"),
        (lambda z: {"logits": z}, "must return one tensor .* got a dict"),
        (lambda z: z[:, :, None], r"floats of shape \(2, n_units\), got .* \(2, 3, 1\)"),
        (lambda z: z[:, :0], r"floats of shape \(2, n_units\), got .* \(2, 0\)"),
        (lambda z: z[:1], r"floats of shape \(2, n_units\), got .* \(1, 3\)"),
        (lambda z: z.argmax(1), r"must return floats .* got torch.int64 of shape \(2,\)"),
        (lambda z: z / 0, "gives NaN or infinity for inputs between 0 and 1"),
        (lambda z: z - z.mean(0), "depends on the others in the batch"),
        (lambda z: nn.functional.dropout(z, 0.5), "depends on .* chance"),
    ],
)
def test_outputs_that_are_refused(function, match):
    """Tuples, dicts, other shapes, no floats, NaN, and rows that are not each other's own."""
    with pytest.raises(ModelError, match=match):
        model_of(Of(function))


def test_wrong_input_width():
    """Expected and got are in the message, torch's own words after them."""
    with pytest.raises(ModelError, match=r"inputs of shape \(2, 5\) .*2x5 and 4x3"):
        TorchModel(nn.Linear(4, 3), input_shape=(5,))


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e4])
def test_batch_statistics_in_evaluation_mode(scale):
    """BatchNorm without running statistics is refused, however large the outputs are."""
    module = Of(lambda z: z * scale)
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False), module)
    with pytest.raises(ModelError, match="track_running_stats=True"):
        model_of(module)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rounding_is_no_batch_dependence(dtype):
    """Coarse precisions do not look like batch statistics."""
    module = nn.Sequential(nn.Linear(4, 300), nn.ReLU(), nn.Linear(300, 10)).to(dtype)
    assert model_of(module).n_units == 10


# ------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(value):
    """NaN or infinite weights are a ModelError with the parameter's name, before step 1."""
    module = sequential(nn.ReLU(), nn.Linear(3, 3))
    module[2].bias.data[1] = value
    with pytest.raises(ModelError, match=r'Parameter "2.bias" contains NaN or infinity'):
        extract_patterns(module, input_shape=(4,), max_iter=1)


def test_statistics_that_are_nan_are_named():
    """NaN in BatchNorm's statistics is named; infinity in a buffer may be meant, as in masks."""
    module = sequential(nn.BatchNorm1d(3))
    module[1].running_var[0] = np.nan
    with pytest.raises(ModelError, match=r'Buffer "1.running_var" contains NaN'):
        model_of(module)
    module = Of(lambda z: z)
    module.register_buffer("mask", torch.tensor([-np.inf]))
    assert model_of(module).n_units == 3


def test_weights_made_in_inference_mode():
    """No gradient can pass them, so it is a ModelError that names one."""
    with torch.inference_mode():
        module = nn.Linear(4, 3)
    with pytest.raises(ModelError, match='Parameter "weight" was made in inference mode'):
        model_of(module)


@pytest.mark.parametrize("module", [nn.LazyLinear(3), nn.Linear(4, 3, device="meta")])
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_weights_without_values(module):
    """Lazy and meta modules have no weights yet."""
    with pytest.raises(ModelError, match='Parameter "weight" has no values yet'):
        model_of(module)


# ----------------------------------------------------------------------------- gradients


@pytest.mark.parametrize(
    "function",
    [
        lambda z: z.detach(),
        lambda z: nn.functional.one_hot(z.argmax(1), 3) * 5.0,
        lambda z: torch.from_numpy(z.numpy() * 2),
        torch.no_grad()(lambda z: z * 2),
    ],
    ids=["detach", "argmax", "numpy", "no_grad"],
)
def test_a_forward_that_is_not_differentiable(function):
    """It answers, but an attack that needs gradients is refused in words that say why."""
    module = Of(function)
    if "no_grad" in repr(function):
        module.forward = torch.no_grad()(module.forward)
    model = model_of(module)
    assert model.capabilities == NEEDS - {"gradients"}
    assert ask(model).shape == (5, 3)
    with pytest.raises(AdapterError, match=r"needs gradients, and .* not differentiable \(detach"):
        require(model, make_attack("gradient_descent"))
    with pytest.raises(ModelError, match="not differentiable"):
        extract_patterns(module, input_shape=(4,), max_iter=1)


def test_a_forward_that_ignores_its_input():
    """A constant answer has no gradient, and the message says that the input is not used."""

    class Constant(nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 3) + 0 * x.detach().sum()

    with pytest.raises(AdapterError, match="no gradient reaches the input"):
        extract_patterns(Constant(), input_shape=(4,), max_iter=1)


def test_gradients_are_the_modules_own():
    """The gradient through a model is that of the module in evaluation mode."""
    module = awkward()
    twin = copy.deepcopy(module).eval()
    x = torch.from_numpy(X).requires_grad_()
    (expected,) = torch.autograd.grad(twin(x)[:, 1].sum(), x)
    model = model_of(module)
    with model.session():
        ours = model.tensor(X).requires_grad_()
        (gradient,) = torch.autograd.grad(model.logits(ours)[:, 1].sum(), ours)
    torch.testing.assert_close(gradient, expected)


# ---------------------------------------------------------------------------- activations


def test_activations_by_layer_name():
    """Named layers give what they output, differentiable, and no hook stays."""
    module = sequential(nn.ReLU(inplace=True), nn.Linear(3, 2))
    model = model_of(module)
    with model.session():
        x = model.tensor(X).requires_grad_()
        found = model.activations(x, ["2", "0"])
        assert list(found) == ["2", "0"]
        # Not what the in-place layer after it made of it.
        torch.testing.assert_close(found["0"], module[0](x))
        assert torch.autograd.grad(found["0"].sum(), x)[0].abs().sum() > 0
    assert not any(part._forward_hooks for part in module.modules())


class Recurrent(nn.Module):
    """One layer that gives a tuple, and one that never runs."""

    def __init__(self):
        super().__init__()
        self.recurrent = nn.LSTM(4, 3, batch_first=True)
        self.spare = nn.Linear(1, 1)

    def forward(self, x):
        return self.recurrent(x[:, None])[0][:, -1]


@pytest.mark.parametrize(
    "layer, match",
    [
        ("recurent", 'No layer "recurent" in the module; layers: recurrent, spare'),
        ("spare", 'Layer "spare" does not run'),
        ("recurrent", 'Layer "recurrent" gives a tuple'),
    ],
)
def test_layers_without_an_activation(layer, match):
    """An unknown layer lists the known; one that does not run, or gives no tensor, is said."""
    module = Recurrent()
    model = model_of(module)
    with model.session(), pytest.raises(ModelError, match=match):
        model.activations(model.tensor(X), [layer])
    assert not any(part._forward_hooks for part in module.modules())


# -------------------------------------------------------------------------- units and labels


class Fake:
    """All that resolve_units looks at."""

    def __init__(self, n_units, classes=None):
        self.n_units = n_units
        self.classes = None if classes is None else np.asarray(classes)


@pytest.mark.parametrize(
    "n_units, known, classes, y, labels, units",
    [
        (3, None, None, None, [0, 1, 2], [0, 1, 2]),  # nothing is known
        (3, None, ["b", "a", "c"], None, ["b", "a", "c"], [0, 1, 2]),  # named, in this order
        (3, None, ["b", "a"], ["a"], ["b", "a"], [0, 1]),  # the first two of three
        (10, [0, 5, 9], list("abcdefghij"), None, list("abcdefghij"), range(10)),  # named wins
        (3, None, None, ["z", "x", "y"], ["x", "y", "z"], [0, 1, 2]),  # as many: by position
        (3, None, None, [5, -1, 700], [-1, 5, 700], [0, 1, 2]),  # likewise
        (10, None, None, [9, 0, 5], [0, 5, 9], [0, 5, 9]),  # the label is the unit
        (10, [0, 5, 9], None, None, [0, 5, 9], [0, 5, 9]),
        (10, [0.0, 5.0, 9.0], None, None, [0, 5, 9], [0, 5, 9]),
        (3, ["a", "b", "c"], None, ["a", "c"], ["a", "b", "c"], [0, 1, 2]),  # y lacks one
        (2, [0, 1], None, ["cat", "owl"], ["cat", "owl"], [0, 1]),  # fitted on codes
    ],
)
def test_units_of_labels(n_units, known, classes, y, labels, units):
    """`classes` names the units; else as many labels as units; else the label is the unit."""
    found = resolve_units(
        Fake(n_units, known), classes=classes, y=None if y is None else np.array(y)
    )
    assert found[0].tolist() == labels
    assert found[1].tolist() == list(units)


@pytest.mark.parametrize(
    "n_units, known, classes, y, error, match",
    [
        (
            2,
            None,
            None,
            [0, 1, 2],
            ModelError,
            r"2 output units, fewer than the 3 classes \[0, 1, 2",
        ),
        (2, ["a", "b", "c"], None, None, ModelError, "fewer than the 3 classes"),
        (2, None, ["a", "b", "c"], None, ModelError, "names 3 units, but the model has 2"),
        (
            10,
            None,
            None,
            ["a", "b"],
            ModelError,
            r"labels are \['a', 'b'\]; say which .* `classes`",
        ),
        (4, None, None, [0, 5, 9], ModelError, r"labels are \[0, 5, 9\]; say"),
        (4, None, None, [-1, 2], ModelError, r"labels are \[-1, 2\]; say"),
        (3, ["a", "b", "c"], None, ["a", "d"], LabelError, r"the model does not have: \['d'\]"),
        (3, [0, 1, 2], None, [0, 7], LabelError, r"the model does not have: \[7\]"),
        (3, None, ["a", "b", "c"], ["d"], LabelError, r"does not have: \['d'\]. Its classes are"),
        (3, None, ["a", "a", "b"], None, LabelError, "`classes` must be distinct"),
        (3, None, [["a", "b"]], None, LabelError, "`classes` must be one label per output unit"),
        (3, None, ["a", 1], None, LabelError, "`classes` must be .* mixes types: int, str"),
        (3, None, ["a", None], None, LabelError, "`classes` must be .* None or NaN"),
        (3, None, [], None, LabelError, "`classes`"),
    ],
)
def test_labels_without_a_unit(n_units, known, classes, y, error, match):
    """Fewer units than classes, labels no rule fits, foreign and repeated ones are refused."""
    y = None if y is None else np.array(y)
    with pytest.raises(error, match=match):
        resolve_units(Fake(n_units, known), classes=classes, y=y)


def test_patterns_follow_the_units():
    """{0, 5, 9} on ten units: each label has its own unit's pattern, not the first three's."""

    class Ten(nn.Linear):
        def __init__(self):
            super().__init__(4, 10)

    net = net_of(Ten, labels=np.array([0, 5, 9])[y], criterion=nn.CrossEntropyLoss)
    options = {"input_shape": (4,), "max_iter": 5}
    with ignoring_failures():
        ours = extract_patterns(net, **options)
        every = extract_patterns(net.module_, **options)
    assert ours["label"].values.tolist() == [0, 5, 9]
    np.testing.assert_allclose(ours["pattern"], every["pattern"].sel(label=[0, 5, 9]), rtol=1e-5)


def test_an_unfitted_net_gets_classes_in_sorted_order():
    """Unfitted: unit i is the i-th sorted class, and the module is told how many there are."""

    class Sized(nn.Linear):
        def __init__(self, n_classes, input_shape):
            super().__init__(int(np.prod(input_shape)), n_classes)

    net = net_of(Sized, fit=False, criterion=nn.CrossEntropyLoss)
    labels = np.array(["owl", "cat", "dog"])[y]
    extractor = AdversarialPatternExtractor(net, max_iter=3, random_state=0).fit(X, labels)
    assert extractor.classes_.tolist() == ["cat", "dog", "owl"]
    assert extractor.estimator_.module_.out_features == 3
    assert not net.initialized_
    by_code = AdversarialPatternExtractor(net, max_iter=3, random_state=0)
    by_code.fit(X, np.array([2, 0, 1])[y])
    np.testing.assert_array_equal(extractor.patterns_["pattern"], by_code.patterns_["pattern"])


def test_too_few_units_for_a_fit():
    """A module with fewer units than classes cannot be fitted: ModelError, not IndexError."""

    class Two(nn.Linear):
        def __init__(self):
            super().__init__(4, 2)

    net = net_of(Two, fit=False, criterion=nn.CrossEntropyLoss)
    with pytest.raises(ModelError, match="must take the one and have 3 output units: IndexError"):
        AdversarialPatternExtractor(net).fit(X, y)


# ---------------------------------------------------------------------------- the way in


def test_unfitted_under_frozen():
    """A net or classifier that was never fitted is scikit-learn's NotFittedError."""
    from sklearn.exceptions import NotFittedError

    net = net_of(LOGITS, fit=False, criterion=nn.CrossEntropyLoss)
    for estimator in (net, RandomForestClassifier()):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            adapt(FrozenEstimator(estimator), input_shape=(4,))
        with pytest.raises(NotFittedError, match="not fitted yet"):
            AdversarialPatternExtractor(FrozenEstimator(estimator)).fit(X, y)


def test_an_initialised_net_needs_no_fit():
    """Initialised, with loaded weights, and never fitted: its classes are the units."""
    net = net_of(LOGITS, fit=False, criterion=nn.CrossEntropyLoss).initialize()
    model = adapt(net, input_shape=(4,))
    assert model.classes is None
    assert resolve_units(model)[0].tolist() == [0, 1, 2]


def test_a_module_instance_carries_its_weights():
    """The clone of a net with a module instance goes on from its weights, so it is said."""
    net = net_of(nn.Linear(4, 3), fit=False, criterion=nn.CrossEntropyLoss)
    with pytest.warns(PncvizWarning, match="holds a module instance, so its weights"):
        fit_estimator(net, X, y, shape=(4,), n_classes=3)


def test_a_fit_is_seeded_and_leaves_the_random_state():
    """The same seed gives the same weights, and torch's generator is where it was."""
    net = net_of(LOGITS, fit=False, criterion=nn.CrossEntropyLoss)
    before = torch.get_rng_state()
    weights = [
        fit_estimator(net, X, y, shape=(4,), n_classes=3, seed=seed).module_.linear.weight
        for seed in (7, 7, 8)
    ]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_net_is_fitted_on_samples_that_cannot_be_written():
    """Read-only samples, such as memory-mapped ones, are fitted without copy or warning."""
    read_only = X.view()
    read_only.flags.writeable = False
    net = net_of(LOGITS, fit=False, criterion=nn.CrossEntropyLoss)
    assert fit_estimator(net, read_only, y, shape=(4,), n_classes=3).predict(X).shape == (30,)


def test_what_counts_as_frozen():
    """FrozenEstimator, also twice, and bare modules are used as they are."""
    module = nn.Linear(4, 3)
    assert is_frozen(module)
    assert is_frozen(FrozenEstimator(module))
    assert not is_frozen(RandomForestClassifier())
    twice = adapt(FrozenEstimator(FrozenEstimator(module)), input_shape=(4,))
    assert twice.module is module


def test_no_adapter_fits():
    """Something that is no classifier is refused, listing the adapters."""
    with pytest.raises(AdapterError, match=r"No adapter fits int\..*probabilities, skorch, torch"):
        adapt(3, input_shape=(4,))


# --------------------------------------------------------------------- probabilities only


def test_a_forest_gives_probabilities():
    """A forest answers as itself, names its classes, and offers neither gradients nor layers."""
    labels = np.array(["a", "b", "c"])[y]
    forest = RandomForestClassifier(10, random_state=0).fit(X, labels)
    model = adapt(forest, input_shape=(4,))
    assert isinstance(model, Model)
    assert model.capabilities == {"probabilities", "labels"}
    assert model.classes.tolist() == ["a", "b", "c"]
    with model.session():
        x = model.tensor(X)
        np.testing.assert_allclose(model.probabilities(x), forest.predict_proba(X))
        assert model.classes[model.labels(x)].tolist() == forest.predict(X).tolist()
        np.testing.assert_allclose(model.logits(x).softmax(1), forest.predict_proba(X), atol=1e-12)
        with pytest.raises(ModelError, match=r"no adapter knows its inside \(layers 0\)"):
            model.activations(x, ["0"])
    with pytest.raises(AdapterError, match="needs gradients, and RandomForestClassifier gives no"):
        extract_patterns(forest, max_iter=1)


def test_a_forest_fitted_on_named_columns_and_flat_rows():
    """Column names raise no warning per query, and images are flattened for flat features."""
    import pandas as pd

    forest = RandomForestClassifier(5, random_state=0)
    forest.fit(pd.DataFrame(X, columns=list("abcd")), y)
    model = adapt(forest, input_shape=(1, 2, 2))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        expected = forest.predict_proba(X)
    np.testing.assert_allclose(model.probabilities(model.tensor(X)), expected)


def test_a_classifier_without_predict_proba():
    """LinearSVC offers labels alone; its probabilities are 0 and 1."""
    svc = LinearSVC().fit(X, y + 5)
    model = adapt(svc, input_shape=(4,))
    assert model.capabilities == {"labels"}
    expected = np.eye(3)[svc.predict(X) - 5]
    np.testing.assert_array_equal(model.probabilities(model.tensor(X)), expected)
    assert "no predict_proba" in model.problems["probabilities"]


class Odd(ClassifierMixin, BaseEstimator):
    """A classifier that answers as a test tells it."""

    def __init__(self, answer=None):
        self.answer = answer
        self.classes_ = np.array([0, 1])

    def predict_proba(self, X):
        return self.answer(len(X))

    predict = predict_proba


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda n: np.full((n, 2), np.nan), "with NaN or infinity"),
        (lambda n: np.full((n, 3), 1 / 3), r"finite numbers of shape \(5, 2\), got shape \(5, 3\)"),
        (
            lambda n: 1 / 0,
            r"predict_proba failed on inputs of shape \(5, 4\), values from -1\.3 to 0\.905: Zero",
        ),
        (lambda n: np.full((n, 2), [-0.5, 1.5]), r"between 0 and 1, got -0\.5 to 1\.5"),
    ],
)
def test_probabilities_that_are_none(answer, match):
    """NaN, another width and an exception are ModelErrors that name estimator and method."""
    with pytest.raises(ModelError, match=match):
        ask(ProbabilityModel(Odd(answer), input_shape=(4,)))


@pytest.mark.parametrize(
    "answer, match",
    [
        (
            lambda n: np.full(n, 7),
            r"Odd.predict must give one of \[0, 1\] per row, got \[7, 7, 7\]",
        ),
        (lambda n: np.zeros((n, 2)), r"must give one of \[0, 1\] per row"),
        (lambda n: np.zeros(n + 1), "must give 30 labels, got 31"),
    ],
)
def test_predictions_that_are_no_labels(answer, match):
    """A predicted label that is no class is a ModelError, not a KeyError."""
    model = ProbabilityModel(Odd(answer), input_shape=(4,))
    with pytest.raises(ModelError, match=match):
        model.labels(model.tensor(X))


def test_several_outputs_are_refused():
    """A multi-output classifier has no single set of classes."""
    several = MultiOutputClassifier(RandomForestClassifier(2)).fit(X, np.stack([y, y > 0], 1))
    forest = RandomForestClassifier(2).fit(X, np.stack([y, y > 0], 1))
    for estimator in (several, forest):
        with pytest.raises(ModelError, match="no single-output classifier"):
            adapt(estimator, input_shape=(4,))


# ---------------------------------------------------------------------------------- tiles


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).random((40, 1, 8, 8)).astype(np.float32)


def answers(model, images):
    """Logits, gradients and activations, as numpy."""
    x = model.tensor(images).requires_grad_()
    logits = model.logits(x)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), x)
    layer = model.activations(x, ["0"])["0"]
    return [logits.detach().numpy(), gradient.numpy(), layer.detach().numpy()]


TILED = {
    "fc": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 10)),
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(1, 7, 3), nn.BatchNorm2d(7), nn.ReLU(), nn.Flatten(), nn.Linear(7 * 36, 10)
    ),
}


@pytest.mark.parametrize("kind", TILED)
@pytest.mark.parametrize("size", [1, 7, 16, 33])
def test_tiles_give_the_same_bits(kind, size, images):
    """Any split and any order of the rows gives the same bits: logits, gradients, activations."""
    model = TiledModel(TorchModel(TILED[kind](), input_shape=(1, 8, 8)))
    order = np.random.default_rng(size).permutation(len(images))
    with model.session():
        assert model.stride in (1, 2, 4, 8)
        whole = answers(model, images)
        parts = [
            answers(model, images[order[first : first + size]])
            for first in range(0, len(images), size)
        ]
        for place, expected in enumerate(whole):
            ours = np.concatenate([part[place] for part in parts])
            np.testing.assert_array_equal(ours, expected[order])


@pytest.mark.parametrize("kind", TILED)
def test_tiles_give_the_models_answers(kind, images):
    """Tiling changes rounding only: labels are the same, probabilities within 1e-5."""
    plain = TorchModel(TILED[kind](), input_shape=(1, 8, 8))
    tiled = TiledModel(plain)
    with tiled.session(), torch.no_grad():
        x = plain.tensor(images)
        torch.testing.assert_close(tiled.probabilities(x), plain.probabilities(x))
        assert torch.equal(tiled.labels(x), plain.labels(x))


def test_the_stride_is_found_by_trial():
    """A module whose answer depends on the place in blocks of four rows needs a stride of 4."""

    class Placed(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1e-6 * (torch.arange(len(x)) % 4)[:, None]

    class Hopeless(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1e-6 * torch.arange(len(x))[:, None]

    model = TiledModel(TorchModel(Placed(4, 3), input_shape=(4,)))
    with model.session(), torch.no_grad():
        assert model.stride == 4
        x = model.tensor(X)
        assert torch.equal(model.logits(x).flip(0), model.logits(x.flip(0)))
    threads = torch.get_num_threads()
    hopeless = TiledModel(TorchModel(Hopeless(4, 3), input_shape=(4,)))
    match = "deterministic=True cannot be kept here"
    with pytest.raises(ModelError, match=match), hopeless.session():
        pass
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("fails", [False, True])
def test_threads_are_put_back(fails):
    """One thread inside a session; as many as before outside, also after an exception."""
    threads, deterministic = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(2)
    try:
        model = TiledModel(model_of(nn.Linear(4, 3)))
        with contextlib.suppress(ZeroDivisionError), model.session():
            assert torch.get_num_threads() == 1
            if fails:
                raise ZeroDivisionError
        assert torch.get_num_threads() == 2
        assert torch.backends.cudnn.deterministic == deterministic
    finally:
        torch.set_num_threads(threads)


def test_a_tiled_model_is_a_model_and_can_be_copied():
    """It offers what the model offers, and copies and pickles without endless recursion."""
    model = TiledModel(model_of(nn.Linear(4, 3)))
    assert isinstance(model, Model)
    for twin in (copy.copy(model), pickle.loads(pickle.dumps(model))):
        assert twin.n_units == 3
    with pytest.raises(AttributeError, match="nonsense"):
        _ = model.nonsense
