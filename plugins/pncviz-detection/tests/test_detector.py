"""The detector: densities that are known, thresholds that keep their rate, and faults."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from detection_reference import plain_density
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from pncviz import load_dataset
from pncviz.exceptions import DataError, LabelError, ParameterError, PncvizWarning
from pncviz_detection import AutoencoderFeatures, NaturalnessDetector
from pncviz_detection.densities import Density


@parametrize_with_checks(
    [NaturalnessDetector(), AutoencoderFeatures(n_components=2, hidden=4, max_iter=3)]
)
@pytest.mark.filterwarnings("ignore:Skipping check")
def test_scikit_learn_contract(estimator, check):
    """Both keep scikit-learn's own contract."""
    check(estimator)


def normal(n, d, seed=0):
    """Draw n standard normal rows."""
    return np.random.default_rng(seed).normal(size=(n, d))


def identity():
    """A transformer that leaves inputs as they are."""
    return FunctionTransformer()


# ------------------------------------------------------------------------------- densities


def test_density_is_the_mean_of_kernels():
    """Scores are those of the sum over points; left out, of the sum over the others."""
    points, x = normal(12, 3), normal(5, 3, 1)
    for bandwidth in (0.4, 1.5):
        density = Density(points, bandwidth, 0)
        expected = [plain_density(row, points, bandwidth) for row in x]
        np.testing.assert_allclose(density.score(x), expected)
        left = [
            plain_density(row, np.delete(points, i, axis=0), bandwidth)
            for i, row in enumerate(points)
        ]
        np.testing.assert_allclose(density.score_left_out(), left, rtol=1e-6)


@pytest.mark.parametrize("n", [3, 40])
def test_far_points_without_themselves(n, monkeypatch):
    """Where a row's own kernel hides the others', the others' still count, by their logs."""
    monkeypatch.setattr("pncviz_detection.densities._AT_ONCE", 100)
    far = 50.0 * np.arange(1, n - 1)[:, None] ** 2
    points = np.concatenate([[[0.0], [0.1]], far])
    found = Density(points, 0.1, 0).score_left_out()
    kernels = norm(scale=0.1).logpdf(points - points.T)
    expected = [logsumexp(np.delete(row, i)) - np.log(n - 1) for i, row in enumerate(kernels)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found[-1] < -1e4


def test_left_out_scores_keep_their_digits():
    """Others of a share of 1e-7 to 1e-17 of the own kernel are told to ten digits."""
    for apart in (5.0, 6.0, 7.0, 8.0, 9.0):
        found = Density(np.array([[0.0], [apart]]), 1.0, 0).score_left_out()
        np.testing.assert_allclose(found, norm.logpdf(apart), rtol=1e-10)


def test_a_narrow_bandwidth_still_tells_apart():
    """With kernels that do not meet, the threshold is finite, and what is far is unnatural."""
    X = normal(30, 8)
    detector = NaturalnessDetector(identity(), bandwidth=0.01).fit(X)
    assert np.isfinite(detector.offset_)
    assert (detector.predict(X + 100) == -1).all()
    with pytest.raises(ParameterError, match="`bandwidth` 1e-200 is too small"):
        NaturalnessDetector(identity(), bandwidth=1e-200).fit(X)


def test_scores_tend_to_the_true_density():
    """Of many normal rows, log densities are those of the normal distribution, widened."""
    detector = NaturalnessDetector(identity(), bandwidth=0.3).fit(normal(5000, 2))
    x = normal(100, 2, 1) * 0.8
    # Kernels add their variance to that of the data.
    true = multivariate_normal(cov=np.eye(2) * (1 + 0.3**2)).logpdf(x)
    error = detector.score_samples(x) - true
    assert abs(error.mean()) < 0.03
    assert np.abs(error).max() < 0.25


def test_features_are_scaled():
    """Units of the features do not matter: the bandwidth is in standard deviations."""
    X, x = normal(300, 2), normal(20, 2, 1)
    scale = np.array([100.0, 0.01])
    one = NaturalnessDetector(identity(), bandwidth=0.3).fit(X)
    other = NaturalnessDetector(identity(), bandwidth=0.3).fit(X * scale)
    np.testing.assert_allclose(other.score_samples(x * scale), one.score_samples(x))
    sd = X.std(axis=0)
    expected = [plain_density(row / sd, X / sd, 0.3) for row in x]
    np.testing.assert_allclose(one.score_samples(x), expected)


@pytest.mark.parametrize("rule", ["scott", "silverman"])
def test_bandwidth_rules(rule):
    """Scott's and Silverman's bandwidths are those of their formulas."""
    detector = NaturalnessDetector(identity(), bandwidth=rule).fit(normal(50, 3))
    scott = 50 ** (-1 / 7)
    expected = scott if rule == "scott" else scott * (5 / 4) ** (-1 / 7)
    assert detector.bandwidth_ == pytest.approx(expected)


def test_bandwidth_by_likelihood():
    """Cross-validation takes the bandwidth that a plain search over folds takes."""
    X = np.concatenate([normal(60, 1), normal(60, 1, 1) + 40])
    detector = NaturalnessDetector(identity(), bandwidth="cv", random_state=3).fit(X)
    scaled = (X - X.mean()) / X.std()
    grid = {"bandwidth": 120 ** (-1 / 5) * np.geomspace(0.15, 2.5, 9)}
    folds = KFold(5, shuffle=True, random_state=3)
    search = GridSearchCV(KernelDensity(), grid, cv=folds).fit(scaled)
    assert detector.bandwidth_ == pytest.approx(search.best_params_["bandwidth"])
    # Two narrow groups: Scott's rule, for one wide one, is too smooth.
    assert detector.bandwidth_[0] < 120 ** (-1 / 5) / 3


# ------------------------------------------------------------------------------- threshold


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_false_alarms_keep_their_rate(rate, per_class):
    """Of new natural inputs, the share that was asked for is called unnatural."""
    X, new = normal(1000, 4), normal(2000, 4, 1)
    y, shift = np.arange(1000) % 2, 3 * (np.arange(2000) % 2)
    X, new = X + 3 * y[:, None], new + shift[:, None]
    detector = NaturalnessDetector(
        identity(), false_alarm_rate=rate, per_class=per_class, bandwidth=0.5
    )
    found = (detector.fit(X, y).predict(new) == -1).mean()
    # Five standard errors, of the threshold and of the share.
    assert found == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) * (1 / 1000 + 1 / 2000)))


