"""What is taken, what is left to the black box, and what is refused."""

import numpy as np
import pytest
import sklearn_reference as plain
from scipy.sparse import csr_array
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

from pncviz import extract_patterns
from pncviz.exceptions import AdapterError, ModelError
from pncviz.models import ProbabilityModel, adapt
from pncviz_sklearn import SklearnModel, adapt_exactly, is_known


class _Contrary(LogisticRegression):
    """Predicts what is not so."""

    def predict(self, X):
        return self.classes_[::-1][super().decision_function(X).argmax(axis=1)]


class _LoudScaler(StandardScaler):
    """Does something else."""

    def transform(self, X):
        return -super().transform(X)


LEFT = {
    "a forest": RandomForestClassifier,
    "neighbours": KNeighborsClassifier,
    "discrete naive bayes": BernoulliNB,
    "calibration": lambda: CalibratedClassifierCV(LogisticRegression(), cv=2),
    "a subclass": _Contrary,
    "a callable kernel": lambda: SVC(kernel=lambda a, b: a @ b.T),
    "a precomputed kernel": lambda: SVC(kernel="precomputed"),
    "ties that cannot be broken": lambda: SVC(break_ties=True, decision_function_shape="ovo"),
    "a function": lambda: make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression()),
    "quantiles": lambda: make_pipeline(QuantileTransformer(), LogisticRegression()),
    "a step's subclass": lambda: make_pipeline(_LoudScaler(), LogisticRegression()),
    "an unknown step deep within": lambda: make_pipeline(
        make_pipeline(StandardScaler(), FunctionTransformer()), LogisticRegression()
    ),
    "no classifier": lambda: make_pipeline(StandardScaler(), SVR()),
    "no step but a transformer": lambda: make_pipeline(StandardScaler()),
    "nothing": lambda: make_pipeline("passthrough"),
    "a classifier that is no last step": lambda: make_pipeline(
        LinearDiscriminantAnalysis(), LogisticRegression()
    ),
    "a search without a winner": lambda: GridSearchCV(
        LogisticRegression(), {"C": [1.0]}, refit=False
    ),
    "one vs rest of forests": lambda: OneVsRestClassifier(RandomForestClassifier()),
    "one vs rest that need not sum to 1": lambda: OneVsRestClassifier(
        SGDClassifier(loss="modified_huber")
    ),
    "a prior of zero": lambda: GaussianNB(priors=[1.0, 0.0, 0.0]),
    "a frozen forest": lambda: FrozenEstimator(RandomForestClassifier()),
}


@pytest.mark.parametrize("name", LEFT)
def test_left_to_the_black_box(name):
    """What is not known exactly does not match, fitted or not."""
    assert not is_known(LEFT[name]())


@pytest.mark.parametrize("other", [None, 7, "passthrough", object(), np.zeros(3), SVC, [SVC()]])
def test_no_estimator(other):
    """Things that are no classifier do not match, and do not raise."""
    assert not is_known(other)


def test_several_labels_per_sample():
    """Classifiers of several labels do not match once they are fitted."""
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.zeros((30, 3), dtype=int)
    y[np.arange(30), np.arange(30) % 3] = y[::2, 0] = 1
    for classifier in (
        RidgeClassifier(),
        MLPClassifier((3,), max_iter=400, tol=0.1),
        OneVsRestClassifier(LogisticRegression()),
    ):
        assert is_known(classifier)
        assert not is_known(classifier.fit(X, y)), classifier


def test_one_vs_rest_with_a_constant_class():
    """A class that every sample has is predicted by no linear classifier."""
    X, y = np.random.default_rng(0).normal(size=(20, 4)), np.array([[1, 0], [1, 1]] * 10)
    with pytest.warns(UserWarning, match="present in all training examples"):
        classifier = OneVsRestClassifier(LinearSVC()).fit(X, y)
    assert not is_known(classifier)


def test_priors_of_zero_after_fit():
    """A class that cannot come out has no logit."""
    X, y = plain.digits(2)
    assert is_known(GaussianNB(priors=[0.5, 0.5]))
    assert not is_known(GaussianNB(priors=[1.0, 0.0]).fit(X[:, 20:24] + 0.0, y))
    assert not is_known(NearestCentroid(priors=[1.0, 0.0]))


def test_one_class():
    """A classifier of a single class has nothing to tell apart."""
    assert not is_known(GaussianNB().fit(np.random.default_rng(0).random((5, 3)), np.zeros(5)))


def test_the_core_chooses_this_adapter():
    """With the plugin installed, known classifiers have gradients; others are only asked."""
    known = plain.fitted(LogisticRegression, 4)
    assert isinstance(adapt(FrozenEstimator(known), input_shape=(64,)), SklearnModel)
    left = plain.fitted(
        lambda: make_pipeline(QuantileTransformer(n_quantiles=9), LogisticRegression()), 4
    )
    model = adapt(left, input_shape=(64,))
    assert isinstance(model, ProbabilityModel)
    with pytest.raises(AdapterError, match="no adapter knows its inside"):
        extract_patterns(left, input_shape=(64,))


