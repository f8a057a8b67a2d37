"""Who fools whom, counted by hand; and votes."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted
from substitute_reference import linear

from pncviz import AdversarialExampleGenerator, transfer_matrix
from pncviz.exceptions import LabelError, ModelError, ParameterError
from pncviz.inference import proportion_interval
from pncviz.models import adapt
from pncviz_substitute import DecisionTree, MajorityVote, Source, SVMNormal, technique_transfer

RATES = (
    *("error_rate", "error_lower", "error_upper"),
    *("transfer_rate", "transfer_lower", "transfer_upper"),
)


def _data(n=80):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return (rng.normal(size=(n, 4)) + 1.5 * np.eye(4)[y]).astype(np.float32), y


@pytest.fixture(scope="module")
def models():
    """Fit one model of each of three kinds, and make an ensemble of two."""
    X, y = _data()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = linear(np.eye(4)[:3])
    tree = DecisionTreeClassifier(max_depth=4, random_state=0).fit(X, y)
    knn = KNeighborsClassifier(3).fit(X, y)
    return {"net": net, "tree": tree, "knn": knn, "vote": MajorityVote([tree, knn, knn])}


def _sources(models):
    return {
        "net": Source(models["net"], SVMNormal(epsilon=2.0)),
        "tree": Source(models["tree"], DecisionTree()),
        "knn": Source(models["knn"], "gradient_descent", adapter="soft_knn"),
    }


def _told(model, X):
    if isinstance(model, torch.nn.Module):
        with torch.no_grad():
            return model(torch.from_numpy(X)).argmax(dim=1).numpy()
    return model.predict(X)


def test_rates_are_counts(models):
    """Error and transfer rates, lengths and intervals are those of examples made one by one."""
    X, y = _data()
    found = technique_transfer(_sources(models), models, X, y, max_iter=20, random_state=0)
    for name, source in _sources(models).items():
        model = source.estimator
        made = AdversarialExampleGenerator(
            model if isinstance(model, torch.nn.Module) else FrozenEstimator(model),
            attack=source.attack,
            adapter=source.adapter,
            max_iter=20,
            random_state=0,
        ).fit_transform(X, y)
        change = (made.astype(np.float64) - X).reshape(len(X), -1)
        row = found.sel(source=name)
        assert row["l2"] == pytest.approx(np.linalg.norm(change, axis=1).mean())
        assert row["linf"] == pytest.approx(np.abs(change).max(axis=1).mean())
        for target, other in models.items():
            wrong, right = _told(other, made) != y, _told(other, X) == y
            cell = {word: float(row[word].sel(target=target)) for word in RATES}
            assert cell["error_rate"] == pytest.approx(wrong.mean())
            assert cell["transfer_rate"] == pytest.approx(wrong[right].mean())
            assert found["clean_error"].sel(target=target) == pytest.approx(1 - right.mean())
            low, high = proportion_interval(wrong.sum(), len(X))
            ends = cell["error_lower"], cell["error_upper"]
            assert ends == pytest.approx((float(low), float(high)))
            low, high = proportion_interval(wrong[right].sum(), right.sum())
            ends = cell["transfer_lower"], cell["transfer_upper"]
            assert ends == pytest.approx((float(low), float(high)))


def test_one_attack_for_all_is_the_cores_matrix(models):
    """Where every source has the same attack, error rates are those of transfer_matrix."""
    X, y = _data()
    nets = {"a": models["net"], "b": linear(np.random.default_rng(1).normal(size=(3, 4)))}
    attack = SVMNormal(epsilon=1.0)
    core = transfer_matrix(nets, X, y, attack=attack, random_state=0)
    own = technique_transfer(
        {name: Source(net, attack) for name, net in nets.items()}, nets, X, y, random_state=0
    )
    np.testing.assert_array_equal(
        own["error_rate"].transpose("source", "target"),
        core["error_rate"].transpose("source", "target"),
    )
    np.testing.assert_array_equal(own["clean_error"], core["clean_error"])


def test_trees_fall_to_their_own_walk(models):
    """The tree's own examples fool it all, and so do the sources record their attack."""
    X, y = _data()
    found = technique_transfer(_sources(models), {"tree": models["tree"]}, X, y, max_iter=5)
    assert found["error_rate"].sel(source="tree", target="tree") == 1
    assert "SVMNormal(epsilon=2.0)" in found.attrs["parameters"]
    assert found.attrs["kind"] == "technique_transfer"


