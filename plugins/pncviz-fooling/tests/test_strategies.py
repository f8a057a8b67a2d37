"""Evolution as strategies: contract, bits, labels, stop rules, any classifier."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fooling_reference import ByMean
from sklearn.linear_model import LogisticRegression, RidgeClassifier

import pncviz
from pncviz.exceptions import AdapterError, ModelError, ParameterError, PatternWarning
from pncviz.testing import check_strategy
from pncviz_fooling import EvolutionCPPN, EvolutionDirect
from pncviz_fooling.pixels import Pixels

SHAPE = (1, 6, 6)
KINDS = [EvolutionDirect(30), EvolutionCPPN(30, image_shape=(6, 6))]


@pytest.fixture(scope="module")
def data():
    return pncviz.load_dataset("tiling")


@pytest.fixture(scope="module")
def logistic(data):
    """A classifier without gradients, of flat rows."""
    return LogisticRegression(C=10).fit(data.X.reshape(4, 36), data.y)


@pytest.fixture(scope="module")
def net():
    """A seeded network of six classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = (torch.nn.Linear(36, 16), torch.nn.Tanh(), torch.nn.Linear(16, 6))
        return torch.nn.Sequential(torch.nn.Flatten(), *layers).eval()


def extracted(model, strategy, **params):
    params = {"image_shape": (6, 6), "max_iter": 15, "random_state": 0} | params
    return pncviz.extract_patterns(model, strategy=strategy, **params)


@pytest.mark.parametrize("name", ["evolution_direct", "evolution_cppn"])
def test_contract(name):
    """Everything that pncviz asks of a strategy holds."""
    check_strategy(name)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
@pytest.mark.parametrize("strategy", KINDS)
def test_labels_asked_for_change_nothing(net, strategy):
    """The elites of some classes are those of a search for all, to the bit, in any order."""
    every = extracted(net, strategy, deterministic=True)
    some = extracted(net, strategy, labels=[4, 1], deterministic=True)
    assert some.equals(every.sel(label=[4, 1]))


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
@pytest.mark.parametrize("strategy", KINDS)
def test_same_bits_for_every_batch_size(net, strategy):
    """In deterministic mode blocks of any size give the same elites; another seed others."""
    one, other, third = (
        extracted(net, strategy, deterministic=True, batch_size=n) for n in (1, 7, 64)
    )
    assert one.equals(other)
    assert one.equals(third)
    differs = extracted(net, strategy, deterministic=True, random_state=1)
    assert not np.array_equal(one["pattern"], differs["pattern"])


@pytest.mark.parametrize("strategy", KINDS)
def test_pattern_is_the_elite_itself(logistic, strategy):
    """Patterns lie in the bounds, and the model's answer to one is the confidence kept."""
    patterns = extracted(logistic, strategy)
    values = patterns["pattern"].values
    assert values.min() >= 0
    assert values.max() <= 1
    assert patterns["pattern_confidence"].values == pytest.approx(patterns["confidence"].values)
    assert (patterns["pattern_prediction"] == patterns["prediction"]).all()
    asked = logistic.predict_proba(values.reshape(4, 36))
    assert np.diag(asked) == pytest.approx(patterns["confidence"].values, abs=1e-6)


@pytest.mark.parametrize("strategy", KINDS)
def test_trace_and_counts(logistic, strategy):
    """The trace has the start and each generation and ends at the result; queries are all."""
    patterns = extracted(logistic, strategy, max_iter=8)
    assert patterns["trace_iteration"].values.tolist() == list(range(9))
    assert (patterns["trace_confidence"][:, -1] == patterns["confidence"]).all()
    assert patterns["n_iter"].values.tolist() == [8] * 4
    assert patterns["n_queries"].values.tolist() == [9 * 30] * 4
    assert patterns["loss"].values == pytest.approx(-np.log(patterns["confidence"].values))


def test_queries_are_counted_and_limited():
    """The model is shown as many images as are recorded, and no more than allowed."""
    model = ByMean()
    with pytest.warns(PatternWarning, match="never"):
        patterns = extracted(
            model, EvolutionDirect(50), image_shape=(2, 2), max_iter=99, max_queries=120
        )
    # The core's own last look at the three patterns comes on top.
    assert model.asked == [50, 50, 20, 3]
    assert patterns["n_queries"].values.tolist() == [120] * 3
    assert patterns["stop_reason"].values.tolist() == ["max_queries"] * 3


