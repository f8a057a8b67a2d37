"""Adversarial examples of data: what comes back, and that what is said of it is so."""

import copy
import pickle
import tracemalloc
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from pncviz import (
    AdversarialExampleGenerator,
    Attack,
    AttackResult,
    load,
    make_attack,
    make_classifier,
    save,
    summary,
)
from pncviz.dataset import build_table, common_attrs, validate
from pncviz.examples.pixels import attack_on, returned, returned_dtype
from pncviz.exceptions import (
    AdapterError,
    DataError,
    LabelError,
    ParameterError,
    PluginError,
    ResultError,
)
from pncviz.synthesis import check_clip, judged, loss_gradient
from pncviz.training import Classifier


class Sign(Attack):
    """One signed gradient step; says what an attack on images says."""

    def __init__(self, epsilon=0.3, clip=None, pixel_step=None):
        self.epsilon = epsilon
        self.clip = clip
        self.pixel_step = pixel_step

    def validate(self):
        check_clip(self.clip)

    def run(self, model, start, target, stop, rngs):
        start = start if self.clip is None else start.clamp(*self.clip)
        gradient = loss_gradient(model, start, target)[2]
        x = start - self.epsilon * gradient.sign()
        x = x if self.pixel_step is None else (x / self.pixel_step).round() * self.pixel_step
        x = x if self.clip is None else x.clamp(*self.clip)
        return judged(model, x, target, n_iter=1, stop_reason="max_iter")


class Draw(Attack):
    """Add noise from each row's own stream; needs labels alone."""

    needs = frozenset({"labels"})

    def __init__(self, scale=1.0):
        self.scale = scale

    def run(self, model, start, target, stop, rngs):
        noise = np.stack([rng.normal(scale=self.scale, size=start.shape[1:]) for rng in rngs])
        x = start + torch.as_tensor(noise).to(start)
        n = len(start)
        return AttackResult(
            adversarial=x,
            n_iter=np.ones(n, dtype=np.int64),
            stop_reason=np.full(n, "changed"),
            loss=np.zeros(n),
            confidence=np.zeros(n),
        )


@pytest.fixture(scope="module")
def small(digits):
    """Two hundred test digits."""
    return digits.X_test[:200], digits.y_test[:200]


def _generator(net, **params):
    params = {"attack": Sign(), "random_state": 0} | params
    return AdversarialExampleGenerator(FrozenEstimator(net), **params)


# ------------------------------------------------------------------- scikit-learn


class Net(Classifier):
    """skorch's repr holds places in memory, and test workers must agree on the tests' names."""

    def __repr__(self):
        return "net"


