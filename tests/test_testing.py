"""The checks for plugin authors pass on every built-in; each rule catches what breaks it."""

from __future__ import annotations

import itertools
import math
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch import nn

import pncviz
from pncviz import (
    AdapterSpec,
    ArchitectureSpec,
    Attack,
    AttackResult,
    AttackSpec,
    Dataset,
    DatasetSpec,
    Extraction,
    MetricSpec,
    Strategy,
    StrategySpec,
    hookimpl,
    load_dataset,
    make_attack,
    make_classifier,
    make_strategy,
)
from pncviz.builtin.metrics import pearson, pearson_pairs, pearson_rows
from pncviz.exceptions import ModelError, ParameterError
from pncviz.models import ProbabilityModel, TorchModel
from pncviz.registry import Registry, default_registry
from pncviz.specs import Stop, Target
from pncviz.synthesis import descend
from pncviz.testing import (
    check_adapter,
    check_architecture,
    check_attack,
    check_dataset,
    check_metric,
    check_strategy,
)
from pncviz.testing.subject import find

BUILTIN = Registry(discover=False)

#: These read files or the network.
NEED_FILES = {"mnist", "fashion_mnist", "idx", "image_folder", "npz"}


def fails(match):
    return pytest.raises(AssertionError, match=match)


# ---------------------------------------------------------------------------- built-ins


@pytest.mark.parametrize("name", BUILTIN.names("strategy"))
def test_builtin_strategies(name):
    """Every built-in strategy keeps its contract."""
    check_strategy(name)


@pytest.mark.parametrize("name", BUILTIN.names("attack"))
def test_builtin_attacks(name):
    """Every built-in attack keeps its contract."""
    check_attack(name)


@pytest.mark.parametrize(
    "params", [{"clip": (-1.0, 1.0)}, {"loss": "squared_error"}, {"momentum": 0.5}]
)
def test_gradient_descent_with_parameters(params):
    """The paper's attack keeps its contract clipped, with the other loss, and with momentum."""
    check_attack(make_attack("gradient_descent", **params))


@pytest.mark.parametrize("name", BUILTIN.names("architecture"))
def test_builtin_architectures(name):
    """Every built-in architecture keeps its contract."""
    check_architecture(name)


def test_architecture_parameters():
    """Parameters and another input shape reach the factory."""
    check_architecture("cnn", input_shape=(3, 6, 8), convolutions=[4], dense=[5], batch_norm=True)
    with fails(r"factory\(.*unexpected keyword argument 'depth'"):
        check_architecture("fc", depth=3)


@pytest.mark.parametrize("name", sorted(set(BUILTIN.names("dataset")) - NEED_FILES))
def test_builtin_datasets(name):
    """Every built-in dataset without files keeps its contract."""
    check_dataset(name)


@pytest.mark.parametrize("name", BUILTIN.names("metric"))
def test_builtin_metrics(name):
    """Every built-in metric keeps its contract."""
    check_metric(name)


def small_data():
    X = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    return X, np.arange(20) % 3


def small_module():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))


ESTIMATORS = {
    "torch": small_module,
    "skorch": lambda: make_classifier("fc", max_epochs=1).fit(*small_data()),
    "probabilities": lambda: LogisticRegression().fit(*small_data()),
}


@pytest.mark.parametrize("name", BUILTIN.names("adapter"))
def test_builtin_adapters(name):
    """Every built-in adapter keeps its contract."""
    check_adapter(name, ESTIMATORS[name](), X=small_data()[0])


def test_adapters_of_other_estimators():
    """Classifiers without probabilities, with text labels, and nets with unused units pass too."""
    X, y = small_data()
    check_adapter("probabilities", LinearSVC().fit(X, y), X=X)
    check_adapter("probabilities", LogisticRegression().fit(X, np.array(["a", "b", "c"])[y]), X=X)
    check_adapter("skorch", make_classifier("fc", max_epochs=1).fit(X, y * 3), X=X)


# ------------------------------------------------------------------------------- names


CHECKS = [check_strategy, check_attack, check_architecture, check_dataset, check_metric]


@pytest.mark.parametrize("check", CHECKS)
def test_unknown_name(check):
    """A name that nobody has is told with the choices."""
    with fails(r'Unknown \w+ "nosuch"\..*Choices: '):
        check("nosuch")


