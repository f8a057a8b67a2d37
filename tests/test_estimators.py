"""The two estimators as scikit-learn sees them."""

import pickle
import signal
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch import NeuralNetClassifier

from pncviz import (
    AdversarialPatternExtractor,
    Attack,
    AttackResult,
    Extraction,
    PNCTransformer,
    Strategy,
    compare,
    extract_patterns,
    make_attack,
    make_classifier,
    make_strategy,
    own_class,
)
from pncviz.exceptions import (
    AdapterError,
    DataError,
    ModelError,
    ParameterError,
    PatternWarning,
    PluginError,
)
from pncviz.training import Classifier


class Net(Classifier):
    """skorch's repr holds places in memory, and test workers must agree on the tests' names."""

    def __repr__(self):
        return "net"


def _extractor():
    net = make_classifier("fc", hidden=[8], max_epochs=2, batch_size=128)
    net.__class__ = Net
    return AdversarialPatternExtractor(net, max_iter=5, random_state=0)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([_extractor(), PNCTransformer()])
def test_scikit_learn_checks(estimator, check):
    """scikit-learn's own checks hold, none of them expected to fail."""
    check(estimator)


# ------------------------------------------------------------- as their users use them


@pytest.fixture(scope="module")
def small(digits):
    """A tenth of digits, flat."""
    return digits.X[:400].reshape(400, -1), digits.y[:400]


def test_at_least_47_checks_each():
    """scikit-learn has at least 47 checks for each of the two."""
    from sklearn.utils.estimator_checks import estimator_checks_generator

    for estimator in (_extractor(), PNCTransformer()):
        checks = list(estimator_checks_generator(estimator, legacy=True))
        assert len(checks) >= 47


def test_pnc_pipeline_scores(small):
    """make_pipeline(PNCTransformer(), LogisticRegression()) works in cross_val_score."""
    model = make_pipeline(PNCTransformer(), LogisticRegression(max_iter=500))
    assert cross_val_score(model, *small, cv=3).mean() > 0.7


def _net():
    return make_classifier("fc", hidden=[20], max_epochs=8)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_extractor_pipeline_and_grid_search(small):
    """GridSearchCV runs over strategy, over strategy__scale of an instance, and estimator__lr."""
    extractor = AdversarialPatternExtractor(_net(), max_iter=30, random_state=0)
    pipeline = Pipeline([("ap", extractor), ("lr", LogisticRegression(max_iter=500))])
    grids = [
        {"ap__strategy": ["zero", "noise"]},
        {"ap__strategy": [make_strategy("noise")], "ap__strategy__scale": [0.1, 1.0]},
        {"ap__estimator__lr": [0.01, 0.2]},
    ]
    for grid in grids:
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(*small)
        assert search.best_score_ > 0.5
        assert len(set(search.cv_results_["mean_test_score"])) == 2


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
@pytest.mark.parametrize("names", [["cat", "dog", "owl"], [0, 5, 9], [-3, 4, 70]])
def test_labels_are_only_names(digits, names):
    """Labels {"cat", "dog", "owl"} and {0, 5, 9} give the same patterns as 0, 1, 2."""
    rows = digits.y < 3
    X, y = digits.X[rows], digits.y[rows]
    extractor = AdversarialPatternExtractor(_net(), max_iter=30, random_state=0)
    plain = clone(extractor).fit(X, y)
    named = clone(extractor).fit(X, np.array(names)[y])
    assert named.classes_.tolist() == names
    assert named.patterns_["label"].values.tolist() == names
    np.testing.assert_array_equal(named.patterns_["pattern"], plain.patterns_["pattern"])
    assert (named.patterns_["prediction"] == named.patterns_["label"]).all()
    contrast = PNCTransformer().fit(X, np.array(names)[y]).contrasts_
    np.testing.assert_array_equal(
        contrast["contrast"], PNCTransformer().fit(X, y).contrasts_["contrast"]
    )
    assert own_class(compare(named.patterns_, contrast))["nearest"].all()


