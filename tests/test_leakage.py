"""Class means from patterns: exact where patterns are contrasts, and measured as they should be."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import dense_wiener, plain_psnr, plain_range_scale

from pncviz import (
    ClassMeanDisplay,
    Dataset,
    class_mean_leakage,
    class_means_from_contrasts,
    load_dataset,
    positive_negative_contrast,
    reconstruct_class_means,
)
from pncviz.dataset import build_patterns, common_attrs
from pncviz.exceptions import (
    DataError,
    DataTypeError,
    LabelError,
    ParameterError,
    PatternWarning,
    ResultError,
)
from pncviz.leakage.prior import checked_prior
from pncviz.leakage.scales import balanced_scales, range_scale
from pncviz.leakage.wiener import denoise


def patterns_of(images, labels=None, parameters=None, **blocks):
    """Patterns that are these images, (n_labels, channel, row, column) or (n_labels, feature)."""
    images = np.asarray(images, dtype=np.float64)
    labels = np.arange(len(images)) if labels is None else labels
    one = dict.fromkeys(
        ("confidence", "loss", "success_rate", "pattern_confidence"), np.ones(len(images))
    )
    return build_patterns(
        pattern=images,
        labels=labels,
        image_shape=images.shape[1:],
        **one,
        n_iter=np.ones(len(images), int),
        prediction=labels,
        pattern_prediction=labels,
        stop_reason=["max_iter"] * len(images),
        attrs=common_attrs("patterns", parameters=parameters or {}),
        **blocks,
    )


def truth(X, y):
    """Raw contrasts, class means, the overall mean and the frequencies of data."""
    contrasts = positive_negative_contrast(X, y, normalize=None)
    _, counts = np.unique(y, return_counts=True)
    p, mean = counts / counts.sum(), np.mean(X, axis=0)
    shape = contrasts["contrast"].shape[1:]
    return contrasts, class_means_from_contrasts(contrasts, mean.reshape(shape), p), mean, p


def uneven(seed=0):
    """Four classes of unequal size on 5×6 pixels; only the first class's mean touches a bound."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2, 3], [4, 7, 12, 20])
    X = rng.uniform(0.2, 0.8, size=(len(y), 5, 6))
    X += rng.uniform(-0.15, 0.15, size=(4, 5, 6))[y]
    X[y == 0, 2, 3] = 0.0
    return X, y


# ------------------------------------------------------------------- reconstruction, exact


@pytest.mark.parametrize("name", ["tiling", "overlapping"])
def test_contrasts_of_any_size_give_exact_means(name):
    """Patterns that are contrasts times unlike factors give the class means back, to rounding."""
    data = load_dataset(name)
    contrasts, means, mean, _ = truth(data.X, data.y)
    factors = np.array([0.01, 1.0, 7.0, 300.0]).reshape(-1, 1, 1, 1)
    for smooth in (True, False):
        found = reconstruct_class_means(
            patterns_of(contrasts["contrast"].values * factors), prior=mean, smooth=smooth
        )
        np.testing.assert_allclose(found["class_mean"], means, atol=1e-6 if smooth else 1e-12)
        if not smooth:
            np.testing.assert_allclose(found["scale"], 1 / factors.ravel(), rtol=1e-12)


def test_means_of_digits_are_exact():
    """With the true mean of all and no tolerance, digits that touch zero come back exactly."""
    data = load_dataset("digits")
    X = data.X.reshape(-1, 8, 8).astype(np.float64)
    contrasts, means, mean, p = truth(X, data.y)
    found = reconstruct_class_means(
        patterns_of(contrasts["contrast"].values * 3.0),
        prior=mean,
        frequencies=p,
        smooth=False,
        tolerance=0.0,
    )
    # A class has a pixel that is black in all of its images, if not in those of others.
    assert ((means < 1e-9) & (mean > 1e-3)).any(("channel", "row", "column")).all()
    np.testing.assert_allclose(found["class_mean"], means, atol=1e-6)


def test_frequencies_enter_by_one_minus_p():
    """Balanced scales need the right frequencies, and then are exact for unequal classes."""
    X, y = uneven()
    contrasts, means, mean, p = truth(X, y)
    factors = np.array([0.5, 3.0, 0.1, 20.0]).reshape(-1, 1, 1, 1)
    patterns = patterns_of(contrasts["contrast"].values * factors)
    given = {"prior": mean, "scale": "balance", "smooth": False, "tolerance": 0.0}
    found = reconstruct_class_means(patterns, frequencies=p, **given)
    np.testing.assert_allclose(found["class_mean"], means, atol=1e-6)
    np.testing.assert_allclose(found["scale"], 1 / factors.ravel(), rtol=1e-5)
    wrong = reconstruct_class_means(patterns, **given)
    assert np.abs(wrong["class_mean"] - means).max() > 0.01


def test_variance_is_exact_for_equal_sizes():
    """Where classes are all there is, and equally far off, public images of them fix the scale."""
    data = load_dataset("tiling")
    contrasts, means, *_ = truth(data.X, data.y)
    patterns = patterns_of(contrasts["contrast"].values * 5.0)
    found = reconstruct_class_means(patterns, prior=data, scale="variance", smooth=False)
    np.testing.assert_allclose(found["class_mean"], means, atol=1e-6)
    half = reconstruct_class_means(
        patterns, prior=data.X, scale="variance", class_share=0.25, smooth=False
    )
    np.testing.assert_allclose(half["scale"], found["scale"] / 2, rtol=1e-6)