def test_titles_name_the_distribution():
    """Names, specs, factories and instances all lead to the distribution."""
    version = pncviz.__version__
    named, spec = find("strategy", "noise")
    assert named.title == f'strategy "noise" (pncviz {version})'
    for part in (spec, spec.factory, make_strategy("noise")):
        assert find("strategy", part)[0].title.endswith(f"oise (pncviz {version})") or (
            find("strategy", part)[0].title == named.title
        )


def test_spec_of_another_kind():
    """A spec of the wrong kind is refused by name."""
    with fails(r'attack "x" .* must be a AttackSpec'):
        check_attack(StrategySpec(name="x", factory=Good))


def test_random_states_stay():
    """A check leaves every global generator as it was."""
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002 # watched
    check_strategy("noise")
    check_attack("gradient_descent")
    check_architecture("fc", hidden=[4])
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002 # watched
    assert torch.equal(before[1], torch.get_rng_state())


# -------------------------------------------------------------------------- strategies


class Good(Strategy):
    """Keeps every rule; each broken one breaks one."""

    def start(self, shape, rng):
        return rng.normal(size=shape)


class Restless(Good):
    def __init__(self, scale=1.0):
        self.scale = scale + 1


class Invalid(Good):
    def validate(self):
        raise ParameterError("`scale` is bad")


class Unprintable(Good):
    def __repr__(self, N_CHAR_MAX=700):
        raise ValueError("no words")


class Unsettable(Good):
    def set_params(self, **params):
        raise ValueError("no")


class Unpicklable(Good):
    def __reduce__(self):
        raise TypeError("not me")


class Forgetful(Good):
    def __reduce__(self):
        return Good, ()


class NoExamples(Good):
    n_examples = 0


class Largest(Good):
    reduction = "max"


class Greedy(Good):
    def prepare(self, X, y):
        X -= X.mean()


class WrongShape(Good):
    def start(self, shape, rng):
        return np.zeros(shape[1:])


class Complex(Good):
    def start(self, shape, rng):
        return np.zeros(shape, dtype=complex)


class NaN(Good):
    def start(self, shape, rng):
        return np.full(shape, np.nan)


class OneBuffer(Good):
    buffers: dict = {}  # noqa: RUF012 # shared on purpose

    def start(self, shape, rng):
        buffer = self.buffers.setdefault(shape, np.empty(shape))
        buffer[...] = rng.normal(size=shape)
        return buffer


class Counting(Good):
    count = 0

    def start(self, shape, rng):
        self.count += 1
        return np.full(shape, self.count)


class GlobalNumpy(Good):
    def start(self, shape, rng):
        return np.random.normal(size=shape)  # noqa: NPY002 # what must be caught


class GlobalTorch(Good):
    def start(self, shape, rng):
        return torch.rand(shape).numpy()


class Quitting(Good):
    def start(self, shape, rng):
        sys.exit(3)


class Choosy(Good):
    def start(self, shape, rng):
        raise ParameterError("not this shape")


class ImagesOnly(Good):
    def start(self, shape, rng):
        if len(shape) != 3:
            raise ParameterError("images only")
        return np.zeros(shape)


class Numpyish(Good):
    def abstract(self, adversarial, start):
        return adversarial.numpy()


class Flat(Good):
    def abstract(self, adversarial, start):
        return adversarial.sum(0)


class InPlace(Good):
    def abstract(self, adversarial, start):
        return adversarial.sub_(start)


class Together(Good):
    def abstract(self, adversarial, start):
        return adversarial - adversarial.mean(0)


class NaNPattern(Good):
    def abstract(self, adversarial, start):
        return (adversarial - start) * math.nan


class Own(Good):
    """A course of its own: noise from the streams."""

    def extract(self, model, attack, targets, stop, streams):
        shape, k = model.input_shape, len(targets)
        pattern = np.stack([self.draw(streams(row, 0), shape) for row in range(k)])
        return Extraction(
            pattern=pattern,
            loss=np.ones(k),
            confidence=np.ones(k),
            n_iter=np.ones(k, dtype=np.int64),
            unit=targets,
            stop_reason=np.array(["done"] * k),
            success_rate=np.ones(k),
        )

    def draw(self, rng, shape):
        return rng.normal(size=shape)


class OwnGlobal(Own):
    def draw(self, rng, shape):
        return np.random.normal(size=shape)  # noqa: NPY002 # what must be caught


class OwnShape(Own):
    def draw(self, rng, shape):
        return np.zeros(4)


class OwnRaising(Own):
    def draw(self, rng, shape):
        raise ZeroDivisionError("oh")


class OwnRefusing(Own):
    def draw(self, rng, shape):
        raise ParameterError("no shape at all")


