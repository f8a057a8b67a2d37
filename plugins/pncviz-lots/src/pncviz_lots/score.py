"""PASS: how alike two images look, once one is aligned with the other."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import ParameterError

__all__ = ["SMALLEST", "PassScore", "pass_score", "pass_similarity"]

Image = NDArray[np.float64]

#: Rows and columns that an image must have: the window of the structural similarity.
SMALLEST = 11

#: ECC stops after so many iterations, or once the correlation grows by less.
_MAX_ITER, _LEAST_GAIN = 100, 1e-4

#: Side of the Gaussian filter that OpenCV applies before it aligns; its default.
_SMOOTHING = 5


class PassScore(NamedTuple):
    """PASS of a pair of images, -1 to 1, and whether they could be aligned."""

    value: float
    aligned: bool


def pass_score(original: Image, adversarial: Image) -> PassScore:
    """Give the perceptual adversarial similarity score of two images.

    The adversarial image is aligned with the original by a homography that maximises the enhanced
    correlation coefficient (ECC) of their grey values; PASS is the structural similarity of what
    comes out and the original. Images that cannot be aligned are compared as they are. The
    structural similarity has Gaussian windows of 11×11 (sigma 1.5) with luminance, contrast and
    structure weighted alike, as in `wang2004image`; it is the mean over all pixels, those at the
    border too, and over channels.

    Parameters
    ----------
    original, adversarial : ndarrays of shape (channels, rows, columns)
        Pixel values in 0..255.

    Returns
    -------
    PassScore

    Raises
    ------
    ParameterError
        Images of different or unsuitable shapes, or OpenCV is missing.

    References
    ----------
    rozsa2016adversarial; evangelidis2008parametric; wang2004image.

    Examples
    --------
    >>> ramp = np.add.outer(np.arange(16.0), np.arange(16.0))[None] * 8
    >>> pass_score(ramp, ramp)
    PassScore(value=1.0, aligned=True)
    """
    from skimage.metrics import structural_similarity

    if original.shape != adversarial.shape or original.ndim != 3:
        raise ParameterError(
            "PASS compares two images (channel, row, column) of one shape, got "
            f"{original.shape} and {adversarial.shape}."
        )
    if min(original.shape[1:]) < SMALLEST:
        raise ParameterError(
            f"PASS compares images of at least {SMALLEST}×{SMALLEST}, got {original.shape}."
        )
    cv2 = _opencv()
    if np.array_equal(original, adversarial):
        return PassScore(1.0, True)
    warped = _aligned(cv2, original, adversarial)
    _, everywhere = structural_similarity(  # type: ignore[no-untyped-call] # typed in part
        original,
        adversarial if warped is None else warped,
        data_range=255,
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    # Without the border, as it comes, a digit's empty surroundings would hardly count: 0.69 instead
    # of 0.40 for gradient signs on MNIST, where rozsa2017lots has 0.43.
    return PassScore(float(everywhere.mean()), warped is not None)


def pass_similarity(a: Image, b: Image) -> float:
    """PASS of two signed images, such as a pattern and a contrast.

    Each is scaled about zero to whole pixel values in 0..255, zero at the middle, as the metric
    ``ssim`` does. Since neither of them is the original, it is the mean of both alignments. For
    photographs and their adversarial examples take :func:`~pncviz_lots.adversarial_quality`, which
    keeps pixel values as they are.

    Raises
    ------
    ParameterError
        The images are not (channel, row, column), or smaller than 11×11, or OpenCV is missing.
    """
    a, b = (np.rint(127.5 + 127.5 * image / np.abs(image).max()) for image in (a, b))
    return (pass_score(a, b).value + pass_score(b, a).value) / 2


def _aligned(cv2: Any, original: Image, adversarial: Image) -> Image | None:
    """Warp the adversarial image onto the original, or give None where ECC does not converge."""
    template, image = (v.mean(axis=0).astype(np.float32) for v in (original, adversarial))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _MAX_ITER, _LEAST_GAIN)
    start = np.eye(3, dtype=np.float32)
    try:
        _, warp = cv2.findTransformECC(
            template, image, start, cv2.MOTION_HOMOGRAPHY, criteria, None, _SMOOTHING
        )
        if not np.isfinite(warp).all():
            return None
        rows, columns = template.shape
        warped = [
            cv2.warpPerspective(
                channel,
                warp,
                (columns, rows),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                # What lies outside is unknown; the edge is nearer to it than black.
                borderMode=cv2.BORDER_REPLICATE,
            )
            for channel in adversarial
        ]
    except cv2.error:
        return None
    stacked: Image = np.stack(warped).astype(np.float64)
    return stacked if np.isfinite(stacked).all() else None


def _opencv() -> Any:
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise ParameterError(
            'PASS needs OpenCV to align images: pip install "pncviz-lots[pass]".'
        ) from error