def test_share_between_classes():
    """The share of the variance between classes is the correlation ratio, by hand."""
    X = np.array([[0.0, 0.2], [0.2, 0.2], [0.6, 0.2], [0.8, 0.6]])
    prior = checked_prior(
        Dataset(
            X=X,
            y=np.array([0, 0, 1, 1]),
            X_test=X,
            y_test=np.zeros(4, int),
            class_names=("a", "b"),
            image_shape=None,
        ),
        (2,),
        (0.0, 1.0),
    )
    between = 2 * (0.1 - 0.4) ** 2 + 2 * (0.7 - 0.4) ** 2 + 2 * 0.1**2 + 2 * 0.1**2
    total = ((X - X.mean(axis=0)) ** 2).sum()
    assert prior.class_share == pytest.approx(between / total)
    assert prior.variance == pytest.approx(total / 4)


def test_nothing_known_is_mid_grey():
    """Without a prior each pattern is added to grey, as large as the range allows."""
    images = np.zeros((2, 1, 2, 2))
    images[0, 0] = [[2.0, -1.0], [0.0, 0.0]]
    images[1, 0] = [[-4.0, 1.0], [0.0, 3.0]]
    found = reconstruct_class_means(patterns_of(images))
    np.testing.assert_allclose(found["class_mean"][0, 0], [[1.0, 0.25], [0.5, 0.5]])
    np.testing.assert_allclose(found["class_mean"][1, 0], [[0.0, 0.625], [0.5, 0.875]])
    assert (found["overall_mean"] == 0.5).all()
    shifted = reconstruct_class_means(patterns_of(images), data_range=(-1.0, 3.0))
    np.testing.assert_allclose(shifted["class_mean"], found["class_mean"] * 4 - 1)


def test_sums_are_divided():
    """A sum of 30 examples gives what their mean gives, and the scale is of the sum."""
    images = np.random.default_rng(0).normal(size=(3, 1, 4, 4))
    made = {"strategy": {"class": "AAI", "n_examples": 30, "reduction": "sum"}}
    one = reconstruct_class_means(patterns_of(images), prior=0.3)
    summed = reconstruct_class_means(patterns_of(images * 30, parameters=made), prior=0.3)
    np.testing.assert_allclose(summed["class_mean"], one["class_mean"], atol=1e-12)
    np.testing.assert_allclose(summed["scale"] * 30, one["scale"])


def test_where_the_mean_is_at_a_bound_so_is_every_class():
    """Pixels that are black in the mean of all are black in each, whatever the pattern says."""
    mean = np.full((1, 3, 3), 0.5)
    mean[0, 0] = 0.0
    images = np.random.default_rng(1).normal(size=(2, 1, 3, 3))
    for smooth in (False, True):
        found = reconstruct_class_means(patterns_of(images), prior=mean, smooth=smooth)
        assert (found["class_mean"][:, 0, 0] == 0).all()
        assert (found["class_mean"][:, 0, 1:] != 0.5).any()


def test_tables_have_means_too():
    """Patterns of a table give means on (label, feature)."""
    found = reconstruct_class_means(patterns_of([[1.0, -1.0], [-2.0, 2.0]], labels=["a", "b"]))
    assert found["class_mean"].dims == ("label", "feature")
    np.testing.assert_allclose(found["class_mean"], [[1.0, 0.0], [0.0, 1.0]])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31), st.floats(1e-3, 1e3), st.sampled_from(["range", "balance", "variance"])
)
def test_size_and_order_of_patterns_do_not_matter(seed, factor, scale):
    """A larger pattern gives the same means, and permuted classes give them permuted."""
    rng = np.random.default_rng(seed)
    # Patterns along which images vary, and some noise: noise alone would leave nothing.
    ways = rng.normal(size=(3, 12))
    public = np.clip(0.5 + 0.1 * rng.normal(size=(30, 3)) @ ways, 0, 1)
    images = rng.normal(size=(4, 3)) @ ways + 0.05 * rng.normal(size=(4, 12))
    images = (images - images.mean(axis=0)).reshape(4, 1, 3, 4)
    # Noise taken out of each by itself would leave nothing to balance.
    smooth = scale != "balance"
    given = {"prior": public, "scale": scale, "class_share": 0.2, "smooth": smooth}
    found = reconstruct_class_means(patterns_of(images), **given)
    larger = reconstruct_class_means(patterns_of(images * factor), **given)
    np.testing.assert_allclose(larger["class_mean"], found["class_mean"], atol=1e-5)
    order = rng.permutation(4)
    permuted = reconstruct_class_means(patterns_of(images[order], labels=order), **given)
    expected = found["class_mean"].sel(label=order)
    np.testing.assert_allclose(permuted["class_mean"], expected, atol=1e-7)