BROKEN_STRATEGIES = [
    (dict, r"be a pncviz\.Strategy; got dict"),
    (Restless, "failed in clone"),
    (Invalid, r"failed in validate\(\).*`scale` is bad"),
    (Unprintable, "failed in repr: ValueError: no words"),
    (Unsettable, "failed in get_params and set_params"),
    (Unpicklable, "failed in pickle: TypeError: not me"),
    (Forgetful, r"come back from pickle as Forgetful\(\); got Good\(\)"),
    (NoExamples, "positive integer `n_examples`; got 0"),
    (Largest, "`reduction`.*; got max"),
    (Greedy, r"failed in prepare\(X, y\) with read-only X.*read-only"),
    (WrongShape, r"start of shape \(1, 6, 6\); got \(6, 6\)"),
    (Complex, r"start of real numbers; got dtype\('complex128'\)"),
    (NaN, "a finite start"),
    (OneBuffer, "a new array at each start"),
    (Counting, "whatever was called before"),
    (GlobalNumpy, r"generators that it is given alone; got global \['np.random'\]"),
    (GlobalTorch, r"generators that it is given alone; got global \['torch'\]"),
    (Quitting, r"failed in start\(\(1, 6, 6\), rng\): SystemExit: 3"),
    (Choosy, "take inputs of one of the shapes"),
    (Numpyish, r"a tensor from abstract\(\); got ndarray"),
    (Flat, r"keep the shape \(4, 1, 6, 6\) in abstract\(\); got \(1, 6, 6\)"),
    (InPlace, r"not change its inputs in abstract\(\)"),
    (Together, "same patterns for batch_size 1 and 7; got a difference of"),
    (NaNPattern, "failed in an extraction .*NaN or infinity"),
    (OwnGlobal, "same bits for the same random_state"),
    (OwnShape, r"failed in an extraction from inputs of shape \(1, 6, 6\)"),
    (OwnRaising, "failed in an extraction .*ZeroDivisionError: oh"),
    (OwnRefusing, "take inputs of one of the shapes"),
]


@pytest.mark.parametrize(
    "strategy, match", BROKEN_STRATEGIES, ids=lambda value: getattr(value, "__name__", "")
)
def test_broken_strategies(strategy, match):
    """Each rule for strategies catches one that breaks it."""
    with fails(match):
        check_strategy(StrategySpec(name="broken", factory=strategy))


@pytest.mark.parametrize("strategy", [Good, ImagesOnly, Own])
def test_good_strategies(strategy):
    """A strategy with noise, one for images only, and one with a course of its own pass."""
    check_strategy(strategy())


# ----------------------------------------------------------------------------- attacks


class Walk(Attack):
    """Keeps every rule; each broken one breaks one."""

    rate = 0.5

    def run(self, model, start, target, stop, rngs):
        def step(x, gradient, state):
            return x - self.rate * gradient, state

        return self.spoil(descend(model, start, step, target, stop))

    def spoil(self, result):
        return result


class BadNeeds(Walk):
    needs = frozenset({"gradient"})


class RestlessWalk(Walk):
    def __init__(self, rate=0.5):
        self.rate = float(rate) + 1


class GreedyWalk(Walk):
    def prepare(self, X, y):
        y[:] = 0


class Raising(Walk):
    def run(self, model, start, target, stop, rngs):
        raise RuntimeError("lost")


class Nothing(Walk):
    def spoil(self, result):
        return None


class NumpyResult(Walk):
    def spoil(self, result):
        return replace(result, adversarial=result.adversarial.numpy())


class FlatResult(Walk):
    def spoil(self, result):
        return replace(result, adversarial=result.adversarial.flatten())


class NaNResult(Walk):
    def spoil(self, result):
        return replace(result, adversarial=result.adversarial * math.nan)


class ShortCount(Walk):
    def spoil(self, result):
        return replace(result, n_iter=result.n_iter[:0])


class FloatCount(Walk):
    def spoil(self, result):
        return replace(result, n_iter=result.n_iter.astype(float))


class CodedReason(Walk):
    def spoil(self, result):
        return replace(result, stop_reason=np.array([0] * len(result.n_iter)))


class EmptyReason(Walk):
    def spoil(self, result):
        return replace(result, stop_reason=np.array([""] * len(result.n_iter)))


class Overtime(Walk):
    """Runs for five iterations at least."""

    def run(self, model, start, target, stop, rngs):
        return super().run(
            model, start, target, replace(stop, max_iter=max(5, stop.max_iter)), rngs
        )


