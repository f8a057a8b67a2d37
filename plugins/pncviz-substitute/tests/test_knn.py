"""Soft neighbours against a plain vote, the hard vote, and finite differences."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from substitute_reference import soft_votes

from pncviz import Stop, Target, extract_patterns, make_attack
from pncviz.exceptions import LabelError, ModelError, ParameterError
from pncviz.models import adapt
from pncviz.testing import check_adapter
from pncviz_substitute import SoftKNN


def _data(n=40, d=5):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    rng.shuffle(y)
    return rng.normal(size=(n, d)) + y[:, None], y


@pytest.mark.parametrize("n_neighbors", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_votes_are_those_of_the_formula(n_neighbors, temperature):
    """Shares are sums over the training samples, one by one."""
    X, y = _data()
    soft = SoftKNN(X, y, n_neighbors=n_neighbors, temperature=temperature)
    points = np.random.default_rng(1).normal(size=(6, 5)) * 2
    found = soft(torch.from_numpy(points)).softmax(dim=1).detach().numpy()
    expected = [soft_votes(x, X, y, n_neighbors, temperature, 3) for x in points]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("n_neighbors", [1, 3, 4, 7])
def test_a_cold_vote_is_the_hard_one(n_neighbors):
    """As the temperature falls, shares become those of the k nearest, to rounding."""
    X, y = _data()
    hard = KNeighborsClassifier(n_neighbors).fit(X, y)
    points = np.random.default_rng(2).normal(size=(50, 5)) * 2
    apart = []
    for temperature in (10.0, 0.1, 1e-5):
        soft = SoftKNN.from_estimator(hard, temperature=temperature)
        shares = soft(torch.from_numpy(points)).softmax(dim=1).detach().numpy()
        apart.append(np.abs(shares - hard.predict_proba(points)).max())
    assert apart[0] > 0.1
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 1e-6


@pytest.mark.parametrize("n_neighbors", [1, 4])
def test_gradients_are_those_of_finite_differences(n_neighbors):
    """Every partial derivative of every logit agrees with central differences."""
    X, y = _data()
    soft = SoftKNN(X, y, n_neighbors=n_neighbors, temperature=0.7)
    point = torch.from_numpy(np.random.default_rng(3).normal(size=(1, 5)))
    found = torch.autograd.functional.jacobian(soft, point)[0, :, 0].numpy()
    step, expected = 1e-5, np.zeros((3, 5))
    for place in range(5):
        nudge = torch.zeros(1, 5, dtype=torch.float64)
        nudge[0, place] = step
        ahead, behind = (soft(point + sign * nudge)[0].detach().numpy() for sign in (1, -1))
        expected[:, place] = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_far_away_it_is_finite():
    """Logits and gradients are finite where every vote underflows."""
    X, y = _data()
    for n_neighbors in (1, 3):
        point = torch.full((1, 5), 1e4, dtype=torch.float64, requires_grad=True)
        logits = SoftKNN(X, y, n_neighbors=n_neighbors, temperature=1e-3)(point)
        (gradient,) = torch.autograd.grad(logits[0, 0], point)
        assert torch.isfinite(logits).all()
        assert torch.isfinite(gradient).all()


def test_the_adapter_keeps_to_its_contract():
    """Well apart classes, with names: what pncviz asks of an adapter holds."""
    X, y = _data()
    names = np.array(["ant", "bee", "cow"])
    knn = KNeighborsClassifier(1).fit(X + 20 * y[:, None], names[y])
    check_adapter("soft_knn", knn, X=X[:12] + 20 * y[:12, None])


def test_only_its_name_calls_it():
    """A nearest-neighbour classifier is asked as it is unless the adapter is named."""
    X, y = _data()
    knn = KNeighborsClassifier(1).fit(X, y)
    assert "gradients" not in adapt(knn, input_shape=(5,)).capabilities
    assert "gradients" in adapt(knn, input_shape=(5,), adapter="soft_knn").capabilities


def test_patterns_come_of_it():
    """The zero pattern of each class leads to it."""
    X, y = _data()
    knn = KNeighborsClassifier(1).fit(X - X.mean(0), y)
    patterns = extract_patterns(knn, adapter="soft_knn", max_iter=300)
    assert patterns["succeeded"].all()


def test_an_attack_leaves_the_class():
    """The sign of the soft vote's gradient takes the hard vote elsewhere."""
    X, y = _data()
    knn = KNeighborsClassifier(1).fit(X, y)
    model = adapt(knn, input_shape=(5,), adapter="soft_knn")
    start = model.tensor(X[:8])
    target = Target(codes=torch.from_numpy(y[:8]), targeted=False)
    attack = make_attack("gradient_descent", learning_rate=0.5)
    with model.session():
        result = attack.run(model, start, target, Stop(max_iter=200, min_confidence=0.9), [])
    told = knn.predict(result.adversarial.numpy())
    assert (told != y[:8]).all()


def test_bad_neighbours_are_refused():
    """Other votes, classes without samples and too many neighbours are named."""
    X, y = _data()
    with pytest.raises(ModelError, match="weights 'distance'"):
        SoftKNN.from_estimator(KNeighborsClassifier(weights="distance").fit(X, y))
    with pytest.raises(ModelError, match="metric 'manhattan'"):
        SoftKNN.from_estimator(KNeighborsClassifier(p=1).fit(X, y))
    with pytest.raises(LabelError, match="all there"):
        SoftKNN(X, 2 * y)
    with pytest.raises(ParameterError, match="`n_neighbors` must be below"):
        SoftKNN(X, y, n_neighbors=40)
    with pytest.raises(ParameterError, match="`temperature` must be a positive number, got 0"):
        SoftKNN(X, y, temperature=0)
