"""Metrics against plain re-implementations, and the comparison of labelled datasets."""

import subprocess
import sys

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from pncviz import (
    MetricSpec,
    compare,
    concat_patterns,
    extract_patterns,
    hookimpl,
    own_class,
    positive_negative_contrast,
    similarity_matrix,
)
from pncviz.builtin.metrics import about_zero
from pncviz.exceptions import (
    LabelError,
    ParameterError,
    PatternWarning,
    PluginError,
    UnknownNameError,
)
from pncviz.registry import Registry

METRICS = ("pearson", "spearman", "cosine", "ssim", "nmi", "psnr")


@pytest.fixture(scope="module")
def images():
    """Signed random images of one channel."""
    return np.random.default_rng(0).normal(size=(3, 1, 12, 12))


@pytest.mark.parametrize("metric", ["pearson", "spearman", "cosine"])
def test_metrics_equal_plain_ones(images, metric):
    """Each pairwise metric equals its re-implementation, term by term."""
    found = similarity_matrix(images, images, metric)
    for i in range(3):
        for j in range(3):
            expected = getattr(reference, metric)(images[i], images[j])
            assert found[i, j] == pytest.approx(expected, abs=1e-12)


def test_ssim_equals_the_plain_one(images):
    """SSIM equals a window-by-window re-implementation on images scaled about zero."""
    a, b = (about_zero(image) for image in images[:2])
    expected = reference.ssim(a[0], b[0])
    assert similarity_matrix(images[:1], images[1:2], "ssim")[0, 0] == pytest.approx(expected)