def test_left_out_scores_make_the_threshold():
    """The threshold is the quantile of the samples' scores without themselves."""
    X = normal(40, 2)
    detector = NaturalnessDetector(identity(), bandwidth=0.2, false_alarm_rate=0.25).fit(X)
    sd = X.std(axis=0)
    left = sorted(plain_density(X[i] / sd, np.delete(X, i, 0) / sd, 0.2) for i in range(40))
    assert detector.offset_ == pytest.approx(left[9])
    assert detector.offset_ < np.quantile(detector.score_samples(X), 0.25) - 0.3
    scores = detector.decision_function(X)
    np.testing.assert_allclose(scores + detector.offset_, detector.score_samples(X))
    np.testing.assert_array_equal(detector.predict(X), np.where(scores < 0, -1, 1))


def test_threshold_counts_the_best_class():
    """With classes, a sample's score without itself is still the best over all classes."""
    X = np.concatenate([normal(30, 1), normal(30, 1, 1) + 0.1])
    y = np.repeat(["a", "b"], 30)
    detector = NaturalnessDetector(
        identity(), per_class=True, bandwidth=0.3, false_alarm_rate=0.1
    ).fit(X, y)
    scaled = (X - X.mean()) / X.std()
    groups = [np.arange(30), np.arange(30, 60)]
    left = []
    for i in range(60):
        own = [np.setdiff1d(group, [i]) for group in groups]
        left.append(max(plain_density(scaled[i], scaled[group], 0.3) for group in own))
    assert detector.offset_ == pytest.approx(sorted(left)[5])


# -------------------------------------------------------------------------------- classes