class NaNLoss(Walk):
    def spoil(self, result):
        return replace(result, loss=result.loss * np.nan)


class Boasting(Walk):
    def spoil(self, result):
        return replace(result, confidence=np.ones_like(result.confidence))


class Trampling(Walk):
    def run(self, model, start, target, stop, rngs):
        start += 1
        return super().run(model, start, target, stop, rngs)


class Learning(Walk):
    def run(self, model, start, target, stop, rngs):
        next(iter(model.module.parameters())).add_(0.01)
        return super().run(model, start, target, stop, rngs)


class Training(Walk):
    def run(self, model, start, target, stop, rngs):
        model.module.train()
        return super().run(model, start, target, stop, rngs)


class Meeting(Walk):
    """Starts every row from the rows' mean."""

    def run(self, model, start, target, stop, rngs):
        return super().run(model, start.mean(0, keepdim=True) + 0 * start, target, stop, rngs)


class Dicing(Walk):
    def run(self, model, start, target, stop, rngs):
        return super().run(model, start + torch.rand(()), target, stop, rngs)


class Tiring(Walk):
    """Slower at each call."""

    calls = 0

    def run(self, model, start, target, stop, rngs):
        self.calls += 1
        self.rate = 0.5 / self.calls
        return super().run(model, start, target, stop, rngs)


class Climbing(Walk):
    rate = -0.5


class OneWay(Walk):
    """Takes no notice of where it is to go when it is to get away."""

    def run(self, model, start, target, stop, rngs):
        found = super().run(model, start, Target(codes=target.codes), stop, rngs)
        if target.targeted:
            return found
        return replace(found, loss=-found.loss, confidence=1 - found.confidence)


class Whispering(Walk):
    """Lets a row hear of the others, below rounding."""

    def spoil(self, result):
        moved = result.adversarial + 1e-6 * result.adversarial.mean()
        return replace(result, adversarial=moved)


class Modeless(Walk):
    modes = frozenset()


class Leaving(Walk):
    def __init__(self, clip=(-0.1, 0.1)):
        self.clip = clip


class Pretending(Walk):
    """Says it needs probabilities, and takes gradients."""

    needs = frozenset({"probabilities"})


class Guessing(Attack):
    """Random search by probabilities alone: keeps every rule without gradients."""

    needs = frozenset({"probabilities"})
    modes = frozenset({"targeted"})

    def run(self, model, start, target, stop, rngs):
        rows = torch.arange(len(start))
        x, best = start.clone(), model.probabilities(start)[rows, target.codes]
        n_iter = min(stop.max_iter, (stop.max_queries or 10**9) - 1)
        for _ in range(n_iter):
            moves = np.stack([rng.normal(scale=0.3, size=model.input_shape) for rng in rngs])
            tried = x + model.tensor(moves)
            found = model.probabilities(tried)[rows, target.codes]
            better = found > best
            x[better], best = tried[better], torch.where(better, found, best)
        n = len(start)
        return AttackResult(
            adversarial=x,
            n_iter=np.full(n, n_iter),
            stop_reason=np.array(["max_iter"] * n),
            loss=-np.log(best.double().numpy()),
            confidence=best.double().numpy(),
            n_queries=self.told(n, n_iter + 1),
        )

    def told(self, n, count):
        return np.full(n, count)


class Silent(Guessing):
    """Does not say how often it asks, as it may; there is no holding it to a limit, then."""

    def told(self, n, count):
        return None


class Modest(Guessing):
    """Says that it asks less often than it does."""

    def told(self, n, count):
        return np.full(n, count - 1)


class Insatiable(Guessing):
    """Does not care for the limit."""

    def run(self, model, start, target, stop, rngs):
        return super().run(model, start, target, Stop(max_iter=stop.max_iter), rngs)


