"""Beyond r: similarity by frequency, by number of examples, linear oracles, templates."""

import tracemalloc

import numpy as np
import pytest
import reference
import xarray as xr

from pncviz import compare, concat_patterns, extract_patterns, make_strategy, own_class
from pncviz import positive_negative_contrast as contrast_of
from pncviz.dataset import build_contrasts, build_patterns, common_attrs
from pncviz.exceptions import (
    DataError,
    DataTypeError,
    LabelError,
    ParameterError,
    PatternWarning,
    ResultError,
    UnknownNameError,
)
from pncviz.inference import (
    band_similarity,
    example_convergence,
    haufe_transform,
    linear,
    template_accuracy,
    templates,
)


def patterns_of(images, labels=None, **blocks):
    """A patterns dataset of these images (label, …)."""
    n = len(images)
    labels = np.arange(n) if labels is None else labels
    return build_patterns(
        pattern=images,
        labels=labels,
        image_shape=images.shape[1:],
        **dict.fromkeys(["confidence", "loss", "success_rate", "pattern_confidence"], np.ones(n)),
        n_iter=np.ones(n, dtype=int),
        prediction=labels,
        pattern_prediction=labels,
        stop_reason=["max_iter"] * n,
        attrs=common_attrs("patterns", parameters={}),
        **blocks,
    )


def contrasts_of(images, labels=None):
    """A contrasts dataset of these images (label, …)."""
    return build_contrasts(
        contrast=images,
        positive_mean=images,
        negative_mean=np.zeros_like(images),
        n_positive=np.ones(len(images), dtype=int),
        n_negative=np.ones(len(images), dtype=int),
        labels=np.arange(len(images)) if labels is None else labels,
        image_shape=images.shape[1:],
        attrs=common_attrs("contrasts", parameters={"normalize": None}),
    )


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def wave(frequency, phase, size=16):
    """A cosine over the columns of a grey image."""
    row = np.cos(2 * np.pi * frequency * np.arange(size) + phase)
    return np.broadcast_to(row, (1, size, size))


# ---------------------------------------------------------------- spatial frequency


@pytest.mark.parametrize("shape, n", [((1, 8, 8), None), ((3, 9, 12), 5), ((2, 7, 7), 1)])
def test_bands_equal_band_passed_images(shape, n):
    """In each band, similarity is Pearson's r of images band-passed by an inverse transform."""
    a, b = noise(2, *shape) + 3, noise(2, *shape, seed=1) - 1
    found = band_similarity(patterns_of(a), contrasts_of(b), n_bands=n)
    centres = found["frequency"].values
    for i, centre in enumerate(centres):
        low, high = centre - centres[0], centre + centres[0] + 1e-9
        for label in range(2):
            parts = [reference.band_passed(image[label], low + 1e-9, high) for image in (a, b)]
            here = found.isel(frequency=i, label=label)
            assert float(here["similarity"]) == pytest.approx(reference.pearson(*parts))
            whole = a[label] - a[label].mean(axis=(1, 2), keepdims=True)
            share = np.sum(parts[0] ** 2) / np.sum(whole**2)
            assert float(here["pattern_power"]) == pytest.approx(share)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 5, 8), (1, 1, 6), (1, 2, 2), (1, 31, 17)])