def test_one_density_per_class():
    """Scores of classes are the plain ones, the score is the best, and labels choose."""
    X = np.concatenate([normal(20, 2), normal(30, 2, 1) + 4, normal(15, 2, 2) - 4])
    y = np.repeat([5, 0, 9], [20, 30, 15])
    detector = NaturalnessDetector(identity(), per_class=True, bandwidth=0.4).fit(X, y)
    assert detector.classes_.tolist() == [0, 5, 9]
    scale = X.mean(axis=0), X.std(axis=0)
    x = normal(10, 2, 3) * 3
    rows, points = (x - scale[0]) / scale[1], (X - scale[0]) / scale[1]
    expected = np.array(
        [[plain_density(row, points[y == k], 0.4) for k in (0, 5, 9)] for row in rows]
    )
    np.testing.assert_allclose(detector.class_score_samples(x), expected)
    np.testing.assert_allclose(detector.score_samples(x), expected.max(axis=1))
    labels = np.array([9, 5, 0, 0, 5, 9, 9, 9, 0, 5])
    own = expected[np.arange(10), np.searchsorted([0, 5, 9], labels)]
    np.testing.assert_allclose(detector.class_score_samples(x, labels), own)


def test_classes_that_do_not_fit():
    """No labels, a class of one, labels of no class, and no classes at all are refused."""
    X = normal(20, 2)
    classes = NaturalnessDetector(identity(), per_class=True)
    with pytest.raises(LabelError, match="takes labels"):
        classes.fit(X)
    with pytest.raises(LabelError, match=r"\['b'\] have one sample each"):
        classes.fit(X, ["a"] * 19 + ["b"])
    classes.fit(X, ["a", "b"] * 10)
    with pytest.raises(LabelError, match=r"\['z'\] are none of the detector's \['a', 'b'\]"):
        classes.class_score_samples(X[:2], ["a", "z"])
    plain = NaturalnessDetector(identity()).fit(X)
    with pytest.raises(LabelError, match="Only a detector with `per_class=True`"):
        plain.class_score_samples(X[:2], ["a", "b"])


# -------------------------------------------------------------------------------- features


def test_principal_components():
    """The features are the components that hold the share, or so many of them."""
    X = normal(200, 6) * [10, 5, 1, 0.5, 0.1, 0.1]
    detector = NaturalnessDetector(n_components=0.95).fit(X)
    assert detector.n_dimensions_ == PCA(0.95, svd_solver="full").fit(X).n_components_ == 2
    assert NaturalnessDetector(n_components=4).fit(X).n_dimensions_ == 4
    found = PCA(2).fit(X)
    rows = found.transform(X)
    expected = Density(rows / rows.std(axis=0), "scott", 0).score(rows / rows.std(axis=0))
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-9)


def test_what_is_left_out_counts():
    """The residual is one more feature: the log of the root mean square that is left out."""
    X = normal(200, 6) * [10, 5, 1, 0.5, 0.1, 0.1]
    detector = NaturalnessDetector(n_components=2, residual=True).fit(X)
    pca = PCA(2).fit(X)
    rows = pca.transform(X)
    left = np.log(np.sqrt(((X - pca.inverse_transform(rows)) ** 2).mean(axis=1)) + 1e-6)
    rows = np.column_stack([rows, left])
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(detector.score_samples(X), Density(rows, "scott", 0).score(rows))
    # Far off in a direction that the features do not know.
    off = X[:20] + np.array([0, 0, 0, 0, 30, 0])
    assert (detector.predict(off) == -1).all()
    assert (NaturalnessDetector(n_components=2).fit(X).predict(off) == 1).mean() > 0.7
    with pytest.raises(ParameterError, match="takes features with `inverse_transform`"):
        NaturalnessDetector(OneWay(), residual=True).fit(X)


def test_rounding_is_no_component():
    """Components of nothing but rounding are left out, and told; the others score as before."""
    X = normal(200, 3)
    flat = np.column_stack([X, X[:, 0] + X[:, 1], np.full(200, 0.1), np.full(200, 1e6)])
    with pytest.warns(PncvizWarning, match="3 of 6 principal components are kept"):
        detector = NaturalnessDetector(n_components=6).fit(flat)
    assert detector.n_dimensions_ == 3
    plain = NaturalnessDetector(n_components=3).fit(flat[:, :4])
    np.testing.assert_allclose(
        detector.score_samples(flat), plain.score_samples(flat[:, :4]), rtol=1e-6
    )