BROKEN_ATTACKS = [
    (dict, r"be a pncviz\.Attack; got dict"),
    (Modest, r"declare its queries \(186\) in `n_queries`; got 180"),
    (Insatiable, "ask at most max_queries=1 times for a row"),
    (RestlessWalk, "failed in clone"),
    (BadNeeds, r"have `needs`.*; got frozenset\(\{'gradient'\}\)"),
    (GreedyWalk, r"failed in prepare\(X, y\)"),
    (Raising, "failed in run on TorchModel: RuntimeError: lost"),
    (Nothing, "give an AttackResult; got NoneType"),
    (NumpyResult, "as a tensor; got ndarray"),
    (FlatResult, r"of shape \(6, 1, 6, 6\); got \(216,\)"),
    (NaNResult, "finite adversarial examples"),
    (ShortCount, r"`n_iter` of shape \(6,\); got \(0,\)"),
    (FloatCount, r"`n_iter` of its type; got dtype\('float64'\)"),
    (CodedReason, r"`stop_reason` of its type; got dtype\('int64'\)"),
    (EmptyReason, "a word as each `stop_reason`"),
    (Overtime, "at most max_iter=1 updates"),
    (NaNLoss, "a finite loss"),
    (Boasting, "declare as `confidence` the target's probability"),
    (Trampling, "leave its start as it is"),
    (Learning, "leave weights and training flags"),
    (Training, "leave weights and training flags"),
    (Meeting, "treat a row alone as it does together with others; got a difference"),
    (Dicing, r"generators that it is given alone; got global \['torch'\]"),
    (Tiring, "same result for the same generators"),
    (Climbing, "bring most rows nearer to their unit in 30 iterations; got . of 6"),
    (OneWay, "farther from their unit in 30 iterations"),
    (Whispering, "keep a row's bits, whatever the others, with deterministic=True"),
    (Modeless, r"have `modes`.*; got frozenset\(\)"),
    (Leaving, r"stay within clip=\(-0\.1, 0\.1\)"),
    (Pretending, "failed in run on QueriedModel"),
]


@pytest.mark.parametrize(
    "attack, match", BROKEN_ATTACKS, ids=lambda value: getattr(value, "__name__", "")
)
def test_broken_attacks(attack, match):
    """Each rule for attacks catches one that breaks it."""
    with fails(match):
        check_attack(AttackSpec(name="broken", factory=attack))


@pytest.mark.parametrize("attack", [Walk, Guessing, Silent])
def test_good_attacks(attack):
    """A gradient walk and a random search without gradients pass."""
    check_attack(attack)


# ----------------------------------------------------------------------- architectures


class Linear(nn.Module):
    """Keeps every rule; each broken one breaks one."""

    def __init__(self, *, input_shape, n_classes):
        super().__init__()
        self.layer = nn.Linear(math.prod(input_shape), n_classes)

    def forward(self, x):
        return self.spoil(self.layer(x.flatten(1)))

    def spoil(self, logits):
        return logits


class Refusing(Linear):
    def __init__(self, **params):
        raise ModelError("no shape at all")


class Crashing(Linear):
    def __init__(self, **params):
        raise ZeroDivisionError("oh")


class Pair(Linear):
    def spoil(self, logits):
        return logits, logits


class Narrow(Linear):
    def spoil(self, logits):
        return logits[:, :2]


class NotFinite(Linear):
    def spoil(self, logits):
        return logits / 0


class ShapedOnly(Linear):
    def forward(self, x):
        if x.ndim == 2 and x.shape[1] == 64:
            raise ValueError("images only")
        return super().forward(x)


class FlatDiffers(Linear):
    def forward(self, x):
        return super().forward(x) + (x.ndim == 2)


class Detached(Linear):
    def spoil(self, logits):
        return logits.detach()


class Ignoring(Linear):
    def forward(self, x):
        return super().forward(x.detach()) + 0 * x.sum()


class Centred(Linear):
    def spoil(self, logits):
        return logits - logits.mean(0)


class Softmaxed(Linear):
    def spoil(self, logits):
        return logits.softmax(1)


class LogSoftmaxed(Linear):
    def spoil(self, logits):
        return logits.log_softmax(1)


class Uncopiable(Linear):
    def __deepcopy__(self, memo):
        raise TypeError("one of a kind")


class Miscopied(Linear):
    def __deepcopy__(self, memo):
        return type(self)(input_shape=(self.layer.in_features,), n_classes=3)


class HiddenWeights(Linear):
    def __init__(self, **params):
        super().__init__(**params)
        self.offset = torch.rand(3)

    def spoil(self, logits):
        return logits + self.offset


class Unloadable(Linear):
    def __init__(self, **params):
        super().__init__(**params)
        self.register_buffer("once", torch.zeros(int(torch.randint(2, 10**6, ()))))


class Untrainable(Linear):
    def forward(self, x):
        if self.training:
            raise RuntimeError("not in training")
        return super().forward(x)