# ------------------------------------------------------------------------ scales and noise


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.01, 0.1, 0.5]))
def test_range_scale_is_the_largest(seed, tolerance):
    """The scale by range is the one found by trying every pixel's limit."""
    rng = np.random.default_rng(seed)
    d, m = rng.normal(size=12), rng.uniform(-1, 2, size=12)
    found = range_scale(d, m, (-1.0, 2.0), tolerance)
    assert found == pytest.approx(plain_range_scale(d, m, -1.0, 2.0, tolerance), rel=1e-9)


def test_balanced_scales_are_least_squares():
    """No other factors with the same sum of sizes leave a smaller sum of deviations."""
    rng = np.random.default_rng(0)
    deviations, p = rng.normal(size=(3, 8)), np.array([0.2, 0.3, 0.5])
    deviations[2] -= 2 * deviations[:2].sum(axis=0)

    def left(factors):
        sizes = factors * p * np.linalg.norm(deviations, axis=1)
        return np.linalg.norm((factors * p) @ deviations) / sizes.sum()

    best = left(balanced_scales(deviations, p))
    others = [left(factors) for factors in rng.uniform(size=(5000, 3))]
    assert best <= min(others) + 1e-9
    assert min(others) < best + 0.02


def test_noise_is_taken_out_as_by_full_matrices():
    """The filter in the basis of the images is the one by solving with full covariances."""
    rng = np.random.default_rng(2)
    public = np.clip(0.5 + 0.1 * rng.normal(size=(40, 6)) @ rng.normal(size=(6, 9)), 0, 1)
    prior = checked_prior(public, (9,), (0.0, 1.0))
    pattern = rng.normal(size=9)
    covariance = np.cov(public.T, bias=True)
    found, share = denoise(pattern, prior)
    expected, expected_share = dense_wiener(pattern, covariance, np.linspace(-12, 12, 4001))
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert share == pytest.approx(expected_share, abs=2e-3)


def test_fewer_images_than_pixels():
    """Outside of the images' span all is noise; inside the filter is that by full matrices."""
    rng = np.random.default_rng(3)
    public = rng.uniform(size=(5, 12))
    prior = checked_prior(public, (12,), (0.0, 1.0))
    pattern = rng.normal(size=12) + 5 * (public[0] - public.mean(axis=0))
    found, share = denoise(pattern, prior)
    expected, expected_share = dense_wiener(
        pattern, np.cov(public.T, bias=True), np.linspace(-12, 12, 4001)
    )
    np.testing.assert_allclose(found, expected, atol=5e-3)
    assert share == pytest.approx(expected_share, abs=5e-3)
    centred = public - public.mean(axis=0)
    outside = found - centred.T @ np.linalg.lstsq(centred.T, found, rcond=None)[0]
    np.testing.assert_allclose(outside, 0, atol=1e-10)


def test_noise_share_is_found():
    """On the average over images the share of the noise comes out, and the signal comes nearer."""
    spread = 0.25 * np.exp(-np.arange(900) / 60)
    mean = 0.5 + np.sqrt(0.25 - spread)
    prior = checked_prior(mean.reshape(1, 30, 30), (1, 30, 30), (0.0, 1.0))
    np.testing.assert_allclose(prior.spread, spread)
    shares, gains = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        signal, noise = rng.normal(size=900) * np.sqrt(spread), rng.normal(size=900) * 0.2
        found, share = denoise(signal + noise, prior)
        before, after = (np.corrcoef(image, signal)[0, 1] for image in (signal + noise, found))
        shares.append(share)
        gains.append(after - before)
    # 900 · 0.04 of noise to 15 of signal.
    assert np.mean(shares) == pytest.approx(36 / (36 + spread.sum()), abs=0.02)
    assert min(gains) > 0.15


def test_known_noise_is_the_least():
    """Noise that blocks of examples show is taken out, also where the pattern hides it."""
    rng = np.random.default_rng(5)
    public = np.clip(0.5 + 0.2 * rng.normal(size=(60, 3)) @ rng.normal(size=(3, 16)), 0, 1)
    prior = checked_prior(public, (16,), (0.0, 1.0))
    pattern = public[0] - public.mean(axis=0)
    _, trusting = denoise(pattern, prior)
    for noise in (0.001, 0.01):
        found, share = denoise(pattern, prior, noise)
        size = float((prior.along(pattern) ** 2 / (prior.spread + 1e-30)).sum())
        assert share > trusting, size
    _, all_noise = denoise(pattern, prior, 1e6)
    assert all_noise == pytest.approx(1.0)
    assert denoise(pattern, prior, 1e6)[0] @ found > 0


def test_blocks_tell_of_noise():
    """The noise of a mean over examples is that of one divided by their number."""
    rng = np.random.default_rng(6)
    public = np.clip(0.5 + 0.2 * rng.normal(size=(60, 3)) @ rng.normal(size=(3, 16)), 0, 1)
    clean = np.stack([public[0], public[1]]) - public.mean(axis=0)
    n, made = np.full(10, 4), {"strategy": {"n_examples": 40, "reduction": "sum"}}
    shares = []
    for size in (0.0, 0.05, 0.5):
        blocks = 4 * clean[None] + rng.normal(size=(10, 2, 16)) * size * 2
        patterns = patterns_of(
            40 * clean.reshape(2, 1, 4, 4), parameters=made, block=blocks, n_block=n
        )
        shares.append(float(reconstruct_class_means(patterns, prior=public)["noise_share"].mean()))
    assert shares[0] < shares[1] < shares[2]
    # 16 pixels of variance 0.5² / 40, and half of (1 − p) squared of it.
    noise = 16 * 0.25**2 / 10 / 4 / 4
    assert noise > 0
    plain = [
        denoise(d / 2, checked_prior(public, (1, 4, 4), (0.0, 1.0)), 0.5**2 / 40 / 4)[1]
        for d in clean
    ]
    assert shares[2] == pytest.approx(np.mean(plain), rel=0.3)


