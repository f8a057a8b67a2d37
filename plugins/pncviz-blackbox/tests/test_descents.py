"""NES and SPSA: against plain loops, and against gradient descent, whose pattern they near."""

import blackbox_reference as plain
import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from pncviz import AdversarialExampleGenerator, extract_patterns, load_dataset
from pncviz.builtin.attacks import GradientDescent
from pncviz.exceptions import AdapterError, ModelError, ParameterError, PatternWarning
from pncviz.models import TorchModel
from pncviz.specs import Stop, Target
from pncviz.testing import check_attack
from pncviz_blackbox import NES, SPSA

CODES = [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    "attack",
    [
        NES(),
        NES(antithetic=False, sigma=0.1),
        SPSA(),
    ],
)
def test_contract(attack):
    """Everything that pncviz asks of an attack holds."""
    check_attack(attack)


# ------------------------------------------------------------------------ plain loops


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"antithetic": False},
        {"momentum": 0.8, "loss": "squared_error"},
        {"step": "sign", "learning_rate": 0.1, "epsilon": 0.25},
        {"clip": (0.0, 1.0), "learning_rate": 3.0},
    ],
)
def test_nes_is_the_plain_loop(params, targeted):
    """NES takes the steps that a loop over directions and values takes."""
    net, start = plain.tanh_net(5), plain.images((5,), n=3, low=-0.5, high=1.5)
    result = plain.run(
        NES(n_samples=20, sigma=0.2, **params), net, start, CODES[:3], targeted=targeted,
        stop=Stop(max_iter=6),
    )  # fmt: skip
    given = {"learning_rate": 1.0, "step": "plain", "antithetic": True} | params
    rate, step, antithetic = (given.pop(n) for n in ("learning_rate", "step", "antithetic"))
    for row, rng in enumerate(plain.streams(3)):
        draw = plain.directions("gaussian", rng, 10 if antithetic else 20, 5)
        want = plain.descent_one(
            net, start[row], CODES[row], draw, n_steps=6, rate=lambda _: rate,
            width=lambda _: 0.2, sign=step == "sign", antithetic=antithetic, targeted=targeted,
            **given,
        )  # fmt: skip
        np.testing.assert_allclose(result.adversarial[row], want, rtol=0, atol=2e-5)
        wanted = plain.loss_one(
            net, want, CODES[row], targeted=targeted, loss=given.get("loss", "cross_entropy")
        )
        assert result.loss[row] == pytest.approx(wanted, abs=1e-4)
    assert (result.n_queries == 6 * 20 + 1).all()


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("stability", [None, 7.0])
def test_spsa_has_spalls_gains(targeted, stability):
    """SPSA's steps and widths fall as a / (k + 1 + A)^.602 and c / (k + 1)^.101."""
    net, start = plain.tanh_net(5), plain.images((5,), n=3)
    result = plain.run(
        SPSA(learning_rate=2.0, n_samples=4, sigma=0.3, stability=stability), net, start,
        CODES[:3], targeted=targeted, stop=Stop(max_iter=30),
    )  # fmt: skip
    behind = 3.0 if stability is None else stability
    a = 2.0 * (1 + behind) ** 0.602
    for row, rng in enumerate(plain.streams(3)):
        want = plain.descent_one(
            net, start[row], CODES[row], plain.directions("signs", rng, 2, 5), n_steps=30,
            rate=lambda k: a / (k + 1 + behind) ** 0.602, width=lambda k: 0.3 / (k + 1) ** 0.101,
            targeted=targeted,
        )  # fmt: skip
        np.testing.assert_allclose(result.adversarial[row], want, rtol=0, atol=2e-5)


# ------------------------------------------------------- what it converges to, and how


def _patterns(net, d, n, attack, max_iter):
    """Give patterns from zero of the first unit: n rows, each by its own generator."""
    zeros = torch.zeros(n, d, dtype=torch.float64)
    return plain.run(attack, net, zeros, [0] * n, stop=Stop(max_iter=max_iter)).adversarial.numpy()


@pytest.mark.parametrize("d", [4, 20])
@pytest.mark.parametrize("make", [NES, lambda **k: SPSA(alpha=0, **k)])
def test_pattern_of_a_linear_model_converges(make, d):
    """A linear model's pattern nears gradient descent's: error ~ queries^-1/2, correlation to 1."""
    net = plain.linear(np.random.default_rng(d).normal(size=(3, d)))
    model = TorchModel(net, input_shape=(d,), output="logits")
    with model.session():
        white = GradientDescent().run(
            model, torch.zeros(1, d, dtype=torch.float64), Target(codes=torch.tensor([0])),
            Stop(max_iter=5), [],
        ).adversarial.numpy()  # fmt: skip
    counts, errors, r = np.array([32, 128, 512]), [], []
    for n_samples in counts:
        found = _patterns(net, d, 20, make(n_samples=int(n_samples), sigma=0.01), 5)
        errors.append(np.sqrt((((found - white) / np.linalg.norm(white)) ** 2).sum(axis=1).mean()))
        r.append(np.mean([np.corrcoef(row, white[0])[0, 1] for row in found]))
    # Of 20 rows and few effective directions, a root mean square is known to some 15 %.
    assert np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(-0.5, abs=0.15)
    # So 1 - r, which is the square of the error, falls with the queries themselves.
    assert np.polyfit(np.log(counts), np.log(1 - np.array(r)), 1)[0] == pytest.approx(-1, abs=0.3)
    assert r[-1] > 0.95


