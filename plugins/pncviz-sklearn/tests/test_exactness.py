"""Each classifier against scikit-learn's own answers, and its gradients against differences."""

import numpy as np
import pytest
import sklearn_reference as plain
import torch
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    PassiveAggressiveClassifier,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC, NuSVC

import pncviz_sklearn
from pncviz.testing import check_adapter
from pncviz_sklearn import is_known

SGD_LOSSES = ["hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "huber"]


#: Name -> what makes the unfitted classifier.
MAKERS = {
    "logistic": LogisticRegression,
    "logistic, no intercept": lambda: LogisticRegression(fit_intercept=False),
    "logistic, saga": lambda: LogisticRegression(solver="saga", max_iter=20),
    "logistic, cv": lambda: LogisticRegressionCV(
        Cs=2, cv=2, l1_ratios=(0.0,), use_legacy_attributes=False
    ),
    "ridge": RidgeClassifier,
    "ridge, no intercept": lambda: RidgeClassifier(fit_intercept=False),
    "ridge, cv": lambda: RidgeClassifierCV(alphas=(0.1, 1.0)),
    "linear svm": LinearSVC,
    "linear svm, no intercept": lambda: LinearSVC(fit_intercept=False),
    "linear svm, crammer": lambda: LinearSVC(multi_class="crammer_singer"),
    **{
        f"sgd, {loss}": lambda loss=loss: SGDClassifier(loss=loss, random_state=0)
        for loss in SGD_LOSSES
    },
    "sgd, modified_huber, soft": lambda: SGDClassifier(
        loss="modified_huber", alpha=1.0, random_state=0
    ),
    "sgd, averaged": lambda: SGDClassifier(average=True, random_state=0),
    "perceptron": lambda: Perceptron(random_state=0),
    "passive aggressive": lambda: PassiveAggressiveClassifier(random_state=0),
    "lda": LinearDiscriminantAnalysis,
    "lda, lsqr": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "lda, eigen": lambda: LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.2),
    "qda": lambda: QuadraticDiscriminantAnalysis(reg_param=0.1),
    "qda, eigen": lambda: QuadraticDiscriminantAnalysis(solver="eigen", shrinkage=0.1),
    "naive bayes": GaussianNB,
    "naive bayes, smooth": lambda: GaussianNB(var_smoothing=0.1),
    "centroid": NearestCentroid,
    "centroid, shrunk": lambda: NearestCentroid(shrink_threshold=0.5),
    "centroid, priors": lambda: NearestCentroid(priors="empirical"),
    "centroid, manhattan": lambda: NearestCentroid(metric="manhattan"),
    "centroid, manhattan, priors": lambda: NearestCentroid(
        metric="manhattan", priors="empirical", shrink_threshold=0.2
    ),
    "svc": SVC,
    "svc, ovo": lambda: SVC(decision_function_shape="ovo"),
    "svc, ties": lambda: SVC(break_ties=True),
    "svc, linear": lambda: SVC(kernel="linear"),
    "svc, poly": lambda: SVC(kernel="poly", degree=2, coef0=0.5),
    "svc, poly 0": lambda: SVC(kernel="poly", degree=0),
    "svc, sigmoid": lambda: SVC(kernel="sigmoid", coef0=-0.3),
    "svc, narrow": lambda: SVC(gamma=0.5, C=100.0),
    "nu svc": lambda: NuSVC(nu=0.1),
    **{
        f"mlp, {name}": lambda name=name: MLPClassifier(
            (12, 7), activation=name, max_iter=15, random_state=0
        )
        for name in ("identity", "logistic", "tanh", "relu")
    },
    "mlp, no hidden layer": lambda: MLPClassifier((), max_iter=15, random_state=0),
    "one vs rest, logistic": lambda: OneVsRestClassifier(LogisticRegression()),
    "one vs rest, liblinear": lambda: OneVsRestClassifier(LogisticRegression(solver="liblinear")),
    "one vs rest, sgd": lambda: OneVsRestClassifier(SGDClassifier(loss="log_loss", random_state=0)),
    "one vs rest, lda": lambda: OneVsRestClassifier(LinearDiscriminantAnalysis()),
    "one vs rest, svm": lambda: OneVsRestClassifier(LinearSVC()),
}