def test_empty_patterns_are_told_of():
    """A pattern of zeros gives the overall mean, and a warning names its class."""
    images = np.zeros((2, 1, 2, 2))
    images[1, 0, 0, 0] = 1.0
    with pytest.warns(PatternWarning, match=r"\[0\] leave nothing"):
        found = reconstruct_class_means(patterns_of(images), prior=0.25)
    assert (found["class_mean"][0] == 0.25).all()
    assert float(found["class_mean"][1].max()) == 1.0


@pytest.mark.parametrize("known", ["mean", "images"])
def test_noise_and_constants_are_no_class_means(known):
    """What is constant, or all noise, gives the overall mean and a warning, not full contrast."""
    data = load_dataset("digits")
    X = data.X.reshape(-1, 8, 8).astype(np.float64)
    contrasts, _, mean, _ = truth(X, data.y)
    images = contrasts["contrast"].values.copy()
    images[4], images[5] = 1.0, np.random.default_rng(0).normal(size=(8, 8))
    prior = mean if known == "mean" else X[:500]
    with pytest.warns(PatternWarning, match=r"\[4, 5\] leave nothing .* constant or all noise"):
        found = reconstruct_class_means(patterns_of(images), prior=prior)
    assert float(found["noise_share"][5]) > 1 - 1e-6
    moved = np.abs(found["class_mean"] - found["overall_mean"]).max(("channel", "row", "column"))
    assert (moved[4:6] == 0).all()
    assert (moved.drop_sel(label=[4, 5]) > 0.3).all()
    assert (found["scale"].values == 0).tolist() == [label in (4, 5) for label in range(10)]


@pytest.mark.parametrize("scale", ["range", "balance", "variance"])
def test_constants_by_every_rule(scale):
    """No rule of scale gives a constant image a size, whether or not noise is taken out."""
    images = np.random.default_rng(0).normal(size=(3, 1, 3, 4))
    images[1] = -2.0 + 1e-9 * images[0]
    public = np.random.default_rng(1).uniform(size=(30, 12))
    with pytest.warns(PatternWarning, match=r"\[1\] leave nothing"):
        found = reconstruct_class_means(
            patterns_of(images), prior=public, scale=scale, class_share=0.2, smooth=False
        )
    np.testing.assert_array_equal(found["class_mean"][1], found["overall_mean"])
    assert (found["class_mean"][0] != found["overall_mean"]).any()


def test_constants_count_where_there_is_room():
    """A pattern that is constant but where the prior is at a bound says nothing either."""
    mean, images = np.full((1, 3, 3), 0.4), np.random.default_rng(2).normal(size=(2, 1, 3, 3))
    mean[0, 0], images[0, 0, 1:] = 0.0, 1.0
    with pytest.warns(PatternWarning, match=r"\[0\] leave nothing"):
        found = reconstruct_class_means(patterns_of(images), prior=mean, smooth=False)
    np.testing.assert_array_equal(found["class_mean"][0], mean)


def test_features_may_be_equal():
    """Features of a table that all are as large as each other are a contrast like any other."""
    found = reconstruct_class_means(patterns_of([[1.0, 1.0], [-2.0, -2.0]]))
    np.testing.assert_allclose(found["class_mean"], [[1.0, 1.0], [0.0, 0.0]])


@pytest.mark.parametrize("prior", [0.0, 1.0, np.zeros(4)])
def test_a_prior_without_room_is_told_of(prior):
    """Where the prior is at the bound, the warning says so and does not blame the patterns."""
    images = np.array([[1.0, -1.0, 2.0, -2.0], [0.5, -3.0, 2.0, 0.0]]).reshape(2, 1, 2, 2)
    with pytest.warns(PatternWarning, match=r"`prior` lies at a bound .* \[0, 1\]") as told:
        found = reconstruct_class_means(patterns_of(images), prior=prior)
    assert len(told) == 1
    assert (found["class_mean"] == np.mean(prior)).all()
    images[1] = 0.0
    with pytest.warns(PatternWarning) as told:
        reconstruct_class_means(patterns_of(images), prior=prior)
    texts = sorted(str(each.message) for each in told)
    assert len(texts) == 2
    assert texts[0].startswith("The patterns of [1] leave nothing")
    assert "no room for the patterns of [0]" in texts[1]


