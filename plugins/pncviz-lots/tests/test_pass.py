"""PASS and the norms of changes, against windows and pixels by hand."""

import sys

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from pncviz import make_attack, positive_negative_contrast
from pncviz.exceptions import ParameterError
from pncviz.metrics import similarity_matrix
from pncviz.testing import check_metric
from pncviz_lots import adversarial_quality, pass_score, pass_similarity

pytest.importorskip("cv2", reason='PASS needs OpenCV: pip install "pncviz-lots[pass]"')


def _blobs(seed=0, size=28, channels=1):
    """Draw a smooth image of whole pixel values in 0..255 (channels, size, size)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    image = np.zeros((channels, size, size))
    for _ in range(6):
        y, x = rng.uniform(5, size - 5, size=2)
        shade = rng.uniform(80, 200, size=(channels, 1, 1))
        image += shade * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / rng.uniform(8, 40))
    return np.rint(np.clip(image, 0, 255))


def _ssim(a, b, border=5):
    """Structural similarity by Gaussian windows of 11×11, window by window (Wang 2004).

    Mirrored at the edges, so that there is a window around every pixel.
    """
    a, b = (np.pad(v, ((0, 0), *[(border, border)] * 2), mode="symmetric") for v in (a, b))
    offsets = np.arange(-5, 6)
    weight = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(weight, weight) / weight.sum() ** 2
    c1, c2, values = (0.01 * 255) ** 2, (0.03 * 255) ** 2, []
    for one, other in zip(a, b, strict=True):
        for i in range(a.shape[1] - 10):
            for j in range(a.shape[2] - 10):
                p, q = (v[i : i + 11, j : j + 11] for v in (one, other))
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                both = (window * (p - mp) * (q - mq)).sum()
                top = (2 * mp * mq + c1) * (2 * both + c2)
                values.append(top / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return np.mean(values)


def test_an_image_is_like_itself():
    """PASS(a, a) = 1, aligned."""
    image = _blobs()
    assert pass_score(image, image) == (1.0, True)


def test_a_shifted_image_is_more_alike_once_aligned():
    """Of an image moved by two pixels PASS is near 1, where its structural similarity is not."""
    image = _blobs()
    moved = np.roll(image, (1, 2), axis=(1, 2))
    score = pass_score(image, moved)
    assert score.aligned
    assert score.value > 0.95
    assert score.value > _ssim(image, moved) + 0.05


@pytest.mark.parametrize("channels", [1, 3])
def test_without_alignment_it_is_structural_similarity(monkeypatch, channels):
    """Where alignment fails PASS is the plain SSIM, window by window, mean over channels."""
    monkeypatch.setattr("pncviz_lots.score._aligned", lambda *_: None)
    a, b = _blobs(0, 16, channels), _blobs(1, 16, channels)
    score = pass_score(a, b)
    assert not score.aligned
    assert score.value == pytest.approx(_ssim(a, b), abs=1e-9)


def test_a_constant_image_cannot_be_aligned():
    """Nothing to align by: the structural similarity as it is, and the failure is reported."""
    image, flat = _blobs(), np.full((1, 28, 28), 90.0)
    score = pass_score(image, flat)
    assert not score.aligned
    assert score.value == pytest.approx(_ssim(image, flat), abs=1e-9)
    pair = np.stack([image] * 4), np.stack([flat, image, np.roll(image, 1), image])
    found = adversarial_quality(*pair, data_range=255)
    assert found["aligned"].values.tolist() == [False, True, True, True]
    assert found.attrs["alignment_failure_rate"] == 0.25


def test_norms_by_hand():
    """L2 and L∞ are of whole pixel values, over all pixels and channels."""
    images = np.zeros((2, 3, 12, 12))
    images[:, :, 3:6, 3:6] = 0.5
    changed = images.copy()
    changed[0, 0, 0, 0] = 3.4 / 255  # rounds to 3
    changed[0, 2, 4, 4] = 0.5 + 4.2 / 255  # from 128 (127.5) to 131.7, so 132
    found = adversarial_quality(images, changed)
    assert found["l2"].values.tolist() == [5.0, 0.0]
    assert found["linf"].values.tolist() == [4.0, 0.0]
    assert found["pass"].values[1] == 1.0
    assert found["pass"].values[0] < 1.0
    for name in ("pass", "aligned", "l2", "linf"):
        assert found[name].dims == ("sample",)
        assert found[name].attrs["long_name"]


def test_range_and_shape_do_not_matter():
    """Bytes, shares, and images without a channel give the same numbers."""
    images = np.stack([_blobs(seed) for seed in range(3)])
    changed = np.clip(images + np.random.default_rng(0).normal(scale=20, size=images.shape), 0, 255)
    changed = np.rint(changed)
    shares = adversarial_quality(images / 255, changed / 255)
    whole = adversarial_quality(
        images[:, 0].astype(np.uint8), changed[:, 0].astype(np.uint8), data_range=255
    )
    for name in ("pass", "l2", "linf"):
        np.testing.assert_allclose(shares[name], whole[name], atol=1e-9)
    by_hand = np.sqrt(((changed - images) ** 2).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(whole["l2"], by_hand)


def test_more_noise_is_less_alike():
    """PASS falls as noise grows."""
    image = _blobs()
    noise = np.random.default_rng(0).normal(size=image.shape)
    scores = [
        pass_score(image, np.rint(np.clip(image + size * noise, 0, 255))).value
        for size in (2, 10, 40, 120)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.9 > 0.6 > scores[-1]


def test_bad_images():
    """Shapes, sizes and values that are no images of pixels are refused with what came."""
    images = np.zeros((2, 12, 12))
    with pytest.raises(ParameterError, match="must have one shape"):
        adversarial_quality(images, images[:1])
    with pytest.raises(ParameterError, match=r"`originals` must be images of shape \(n, rows"):
        adversarial_quality(np.zeros((2, 144)), images)
    with pytest.raises(ParameterError, match=r"`adversarials` must lie in 0..`data_range` \(1\)"):
        adversarial_quality(images, images + 1.1)
    with pytest.raises(ParameterError, match=r"got -0.5 to -0.5"):
        adversarial_quality(images - 0.5, images)
    with pytest.raises(ParameterError, match="got nan to nan"):
        adversarial_quality(images, np.full_like(images, np.nan))
    with pytest.raises(ParameterError, match="at least 11×11"):
        adversarial_quality(np.zeros((1, 10, 12)), np.zeros((1, 10, 12)))
    with pytest.raises(ParameterError, match="`data_range` must be a positive number, got 0"):
        adversarial_quality(images, images, data_range=0)
    with pytest.raises(ParameterError, match="PASS compares two images"):
        pass_score(images, images[:1])


def test_without_opencv(monkeypatch):
    """Without OpenCV ``lots`` is there, and PASS says what to install."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert make_attack("lots", layer="conv2").layer == "conv2"
    images = np.stack([_blobs(0), _blobs(1)])
    with pytest.raises(ParameterError, match=r'pip install "pncviz-lots\[pass\]"'):
        adversarial_quality(images, images, data_range=255)
    with pytest.raises(ParameterError, match=r'pip install "pncviz-lots\[pass\]"'):
        similarity_matrix(images, images, "pass")


