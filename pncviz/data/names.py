"""Names of the columns that a transform gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import DataError

__all__ = ["output_names"]


def output_names(
    estimator: Any, metric: str, labels: NDArray[Any], input_features: Any
) -> NDArray[Any]:
    """Name the columns of a transform, ``pearson_cat``, …; checks ``input_features``.

    Parameters
    ----------
    estimator : fitted estimator
    metric : str
    labels : ndarray of shape (n_classes,)
    input_features : array-like of str or None

    Returns
    -------
    object ndarray of shape (n_classes,)

    Raises
    ------
    DataError
        ``input_features`` is not what ``fit`` saw.
    """
    if input_features is not None:
        given = np.asarray(input_features, dtype=object)
        seen = getattr(estimator, "feature_names_in_", None)
        if seen is not None and not np.array_equal(given, seen):
            raise DataError("input_features is not equal to feature_names_in_")
        if len(given) != estimator.n_features_in_:
            raise DataError(
                "input_features should have length equal to number of features "
                f"({estimator.n_features_in_}), got {len(given)}"
            )
    return np.array([f"{metric}_{label}" for label in labels.tolist()], dtype=object)