def test_frozen_net_is_used_as_it_is(digits, digits_net):
    """FrozenEstimator(net) and the bare module give the functional twin's patterns."""
    twin = extract_patterns(digits_net, image_shape=(8, 8), max_iter=20)
    for estimator in (FrozenEstimator(digits_net), digits_net.module_):
        extractor = AdversarialPatternExtractor(estimator, max_iter=20).fit(digits.X, digits.y)
        np.testing.assert_array_equal(extractor.patterns_["pattern"], twin["pattern"])


def test_frozen_net_keeps_classes_that_y_lacks(digits, digits_net):
    """classes_ is the model's, also where y lacks some; labels picks what is extracted."""
    rows = digits.y < 4
    extractor = AdversarialPatternExtractor(
        FrozenEstimator(digits_net), max_iter=20, labels=[3, 1]
    ).fit(digits.X[rows], digits.y[rows])
    assert extractor.classes_.tolist() == list(range(10))
    assert extractor.patterns_["label"].values.tolist() == [3, 1]
    assert extractor.transform(digits.X[:5]).shape == (5, 2)
    assert extractor.get_feature_names_out().tolist() == ["pearson_3", "pearson_1"]


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_random_state_makes_training_repeatable(small):
    """The same random_state gives the same net and patterns; the caller's RNG is not touched."""
    before = torch.get_rng_state()
    runs = [
        AdversarialPatternExtractor(_net(), strategy="noise", max_iter=20, random_state=3)
        .fit(*small)
        .patterns_
        for _ in range(2)
    ]
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(runs[0]["pattern"], runs[1]["pattern"])
    assert runs[0].attrs["random_state"] == 3


def test_a_drawn_seed_is_recorded(digits_net):
    """random_state=None draws a seed that the attributes keep, so the result can be had again."""
    first = extract_patterns(digits_net, image_shape=(8, 8), strategy="noise", max_iter=30)
    again = extract_patterns(
        digits_net,
        image_shape=(8, 8),
        strategy="noise",
        max_iter=30,
        random_state=int(first.attrs["random_state"]),
    )
    np.testing.assert_array_equal(first["pattern"], again["pattern"])


def test_pickle_and_clone_keep_the_result(digits, digits_net):
    """A fitted extractor survives pickling; a clone is unfitted."""
    extractor = AdversarialPatternExtractor(FrozenEstimator(digits_net), max_iter=20)
    extractor.fit(digits.X, digits.y)
    copy = pickle.loads(pickle.dumps(extractor))
    assert copy.patterns_.identical(extractor.patterns_)
    assert not hasattr(clone(extractor), "patterns_")


def test_set_output_pandas(small):
    """set_output gives named columns."""
    frame = PNCTransformer().set_output(transform="pandas").fit(*small).transform(small[0])
    assert frame.columns.tolist() == [f"pearson_{label}" for label in range(10)]


def test_flat_samples_reach_a_cnn(small):
    """image_shape lets a CNN take flat rows in a pipeline."""
    net = make_classifier("cnn", convolutions=[4, 4], dense=[8], max_epochs=1)
    extractor = AdversarialPatternExtractor(net, image_shape=(8, 8), max_iter=3)
    with pytest.warns(UserWarning, match="did not reach"):
        extractor.fit(*small)
    assert extractor.patterns_["pattern"].dims == ("label", "channel", "row", "column")


def test_other_shape_at_transform_is_refused(digits, digits_net):
    """Samples of another shape with as many first-axis features are still refused."""
    extractor = AdversarialPatternExtractor(FrozenEstimator(digits_net), max_iter=30)
    extractor.fit(digits.X, digits.y)
    with pytest.raises(DataError, match=r"shape \(1, 4, 16\), but in fit they had shape"):
        extractor.transform(digits.X.reshape(-1, 1, 4, 16))