def _unfitted():
    net = make_classifier("fc", hidden=[8], max_epochs=20, lr=0.3, batch_size=16)
    net.__class__ = Net
    # In float32 a batch of one rounds otherwise than a batch of all, more than the checks allow.
    return AdversarialExampleGenerator(net, max_iter=5, precision="float64", random_state=0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([_unfitted()])
def test_scikit_learn_checks(estimator, check):
    """scikit-learn's own checks hold, none of them expected to fail."""
    check(estimator)


def test_as_many_checks_as_the_other_estimators():
    """scikit-learn has at least 47 checks for it."""
    assert len(list(estimator_checks_generator(_unfitted(), legacy=True))) >= 47


def test_transform_leaves_the_estimator_as_it_is(small, digits_net):
    """examples_ is not there before a call, and a call changes no attribute."""
    generator = _generator(digits_net).fit(*small)
    with pytest.raises(AttributeError, match="no `examples_` yet; call transform"):
        _ = generator.examples_
    before = generator.__dict__.copy()
    generator.transform(small[0])
    assert generator.__dict__ == before
    assert generator.examples_.sizes["sample"] == 200


def test_pipeline(small, digits_net):
    """A classifier behind the generator learns from examples of the true classes."""
    X, y = small
    X = X.reshape(len(X), -1)
    generator = _generator(digits_net, attack=Sign(0.1))
    pipeline = make_pipeline(generator, LogisticRegression(max_iter=300)).fit(X, y)
    assert generator.examples_["label"].values.tolist() == y.tolist()
    assert pipeline.score(X, y) > 0.8
    assert "label" not in generator.examples_  # predict knows no labels


def test_clone_and_pickle(small, digits_net):
    """A clone is unfitted; a pickled one makes the same examples and holds the same results."""
    generator = _generator(digits_net).fit(*small)
    X = generator.generate(*small)
    again = pickle.loads(pickle.dumps(generator))
    assert again.examples_.identical(generator.examples_)
    np.testing.assert_array_equal(again.generate(*small), X)
    assert not hasattr(clone(generator), "estimator_")


def test_feature_names(small, digits_net):
    """Columns keep their names, in pandas too; images have none."""
    X, y = small
    flat = pd.DataFrame(X.reshape(len(X), -1)).add_prefix("p")
    generator = _generator(digits_net).fit(flat, y).set_output(transform="pandas")
    found = generator.transform(flat)
    assert found.columns.tolist() == flat.columns.tolist()
    assert (found.to_numpy() != flat.to_numpy()).any()
    with pytest.raises(DataError, match="have no feature names; flatten X"):
        _generator(digits_net).fit(X, y).get_feature_names_out()


def test_an_unfitted_net_is_fitted_on_a_clone(small):
    """The estimator given stays as it is; its clone learns, with the user's own labels."""
    X, y = small
    names = np.array([f"d{label}" for label in range(10)])[y]
    net = make_classifier("fc", hidden=[20], max_epochs=10)
    generator = AdversarialExampleGenerator(net, attack=Sign(), random_state=0)
    generator.fit_transform(X, names)
    assert not hasattr(net, "module_")
    assert set(generator.examples_["prediction"].values.tolist()) <= set(names.tolist())
    assert generator.examples_["label"].values.tolist() == names.tolist()


# ------------------------------------------------------------------------ values


@pytest.mark.parametrize("target", [None, 3])
def test_examples_are_those_of_the_formula(small, digits_net, target):
    """Every example is the one that a plain re-implementation makes of its sample alone."""
    X, y = small
    made = _generator(digits_net, attack=Sign(clip=(0, 1))).fit(X, y).generate(X, y, target)
    for x, label, one in zip(X, y, made, strict=True):
        unit = label if target is None else target
        slow = reference.sign_example(
            digits_net.module_, x, unit, epsilon=0.3, targeted=target is not None, low=0, high=1
        )
        np.testing.assert_allclose(one, slow, atol=1e-6)


def test_transform_leads_away_from_the_models_own_word(small, digits_net):
    """Without labels the model's prediction takes their place; with labels it does not."""
    X, y = small
    y = y.copy()
    predicted = digits_net.predict(X)
    y[:20] = (predicted[:20] + 1) % 10  # labels that the model denies
    generator = _generator(digits_net).fit(X, y)
    blind = generator.transform(X)
    found = generator.examples_
    assert (found["original_prediction"] == predicted).all()
    assert not found["already"].any()
    np.testing.assert_array_equal(blind, generator.generate(X, predicted))
    told = generator.generate(X, y)
    assert generator.examples_["already"].values[:20].all()
    assert (told[:20] != blind[:20]).any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16"])
@pytest.mark.parametrize("target", [None, "random", "least_likely", "runner_up", 7])
def test_flags_agree_with_predicting_again(small, digits, digits_net, dtype, target):
    """For every row, prediction, success and confidence are those of what was returned."""
    X, y = small
    net, scale = digits_net, 1
    if dtype not in ("float32", "float64"):
        X, scale = np.round(X * 255).astype(dtype), 255
        net = _scaled_net(digits_net, scale)
    generator = _generator(net, attack=Sign(0.2 * scale)).fit(X, y)
    made = generator.generate(X, y, target)
    found = generator.examples_
    assert made.dtype == X.dtype
    with torch.no_grad():
        logits = net.module_(torch.as_tensor(made.astype(np.float32)))
    share, again = logits.softmax(1).numpy(), logits.argmax(1).numpy()
    assert found["prediction"].values.tolist() == again.tolist()
    if target is None:
        wanted, mine = again != y, 1 - share[np.arange(len(y)), y]
        assert "target" not in found
    else:
        aim = found["target"].values
        wanted, mine = again == aim, share[np.arange(len(y)), aim]
    assert found["succeeded"].values.tolist() == wanted.tolist()
    np.testing.assert_allclose(found["confidence"], mine, atol=1e-5)
    change = (made.astype(np.float64) - X).reshape(len(X), -1)
    np.testing.assert_allclose(found["l2"], np.sqrt((change**2).sum(1)))
    np.testing.assert_allclose(found["linf"], np.abs(change).max(1))
    assert found["succeeded"].mean() > 0


def _scaled_net(net, scale):
    """The same net for samples that are ``scale`` times as large."""
    other = copy.deepcopy(net)
    first = next(m for m in other.module_.modules() if isinstance(m, torch.nn.Linear))
    with torch.no_grad():
        first.weight /= scale
    return other


def test_loss_is_the_cross_entropy_of_what_is_returned(small, digits_net):
    """Targeted it is that of the target; untargeted the negative one of the label."""
    X, y = small
    generator = _generator(digits_net).fit(X, y)
    for target, sign in ((None, -1), (4, 1)):
        made = generator.generate(X, y, target)
        with torch.no_grad():
            logits = digits_net.module_(torch.as_tensor(made))
        code = torch.as_tensor(y if target is None else np.full(len(y), target))
        slow = torch.nn.functional.cross_entropy(logits, code, reduction="none")
        np.testing.assert_allclose(generator.examples_["loss"], sign * slow, rtol=1e-4, atol=1e-4)


def test_targets_are_what_they_are_called(small, digits_net):
    """Runner-up is the likeliest other class, least likely the least; arrays are taken row by row.

    Random ones are never the label, and not all the same.
    """
    X, y = small
    generator = _generator(digits_net).fit(X, y)
    share = digits_net.predict_proba(X)
    others = np.where(np.eye(10, dtype=bool)[y], np.nan, share)
    targets = {}
    for aim in ("runner_up", "least_likely", "random"):
        generator.generate(X, y, aim)
        targets[aim] = generator.examples_["target"].values
    assert targets["runner_up"].tolist() == np.nanargmax(others, axis=1).tolist()
    assert targets["least_likely"].tolist() == np.nanargmin(others, axis=1).tolist()
    assert (targets["random"] != y).all()
    assert len(set(targets["random"].tolist())) == 10
    each = (y + 3) % 10
    generator.generate(X, y, each)
    assert generator.examples_["target"].values.tolist() == each.tolist()
    with_parameter = _generator(digits_net, target="least_likely").fit(X, y)
    with_parameter.transform(X)
    assert "target" in with_parameter.examples_


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batch_size_does_not_matter(small, digits_net, batch_size):
    """Random streams belong to rows: noise and random targets are the same for every batch size."""
    X, y = small
    runs = [
        _generator(digits_net, attack=Draw(), batch_size=size, target="random").fit(X, y)
        for size in (None, batch_size)
    ]
    whole, parts = (run.generate(X, y) for run in runs)
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_array_equal(runs[0].examples_["target"], runs[1].examples_["target"])
    np.testing.assert_array_equal(whole, runs[0].generate(X, y))
    assert (whole[0] - X[0] != whole[1] - X[1]).any()
    other = _generator(digits_net, attack=Draw(), random_state=1).fit(X, y).generate(X, y)
    assert (other != whole).any()


# ----------------------------------------------------------------- whole numbers


class Probe(Sign):
    """Remembers what it was told."""

    told: ClassVar = []

    def run(self, model, start, target, stop, rngs):
        self.told.append((self.clip, self.pixel_step))
        return super().run(model, start, target, stop, rngs)


def test_attacks_are_told_of_whole_numbers(small, digits_net):
    """For integers pixel_step is 1 and clip the dtype's range unless given; floats change nothing.

    The user's instance stays as it is.
    """
    X, y = small
    net = _scaled_net(digits_net, 255)
    for dtype, params, told in (
        ("uint8", {}, ((0.0, 255.0), 1)),
        ("uint8", {"clip": (10, 200), "pixel_step": 5}, ((10, 200), 5)),
        ("int8", {}, ((-128.0, 127.0), 1)),
        ("float32", {}, (None, None)),
    ):
        Probe.told.clear()
        attack = Probe(50, **params)
        generator = _generator(net, attack=attack).fit((X * 100).astype(dtype), y)
        made = generator.transform((X * 100).astype(dtype))
        assert Probe.told == [told]
        assert attack.get_params() == {"epsilon": 50, "clip": None, "pixel_step": None} | params
        if "clip" in params:
            assert made.min() >= 10
            assert made.max() <= 200
            assert (made % 5 == 0).all()


def test_what_is_rounded_away_is_not_judged(small, digits_net):
    """Of an attack that knows nothing of whole numbers, what counts is what is left of it."""
    X, y = small
    X = np.round(X * 16).astype(np.uint8)
    net = _scaled_net(digits_net, 16)
    generator = _generator(net, attack=Draw(0.1)).fit(X, y)  # rounds to no change at all
    np.testing.assert_array_equal(generator.transform(X), X)
    found = generator.examples_
    assert (found["prediction"] == found["original_prediction"]).all()
    assert not found["succeeded"].any()
    assert (found["l2"] == 0).all()
    share = net.predict_proba(X.astype(np.float32)).max(axis=1)
    np.testing.assert_allclose(found["confidence"], 1 - share, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["uint8", "int8", "uint16", "int32", "int64", "uint64"]),
    change=st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_whole_numbers_stay_valid(dtype, change, seed):
    """Whatever an attack adds: the same dtype, within its range, unchanged where nothing was added.

    Where it is within reach of float32, the nearest whole number.
    """
    dtype = np.dtype(dtype)
    info = np.iinfo(dtype)
    x = np.random.default_rng(seed).integers(info.min, info.max, (1, 4), dtype, endpoint=True)
    start = torch.as_tensor(x.astype(np.float64)).float()
    moved = start + torch.tensor([change])
    made = returned(moved, start, x, Sign(), dtype)
    assert made.dtype == dtype
    same = (moved == start).numpy()
    assert (made[same] == x[same]).all()
    exact = np.clip(np.rint(moved.double().numpy()), float(info.min), float(info.max))
    near = np.abs(exact) < 2**24
    assert (made[near].astype(np.float64) == exact[near]).all()


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    ends=st.tuples(st.floats(-1, 0), st.floats(0.01, 1)),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_the_clip_range_is_never_left(values, ends, dtype):
    """Not by a bit, also where bounds are no numbers of the model's precision."""
    x = np.array([values], dtype=dtype)
    start = torch.as_tensor(x).float().clamp(*ends)
    made = returned(start, start, x, Sign(clip=ends), np.dtype(dtype))
    assert made.dtype == dtype
    low, high = (dtype(end) for end in ends)
    assert made.min() >= low
    assert made.max() <= high


def test_float64_samples_that_stay_are_the_same_bits(small, digits_net):
    """What a float32 model leaves as it was comes back as it came, not rounded."""
    X, y = small
    X = X.astype(np.float64) + 1e-9
    made = _generator(digits_net, attack=Draw(scale=0.0)).fit(X, y).transform(X)
    np.testing.assert_array_equal(made, X)


def test_dtypes_that_come_back():
    """Half precision and truth values come back as float32, foreign byte order as native."""
    names = {"float16": "float32", "bool": "float32", ">f8": "float64", ">i2": "int16"}
    for given_name, wanted in names.items():
        assert returned_dtype(np.dtype(given_name)) == np.dtype(wanted)
    attack = Sign()
    assert attack_on(attack, np.dtype("float32")) is attack


# ---------------------------------------------------------------- bounded memory


def test_memory_is_bounded(tmp_path):
    """From a memory-mapped file to another: a small part of it is in memory, the file as before."""
    shape = (20_000, 200)  # 16 MB
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, shape)
    X[:] = np.random.default_rng(0).normal(size=shape)
    X.flush()
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    total = float(X.sum(dtype=np.float64))
    out = np.lib.format.open_memmap(tmp_path / "A.npy", "w+", np.float32, shape)
    torch.manual_seed(0)
    net = torch.nn.Linear(200, 3)
    generator = AdversarialExampleGenerator(net, attack=Sign(), batch_size=256, random_state=0)
    generator.fit(X)
    tracemalloc.start()
    assert generator.generate(X, out=out) is out
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 2
    np.testing.assert_array_equal(out[:500], generator.transform(np.array(X[:500])))
    assert float(X.sum(dtype=np.float64)) == total


