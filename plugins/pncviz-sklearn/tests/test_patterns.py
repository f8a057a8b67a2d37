"""Patterns of scikit-learn's models, end to end and in closed form."""

import numpy as np
import pytest
import sklearn_reference as plain
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from pncviz import AdversarialPatternExtractor, extract_patterns, make_attack
from pncviz.exceptions import PatternWarning


def _pipeline():
    return make_pipeline(StandardScaler(), PCA(20), LogisticRegression())


@pytest.fixture(scope="module")
def pipeline():
    return plain.fitted(_pipeline, 4)


def _reach(pipeline):
    """Give the derivative of the logits (4, 64) with respect to the pipeline's input."""
    scaler, pca, classifier = (step for _, step in pipeline.steps)
    return classifier.coef_ @ pca.components_ / scaler.scale_


def test_one_step_is_the_softmax_row(pipeline):
    """After one step from zeros, a pattern is learning rate times (one-hot - p) W, by hand."""
    attack = make_attack("gradient_descent", learning_rate=0.25)
    with pytest.warns(PatternWarning, match="did not reach their class"):
        patterns = extract_patterns(pipeline, image_shape=(8, 8), max_iter=1, attack=attack)
    shares = pipeline.predict_proba(np.zeros((1, 64)))
    told = 0.25 * (np.eye(4) - shares) @ _reach(pipeline)
    np.testing.assert_allclose(patterns["pattern"].values.reshape(4, 64), told, atol=1e-6)


def test_patterns_lie_in_the_row_space(pipeline):
    """A linear model's patterns are sums of its own weights, seen from the pipeline's input."""
    patterns = extract_patterns(pipeline, image_shape=(8, 8), max_iter=200)
    assert patterns["pattern"].dims == ("label", "channel", "row", "column")
    assert patterns["label"].values.tolist() == pipeline.classes_.tolist()
    assert patterns["succeeded"].all()
    rows = patterns["pattern"].values.reshape(4, 64).astype(np.float64)
    basis = np.linalg.svd(_reach(pipeline), full_matrices=False)[2]
    np.testing.assert_allclose(rows @ basis.T @ basis, rows, atol=1e-6 * np.abs(rows).max())
    assert pipeline.predict(rows).tolist() == pipeline.classes_.tolist()
    reached = softmax(pipeline.decision_function(rows), axis=1).diagonal()
    np.testing.assert_allclose(patterns["confidence"].values, reached, atol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        _pipeline,
        SVC,
        NearestCentroid,
        lambda: make_pipeline(MinMaxScaler(clip=True), GaussianNB(var_smoothing=0.1)),
    ],
    ids=["linear", "svc", "centroid", "naive bayes"],
)
@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_deterministic(make):
    """The same bits for every batch size, and for one class alone."""
    estimator = plain.fitted(make, 4)
    settings = {"input_shape": (64,), "max_iter": 20, "deterministic": True, "random_state": 0}
    settings |= {"strategy": "noise", "attack": make_attack("gradient_descent", learning_rate=0.1)}
    whole = extract_patterns(estimator, **settings)["pattern"]
    for batch_size in (1, 3):
        parts = extract_patterns(estimator, batch_size=batch_size, **settings)["pattern"]
        assert parts.values.tobytes() == whole.values.tobytes()
    label = estimator.classes_[2]
    alone = extract_patterns(estimator, labels=[label], **settings)["pattern"]
    assert alone.values.tobytes() == whole.sel(label=[label]).values.tobytes()


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_a_machine_that_votes(kernel):
    """From zeros, the patterns of a support vector machine become what they are meant for."""
    machine = plain.fitted(lambda: SVC(kernel=kernel), 4)
    patterns = extract_patterns(machine, image_shape=(8, 8), max_iter=300)
    assert patterns["succeeded"].all()
    rows = patterns["pattern"].values.reshape(4, 64)
    assert machine.predict(rows).tolist() == machine.classes_.tolist()
    assert patterns["pattern_prediction"].values.tolist() == machine.classes_.tolist()
    told = softmax(machine.decision_function(rows), axis=1).diagonal()
    np.testing.assert_allclose(patterns["confidence"].values, told, atol=1e-5)


@pytest.mark.parametrize("machine", [SVC(gamma=1000.0), SVC(kernel="poly")], ids=["rbf", "poly"])
def test_where_a_kernel_is_flat(machine):
    """Far from all support vectors, or at zero for a power of x · s, the pattern says so."""
    machine = plain.fitted(lambda: machine, 2)
    with pytest.warns(PatternWarning, match="vanished_gradient"):
        patterns = extract_patterns(machine, image_shape=(8, 8), max_iter=10)
    assert "vanished_gradient" in patterns["stop_reason"].values.tolist()
    assert not patterns["pattern"].values.any()


def test_extractor_fits_a_clone():
    """An unfitted pipeline is fitted on the data, a frozen one is used as it is."""
    X, y = plain.digits(4)
    fresh = AdversarialPatternExtractor(_pipeline(), image_shape=(8, 8), max_iter=50).fit(X, y)
    own = _pipeline().fit(X.astype(np.float32), y)
    frozen = AdversarialPatternExtractor(FrozenEstimator(own), image_shape=(8, 8), max_iter=50)
    frozen.fit(X, y)
    np.testing.assert_allclose(
        fresh.patterns_["pattern"], frozen.patterns_["pattern"], rtol=0, atol=1e-4
    )
    assert fresh.classes_.tolist() == frozen.classes_.tolist() == sorted(plain.NAMES)


def test_layers_have_names():
    """Activations of a perceptron's layers are scikit-learn's own."""
    net = plain.fitted(lambda: MLPClassifier((6,), activation="relu", max_iter=10), 4)
    X = plain.queries(5)
    model = plain.answers(net, X)[-1]
    with model.session():
        found = model.activations(model.tensor(X), ["0.1"])["0.1"].detach().numpy()
    np.testing.assert_allclose(found, np.maximum(X @ net.coefs_[0] + net.intercepts_[0], 0))


def test_scores_sum_to_nothing_in_particular():
    """A ridge classifier's confidence is the softmax of its decisions, as documented."""
    classifier = plain.fitted(RidgeClassifier, 4)
    patterns = extract_patterns(classifier, input_shape=(64,), max_iter=30)
    rows = patterns["pattern"].values.reshape(4, 64)
    told = softmax(classifier.decision_function(rows), axis=1).diagonal()
    np.testing.assert_allclose(patterns["confidence"].values, told, atol=1e-5)
