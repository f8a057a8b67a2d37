"""Whole runs: what datasets of evolution hold, and all kinds of fooling images."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier

import pncviz
from pncviz.exceptions import AdapterError, ParameterError
from pncviz_fooling import EvolutionCPPN, EvolutionDirect, evolve, fooling_images

ARGS = {"image_shape": (6, 6), "random_state": 0}


@pytest.fixture(scope="module")
def data():
    return pncviz.load_dataset("tiling")


@pytest.fixture(scope="module")
def logistic(data):
    return LogisticRegression(C=10).fit(data.X.reshape(4, 36), data.y)


@pytest.fixture(scope="module")
def linear():
    """A seeded softmax regression with gradients."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = torch.nn.Linear(36, 3)
    layer.weight.data *= 8
    return torch.nn.Sequential(torch.nn.Flatten(), layer).eval()


@pytest.fixture(scope="module")
def elites(logistic):
    return evolve(logistic, n_generations=12, population=40, **ARGS)


def test_generations(elites):
    """Quartiles over classes, images judged and the generation of each elite, by definition."""
    trace = elites["trace_confidence"].values
    assert elites["generation"].values.tolist() == list(range(13))
    for name, share in [("lower", 25), ("median", 50), ("upper", 75)]:
        wanted = [np.percentile(trace[:, g], share) for g in range(13)]
        assert elites[f"{name}_confidence"].values == pytest.approx(wanted)
    assert elites["generation_queries"].values.tolist() == [40 * (g + 1) for g in range(13)]
    for row, found in zip(trace, elites["found_at"].values, strict=True):
        assert (row[found:] == row[-1]).all()
        assert (row[:found] < row[-1]).all()
    assert elites["found_at"].max() > 0


def test_is_extract_patterns(elites, logistic):
    """Everything else is what extract_patterns gives for the strategy."""
    strategy = EvolutionDirect(40)
    patterns = pncviz.extract_patterns(logistic, strategy=strategy, max_iter=12, **ARGS)
    assert (
        elites[list(patterns.data_vars)].drop_vars("generation", errors="ignore").equals(patterns)
    )


def test_saved_and_loaded(elites, tmp_path):
    """A file gives back everything."""
    pncviz.save(elites, tmp_path / "elites.nc")
    assert pncviz.load(tmp_path / "elites.nc").identical(elites)


def test_cppn_of_flat_inputs(logistic):
    """The image shape given also tells the networks what to draw."""
    params = ARGS | {"n_generations": 3, "input_shape": (36,)}
    drawn = evolve(logistic, encoding="cppn", population=20, **params)
    strategy = EvolutionCPPN(20, image_shape=(6, 6))
    same = evolve(logistic, encoding=strategy, **params)
    assert drawn["pattern"].equals(same["pattern"])


def test_cut_generation_is_counted(logistic):
    """With a limit, the last generation's count is the limit."""
    cut = evolve(logistic, n_generations=9, population=40, max_queries=100, **ARGS)
    assert cut["generation_queries"].values.tolist() == [40, 80, 100]


@pytest.mark.parametrize(
    "params, told",
    [
        ({"encoding": "pixels"}, "`encoding` must be"),
        ({"encoding": "zero"}, "`encoding` must be"),
        ({"encoding": EvolutionDirect(), "population": 3}, "`population` is a parameter of"),
        ({"population": 0}, "`population` must be a positive integer"),
        ({"n_generations": 0}, "`max_iter` must be"),
    ],
)
def test_bad_parameters(logistic, params, told):
    """What is wrong is named."""
    with pytest.raises(ParameterError, match=told):
        evolve(logistic, **ARGS, **params)


def test_fooling_images_are_those_of_each_kind(linear):
    """Each kind stands under its name, as it is when made alone."""
    params = ARGS | {"population": 40, "n_generations": 30, "min_confidence": 0.9}
    images = fooling_images(linear, **params)
    assert images["strategy"].values.tolist() == [
        "evolution_direct",
        "evolution_cppn",
        "gradient_ascent",
    ]
    assert images["pattern"].min() >= 0
    assert images["pattern"].max() <= 1
    assert (images["confidence"].sel(strategy="gradient_ascent") >= 0.9).all()
    alone = fooling_images(linear, kinds=["evolution_cppn"], **params)
    assert np.array_equal(alone["pattern"][0], images["pattern"].sel(strategy="evolution_cppn"))
    assert (images["prediction"] == images["label"]).all()


def test_fooling_images_of_a_forest_have_no_gradients(data):
    """A model without gradients gets what it can have, and is told what it cannot."""
    ridge = RidgeClassifier().fit(data.X.reshape(4, 36), data.y)
    with pytest.raises(AdapterError, match=r"GradientAscent .* needs gradients"):
        fooling_images(ridge, kinds=["gradient_ascent"], adapter="probabilities", **ARGS)


@pytest.mark.parametrize("kinds", ["gradient_ascent", [], ["noise"], ["gradient_ascent"] * 2])
def test_unknown_kinds(linear, kinds):
    """Kinds are a sequence of known names, each once."""
    with pytest.raises(ParameterError, match="`kinds` must be a sequence of"):
        fooling_images(linear, kinds=kinds, **ARGS)


def test_import_is_light():
    """Importing the plugin loads neither neat-python nor torch nor xarray."""
    code = (
        "import sys, pncviz_fooling; pncviz_fooling.pncviz_strategies(); "
        "print([n for n in ('neat', 'torch', 'xarray', 'skimage') if n in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_steps_of_gradient_ascent(linear):
    """Number and length of its steps are those asked for: weights are added, cut at black."""
    images = fooling_images(
        linear,
        kinds=["gradient_ascent"],
        n_steps=3,
        learning_rate=0.001,
        min_confidence=None,
        **ARGS,
    )
    assert (images["n_iter"] == 3).all()
    weight = linear[1].weight.detach().numpy()
    wanted = np.maximum(weight * 0.003, 0)
    assert images["pattern"].values.reshape(3, 36) == pytest.approx(wanted, abs=1e-6)