class Counting(torch.nn.Module):
    """Counts the most rows that it ever saw, and runs out of memory above 40."""

    def __init__(self):
        super().__init__()
        self.linear, self.most = torch.nn.Linear(4, 3), 0

    def forward(self, x):
        if len(x) > 40:
            raise torch.OutOfMemoryError("too many rows")
        self.most = max(self.most, len(x))
        return self.linear(x)


def test_batches_shrink_when_memory_runs_out():
    """Out of memory halves the batch, and the result is that of small batches."""
    torch.manual_seed(0)
    net = Counting()
    X = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    parts = []
    for size in (300, 30):
        generator = AdversarialExampleGenerator(net, attack=Draw(), batch_size=size, random_state=0)
        parts.append(generator.fit(X).transform(X))
    np.testing.assert_array_equal(*parts)
    assert net.most <= 40


def test_dask_samples_give_the_same(small, digits_net):
    """A dask array is taken block by block, with the same examples; its NaN is found there."""
    da = pytest.importorskip("dask.array")
    X, y = small
    plain, lazy = (_generator(digits_net, attack=Draw()).fit(X, y) for _ in range(2))
    blocks = da.from_array(X, chunks=(60, 1, 4, 8))
    np.testing.assert_array_equal(plain.generate(X, y), lazy.generate(blocks, y))
    assert lazy.examples_.equals(plain.examples_)
    with pytest.raises(ValueError, match="NaN"):
        lazy.generate(da.where(blocks > 0.9, np.nan, blocks))
    net = make_classifier("fc")
    with pytest.raises(ParameterError, match="must be in FrozenEstimator when X is a dask array"):
        AdversarialExampleGenerator(net).fit(blocks, y)