def test_rounding_is_no_residual():
    """Where nothing is left out, the residual tells rows of a plane from what is off it only."""
    X = normal(200, 2) @ normal(2, 5, 1)
    detector = NaturalnessDetector(n_components=2, residual=True).fit(X)
    new = normal(200, 2, 3) @ normal(2, 5, 1)
    assert (detector.predict(new) == 1).mean() > 0.85
    plain = NaturalnessDetector(n_components=2, bandwidth=detector.bandwidth_[0]).fit(X)
    apart = detector.score_samples(new) - plain.score_samples(new)
    np.testing.assert_allclose(apart, apart[0], atol=1e-6)
    assert (detector.predict(new + normal(200, 5, 4)) == -1).all()


class OneWay(BaseEstimator):
    """A transformer that does not know the way back."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


def test_images_come_as_they_are():
    """Images and flat images score alike; a transformer sees the images' own shape."""
    X = normal(50, 12).reshape(50, 1, 3, 4)
    image, flat = NaturalnessDetector().fit(X), NaturalnessDetector().fit(X.reshape(50, 12))
    np.testing.assert_allclose(image.score_samples(X[:5]), flat.score_samples(X[:5].reshape(5, 12)))
    seen = []

    def look(x):
        seen.append(x.shape)
        return x[:, :, :2]

    NaturalnessDetector(FunctionTransformer(look)).fit(X).predict(X[:7])
    assert set(seen) >= {(50, 1, 3, 4), (7, 1, 3, 4)}
    with pytest.raises(DataError, match=r"shape \(1, 4, 3\) came, but fit saw \(1, 3, 4\)"):
        image.predict(X.reshape(50, 1, 4, 3))


def test_frozen_features_stay():
    """A fitted transformer that is frozen is not fitted again; others are cloned."""
    X = normal(100, 5)
    first = PCA(2, random_state=0).fit(X * [1, 1, 1, 9, 9])
    kept = NaturalnessDetector(FrozenEstimator(first)).fit(X)
    rows = first.transform(X)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(kept.score_samples(X), Density(rows, "scott", 0).score(rows))
    fresh = make_pipeline(PCA(2))
    NaturalnessDetector(fresh).fit(X)
    assert not hasattr(fresh[0], "components_")


def test_layers_of_a_net_are_features():
    """Activations of a net's layer, in a pipeline, serve as features."""
    import torch

    from pncviz import LayerActivations

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 6), torch.nn.Linear(6, 10))
    data = load_dataset("digits")
    layer = LayerActivations(net, layer="1")
    detector = NaturalnessDetector(make_pipeline(layer, PCA(3))).fit(data.X[:200])
    assert detector.n_dimensions_ == 3
    assert np.isfinite(detector.score_samples(data.X_test[:5])).all()


def test_autoencoder_holds_what_components_hold():
    """On data in a plane the narrow layer of two loses next to nothing, of one it does."""
    X = normal(400, 2) @ normal(2, 8, 1) + 3
    two = AutoencoderFeatures(2, hidden=32, max_iter=200, random_state=0).fit(X)
    one = AutoencoderFeatures(1, hidden=32, max_iter=200, random_state=0).fit(X)
    assert two.explained_variance_ratio_ > 0.9
    assert one.explained_variance_ratio_ < two.explained_variance_ratio_ - 0.05
    found = two.transform(X)
    assert found.shape == (400, 2)
    assert np.abs(found).max() <= 1
    # By hand through the net: its own output from the narrow layer on is what it predicts.
    out = np.tanh(found @ two.net_.coefs_[2] + two.net_.intercepts_[2])
    out = out @ two.net_.coefs_[3] + two.net_.intercepts_[3]
    scaled = (X - X.mean(axis=0)) / np.sqrt(((X - X.mean(axis=0)) ** 2).mean())
    np.testing.assert_allclose(out, two.net_.predict(scaled), atol=1e-9)
    size = np.sqrt(((X - X.mean(axis=0)) ** 2).mean())
    np.testing.assert_allclose(two.inverse_transform(found), out * size + X.mean(axis=0))
    share = 1 - ((out - scaled) ** 2).sum() / (scaled**2).sum()
    assert two.explained_variance_ratio_ == pytest.approx(share)


def test_autoencoder_by_name():
    """The name makes an autoencoder of as many units as the components that hold the share."""
    X = normal(100, 5) * [10, 5, 0.1, 0.1, 0.1]
    by_share = NaturalnessDetector("autoencoder", n_components=0.95, random_state=0).fit(X)
    assert isinstance(by_share.features_, AutoencoderFeatures)
    assert by_share.n_dimensions_ == 2
    assert NaturalnessDetector("autoencoder", n_components=3).fit(X).n_dimensions_ == 3


