"""Similarities of two images, by scipy and scikit-image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from pncviz.exceptions import ParameterError
from pncviz.hookspecs import hookimpl
from pncviz.specs import MetricSpec

__all__ = ["angle", "cosine", "nmi", "pearson", "pncviz_metrics", "psnr", "spearman", "ssim"]

Image = NDArray[np.float64]

#: Grey levels of the joint histogram; 100 (scikit-image's default) would mostly be empty for
#: images of some hundred pixels.
NMI_BINS = 16


def pearson_pairs(a: Image, b: Image) -> Image:
    """Pearson's r of each row of (n, d) with each row of (m, d)."""
    return 1.0 - cdist(a, b, "correlation")  # type: ignore[no-any-return] # scipy is untyped


def cosine_rows(a: Image, b: Image) -> Image:
    """Cosine of the angle between each row of (n, d) and its counterpart in (n, d)."""
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: Image = np.einsum("ij,ij->i", a, b) / sizes
    return cosines


def pearson_rows(a: Image, b: Image) -> Image:
    """Pearson's r of each row of (n, d) with its counterpart in (n, d)."""
    return cosine_rows(a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True))


def spearman_rows(a: Image, b: Image) -> Image:
    """Spearman's rank correlation of each row of (n, d) with its counterpart in (n, d)."""
    return pearson_rows(rankdata(a, axis=1), rankdata(b, axis=1))


def _units(a: Image) -> Image:
    units: Image = a / np.linalg.norm(a, axis=1, keepdims=True)
    return units


def angle_rows(a: Image, b: Image) -> Image:
    """Angle in degrees between each row of (n, d) and its counterpart in (n, d)."""
    # By half angles: the arc cosine loses half of the digits near 0.
    u, v = _units(a), _units(b)
    apart, along = np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1)
    angles: Image = np.degrees(2 * np.arctan2(apart, along))
    return angles


def spearman_pairs(a: Image, b: Image) -> Image:
    """Spearman's rank correlation of each row of (n, d) with each row of (m, d)."""
    return pearson_pairs(rankdata(a, axis=1), rankdata(b, axis=1))


def cosine_pairs(a: Image, b: Image) -> Image:
    """Cosine of the angle between each row of (n, d) and each row of (m, d)."""
    return 1.0 - cdist(a, b, "cosine")  # type: ignore[no-any-return] # scipy is untyped


def pearson(a: Image, b: Image) -> float:
    """Pearson's correlation of the pixels of two images.

    Examples
    --------
    >>> import numpy as np
    >>> round(pearson(np.array([1.0, 2.0, 4.0]), np.array([-1.0, -2.0, -4.0])), 12)
    -1.0
    """
    return float(pearson_pairs(a.reshape(1, -1), b.reshape(1, -1))[0, 0])


def spearman(a: Image, b: Image) -> float:
    """Spearman's rank correlation of the pixels of two images.

    Examples
    --------
    >>> import numpy as np
    >>> round(spearman(np.array([1.0, 2.0, 4.0]), np.array([0.0, 5.0, 6.0])), 12)
    1.0
    """
    return float(spearman_pairs(a.reshape(1, -1), b.reshape(1, -1))[0, 0])


def cosine(a: Image, b: Image) -> float:
    """Cosine of the angle between two images in input space.

    Examples
    --------
    >>> import numpy as np
    >>> cosine(np.array([1.0, 0.0]), np.array([0.0, 2.0]))
    0.0
    """
    return float(cosine_pairs(a.reshape(1, -1), b.reshape(1, -1))[0, 0])


def angle_pairs(a: Image, b: Image) -> Image:
    """Angle in degrees between each row of (n, d) and each row of (m, d)."""
    u, v = _units(a), _units(b)
    angles: Image = np.degrees(2 * np.arctan2(cdist(u, v), cdist(u, -v)))
    return angles


def angle(a: Image, b: Image) -> float:
    """Angle in degrees between two images in input space, as in boundary tilting.

    References
    ----------
    tanay2016boundary.

    Examples
    --------
    >>> import numpy as np
    >>> angle(np.array([1.0, 0.0]), np.array([0.0, 2.0]))
    90.0
    """
    return float(angle_pairs(a.reshape(1, -1), b.reshape(1, -1))[0, 0])


def about_zero(image: Image) -> Image:
    """Scale a signed image to 0..1 with zero at one half.

    Examples
    --------
    >>> import numpy as np
    >>> about_zero(np.array([-2.0, 0.0, 1.0]))
    array([0.  , 0.5 , 0.75])
    """
    scaled: Image = 0.5 + 0.5 * image / np.abs(image).max()
    return scaled


def ssim(a: Image, b: Image) -> float:
    """Structural similarity of two images, each scaled about zero first.

    Means of signed images are near zero or negative, and two negative means count as alike: raw,
    an image and its own negative look similar. With zero at mid-grey they do not.

    Raises
    ------
    ParameterError
        The images are not (channel, row, column), or smaller than 3×3.

    References
    ----------
    wang2004image.
    """
    from skimage.metrics import structural_similarity

    if a.ndim != 3 or min(a.shape[1:]) < 3:
        raise ParameterError(f"ssim compares images of at least 3×3, got shape {a.shape}.")
    window = min(7, (min(a.shape[1:]) - 1) // 2 * 2 + 1)
    return float(
        structural_similarity(
            about_zero(a), about_zero(b), data_range=1.0, channel_axis=0, win_size=window
        )
    )


def nmi(a: Image, b: Image) -> float:
    """Normalised mutual information of the grey levels of two images, 1 (none) to 2 (one to one).

    References
    ----------
    studholme1999overlap.
    """
    from skimage.metrics import normalized_mutual_information

    return float(normalized_mutual_information(a, b, bins=NMI_BINS))


def psnr(a: Image, b: Image) -> float:
    """Peak signal-to-noise ratio in dB of two images, each scaled about zero first.

    Infinite for images that are equal up to a positive factor.
    """
    from skimage.metrics import peak_signal_noise_ratio

    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(about_zero(a), about_zero(b), data_range=1.0))


@hookimpl
def pncviz_metrics() -> list[MetricSpec]:
    """Give the built-in metrics."""
    return [
        MetricSpec(
            name="pearson",
            function=pearson,
            pairwise=pearson_pairs,
            paired=pearson_rows,
            summary="Pearson's correlation of pixels",
        ),
        MetricSpec(
            name="spearman",
            function=spearman,
            pairwise=spearman_pairs,
            paired=spearman_rows,
            summary="Spearman's rank correlation of pixels",
        ),
        MetricSpec(
            name="cosine",
            function=cosine,
            pairwise=cosine_pairs,
            paired=cosine_rows,
            summary="cosine of the angle in input space",
        ),
        MetricSpec(
            name="angle",
            function=angle,
            pairwise=angle_pairs,
            paired=angle_rows,
            units="degree",
            range=(0.0, 180.0),
            higher_is_better=False,
            constant=90.0,
            summary="angle in input space",
            reference="tanay2016boundary",
        ),
        MetricSpec(
            name="ssim",
            function=ssim,
            summary="structural similarity, scaled about zero",
            reference="wang2004image",
        ),
        MetricSpec(
            name="nmi",
            function=nmi,
            smooth=False,
            range=(1.0, 2.0),
            summary="normalised mutual information",
            reference="studholme1999overlap",
        ),
        MetricSpec(
            name="psnr",
            function=psnr,
            units="dB",
            range=(0.0, float("inf")),
            summary="peak signal-to-noise ratio, scaled about zero",
        ),
    ]