def test_out_must_fit(small, digits_net):
    """`out` of another shape, dtype, or read only is refused, and says what would do."""
    X, y = small
    generator = _generator(digits_net).fit(X, y)
    locked = np.empty_like(X)
    locked.flags.writeable = False
    for out in (np.empty(3), X.astype(np.float64), locked, [[0.0]]):
        with pytest.raises(ParameterError, match=r"`out` must be an array of shape \(200, 1, 8, 8"):
            generator.generate(X, y, out=out)


# ------------------------------------------------------------------------ models


def test_black_box_models(small):
    """Attacks that need labels alone work on a LogisticRegression and on an SVM without shares."""
    X, y = small
    X = X.reshape(len(X), -1)
    for estimator in (LogisticRegression(max_iter=300), SVC()):
        fitted = estimator.fit(X, y)
        generator = AdversarialExampleGenerator(
            FrozenEstimator(fitted), attack=Draw(5.0), random_state=0
        ).fit(X, y)
        made = generator.generate(X, y)
        found = generator.examples_
        assert found["prediction"].values.tolist() == fitted.predict(made).tolist()
        assert found["succeeded"].values.tolist() == (fitted.predict(made) != y).tolist()
        assert found["succeeded"].any()
    with pytest.raises(AdapterError, match='target="runner_up" needs probabilities'):
        generator.generate(X, y, "runner_up")
    with pytest.raises(AdapterError, match=r"Sign.*needs gradients"):
        AdversarialExampleGenerator(FrozenEstimator(fitted), attack=Sign()).fit(X, y)


