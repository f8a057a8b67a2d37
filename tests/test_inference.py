"""Nulls, p-values, intervals and reliability against exact cases and simulations."""

import math

import numpy as np
import pytest
import reference
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pncviz import positive_negative_contrast
from pncviz.dataset import build_patterns, common_attrs
from pncviz.exceptions import ParameterError
from pncviz.inference import (
    centred_interval,
    draw_p_values,
    identification_test,
    mean_interval,
    noise_ceiling,
    own_ranks,
    phase_null,
    phase_randomized,
    q_values,
    resampled_similarity,
    split_half_reliability,
)
from pncviz.inference.blocks import ContrastBlocks, PatternBlocks, half_weights
from pncviz.metrics import paired_similarity

OWN = np.arange(5)


# ------------------------------------------------------------------- identification


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_exact_identification_equals_all_assignments(seed):
    """Up to eight classes the p-value is the share of all assignments, counted one by one."""
    scores = np.random.default_rng(seed).normal(size=(5, 5)).round(1)  # with ties
    p, _ = identification_test(scores, OWN)
    assert float(p) == pytest.approx(reference.identification_p(scores.tolist()))


def test_perfect_identification_is_one_assignment():
    """If every pattern is like its own contrast only, one assignment of n! does as well."""
    p, hits_p = identification_test(np.eye(6), np.arange(6))
    assert float(p) == float(hits_p) == pytest.approx(1 / math.factorial(6))


def test_monte_carlo_never_gives_zero():
    """Of m permutations the least p is 1 / (m + 1)."""
    p, _ = identification_test(
        np.eye(12), np.arange(12), n_permutations=999, rng=np.random.default_rng(0)
    )
    assert float(p) == pytest.approx(1 / 1000)


def test_monte_carlo_is_near_the_exact():
    """Drawn permutations of nine classes give what all of eight give, had they been drawn."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(9, 9))
    p, _ = identification_test(scores, np.arange(9), n_permutations=40_000, rng=rng)
    order = [rng.permutation(9) for _ in range(40_000)]
    sums = np.array([scores[np.arange(9), columns].sum() for columns in order])
    assert float(p) == pytest.approx((sums >= np.trace(scores)).mean(), abs=0.01)


def test_identification_is_valid_without_signal():
    """Of patterns that have nothing to do with their classes, at most 5 % have p ≤ .05."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(2000, 6, 6)) + rng.normal(
        size=(2000, 1, 6)
    )  # some contrasts draw all
    p, hits_p = identification_test(scores, np.arange(6))
    assert 0.035 < (p <= 0.05).mean() < 0.065
    assert (hits_p <= 0.05).mean() < 0.065  # discrete, so below


def test_patterns_of_some_classes():
    """Two patterns among four contrasts: 1 of 4 · 3 assignments is as good as a perfect one."""
    scores = np.eye(4)[[2, 0]]
    p, _ = identification_test(scores, np.array([2, 0]))
    assert float(p) == pytest.approx(1 / 12)


def test_ranks_count_ties_against():
    """The own class is behind everything that is as near."""
    scores = np.array([[0.3, 0.2, 0.1], [0.5, 0.5, 0.1], [0.9, 0.8, 0.7]])
    assert own_ranks(scores, np.arange(3)).tolist() == [1, 2, 3]


# --------------------------------------------------------------------------- phases