def test_unbalanced_patterns_are_told_of():
    """A pattern with no counterpart among the others is called unbalanced, not empty."""
    images = np.zeros((3, 1, 2, 2))
    images[0, 0, 0, 0], images[1, 0, 0, 0], images[2, 0, 1, 1] = 1.0, -1.0, 1.0
    with pytest.warns(PatternWarning, match=r"\[2\] cannot be balanced") as told:
        found = reconstruct_class_means(patterns_of(images), prior=0.5, scale="balance")
    assert len(told) == 1
    assert (found["scale"].values > 0).tolist() == [True, True, False]


def test_failed_patterns_are_told_of():
    """Patterns that did not reach their class are used, but named once and marked."""
    images = np.random.default_rng(0).normal(size=(14, 1, 2, 2))
    patterns = patterns_of(images)
    assert reconstruct_class_means(patterns, prior=0.5)["succeeded"].values.all()
    reached = np.arange(14) < 2
    patterns["succeeded"] = patterns["succeeded"].copy(data=reached)
    match = r"\[2, 3, .*, 11\] and 2 more did not reach their class"
    with pytest.warns(PatternWarning, match=match) as told:
        found = reconstruct_class_means(patterns, prior=0.5)
    assert len(told) == 1
    assert found["succeeded"].dims == ("label",)
    assert found["succeeded"].values.tolist() == reached.tolist()
    assert (found["scale"] > 0).all()


# --------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"scale": "size"}, ParameterError, "`scale` must be one of range, variance, balance"),
        ({"scale": "variance"}, ParameterError, "needs images as `prior`"),
        ({"scale": "variance", "prior": 0.5, "class_share": 0.2}, ParameterError, "needs images"),
        (
            {"scale": "variance", "prior": np.linspace(0, 1, 40).reshape(10, 4)},
            ParameterError,
            "`class_share` or a Dataset",
        ),
        ({"tolerance": 1.0}, ParameterError, "`tolerance` must be at least 0 and below 1, got 1.0"),
        ({"tolerance": True}, ParameterError, "`tolerance` must be at least 0"),
        ({"class_share": 0.0}, ParameterError, "`class_share` must be between 0 and 1, got 0.0"),
        ({"smooth": 1}, ParameterError, "`smooth` must be True or False, got 1"),
        ({"data_range": (1, 0)}, ParameterError, "`data_range` must be the least and the greatest"),
        ({"data_range": 5}, ParameterError, "`data_range` must be"),
        ({"frequencies": [0.5, 0.6]}, ParameterError, "shares of 2 classes"),
        ({"frequencies": [0.5]}, ParameterError, "shares of 2 classes"),
        ({"frequencies": [1.0, 0.0]}, ParameterError, "shares of 2 classes"),
        ({"frequencies": ["a", "b"]}, ParameterError, "shares of 2 classes"),
        ({"prior": np.zeros(5)}, ParameterError, r"one image of 4 values.*got shape \(5,\)"),
        ({"prior": np.zeros((0, 4))}, ParameterError, r"got shape \(0, 4\)"),
        ({"prior": "dark"}, DataTypeError, "`prior` must hold real numbers, got str"),
        ({"prior": np.full(4, np.nan)}, DataError, "`prior` contains NaN or infinity"),
        ({"prior": 1.5}, DataError, "values from 1.5 to 1.5, outside of the range 0 to 1"),
        ({"prior": -0.1}, DataError, "outside of the range"),
        ({"prior": np.full((3, 4), 0.2)}, DataError, "images that are all the same"),
    ],
)
def test_bad_parameters_are_named(given, error, match):
    """Every parameter out of bounds is refused by name, with the value."""
    images = np.random.default_rng(0).normal(size=(2, 1, 2, 2))
    with pytest.raises(error, match=match):
        reconstruct_class_means(patterns_of(images), **given)


def test_bad_patterns_are_named():
    """Other results, leading dimensions and a single class are refused."""
    images = np.random.default_rng(0).normal(size=(2, 1, 2, 2))
    with pytest.raises(ResultError, match="leading dimension 'seed'; select one"):
        reconstruct_class_means(xr.concat([patterns_of(images)] * 2, dim="seed"))
    with pytest.raises(ResultError, match="of one class"):
        reconstruct_class_means(patterns_of(images[:1]))
    data = load_dataset("tiling")
    with pytest.raises(ResultError, match="`kind` must be patterns"):
        reconstruct_class_means(positive_negative_contrast(data.X, data.y))


# --------------------------------------------------------------------------------- measure


@pytest.fixture(scope="module")
def measured():
    """Six true means, noisy copies of them, and another half's."""
    rng = np.random.default_rng(0)
    dims, coords = ("label", "channel", "row", "column"), {"label": list("abcdef")}
    true = xr.DataArray(rng.uniform(size=(6, 1, 4, 5)), dims=dims, coords=coords)
    noisy = true.copy(data=np.clip(true + 0.2 * rng.normal(size=true.shape), 0, 1))
    half = true.copy(data=np.clip(true + 0.05 * rng.normal(size=true.shape), 0, 1))
    return true, noisy, half