@pytest.fixture(params=[2, 4], ids=["two classes", "four classes"], scope="module")
def n_classes(request):
    return request.param


@pytest.fixture(params=list(MAKERS), scope="module")
def estimator(request, n_classes):
    """A fitted classifier, once for all tests of this file."""
    return plain.fitted(MAKERS[request.param], n_classes)


def _decision(logits, model, told):
    """Give what the adapter has for scikit-learn's decision function, in its shape."""
    if told.ndim == 1:
        return logits[:, 1] - logits[:, 0]
    if told.shape == logits.shape:
        return logits
    with model.session(), torch.no_grad():
        return model.module[-1].decisions(model.tensor(plain.queries())).numpy()


def test_answers(estimator):
    """Probabilities and decisions agree to 1e-6 of their size, and every label is the same."""
    X = plain.queries()
    assert is_known(estimator)
    logits, shares, labels, model = plain.answers(estimator, X)
    assert labels.tolist() == estimator.predict(X).tolist()
    assert model.classes.tolist() == estimator.classes_.tolist()
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_allclose(shares, estimator.predict_proba(X), rtol=0, atol=1e-6)
    # Of one class against the rest, probabilities are no softmax of decisions.
    rest = hasattr(estimator, "predict_proba") and isinstance(
        estimator, SGDClassifier | OneVsRestClassifier
    )
    if hasattr(estimator, "decision_function") and not rest:
        told = estimator.decision_function(X)
        found = _decision(logits, model, told)
        np.testing.assert_allclose(found, told, rtol=0, atol=1e-6 * np.abs(told).max())


def test_manhattan_scores():
    """Without a public decision function the logits are what predict compares."""
    X = plain.queries(50)
    plainly = plain.fitted(MAKERS["centroid, manhattan"], 4)
    apart = np.abs(X[:, None] - plainly.centroids_).sum(axis=2)
    np.testing.assert_allclose(plain.answers(plainly, X)[0], -apart, rtol=1e-12)
    weighted = plain.fitted(MAKERS["centroid, manhattan, priors"], 4)
    told = weighted._decision_function(X)
    np.testing.assert_allclose(plain.answers(weighted, X)[0], told, rtol=1e-9)


def test_gradients(estimator, request):
    """Gradients of every logit are those of central differences in double precision."""
    model = plain.answers(estimator, plain.queries(4))[-1]
    rng = np.random.default_rng(2)
    noisy = plain.digits(2)[0][:15] + 0.05 * rng.normal(size=(15, 64))
    X = np.vstack([rng.random((15, 64)), rng.normal(size=(15, 64)), noisy])
    worst, size = plain.gradient_error(model, X)
    flat = request.node.callspec.params["estimator"] in ("svc, poly 0", "sgd, modified_huber")
    assert (size < 1e-6) == flat  # a constant kernel; shares that are all clipped
    assert worst <= 2e-5 * size


def test_single_precision(estimator):
    """Samples in single precision are taken as they are; a copy in it is near."""
    X = plain.queries(50).astype(np.float32)
    logits, shares, _, model = plain.answers(estimator, X)
    assert logits.dtype == np.float64
    exact = plain.answers(estimator, X.astype(np.float64))[0]
    assert logits.tobytes() == exact.tobytes()
    copy = model.astype(torch.float32)
    with copy.session(), torch.no_grad():
        near = copy.probabilities(copy.tensor(X)).numpy()
    assert near.dtype == np.float32
    assert copy.labels_by_logits is model.labels_by_logits
    # A vote may go over; in the median row none does.
    assert np.median(np.abs(near - shares).max(axis=1)) <= 1e-3


def test_contract(estimator):
    """Everything that pncviz asks of an adapter holds."""
    (spec,) = pncviz_sklearn.pncviz_adapters()
    check_adapter(spec, estimator, X=plain.queries(12))


def test_images_are_flattened(estimator):
    """One image as input gives what its flat row gives."""
    rows = plain.queries(6)
    flat = plain.answers(estimator, rows)
    images = plain.answers(estimator, rows.reshape(6, 1, 8, 8))
    np.testing.assert_array_equal(images[0], flat[0])
    assert images[2].tolist() == flat[2].tolist()