def test_surrogates_keep_spectrum_and_mean():
    """Phase-randomised images have the spectrum and the mean of the original, and are real."""
    rng = np.random.default_rng(0)
    for shape in [(2, 3, 7, 6), (1, 1, 8, 8)]:
        images = rng.normal(size=shape)
        others = phase_randomized(images, 4, rng)
        power = np.abs(np.fft.fft2(images))
        for other in others:
            np.testing.assert_allclose(np.abs(np.fft.fft2(other)), power, atol=1e-9)
            np.testing.assert_allclose(other.mean((-2, -1)), images.mean((-2, -1)), atol=1e-12)
        assert np.abs(others[0] - images).max() > 0.1


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 7, 9), (3, 6, 5)])
@pytest.mark.parametrize("metric", ["pearson", "cosine"])
def test_products_equal_images(metric, shape):
    """The similarity drawn without making images is that of the images."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 2, *shape)) + 0.3
    fast = phase_null(a, b, metric, n_draws=5, rng=np.random.default_rng(7))
    images = phase_randomized(a, 5, np.random.default_rng(7))
    slow = [paired_similarity(draw, b, metric) for draw in images]
    np.testing.assert_allclose(fast, slow, atol=1e-9)


def test_surrogates_are_the_plain_formula():
    """One draw equals turning each Fourier coefficient by its phase."""
    image = np.random.default_rng(0).normal(size=(6, 6))
    drawn = phase_randomized(image[None, None], 1, np.random.default_rng(3))[0, 0, 0]
    noise = np.fft.fft2(np.random.default_rng(3).normal(size=(1, 6, 6)))[0]
    phases = noise / np.abs(noise)
    phases[0, 0] = 1
    np.testing.assert_allclose(drawn, reference.phase_randomized(image, phases), atol=1e-9)


def test_other_metrics_see_surrogates():
    """A metric that is no product is computed on the images themselves."""
    image = np.random.default_rng(0).normal(size=(1, 1, 8, 8))
    draws = phase_null(image, image, "ssim", n_draws=3, rng=np.random.default_rng(7))
    images = phase_randomized(image, 3, np.random.default_rng(7))
    expected = [[paired_similarity(one, image, "ssim")[0]] for one in images]
    np.testing.assert_allclose(draws, expected)


def test_tables_have_no_phases():
    """Features have no neighbours, so their phases mean nothing."""
    table = np.ones((2, 5))
    with pytest.raises(ParameterError, match="the features of a table have no neighbours"):
        phase_null(table, table, "pearson", n_draws=2, rng=np.random.default_rng(0))


# ------------------------------------------------------------------------- p and q


def test_p_values_count_ties_and_the_observation():
    """P is (b + 1) / (m + 1), where draws as large as the observation count."""
    draws = np.array([[0.1], [0.5], [0.9]])
    assert draw_p_values(np.array([0.5]), draws)[0] == pytest.approx(3 / 4)
    assert draw_p_values(np.array([2.0]), draws)[0] == pytest.approx(1 / 4)


def test_q_values_equal_the_step_up_rule():
    """False discovery control over the last axis, checked by hand."""
    p = np.random.default_rng(0).random((3, 10)) ** 2
    np.testing.assert_allclose(q_values(p), [reference.benjamini_hochberg(row) for row in p])


# --------------------------------------------------------------- blocks and halves


def make_patterns(blocks, *, mean=False):
    """Patterns (one label) from blocks (n_blocks, n_features), each of two examples."""
    rates = ["confidence", "loss", "success_rate", "pattern_confidence"]
    one = {name: [1.0] for name in rates}
    n = np.full(len(blocks), 2)
    total = blocks.sum(axis=0) / (n.sum() if mean else 1)
    return build_patterns(
        pattern=total[None], labels=[0], image_shape=(blocks.shape[-1],), **one, n_iter=[1],
        prediction=[0], pattern_prediction=[0], stop_reason=["max_iter"],
        attrs=common_attrs("patterns", parameters={}), block=blocks[:, None], n_block=n,
    )  # fmt: skip


@pytest.fixture
def data():
    """Two classes of noisy samples in 30 features, of unequal size."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [130, 70])
    return rng.normal(size=(200, 30)) + np.outer(y, np.linspace(-1, 1, 30)), y