def test_deterministic_examples(small, digits_net):
    """With deterministic=True a batch size changes no bit."""
    X, y = (part[:40] for part in small)
    attack = make_attack("gradient_descent", learning_rate=0.1)
    runs = [
        _generator(
            digits_net, attack=attack, max_iter=5, batch_size=size, deterministic=True
        ).fit_transform(X, y)
        for size in (1, 7, 40)
    ]
    for other in runs[1:]:
        np.testing.assert_array_equal(runs[0], other)


def test_units_without_a_class():
    """A module with more units than classes: such a unit is no class, but is not the label."""
    net = torch.nn.Linear(4, 4)
    with torch.no_grad():
        net.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    X = np.zeros((3, 4), dtype=np.float32)
    generator = AdversarialExampleGenerator(net, classes=["a", "b", "c"], attack=Sign())
    generator.fit(X, ["a", "b", "c"]).generate(X, ["a", "b", "c"], "random")
    assert set(generator.examples_["target"].values.tolist()) <= {"a", "b", "c"}
    assert generator.examples_["prediction"].values.tolist() == ["unit 3"] * 3


def test_a_class_may_be_called_random():
    """Where a class is called "random", that is the class meant."""
    X = np.eye(3, dtype=np.float32)
    generator = AdversarialExampleGenerator(torch.nn.Linear(3, 2), classes=["odd", "random"])
    generator.set_params(attack=Sign(), target="random").fit(X).transform(X)
    assert generator.examples_["target"].values.tolist() == ["random"] * 3