def test_black_box_cannot_serve_gradient_descent(small):
    """A model without gradients: the error names the unmet need, before any synthesis."""
    with pytest.raises(AdapterError, match=r"GradientDescent.*needs gradients.*LogisticRegression"):
        AdversarialPatternExtractor(LogisticRegression(max_iter=500)).fit(*small)


class _RandomSearch(Attack):
    """Keep the likeliest of many noisy copies; asks for probabilities alone."""

    needs = frozenset({"probabilities"})

    def run(self, model, start, target, stop, rngs):
        best, n = start.clone(), len(start)
        for _ in range(stop.max_iter):
            noise = torch.stack([torch.as_tensor(rng.normal(size=start[0].shape)) for rng in rngs])
            tried = best + noise.to(best.dtype)
            rows = torch.arange(n)
            p = [model.probabilities(x)[rows, target.codes] for x in (best, tried)]
            best = torch.where((p[1] > p[0])[:, None], tried, best)
        confidence = model.probabilities(best)[rows, target.codes].numpy()
        return AttackResult(
            adversarial=best,
            n_iter=np.full(n, stop.max_iter),
            stop_reason=np.array(["max_iter"] * n),
            loss=-np.log(confidence + 1e-30),
            confidence=confidence,
        )


@pytest.mark.parametrize("strategy", ["zero", "noise", "aai"])
def test_any_strategy_with_any_attack_on_any_classifier(small, strategy):
    """A black-box attack gives patterns of a scikit-learn classifier under every strategy."""
    forest = RandomForestClassifier(20, random_state=0).fit(*small)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some classes may not be reached; not the point
        patterns = extract_patterns(
            forest,
            image_shape=(8, 8),
            input_shape=(64,),
            strategy=strategy,
            attack=_RandomSearch(),
            max_iter=15,
            random_state=0,
        )
    assert (patterns["confidence"] >= 0.1).all()  # a zero start begins with classes at 0
    assert patterns.attrs["kind"] == "patterns"


@pytest.mark.parametrize(
    "params, message",
    [
        ({"strategy": "zreo"}, r'Unknown strategy "zreo". Did you mean "zero"\? Choices: aai'),
        ({"attack": 3}, "`attack` must be a name or an Attack, got 3"),
        ({"max_iter": 0}, "`max_iter` must be a positive integer, got 0"),
        ({"max_loss": -1}, "`max_loss` must be None or a positive number, got -1"),
        ({"min_confidence": 1.5}, r"`min_confidence` must be None or a number in \(0, 1\]"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"labels": [77]}, r"`labels` are not among the model's: \[77\]"),
        ({"labels": [1, 1]}, "`labels` repeat"),
        ({"max_bytes": 1000}, "more than `max_bytes`"),
        ({"precision": "half"}, "`precision` must be None"),
        ({"random_state": "x"}, "`random_state` must be an integer"),
        ({"strategy": "noise", "n_blocks": 3}, "`n_blocks` must lie between 0 and"),
    ],
)
def test_bad_parameters_are_named(digits_net, params, message):
    """Each bad parameter is refused by name, with the value and the choices."""
    with pytest.raises((ValueError, TypeError), match=message):
        extract_patterns(digits_net, image_shape=(8, 8), **params)


def test_shape_is_needed_without_data(digits_net):
    """Without data, the twin asks for a shape rather than guessing."""
    with pytest.raises(ParameterError, match="needs `input_shape`"):
        extract_patterns(digits_net)


def test_float64_agrees_with_float32(digits_net):
    """precision="float64" changes a pattern by no more than rounding, and leaves the net alone."""
    single, double = (
        extract_patterns(digits_net, image_shape=(8, 8), max_iter=50, precision=precision)
        for precision in (None, "float64")
    )
    assert double["pattern"].dtype == np.float64
    np.testing.assert_allclose(single["pattern"], double["pattern"], atol=1e-3)
    assert next(digits_net.module_.parameters()).dtype == torch.float32


