"""From class sums to contrasts, and back to class means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from pncviz.contrast.accumulator import MAX_BYTES, N_BLOCKS, Accumulator
from pncviz.contrast.sources import checked_source
from pncviz.data import check_labels, resolve_image_shape
from pncviz.dataset import build_contrasts, common_attrs, image_dims, validate
from pncviz.exceptions import LabelError, ParameterError
from pncviz.means import contrast_from_sums

__all__ = [
    "NORMALIZATIONS",
    "class_means_from_contrasts",
    "contrast_dataset",
    "positive_negative_contrast",
]

NORMALIZATIONS = ("minmax", None)


def contrast_dataset(
    totals: Accumulator,
    *,
    image_shape: tuple[int, ...],
    normalize: str | None,
    parameters: Mapping[str, object],
    feature_names: ArrayLike | None = None,
) -> xr.Dataset:
    """Turn class sums into the labelled contrasts.

    Parameters
    ----------
    totals : Accumulator
        Sums and counts, in blocks or whole.
    image_shape : tuple of int
    normalize : {"minmax", None}
    parameters : mapping
        Kept in the attributes.
    feature_names : array-like of str, optional
        Of a table.

    Raises
    ------
    LabelError
        Fewer than two classes, or one without samples.
    """
    sums, counts, labels = totals.sums, totals.counts, totals.classes
    seen = counts > 0
    if int(seen.sum()) < 2:
        raise LabelError(
            f"A contrast needs samples of two classes; there is only one class: "
            f"{labels[seen].tolist()}."
        )
    if not seen.all():
        raise LabelError(
            f"No samples of the classes {labels[~seen].tolist()[:10]}, so they have no contrast."
        )
    contrast, positive, negative = contrast_from_sums(sums, counts, normalize)
    return build_contrasts(
        contrast=contrast,
        positive_mean=positive,
        negative_mean=negative,
        n_positive=counts,
        n_negative=counts.sum() - counts,
        labels=labels,
        image_shape=image_shape,
        attrs=common_attrs("contrasts", parameters={"normalize": normalize, **parameters}),
        feature_names=feature_names,
        block_sum=totals.block_sums if totals.n_blocks else None,
        n_block=totals.block_counts if totals.n_blocks else None,
    )


def check_normalize(normalize: object) -> None:
    """Raise ParameterError for an unknown rule."""
    if normalize not in NORMALIZATIONS:
        raise ParameterError(f'`normalize` must be "minmax" or None, got {normalize!r}.')


def positive_negative_contrast(
    X: Any,
    y: Any,
    *,
    normalize: str | None = "minmax",
    image_shape: tuple[int, ...] | None = None,
    n_blocks: int = N_BLOCKS,
    max_bytes: int = MAX_BYTES,
) -> xr.Dataset:
    """Contrast each class's mean image with the mean of all the others.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), (n_samples, rows, columns) or \
            (n_samples, channels, rows, columns)
        May be memory-mapped or a dask array; it is read once and not held whole. Class sums of
        dask blocks are computed where the blocks lie, by dask's own choice of a scheduler.
    y : array-like of shape (n_samples,)
        A dask array is computed.
    normalize : {"minmax", None}, default="minmax"
        Scale each mean to 0..1 before subtracting, as the paper does, or leave it raw.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        How to label and draw flat samples.
    n_blocks : int, default=20
        Keep sums over so many interleaved blocks of samples, for intervals and reliability; 0
        keeps none.
    max_bytes : int
        Refuse to start if sums and results would take more.

    Returns
    -------
    xarray.Dataset
        ``contrast``, ``positive_mean``, ``negative_mean`` (label, …), ``n_positive``,
        ``n_negative`` (label); with blocks ``contrast_block_sum`` (block, label, …) and
        ``n_block`` (block, label).

    Raises
    ------
    ValueError
        X or y cannot be used, or there is only one class.

    References
    ----------
    dough2020, section 2.5.

    Examples
    --------
    >>> from pncviz import load_dataset
    >>> data = load_dataset("tiling")
    >>> contrasts = positive_negative_contrast(data.X, data.y)
    >>> contrasts["contrast"].dims
    ('label', 'channel', 'row', 'column')
    """
    check_normalize(normalize)
    samples = checked_source(X)
    labels = check_labels(y, len(samples), X=X)
    totals = Accumulator(samples.shape[1:], n_blocks=n_blocks, max_bytes=max_bytes)
    totals.add(samples, labels)
    return contrast_dataset(
        totals,
        image_shape=resolve_image_shape(samples.shape[1:], image_shape),
        normalize=normalize,
        parameters={"labels_from": "y"},
        feature_names=getattr(X, "columns", None),
    )


def class_means_from_contrasts(
    contrasts: xr.Dataset, overall_mean: ArrayLike, frequencies: ArrayLike
) -> xr.DataArray:
    """Recover the class means from raw contrasts.

    A raw contrast is (mean of the class − mean of all) / (1 − frequency of the class).

    Parameters
    ----------
    contrasts : xarray.Dataset
        Made with ``normalize=None``.
    overall_mean : array-like of the image shape
    frequencies : array-like of shape (n_classes,)
        Share of the samples in each class, in the order of the labels.

    Returns
    -------
    xarray.DataArray
        (label, …).

    Raises
    ------
    ParameterError
        The contrasts are not raw, or shapes do not fit.

    Examples
    --------
    >>> X, y = np.array([[0.0, 1.0], [2.0, 2.0], [4.0, 0.0]]), np.array([0, 1, 1])
    >>> raw = positive_negative_contrast(X, y, normalize=None)
    >>> class_means_from_contrasts(raw, X.mean(axis=0), [1 / 3, 2 / 3]).values
    array([[0., 1.],
           [3., 1.]])
    """
    import json

    validate(contrasts, "contrasts")
    if json.loads(contrasts.attrs["parameters"])["normalize"] is not None:
        raise ParameterError(
            "`contrasts` were min-max normalised, which cannot be undone; make them with "
            "normalize=None."
        )
    contrast = contrasts["contrast"]
    mean, p = np.asarray(overall_mean, dtype=np.float64), np.asarray(frequencies, dtype=np.float64)
    if mean.size != contrast[0].size or p.shape != (len(contrast),):
        raise ParameterError(
            f"`overall_mean` must have shape {contrast.shape[1:]} and `frequencies` shape "
            f"({len(contrast)},), got {mean.shape} and {p.shape}."
        )
    rest = (1 - p).reshape(-1, *[1] * (contrast.ndim - 1))
    means = contrast.values * rest + mean.reshape(contrast.shape[1:])
    dims = ("label", *image_dims(contrast.shape[1:]))
    attrs = {"long_name": "class mean", "units": "1"}
    return xr.DataArray(means, dims=dims, coords=contrast.coords, name="class_mean", attrs=attrs)
