"""Sums over support vectors: against three plain loops, libsvm, and at bad scales."""

import numpy as np
import pytest
import sklearn_reference as plain
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC, NuSVC

from pncviz_sklearn import kernels
from pncviz_sklearn.kernels import Kernel, class_sums

NAMES = ["rbf", "poly", "sigmoid"]


def _drawn(seed, n, counts, width, n_features, scale):
    rng = np.random.default_rng(seed)
    X = scale * rng.normal(size=(n, n_features))
    vectors = scale * rng.normal(size=(sum(counts), n_features))
    return X, vectors, rng.normal(size=(width, sum(counts)))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 7),
    counts=st.lists(st.integers(0, 6), min_size=2, max_size=4).filter(any),
    n_features=st.integers(1, 5),
    scale=st.floats(0.1, 3),
    name=st.sampled_from(NAMES),
    degree=st.integers(0, 4),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    near=st.booleans(),
    centred=st.booleans(),
)
def test_sums_are_plain_sums(
    seed, n, counts, n_features, scale, name, degree, sizes, near, centred
):
    """Whatever the sizes of blocks, classes and inputs, sums are those of three loops."""
    X, vectors, coefficients = _drawn(seed, n, counts, 2, n_features, scale)
    parameters = {"gamma": 0.3, "coef0": 0.5, "degree": degree}
    centre = torch.full((n_features,), 0.5, dtype=torch.float64) if centred else None
    # A large reach asks for distances taken one by one.
    kernel = Kernel(name, **parameters, reach=1.0 if near else 1e9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "BLOCK_ROWS", sizes[0])
        patch.setattr(kernels, "BLOCK_VECTORS", sizes[1])
        tensors = map(torch.from_numpy, (X, vectors, coefficients))
        found = class_sums(*tensors, counts, kernel, centre).numpy()
    told = plain.class_sums(
        X if centre is None else X - 0.5, vectors, coefficients, counts, name, **parameters
    )
    np.testing.assert_allclose(found, told, rtol=1e-10, atol=1e-10 * np.abs(told).max())