def test_prepare_sees_units(digits_net, small):
    """An attack that prepares gets float32 samples and output units, once, and may keep them."""

    class Learner(Sign):
        def prepare(self, X, y):
            self.seen_ = (X.dtype, X.shape, X.flags.writeable, y.tolist())

        def run(self, model, start, target, stop, rngs):
            if not hasattr(self, "seen_"):
                raise RuntimeError("not prepared")
            return super().run(model, start, target, stop, rngs)

    X, y = small
    whole = (X * 255).astype(np.uint8)
    generator = _generator(digits_net, attack=Learner()).fit(whole, y)
    seen = generator._course.attack.seen_
    assert seen == (np.float32, X.shape, False, y.tolist())
    generator.transform(whole)  # told of whole numbers, and still prepared


# ------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    "params, message",
    [
        ({"attack": "fgmm"}, "Unknown attack"),
        ({"attack": 3}, "`attack` must be a name or an Attack, got 3"),
        ({"max_iter": 0}, "`max_iter` must be a positive integer, got 0"),
        ({"min_confidence": 2}, "`min_confidence` must be None or a number"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"precision": "half"}, "`precision` must be None"),
        ({"target": "nobody"}, '`target` must be None, "random", "least_likely", "runner_up", a'),
        ({"target": 77}, r"`target` .*77"),
        ({"random_state": "x"}, "`random_state` must be an integer"),
        ({"attack": Sign(clip=3)}, "`clip` must be None or"),
        ({"image_shape": (3, 3)}, "`image_shape` "),
    ],
)
def test_bad_parameters_are_named(small, digits_net, params, message):
    """Each bad parameter is refused in fit, by name."""
    with pytest.raises((ValueError, TypeError), match=message):
        _generator(digits_net, **params).fit(*small)