# ------------------------------------------------------------------------ as a metric


def test_keeps_the_contract(monkeypatch):
    """All that pncviz asks of metrics holds, for images large enough for its windows."""
    shapes = ((1, 12, 12), (3, 14, 12), (12,))
    monkeypatch.setattr("pncviz.testing.metrics.SHAPES", shapes)
    check_metric("pass")


def test_the_metric_is_of_signed_images():
    """Zero becomes the middle grey, so a pattern is not like its negative, at any scale."""
    pattern = _blobs(0) - _blobs(1)
    assert pass_similarity(pattern, 3 * pattern) == 1
    assert pass_similarity(pattern, -pattern) < 0
    scaled = np.rint(127.5 + 127.5 * pattern / np.abs(pattern).max())
    other = np.rint(127.5 + 127.5 * _blobs(2) / _blobs(2).max())
    both = (pass_score(scaled, other).value + pass_score(other, scaled).value) / 2
    assert pass_similarity(pattern, _blobs(2)) == pytest.approx(both)


def test_the_windows_are_scikit_images():
    """The windows are those of scikit-image, which leaves out the border in its mean."""
    a, b = _blobs(0), _blobs(1)
    theirs = structural_similarity(
        a, b, data_range=255, channel_axis=0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    assert theirs == pytest.approx(_ssim(a, b, border=0), abs=1e-9)


def test_contrasts_are_compared_by_pass():
    """Stacks of contrasts are compared by the name of the metric."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 1, 12, 12)), np.arange(40) % 2
    contrasts = positive_negative_contrast(X, y)
    matrix = similarity_matrix(contrasts["contrast"], contrasts["contrast"], "pass")
    np.testing.assert_allclose(np.diag(matrix), 1)
    assert matrix[0, 1] < 0.5