def test_bands_leave_nothing_out(shape):
    """Band similarities weighted by both amplitudes add up to r of the whole images."""
    a, b = noise(1, *shape) + 2, noise(1, *shape, seed=1)
    found = band_similarity(patterns_of(a), contrasts_of(b)).isel(label=0)
    weights = np.sqrt(found["pattern_power"] * found["contrast_power"])
    assert float((found["similarity"] * weights).sum()) == pytest.approx(reference.pearson(a, b))
    for power in ("pattern_power", "contrast_power"):
        assert float(found[power].sum()) == pytest.approx(1)
        assert (found[power] > 0).all()
    assert found.sizes["frequency"] == max(1, min(shape[1:]) // 2)


def test_one_band_is_pearson_without_channel_means():
    """One band gives Pearson's r of images whose channels have had their means removed."""
    a, b = noise(2, 3, 6, 6), noise(2, 3, 6, 6, seed=1)
    shift = np.array([5.0, -2, 0])[:, None, None]
    found = band_similarity(patterns_of(a + shift), contrasts_of(b), n_bands=1)
    for label in range(2):
        flat = [image - image.mean(axis=(1, 2), keepdims=True) for image in (a[label], b[label])]
        expected = reference.pearson(*flat)
        assert float(found["similarity"][label, 0]) == pytest.approx(expected)


def test_waves_have_one_band_and_the_cosine_of_their_phase():
    """Waves of one frequency: all power in its band, r the cosine of the phase, 0 elsewhere."""
    a, b = wave(3 / 16, 0.0)[None], 7 * wave(3 / 16, 1.0)[None] + 2
    found = band_similarity(patterns_of(a), contrasts_of(b)).isel(label=0)
    width = np.diff(found["frequency"])[0]
    inside = np.abs(found["frequency"] - 3 / 16) < width / 2
    np.testing.assert_allclose(found["similarity"], np.where(inside, np.cos(1.0), 0), atol=1e-12)
    np.testing.assert_allclose(found["pattern_power"], inside.astype(float), atol=1e-12)
    np.testing.assert_allclose(found["contrast_power"], inside.astype(float), atol=1e-12)


def test_highest_frequency_is_in_the_last_band():
    """A checkerboard lies in the corner of the spectrum, .707 cycle/pixel."""
    board = np.indices((8, 8)).sum(axis=0) % 2 * 2.0 - 1
    found = band_similarity(patterns_of(board[None, None]), contrasts_of(board[None, None]))
    np.testing.assert_allclose(found["pattern_power"].values, [[0, 0, 0, 1]], atol=1e-12)
    step = 0.5**0.5 / 4
    np.testing.assert_allclose(found["frequency"], (np.arange(4) + 0.5) * step)


def test_constant_images_have_no_power():
    """A constant pattern is like nothing in any band, and has no shares; nothing is NaN."""
    flat = np.full((1, 1, 6, 6), 0.1)
    found = band_similarity(patterns_of(flat), contrasts_of(noise(1, 1, 6, 6)))
    assert not found["similarity"].any()
    assert not found["pattern_power"].any()
    assert float(found["contrast_power"].sum()) == pytest.approx(1)


def test_bands_know_no_scale():
    """Multiplying an image by any positive number, however large or small, changes nothing."""
    a, b = noise(1, 1, 6, 6), noise(1, 1, 6, 6, seed=1)
    plain = band_similarity(patterns_of(a), contrasts_of(b))
    scaled = band_similarity(patterns_of(a * 1e200), contrasts_of(b * 1e-200))
    xr.testing.assert_allclose(plain, scaled)


def test_bands_keep_leading_dims_and_go_by_label():
    """Strategies are kept, and patterns in another order or of some classes find their own."""
    a, b = noise(3, 1, 6, 6), noise(3, 1, 6, 6, seed=1)
    names, contrasts = np.array(["x", "y", "z"]), contrasts_of(b, np.array(["x", "y", "z"]))
    one = patterns_of(a, names)
    whole = band_similarity(one, contrasts)
    both = concat_patterns({"zero": one, "noise": one.assign(pattern=-one["pattern"])})
    found = band_similarity(both, contrasts)
    assert found["similarity"].dims == ("strategy", "label", "frequency")
    assert found["contrast_power"].dims == ("label", "frequency")
    xr.testing.assert_allclose(
        found["similarity"].sel(strategy="noise", drop=True), -whole["similarity"]
    )
    some = band_similarity(one.sel(label=["z", "x"]), contrasts)
    xr.testing.assert_allclose(some, whole.sel(label=["z", "x"]))
    for variable in found.data_vars.values():
        assert variable.attrs["units"] == "1"
        assert variable.attrs["long_name"]
    assert found["frequency"].attrs["units"] == "cycle/pixel"


def test_bands_refuse_what_has_none():
    """Tables, single pixels and impossible numbers of bands are refused."""
    table, pixel = noise(2, 6), noise(2, 3, 1, 1)
    for images in (table, pixel):
        with pytest.raises(ParameterError, match="needs images"):
            band_similarity(patterns_of(images), contrasts_of(images))
    images = noise(2, 1, 6, 6)
    for n in (0, -1, 2.0, True, "3"):
        with pytest.raises(ParameterError, match=r"`n_bands` must be a positive integer, got"):
            band_similarity(patterns_of(images), contrasts_of(images), n_bands=n)


@pytest.mark.parametrize("function", [band_similarity, example_convergence])
def test_other_labels_or_shapes_are_refused(function):
    """Labels of other types, foreign labels and other shapes are errors, never a smaller result."""
    images = noise(2, 1, 6, 6)
    patterns = patterns_of(images, block=images[None], n_block=[4])
    for labels, message in (
        (np.array(["0", "1"]), "strings"),
        (np.array([1, 2]), "lack 0"),
        (np.array([False, True]), "bool"),
    ):
        with pytest.raises(LabelError, match=message):
            function(patterns, contrasts_of(images, labels))
    three = contrasts_of(noise(3, 1, 6, 6), np.array(["0", "1", "2"]))
    with pytest.raises(LabelError, match="strings"):
        function(patterns, three)
    with pytest.raises(ResultError, match=r"images of shape \(1, 6, 6\) like the patterns"):
        function(patterns, contrasts_of(noise(2, 1, 6, 5)))
    with pytest.raises(ResultError, match="kind"):
        function(patterns, patterns)


# ---------------------------------------------------------------- number of examples


def blocks_of(block, n_block, labels=None):
    return patterns_of(block.sum(axis=0), labels, block=block, n_block=n_block)


def test_convergence_equals_partial_sums_one_by_one():
    """Both courses equal Pearson's r of partial sums, by label, with unequal blocks."""
    block, images = noise(4, 3, 1, 5, 5), noise(5, 1, 5, 5, seed=1)
    found = example_convergence(
        blocks_of(block, [3, 3, 2, 2], np.array([4, 0, 2])), contrasts_of(images)
    )
    assert found["n_examples"].values.tolist() == [3, 6, 8, 10]
    for place, label in enumerate([4, 0, 2]):
        whole = reference.partial_similarities(block[:, place], block[:, place].sum(axis=0))
        own = reference.partial_similarities(block[:, place], images[label])
        here = found.sel(label=label)
        np.testing.assert_allclose(here["similarity_to_whole"], whole)
        np.testing.assert_allclose(here["similarity_to_contrast"], own)


def test_convergence_of_orthogonal_blocks():
    """The cosine of the first n of N orthogonal equal blocks with their sum is sqrt(n/N)."""
    block = np.eye(9, 10)[:, None]
    found = example_convergence(blocks_of(block, [2] * 9), metric="cosine")
    assert "similarity_to_contrast" not in found
    expected = np.sqrt(np.arange(1, 10) / 9)
    np.testing.assert_allclose(found["similarity_to_whole"][:, 0], expected)


def test_convergence_in_the_units_of_the_metric():
    """Angles are in degrees and fall to 0; every variable says what it is."""
    found = example_convergence(blocks_of(np.eye(4, 5)[:, None], [1] * 4), metric="angle")
    course = found["similarity_to_whole"]
    assert (course.attrs["units"], found["n_examples"].attrs["units"]) == ("degree", "1")
    np.testing.assert_allclose(course[:, 0], [60, 45, 30, 0], atol=1e-5)
    assert "angle" in course.attrs["long_name"]


def test_strategies_with_other_numbers_of_examples():
    """n_examples holds the numbers of all strategies; NaN where a number is not one's own."""
    block = noise(2, 3, 1, 5, 5)
    parts = {"few": blocks_of(block, [2, 2]), "many": blocks_of(block, [4, 4])}
    both = concat_patterns(parts)
    found = example_convergence(both, contrasts_of(noise(3, 1, 5, 5, seed=1)))
    assert found["similarity_to_whole"].dims == ("strategy", "n_examples", "label")
    assert found["n_examples"].values.tolist() == [2, 4, 8]
    for name, own in (("few", [2, 4]), ("many", [4, 8])):
        alone = example_convergence(parts[name], contrasts_of(noise(3, 1, 5, 5, seed=1)))
        here = found.sel(strategy=name, drop=True)
        xr.testing.assert_allclose(here.sel(n_examples=own), alone)
        assert here.drop_sel(n_examples=own)["similarity_to_whole"].isnull().all()


def test_strategy_without_blocks_is_nan():
    """A strategy whose blocks hold no examples is NaN throughout; the other is as alone."""
    block = noise(2, 3, 1, 5, 5)
    one = blocks_of(block, [2, 2])
    none = one.assign(pattern_block=one["pattern_block"] * np.nan, n_block=one["n_block"] * 0)
    found = example_convergence(concat_patterns({"zero": none, "aai": one}))
    assert found["similarity_to_whole"].sel(strategy="zero").isnull().all()
    xr.testing.assert_allclose(found.sel(strategy="aai", drop=True), example_convergence(one))


def test_empty_blocks_count_for_nothing():
    """Blocks without examples, filled with NaN, neither add up nor spoil the whole."""
    block = noise(4, 3, 1, 5, 5)
    one = blocks_of(block, [2, 3, 4, 5])
    holed = one.copy(deep=True)
    holed["n_block"][[1, 3]] = 0
    holed["pattern_block"][[1, 3]] = np.nan
    expected = example_convergence(blocks_of(block[[0, 2]], [2, 4]))
    xr.testing.assert_allclose(example_convergence(holed), expected)


def test_convergence_needs_blocks():
    """Without blocks, or with empty ones only, it is said how to get them."""
    images = noise(2, 1, 5, 5)
    one = blocks_of(images[None], [1])
    for without in (patterns_of(images), one.assign(n_block=one["n_block"] * 0)):
        with pytest.raises(ParameterError, match="extract with n_blocks=20"):
            example_convergence(without)
    with pytest.raises(UnknownNameError, match="pearson"):
        example_convergence(one, metric="peerson")


def test_convergence_of_real_examples_ends_at_the_pattern(digits, digits_net):
    """The last partial sum of an AAI is the pattern: as like the contrast as compare says."""
    contrasts = contrast_of(digits.X, digits.y, image_shape=(8, 8))
    strategy = make_strategy("aai", n_examples=6)
    patterns = extract_patterns(
        digits_net, image_shape=(8, 8), max_iter=20, strategy=strategy, n_blocks=3, random_state=0
    )
    found = example_convergence(patterns, contrasts)
    assert found["n_examples"].values.tolist() == [2, 4, 6]
    last = found.isel(n_examples=-1)
    np.testing.assert_allclose(last["similarity_to_whole"], 1)
    own = own_class(compare(patterns, contrasts))["similarity"].sel(metric="pearson")
    np.testing.assert_allclose(last["similarity_to_contrast"], own, rtol=1e-5)


# ---------------------------------------------------------------- linear models


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_haufe_equals_the_whole_covariance(monkeypatch, joint, dtype):
    """Patterns equal those by the full covariance, whatever the dtype and the pieces of X."""
    X = (noise(50, 7) @ noise(7, 7, seed=1) * 20 + 100).clip(0, 255).astype(dtype)
    coef = noise(3, 7, seed=2)
    monkeypatch.setattr(linear, "_VALUES", 60)
    found = haufe_transform(coef, X, joint=joint)
    expected = reference.activation_pattern(coef, X.astype(float), joint=joint)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_haufe_sees_through_weights_that_cancel_noise():
    """A pixel with weight but no signal: the weights are unlike the contrast, the pattern like."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 1000)
    distractor = 3 * rng.normal(size=len(y))
    X = np.column_stack([y + distractor, distractor, rng.normal(size=len(y))])
    coef = fitted(X, y)
    contrast = raw_contrasts(X, y)
    alike = [reference.cosine(a, b) for a, b in zip(coef, contrast, strict=True)]
    assert max(np.abs(alike)) < 0.75
    found = haufe_transform(coef, X)
    alike = [reference.cosine(a, b) for a, b in zip(found, contrast, strict=True)]
    assert min(alike) > 1 - 1e-9


def test_haufe_jointly_recovers_what_was_mixed():
    """Where X is exactly S A and the weights unmix it, joint patterns are A, though S correlate."""
    sources = noise(200, 2) @ np.array([[1.0, 0.8], [0.0, 1.0]])
    mixing = noise(2, 5, seed=1)
    X, coef = sources @ mixing, np.linalg.pinv(mixing).T
    np.testing.assert_allclose(haufe_transform(coef, X, joint=True), mixing, atol=1e-9)
    assert np.abs(haufe_transform(coef, X) - mixing).max() > 0.1


def fitted(X, y):
    """Weights of least squares of one-hot labels, with intercept."""
    design = np.column_stack([X, np.ones(len(X))]).astype(np.float64)
    return np.linalg.lstsq(design, np.eye(y.max() + 1)[y], rcond=None)[0][:-1].T


def raw_contrasts(X, y):
    return contrast_of(X, y, normalize=None)["contrast"].values.reshape(y.max() + 1, -1)


def test_haufe_oracle_on_digits(digits):
    """Least squares on digits: patterns are the raw contrasts to rounding, weights are not."""
    X = digits.X.reshape(len(digits.X), -1)
    coef, contrasts = fitted(X, digits.y), raw_contrasts(X, digits.y)
    found = haufe_transform(coef, X)
    assert min(reference.pearson(found[k], contrasts[k]) for k in range(10)) > 1 - 1e-9
    assert max(reference.pearson(coef[k], contrasts[k]) for k in range(10)) < 0.2


def test_haufe_jointly_where_scores_sum_to_a_constant(digits):
    """One-hot scores have a singular covariance; joint patterns are finite all the same."""
    X = digits.X.reshape(len(digits.X), -1)
    coef = fitted(X, digits.y)
    expected = reference.activation_pattern(coef, X.astype(float), joint=True)
    np.testing.assert_allclose(haufe_transform(coef, X, joint=True), expected, atol=1e-8)
    assert np.abs(expected).max() < 10


def test_haufe_oracle_on_mnist(mnist):
    """Acceptance: least squares on all of MNIST, pattern against raw contrast r > .999."""
    X = mnist.X.reshape(len(mnist.X), -1)
    design = np.column_stack([X, np.ones(len(X), dtype=np.float32)]).astype(np.float64)
    # Normal equations: a fraction of the memory and time of a decomposition of X.
    gram, target = design.T @ design, design.T @ np.eye(10)[mnist.y]
    coef = np.linalg.lstsq(gram, target, rcond=1e-12)[0][:-1].T
    del design
    contrasts = raw_contrasts(X, mnist.y)
    tracemalloc.start()
    found = haufe_transform(coef, X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes  # a float64 copy would be twice that
    r = [reference.pearson(found[k], contrasts[k]) for k in range(10)]
    assert min(r) > 0.999
    assert max(reference.pearson(coef[k], contrasts[k]) for k in range(10)) < 0.05


def test_haufe_refuses_what_it_cannot_use():
    """Shapes that do not fit, NaN, and weights without any effect are named."""
    X, coef = noise(10, 4), noise(2, 4)
    spoilt = X.copy()
    spoilt[3, 2] = np.nan
    for bad, error, message in (
        ((coef[0], X), ParameterError, r"`coef` must be real numbers of shape"),
        ((coef * 1j, X), ParameterError, "complex128"),
        ((coef[:0], X), ParameterError, r"of shape \(0, 4\)"),
        ((coef[:, :3], X), DataError, "X has 4 features and `coef` 3"),
        ((coef * np.nan, X), ParameterError, "`coef` contains NaN or infinity in 8 of 8"),
        ((coef, spoilt), DataError, "X contains NaN"),
        ((coef, X[:1]), DataError, "at least two samples"),
        ((coef, X.reshape(10, 2, 2)), DataError, r"X.reshape\(len\(X\), -1\)"),
        ((coef, X.astype(str)), DataTypeError, "real numbers"),
        ((coef * [[1], [0]], X), ParameterError, r"1 of 2 rows \(1\)"),
        ((coef, np.ones((10, 4)) * 0.1), ParameterError, "2 of 2 rows"),
    ):
        with pytest.raises(error, match=message):
            haufe_transform(*bad)


# ---------------------------------------------------------------- templates


def test_templates_equal_one_by_one(monkeypatch, digits):
    """Accuracy equals counting sample by sample, in pieces of any size and any shape of X."""
    contrasts = contrast_of(digits.X, digits.y, image_shape=(8, 8)).sel(label=[3, 9, 1, 4])
    chosen = np.isin(digits.y_test, [1, 3, 4, 9])
    X, y = digits.X_test[chosen].reshape(-1, 64), digits.y_test[chosen]
    hits = reference.template_hits(contrasts["contrast"].values, [3, 9, 1, 4], X, y)
    assert 0 < hits < len(y)
    for shape in [(-1, 64), (-1, 8, 8), (-1, 1, 8, 8)]:
        found = template_accuracy(contrasts, X.reshape(shape), y)
        assert float(found["accuracy"]) == pytest.approx(hits / len(y))
    monkeypatch.setattr(templates, "_VALUES", 200)
    assert float(template_accuracy(contrasts, X, y)["accuracy"]) == pytest.approx(hits / len(y))


@pytest.mark.parametrize("normalize, expected", [("minmax", 0.737), (None, 0.697)])
def test_templates_on_mnist(mnist, normalize, expected):
    """Truth 5: contrasts as templates reach 73.7 % (min-max) and 69.7 % (raw) on test data."""
    contrasts = contrast_of(mnist.X, mnist.y, normalize=normalize)
    found = template_accuracy(contrasts, mnist.X_test, mnist.y_test)
    assert float(found["accuracy"]) == pytest.approx(expected, abs=0.001)
    assert int(found["n_samples"]) == 10_000
    shuffled = np.random.default_rng(0).permutation(mnist.y_test)
    chance = template_accuracy(contrasts, mnist.X_test, shuffled)
    assert float(chance["lower"]) < 0.1 < float(chance["upper"])


def test_perfect_and_hopeless_templates():
    """All hits, no hit: the ends of Clopper and Pearson's interval are known in closed form."""
    images = contrasts_of(np.eye(3))
    all_right = template_accuracy(images, np.eye(3), [0, 1, 2])
    assert float(all_right["accuracy"]) == float(all_right["upper"]) == 1
    assert float(all_right["lower"]) == pytest.approx(0.025 ** (1 / 3))
    none = template_accuracy(images, np.eye(3), [1, 2, 0])
    assert float(none["accuracy"]) == float(none["lower"]) == 0
    assert float(none["upper"]) == pytest.approx(1 - 0.025 ** (1 / 3))
    assert none.attrs["confidence_level"] == 0.95


def test_ties_are_no_hits():
    """A sample equally like two images, or like none, is no hit."""
    images = contrasts_of(np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]]))
    found = template_accuracy(images, np.eye(3)[[0, 2]], [0, 2])
    assert float(found["accuracy"]) == 0.5
    with pytest.warns(PatternWarning, match="1 of 2 images are constant"):
        found = template_accuracy(images, [[1.0, 1, 1], [0, 0, 1]], [2, 2])
    assert float(found["accuracy"]) == 0.5


