"""Nulls where there is nothing to find: p ≤ .05 in five of a hundred, where they promise so."""

import numpy as np
import pytest
from scipy.stats import binomtest

from pncviz import AdversarialPatternExtractor, calibrate_null, make_classifier
from pncviz.exceptions import ParameterError
from pncviz.nulls.experiment import Case, Draws, make_experiment


@pytest.mark.slow
def test_matched_cells_keep_their_level(digits):
    """In every matched cell the interval of the share of p ≤ .05 contains .05, of 1000 nets.

    Nine intervals of 95 % would all hold it in 63 of 100 experiments only, so these hold together.
    """
    net = make_classifier("fc", hidden=[30], max_epochs=5, batch_size=128)
    found = calibrate_null(
        net, digits.X, digits.y, n_draws=1999, max_iter=100, sigma=1.0, random_state=0
    )
    assert found.attrs["parameters"].count('"n": 1000') == 1
    print(found["share"].to_pandas().round(3).to_string())
    shares = found["share"].values[found["matched"].values]
    assert len(shares) == 9
    for share in shares:
        hits = binomtest(round(1000 * share), 1000)
        low, high = hits.proportion_ci(confidence_level=1 - 0.05 / len(shares))
        assert low <= 0.05 <= high
    naive = found["share"].sel(null="naive per pixel", case="stationary noise")
    assert float(naive) > 0.1  # what the textbook's p-value is worth on smooth images


@pytest.fixture(scope="module")
def experiment(digits):
    """A small one."""
    net = make_classifier("fc", hidden=[8], max_epochs=1)
    params = {"max_iter": 50, "verbose": 0}
    return make_experiment(net, digits.X, digits.y, 6, 4, 1.0, np.random.default_rng(0), params)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_observations_are_not_their_own_draws(experiment):
    """What is tested is none of what it is tested against."""
    cases, draws, shape = experiment
    assert isinstance(draws, Draws)
    assert shape == (1, 8, 8)
    for case, drawn in [(cases[2], draws.untrained), (cases[3], draws.shuffled_models)]:
        assert isinstance(case, Case)
        assert case.patterns.shape == (6, 10, 64)
        assert drawn.shape == (4, 10, 64)
        products = np.einsum("nkf,mkf->nmk", case.patterns, drawn)
        assert np.abs(products).max() < 0.9999
    products = np.einsum("nkf,mkf->nmk", cases[4].contrasts, draws.shuffled_contrasts)
    assert np.abs(products).max() < 0.9999


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_noise_lies_where_it_should(experiment, digits):
    """Confined noise is constant where no sample has ink; stationary noise is not."""
    cases, _, _ = experiment
    unused = digits.X.std(axis=0).ravel() == 0
    assert unused.any()
    confined = cases[1].patterns[:, :, unused]
    assert np.allclose(confined, confined[..., :1])
    assert cases[0].patterns[:, :, unused].std() > 0.01


def test_wrong_numbers_and_tables(digits):
    """Counts below one, levels out of bounds and tables are named."""
    net = make_classifier("fc", hidden=[4], max_epochs=1)
    with pytest.raises(ParameterError, match="`n` must be a positive integer, got 0"):
        calibrate_null(net, digits.X, digits.y, n=0)
    with pytest.raises(ParameterError, match="`alpha` must be between 0 and 1, got 5"):
        calibrate_null(net, digits.X, digits.y, alpha=5)
    with pytest.raises(ParameterError, match="`sigma` must be a positive number, got -1"):
        calibrate_null(net, digits.X, digits.y, sigma=-1)
    flat = digits.X.reshape(len(digits.X), -1)
    with pytest.raises(ParameterError, match="needs images; give `image_shape`"):
        calibrate_null(net, flat, digits.y, n=2, n_draws=2, max_iter=5)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_the_callers_extractor_is_left_alone(digits):
    """An extractor is neither fitted nor seeded, and its image shape serves flat samples."""
    net = make_classifier("fc", hidden=[4], max_epochs=1)
    extractor = AdversarialPatternExtractor(net, image_shape=(8, 8), max_iter=5)
    flat = digits.X.reshape(len(digits.X), -1)
    found = calibrate_null(extractor, flat, digits.y, n=2, n_draws=2, random_state=0)
    assert found["share"].shape == (6, 5)
    assert not hasattr(extractor, "patterns_")
    assert extractor.random_state is None