def test_votes_are_counted():
    """The class of most votes wins, the first of those that tie."""
    X, y = np.zeros((3, 2)), ["ant", "bee", "cow"]

    def says(word):
        return DummyClassifier(strategy="constant", constant=word).fit(X, y)

    vote = MajorityVote([says("cow"), says("bee"), says("cow"), says("bee"), says("ant")])
    assert vote.votes(X[:1]).tolist() == [[1, 2, 2]]
    assert vote.predict(X[:1]).tolist() == ["bee"]
    assert vote.classes_.tolist() == y
    assert MajorityVote([*vote.estimators, says("cow")]).predict(X).tolist() == ["cow"] * 3


def test_what_cannot_vote_is_refused():
    """No members, and members of other classes."""
    X = np.zeros((2, 1))
    with pytest.raises(ParameterError, match="one classifier or more, got none"):
        MajorityVote([]).fit()
    with pytest.raises(LabelError, match="must know the same classes"):
        MajorityVote([DummyClassifier().fit(X, y) for y in ([0, 1], [0, 2])]).fit()


def test_a_clone_of_a_vote_is_told():
    """A vote is cloned as scikit-learn does; what forgot is named, frozen it remembers."""
    X, y = _data()
    knn = KNeighborsClassifier(3).fit(X, y)
    vote = MajorityVote([knn, knn])
    check_is_fitted(vote)
    forgot = clone(vote)
    assert isinstance(forgot, MajorityVote)
    with pytest.raises(NotFittedError, match=r"got KNeighborsClassifier.*FrozenEstimator\("):
        forgot.predict(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(forgot)
    kept = clone(FrozenEstimator(vote))
    assert (kept.predict(X) == knn.predict(X)).all()


def test_targets_with_labels_of_their_own(models):
    """A Source among targets tells a bare module's labels, in any order, and the adapter."""
    X, y = _data()
    names = np.array(["cow", "ant", "bee"])
    net, knn = models["net"], KNeighborsClassifier(3).fit(X, names[y])
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, names[y])
    sources = {"tree": Source(tree, DecisionTree())}
    targets = {"net": Source(net, classes=names), "knn": Source(knn, adapter="soft_knn")}
    found = technique_transfer(sources, targets, X, names[y], random_state=0)
    told = _told(net, X)
    assert found["clean_error"].sel(target="net") == pytest.approx((told != y).mean())
    # The soft vote differs from the hard one here, so that the adapter matters.
    plain = technique_transfer(sources, {"knn": knn}, X, names[y], random_state=0)
    model = adapt(knn, input_shape=(4,), adapter="soft_knn")
    with model.session(), torch.no_grad():
        soft = knn.classes_[model.labels(model.tensor(X)).numpy()]
    assert found["clean_error"].sel(target="knn") == pytest.approx((soft != names[y]).mean())
    assert found["clean_error"].sel(target="knn") != plain["clean_error"].item()


def test_targets_that_cannot_be_read(models):
    """A module of more units than labels, or no model at all, is told by the target's name."""
    X, y = _data()
    sources = {"tree": Source(models["tree"], DecisionTree())}
    wide = {"wide": linear(np.ones((5, 4)))}
    with pytest.raises(ModelError, match='Target "wide": The model has 5 output units'):
        technique_transfer(sources, wide, X, np.array(["a", "b", "c"])[y])
    with pytest.raises(ModelError, match='Target "odd": No adapter fits'):
        technique_transfer(sources, {"odd": object()}, X, y)
    with pytest.raises(ParameterError, match="an `attack`, got none under 'tree'"):
        technique_transfer({"tree": Source(models["tree"])}, models, X, y)


@pytest.mark.parametrize("level", [0.0, 1.0, 1, True, "0.9", np.nan])
def test_the_level_is_within_an_open_interval(models, level):
    """A level of 0 or 1 has no interval, and is refused before anything is made."""
    with pytest.raises(ParameterError, match="`confidence_level` must be between 0 and 1, got"):
        technique_transfer(_sources(models), models, *_data(), confidence_level=level)


def test_bad_mappings(models):
    """What is no mapping, holds no Source, or lacks the classes is told."""
    X, y = _data()
    with pytest.raises(ParameterError, match="`sources` must be a mapping of at least one name"):
        technique_transfer({}, models, X, y)
    with pytest.raises(ParameterError, match="`targets` must be a mapping"):
        technique_transfer(_sources(models), [1], X, y)
    with pytest.raises(ParameterError, match=r"must hold Source.*got Linear under 'net'"):
        technique_transfer({"net": models["net"]}, models, X, y)
    with pytest.raises(LabelError, match='Target "tree": y has labels'):
        technique_transfer(_sources(models), {"tree": models["tree"]}, X, y + 1)