def test_measures_are_the_plain_ones(measured):
    """Correlations and PSNR are those of numpy and of the formula, class by class."""
    true, noisy, half = measured
    p = np.array([0.1, 0.1, 0.2, 0.2, 0.3, 0.1])
    found = class_mean_leakage(
        noisy, true, baselines={"half": half}, frequencies=p, data_range=(0, 2), random_state=0
    )
    assert found["source"].values.tolist() == ["reconstructed", "overall mean", "half"]
    t = true.values.reshape(6, -1)
    overall = p @ t
    for name, source in (("reconstructed", noisy), ("half", half)):
        s = source.values.reshape(6, -1)
        own, one = p @ s, found.sel(source=name)
        for i in range(6):
            assert float(one["correlation"][i]) == pytest.approx(np.corrcoef(s[i], t[i])[0, 1])
            r = np.corrcoef(s[i] - own, t[i] - overall)[0, 1]
            assert float(one["deviation_correlation"][i]) == pytest.approx(r)
            assert float(one["psnr"][i]) == pytest.approx(plain_psnr(s[i], t[i], 2.0))
        assert float(one["mean_psnr"]) == pytest.approx(float(one["psnr"].mean()))
    np.testing.assert_allclose(found.sel(source="overall mean")["deviation_correlation"], 0)
    r = [np.corrcoef(overall, row)[0, 1] for row in t]
    np.testing.assert_allclose(found.sel(source="overall mean")["correlation"], r)
    assert found["psnr"].attrs["units"] == "dB"


def test_identification_is_of_deviations(measured):
    """A hit is a deviation most like that of its own class; the overall mean has none."""
    true, noisy, _ = measured
    t = true.values.reshape(6, -1)
    swapped = noisy.copy(data=noisy.values[[1, 0, 2, 3, 4, 5]])
    found = class_mean_leakage(swapped, true, random_state=0)
    s = swapped.values.reshape(6, -1)
    r = np.corrcoef(s - s.mean(axis=0), t - t.mean(axis=0))[:6, 6:]
    expected = r.argmax(axis=1) == np.arange(6)
    assert found["identified"].values.tolist() == [expected.tolist(), [False] * 6]
    assert found["hits"].values.tolist() == [expected.sum(), 0]
    assert expected.sum() == 4
    assert float(found["hit_rate"][0]) == pytest.approx(4 / 6)
    assert float(found["hit_rate_lower"][0]) < 4 / 6 < float(found["hit_rate_upper"][0])
    assert float(found["identification_p"][0]) < 0.05
    assert float(found["identification_p"][1]) == 1.0


def test_gains_are_paired(measured):
    """A source that is better by the same in each class has a certain gain, whatever the spread."""
    true, *_ = measured
    steps = np.linspace(0.01, 0.3, 6).reshape(-1, 1, 1, 1)
    near, far = true + steps, true + 2 * steps
    found = class_mean_leakage(near, true, baselines={"far": far}, random_state=0)
    gain = found.sel(baseline="far")
    assert float(gain["psnr_gain"]) == pytest.approx(20 * np.log10(2))
    assert float(gain["psnr_gain_lower"]) == pytest.approx(20 * np.log10(2))
    assert float(gain["psnr_gain_upper"]) == pytest.approx(20 * np.log10(2))
    near_row = found.sel(source="reconstructed")
    assert float(near_row["psnr_upper"]) - float(near_row["psnr_lower"]) > 5
    assert found["baseline"].values.tolist() == ["overall mean", "far"]


def test_a_perfect_copy_is_finite(measured):
    """The truth itself has correlation 1, all hits, and the PSNR of rounding."""
    true, *_ = measured
    found = class_mean_leakage(true, true, random_state=0).sel(source="reconstructed")
    np.testing.assert_allclose(found["correlation"], 1)
    np.testing.assert_allclose(found["deviation_correlation"], 1)
    np.testing.assert_allclose(found["psnr"], -20 * np.log10(np.finfo(float).eps))
    assert int(found["hits"]) == 6


def test_labels_decide_not_places(measured):
    """Class means in another order, and of more classes, are found by their labels."""
    true, noisy, _ = measured
    found = class_mean_leakage(noisy[1:4], true[::-1], random_state=0)
    expected = [
        np.corrcoef(noisy[i].values.ravel(), true[i].values.ravel())[0, 1] for i in (1, 2, 3)
    ]
    np.testing.assert_allclose(found["correlation"][0], expected)
    overall = true.mean("label").values
    np.testing.assert_allclose(
        found["psnr"][1], [plain_psnr(overall, true[i].values, 1.0) for i in (1, 2, 3)]
    )


def test_labels_of_baselines_decide(measured):
    """A baseline with labels goes by them, whatever their order and whatever more there are."""
    true, noisy, half = measured
    rows = [
        class_mean_leakage(noisy[1:4], true, baselines={"half": one}, random_state=0)
        for one in (half[1:4].values, half[[3, 1, 2]], half[::-1], half)
    ]
    expected = [
        np.corrcoef(half[i].values.ravel(), true[i].values.ravel())[0, 1] for i in (1, 2, 3)
    ]
    for row in rows:
        np.testing.assert_allclose(row.sel(source="half")["correlation"], expected)
        assert row.drop_attrs().equals(rows[0].drop_attrs())