def test_failures_are_marked_and_told(digits_net):
    """A pattern that does not reach its class is kept, marked, and warned about by name."""
    with pytest.warns(PatternWarning, match=r"\d+ of 10 patterns did not reach their class: "):
        patterns = extract_patterns(
            digits_net,
            image_shape=(8, 8),
            max_iter=1,
            attack=make_attack("gradient_descent", learning_rate=1e-4),
        )
    assert patterns.sizes["label"] == 10
    assert not patterns["succeeded"].all()


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_vanished_gradient_suggests_noise():
    """A bias-free ReLU net: the warning suggests strategy="noise"."""
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 5, bias=False), torch.nn.ReLU(), torch.nn.Linear(5, 3, bias=False)
    )
    with pytest.warns(
        PatternWarning, match='vanished_gradient.*No gradient reached.*strategy="noise"'
    ):
        patterns = extract_patterns(net, input_shape=(4,))
    assert set(patterns["stop_reason"].values.tolist()) == {"vanished_gradient"}


def test_a_strategy_may_take_its_own_course(digits_net):
    """A strategy that defines extract replaces start, run, abstract and reduce."""

    class Own(Strategy):
        def extract(self, model, attack, targets, stop, streams):
            k = len(targets)
            return Extraction(
                pattern=np.ones((k, 1, 8, 8), dtype=np.float32),
                loss=np.zeros(k),
                confidence=np.ones(k),
                n_iter=np.ones(k, dtype=np.int64),
                unit=targets,
                stop_reason=np.array(["max_iter"] * k),
                success_rate=np.ones(k),
            )

    patterns = extract_patterns(digits_net, image_shape=(8, 8), strategy=Own())
    assert (patterns["pattern"] == 1).all()


def test_prepare_sees_read_only_data(digits, digits_net):
    """A part that writes to X in prepare is named, and X is as it was."""

    class Vandal(Strategy):
        def prepare(self, X, y):
            X[:] = 0

        def start(self, shape, rng):
            return np.zeros(shape)

    before = digits.X.copy()
    with pytest.raises(PluginError, match=r"Vandal.*failed in prepare: ValueError.*read-only"):
        extract_patterns(digits_net, strategy=Vandal(), X=digits.X, y=digits.y)
    np.testing.assert_array_equal(digits.X, before)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_predictions_are_over_all_units():
    """A unit that no class has is named as such, also where -1 is a label."""
    net = torch.nn.Linear(4, 4)
    with torch.no_grad():
        net.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    patterns = extract_patterns(net, input_shape=(4,), classes=[-1, 0, 1], max_iter=3)
    assert patterns["prediction"].values.tolist() == [-2, -2, -2]
    assert patterns["pattern_prediction"].values.tolist() == [-2, -2, -2]
    assert not patterns["succeeded"].any()
    named = extract_patterns(net, input_shape=(4,), classes=["a", "b", "c"], max_iter=3)
    assert named["prediction"].values.tolist() == ["unit 3"] * 3


def test_ctrl_c_ends_training():
    """Ctrl-C during a fit is not swallowed by skorch: no half-trained net goes on."""
    from skorch.callbacks import Callback

    class Press(Callback):
        def on_epoch_end(self, net, **kwargs):
            signal.raise_signal(signal.SIGINT)

    net = _net().set_params(callbacks=[("press", Press())])
    with pytest.raises(KeyboardInterrupt):
        AdversarialPatternExtractor(net).fit(np.eye(4, dtype=np.float32), np.arange(4))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_fit_under_inference_mode(small):
    """A caller inside no_grad or inference_mode may fit and extract."""
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            AdversarialPatternExtractor(_net(), max_iter=3, random_state=0).fit(*small)


def test_many_yes_or_no_units_are_refused():
    """Binary cross-entropy over many units gives no shared probability: an error says so."""
    net = NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=4,
        module__out_features=3,
        criterion=torch.nn.BCEWithLogitsLoss,
    ).initialize()
    with pytest.raises(ModelError, match="BCEWithLogitsLoss with 3 units"):
        extract_patterns(net, input_shape=(4,))