BROKEN_ARCHITECTURES = [
    (lambda **_: "net", r"a torch\.nn\.Module; got str"),
    (Refusing, "take one of the shapes"),
    (Crashing, "failed in factory.*ZeroDivisionError: oh"),
    (Pair, "one tensor of logits; got tuple"),
    (Narrow, r"logits of shape \(5, 3\); got \(5, 2\)"),
    (NotFinite, "finite floats as logits"),
    (ShapedOnly, "failed in a forward pass of flat input: ValueError: images only"),
    (FlatDiffers, "one answer for flat and shaped input"),
    (Detached, "let gradients reach the input"),
    (Ignoring, "let gradients reach the input; got none, or zeros"),
    (Centred, "answer each row alone as in a batch"),
    (Softmaxed, "give logits, not probabilities"),
    (LogSoftmaxed, "give logits, not log-probabilities"),
    (Uncopiable, "failed in copy.deepcopy: TypeError"),
    (Miscopied, "answer alike after a deep copy"),
    (HiddenWeights, "keep in its state_dict all"),
    (Unloadable, "failed in load_state_dict"),
]


@pytest.mark.parametrize(
    "factory, match", BROKEN_ARCHITECTURES, ids=lambda value: getattr(value, "__name__", "")
)
def test_broken_architectures(factory, match):
    """Each rule for architectures catches one that breaks it."""
    with fails(match):
        check_architecture(factory)


@pytest.fixture
def fresh_registry():
    """A default registry of this test's own."""
    default_registry.cache_clear()
    yield default_registry()
    default_registry.cache_clear()


def test_architecture_that_cannot_be_trained(fresh_registry):
    """A registered architecture is trained too, and the message names where it is from."""

    class Plugin:
        @hookimpl
        def pncviz_architectures(self):
            return [
                ArchitectureSpec(name="untrainable", factory=Untrainable),
                ArchitectureSpec(name="linear", factory=Linear),
            ]

    fresh_registry.register(Plugin(), "toy")
    check_architecture("linear")
    with fails(r'architecture "untrainable" \(.+\) failed in training .*not in training'):
        check_architecture("untrainable")


# ---------------------------------------------------------------------------- datasets


def corners(**changes):
    return replace(load_dataset("tiling"), **changes)


EYE = np.eye(4, dtype=np.float32)
TABLE = corners(X=EYE * 9 - 5, X_test=EYE, image_shape=None)

BROKEN_DATASETS = [
    ({"X": EYE.astype(float)}, r"`X`, a float32 ndarray; got dtype\('float64'\)"),
    ({"X_test": [[0.0]]}, "`X_test`, a float32 ndarray; got list"),
    ({"X": EYE[0]}, r"`X` of shape \(n_samples, n_features\).*; got \(4,\)"),
    ({"X": EYE[:0]}, r"`X` of shape .*; got \(0, 4\)"),
    ({"X": EYE / np.float32(np.nan)}, "finite numbers in `X`"),
    ({"X_test": EYE}, r"test samples of the shape \(1, 6, 6\); got \(4,\)"),
    ({"y": np.arange(3)}, r"`y` of shape \(4,\); got \(3,\)"),
    ({"y": [0, 1, 2, 3]}, "`y`, an ndarray; got list"),
    ({"y_test": np.array(list("abcd"))}, r"labels of one kind.*; got \['int', 'str'\]"),
    ({"y": np.array([0.5, 1, 2, 3]), "y_test": np.array([0.5, 1, 2, 3])}, r"got \['float'\]"),
    ({"class_names": ["a"] * 4}, "`class_names`, a tuple of str"),
    ({"class_names": ("a", "b")}, r"a class name for each of the 4 labels; got \('a', 'b'\)"),
    ({"image_shape": None}, "an `image_shape` for images"),
    ({"image_shape": (6, 6)}, r"`image_shape` \(channels, rows, columns\) or None; got \(6, 6\)"),
    ({"image_shape": (1, 6, 7)}, r"fits samples of shape \(1, 6, 6\); got \(1, 6, 7\)"),
    ({"X": corners().X * 255}, r"images between 0 and 1; got \(0\.0, 255\.0\)"),
]


@pytest.mark.parametrize("changes, match", BROKEN_DATASETS, ids=lambda value: str(value)[:20])
def test_broken_datasets(changes, match):
    """Each rule for datasets catches one that breaks it."""
    with fails(match):
        check_dataset(DatasetSpec(name="broken", factory=lambda: corners(**changes)))


def test_dataset_that_changes():
    """A factory that gives other data at its second call, or none, is caught."""
    calls = itertools.count()
    with fails("equal data at each call; got another X"):
        check_dataset(lambda: corners(X=np.roll(corners().X, next(calls), axis=0)))
    with fails("be a pncviz.Dataset; got tuple"):
        check_dataset(lambda: (EYE, np.arange(4)))
    with fails("failed in its factory with .*FileNotFoundError"):
        check_dataset(lambda: open("/no/such/file"))  # noqa: SIM115 # never opens