def test_ssim_of_an_image_and_its_negative_is_low():
    """Scaled about zero, an image and its own negative are unlike; raw they look alike."""
    from skimage.metrics import structural_similarity

    rows, columns = np.indices((28, 28))
    image = -np.exp(-((rows - 14) ** 2 + (columns - 14) ** 2) / 40.0)[None] - 0.01
    raw = structural_similarity(image[0], -image[0] - 0.5, data_range=1.5)
    scaled = similarity_matrix(image[None], -image[None], "ssim")[0, 0]
    assert scaled < 0.35
    assert scaled < raw + 1


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), metric=st.sampled_from(METRICS))
def test_metric_properties(seed, metric):
    """An image is most like itself, similarity is symmetric, order only permutes."""
    stack = np.random.default_rng(seed).normal(size=(4, 1, 8, 8))
    found = similarity_matrix(stack, stack, metric)
    assert (np.diag(found) == pytest.approx(found.max(axis=1))) or np.isinf(np.diag(found)).all()
    np.testing.assert_allclose(found, found.T, atol=1e-9)
    order = [2, 0, 3, 1]
    permuted = similarity_matrix(stack[order], stack, metric)
    np.testing.assert_allclose(permuted, found[order], atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_constant_images_are_0_and_told_once(images, metric):
    """Similarity with a constant image is 0, with one warning for a stack."""
    stack = np.concatenate([images, np.ones((2, 1, 12, 12))])
    with pytest.warns(PatternWarning, match="2 of 5 images are constant") as caught:
        found = similarity_matrix(stack, images, metric)
    assert len(caught) == 1
    assert (found[3:] == 0).all()


def test_ssim_refuses_tables():
    """SSIM compares images; a table is refused with its shape."""
    table = np.random.default_rng(0).normal(size=(2, 9))
    with pytest.raises(ParameterError, match=r"ssim compares images.*got shape \(9,\)"):
        similarity_matrix(table, table, "ssim")


@pytest.fixture(scope="module")
def results(digits, digits_net):
    """Patterns and contrasts of digits."""
    patterns = extract_patterns(digits_net, image_shape=(8, 8), max_iter=60)
    return patterns, positive_negative_contrast(digits.X, digits.y)


def test_compare_labels_then_values(results):
    """Compare gives metric × pattern_label × contrast_label, with the metrics' values."""
    patterns, contrasts = results
    found = compare(patterns, contrasts, metrics=["pearson", "psnr"])
    assert found["similarity"].dims == ("metric", "pattern_label", "contrast_label")
    expected = reference.pearson(
        patterns["pattern"].sel(label=3), contrasts["contrast"].sel(label=8)
    )
    one = found["similarity"].sel(metric="pearson", pattern_label=3, contrast_label=8)
    assert float(one) == pytest.approx(expected)


def test_compare_goes_by_label_not_place(results):
    """Patterns in another order, or of some classes, are compared with the right contrasts."""
    patterns, contrasts = results
    whole = own_class(compare(patterns, contrasts))
    some = own_class(compare(patterns.sel(label=[7, 2]), contrasts))
    np.testing.assert_allclose(some["similarity"], whole["similarity"].sel(label=[7, 2]))


def test_compare_keeps_strategies(results):
    """A strategy dim is carried along."""
    patterns, contrasts = results
    both = concat_patterns({"a": patterns, "b": patterns})
    found = compare(both, contrasts)["similarity"]
    assert found.dims[0] == "strategy"
    np.testing.assert_array_equal(found[0], found[1])


def test_other_labels_are_refused(results):
    """Integer against string labels, or partly overlapping ones, are a LabelError, never empty."""
    patterns, contrasts = results
    texts = contrasts.assign_coords(label=contrasts["label"].values.astype(str))
    with pytest.raises(LabelError, match="str"):
        compare(patterns, texts)
    with pytest.raises(LabelError, match="label"):
        compare(patterns, contrasts.assign_coords(label=np.arange(5, 15)))


def test_unknown_or_no_metric(results):
    """An unknown metric is met with choices; none at all is refused."""
    with pytest.raises(UnknownNameError, match='Did you mean "pearson"'):
        compare(*results, metrics="peerson")
    with pytest.raises(ParameterError, match="`metrics` is empty"):
        compare(*results, metrics=[])


def test_ties_are_no_hit(results):
    """A pattern equally like two contrasts is not nearest to its own."""
    patterns, contrasts = results
    same = contrasts.copy(deep=True)
    same["contrast"][1] = same["contrast"][0]
    near = own_class(compare(patterns, same))["nearest"].sel(metric="pearson", label=[0, 1])
    assert not near.any()


def test_broken_metrics_are_named(monkeypatch, images):
    """A metric that raises or gives NaN is named with what came."""

    class Plugin:
        @hookimpl
        def pncviz_metrics(self):
            return [
                MetricSpec(name="raises", function=lambda a, b: 1 / 0),
                MetricSpec(name="nan", function=lambda a, b: np.nan),
            ]

    registry = Registry(discover=False)
    registry.register(Plugin())
    monkeypatch.setattr("pncviz.comparison.default_registry", lambda: registry)
    with pytest.raises(PluginError, match=r'metric "raises" failed.*ZeroDivisionError'):
        similarity_matrix(images, images, "raises")
    with pytest.raises(PluginError, match=r'metric "nan" must give numbers.*with NaN'):
        similarity_matrix(images, images, "nan")


def test_results_need_no_torch(results, tmp_path):
    """With torch and skorch blocked, a saved result loads, compares and draws."""
    from pncviz import save

    save(results[0], tmp_path / "p.nc")
    save(results[1], tmp_path / "c.nc")
    script = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "skorch"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import pncviz
patterns, contrasts = pncviz.load("p.nc"), pncviz.load("c.nc")
similarities = pncviz.compare(patterns, contrasts, metrics=["pearson", "ssim"])
pncviz.save(similarities, "s.nc")
pncviz.PatternDisplay.from_dataset(contrasts, patterns).plot().figure_.savefig("p.png")
pncviz.SimilarityDisplay.from_dataset(similarities).plot()
print(pncviz.summary(similarities).count("pearson"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "10"