def test_a_reconstruction_may_be_a_baseline(measured):
    """A Dataset as baseline is measured as it is as a reconstruction, with its own mean."""
    true, noisy, half = measured
    mean = (true[0] * 0 + 0.4).transpose("column", "channel", "row") + true[0] * 0.1
    began = xr.Dataset({"class_mean": half[::-1], "overall_mean": mean})
    found = class_mean_leakage(noisy, true, baselines={"other": began}, random_state=0)
    own = class_mean_leakage(began, true, random_state=0).sel(label=true["label"])
    for name in ("correlation", "deviation_correlation", "psnr"):
        np.testing.assert_allclose(
            found.sel(source="other")[name], own.sel(source="reconstructed")[name]
        )


def test_dimensions_decide_not_places(measured):
    """Images with rows and columns the other way round are turned before they are compared."""
    true, noisy, half = measured
    turned = ("label", "channel", "column", "row")
    expected = class_mean_leakage(noisy, true, baselines={"x": half, "one": half[0]})
    mean = noisy.mean("label")
    cases = (
        (noisy.transpose(*turned), true, half, half[0]),
        (noisy, true.transpose(*turned), half, half[0]),
        (noisy, true, half.transpose("row", "label", "column", "channel"), half[0]),
        (noisy, true, half, half[0].transpose("column", "row", "channel")),
        (
            xr.Dataset({"class_mean": noisy.transpose(*turned), "overall_mean": mean}),
            *(true, half, half[0]),
        ),
    )
    for recovered, known, many, one in cases:
        found = class_mean_leakage(recovered, known, baselines={"x": many, "one": one})
        for name in ("correlation", "deviation_correlation", "psnr"):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-12)


def test_labels_that_do_not_fit(measured):
    """Labels that are there twice, lacking, or of another type are LabelErrors that name them."""
    true, noisy, half = measured
    twice = list("abcdea")
    for which, images in (
        ("class means", (noisy, true.assign_coords(label=twice), half)),
        ("reconstructed class means", (noisy.assign_coords(label=twice), true, half)),
        ("baseline 'x'", (noisy, true, half.assign_coords(label=twice))),
    ):
        with pytest.raises(LabelError, match=f"labels of {which} have 'a' more than once"):
            class_mean_leakage(images[0], images[1], baselines={"x": images[2]})
    for other, match in ((half[:4], "baseline 'x' lack 'e', 'f'"), (half[0:1], "baseline 'x'")):
        with pytest.raises(LabelError, match=match):
            class_mean_leakage(noisy, true, baselines={"x": other})
    with pytest.raises(LabelError, match=r"baseline 'x' integers"):
        class_mean_leakage(noisy, true, baselines={"x": half.assign_coords(label=range(6))})


@pytest.mark.parametrize("peak", [1e-6, 1, 255, 65535])
def test_constant_images_correlate_with_nothing(measured, peak):
    """A constant image, and one without a deviation, has correlation 0 on every range."""
    true, noisy, _ = measured
    true, noisy = true * peak, noisy * peak
    grey = xr.zeros_like(true) + peak * xr.DataArray(np.linspace(0.1, 0.7, 6), dims="label")
    p = [0.11, 0.13, 0.17, 0.19, 0.23, 0.17]
    given = {"frequencies": p, "data_range": (0, peak), "random_state": 0}
    one = noisy[0].values
    found = class_mean_leakage(grey, true, baselines={"one": one, "noisy": noisy}, **given)
    assert (found["correlation"].sel(source="reconstructed") == 0).all()
    for source in ("reconstructed", "one", "overall mean"):
        assert (found["deviation_correlation"].sel(source=source) == 0).all()
    assert (found["deviation_correlation"].sel(source="noisy") > 0.5).all()


def test_own_mean_is_the_assumed_one(measured):
    """What leaks is measured from the mean that the reconstruction began with."""
    true, noisy, _ = measured
    began = xr.Dataset({"class_mean": noisy, "overall_mean": true[0] * 0 + 0.5})
    found = class_mean_leakage(began, true, random_state=0)
    t = true.values.reshape(6, -1)
    r = [np.corrcoef(noisy[i].values.ravel() - 0.5, t[i] - t.mean(axis=0))[0, 1] for i in range(6)]
    np.testing.assert_allclose(found["deviation_correlation"][0], r)


def test_queries_are_carried_along():
    """The number of inputs asked for goes from patterns to means to the measure."""
    data = load_dataset("tiling")
    contrasts, means, mean, _ = truth(data.X, data.y)
    patterns = patterns_of(contrasts["contrast"].values)
    patterns["n_queries"] = ("label", np.array([5, 6, 7, 8]), {"long_name": "q", "units": "1"})
    patterns.attrs["n_queries"] = 30
    found = reconstruct_class_means(patterns, prior=mean)
    table = class_mean_leakage(found, means, random_state=0)
    for result in (found, table):
        assert result["n_queries"].values.tolist() == [5, 6, 7, 8]
        assert result.attrs["n_queries"] == 30
    without = reconstruct_class_means(patterns_of(contrasts["contrast"].values), prior=mean)
    assert "n_queries" not in without
    assert "n_queries" not in without.attrs