def test_a_class_that_is_never_said():
    """Its cell keeps the best that was found, and is marked as not succeeded."""
    with pytest.warns(PatternWarning, match=r"1 of 3 .* never"):
        patterns = extracted(
            ByMean(), EvolutionDirect(50), image_shape=(2, 2), max_iter=60, min_confidence=0.9
        )
    assert patterns["succeeded"].values.tolist() == [True, True, False]
    assert patterns["confidence"].values[2] == pytest.approx(0.1, abs=1e-3)
    assert patterns["prediction"].values[2] != "never"
    assert patterns["stop_reason"].values[2] == "max_iter"


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
@pytest.mark.parametrize("kind", [EvolutionDirect, EvolutionCPPN])
def test_images_of_other_ranges(net, kind):
    """Bounds are those of all images, the first and the changed ones."""
    values = extracted(net, kind(30, bounds=(2.0, 5.0)))["pattern"].values
    assert values.min() >= 2
    assert values.max() <= 5
    assert values.min() < 2.5
    assert values.max() > 4.5


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_colour_images():
    """Three channels are drawn in hue, saturation and value, or each by itself."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3)).eval()
    found = [
        extracted(module, EvolutionCPPN(20, colour=colour), image_shape=(3, 4, 4), max_iter=3)
        for colour in ("hsv", "channels")
    ]
    assert found[0]["pattern"].shape == (3, 3, 4, 4)
    assert not np.array_equal(*(patterns["pattern"] for patterns in found))


def test_parameters_reach_the_search():
    """What is set is what pixels and networks are made and changed with."""
    flat = SimpleNamespace(input_shape=(12,))
    params = {"bounds": (-1.0, 2.0), "halve_every": 7, "eta": 3.0}
    pixels = EvolutionDirect(mutation_rate=0.3, **params)._encoding(flat)
    assert pixels == Pixels(n_pixels=12, rate=0.3, **params)
    nets = EvolutionCPPN(image_shape=(3, 2, 2), weight_power=0.7)._encoding(flat)
    assert (nets.shape, nets.hsv, nets.config.weight_mutate_power) == ((3, 2, 2), True, 0.7)
    nets = EvolutionCPPN(image_shape=(3, 4), bounds=(0.0, 9.0))._encoding(flat)
    assert (nets.shape, nets.hsv, nets.bounds) == ((1, 3, 4), False, (0.0, 9.0))
    nets = EvolutionCPPN(image_shape=(3, 2, 2), colour="channels")._encoding(flat)
    assert (len(nets.config.output_keys), nets.hsv) == (3, False)


def test_needs_probabilities(data):
    """A model that gives labels only cannot be evolved against, and the message says so."""
    ridge = RidgeClassifier().fit(data.X.reshape(4, 36), data.y)
    with pytest.raises(AdapterError, match=r"EvolutionDirect .* needs probabilities"):
        extracted(ridge, "evolution_direct", adapter="probabilities")


def test_cppn_needs_an_image(net):
    """Flat rows and shapes that do not fit are refused with what is missing."""
    rows = torch.nn.Linear(5, 3)
    with pytest.raises(ParameterError, match="a CPPN draws images"):
        pncviz.extract_patterns(rows, input_shape=(5,), strategy="evolution_cppn")
    with pytest.raises(ParameterError, match="a CPPN draws images"):
        extracted(net, EvolutionCPPN(image_shape=(5, 6)))


@pytest.mark.parametrize(
    "strategy, told",
    [
        (EvolutionDirect(0), "population"),
        (EvolutionDirect(2.5), "population"),
        (EvolutionDirect(bounds=None), "bounds"),
        (EvolutionDirect(bounds=(1, 0)), "bounds"),
        (EvolutionDirect(mutation_rate=0), "mutation_rate"),
        (EvolutionDirect(mutation_rate=1.1), "mutation_rate"),
        (EvolutionDirect(halve_every=0), "halve_every"),
        (EvolutionDirect(eta=-1), "eta"),
        (EvolutionCPPN(0), "population"),
        (EvolutionCPPN(weight_power=0), "weight_power"),
        (EvolutionCPPN(colour="rgb"), "colour"),
        (EvolutionCPPN(image_shape=28), "image_shape"),
        (EvolutionCPPN(image_shape=(28, 0)), "image_shape"),
    ],
)
def test_bad_parameters(net, strategy, told):
    """Each parameter is checked before any work, by name."""
    with pytest.raises(ParameterError, match=f"`{told}` must be"):
        extracted(net, strategy)


def test_a_classifier_that_fails():
    """An exception or NaN of the classifier ends the search, naming the classifier."""

    class Fails(ByMean):
        def predict_proba(self, X):
            raise RuntimeError("no such day")

    class NoNumbers(ByMean):
        def predict_proba(self, X):
            return super().predict_proba(X) * np.nan

    with pytest.raises(ModelError, match=r"Fails.predict_proba failed .* no such day"):
        extracted(Fails(), "evolution_direct", image_shape=(2, 2))
    with pytest.raises(ModelError, match=r"NoNumbers.predict_proba must give finite numbers"):
        extracted(NoNumbers(), "evolution_direct", image_shape=(2, 2))