@pytest.mark.parametrize(
    "make",
    [
        LogisticRegression,
        SVC,
        GaussianNB,
        lambda: make_pipeline(StandardScaler(), MLPClassifier()),
        lambda: make_pipeline(StandardScaler(), FrozenEstimator(LinearSVC())),
        lambda: GridSearchCV(LogisticRegression(), {"C": [1.0]}),
        lambda: OneVsRestClassifier(LogisticRegression()),
    ],
)
def test_unfitted(make):
    """An unfitted classifier matches, and is refused as scikit-learn refuses it."""
    assert is_known(make())
    with pytest.raises(NotFittedError, match="not fitted"):
        adapt_exactly(make(), input_shape=(64,))


def test_an_unfitted_step_before_a_fitted_classifier():
    """The step is what is refused."""
    pipeline = make_pipeline(StandardScaler(), plain.fitted(LogisticRegression, 2))
    with pytest.raises(NotFittedError, match="StandardScaler"):
        adapt_exactly(pipeline, input_shape=(64,))


def _spoilt(make, name, value=np.nan, place=None):
    estimator = plain.fitted(make, 4)
    owner = estimator if place is None else estimator[place]
    array = np.array(getattr(owner, name), dtype=float)
    array.flat[-1] = value
    setattr(owner, name, array)
    return estimator


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "make, name",
    [
        (LogisticRegression, "coef_"),
        (LinearSVC, "intercept_"),
        (GaussianNB, "theta_"),
        (GaussianNB, "var_"),
        (NearestCentroid, "centroids_"),
        (SVC, "intercept_"),
        (SVC, "support_vectors_"),
    ],
)
def test_parameters_that_are_no_numbers(make, name, value):
    """NaN or infinity in what was learnt is an error that names it."""
    with pytest.raises(ModelError, match=f"`{name}` of this {make.__name__} contains NaN or inf"):
        adapt_exactly(_spoilt(make, name, value), input_shape=(64,))


def test_steps_and_layers_that_are_no_numbers():
    """In pipelines and lists of arrays too, with the part's own name."""
    pipeline = _spoilt(
        lambda: make_pipeline(StandardScaler(), LogisticRegression()), "mean_", place=0
    )
    with pytest.raises(ModelError, match="`mean_` of this StandardScaler contains NaN"):
        adapt_exactly(pipeline, input_shape=(64,))
    net = plain.fitted(lambda: MLPClassifier((5,), max_iter=5), 4)
    net.coefs_[1][0, 0] = np.inf
    with pytest.raises(ModelError, match=r"`coefs_\[1\]` of this MLPClassifier contains NaN"):
        adapt_exactly(net, input_shape=(64,))


def test_inputs_of_another_size():
    """The number of features must be that of the fit."""
    with pytest.raises(
        ModelError, match=r"fitted on 64 features; inputs of shape \(8, 9\) have 72"
    ):
        adapt_exactly(plain.fitted(LogisticRegression, 2), input_shape=(8, 9))


def test_sparse_coefficients():
    """Sparse coefficients are made dense."""
    X, y = plain.digits(4)
    classifier = SGDClassifier(penalty="l1", random_state=0).fit(csr_array(X), y).sparsify()
    asked = plain.queries(50)
    logits, _, labels, _ = plain.answers(classifier, asked)
    np.testing.assert_allclose(logits, classifier.decision_function(asked), rtol=1e-9)
    assert labels.tolist() == classifier.predict(asked).tolist()


def test_fitting_again_changes_nothing():
    """A model keeps what it was made of, and leaves the classifier as it is."""
    X, y = plain.digits(4)
    machine = SVC(kernel="linear").fit(X, y)
    model = adapt_exactly(machine, input_shape=(64,))
    x = model.tensor(plain.queries(5))
    with model.session():
        before = model.logits(x).tolist()
    machine.fit(-X, y)
    with model.session():
        assert model.logits(x).tolist() == before


def test_decisions_that_look_like_probabilities():
    """Decisions that happen to lie in 0..1 and to sum to 1 are still decisions."""
    X, y = plain.digits(2)
    classifier = LinearSVC().fit(X, y)
    classifier.coef_, classifier.intercept_ = np.zeros((1, 64)), np.ones(1)
    logits, shares, _, _ = plain.answers(classifier, plain.queries(3))
    assert logits.tolist() == [[0.0, 1.0]] * 3
    np.testing.assert_allclose(shares[:, 1], 1 / (1 + np.exp(-1)))


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
def test_shares_that_are_all_zero(loss):
    """Where no class has a share, scikit-learn gives equal ones, and so does the model."""
    X, y = plain.digits(4)
    classifier = SGDClassifier(loss=loss).fit(X, y)
    classifier.intercept_ = np.full(4, -1e4) + np.arange(4)
    asked = plain.queries(20)
    _, shares, labels, _ = plain.answers(classifier, asked)
    assert classifier.predict_proba(asked).tolist() == [[0.25] * 4] * 20
    np.testing.assert_allclose(shares, 0.25)
    assert labels.tolist() == classifier.predict(asked).tolist()


@pytest.mark.filterwarnings("ignore:The `probability` parameter was deprecated:FutureWarning")
def test_platt_scaling_is_left_out():
    """A machine with probabilities is known by its decisions."""
    X, y = plain.digits(4)
    machine = SVC(probability=True, random_state=0).fit(X, y)
    asked = plain.queries(50)
    logits, _, labels, _ = plain.answers(machine, asked)
    np.testing.assert_allclose(logits, machine.decision_function(asked), rtol=1e-9)
    assert labels.tolist() == machine.predict(asked).tolist()
