"""How well scores tell adversarial inputs from natural ones, and how surely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, norm, rankdata

from pncviz.exceptions import DataError, ParameterError
from pncviz.inference import proportion_interval

__all__ = ["delong", "detection_roc"]

BANDS = ("pointwise", "simultaneous")

Floats = NDArray[np.float64]


def detection_roc(
    natural_scores: ArrayLike,
    adversarial_scores: ArrayLike,
    *,
    confidence_level: float = 0.95,
    band: str = "pointwise",
    at: Sequence[float] = (0.01, 0.05),
) -> xr.Dataset:
    """Give the ROC of detecting adversarial inputs by small scores.

    An input is called adversarial if its score is below a threshold. The true positive rate is the
    share of adversarial inputs so called, the false positive rate that of natural ones.

    Parameters
    ----------
    natural_scores, adversarial_scores : array-likes of shape (n,) and (m,)
        Larger is more natural, such as of :meth:`NaturalnessDetector.score_samples`; inputs drawn
        independently, and none of the natural ones behind the density.
    confidence_level : float, default=0.95
    band : {"pointwise", "simultaneous"}, default="pointwise"
        Of the curve. "pointwise": Wilson's interval of the true positive rate at each threshold,
        as if the false positive rate were known. "simultaneous": a band that holds the whole
        curve, by Massart's bound on both distributions.
    at : sequence of float, default=(0.01, 0.05)
        False positive rates at which the true positive rate is told.

    Returns
    -------
    xarray.Dataset
        ``auc``, ``auc_lower``, ``auc_upper`` and ``auc_error`` (DeLong's interval and standard
        error); on (threshold,) ``false_positive_rate``, ``true_positive_rate`` with
        ``true_positive_lower`` and ``true_positive_upper``; on (at,) ``detected``, the true
        positive rate at the greatest threshold whose false positive rate is at most ``at``, with
        Wilson's ``detected_lower`` and ``detected_upper`` for this threshold, which is
        ``detection_threshold``; ``n_natural``, ``n_adversarial``.

    Raises
    ------
    DataError
        Less than two scores of a kind, NaN or infinity; minus infinity is a score.
    ParameterError
        A number out of bounds, or no such band.

    Notes
    -----
    Where all scores are apart, or all are tied, DeLong's error is 0 although nothing is certain;
    the interval then counts min(n, m) independent pairs that all turned out alike: by Clopper and
    Pearson at least a certain share of all pairs is so, and the others may be in either order. It
    holds at least as often as it says.

    References
    ----------
    delong1988comparing, massart1990tight, wilson1927probable, clopper1934use.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = detection_roc(rng.normal(2, 1, 500), rng.normal(0, 1, 400))
    >>> bool(found["auc_lower"] < 0.921 < found["auc_upper"]), found["detected"].shape
    (True, (2,))
    """
    natural, adversarial = _checked("natural", natural_scores), _checked(
        "adversarial", adversarial_scores
    )  # fmt: skip
    level = _share("confidence_level", confidence_level)
    rates = np.array([_share("at", rate) for rate in np.atleast_1d(at)])
    if band not in BANDS:
        raise ParameterError(f"`band` must be one of {', '.join(BANDS)}, got {band!r}.")
    auc, error = delong(natural, adversarial)
    low, high = _auc_interval(auc, error, min(len(natural), len(adversarial)), level)
    found = xr.Dataset(coords={"at": ("at", rates)})
    for name, value, text in (
        ("auc", auc, "area under the ROC curve"),
        ("auc_lower", low, "interval of the area from"),
        ("auc_upper", high, "interval of the area to"),
        ("auc_error", error, "standard error of the area"),
        ("n_natural", len(natural), "natural inputs"),
        ("n_adversarial", len(adversarial), "adversarial inputs"),
    ):
        found[name] = ((), value, {"long_name": text, "units": "1"})
    found = found.merge(_curve(natural, adversarial, level, band))
    found = found.merge(_detected(natural, adversarial, rates, level))
    return found.assign_attrs(confidence_level=level, band=band)


def delong(natural: Floats, adversarial: Floats) -> tuple[float, float]:
    """Give the AUC and its standard error by DeLong, DeLong and Clarke-Pearson, from midranks.

    Each input's placement is the share of inputs of the other kind on its right side, ties
    counting half; the variance of the AUC is the sum of the placements' variances, each divided by
    the number of inputs of its kind.

    Parameters
    ----------
    natural, adversarial : ndarrays of shape (n,) and (m,)

    Returns
    -------
    auc, error : float

    Raises
    ------
    DataError
        One of the kinds has a single input, whose error is not known.

    References
    ----------
    delong1988comparing; sun2014fast (by midranks).

    Examples
    --------
    >>> delong(np.array([3.0, 1.0]), np.array([2.0, 0.0]))[0]
    0.75
    """
    n, m = len(natural), len(adversarial)
    if min(n, m) < 2:
        raise DataError(
            "An ROC takes two scores or more of each kind, since one has no known error, got "
            f"{n} natural and {m} adversarial."
        )
    ranks = rankdata(np.concatenate([natural, adversarial]))
    below = (ranks[:n] - rankdata(natural)) / m
    above = 1 - (ranks[n:] - rankdata(adversarial)) / n
    error = math.sqrt(below.var(ddof=1) / n + above.var(ddof=1) / m)
    return float(below.mean()), error


def _auc_interval(auc: float, error: float, pairs: int, level: float) -> tuple[float, float]:
    if error == 0:  # all pairs are alike, of area 0, 1, or 0.5 where every score is tied
        alike = float(binomtest(pairs, pairs).proportion_ci(level, method="exact").low)
        return alike * auc, alike * auc + 1 - alike
    reach = float(norm.ppf((1 + level) / 2)) * error
    return max(0.0, auc - reach), min(1.0, auc + reach)


def _curve(natural: Floats, adversarial: Floats, level: float, band: str) -> xr.Dataset:
    """Give both rates at every threshold that changes one of them, and the band."""
    thresholds = np.append(np.unique(np.concatenate([natural, adversarial])), np.inf)
    false, true = (
        np.searchsorted(np.sort(scores), thresholds) for scores in (natural, adversarial)
    )
    # A corner is where the curve turns; the points between lie on the lines.
    n, m = len(natural), len(adversarial)
    steps = np.stack([np.diff(false), np.diff(true)])
    turns = (steps[0, :-1] * steps[1, 1:] != steps[0, 1:] * steps[1, :-1]) if len(false) > 2 else []
    keep = np.concatenate([[True], turns, [True]]).astype(bool)
    thresholds, false, true = thresholds[keep], false[keep], true[keep]
    rate = true / m
    if band == "pointwise":
        counts, back = np.unique(true, return_inverse=True)
        ends = proportion_interval(counts, m, confidence_level=level)
        low, high = (end[back] for end in ends)
    else:
        low, high = _massart(false / n, rate, n, m, level)
    table = xr.Dataset(coords={"threshold": thresholds})
    for name, values, text in (
        ("false_positive_rate", false / n, "share of natural inputs below the threshold"),
        ("true_positive_rate", rate, "share of adversarial inputs below the threshold"),
        ("true_positive_lower", low, f"{band} band of the true positive rate from"),
        ("true_positive_upper", high, f"{band} band of the true positive rate to"),
    ):
        table[name] = ("threshold", values, {"long_name": text, "units": "1"})
    return table


def _massart(false: Floats, true: Floats, n: int, m: int, level: float) -> tuple[Floats, Floats]:
    """Band of the true positive rate at each false positive rate, for all of them at once.

    Both distributions are within their bounds with the square root of the level each.
    """
    alpha = 1 - math.sqrt(level)
    across, up = (math.sqrt(math.log(2 / alpha) / (2 * size)) for size in (n, m))
    # Whatever the threshold with this true false positive rate is, its estimate lies within
    # `across`; the corners just outside of that bound the curve between.
    before = np.searchsorted(false, false - across, side="left") - 1
    behind = np.searchsorted(false, false + across, side="right")
    low = np.where(before >= 0, true[np.maximum(before, 0)], 0.0) - up
    high = np.where(behind < len(true), true[np.minimum(behind, len(true) - 1)], 1.0) + up
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def _detected(natural: Floats, adversarial: Floats, rates: Floats, level: float) -> xr.Dataset:
    ordered, n, m = np.sort(natural), len(natural), len(adversarial)
    # So many natural inputs may lie below; a rate like 0.3 · 10 must not lose one to rounding.
    allowed = np.floor(rates * n + 1e-9).astype(int)
    thresholds = ordered[np.minimum(allowed, n - 1)]
    hits = np.searchsorted(np.sort(adversarial), thresholds)
    low, high = proportion_interval(hits, m, confidence_level=level)
    table = xr.Dataset()
    for name, values, text in (
        ("detected", hits / m, "share of adversarial inputs detected"),
        ("detected_lower", low, "interval of the share from"),
        ("detected_upper", high, "interval of the share to"),
        ("detection_threshold", thresholds, "score below which an input is called adversarial"),
    ):
        table[name] = ("at", values, {"long_name": text, "units": "1"})
    return table


def _checked(name: str, scores: Any) -> Floats:
    try:
        found = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"`{name}_scores` must be numbers, got {scores!r:.80}.") from error
    if found.ndim != 1 or not len(found):
        raise DataError(f"`{name}_scores` must be a row of numbers, got shape {found.shape}.")
    if np.isnan(found).any() or (found == np.inf).any():
        raise DataError(f"`{name}_scores` contain NaN or infinity.")
    return found


def _share(name: str, value: Any) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < 1:
        raise ParameterError(f"`{name}` must be between 0 and 1, got {value}.")
    return float(value)