def test_noise_is_told_from_digits():
    """Noise is unnatural beside digits, and new digits are natural."""
    data = load_dataset("digits")
    X, new = data.X.reshape(-1, 64), data.X_test.reshape(-1, 64)
    detector = NaturalnessDetector(residual=True, random_state=0).fit(X)
    noise = np.random.default_rng(0).uniform(size=(200, 64))
    assert (detector.predict(noise) == -1).all()
    assert (detector.predict(new) == 1).mean() > 0.85


# ----------------------------------------------------------------------- chance and faults


def test_samples_can_be_bounded():
    """A bounded density rests on so many samples, drawn by the seed; more bounds change nothing."""
    X = normal(300, 2)

    def scores(**given):
        return NaturalnessDetector(identity(), bandwidth=0.5, **given).fit(X).score_samples(X[:9])

    np.testing.assert_array_equal(
        scores(max_samples=50, random_state=1), scores(max_samples=50, random_state=1)
    )
    assert (scores(max_samples=50, random_state=1) != scores(max_samples=50, random_state=2)).any()
    np.testing.assert_array_equal(scores(max_samples=300), scores())
    few = NaturalnessDetector(identity(), max_samples=50).fit(X)
    assert few.bandwidth_ == pytest.approx(50 ** (-1 / 6))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"features": "kpca"}, "`features` must be one of pca, autoencoder or a transformer"),
        ({"features": 3}, "`features` must be one of pca"),
        (
            {"n_components": 0},
            "`n_components` must be a positive integer or a share below 1, got 0",
        ),
        ({"n_components": 1.0}, "`n_components` must be"),
        ({"n_components": True}, "`n_components` must be"),
        ({"n_components": 9}, r"at most 4 for X of shape \(30, 4\), got 9"),
        ({"bandwidth": "wide"}, "`bandwidth` must be a positive number or one of scott"),
        ({"bandwidth": 0.0}, "`bandwidth` must be a positive number"),
        ({"bandwidth": np.inf}, "`bandwidth` must be a positive number"),
        ({"false_alarm_rate": 0.0}, "`false_alarm_rate` must be between 0 and 1, got 0.0"),
        ({"false_alarm_rate": 1}, "`false_alarm_rate` must be between 0 and 1, got 1"),
        ({"residual": 1}, "`residual` must be True or False, got 1"),
        ({"max_samples": 1}, "`max_samples` must be None or 2 or more, got 1"),
        ({"max_samples": 5.0}, "`max_samples` must be None or 2"),
        ({"random_state": -1}, "must not be negative"),
    ],
)
def test_bad_parameters_are_named(given, match):
    """Every parameter out of bounds is refused by name, with the value."""
    with pytest.raises(ParameterError, match=match):
        NaturalnessDetector(**given).fit(normal(30, 4))


@pytest.mark.parametrize("name", ["n_components", "hidden", "max_iter"])
def test_bad_autoencoders_are_named(name):
    """Numbers that are no positive integers are refused by name."""
    for value in (0, 1.5, True):
        with pytest.raises(
            ParameterError, match=f"`{name}` must be a positive integer, got {value}"
        ):
            AutoencoderFeatures(**{name: value}).fit(normal(20, 3))


def test_samples_all_the_same():
    """A constant X has no density; a constant feature among others does no harm."""
    with pytest.raises(DataError, match="the same sample over and over"):
        NaturalnessDetector().fit(np.ones((10, 3)))
    X = np.column_stack([normal(50, 2), np.ones(50)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = NaturalnessDetector(identity()).fit(X).score_samples(X)
    assert np.isfinite(scores).all()


def test_normal_quantiles_are_where_they_should_be():
    """In one dimension the threshold is the normal density at its two-sided quantile."""
    X = normal(5000, 1)
    detector = NaturalnessDetector(identity(), bandwidth=0.1, false_alarm_rate=0.1).fit(X)
    sd = np.sqrt(1 + 0.1**2)
    expected = norm(scale=sd).logpdf(norm.ppf(0.95))
    assert detector.offset_ == pytest.approx(expected, abs=0.12)