def test_same_seed_same_intervals(measured):
    """Intervals come from the seed, which is kept, and another level is wider."""
    true, noisy, _ = measured
    both = xr.concat([true, true.assign_coords(label=list("ghijkl"))], "label")
    given = noisy.copy(), noisy.assign_coords(label=list("ghijkl")) * 0.9
    many = xr.concat(given, "label")
    one, two, other = (class_mean_leakage(many, both, random_state=seed) for seed in (3, 3, 4))
    assert one.drop_attrs().identical(two.drop_attrs())
    assert one.attrs["random_state"] == 3
    assert float(one["psnr_lower"][0]) != float(other["psnr_lower"][0])
    wide = class_mean_leakage(many, both, random_state=3, confidence_level=0.99)
    assert float(wide["psnr_lower"][0]) < float(one["psnr_lower"][0])
    assert float(wide["psnr_gain_lower"][0]) < float(one["psnr_gain_lower"][0])


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"n_resamples": 0}, ParameterError, "`n_resamples` must be a positive integer, got 0"),
        ({"n_resamples": 1.5}, ParameterError, "`n_resamples` must be a positive integer"),
        ({"confidence_level": 1.0}, ParameterError, "`confidence_level` must be between 0 and 1"),
        ({"baselines": {"overall mean": 0}}, ParameterError, "it is taken"),
        ({"baselines": {"x": np.zeros(3)}}, ParameterError, r"an image of 20 values or 6 of them"),
        ({"baselines": {"x": np.full(20, np.inf)}}, DataError, "'x' contains NaN or infinity"),
        ({"baselines": {"x": "dark"}}, ParameterError, "'x' must be an image .* got str"),
        ({"baselines": {"x": xr.Dataset()}}, ParameterError, "'x' must be an image .* got Dataset"),
        (
            {"baselines": {"x": xr.DataArray(np.zeros((5, 4)), dims=("row", "column"))}},
            ParameterError,
            r"got shape \(5, 4\)",
        ),
        ({"frequencies": [0.5, 0.5]}, ParameterError, "shares of 6 classes"),
        ({"random_state": -1}, ParameterError, "must not be negative"),
    ],
)
def test_bad_measures_are_named(measured, change, error, match):
    """Numbers and baselines out of bounds are refused by name."""
    with pytest.raises(error, match=match):
        class_mean_leakage(measured[1], measured[0], **change)


def test_what_is_no_class_mean(measured):
    """Other labels, shapes and things are refused."""
    true, noisy, _ = measured
    with pytest.raises(LabelError, match="reconstructed class means"):
        class_mean_leakage(noisy.assign_coords(label=list("abcdez")), true)
    with pytest.raises(ResultError, match=r"of shape \(1, 4, 4\), the true ones of \(1, 4, 5\)"):
        class_mean_leakage(noisy[..., :4], true)
    with pytest.raises(ResultError, match=r"images on \(label, …\)"):
        class_mean_leakage(noisy.values, true)
    with pytest.raises(ResultError, match="two or more classes"):
        class_mean_leakage(noisy[:1], true)
    with pytest.raises(DataError, match="NaN or infinity"):
        class_mean_leakage(noisy.where(noisy != noisy[0, 0, 0, 0]), true)


# --------------------------------------------------------------------------------- display


def test_display_draws_every_mean(measured):
    """One row per source on one scale of grey, labels as they stand, nothing where none is."""
    true, noisy, _ = measured
    true = true.assign_coords(label=["$a$", *"bcdef"])
    noisy = xr.Dataset({"class_mean": noisy.assign_coords(label=["$a$", *"bcdef"])[:5]})
    shown = ClassMeanDisplay.from_means({"true": true, "recovered": noisy}).plot()
    assert shown.axes_.shape == (2, 6)
    assert shown.axes_[0, 0].get_title() == "$a$"
    assert shown.axes_[1, 0].get_ylabel() == "recovered"
    np.testing.assert_array_equal(
        shown.axes_[1, 2].get_images()[0].get_array(), noisy["class_mean"][2, 0]
    )
    assert shown.axes_[1, 2].get_images()[0].get_clim() == (0.0, 1.0)
    assert not shown.axes_[1, 5].get_images()
    shown.figure_.canvas.draw()


def test_display_refuses_what_it_cannot_draw(measured):
    """No rows, and tables, are refused by name."""
    with pytest.raises(ParameterError, match="`means` is empty"):
        ClassMeanDisplay.from_means({})
    with pytest.raises(ParameterError, match="'x' must be images on"):
        ClassMeanDisplay.from_means({"x": measured[0][:, 0, 0]})


def test_needs_no_torch():
    """Class means are put together and measured with torch blocked from import."""
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "skorch"}:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import numpy as np
from pncviz import reconstruct_class_means, class_mean_leakage
from pncviz.dataset import build_patterns, common_attrs
one = dict.fromkeys(["confidence", "loss", "success_rate", "pattern_confidence"], [1.0, 1.0])
patterns = build_patterns(
    pattern=np.array([[1.0, -1.0], [-1.0, 1.0]]), labels=[0, 1], image_shape=(2,), **one,
    n_iter=[1, 1], prediction=[0, 1], pattern_prediction=[0, 1], stop_reason=["max_iter"] * 2,
    attrs=common_attrs("patterns", parameters={}),
)
found = reconstruct_class_means(patterns)
print(int(class_mean_leakage(found, found["class_mean"])["hits"][0]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2", done.stderr