def test_good_datasets():
    """A table of any range, flat images, and text labels pass, also as a Dataset."""
    check_dataset(TABLE)
    flat = corners().X.reshape(4, -1)
    check_dataset(lambda: corners(X=flat, X_test=flat))
    check_dataset(corners(y=np.array(list("abcd")), y_test=np.array(list("abcd"))))
    assert isinstance(TABLE, Dataset)


# ----------------------------------------------------------------------------- metrics


def spec(function=pearson, **fields):
    return MetricSpec(name="broken", function=function, **fields)


def centred_in_place(a, b):
    a -= a.mean()
    return pearson(a, b)


def pairs_in_place(a, b):
    a -= a.mean(axis=1, keepdims=True)
    return pearson_pairs(a, b)


def raising(a, b):
    raise ZeroDivisionError("oh")


def refusing(a, b):
    raise ParameterError("no shape at all")


def distance(a, b):
    return float(np.linalg.norm(a - b))


BROKEN_METRICS = [
    (pearson, "be a MetricSpec or a name"),
    (spec(range=(1.0, -1.0)), r"`range` \(low, high\).*; got \(1\.0, -1\.0\)"),
    (spec(units=""), '`units`, "1" if dimensionless'),
    (spec(refusing), "take one of the shapes"),
    (spec(raising), r"failed in function\(a, b\) .*ZeroDivisionError: oh"),
    (spec(lambda a, b: 0.9 * pearson(a, b)), r"give 1\.0, the best of its range, for metric"),
    (spec(higher_is_better=False), r"give -1\.0, the best of its range"),
    (spec(lambda a, b: pearson(a, b) * min(1, abs(a.max() / b.max()))), "be symmetric"),
    (spec(range=(0.0, 1.0)), r"within its range \(0\.0, 1\.0\)"),
    (spec(lambda a, b: math.inf), r"within its range \(-1\.0, 1\.0\); got inf"),
    (spec(lambda a, b: math.nan), "never give NaN"),
    (spec(lambda a, b: pearson(a, b) if np.abs(b).max() > 1e-3 else math.nan), "never give NaN"),
    (spec(lambda a, b: np.array([pearson(a, b)])), "one number; got ndarray"),
    (spec(centred_in_place), "not change its inputs; got one changed"),
    (spec(pairwise=pairs_in_place), "not change its inputs in pairwise"),
    (spec(pairwise=lambda a, b: pearson_pairs(b, a)), r"pairwise of shape \(4, 3\); got \(3, 4\)"),
    (
        spec(pairwise=lambda a, b: 0.9 * pearson_pairs(a, b)),
        "by pairwise what it gives by function",
    ),
    (spec(pairwise=lambda a, b: raising(a, b)), "failed in pairwise"),
    (spec(paired=lambda a, b: pearson_pairs(a, b)), r"paired of shape \(4,\); got \(4, 4\)"),
    (spec(paired=lambda a, b: 0.9 * pearson_rows(a, b)), "by paired what it gives by function"),
    (spec(paired=lambda a, b: raising(a, b)), "failed in paired"),
]


@pytest.mark.parametrize("metric, match", BROKEN_METRICS)
def test_broken_metrics(metric, match):
    """Each rule for metrics catches one that breaks it."""
    with fails(match):
        check_metric(metric)


def test_good_metrics():
    """A distance, whose least is best and whose range has no end, passes."""
    check_metric(spec(distance, range=(0.0, math.inf), higher_is_better=False, units="pixel"))


# ---------------------------------------------------------------------------- adapters


class Spoilt(TorchModel):
    """A torch model; each broken one breaks one rule."""

    def astype(self, dtype):
        import copy

        return type(self)(copy.deepcopy(self.module).to(dtype), input_shape=self.input_shape)


class Renormalised(Spoilt):
    def probabilities(self, x):
        return super().probabilities(2 * x)


class FewUnits(Spoilt):
    def probabilities(self, x):
        return super().probabilities(x)[:, :2]


class NaNLogits(Spoilt):
    def logits(self, x):
        return super().logits(x) * math.nan


class FloatLabels(Spoilt):
    def labels(self, x):
        return super().labels(x).double()


class Offering(Spoilt):
    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        self.capabilities = frozenset({"everything"})


class Reshaping(Spoilt):
    def tensor(self, array):
        return super().tensor(array)[None]


