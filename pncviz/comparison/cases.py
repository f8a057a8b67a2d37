"""The comparison itself: checked, case by case, and labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.comparison.checks import check_numbers, check_pair, leading_dims
from pncviz.comparison.null import check_null
from pncviz.comparison.statistics import Statistics
from pncviz.data import resolve_seed
from pncviz.dataset import build_similarities, common_attrs
from pncviz.exceptions import ParameterError
from pncviz.metrics import find_metric

__all__ = ["compare"]


def compare(
    patterns: xr.Dataset,
    contrasts: xr.Dataset,
    *,
    metrics: str | Sequence[str] = "pearson",
    null: str | xr.Dataset | None = None,
    n_permutations: int = 10_000,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> xr.Dataset:
    """Compare every pattern with every contrast, and say what the similarities are worth.

    Parameters
    ----------
    patterns : xarray.Dataset
        Of :func:`~pncviz.extract_patterns`, or several of them by
        :func:`~pncviz.concat_patterns`. Further leading dimensions (``seed``, ``layer``) are kept.
    contrasts : xarray.Dataset
        Of :func:`~pncviz.positive_negative_contrast`.
    metrics : str or sequence of str, default="pearson"
    null : None, "phase", or an xarray.Dataset of draws, default=None
        What own-class similarity is tested against: contrasts of
        :func:`~pncviz.label_shuffled_contrasts`, patterns of :func:`~pncviz.model_null` (made as
        ``patterns`` were), or phase-randomised patterns, which is valid for stationary patterns
        only. None tests identification alone.
    n_permutations : int, default=10_000
        Of labels for the identification test, and of phases.
    n_resamples : int, default=1000
        Of the bootstrap; 0 gives no intervals.
    confidence_level : float, default=0.95
        Of the intervals.
    random_state : int, RandomState, Generator or None, default=None
        Of permutations and resamples; the seed used is kept in the attributes.

    Returns
    -------
    xarray.Dataset
        ``similarity`` (metric, pattern_label, contrast_label); on (metric, pattern_label) ``rank``
        of the own class, interval ``lower`` and ``upper``, ``pattern_reliability`` and the noise
        ``ceiling``, and with a null ``p`` and ``q``, whose draws are ``null_similarity``; on
        (metric,) ``hits``, ``identification_p`` and ``hits_p``. Leading dimensions of the patterns
        stand in front. NaN where there is nothing to know it from, such as an interval without
        blocks.

    Notes
    -----
    The least ``identification_p`` of k classes is 1/k!: with two or three classes it cannot be
    significant, however alike patterns and contrasts are.

    Raises
    ------
    LabelError
        Labels of different kinds, or that overlap only in part.
    ParameterError
        A number out of bounds, or a null that the patterns cannot be tested against.
    ResultError
        One of the two is not what it should be, or their images differ in shape.
    UnknownNameError
        No metric of that name.

    References
    ----------
    phipson2010permutation, hesterberg2015bootstrap, spearman1904proof, benjamini1995controlling.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> from pncviz import positive_negative_contrast
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", max_epochs=200, lr=0.5).fit(data.X, data.y)
    >>> patterns = extract_patterns(net, image_shape=(6, 6), max_iter=100)
    >>> found = compare(patterns, positive_negative_contrast(data.X, data.y), random_state=0)
    >>> found["hits"].values.tolist()
    [4]
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if not names:
        raise ParameterError("`metrics` is empty; give at least one name.")
    check_numbers(n_permutations, n_resamples, confidence_level)
    check_pair(patterns, contrasts)
    told = check_null(null, patterns, contrasts)
    statistics = Statistics(
        metrics=[find_metric(name) for name in names],
        n_permutations=n_permutations,
        n_resamples=n_resamples,
        confidence_level=confidence_level,
        seed=resolve_seed(random_state),
    )
    leading = {dim: patterns[dim].values for dim in leading_dims(patterns)}
    arrays = _every_case(statistics, patterns, contrasts, null, leading)
    parameters = {
        "metrics": names,
        "null": told,
        "n_permutations": n_permutations,
        "n_resamples": n_resamples,
        "confidence_level": confidence_level,
    }
    return build_similarities(
        similarity=arrays.pop("similarity"),
        metrics=[spec.name for spec in statistics.metrics],
        metric_units=[spec.units for spec in statistics.metrics],
        higher_is_better=[spec.higher_is_better for spec in statistics.metrics],
        pattern_labels=patterns["label"].values,
        contrast_labels=contrasts["label"].values,
        leading=leading,
        statistics=arrays,
        attrs=common_attrs(
            "similarities",
            parameters=parameters,
            random_state=statistics.seed,
            confidence_level=confidence_level,
            null=told,
        ),
    )


def _every_case(
    statistics: Statistics,
    patterns: xr.Dataset,
    contrasts: xr.Dataset,
    null: str | xr.Dataset | None,
    leading: Mapping[str, NDArray[Any]],
) -> dict[str, NDArray[Any]]:
    """Compute case by case, and stack along the leading dimensions."""
    reliability = statistics.reliability(contrasts)
    cases = [
        statistics.of(patterns.isel(at), contrasts, reliability, _null_of(null, patterns.isel(at)))
        for at in _places(leading)
    ]
    shape = tuple(len(values) for values in leading.values())
    return {
        name: np.stack([case[name] for case in cases]).reshape(*shape, *first.shape)
        for name, first in cases[0].items()
    }


def _places(leading: Mapping[str, NDArray[Any]]) -> list[dict[str, int]]:
    """Give every place in the leading dimensions; one empty place if there are none."""
    sizes = (range(len(values)) for values in leading.values())
    return [dict(zip(leading, at, strict=True)) for at in product(*sizes)]


def _null_of(null: str | xr.Dataset | None, case: xr.Dataset) -> str | xr.Dataset | None:
    """Take the draws that were made by the case's strategy, if they have several."""
    if isinstance(null, xr.Dataset) and "strategy" in null.dims:
        return null.sel(strategy=case["strategy"].item())
    return null
