"""ROC: against scikit-learn, the pairs themselves, simulations, and the normal model."""

from __future__ import annotations

import numpy as np
import pytest
from detection_reference import plain_delong
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score, roc_curve

from pncviz.exceptions import DataError, ParameterError
from pncviz.inference import proportion_interval
from pncviz_detection import detection_roc
from pncviz_detection.roc import _auc_interval, delong


def draw(n, m, seed=0, shift=1.0, levels=None):
    """Draw scores of natural and adversarial inputs, in steps if wished."""
    rng = np.random.default_rng(seed)
    natural, adversarial = rng.normal(shift, 1, n), rng.normal(0, 1.5, m)
    if levels:
        natural, adversarial = (np.round(x * levels) / levels for x in (natural, adversarial))
    return natural, adversarial


def labelled(natural, adversarial):
    """Labels and scores as scikit-learn takes them: adversarial is positive."""
    truth = np.repeat([0, 1], [len(natural), len(adversarial)])
    return truth, -np.concatenate([natural, adversarial])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 2**31), st.sampled_from([None, 1, 3]))
def test_delong_is_by_pairs(n, m, seed, levels):
    """Area and error are those of all pairs, ties too; the area is scikit-learn's."""
    natural, adversarial = draw(n, m, seed, levels=levels)
    auc, error = delong(natural, adversarial)
    expected = plain_delong(natural, adversarial)
    assert auc == pytest.approx(expected[0], abs=1e-12)
    assert error == pytest.approx(expected[1], abs=1e-12)
    assert auc == pytest.approx(roc_auc_score(*labelled(natural, adversarial)), abs=1e-12)


def test_delong_is_like_the_bootstrap():
    """The standard error is about that of resampled inputs."""
    natural, adversarial = draw(150, 90)
    rng, areas = np.random.default_rng(1), []
    for _ in range(1500):
        one, other = (rng.choice(x, len(x)) for x in (natural, adversarial))
        areas.append(delong(one, other)[0])
    assert delong(natural, adversarial)[1] == pytest.approx(np.std(areas), rel=0.08)


def test_delong_interval_covers():
    """Of 600 repetitions, about 95 % of the intervals hold the true area."""
    true = norm.cdf(1 / np.sqrt(1 + 1.5**2))
    inside = 0
    for seed in range(600):
        low, high = _auc_interval(*delong(*draw(60, 50, seed)), 50, 0.95)
        inside += low <= true <= high
    assert binomtest(inside, 600, 0.95).pvalue > 1e-3


def test_interval_is_normal_and_within_bounds():
    """The interval is the area plus and minus quantiles of the error, cut at 0 and 1."""
    natural, adversarial = draw(30, 40)
    found = detection_roc(natural, adversarial, confidence_level=0.9)
    auc, error = plain_delong(natural, adversarial)
    assert float(found["auc"]) == pytest.approx(auc)
    assert float(found["auc_error"]) == pytest.approx(error)
    assert float(found["auc_lower"]) == pytest.approx(auc - 1.6448536 * error)
    assert float(found["auc_upper"]) == pytest.approx(auc + 1.6448536 * error)
    near = detection_roc([1.0, 3.0, 4.0, 5.0], [0.0, 0.5, 0.6, 2.0])
    assert float(near["auc"]) == 15 / 16
    assert float(near["auc_upper"]) == 1.0


def test_no_overlap_is_not_certainty():
    """Scores that are all apart get the interval of so many pairs all in order."""
    found = detection_roc(np.arange(10.0) + 100, np.arange(20.0))
    assert float(found["auc"]) == 1.0
    assert float(found["auc_upper"]) == 1.0
    assert float(found["auc_lower"]) == pytest.approx(0.025 ** (1 / 10))
    worst = detection_roc(np.arange(10.0), np.arange(20.0) + 100)
    assert float(worst["auc_upper"]) == pytest.approx(1 - 0.025 ** (1 / 10))
    assert float(worst["auc_lower"]) == 0.0