def test_bad_samples_and_labels(small, digits_net):
    """Unknown labels, NaN, other shapes and wrong lengths are refused before any attack."""
    X, y = small
    generator = _generator(digits_net).fit(X, y)
    hole = X.copy()
    hole[3, 0, 0, 0] = np.nan
    for call, error, message in (
        (lambda: generator.generate(X, y + 90), LabelError, r"do not have: \[90"),
        (lambda: generator.generate(X, y.astype(str)), LabelError, "Their types differ"),
        (lambda: generator.generate(X, y[:5]), LabelError, "inconsistent numbers of samples"),
        (lambda: generator.generate(X, y, [1, 2]), LabelError, "`target` must be .* 2 labels"),
        (lambda: generator.generate(X, y, "3"), LabelError, "`target` must be"),
        (lambda: generator.transform(hole), ValueError, "NaN"),
        (lambda: generator.transform(X.astype(float) * 1e300), DataError, "float32 does not"),
        (lambda: generator.transform(X.reshape(-1, 1, 4, 16)), DataError, r"shape \(1, 4, 16\)"),
        (lambda: _generator(digits_net).fit(X, y + 90), LabelError, "model does not have"),
        (lambda: _unfitted().fit(X, np.zeros(len(X))), LabelError, "one class"),
        (lambda: _unfitted().fit(X), LabelError, "requires y to be passed"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_modes_that_an_attack_lacks(small, digits_net):
    """An attack that can only be targeted, or only untargeted, says so."""

    class There(Sign):
        modes = frozenset({"targeted"})

    class Away(Sign):
        modes = frozenset({"untargeted"})

    with pytest.raises(ParameterError, match="There cannot be untargeted, only targeted; give"):
        _generator(digits_net, attack=There()).fit(*small).transform(small[0])
    with pytest.raises(ParameterError, match="Away cannot be targeted, only untargeted; leave"):
        _generator(digits_net, attack=Away(), target=1).fit(*small)


def test_faults_of_plugins_are_named(small, digits_net):
    """An attack that raises, gives another shape, or writes to its start is named."""

    class Fails(Sign):
        def run(self, model, start, target, stop, rngs):
            raise ZeroDivisionError("oh")

    class Short(Sign):
        def run(self, model, start, target, stop, rngs):
            made = super().run(model, start, target, stop, rngs)
            return AttackResult(**{**vars(made), "adversarial": made.adversarial[:1]})

    class Writes(Sign):
        def run(self, model, start, target, stop, rngs):
            start += 1
            return super().run(model, start, target, stop, rngs)

    class Unprepared(Sign):
        def prepare(self, X, y):
            X[:] = 0

    X, y = small
    before = X.copy()
    for attack, message in (
        (Fails(), "Fails .*failed in run: ZeroDivisionError: oh"),
        (Short(), "Short .*must give adversarial examples of shape"),
        (Writes(), "Writes .*changed its start in place"),
        (Unprepared(), "Unprepared .*failed in prepare: ValueError"),
    ):
        with pytest.raises(PluginError, match=message):
            _generator(digits_net, attack=attack).fit(X, y).transform(X)
    np.testing.assert_array_equal(X, before)


# ---------------------------------------------------------------------- the schema


def test_round_trip_and_summary(small, digits_net, tmp_path):
    """What is saved loads identical; the summary has a row per class and one for all."""
    X, y = small
    generator = _generator(digits_net, target="random", attack=Sign(0.4)).fit(X, y)
    generator.generate(X, y)
    found = generator.examples_
    assert load(save(found, tmp_path / "e.nc")).identical(found)
    lines = summary(found).splitlines()
    assert len(lines) == 1 + 10 + 1
    last = lines[-1].split()
    assert last[:2] == ["all", "200"]
    assert float(last[3]) == pytest.approx(float(found["succeeded"].mean()), rel=1e-3)
    assert found.attrs["random_state"] == 0
    assert '"target": "random"' in found.attrs["parameters"]
    assert '"epsilon": 0.4' in found.attrs["parameters"]


def test_the_schema_refuses_what_is_none():
    """A variable that is missing, unknown, of another length or kind is named."""
    n = 3
    good = {
        "original_prediction": [0, 1, 1],
        "prediction": [1, 1, 1],
        "succeeded": [True, False, False],
        "already": [False] * n,
        **dict.fromkeys(["confidence", "loss", "l2", "linf"], np.zeros(n)),
        "n_iter": [1] * n,
        "stop_reason": ["max_iter"] * n,
    }
    attrs = common_attrs("examples", parameters={})
    assert validate(build_table("examples", good, attrs=attrs), "examples").sizes["sample"] == n
    for change, message in (
        ({"l2": None}, "variable `l2` on .*sample.* is missing"),
        ({"l3": np.zeros(n)}, "no variable `l3`"),
        ({"l2": np.zeros(2)}, r"`l2` must be of shape \(sample: 3\), got \(2,\)"),
        ({"succeeded": [1, 0, 0]}, "`succeeded` must be of bool dtype"),
    ):
        with pytest.raises(ResultError, match=message):
            build_table("examples", good | change, attrs=attrs)
    with pytest.raises(ParameterError, match="use build_patterns"):
        build_table("patterns", {}, attrs=attrs)


# --------------------------------------------------------------------------- what a user met


@pytest.mark.parametrize("target", [None, "runner_up"])
def test_max_loss_is_for_targets(digits, digits_net, target):
    """Without a target no loss is low enough to mean anything, so it is refused, not obeyed."""
    X, y = digits.X[:20].reshape(20, -1), digits.y[:20]
    generator = AdversarialExampleGenerator(FrozenEstimator(digits_net), max_loss=0.1).fit(X, y)
    if target is None:
        with pytest.raises(ParameterError, match=r"`max_loss` needs a target, got 0.1"):
            generator.generate(X, y)
    else:
        generator.generate(X, y, target=target)
        assert (generator.examples_["loss"].values <= 0.1).mean() > 0.5


def test_a_bool_is_no_target(digits, digits_net):
    """True is not class 1."""
    generator = AdversarialExampleGenerator(FrozenEstimator(digits_net), target=True)
    X = digits.X[:20].reshape(20, -1)
    with pytest.raises(LabelError, match="`target` must be a label or a word, got True"):
        generator.fit(X, digits.y[:20]).transform(X)


class FarButRounded(Attack):
    """Claims a change that whole numbers do not hold."""

    def run(self, model, start, target, stop, rngs):
        return judged(model, start + 0.2, target, n_iter=1, stop_reason="changed")


def test_what_rounding_undoes_is_told(digits, digits_net):
    """A change that rounding takes back is not called one."""
    X = (16 * digits.X[:20].reshape(20, -1)).astype(np.uint8)
    generator = AdversarialExampleGenerator(FrozenEstimator(digits_net), attack=FarButRounded())
    labels = digits_net.predict(X.astype(np.float32))
    np.testing.assert_array_equal(generator.fit(X, labels).generate(X, labels), X)
    assert set(generator.examples_["stop_reason"].values.tolist()) == {"rounded_away"}


def test_half_precision_is_quiet(digits, digits_net):
    """Samples of float16 warn of nothing."""
    X = digits.X[:20].reshape(20, -1).astype(np.float16)
    generator = AdversarialExampleGenerator(FrozenEstimator(digits_net), max_iter=2)
    assert generator.fit_transform(X, digits.y[:20]).dtype == np.float32
