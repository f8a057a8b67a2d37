"""Own-class similarity by spatial frequency: in the coarse form and in the detail."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.dataset import check_labels_match, validate
from pncviz.dataset.fields import IMAGES
from pncviz.exceptions import ParameterError, ResultError

__all__ = ["band_similarity", "check_labels_known", "leading_coords", "own_contrasts"]

#: A band with less of an image's power than this holds rounding, and no image.
_NO_POWER = 1e-24


def check_labels_known(
    labels: NDArray[Any], known: NDArray[Any], what: str, what_known: str
) -> None:
    """Raise LabelError unless labels are among those known, and of the same type.

    Examples
    --------
    >>> check_labels_known(np.array([5, 0]), np.array([0, 1, 5]), "patterns", "contrasts")
    """
    wanted = set(labels.tolist())
    if wanted < set(known.tolist()):
        # Python counts 1 and True as one; check_labels_match looks at the types, too.
        known = np.array([label for label in known.tolist() if label in wanted], known.dtype)
    check_labels_match(labels, known, what, what_known)


def own_contrasts(patterns: xr.Dataset, contrasts: xr.Dataset) -> NDArray[Any]:
    """Give the contrast of each pattern's own class, in the order of the patterns.

    Parameters
    ----------
    patterns, contrasts : xarray.Dataset
        Results; the patterns may be of some of the classes only.

    Returns
    -------
    ndarray of shape (n_labels, *image_shape)

    Raises
    ------
    LabelError
        Patterns have labels that the contrasts lack, or labels of another type.
    ResultError
        One of the two is not what it should be, or their images differ in shape.
    """
    validate(patterns, "patterns")
    validate(contrasts, "contrasts")
    a, b = patterns["pattern"], contrasts["contrast"]
    n_image = 3 if a.dims[-1] == IMAGES[0][-1] else 1
    if b.dims != ("label", *a.dims[-n_image:]) or b.shape[1:] != a.shape[-n_image:]:
        raise ResultError(
            f"contrasts must have the dimensions (label, {', '.join(map(str, a.dims[-n_image:]))}) "
            f"of images of shape {a.shape[-n_image:]} like the patterns; got {b.dims} of shape "
            f"{b.shape}."
        )
    labels, known = a["label"].values, b["label"].values
    check_labels_known(labels, known, "patterns", "contrasts")
    places = {label: place for place, label in enumerate(known.tolist())}
    own: NDArray[Any] = b.values[[places[label] for label in labels.tolist()]]
    return own


def leading_coords(array: xr.DataArray, *dims: Any) -> dict[Any, Any]:
    """Give the coordinates that a result on these dimensions inherits, where there are any."""
    return {dim: array[dim] for dim in dims if dim in array.coords}


def band_similarity(
    patterns: xr.Dataset, contrasts: xr.Dataset, *, n_bands: int | None = None
) -> xr.Dataset:
    r"""Compare each pattern with its own class's contrast, one band of spatial frequency at a time.

    Both images are split into rings of the two-dimensional Fourier transform, channel by channel,
    and in each ring

    .. math:: r = \mathrm{Re} \sum A \bar B \Big/ \sqrt{\sum |A|^2 \sum |B|^2},

    which is Pearson's correlation of the two band-passed images. The mean of each channel belongs
    to no band. With a single band, r is Pearson's correlation of whole images whose channels have
    had their means removed; for grey images, Pearson's correlation as it is.

    Parameters
    ----------
    patterns : xarray.Dataset
        Of images; of some or all of the contrasts' classes. Leading dimensions are kept.
    contrasts : xarray.Dataset
    n_bands : int, optional
        Rings of equal width from 0 to the largest radius there is, which is .707 cycle/pixel for
        even sides (the corners of the spectrum count, so every coefficient but the means is in
        exactly one band). A coefficient on an edge belongs to the lower band. By default half the
        shorter side, but at least 1: 14 bands for 28×28.

    Returns
    -------
    xarray.Dataset
        On (…, label, frequency): ``similarity``, 0 where one of the two has no power, and
        ``pattern_power``, the share of the pattern's power (the means left out), which sums to 1
        over bands unless the pattern is constant. On (label, frequency): ``contrast_power``,
        likewise. The coordinate ``frequency`` is the middle of each band in cycle/pixel.

    Raises
    ------
    ParameterError
        The results are tables or single pixels, or ``n_bands`` is no positive integer.
    LabelError
        Patterns have labels that the contrasts lack, or labels of another type.
    ResultError
        One of the two is not what it should be, or their images differ in shape.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> from pncviz import positive_negative_contrast
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", max_epochs=100).fit(data.X, data.y)
    >>> patterns = extract_patterns(net, image_shape=(6, 6), max_iter=200)
    >>> contrasts = positive_negative_contrast(data.X, data.y, image_shape=(6, 6))
    >>> bands = band_similarity(patterns, contrasts)
    >>> bands["similarity"].sizes["frequency"], float(bands["pattern_power"][0].sum().round(6))
    (3, 1.0)
    """
    own = own_contrasts(patterns, contrasts)
    pattern = patterns["pattern"]
    rows, columns = own.shape[-2:]
    if pattern.dims[-1] == "feature" or rows * columns == 1:
        raise ParameterError(
            "band_similarity needs images of more than one pixel, and these are tables or single "
            "pixels; give `image_shape` when patterns and contrasts are made."
        )
    if n_bands is None:
        n_bands = max(1, min(rows, columns) // 2)
    if not isinstance(n_bands, numbers.Integral) or isinstance(n_bands, bool) or n_bands < 1:
        raise ParameterError(f"`n_bands` must be a positive integer, got {n_bands!r}.")
    n = int(n_bands)
    band, centres = _bands(rows, columns, n)
    leading = pattern.shape[:-4]
    similarity, pattern_power = (np.empty((*leading, len(own), n)) for _ in range(2))
    contrast_power = np.empty((len(own), n))
    # Image by image, since transforms take four times the memory of float32 images.
    for k, contrast in enumerate(own):
        b, contrast_power[k] = _transform(contrast, band, n)
        for place in np.ndindex(leading):
            a, power = _transform(pattern.values[(*place, k)], band, n)
            similarity[(*place, k)] = _coherence(a, b, power, contrast_power[k], band)
            pattern_power[(*place, k)] = power
    return _labelled(pattern, centres, similarity, pattern_power, contrast_power)


def _bands(rows: int, columns: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give each coefficient's band (−1 for the mean), and the middle of each band."""
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns))
    # In square images whole diagonals lie on edges: the tolerance keeps them off rounding's whim.
    place = np.ceil(radius / radius.max() * n - 1e-9).astype(np.int64) - 1
    return place, (np.arange(n) + 0.5) * radius.max() / n