def test_smaller_angles_are_better(digits):
    """By the angle the nearest is the smallest: the same hits as by its cosine."""
    contrasts = contrast_of(digits.X, digits.y)
    found = [
        template_accuracy(contrasts, digits.X_test, digits.y_test, metric=metric)
        for metric in ("angle", "cosine")
    ]
    xr.testing.assert_identical(*found)
    assert float(found[0]["accuracy"]) > 0.5


def test_templates_keep_strategies():
    """Each strategy is counted for itself; classes without samples and text labels are fine."""
    one = patterns_of(np.eye(3), np.array(["a", "b", "c"]))
    both = concat_patterns({"zero": one, "noise": one.assign(pattern=-one["pattern"])})
    found = template_accuracy(both, np.eye(3)[:2], ["a", "b"])
    assert found["accuracy"].sel(strategy=["zero", "noise"]).values.tolist() == [1, 0]
    assert found["accuracy"].dims == found["lower"].dims == found["upper"].dims == ("strategy",)
    assert found["n_samples"].dims == ()


def test_templates_refuse_what_does_not_fit():
    """Foreign labels, other shapes, NaN and other results are named."""
    images, X, y = contrasts_of(np.eye(3)), np.eye(3), [0, 1, 2]
    for bad, error, message in (
        ((images, X, [0, 1, 7]), LabelError, "images lack 7"),
        ((images, X, ["0", "1", "2"]), LabelError, "strings"),
        ((images, X, [True, False, True]), LabelError, "bool"),
        ((images, X, [0, 1]), LabelError, r"one label per sample \(3\)"),
        ((images, X[:, :2], y), DataError, r"each of shape \(3,\)"),
        ((images, X[:0], []), DataError, "at least one sample"),
        ((images, np.full((3, 3), np.inf), y), DataError, "NaN or infinity"),
        ((images, X.astype(str), y), DataTypeError, "real numbers"),
        ((xr.Dataset(), X, y), ResultError, "schema_version"),
        ((compare(patterns_of(np.eye(3)), images), X, y), ResultError, "patterns or contrasts"),
    ):
        with pytest.raises(error, match=message):
            template_accuracy(*bad)
    with pytest.raises(UnknownNameError, match="pearson"):
        template_accuracy(images, X, y, metric="peerson")