@pytest.mark.parametrize("levels", [None, 2])
def test_curve_is_that_of_scikit_learn(levels):
    """Every corner of the curve is one of scikit-learn's, and the area beneath it is the AUC."""
    natural, adversarial = draw(70, 50, levels=levels)
    found = detection_roc(natural, adversarial)
    false, true = found["false_positive_rate"].values, found["true_positive_rate"].values
    f, t, _ = roc_curve(*labelled(natural, adversarial), drop_intermediate=False)
    np.testing.assert_allclose(np.interp(np.unique(f), f, t), np.interp(np.unique(f), false, true))
    known = set(zip(f.round(9).tolist(), t.round(9).tolist(), strict=True))
    assert set(zip(false.round(9).tolist(), true.round(9).tolist(), strict=True)) <= known
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true, false) == pytest.approx(float(found["auc"]))
    for threshold, rate, hits in zip(found["threshold"].values, false, true, strict=True):
        assert rate == pytest.approx((natural < threshold).mean())
        assert hits == pytest.approx((adversarial < threshold).mean())


def test_pointwise_band_is_wilson():
    """At each threshold the band is Wilson's interval of the adversarial inputs."""
    found = detection_roc(*draw(40, 25), confidence_level=0.8)
    hits = np.rint(found["true_positive_rate"].values * 25).astype(int)
    low, high = proportion_interval(hits, 25, confidence_level=0.8)
    np.testing.assert_allclose(found["true_positive_lower"], low)
    np.testing.assert_allclose(found["true_positive_upper"], high)


def test_simultaneous_band_holds_the_curve():
    """In at least 95 % of repetitions the whole true curve is within the band."""
    inside, n = 0, 200
    for seed in range(n):
        found = detection_roc(*draw(60, 80, seed), band="simultaneous", at=(0.05,))
        false = found["false_positive_rate"].values
        # The true rate of adversarial inputs where natural ones are below with this rate.
        true = norm.cdf(norm.ppf(false, 1.0, 1.0) / 1.5)
        low, high = found["true_positive_lower"].values, found["true_positive_upper"].values
        inside += bool(((low <= true + 1e-12) & (true <= high + 1e-12)).all())
        assert (low <= found["true_positive_rate"].values).all()
        assert (high >= found["true_positive_rate"].values).all()
    assert inside / n >= 0.95
    # It is a bound, yet not an empty one.
    assert float((found["true_positive_upper"] - found["true_positive_lower"]).min()) < 0.5


def test_simultaneous_band_by_hand():
    """With margins from Massart's bound, the band is the curve moved by them."""
    natural, adversarial = np.arange(1000.0), np.arange(1000.0) - 300.5
    found = detection_roc(natural, adversarial, band="simultaneous")
    margin = np.sqrt(np.log(2 / (1 - np.sqrt(0.95))) / 2000)
    false = found["false_positive_rate"].values
    true = np.minimum(1, false + 0.301)

    def curve(x):
        return np.clip(np.minimum(1.0, x + 0.301), 0, 1) * (x >= 0)

    # Corners lie a thousandth apart, so the bounding corner may be one further off.
    low, high = found["true_positive_lower"].values, found["true_positive_upper"].values
    np.testing.assert_allclose(low, np.maximum(curve(false - margin) - margin, 0), atol=0.0021)
    np.testing.assert_allclose(high, np.minimum(curve(false + margin) + margin, 1), atol=0.0021)
    assert (true >= low).all()


