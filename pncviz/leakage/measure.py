"""How much reconstructed class means give away, beside what is known without the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pncviz.data import resolve_seed
from pncviz.dataset import common_attrs
from pncviz.exceptions import ResultError
from pncviz.inference import identification_test, mean_interval, own_ranks, proportion_interval
from pncviz.leakage.checks import checked_frequencies, checked_numbers
from pncviz.leakage.prior import Floats, checked_range
from pncviz.leakage.sources import flat, images_of, places_of, sources_of

__all__ = ["class_mean_leakage"]

_N_PERMUTATIONS = 10_000

#: Long name and units of each measure.
MEASURES = {
    "correlation": ("Pearson's correlation with the true class mean", "1"),
    "deviation_correlation": ("the same of class mean minus overall mean", "1"),
    "psnr": ("peak signal-to-noise ratio to the true class mean", "dB"),
}


def class_mean_leakage(
    reconstructed: xr.Dataset | xr.DataArray,
    class_means: xr.DataArray,
    *,
    baselines: Mapping[str, Any] | None = None,
    frequencies: ArrayLike | None = None,
    data_range: tuple[float, float] = (0.0, 1.0),
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> xr.Dataset:
    """Measure how near reconstructed class means are to the true ones.

    Parameters
    ----------
    reconstructed : xarray.Dataset or DataArray
        Of :func:`reconstruct_class_means`, or any images on (label, …).
    class_means : xarray.DataArray
        The training set's own, on (label, …), with the label of every reconstructed one; such as
        of :func:`~pncviz.class_means_from_contrasts`.
    baselines : mapping of str to array-like, optional
        What could be had without the model, each an image for all classes or one image per
        reconstructed label: means of other data of the same classes, for one. A DataArray with
        ``label``, or a Dataset of :func:`reconstruct_class_means`, goes by labels; an array by
        the order of the reconstructed ones.
        "overall mean", the frequency-weighted mean of ``class_means``, is always there.
    frequencies : array-like of shape (n_labels,), optional
        Share of each class of ``class_means``; equal by default.
    data_range : (low, high), default=(0, 1)
        Of a pixel; the peak of the signal-to-noise ratio.
    n_resamples : int, default=1000
        Of the bootstrap over classes; below eight classes intervals are Student's.
    confidence_level : float, default=0.95
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    xarray.Dataset
        On (source, label), the sources being "reconstructed" and the baselines: ``correlation``
        and ``deviation_correlation``, Pearson's, of the class mean, and of the class mean minus
        the source's own overall mean, which is what leaks about the class (0 for a
        constant image); ``psnr`` in dB, at most 313 (rounding); ``identified``, whether the
        deviation is most like that of its own class. Of each of the three
        ``mean_…``, ``…_lower``, ``…_upper`` on (source,), and on (baseline,) the paired difference
        ``…_gain`` of the reconstruction to each baseline with ``…_gain_lower``, ``…_gain_upper``.
        ``hits``, ``hit_rate`` with Wilson's ``hit_rate_lower``, ``hit_rate_upper``, and
        ``identification_p`` (labels permuted) on (source,). ``n_queries`` if it is known.

    Raises
    ------
    LabelError
        Labels that ``class_means`` or a baseline lack, or that are there twice.
    DataError
        NaN or infinity.
    ParameterError
        A number out of bounds, or a baseline of another shape or a taken name.
    ResultError
        No images on (label, …), fewer than two, or images of two shapes.

    References
    ----------
    dough2020, section 4.2; hesterberg2015bootstrap; wilson1927probable.

    Examples
    --------
    >>> from pncviz import class_means_from_contrasts, load_dataset, positive_negative_contrast
    >>> data = load_dataset("overlapping")
    >>> raw = positive_negative_contrast(data.X, data.y, normalize=None)
    >>> true = class_means_from_contrasts(raw, data.X.mean(axis=0), [0.25] * 4)
    >>> found = class_mean_leakage(true + 0.1, true, random_state=0)
    >>> found["mean_psnr"].values.round(1).tolist(), found["hits"].values.tolist()
    ([20.0, 11.2], [4, 0])
    """
    low, high = checked_range(data_range)
    checked_numbers(n_resamples, confidence_level)
    seed = resolve_seed(random_state)
    known = images_of(class_means, "class means")[0]
    given, own_mean = images_of(reconstructed, "reconstructed class means", known.dims)
    labels, all_labels = given["label"].values, known["label"].values
    places = places_of(labels, all_labels, "reconstructed class means", "class means")
    if given.shape[1:] != known.shape[1:]:
        raise ResultError(
            f"Reconstructed class means are images of shape {given.shape[1:]}, the true ones of "
            f"{known.shape[1:]}."
        )
    p = checked_frequencies(frequencies, len(known))
    true, overall = flat(known), np.average(flat(known), axis=0, weights=p)
    sources = sources_of(given, own_mean, overall, p[places], baselines or {})
    arrays = {
        name: _measured(images, mean, true[places], overall, high - low)
        for name, (images, mean) in sources.items()
    }
    table = _labelled(arrays, labels, np.random.default_rng([seed, 0]))
    options = {"n_resamples": n_resamples, "confidence_level": confidence_level}
    table = table.merge(_intervals(table, options, seed))
    attrs = common_attrs("similarities", parameters={"data_range": (low, high), **options})
    del attrs["schema_version"], attrs["kind"]  # none of the schema's kinds
    if "n_queries" in reconstructed.coords or "n_queries" in getattr(
        reconstructed, "data_vars", ()
    ):
        table["n_queries"] = reconstructed["n_queries"].reset_coords(drop=True)
    if "n_queries" in reconstructed.attrs:
        attrs["n_queries"] = reconstructed.attrs["n_queries"]
    return table.assign_attrs(attrs, random_state=seed)


def _measured(
    images: Floats, mean: Floats, true: Floats, overall: Floats, peak: float
) -> dict[str, NDArray[Any]]:
    """Give each measure per label, and every deviation's correlation with every true one."""
    error = ((images - true) ** 2).mean(axis=1)
    # Rounding alone is 2e-16 of the range; a perfect copy is no infinity.
    least = np.finfo(np.float64).eps * peak
    sizes = np.abs(images).max(axis=1), np.abs(true).max(axis=1)
    # A difference is rounded as what it is of, however small it is itself.
    whole = np.maximum(sizes[0], np.abs(mean).max()), np.maximum(sizes[1], np.abs(overall).max())
    scores = _correlations((images - mean, true - overall), whole)
    return {
        "correlation": np.diag(_correlations((images, true), sizes)),
        "deviation_correlation": np.diag(scores),
        "psnr": 20 * np.log10(peak / np.maximum(np.sqrt(error), least)),
        "scores": scores,
    }


