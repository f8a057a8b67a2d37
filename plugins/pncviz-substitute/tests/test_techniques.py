"""Who fools whom, counted by hand; and votes."""

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from substitute_reference import linear

from pncviz import AdversarialExampleGenerator, transfer_matrix
from pncviz.exceptions import LabelError, ParameterError
from pncviz.inference import proportion_interval
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
        MajorityVote([])
    with pytest.raises(LabelError, match="must know the same classes"):
        MajorityVote([DummyClassifier().fit(X, y) for y in ([0, 1], [0, 2])])


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
