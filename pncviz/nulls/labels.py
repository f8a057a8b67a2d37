"""Contrasts of shuffled labels: what the data give when labels mean nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.contrast.accumulator import MAX_BYTES
from pncviz.contrast.arithmetic import check_normalize
from pncviz.data import (
    check_labels,
    check_samples,
    encode_labels,
    refuse_overflow,
    resolve_image_shape,
    resolve_seed,
)
from pncviz.dataset import build_contrasts, common_attrs
from pncviz.exceptions import LabelError, ParameterError
from pncviz.means import contrast_from_sums

__all__ = ["label_shuffled_contrasts"]

#: Samples per product, at most: their indicators, for all draws, are held at once.
_ROWS = 2048
#: Numbers in those indicators, at most.
_HELD = 2**24


def label_shuffled_contrasts(
    X: Any,
    y: Any,
    n: int = 500,
    *,
    normalize: str | None = "minmax",
    image_shape: tuple[int, ...] | None = None,
    random_state: Any = None,
    max_bytes: int = MAX_BYTES,
) -> xr.Dataset:
    """Compute the contrasts of the same samples with their labels shuffled, many times.

    Each draw permutes y, so classes keep their sizes and images their smoothness and support; what
    is lost is which image belongs to which class. Given to :func:`~pncviz.compare` as ``null``, the
    p-value of a pattern answers: is it more like its class's contrast than like the contrast of
    as many samples drawn at random?

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), (n_samples, rows, columns) or \
            (n_samples, channels, rows, columns)
    y : array-like of shape (n_samples,)
    n : int, default=500
        Draws.
    normalize : {"minmax", None}, default="minmax"
        As for the contrasts that the draws are to be compared with.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        How to label and draw flat samples.
    random_state : int, RandomState, Generator or None, default=None
    max_bytes : int
        Refuse to start if the draws would take more.

    Returns
    -------
    xarray.Dataset
        Contrasts with a leading ``draw``; float32.

    Raises
    ------
    ValueError
        X or y cannot be used, or there is only one class.
    ParameterError
        ``n`` or ``normalize`` is none, or the draws are too large.

    References
    ----------
    phipson2010permutation.

    Examples
    --------
    >>> from pncviz import load_dataset
    >>> data = load_dataset("digits")
    >>> label_shuffled_contrasts(data.X, data.y, 3, random_state=0)["contrast"].sizes["draw"]
    3
    """
    check_normalize(normalize)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ParameterError(f"`n` must be a positive integer, got {n!r}.")
    samples = check_samples(X)
    if samples.dtype.kind == "f":
        refuse_overflow(samples)
    labels = check_labels(y, len(samples), X=X)
    classes, codes = encode_labels(labels)
    if len(classes) < 2:
        raise LabelError(f"y has only one class, {classes.tolist()}; a contrast needs two.")
    image_shape = resolve_image_shape(samples.shape[1:], image_shape)
    _check_size(int(n), len(classes), samples.shape[1:], max_bytes)
    seed = resolve_seed(random_state)
    drawn = _draws(samples.reshape(len(samples), -1), codes, int(n), seed, normalize)
    counts = np.bincount(codes)
    one = build_contrasts(
        **{name: images[0] for name, images in drawn.items()},
        n_positive=counts,
        n_negative=counts.sum() - counts,
        labels=classes,
        image_shape=image_shape,
        feature_names=getattr(X, "columns", None),
        attrs=common_attrs(
            "contrasts",
            parameters={"normalize": normalize, "labels_from": "shuffled y", "n": int(n)},
            random_state=seed,
            null="contrasts of shuffled labels",
        ),
    )
    shape = (int(n), len(classes), *image_shape)
    return one.assign(
        {
            name: (("draw", *one[name].dims), values.reshape(shape), one[name].attrs)
            for name, values in drawn.items()
        }
    )


def _check_size(n: int, n_classes: int, shape: tuple[int, ...], max_bytes: int) -> None:
    # Sums, contrasts and both means.
    estimate = n * n_classes * math.prod(shape) * 4 * 4
    if estimate > max_bytes:
        raise ParameterError(
            f"{n} draws of {n_classes} contrasts of shape {shape} need about {estimate:,} bytes, "
            f"more than `max_bytes` ({max_bytes:,}). Draw fewer, or raise it."
        )


def _draws(
    flat: NDArray[Any], codes: NDArray[np.int64], n: int, seed: int, normalize: str | None
) -> dict[str, NDArray[np.float32]]:
    """Give contrasts and means of every draw, put together in float64 a few draws at a time."""
    # Sums are of deviations from the mean, so float32 serves also for years or incomes.
    mean = flat.mean(axis=0, dtype=np.float64)
    sums, counts = _shuffled_sums(flat, mean, codes, n, seed), np.bincount(codes)
    names = ("contrast", "positive_mean", "negative_mean")
    drawn = {name: np.empty_like(sums) for name in names}
    step = max(1, _HELD // sums[0].size)
    for first in range(0, n, step):
        here = slice(first, first + step)
        whole = sums[here].astype(np.float64) + counts[:, None] * mean
        for name, images in zip(names, contrast_from_sums(whole, counts, normalize), strict=True):
            drawn[name][here] = images
    return drawn


def _shuffled_sums(
    flat: NDArray[Any], mean: NDArray[np.float64], codes: NDArray[np.int64], n: int, seed: int
) -> NDArray[np.float32]:
    """Add up each class's deviations for n shuffles of the labels, (n, n_classes, n_features).

    The last class is what the others leave of zero, so its products are saved.
    """
    k = int(codes.max()) + 1
    # Shuffled labels of all draws, a draw per row; small numbers keep them small.
    rng = np.random.default_rng(seed)
    small = codes.astype(np.min_scalar_type(k))
    shuffled = np.stack([rng.permutation(small) for _ in range(n)])
    sums = np.zeros((n, k, flat.shape[1]), dtype=np.float32)
    part = sums[:, :-1].reshape(n * (k - 1), -1)
    step = max(1, min(_ROWS, _HELD // (n * (k - 1))))
    indicator = np.empty((n, k - 1, step), dtype=np.float32)
    wanted = np.arange(k - 1, dtype=small.dtype)[:, None]
    for first in range(0, len(flat), step):
        rows = (flat[first : first + step] - mean).astype(np.float32)
        here = shuffled[:, None, first : first + step]
        mask = indicator[:, :, : len(rows)]
        np.equal(here, wanted, out=mask, casting="unsafe")
        part += mask.reshape(n * (k - 1), -1) @ rows
    sums[:, :-1] = part.reshape(n, k - 1, -1)
    sums[:, -1] = -sums[:, :-1].sum(axis=1, dtype=np.float64)
    return sums
