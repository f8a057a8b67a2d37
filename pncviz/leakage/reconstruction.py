"""Class means put together again from patterns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from pncviz.dataset import common_attrs, image_dims
from pncviz.dataset.summed import n_summed
from pncviz.leakage.checks import checked_frequencies, checked_patterns, checked_rule
from pncviz.leakage.prior import Floats, Prior, checked_prior, checked_range
from pncviz.leakage.remains import spent, tell_empty, tell_failed
from pncviz.leakage.scales import balanced_scales, range_scale, variance_scales
from pncviz.leakage.wiener import denoise

__all__ = ["reconstruct_class_means"]


def reconstruct_class_means(
    patterns: xr.Dataset,
    *,
    prior: Any = None,
    frequencies: ArrayLike | None = None,
    scale: str = "range",
    smooth: bool = True,
    tolerance: float = 0.05,
    class_share: float | None = None,
    data_range: tuple[float, float] = (0.0, 1.0),
) -> xr.Dataset:
    r"""Put the mean image of each class together again from patterns alone.

    A raw contrast is (class mean − mean of all) / (1 − frequency of the class), and a pattern is
    taken for a contrast divided by an unknown positive number, plus noise. So

    .. math:: m_k = m + (1 - p_k)\, s_k\, (AP_k - noise_k)

    with the mean of all m from ``prior``, the noise estimated by how images vary, and s_k fixed by
    one of three rules.

    Parameters
    ----------
    patterns : xarray.Dataset
        Of :func:`~pncviz.extract_patterns`, on (label, …). Sums of examples are divided by their
        number; ``pattern_block`` gives a lower bound of the noise.
    prior : None, number, array-like of one image, array-like of images, or Dataset, default=None
        What is known besides the patterns. None: pixels lie within ``data_range``, and the mean of
        all is taken to be its middle. A number or an image: the mean of all. Images of the same
        kind, (n_images, …): their mean, and along which directions images vary. A
        :class:`~pncviz.Dataset`: its ``X``, and from its labels ``class_share``.
    frequencies : array-like of shape (n_labels,), optional
        Share of each class among the training samples; equal by default. Matters to
        ``scale="balance"`` only: the other rules find s_k together with 1 − p_k.
    scale : {"range", "variance", "balance"}, default="range"
        "range": as large as class means stay within ``data_range``, each class by itself; right if
        the true mean touches a bound. "variance": the squared size of m_k − m is ``class_share``
        of the images' variance. "balance": the weighted m_k − m add up to zero in the
        sense of least squares, and their common scale is by range; needs every class.
    smooth : bool, default=True
        Take out noise by Wiener's filter, where the prior is an image or images: patterns can mean
        something only where images vary. About an image of the mean the variance is bounded by
        (high − m)(m − low).
    tolerance : float, default=0.05
        Of "range" and "balance": share of the squared deviation that may leave the range, and is
        clipped.
    class_share : float, optional
        Of "variance": share of the images' variance that lies between classes.
    data_range : (low, high), default=(0, 1)
        Of a pixel.

    Returns
    -------
    xarray.Dataset
        ``class_mean`` (label, …) within ``data_range``, ``overall_mean`` (…), ``scale`` (label),
        ``noise_share`` (label), and ``succeeded`` (label) and ``n_queries`` where patterns have
        them.

    Raises
    ------
    ParameterError
        A parameter is wrong, or the prior has another shape than the patterns.
    DataError, DataTypeError
        The prior's values are not finite numbers within ``data_range``.
    ResultError
        Not patterns, or patterns with a leading dimension.

    Warns
    -----
    PatternWarning
        A pattern is constant or all noise, or cannot be balanced, or the prior leaves it no room:
        its class mean is the mean of all. Or a pattern did not reach its class.

    References
    ----------
    dough2020, section 4.2; fredrikson2015model.

    Examples
    --------
    >>> import torch
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> with torch.random.fork_rng():
    ...     _ = torch.manual_seed(0)
    ...     net = make_classifier("fc", max_epochs=200, lr=0.5).fit(data.X, data.y)
    >>> patterns = extract_patterns(net, image_shape=(6, 6), max_iter=100)
    >>> found = reconstruct_class_means(patterns, prior=0.25)
    >>> mean = found["class_mean"][0, 0].values
    >>> bool(mean[:3, :3].mean() > mean[:3, 3:].mean() + 0.2)
    True
    """
    bounds = checked_range(data_range)
    images = checked_patterns(patterns)
    known = checked_prior(prior, images.shape[1:], bounds)
    k = len(images)
    p = checked_frequencies(frequencies, k)
    share = checked_rule(scale, smooth, tolerance, class_share, known)
    n = int(n_summed(patterns))
    flat = images.values.reshape(k, -1).astype(np.float64) / n * (1 - p)[:, None]
    deviations, noise = _filtered(flat, known, smooth, _least(patterns) * (1 - p) ** 2)
    empty = spent(flat, noise, known, table=images.ndim == 2)
    deviations = np.where(empty[:, None], 0.0, deviations)
    factors = _factors(deviations, known, p, scale, tolerance, bounds, share)
    tell_failed(patterns)
    tell_empty(factors, deviations, flat, known, images["label"].values)
    means = np.clip(known.mean + factors[:, None] * deviations, *bounds)
    # The scale is of the pattern as it is given, a sum or not.
    scales = factors / n
    parameters = {
        "prior": known.told,
        "frequencies": p,
        "scale": scale,
        "smooth": smooth,
        "tolerance": tolerance,
        "class_share": share,
        "data_range": bounds,
    }
    arrays = {"class_mean": means.reshape(images.shape), "scale": scales, "noise_share": noise}
    arrays["overall_mean"] = known.mean.reshape(images.shape[1:])
    return _labelled(arrays, images, patterns, parameters)


def _least(patterns: xr.Dataset) -> Floats:
    """Give the variance of each pattern's pixels over repetitions; 0 where blocks do not say."""
    k = patterns.sizes["label"]
    if "pattern_block" not in patterns or "n_block" not in patterns:
        return np.zeros(k)
    n = patterns["n_block"].values.astype(np.float64)
    sums = patterns["pattern_block"].values.reshape(len(n), k, -1)[n > 0].astype(np.float64)
    n = n[n > 0]
    if len(n) < 2:
        return np.zeros(k)
    means = sums / n[:, None, None]
    whole = sums.sum(axis=0) / n.sum()
    single = (n[:, None, None] * (means - whole) ** 2).sum(axis=0) / (len(n) - 1)
    return np.asarray(single.mean(axis=1) / n.sum(), dtype=np.float64)


