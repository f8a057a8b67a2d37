"""What comes before the classifier: each step against scikit-learn's own transform."""

import warnings

import numpy as np
import pytest
import sklearn_reference as plain
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC

import pncviz_sklearn
from pncviz.testing import check_adapter
from pncviz_sklearn import is_known
from pncviz_sklearn.steps import STEPS

STEP_MAKERS = {
    "standard": StandardScaler,
    "standard, mean only": lambda: StandardScaler(with_std=False),
    "standard, spread only": lambda: StandardScaler(with_mean=False),
    "standard, neither": lambda: StandardScaler(with_mean=False, with_std=False),
    "robust": RobustScaler,
    "robust, centre only": lambda: RobustScaler(with_scaling=False),
    "robust, spread only": lambda: RobustScaler(with_centering=False, unit_variance=True),
    "min max": MinMaxScaler,
    "min max, range": lambda: MinMaxScaler((-2, 5)),
    "min max, clip": lambda: MinMaxScaler((-1, 2), clip=True),
    "max abs": MaxAbsScaler,
    "pca": lambda: PCA(10),
    "pca, all": PCA,
    "pca, share": lambda: PCA(0.9),
    "pca, whiten": lambda: PCA(10, whiten=True),
    "pca, randomized": lambda: PCA(5, svd_solver="randomized", random_state=0),
    "l1": lambda: Normalizer("l1"),
    "l2": lambda: Normalizer("l2"),
    "max": lambda: Normalizer("max"),
}
if "clip" in MaxAbsScaler().get_params():
    STEP_MAKERS["max abs, clip"] = lambda: MaxAbsScaler(clip=True)


@pytest.mark.parametrize("name", STEP_MAKERS)
def test_step(name):
    """A step's module gives what the step's transform gives, of zeros too."""
    step = STEP_MAKERS[name]().fit(plain.digits(4)[0])
    X = np.vstack([plain.queries(200), np.zeros((1, 64))])
    found = STEPS[type(step)].build(step)(torch.from_numpy(X)).numpy()
    told = step.transform(X)
    np.testing.assert_allclose(found, told, rtol=1e-9, atol=1e-9 * np.abs(told).max())


def test_whitening_directions_without_variance():
    """A component that nothing varies along is divided by the bound that scikit-learn sets."""
    step = PCA(2, whiten=True).fit(np.random.default_rng(0).normal(size=(20, 4)))
    step.explained_variance_[1] = 0.0
    asked = plain.queries(10, 4)
    found = STEPS[PCA].build(step)(torch.from_numpy(asked)).numpy()
    np.testing.assert_allclose(found, step.transform(asked), rtol=1e-9)


