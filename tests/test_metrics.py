"""Metrics against plain re-implementations."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from pncviz import (
    MetricSpec,
    hookimpl,
    similarity_matrix,
)
from pncviz.builtin.metrics import about_zero
from pncviz.exceptions import (
    ParameterError,
    PatternWarning,
    PluginError,
)
from pncviz.metrics import paired_similarity
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
    monkeypatch.setattr("pncviz.metrics.default_registry", lambda: registry)
    with pytest.raises(PluginError, match=r'metric "raises" failed.*ZeroDivisionError'):
        similarity_matrix(images, images, "raises")
    with pytest.raises(PluginError, match=r'metric "nan" must give numbers.*with NaN'):
        similarity_matrix(images, images, "nan")


def test_angle_is_that_of_the_formula(images):
    """The angle is the arc cosine of the cosine, in degrees; a constant image is at 90."""
    found = similarity_matrix(images, images, "angle")
    expected = np.degrees(np.arccos(reference.cosine(images[0], images[1])))
    assert found[0, 1] == pytest.approx(expected)
    np.testing.assert_allclose(np.diag(found), 0, atol=1e-5)
    with pytest.warns(PatternWarning, match="1 of 1 images are constant"):
        assert (similarity_matrix(np.ones((1, 1, 12, 12)), images, "angle") == 90).all()


@pytest.mark.parametrize("metric", [*METRICS, "angle"])
def test_pairs_are_the_diagonal(images, metric):
    """One by one gives the diagonal of all by all; a single image meets each of the others."""
    others = images[::-1] + 0.3 * images
    whole = similarity_matrix(images, others, metric)
    np.testing.assert_allclose(paired_similarity(images, others, metric), np.diag(whole))
    np.testing.assert_allclose(paired_similarity(images[:1], others, metric), whole[0])
    with pytest.raises(ParameterError, match="cannot be paired"):
        paired_similarity(images, others[:2], metric)


def test_pairs_of_constant_images_alone():
    """Where no pair has two images that vary, each has the metric's constant, and one is warned."""
    flat, image = np.zeros((3, 2, 2)), np.arange(12.0).reshape(3, 2, 2)
    with pytest.warns(PatternWarning, match="3 of 3 images are constant"):
        assert paired_similarity(flat, image).tolist() == [0, 0, 0]