def test_detected_at_false_alarms():
    """The threshold is the greatest that keeps the rate, and the share is Wilson's."""
    natural, adversarial = draw(200, 60)
    found = detection_roc(natural, adversarial, at=(0.01, 0.05, 0.5))
    for i, rate in enumerate((0.01, 0.05, 0.5)):
        threshold = float(found["detection_threshold"][i])
        assert (natural < threshold).mean() <= rate
        above = np.sort(natural)[np.searchsorted(np.sort(natural), threshold) + 1]
        assert (natural < above).mean() > rate
        hits = int((adversarial < threshold).sum())
        assert float(found["detected"][i]) == pytest.approx(hits / 60)
        low, high = proportion_interval(hits, 60)
        assert float(found["detected_lower"][i]) == pytest.approx(float(low))
        assert float(found["detected_upper"][i]) == pytest.approx(float(high))
    exact = detection_roc(np.arange(10.0), np.arange(10.0), at=(0.3,))
    assert float(exact["detection_threshold"][0]) == 3.0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_only_order_counts(seed):
    """A rising function of the scores changes nothing but thresholds; swapping kinds mirrors."""
    natural, adversarial = draw(25, 30, seed, levels=4)
    one = detection_roc(natural, adversarial)
    other = detection_roc(np.exp(natural), np.exp(adversarial))
    for name in ("auc", "auc_lower", "auc_error", "true_positive_rate", "detected"):
        np.testing.assert_allclose(one[name].values, other[name].values)
    back = detection_roc(adversarial, natural)
    assert float(back["auc"]) == pytest.approx(1 - float(one["auc"]))
    assert float(back["auc_error"]) == pytest.approx(float(one["auc_error"]))


def test_minus_infinity_is_a_score():
    """Inputs without any density are the least natural, all alike."""
    found = detection_roc([0.0, 1.0, -np.inf], [-np.inf, -np.inf, 0.5])
    assert float(found["auc"]) == pytest.approx((3 + 2 + 2 * 0.5) / 9)
    assert float(found["true_positive_rate"].max()) == 1.0


@pytest.mark.parametrize(("n", "m"), [(1, 2), (3, 1), (1, 1)])
def test_a_single_input_is_refused(n, m):
    """With one input of a kind the error is not known, so there is no interval to give."""
    with pytest.raises(DataError, match=f"got {n} natural and {m} adversarial"):
        detection_roc(np.arange(n), np.arange(m))


def test_ties_are_not_certainty():
    """Scores that are all tied get the interval of so many pairs all tied."""
    found = detection_roc(np.zeros(10), np.zeros(20))
    share = 0.025 ** (1 / 10)  # at least so many of all pairs are tied
    assert float(found["auc"]) == 0.5
    assert float(found["auc_lower"]) == pytest.approx(share / 2)
    assert float(found["auc_upper"]) == pytest.approx(1 - share / 2)


@pytest.mark.parametrize(
    ("natural", "adversarial", "given", "error", "match"),
    [
        ([], [1.0], {}, DataError, r"`natural_scores` must be a row of numbers, got shape \(0,\)"),
        ([1.0], [[1.0]], {}, DataError, "`adversarial_scores` must be a row"),
        ([np.nan], [1.0], {}, DataError, "`natural_scores` contain NaN or infinity"),
        ([1.0], [np.inf], {}, DataError, "`adversarial_scores` contain NaN or infinity"),
        (["a"], [1.0], {}, DataError, "`natural_scores` must be numbers"),
        (
            [1.0, 2.0],
            [1.0, 2.0],
            {"confidence_level": 1.0},
            ParameterError,
            "`confidence_level` must be",
        ),
        (
            [1.0, 2.0],
            [1.0, 2.0],
            {"at": (0.0,)},
            ParameterError,
            "`at` must be between 0 and 1, got 0.0",
        ),
        (
            [1.0, 2.0],
            [1.0, 2.0],
            {"band": "wide"},
            ParameterError,
            "one of pointwise, simultaneous, got",
        ),
    ],
)
def test_bad_scores_are_named(natural, adversarial, given, error, match):
    """What cannot be used is refused by name."""
    with pytest.raises(error, match=match):
        detection_roc(natural, adversarial, **given)