def _correlations(pair: tuple[Floats, Floats], sizes: tuple[Floats, Floats]) -> Floats:
    """Pearson's r of each row with each of the other, 0 where one is constant but for rounding.

    ``sizes`` are, row by row, the greatest values that were rounded.
    """
    rows = []
    for images, greatest in zip(pair, sizes, strict=True):
        centred = images - images.mean(axis=1, keepdims=True)
        size = np.linalg.norm(centred, axis=1, keepdims=True)
        there = size > 1e-12 * greatest[:, None] * len(images.T) ** 0.5
        rows.append(np.where(there, centred / np.where(there, size, 1.0), 0.0))
    return np.asarray(np.clip(rows[0] @ rows[1].T, -1, 1), dtype=np.float64)


def _labelled(
    arrays: dict[str, dict[str, NDArray[Any]]], labels: NDArray[Any], rng: np.random.Generator
) -> xr.Dataset:
    """Label the measures, and test whether deviations go with their own classes."""
    names, own = list(arrays), np.arange(len(labels))
    scores = np.stack([found["scores"] for found in arrays.values()])
    identified = own_ranks(scores, own) == 1
    hits = identified.sum(axis=1)
    p = identification_test(scores, own, n_permutations=_N_PERMUTATIONS, rng=rng)[0]
    low, high = proportion_interval(hits, len(labels))
    table = xr.Dataset(coords={"source": names, "label": labels})
    for name, (text, units) in MEASURES.items():
        values = np.stack([found[name] for found in arrays.values()])
        table[name] = (("source", "label"), values, {"long_name": text, "units": units})
    numbers = {
        "hits": (hits, "class means most like their own class's"),
        "hit_rate": (hits / len(labels), "share of hits"),
        "hit_rate_lower": (low, "interval of the share from"),
        "hit_rate_upper": (high, "interval of the share to"),
        "identification_p": (p, "p of the mean own-class correlation, labels permuted"),
    }
    text = "whether the deviation is most like that of its own class"
    table["identified"] = (("source", "label"), identified, {"long_name": text, "units": "1"})
    for name, (values, text) in numbers.items():
        table[name] = (("source",), values, {"long_name": text, "units": "1"})
    return table


def _intervals(table: xr.Dataset, options: Mapping[str, Any], seed: int) -> xr.Dataset:
    """Give means over classes, and paired differences to the baselines, with intervals."""
    found = xr.Dataset()
    for name, (text, units) in MEASURES.items():
        values = table[name]
        others = values.isel(source=slice(1, None)).rename(source="baseline")
        gain = values.isel(source=0, drop=True) - others
        for key, what, each in (
            (name, f"mean over classes of: {text}", values),
            (f"{name}_gain", f"mean over classes of the gain in: {text}", gain),
        ):
            interval = mean_interval(each, "label", random_state=seed % 2**32, **options)
            ends = {"mean": f"mean_{key}" if each is values else key}
            ends |= {end: f"{key}_{end}" for end in ("lower", "upper")}
            for end, variable in ends.items():
                told = what if end == "mean" else f"{end} end of the interval of the {what}"
                found[variable] = interval[end].assign_attrs(long_name=told, units=units)
    return found