def _filtered(
    deviations: Floats, prior: Prior, smooth: bool, least: Floats
) -> tuple[Floats, Floats]:
    """Take out noise; also without it, nothing stays where the prior leaves no room."""
    k = len(deviations)
    if not smooth or prior.told == "range" or (prior.spread == prior.spread[0]).all():
        if prior.basis is None:
            deviations = deviations * (prior.spread > 0)
        return deviations, np.zeros(k)
    pairs = [denoise(d, prior, noise) for d, noise in zip(deviations, least, strict=True)]
    return np.stack([d for d, _ in pairs]), np.array([share for _, share in pairs])


def _factors(
    deviations: Floats,
    prior: Prior,
    p: Floats,
    scale: str,
    tolerance: float,
    bounds: tuple[float, float],
    share: float | None,
) -> Floats:
    if scale == "variance" and share is not None and prior.variance is not None:
        return variance_scales(deviations, share * prior.variance)
    if scale == "balance":
        relative = balanced_scales(deviations, p)
        together = (relative[:, None] * deviations).ravel()
        common = range_scale(together, np.tile(prior.mean, len(deviations)), bounds, tolerance)
        return relative * common
    return np.array([range_scale(d, prior.mean, bounds, tolerance) for d in deviations])


def _labelled(
    arrays: Mapping[str, Floats],
    images: xr.DataArray,
    patterns: xr.Dataset,
    parameters: Mapping[str, object],
) -> xr.Dataset:
    dims = image_dims(images.shape[1:])
    told = {
        "class_mean": (("label", *dims), "reconstructed class mean"),
        "overall_mean": (dims, "mean of all, as assumed"),
        "scale": (("label",), "contrast in units of the pattern"),
        "noise_share": (("label",), "share of the pattern's squared size taken for noise"),
    }
    found = xr.Dataset(
        {
            name: (axes, arrays[name], {"long_name": text, "units": "1"})
            for name, (axes, text) in told.items()
        },
        coords=images.coords,
    )
    attrs = common_attrs("patterns", parameters=parameters)
    # Of the schema's kinds it is none, so it must not pass for one.
    del attrs["schema_version"], attrs["kind"]
    for name in ("succeeded", "n_queries"):
        if name in patterns:
            found[name] = patterns[name]
    if "n_queries" in patterns.attrs:
        attrs["n_queries"] = patterns.attrs["n_queries"]
    return found.assign_attrs(attrs)