def test_pattern_of_a_classifier_beside_its_gradient_descent():
    """Of a logistic regression on digits, the pattern from questions is that from gradients."""
    classifier = plain.digits_classifier()
    net = plain.linear(classifier.coef_, classifier.intercept_)
    settings = {"image_shape": (8, 8), "max_iter": 10, "random_state": 0}
    # By name: another plugin may make a network of it.
    found = extract_patterns(
        classifier, attack=NES(n_samples=2000), adapter="probabilities", **settings
    )
    white = extract_patterns(net, input_shape=(1, 8, 8), classes=np.arange(10), **settings)
    for label in range(10):
        a, b = (p["pattern"].sel(label=label).values.ravel() for p in (found, white))
        assert np.corrcoef(a, b)[0, 1] > 0.95
    assert found["succeeded"].all()
    assert (found["n_queries"] == 10 * 2000 + 1).all()


# ------------------------------------------------------------------------- stop rules


@pytest.mark.parametrize("attack", [NES(n_samples=11), NES(n_samples=11, antithetic=False)])
@pytest.mark.parametrize("ruled", [True, False])
def test_budget_is_used_but_never_exceeded(attack, ruled):
    """With a limit, as many whole steps are taken as it allows: one more would break it."""
    net, start = plain.tanh_net(5), plain.images((5,), n=2)
    per_step = 11 if not attack.antithetic else 10
    for most in (1, per_step, per_step + 1, 2 * per_step + 1, 2 * per_step + 3, 77):
        stop = Stop(max_queries=most, max_loss=-1.0 if ruled else None)
        result = plain.run(attack, net, start, [0, 1], stop=stop)
        steps = (most - 1) // (per_step + ruled)
        assert result.n_iter.tolist() == [steps, steps]
        assert (result.n_queries == 1 + steps * (per_step + ruled)).all()
        assert (result.stop_reason == "max_queries").all()


def test_rows_stop_by_their_own_rule():
    """Each row leaves at the first step that meets the rule, and asks no more from then on."""
    net, start = plain.tanh_net(5), plain.images((5,), low=-2, high=2, n=6)
    stop = Stop(max_iter=60, min_confidence=0.5)
    result = plain.run(NES(n_samples=40), net, start, CODES, stop=stop)
    assert len(set(result.n_iter.tolist())) > 2
    done = result.stop_reason == "min_confidence"
    assert done.sum() >= 4
    assert (result.confidence[done] >= 0.5).all()
    assert (result.n_queries == result.n_iter * 41 + 1).all()
    for row in np.flatnonzero(done & (result.n_iter > 0)):
        one = Stop(max_iter=int(result.n_iter[row]) - 1)
        rngs = [plain.streams(6)[row]]
        before = plain.run(
            NES(n_samples=40), net, start[row : row + 1], [CODES[row]], rngs=rngs, stop=one
        )
        assert before.confidence[0] < 0.5
    near = plain.run(NES(), net, start, CODES, stop=Stop(max_loss=0.7, max_iter=80))
    assert (near.loss[near.stop_reason == "max_loss"] <= 0.7).all()
    assert (near.stop_reason == "max_loss").any()


def test_start_that_is_good_already_asks_once():
    """What meets the rule at once is left as it is, for one question."""
    result = plain.run(
        SPSA(), plain.tanh_net(5), plain.images((5,), n=2), [0, 1], stop=Stop(max_loss=50)
    )
    assert torch.equal(result.adversarial, plain.images((5,), n=2))
    assert result.n_queries.tolist() == [1, 1]
    assert result.stop_reason.tolist() == ["max_loss", "max_loss"]


def test_rows_that_leave_every_bound_say_so():
    """A row that would pass a million stays where it was; the other goes on."""
    net = plain.linear([[0.0, 0.0], [1.0, 1.0]], [10.0, 0.0])
    start = torch.tensor([[0.0, 0.0], [40.0, 40.0]])
    result = plain.run(NES(learning_rate=3e6), net, start, [1, 1], stop=Stop(max_iter=3))
    assert result.stop_reason[0] == "diverged"
    assert torch.equal(result.adversarial[0], start[0].double())
    assert np.isfinite(result.loss).all()


