"""Substitutes of boxes whose inside is known: what is asked, counted, and learnt."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import estimator_checks_generator
from substitute_reference import augmented, linear

from pncviz import Strategy, extract_patterns, load_dataset, make_classifier, make_strategy
from pncviz.exceptions import AdapterError, DataError, LabelError, ModelError, ParameterError
from pncviz_substitute import SubstituteClassifier
from pncviz_substitute.learning import SharesCrossEntropy


def _net(**params):
    given = {"hidden": [12], "max_epochs": 3, "optimizer": "adam", "lr": 0.02} | params
    return make_classifier("fc", **given)


class Box:
    """A linear oracle that writes down what it was shown."""

    def __init__(self, weights, shares=False):
        self.weights, self.shares, self.shown = np.asarray(weights, dtype=float), shares, []

    def __call__(self, X):
        self.shown.append(X.copy())
        scores = X @ self.weights.T
        if not self.shares:
            return scores.argmax(axis=1)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


def _box(n_classes=3, d=6, **kw):
    return Box(np.random.default_rng(0).normal(size=(n_classes, d)), **kw)


def _fit(box, X=None, **params):
    fit = {name: params.pop(name) for name in ("X_test",) if name in params}
    given = {"estimator": _net(), "classes": [0, 1, 2], "random_state": 0, "n_rounds": 3} | params
    return SubstituteClassifier(box, **given).fit(X, **fit)


def _starts(n=10, d=6):
    return np.random.default_rng(1).normal(size=(n, d)).astype(np.float32)


# -------------------------------------------------------------------- what is asked


def test_rounds_are_those_of_a_plain_loop():
    """Every input shown is the start, or the step that the round's substitute makes of one."""
    box, X = _box(), _starts()
    found = _fit(box, X, step=0.2, period=2, clip=(-1.5, 1.5), keep_rounds=True)
    expected = X.clip(-1.5, 1.5)
    for number, net in enumerate(found.rounds_[:-1], start=1):
        codes = (expected @ box.weights.T).argmax(axis=1)
        step = 0.2 * (-1) ** ((number - 1) // 2)
        new = augmented(net.module_, expected, codes, step, (-1.5, 1.5))
        expected = np.concatenate([expected, new])
    np.testing.assert_allclose(found.X_, expected, atol=1e-6)
    np.testing.assert_allclose(np.concatenate(box.shown), expected, atol=1e-6)
    assert found.history_["n_queries"].values.tolist() == [10, 20, 40, 80]
    np.testing.assert_allclose(found.history_["step"][1:], [0.2, 0.2, -0.2])


@pytest.mark.parametrize("max_queries", [1, 9, 10, 11, 20, 39, 40, 57, 200])
def test_never_one_too_many(max_queries):
    """The box is shown exactly as many as are counted, and never more than are allowed."""
    box = _box()
    found = _fit(box, _starts(), max_queries=max_queries)
    shown = sum(map(len, box.shown))
    assert shown == found.n_queries_ == min(max_queries, 80)
    assert found.history_["n_queries"][-1] == shown
    assert found.n_rounds_ == sum(n < max_queries for n in (10, 20, 40))


def test_what_does_not_fit_is_left_out_at_random():
    """Of the last round's new inputs, which ones are asked depends on the seed."""
    first, other = (
        _fit(_box(), _starts(), n_rounds=1, max_queries=14, random_state=seed).X_[10:]
        for seed in (0, 1)
    )
    whole = _fit(_box(), _starts(), n_rounds=1).X_[10:]
    assert len(first) == 4
    assert all((whole == row).all(axis=1).any() for row in first)
    assert not np.array_equal(first, whole[:4]) or not np.array_equal(other, whole[:4])


def test_a_reservoir_grows_by_a_constant():
    """After `reservoir_after` doublings, each round adds so many."""
    box = _box()
    found = _fit(box, _starts(), n_rounds=5, reservoir=7, reservoir_after=2)
    assert found.history_["n_queries"].values.tolist() == [10, 20, 40, 47, 54, 61]


def test_held_out_inputs_are_not_the_attackers():
    """`X_test` is asked once, and counted neither in `n_queries_` nor against `max_queries`."""
    box, X_test = _box(), _starts(50) + 1
    found = _fit(box, _starts(), X_test=X_test, max_queries=20)
    assert sum(map(len, box.shown)) == 50 + 20
    assert found.n_queries_ == 20
    told = (X_test @ box.weights.T).argmax(axis=1)
    assert found.history_["agreement"][-1] == pytest.approx((found.predict(X_test) == told).mean())
    assert _fit(_box(), _starts()).history_["agreement"].isnull().all()


def test_shares_of_agreement_are_those_of_the_rounds():
    """`learnt` and `foreseen` are what the kept substitutes say of the inputs shown."""
    box = _box()
    found = _fit(box, _starts(), keep_rounds=True)
    truth = (found.X_ @ box.weights.T).argmax(axis=1)
    ends = found.history_["n_queries"].values
    for number, net in enumerate(found.rounds_):
        told = net.predict(found.X_)
        learnt = (told == truth)[: ends[number]].mean()
        assert found.history_["learnt"][number] == pytest.approx(learnt)
        assert found.history_["n_seen"][number] == len(np.unique(truth[: ends[number]]))
        if number + 1 < len(ends):
            foreseen = (told == truth)[ends[number] : ends[number + 1]].mean()
            assert found.history_["foreseen"][number + 1] == pytest.approx(foreseen)


# ------------------------------------------------------------------- without samples


def test_zeros_alone_are_one_query():
    """The zero strategy's equal starts are shown once, and doubled from there."""
    box = _box()
    found = _fit(box, start="zero", input_shape=(6,), step=0.5)
    assert found.history_["n_queries"].values.tolist() == [1, 2, 4, 8]
    assert np.array_equal(found.X_[0], np.zeros(6))


def test_noise_is_the_strategys():
    """Starts have the scale asked for, are seeded, and lie within bounds."""
    noise = make_strategy("noise", scale=3.0)
    params = {"start": noise, "n_starts": 400, "n_rounds": 0, "input_shape": (6,)}
    found = _fit(_box(), **params)
    assert found.X_.shape == (400, 6)
    assert found.X_.std() == pytest.approx(3.0, rel=0.05)
    assert np.array_equal(found.X_, _fit(_box(), **params).X_)
    assert not np.array_equal(found.X_, _fit(_box(), random_state=1, **params).X_)
    clipped = _fit(_box(), clip=(0, 1), **params).X_
    assert (clipped.min(), clipped.max()) == (0, 1)


def test_strategies_see_the_image():
    """A strategy that draws images is told their shape, whatever shape the target takes."""
    shapes = []

    class Spot(Strategy):
        def start(self, shape, rng):
            shapes.append(shape)
            return rng.random(shape)

    found = _fit(_box(), start=Spot(), n_starts=5, input_shape=(6,), image_shape=(2, 3))
    assert set(shapes) == {(1, 2, 3)}
    assert found.X_.shape[1:] == (6,)


def test_the_target_knows_its_width():
    """Without samples the number of features is the target's own, also of a frozen one."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 5)), np.arange(30) % 2
    for target in (DecisionTreeClassifier().fit(X, y), FrozenEstimator(LinearSVC().fit(X, y))):
        found = SubstituteClassifier(target, estimator=_net(), n_rounds=1, random_state=0).fit()
        assert found.X_.shape == (200, 5)


# --------------------------------------------------------------------- what is learnt


def test_a_linear_box_gives_away_its_direction():
    """A linear substitute of a linear oracle of two classes ends up along its weights."""
    rng = np.random.default_rng(3)
    direction = rng.normal(size=12)
    box = Box([direction, -direction])
    found = _fit(
        box,
        rng.normal(size=(60, 12)).astype(np.float32),
        classes=[0, 1],
        estimator=_net(hidden=[], max_epochs=25, batch_size=128),
        n_rounds=4,
        step=0.5,
        period=1,
    )
    weight = found.substitute_.module_.layers[0].weight.detach().numpy()
    cosine = (weight[0] - weight[1]) @ direction
    cosine /= np.linalg.norm(weight[0] - weight[1]) * np.linalg.norm(direction)
    assert cosine > 0.97
    patterns = extract_patterns(
        found.substitute_, input_shape=(12,), classes=found.classes_, max_iter=20
    )["pattern"].values
    assert np.corrcoef(patterns[0], direction)[0, 1] > 0.97


def test_probabilities_tell_more():
    """The linear map, offsets aside, comes out of probabilities, and not of as many labels."""
    weights = np.random.default_rng(4).normal(size=(3, 5))
    X = np.random.default_rng(5).normal(size=(40, 5)).astype(np.float32)
    off = []
    for answers in ("labels", "probabilities"):
        found = _fit(
            Box(weights, shares=answers == "probabilities"),
            X,
            answers=answers,
            estimator=_net(hidden=[], max_epochs=80, lr=0.1),
            n_rounds=1,
            step=0.5,
        )
        learnt = found.substitute_.module_.layers[0].weight.detach().numpy()
        centred = [w - w.mean(axis=0) for w in (weights, learnt)]
        off.append(np.abs(centred[0] - centred[1]).max())
    assert off[1] < 0.05
    assert off[0] > 5 * off[1]


def test_the_loss_of_shares_is_the_cross_entropy():
    """Rows of the table are looked up, and one-hot shares give torch's own loss."""
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    shares = torch.rand(9, 4, generator=torch.Generator().manual_seed(1))
    shares /= shares.sum(dim=1, keepdim=True)
    rows = torch.tensor([8, 0, 3, 3, 1, 7])
    by_hand = -(shares[rows] * logits.log_softmax(1)).sum(dim=1).mean()
    assert SharesCrossEntropy(shares)(logits, rows) == pytest.approx(by_hand)
    hard = torch.nn.functional.cross_entropy(logits, rows % 4)
    assert SharesCrossEntropy(torch.eye(4))(logits, rows % 4) == pytest.approx(hard)


def test_labels_are_the_targets_own():
    """Names of classes come back, probabilities are in their order, and targets of all kinds do."""
    X, y = _starts(60), np.array(["ant", "bee", "cow"])[np.arange(60) % 3]
    X[np.arange(60), np.arange(60) % 3] += 3
    for target in (KNeighborsClassifier(3).fit(X, y), LinearSVC().fit(X, y)):
        found = SubstituteClassifier(
            target, estimator=_net(max_epochs=60), n_rounds=1, random_state=0
        ).fit(X, y)
        assert found.classes_.tolist() == ["ant", "bee", "cow"]
        assert (found.predict(X) == target.predict(X)).mean() > 0.9
        shares = found.predict_proba(X)
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
        assert (found.classes_[shares.argmax(axis=1)] == found.predict(X)).all()


def test_a_module_is_asked_as_it_is():
    """A torch module is a target, with its units named, and is left as it was."""
    module = linear(np.random.default_rng(0).normal(size=(3, 6))).train()
    before = module.weight.detach().clone()
    found = _fit(module, _starts(), classes=["a", "b", "c"], answers="probabilities")
    assert found.classes_.tolist() == ["a", "b", "c"]
    assert torch.equal(module.weight, before)
    assert module.training


def test_a_class_never_named_has_no_samples_but_a_unit():
    """A box that says two of four words: the substitute keeps four classes."""
    box = _box(n_classes=2)
    found = _fit(box, _starts(), classes=[0, 1, 2, 3])
    assert found.predict_proba(_starts()).shape == (10, 4)
    assert found.history_["n_seen"][-1] == 2


def test_a_box_with_one_word():
    """All answers alike: a net learns that, and says so."""
    found = _fit(lambda X: np.ones(len(X), dtype=int), _starts(), estimator=_net(max_epochs=30))
    assert (found.predict(_starts()) == 1).all()


def test_the_default_net_fits_images():
    """Without an estimator, and with images, it works on the shape they come in."""
    data = load_dataset("tiling")
    target = make_classifier("fc", max_epochs=60).fit(data.X, data.y)
    found = SubstituteClassifier(target, n_rounds=2, random_state=0).fit(data.X)
    assert found.substitute_.module_.layers[0].in_features == 36
    assert found.X_.shape == (16, 1, 6, 6)
    assert (found.predict(data.X) == target.predict(data.X)).all()


# ------------------------------------------------------------------ scikit-learn's ways


def test_same_seed_same_substitute():
    """The same state gives the same bits; another one does not; torch's own state is kept."""
    torch.manual_seed(0)
    state = torch.get_rng_state()
    a, b, c = (_fit(_box(), _starts(), random_state=seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    X = _starts(30)
    assert np.array_equal(a.predict_proba(X), b.predict_proba(X))
    assert not np.array_equal(a.predict_proba(X), c.predict_proba(X))
    assert a.history_.drop_attrs().identical(b.history_.drop_attrs())


def test_clones_keep_a_frozen_target():
    """A clone is unfitted and asks the same box; a fitted one survives pickling."""
    X, y = _starts(30), np.arange(30) % 3
    first = SubstituteClassifier(
        FrozenEstimator(DecisionTreeClassifier(random_state=0).fit(X, y)),
        estimator=_net(),
        n_rounds=1,
        random_state=0,
    )
    second = clone(first).fit(X)
    assert not hasattr(clone(second), "substitute_")
    again = pickle.loads(pickle.dumps(second))
    assert np.array_equal(again.predict_proba(X), first.fit(X).predict_proba(X))


def sign_of_first(X):
    """Say on which side of zero the first feature lies."""
    return (np.asarray(X).reshape(len(X), -1)[:, 0] > 0).astype(int)


#: y is not what is learnt: the target says what things are.
IGNORES_Y = dict.fromkeys(
    (
        *("check_classifiers_classes", "check_classifiers_train", "check_supervised_y_2d"),
        *("check_classifiers_regression_target", "check_supervised_y_no_nan"),
    ),
    "y is ignored; the target's answers are learnt",
)


def _checks():
    """Give scikit-learn's checks by names that every process gives them: xdist compares."""
    made = SubstituteClassifier(
        sign_of_first, classes=[0, 1], estimator=_net(), n_rounds=1, random_state=0
    )
    pairs = estimator_checks_generator(made, expected_failed_checks=IGNORES_Y, mark="xfail")
    for place, pair in enumerate(pairs):
        marked = hasattr(pair, "values")
        estimator, check = pair.values if marked else pair
        name = getattr(check, "func", check).__name__
        yield pytest.param(
            estimator, check, id=f"{place}-{name}", marks=pair.marks if marked else ()
        )


@pytest.mark.parametrize("estimator, check", list(_checks()))
def test_scikit_learns_checks(estimator, check):
    """All but those that are about y."""
    check(estimator)


# ----------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "params, words",
    [
        ({"n_rounds": -1}, "`n_rounds` must be 0 or a positive integer, got -1"),
        ({"step": 0}, "`step` must be a positive number, got 0"),
        ({"period": 0}, "`period` must be None or a positive integer, got 0"),
        ({"reservoir": 0}, "`reservoir` must be None or a positive integer, got 0"),
        ({"reservoir_after": -1}, "`reservoir_after` must be 0 or a positive"),
        ({"max_queries": 0}, "`max_queries` must be None or a positive integer, got 0"),
        ({"n_starts": 0}, "`n_starts` must be a positive integer, got 0"),
        ({"answers": "logits"}, "`answers` must be one of labels, probabilities, got 'logits'"),
        ({"clip": (1, 0)}, "`clip` must be None or \\(low, high\\)"),
        ({"classes": None}, "`classes` must be the labels that the target may give"),
    ],
)
def test_bad_parameters(params, words):
    """Each is named with its value, before the box is asked anything."""
    box = _box()
    with pytest.raises(ParameterError, match=words):
        _fit(box, _starts(), **params)
    assert box.shown == []


def test_bad_starts():
    """No width, no strategy, and strategies without starts are told."""
    with pytest.raises(ParameterError, match="`input_shape` must be the shape of one input"):
        _fit(_box())
    with pytest.raises(ParameterError, match="`input_shape` must have positive sides"):
        _fit(_box(), input_shape=(0,))
    with pytest.raises(ParameterError, match="`start` must be a name or a Strategy, got 3"):
        _fit(_box(), input_shape=(6,), start=3)

    class Own(Strategy):
        """Has no starts."""

    with pytest.raises(ParameterError, match="that has starts, got Own"):
        _fit(_box(), input_shape=(6,), start=Own())


class Mute(ClassifierMixin, BaseEstimator):
    """A classifier without shares, which no adapter of a plugin knows."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.arange(len(X)) % 3


def test_bad_targets():
    """Unfitted targets, missing probabilities and foreign answers are told."""
    X = _starts(30)
    with pytest.raises(NotFittedError, match="give FrozenEstimator\\(target\\)"):
        _fit(LogisticRegression(), X, classes=None)
    with pytest.raises(AdapterError, match="asks for probabilities, and Mute offers labels"):
        _fit(Mute().fit(X, [0, 1, 2]), X, classes=None, answers="probabilities")
    with pytest.raises(LabelError, match="must give one of \\[0, 1, 2\\] for each input, got \\[7"):
        _fit(lambda X: np.full(len(X), 7), X)
    with pytest.raises(LabelError, match="must give 30 labels, got 3"):
        _fit(lambda X: [0, 1, 2], X)
    with pytest.raises(ModelError, match="probabilities of shape \\(30, 3\\)"):
        _fit(lambda X: np.ones((len(X), 3)), X, answers="probabilities")
    with pytest.raises(LabelError, match="two or more distinct labels"):
        _fit(_box(), X, classes=[1, 1])


def test_bad_substitutes():
    """One without gradients, and one that cannot learn from shares or from one word."""
    X = _starts(30)
    with pytest.raises(ModelError, match="`estimator` must be differentiable"):
        _fit(_box(), X, estimator=KNeighborsClassifier(1))
    with pytest.raises(ParameterError, match="needs a skorch net with CrossEntropyLoss"):
        _fit(_box(shares=True), X, answers="probabilities", estimator=LogisticRegression())
    with pytest.raises(LabelError, match="\\[0, 30, 0\\] of each class"):
        _fit(lambda X: np.ones(len(X), dtype=int), X, estimator=LogisticRegression())


def test_other_shapes_are_refused():
    """What is predicted must look like what was asked about."""
    found = _fit(_box(), _starts())
    with pytest.raises(ValueError, match=r"has 5 features, but .* is expecting 6"):
        found.predict(_starts(d=5))
    images = SubstituteClassifier(
        lambda X: np.zeros(len(X), dtype=int), classes=[0, 1], estimator=_net(), n_rounds=0
    ).fit(np.zeros((3, 1, 4, 4), dtype=np.float32))
    with pytest.raises(DataError, match="shape"):
        images.predict(np.zeros((3, 1, 4, 5), dtype=np.float32))