class Rounding(Spoilt):
    def tensor(self, array):
        return super().tensor(array).half()


class Scaled(Spoilt):
    """Its gradient is doubled on the way back."""

    def logits(self, x):
        return super().logits(2 * x - x.detach())


class Lasting(Spoilt):
    """Puts back only while it is made."""

    made = False

    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        self.made = True

    @contextmanager
    def session(self):
        with super().session():
            yield
        if self.made:
            self.module.eval()


class Careless(Spoilt):
    """Puts back only if nothing went wrong."""

    @contextmanager
    def session(self):
        was = self.module.training
        self.module.eval()
        yield
        self.module.train(was)


class Swallowing(Spoilt):
    @contextmanager
    def session(self):
        with super().session():
            try:
                yield
            except Exception:
                return


def adapter(model=Spoilt, matches=lambda estimator: isinstance(estimator, nn.Module)):
    def adapt(estimator, *, input_shape, output="auto"):
        return model(estimator, input_shape=input_shape)

    return AdapterSpec(name="broken", matches=matches, adapt=adapt)


def training_model(estimator, *, input_shape):
    model = TorchModel(estimator.eval(), input_shape=input_shape)
    for parameter in estimator.parameters():
        parameter.requires_grad_(False)
    return model


def raising_model(estimator, *, input_shape):
    raise ZeroDivisionError("oh")


BROKEN_ADAPTERS = [
    ("text", r'Unknown adapter "text"'),
    (adapter, "be an AdapterSpec or a name"),
    (adapter(matches=lambda e: e.module), "failed in matches.*must not raise.*AttributeError"),
    (adapter(matches=lambda e: True), "match estimators of its own kind alone; got None"),
    (adapter(matches=lambda e: False), "match the estimator Sequential; got False"),
    (adapter(raising_model), r"failed in adapt\(Sequential.*ZeroDivisionError: oh"),
    (adapter(lambda e, input_shape: e), "give a Model; got Sequential"),
    (adapter(training_model), r"leave the estimator as it is in adapt\(\)"),
    (adapter(Lasting), r"put back in session\(\) what it touched; got a change"),
    (adapter(Careless), "what it touched, also after an exception"),
    (adapter(Swallowing), r"let exceptions through session\(\)"),
    (adapter(Reshaping), r"from tensor\(X\) the shape \(20, 5\); got \(1, 20, 5\)"),
    (adapter(Offering), "capabilities of .*everything"),
    (adapter(FewUnits), r"probabilities of shape \(20, 3\).*; got \(20, 2\)"),
    (adapter(NaNLogits), "finite logits"),
    (adapter(Renormalised), "probabilities that are the softmax of its logits"),
    (adapter(FloatLabels), "labels as int64 positions below 3"),
    (adapter(Scaled), "the gradient of its logits"),
]


@pytest.mark.parametrize("spec, match", BROKEN_ADAPTERS)
def test_broken_adapters(spec, match):
    """Each rule for adapters catches one that breaks it."""
    with fails(match):
        check_adapter(spec, small_module(), X=small_data()[0])


def test_adapter_of_another_precision():
    """tensor() that does not give the model's own precision is caught."""

    def adapt(estimator, *, input_shape, output="auto"):
        model = ProbabilityModel(estimator, input_shape=input_shape)
        model.tensor = lambda array: torch.as_tensor(array).half()
        return model

    odd = replace(default_registry().get("adapter", "probabilities"), adapt=adapt)
    X, y = small_data()
    with fails(r"from tensor\(X\) torch\.float64 on cpu"):
        check_adapter(odd, LogisticRegression().fit(X, y), X=X)


def test_adapter_with_classes_in_disorder():
    """Units that carry other labels than the estimator's are caught, by classes and by answers."""
    X, y = small_data()
    estimator = LogisticRegression().fit(X, y)

    class Disordered(ProbabilityModel):
        def probabilities(self, x):
            return super().probabilities(x).flip(1)

        def labels(self, x):
            return 2 - super().labels(x)

    class Renamed(ProbabilityModel):
        def __init__(self, *args, **params):
            super().__init__(*args, **params)
            self.classes = self.classes + 1

        def labels(self, x):
            return self.probabilities(x).argmax(1)

    for model, match in (
        (Renamed, r"know the estimator's classes \[0 1 2\]; got array\(\[1, 2, 3\]\)"),
        (Disordered, "call the samples what the estimator does"),
    ):
        with fails(match):
            check_adapter(adapter(model, lambda e: hasattr(e, "coef_")), estimator, X=X)