@pytest.mark.parametrize("reach", [1.0, 1e9], ids=["multiplied out", "one by one"])
@pytest.mark.parametrize("degree", [0, 1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_gradient(name, degree, reach, monkeypatch):
    """The written-out derivative passes torch's gradcheck, over several blocks."""
    monkeypatch.setattr(kernels, "BLOCK_ROWS", 2)
    monkeypatch.setattr(kernels, "BLOCK_VECTORS", 3)
    X, vectors, coefficients = _drawn(0, 5, (4, 0, 3), 2, 3, 0.7)
    kernel = Kernel(name, 0.4, coef0=0.2, degree=degree, reach=reach)
    vectors, coefficients = torch.from_numpy(vectors), torch.from_numpy(coefficients)
    x = torch.from_numpy(X).requires_grad_()
    sums = class_sums(x, vectors, coefficients, (4, 0, 3), kernel)
    assert sums.shape == (5, 3, 2)
    for centre in (None, vectors.mean(dim=0)):
        assert torch.autograd.gradcheck(
            lambda given, c=centre: class_sums(given, vectors, coefficients, (4, 0, 3), kernel, c),
            x,
        )


def test_constant_kernel_at_zero():
    """A power of 0 has the derivative 0, also where the base is 0."""
    x = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    vectors = torch.ones(2, 3, dtype=torch.float64)
    sums = class_sums(x, vectors, vectors[:, :2].T, (1, 1), Kernel("poly", 1.0, degree=0))
    assert sums.tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
    (gradient,) = torch.autograd.grad(sums.sum(), x)
    assert gradient.tolist() == [[0.0, 0.0, 0.0]]


def test_multiplying_out_depends_on_the_scale():
    """Near vectors are multiplied out, far ones with a narrow kernel are not."""
    assert Kernel("rbf", 0.05, reach=10.0, weight=1000.0).multiplies_out(784, torch.float64)
    assert not Kernel("rbf", 0.05, reach=1e5, weight=1000.0).multiplies_out(784, torch.float64)
    assert not Kernel("rbf", 0.05, reach=10.0, weight=1e9).multiplies_out(784, torch.float64)
    assert not Kernel("rbf", 0.05, reach=10.0, weight=1000.0).multiplies_out(784, torch.float32)


def _clusters(offset, scales, seed=0):
    """Three classes of close pairs, far from the origin and in features of unlike units."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, len(scales)))
    y = np.arange(90) % 3
    return (centres[y] + 0.3 * rng.normal(size=(90, len(scales)))) * scales + offset, y


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e7])
@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1e-4, 1.0, 1e4)])
def test_badly_scaled_data(offset, scales):
    """At any offset and scale of the features, decisions agree with libsvm to 1e-6."""
    X, y = _clusters(offset, np.array(scales))
    machine = SVC(decision_function_shape="ovo").fit(X, y)
    rng = np.random.default_rng(1)
    asked = X + 0.1 * rng.normal(size=X.shape) * np.array(scales)
    told = machine.decision_function(asked)
    _, _, labels, model = plain.answers(machine, asked)
    with model.session(), torch.no_grad():
        found = model.module[-1].decisions(model.tensor(asked)).numpy()
    np.testing.assert_allclose(found, told, rtol=0, atol=1e-6 * np.abs(told).max())
    assert labels.tolist() == machine.predict(asked).tolist()


def test_close_pairs_far_apart():
    """Where multiplying out would lose every digit, distances are still exact."""
    rng = np.random.default_rng(3)
    sites = rng.normal(size=(40, 5)) * 1e6
    X = np.vstack([sites, sites + rng.normal(size=sites.shape) * 0.5])
    y = np.repeat([0, 1], 40)
    machine = SVC(gamma=1.0, C=10.0).fit(X, y)
    asked = X + 0.2 * rng.normal(size=X.shape)
    logits, _, labels, model = plain.answers(machine, asked)
    decisions = model.module[-1].decisions
    assert not decisions.kernel.multiplies_out(5, torch.float64)
    told = machine.decision_function(asked)
    assert np.ptp(told) > 0.1
    np.testing.assert_allclose(logits[:, 1], told, rtol=0, atol=1e-6)
    assert labels.tolist() == machine.predict(asked).tolist()


@pytest.mark.parametrize("far", [1.0, 1e3, 1e8])
def test_far_inputs(far):
    """However far an input is from the vectors, multiplying out does no harm."""
    X, y = _clusters(0.0, np.ones(3))
    machine = SVC(decision_function_shape="ovo", gamma=1e-3).fit(X, y)
    asked = far * np.random.default_rng(0).normal(size=(200, 3))
    model = plain.answers(machine, asked)[-1]
    decisions = model.module[-1].decisions
    assert decisions.kernel.multiplies_out(3, torch.float64)
    with model.session(), torch.no_grad():
        found = decisions(model.tensor(asked)).numpy()
    np.testing.assert_allclose(found, machine.decision_function(asked), rtol=0, atol=1e-6)


def test_an_input_alone_and_among_others():
    """What an input gets does not depend on the others in its batch."""
    machine = plain.fitted(SVC, 4)
    X = plain.queries(40)
    together = plain.answers(machine, X)[0]
    alone = np.vstack([plain.answers(machine, row[None])[0] for row in X])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-12)


def test_ties_of_votes():
    """Of classes with as many votes the first is predicted; with break_ties the surest one."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), np.array(["c", "b", "a"])[np.arange(60) % 3]
    asked = rng.normal(size=(2000, 2))
    for break_ties in (False, True):
        machine = SVC(gamma=3.0, break_ties=break_ties).fit(X, y)
        logits, _, labels, model = plain.answers(machine, asked)
        assert labels.tolist() == machine.predict(asked).tolist()
        ties = labels != model.classes[logits.argmax(axis=1)]
        assert ties.any() != break_ties


def test_decisions_of_exactly_zero():
    """On the boundary itself, labels and logits are scikit-learn's, which differ."""
    X = np.array([[-1.0, 0.0], [1.0, 0.0]])
    machine = SVC(kernel="linear").fit(X, ["a", "b"])
    asked = np.array([[0.0, 5.0]])
    assert machine.decision_function(asked)[0] == 0
    assert plain.answers(machine, asked)[2].tolist() == machine.predict(asked).tolist() == ["b"]
    corners = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    machine = SVC(kernel="linear", C=10.0, decision_function_shape="ovo").fit(corners, [0, 1, 2])
    asked = np.array([[0.0, -1.0], [0.0, 0.5]])
    assert (machine.decision_function(asked)[:, 0] == 0).all()
    logits, _, labels, _ = plain.answers(machine, asked)
    assert labels.tolist() == machine.predict(asked).tolist()
    machine.decision_function_shape = "ovr"
    np.testing.assert_allclose(logits, machine.decision_function(asked), rtol=1e-9)


def test_sparse_training_data():
    """A machine fitted on sparse samples is made dense."""
    from scipy.sparse import csr_array

    X, y = plain.digits(4)
    asked = plain.queries(100)
    for machine in (SVC(), NuSVC(kernel="poly", nu=0.1), SVC(kernel="linear")):
        machine.fit(csr_array(X), y)
        logits, _, labels, _ = plain.answers(machine, asked)
        np.testing.assert_allclose(logits, machine.decision_function(csr_array(asked)), rtol=1e-6)
        assert labels.tolist() == machine.predict(csr_array(asked)).tolist()


def test_memory_does_not_grow_with_vectors_or_inputs(monkeypatch):
    """No tensor made on the way is larger than a block, an input or an output."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and not func.is_view:
                self.largest = max(self.largest, out.numel())
            return out

    monkeypatch.setattr(kernels, "BLOCK_ROWS", 16)
    monkeypatch.setattr(kernels, "BLOCK_VECTORS", 32)
    X, vectors, coefficients = map(torch.from_numpy, _drawn(0, 200, (150, 150), 1, 2, 1.0))
    for reach in (1.0, 1e9):
        x = X.clone().requires_grad_()
        with Watch() as watch:
            class_sums(x, vectors, coefficients, (150, 150), Kernel("rbf", 1.0, reach=reach)).sum()
        assert 16 * 32 <= watch.largest <= 600
        out = class_sums(x, vectors, coefficients, (150, 150), Kernel("rbf", 1.0, reach=reach))
        with Watch() as watch:
            torch.autograd.grad(out.sum(), x)
        assert 16 * 32 <= watch.largest <= 600