@pytest.mark.parametrize("normalize", ["minmax", None])
def test_all_blocks_once_is_the_contrast(data, normalize):
    """Weights of 1 give back the contrast itself."""
    contrasts = positive_negative_contrast(*data, normalize=normalize)
    blocks = ContrastBlocks(contrasts)
    (again,) = blocks.images(np.ones((1, 2, 20)))
    np.testing.assert_allclose(again[0], contrasts["contrast"].values, atol=1e-12)


@pytest.mark.parametrize("mean", [False, True])
def test_all_blocks_once_is_the_pattern(mean):
    """Weights of 1 give back the pattern, whether it is a sum or a mean."""
    sums = np.random.default_rng(0).normal(size=(6, 9))
    patterns = make_patterns(sums, mean=mean)
    blocks = PatternBlocks(patterns)
    (again,) = blocks.images(np.ones((1, 1, 6)))
    np.testing.assert_allclose(again[0], patterns["pattern"].values, atol=1e-12)


def test_resampled_rows_equal_a_refit(data):
    """A contrast from weighted block sums equals one fitted on the samples so repeated."""
    X, y = data
    contrasts = positive_negative_contrast(X, y, n_blocks=5)
    weights = np.array([[[2, 0, 1, 1, 1], [0, 3, 0, 1, 1]]], dtype=float)
    (fast,) = ContrastBlocks(contrasts).images(weights)
    turn = np.concatenate([np.arange(130) % 5, np.arange(70) % 5])
    times = weights[0][y, turn].astype(int)
    slow = positive_negative_contrast(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose(fast[0], slow["contrast"].values, atol=1e-9)


def test_halves_are_disjoint_and_whole():
    """Each filled block is in exactly one half; halves differ by at most one block."""
    filled = np.array([[True] * 6, [True, False, True, True, False, False]])
    first, second = half_weights(filled, 50, np.random.default_rng(0))
    np.testing.assert_array_equal(first + second, np.broadcast_to(filled, first.shape))
    assert np.abs(first.sum(-1) - second.sum(-1)).max() <= 1
    assert len(np.unique(first[:, 0], axis=0)) > 10


def test_reliability_of_known_signal():
    """Signal variance s², noise variance 1 / n: reliability is s² / (s² + 1 / n)."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=4000)
    blocks = 2 * signal + rng.normal(size=(20, 4000)) * math.sqrt(2)  # two examples each, noise 1
    for scale, expected in [(1.0, 1 / (1 + 1 / 40)), (0.1, 0.01 / (0.01 + 1 / 40))]:
        noisy = make_patterns(blocks - 2 * signal * (1 - scale))
        found = split_half_reliability(noisy)
        assert float(found[0]) == pytest.approx(expected, abs=0.03)


def test_reliability_unknown_without_blocks(data):
    """Without blocks, or for a metric without Spearman's formulas, reliability is NaN."""
    X, y = data
    assert np.isnan(split_half_reliability(positive_negative_contrast(X, y, n_blocks=0))).all()
    assert np.isnan(split_half_reliability(positive_negative_contrast(X, y), "nmi")).all()
    few = positive_negative_contrast(X[[0, 1, -1]], y[[0, 1, -1]])  # class 1 has one sample
    assert np.isnan(split_half_reliability(few)).tolist() == [False, True]


def test_ceiling_is_reached_by_the_same_signal():
    """Two noisy copies of one signal correlate, on average, as high as their ceiling."""
    rng = np.random.default_rng(0)
    r, ceilings = [], []
    for _ in range(30):
        signal = rng.normal(size=500)
        one, other = (2 * signal + 6 * rng.normal(size=(20, 500)) for _ in range(2))
        both = [make_patterns(blocks) for blocks in (one, other)]
        r.append(np.corrcoef(*(p["pattern"].values[0] for p in both))[0, 1])
        ceilings.append(noise_ceiling(*(split_half_reliability(p) for p in both))[0])
    assert np.mean(r) == pytest.approx(np.mean(ceilings), abs=0.01)


def coverage(n_blocks, noise, n_repeats=200):
    """How often the interval of one experiment holds the mean similarity of all of them."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=60)
    truth = signal + rng.normal(size=60)
    template = xr.Dataset(
        {"contrast": (("label", "feature"), truth[None])}, {"label": [0]}, {"kind": "contrasts"}
    )
    observed, lower, upper = [], [], []
    for _ in range(n_repeats):
        patterns = make_patterns(signal + noise * rng.normal(size=(n_blocks, 60)))
        draws, n, over = resampled_similarity(
            patterns, template, ["pearson"], n_resamples=300, rng=rng
        )
        assert over == "examples"
        r = paired_similarity(patterns["pattern"].values, truth[None])
        low, high = centred_interval(r, draws[0], "pearson", n_blocks=n)
        observed.append(r[0])
        lower.append(low[0])
        upper.append(high[0])
    mean = np.tanh(np.arctanh(observed).mean())
    return np.mean((np.array(lower) <= mean) & (mean <= np.array(upper)))


@pytest.mark.parametrize("n_blocks, noise", [(20, 1.0), (20, 4.0), (6, 2.0)])
def test_interval_covers(n_blocks, noise):
    """A 95 % interval holds the mean of repetitions about 95 times of 100, at any noise."""
    assert 0.91 <= coverage(n_blocks, noise) <= 0.985


def test_nothing_to_resample_is_told(data):
    """Without blocks there are no draws, and no invented interval."""
    X, y = data
    contrasts = positive_negative_contrast(X, y, n_blocks=0)
    patterns = make_patterns(np.ones((1, 30)) * np.arange(30)).drop_vars(
        ["pattern_block", "n_block"]
    )
    draws, n, over = resampled_similarity(
        patterns, contrasts, ["pearson"], n_resamples=10, rng=np.random.default_rng(0)
    )
    assert (n, over) == (0, "none")
    assert np.isnan(draws).all()


def test_mean_over_seeds_covers():
    """The interval of a mean over ten seeds holds the true mean about 95 times of 100."""
    values = np.random.default_rng(0).normal(0.4, 0.1, size=(400, 10))
    found = mean_interval(xr.DataArray(values, dims=("case", "seed")), n_resamples=2000)
    np.testing.assert_allclose(found["mean"], values.mean(axis=1))
    covered = float(((found["lower"] <= 0.4) & (found["upper"] >= 0.4)).mean())
    assert 0.92 <= covered <= 0.98
    for n in (2, 3, 5):
        few = mean_interval(xr.DataArray(values[:, :n], dims=("case", "seed")))
        assert 0.92 <= float(((few["lower"] <= 0.4) & (few["upper"] >= 0.4)).mean()) <= 0.98
    with pytest.raises(ParameterError, match="`n_resamples` must be a positive integer, got 0"):
        mean_interval(xr.DataArray([0.3, 0.4], dims="seed"), n_resamples=0)
    with pytest.raises(ParameterError, match="two or more along `seed`, got 1"):
        mean_interval(xr.DataArray([0.3], dims="seed"))


@pytest.fixture
def unequal():
    """Three classes of 1, 40 and 400 noisy samples."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [1, 40, 400])
    return rng.normal(size=(441, 30)) + np.outer(y, np.linspace(-1, 1, 30)), y


def zero_patterns(n):
    """Patterns without blocks, one per class."""
    rates = ["confidence", "loss", "success_rate", "pattern_confidence"]
    return build_patterns(
        pattern=np.random.default_rng(1).normal(size=(n, 30)), labels=range(n), image_shape=(30,),
        **{name: np.ones(n) for name in rates}, n_iter=[1] * n, prediction=[0] * n,
        pattern_prediction=[0] * n, stop_reason=["max_iter"] * n,
        attrs=common_attrs("patterns", parameters={}),
    )  # fmt: skip


def test_a_small_class_takes_nothing_from_the_others(unequal):
    """A class of one sample has no interval and no reliability; the others keep theirs."""
    contrasts = positive_negative_contrast(*unequal)
    draws, n, over = resampled_similarity(
        zero_patterns(3), contrasts, ["pearson"], n_resamples=50, rng=np.random.default_rng(0)
    )
    assert (n, over) == (20, "rows")
    assert np.isnan(draws[0]).all(axis=0).tolist() == [True, False, False]
    assert np.isnan(split_half_reliability(contrasts)).tolist() == [True, False, False]


def test_a_selection_of_classes_cannot_be_resampled(unequal):
    """Without the other classes there are no negatives, so nothing is invented."""
    contrasts = positive_negative_contrast(*unequal).sel(label=[1, 2])
    patterns = zero_patterns(3).sel(label=[1, 2])
    draws, n, over = resampled_similarity(
        patterns, contrasts, ["pearson"], n_resamples=5, rng=np.random.default_rng(0)
    )
    assert (n, over) == (0, "none")
    assert np.isnan(draws).all()
    assert np.isnan(split_half_reliability(contrasts)).all()


def test_blocks_of_one_case_only(unequal):
    """A leading dimension is named rather than broadcast."""
    patterns = make_patterns(np.random.default_rng(0).normal(size=(6, 9))).expand_dims(seed=2)
    with pytest.raises(ParameterError, match="select one of `seed` first"):
        split_half_reliability(patterns)


def test_ties_of_another_precision_are_ties():
    """A draw that is the observation up to float32 rounding counts."""
    draws = np.array([[0.3], [0.2]], dtype=np.float32)
    assert draw_p_values(np.array([0.3 + 1e-8]), draws)[0] == pytest.approx(2 / 3)
    infinite = np.array([[np.inf], [1.0]])
    assert draw_p_values(np.array([np.inf]), infinite)[0] == pytest.approx(2 / 3)


def test_infinite_similarities_are_the_largest():
    """An infinite score beats any sum of finite ones, and p stays that of the ranks."""
    scores = np.where(np.eye(5) > 0, np.inf, 100 * np.random.default_rng(0).random((5, 5)))
    p, _ = identification_test(scores, OWN)
    assert float(p) == pytest.approx(1 / 120)
    p, _ = identification_test(np.where(np.eye(5) > 0, -np.inf, 0.0), OWN)
    assert float(p) == pytest.approx(1)


def test_intervals_stay_in_range_and_are_not_invented():
    """An angle stays above 0, and a metric in bins or an infinite value has no interval."""
    rng = np.random.default_rng(0)
    draws = np.abs(rng.normal(1, 0.5, size=(500, 1)))
    low, high = centred_interval(np.array([1.0]), draws, "angle", n_blocks=20)
    assert low[0] == 0 < 1 < high[0]
    assert np.isnan(centred_interval(np.array([1.2]), draws, "nmi", n_blocks=20)).all()
    low, high = centred_interval(np.array([np.inf]), draws, "psnr", n_blocks=20)
    assert np.isnan([low[0], high[0]]).all()


def test_a_tie_is_no_hit_in_the_test_of_hits():
    """One hit, one tie, one miss: three of six assignments have a hit at least."""
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    _, hits_p = identification_test(scores, np.arange(3))
    assert float(hits_p) == pytest.approx(1 / 2)


def test_too_few_samples_are_held_fixed(unequal):
    """A class of three wild samples is not resampled, so the others do not shake with it."""
    X, y = unequal
    rng = np.random.default_rng(2)
    X, y = np.concatenate([X[1:], 1e4 * rng.normal(size=(3, 30))]), np.append(y[1:], [0, 0, 0])
    draws, _, _ = resampled_similarity(
        zero_patterns(3), positive_negative_contrast(X, y), ["pearson"], n_resamples=100, rng=rng
    )
    assert np.isnan(draws[0, :, 0]).all()
    assert draws[0, :, 2].std() < 0.005