# --------------------------------------------------- models that are harder to ask about


def test_trees_need_wide_differences():
    """Between a tree's thresholds nothing differs; with a larger sigma its loss is descended."""
    data = load_dataset("digits")
    X = data.X.reshape(len(data.X), -1)
    tree = DecisionTreeClassifier(random_state=0, max_depth=6).fit(X, data.y)
    settings = {"image_shape": (8, 8), "max_iter": 20, "random_state": 0, "labels": [0, 1, 4]}
    # Noise: zero itself lies just below many a threshold.
    with pytest.warns(PatternWarning, match="vanished_gradient"):
        fine = extract_patterns(tree, strategy="noise", attack=NES(sigma=1e-9), **settings)
    assert (fine["stop_reason"] == "vanished_gradient").all()
    assert (fine["n_iter"] == 0).all()
    assert (fine["n_queries"] == 51).all()
    wide = NES(sigma=0.3, loss="squared_error", learning_rate=0.5)
    coarse = extract_patterns(tree, strategy="noise", attack=wide, **settings)
    assert coarse["succeeded"].all()
    assert (coarse["n_iter"] > 1).all()


class _Moody(LogisticRegression):
    """Answers NaN from the given number of questions on."""

    def __init__(self, n_good=0):
        super().__init__()
        self.n_good = n_good

    def predict_proba(self, X):
        self.n_asked_ = getattr(self, "n_asked_", 0) + len(X)
        answer = super().predict_proba(X)
        return answer if self.n_asked_ <= self.n_good else answer * np.nan


@pytest.mark.parametrize("attack", ["nes", "spsa", "square"])
@pytest.mark.parametrize("n_good", [0, 300])
def test_nan_in_the_middle_is_an_error(attack, n_good):
    """A classifier that gives NaN, at once or later, is named; no pattern hides it."""
    data = load_dataset("tiling")
    classifier = _Moody(n_good).fit(data.X.reshape(4, -1), data.y)
    with pytest.raises(ModelError, match=r"_Moody\.predict_proba must give finite numbers"):
        extract_patterns(classifier, attack=attack, image_shape=(6, 6), min_confidence=0.999999)


@pytest.mark.parametrize("attack", ["nes", "spsa", "square"])
def test_labels_alone_are_not_enough(attack):
    """Of a classifier without predict_proba, the error says what is missing, and what would do."""
    data = load_dataset("tiling")
    classifier = LinearSVC().fit(data.X.reshape(4, -1), data.y)
    with pytest.raises(
        AdapterError, match=r"needs probabilities, and LinearSVC has no predict_proba.*boundary"
    ):
        extract_patterns(classifier, attack=attack, image_shape=(6, 6), adapter="probabilities")


def test_examples_of_data():
    """On digits, NES within a box changes most labels, and stays within box and bounds."""
    data, classifier = load_dataset("digits"), plain.digits_classifier()
    X, y = data.X_test.reshape(len(data.X_test), -1)[:30], data.y_test[:30]
    attack = NES(n_samples=200, epsilon=0.25, clip=(0, 1), step="sign", learning_rate=0.05)
    maker = AdversarialExampleGenerator(
        FrozenEstimator(classifier),
        attack=attack,
        min_confidence=0.6,
        max_queries=3000,
        random_state=0,
    ).fit(X, y)
    found = maker.generate(X, y)
    assert maker.examples_["succeeded"].mean() > 0.8
    assert np.abs(found - X).max() <= 0.25 + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1
    assert maker.examples_["n_queries"].max() <= 6000


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (NES(n_samples=1), "`n_samples` must be an integer from 2 on, got 1"),
        (NES(sigma=-1), "`sigma` must be a positive number, got -1"),
        (NES(learning_rate=0), "`learning_rate` must be a positive number, got 0"),
        (NES(momentum=1), r"`momentum` must lie in \[0, 1\), got 1"),
        (NES(step="long"), "`step` must be one of plain, sign, got 'long'"),
        (NES(loss="margin"), "`loss` must be one of cross_entropy, squared_error, got 'margin'"),
        (NES(antithetic=1), "`antithetic` must be True or False, got 1"),
        (NES(epsilon=0), "`epsilon` must be None or a positive number, got 0"),
        (NES(clip=(1, 0)), "`clip` must be None or .low, high."),
        (SPSA(n_samples=0), "`n_samples` must be an integer from 2 on, got 0"),
        (SPSA(stability=-1), "`stability` must be None or 0 or a positive number, got -1"),
        (SPSA(alpha="x"), "`alpha` must be 0 or a positive number, got 'x'"),
        (SPSA(gamma=-0.1), "`gamma` must be 0 or a positive number, got -0.1"),
    ],
)
def test_parameters(attack, message):
    """A bad parameter is named, with its value."""
    with pytest.raises(ParameterError, match=message):
        attack.validate()
