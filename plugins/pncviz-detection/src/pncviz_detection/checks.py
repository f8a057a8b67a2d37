"""Whether the detector's parameters can be used."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pncviz.data import check_labels
from pncviz.exceptions import LabelError, ParameterError
from pncviz_detection.densities import check_bandwidth

if TYPE_CHECKING:
    from pncviz_detection.detector import NaturalnessDetector

__all__ = ["FEATURES", "check_parameters", "places_of"]

FEATURES = ("pca", "autoencoder")


def check_parameters(detector: NaturalnessDetector) -> None:
    """Raise ParameterError for the first parameter that cannot be used."""
    named = isinstance(detector.features, str)
    if (named and detector.features not in FEATURES) or not (
        named or hasattr(detector.features, "transform")
    ):
        raise ParameterError(
            f"`features` must be one of {', '.join(FEATURES)} or a transformer, got "
            f"{detector.features!r:.80}."
        )
    if not isinstance(detector.residual, bool):
        raise ParameterError(f"`residual` must be True or False, got {detector.residual!r}.")
    if detector.residual and not named and not hasattr(detector.features, "inverse_transform"):
        raise ParameterError(
            f"`residual=True` takes features with `inverse_transform`, which "
            f"{type(detector.features).__name__} lacks."
        )
    check_bandwidth(detector.bandwidth)
    n, rate = detector.n_components, detector.false_alarm_rate
    whole = isinstance(n, Integral) and not isinstance(n, bool) and n >= 1
    if not whole and not (isinstance(n, float) and 0 < n < 1):
        raise ParameterError(
            f"`n_components` must be a positive integer or a share below 1, got {n!r}."
        )
    if not isinstance(rate, Real) or isinstance(rate, bool) or not 0 < rate < 1:
        raise ParameterError(f"`false_alarm_rate` must be between 0 and 1, got {rate!r}.")
    most = detector.max_samples
    counted = isinstance(most, Integral) and not isinstance(most, bool)
    if most is not None and not (counted and most >= 2):
        raise ParameterError(f"`max_samples` must be None or 2 or more, got {most!r}.")


def places_of(labels: ArrayLike, classes: NDArray[Any], n: int) -> NDArray[np.int64]:
    """Give the place of each of n labels among sorted classes; LabelError for others."""
    given, known = check_labels(labels, n), classes.tolist()
    unknown = sorted(set(given.tolist()) - set(known), key=str)
    if unknown:
        raise LabelError(f"The labels {unknown[:10]} are none of the detector's {known[:10]}.")
    return np.searchsorted(classes, given)
