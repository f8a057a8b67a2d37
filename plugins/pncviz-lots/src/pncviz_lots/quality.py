"""How near adversarial images are to their originals, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pncviz.exceptions import ParameterError
from pncviz.synthesis import check_number
from pncviz_lots.score import pass_score

__all__ = ["adversarial_quality"]


def adversarial_quality(
    originals: ArrayLike, adversarials: ArrayLike, *, data_range: float = 1.0
) -> xr.Dataset:
    """Measure adversarial images in whole pixel values of 0..255, as the papers' tables do.

    Parameters
    ----------
    originals, adversarials : array-like of shape (n, rows, columns) or (n, channels, rows, columns)
        The first with the first, and so on; values in 0..``data_range``. Both are rounded to whole
        pixel values first.
    data_range : float, default=1.0
        What stands for white: 255 for images of bytes.

    Returns
    -------
    xarray.Dataset
        Per ``sample``: ``pass``, the perceptual adversarial similarity score; ``aligned``, whether
        the images could be aligned for it (else it is their structural similarity as they are);
        ``l2`` and ``linf``, the norms of the change in pixel values. The attribute
        ``alignment_failure_rate`` is the share that could not be aligned.

    Raises
    ------
    ParameterError
        Images that differ in shape, are smaller than 11×11, not finite, or out of range; or
        OpenCV is missing.

    References
    ----------
    rozsa2017lots, section 4; rozsa2016adversarial.

    Examples
    --------
    >>> images = np.add.outer(np.arange(16), np.arange(16))[None] / 30
    >>> found = adversarial_quality(images, images**1.1)
    >>> found["linf"].values, found["pass"].values.round(2)
    (array([9.]), array([0.99]))
    """
    check_number("data_range", data_range, low=0, open_low=True)
    before = _pixels("originals", originals, float(data_range))
    after = _pixels("adversarials", adversarials, float(data_range))
    if before.shape != after.shape:
        raise ParameterError(
            "`originals` and `adversarials` must have one shape, got "
            f"{np.shape(originals)} and {np.shape(adversarials)}."
        )
    scores = [pass_score(one, other) for one, other in zip(before, after, strict=True)]
    aligned = np.array([score.aligned for score in scores])
    change = (after - before).reshape(len(before), -1)
    return xr.Dataset(
        {
            "pass": _named("perceptual adversarial similarity score", [s.value for s in scores]),
            "aligned": _named("whether the images could be aligned", aligned),
            "l2": _named("L2 norm of the change", np.linalg.norm(change, axis=1), "pixel value"),
            "linf": _named("largest change of a pixel", np.abs(change).max(axis=1), "pixel value"),
        },
        attrs={
            "alignment_failure_rate": float(1 - aligned.mean()),
            "data_range": float(data_range),
        },
    )


def _named(long_name: str, values: Any, units: str = "1") -> tuple[str, Any, dict[str, str]]:
    return "sample", np.asarray(values), {"long_name": long_name, "units": units}


def _pixels(name: str, images: ArrayLike, data_range: float) -> NDArray[np.float64]:
    """Give whole pixel values as (n, channels, rows, columns)."""
    array = np.asarray(images)
    if array.dtype.kind not in "biuf" or array.ndim not in (3, 4) or not array.size:
        raise ParameterError(
            f"`{name}` must be images of shape (n, rows, columns) or (n, channels, rows, columns), "
            f"got {array.dtype} of shape {array.shape}."
        )
    pixels: NDArray[np.float64] = np.rint(array.astype(np.float64) * (255 / data_range))
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 255):
        raise ParameterError(
            f"`{name}` must lie in 0..`data_range` ({data_range:g}), got {low:g} to {high:g}. Clip "
            "them, or say what stands for white with `data_range`."
        )
    return pixels[:, None] if array.ndim == 3 else pixels