@pytest.mark.parametrize("name", STEP_MAKERS)
def test_step_in_a_pipeline(name):
    """Probabilities, labels and gradients of a pipeline are those of scikit-learn."""
    pipeline = plain.fitted(lambda: make_pipeline(STEP_MAKERS[name](), LogisticRegression()), 4)
    X = plain.queries()
    _, shares, labels, model = plain.answers(pipeline, X)
    np.testing.assert_allclose(shares, pipeline.predict_proba(X), rtol=0, atol=1e-6)
    assert labels.tolist() == pipeline.predict(X).tolist()
    worst, size = plain.gradient_error(model, X[::50])
    assert size > 1e-3
    assert worst <= 1e-6 * max(1.0, size)


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from([n for n in STEP_MAKERS if "pca" not in n]),
    seed=st.integers(0, 1000),
    n_features=st.integers(1, 6),
    exponent=st.integers(-6, 6),
)
def test_steps_of_any_scale(name, seed, n_features, exponent):
    """Whatever the number and the unit of features, constant ones too, a step is the same."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(20, n_features)) * 10.0**exponent
    X[:, 0] = 10.0**exponent
    step = STEP_MAKERS[name]().fit(X)
    asked = np.vstack([X[:5], 2 * X[5:10], 1e-3 * X[10:12]])
    found = STEPS[type(step)].build(step)(torch.from_numpy(asked)).numpy()
    np.testing.assert_allclose(found, step.transform(asked), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_zeros_before_a_normaliser(norm):
    """At zero a normaliser leaves everything as it is, and gradients pass it unchanged."""
    x = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(STEPS[Normalizer].build(Normalizer(norm))(x).sum(), x)
    assert gradient.tolist() == [[1.0] * 4]


def test_bounds_of_a_clip():
    """On the bounds of a clip the derivative is that of the inside, beyond them it is 0."""
    step = MinMaxScaler(clip=True).fit([[0.0], [2.0]])
    x = torch.tensor([[-1.0], [0.0], [1.0], [2.0], [3.0]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(STEPS[MinMaxScaler].build(step)(x).sum(), x)
    assert gradient.ravel().tolist() == [0.0, 0.5, 0.5, 0.5, 0.0]


def _nested():
    inner = Pipeline([("scale", StandardScaler()), ("nothing", "passthrough"), ("pca", PCA(12))])
    outer = Pipeline(
        [("none", None), ("inner", inner), ("end", make_pipeline("passthrough", SVC()))]
    )
    return Pipeline([("first", MinMaxScaler()), ("rest", outer)])


COMPOUNDS = {
    "nested": _nested,
    "three": lambda: make_pipeline(
        StandardScaler(), PCA(8, whiten=True), MLPClassifier((9,), max_iter=15, random_state=0)
    ),
    "normalised": lambda: make_pipeline(Normalizer(), StandardScaler(), SVC(kernel="poly")),
    "one": lambda: make_pipeline(LogisticRegression()),
    "grid": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), PCA(4), LogisticRegression()),
        {"pca__n_components": [4, 9]},
        cv=2,
    ),
    "random": lambda: make_pipeline(
        MaxAbsScaler(),
        RandomizedSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, n_iter=2, cv=2, random_state=0),
    ),
}


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", COMPOUNDS)
def test_compounds(name, n_classes):
    """Pipelines in pipelines and winners of searches answer as scikit-learn does."""
    pipeline = plain.fitted(COMPOUNDS[name], n_classes)
    X = plain.queries()
    for estimator in (pipeline, FrozenEstimator(pipeline)):
        assert is_known(estimator)
        logits, shares, labels, model = plain.answers(estimator, X)
        assert labels.tolist() == pipeline.predict(X).tolist()
        assert model.classes.tolist() == pipeline.classes_.tolist()
        if hasattr(pipeline, "predict_proba"):
            np.testing.assert_allclose(shares, pipeline.predict_proba(X), rtol=0, atol=1e-6)
        else:
            told = pipeline.decision_function(X)
            found = logits[:, 1] if n_classes == 2 else logits
            np.testing.assert_allclose(found, told, rtol=0, atol=1e-6 * np.abs(told).max())
    near = plain.digits(n_classes)[0][:20] + 0.05 * plain.queries(40)[20:]
    worst, size = plain.gradient_error(model, near)
    assert size > 1e-3
    assert worst <= 1e-5 * size
    (spec,) = pncviz_sklearn.pncviz_adapters()
    check_adapter(spec, pipeline, X=plain.queries(10))


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_pipeline(PCA(8, whiten=True), MLPClassifier((9,), max_iter=9, random_state=0)),
        lambda: make_pipeline(PCA(8), QuadraticDiscriminantAnalysis()),
        lambda: GaussianNB(var_smoothing=0.1),
        NearestCentroid,
        lambda: make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr")),
    ],
    ids=["perceptron", "qda", "naive bayes", "centroid", "lda"],
)
def test_fitted_in_single_precision(make):
    """Parameters that were learnt in single precision are used as scikit-learn uses them."""
    X, y = plain.digits(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant features, few iterations
        estimator = make().fit(X.astype(np.float32), y)
    asked = plain.queries()
    _, shares, labels, _ = plain.answers(estimator, asked)
    np.testing.assert_allclose(shares, estimator.predict_proba(asked), rtol=0, atol=1e-8)
    assert labels.tolist() == estimator.predict(asked).tolist()


def test_the_core_writes_out_the_derivatives():
    """Scalers, PCA, linear classifiers and perceptrons are a chain of layers to the core."""
    makers = {
        "linear": LogisticRegression,
        "pipeline": lambda: make_pipeline(
            StandardScaler(), PCA(5, whiten=True), LogisticRegression()
        ),
        "perceptron": lambda: make_pipeline(
            MinMaxScaler(), MLPClassifier((6, 5), activation="tanh", max_iter=10, random_state=0)
        ),
    }
    for make in makers.values():
        for n_classes in (2, 4):
            model = plain.answers(plain.fitted(make, n_classes), plain.queries(2))[-1]
            with model.session():
                assert model.chain is not None