def _transform(
    image: NDArray[Any], band: NDArray[np.int64], n: int
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Give the Fourier transform of each channel, and each band's power (not yet a share)."""
    values = image.astype(np.float64)
    found = np.fft.fft2(values / (np.abs(values).max() or 1))  # squares must not overflow
    squares = np.square(found.real) + np.square(found.imag)
    power = _band_sums(squares, band, n)
    return found, np.where(power > _NO_POWER * squares.sum(), power, 0.0)


def _band_sums(values: NDArray[np.float64], band: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    sums = np.bincount(band.ravel() + 1, weights=values.sum(axis=0).ravel(), minlength=n + 1)
    return sums[1:].astype(np.float64)


def _coherence(
    a: NDArray[np.complex128],
    b: NDArray[np.complex128],
    power_a: NDArray[np.float64],
    power_b: NDArray[np.float64],
    band: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Give the correlation of two transforms in each band; 0 where one has no power."""
    product = a.real * b.real + a.imag * b.imag  # Re(A conj B)
    # Square roots first: the product of two powers may under- or overflow.
    size = np.sqrt(power_a) * np.sqrt(power_b)
    top = _band_sums(product, band, len(size))
    return np.where(size > 0, np.clip(top / np.where(size > 0, size, 1), -1, 1), 0.0)


def _labelled(
    pattern: xr.DataArray,
    centres: NDArray[np.float64],
    similarity: NDArray[np.float64],
    pattern_power: NDArray[np.float64],
    contrast_power: NDArray[np.float64],
) -> xr.Dataset:
    dims = (*pattern.dims[:-3], "frequency")
    frequency = {"long_name": "spatial frequency, middle of the band", "units": "cycle/pixel"}

    def share(power: NDArray[np.float64], what: str) -> tuple[NDArray[np.float64], dict[str, str]]:
        total = power.sum(axis=-1, keepdims=True)
        attrs = {"long_name": f"share of the {what}'s power in the band", "units": "1"}
        return power / np.where(total > 0, total, 1), attrs

    similar = {"long_name": "correlation of pattern and contrast in the band", "units": "1"}
    return xr.Dataset(
        {
            "similarity": (dims, similarity, similar),
            "pattern_power": (dims, *share(pattern_power, "pattern")),
            "contrast_power": (dims[-2:], *share(contrast_power, "contrast")),
        },
        coords={
            **leading_coords(pattern, *dims[:-1]),
            "frequency": ("frequency", centres, frequency),
        },
    )
