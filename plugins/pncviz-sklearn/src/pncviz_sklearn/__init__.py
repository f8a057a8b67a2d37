"""Fitted scikit-learn classifiers as exact models with gradients, for pncviz.

Linear classifiers, discriminant analyses, naive Bayes, nearest centroids, support vector machines
and multi-layer perceptrons become torch modules in double precision that give what the classifier
itself gives, and the gradient of that. Scalers, PCA and normalisers before them become their first
layers, so that a pattern lives in the space of the pipeline's input.
"""

from __future__ import annotations

from pncviz import AdapterSpec, hookimpl
from pncviz_sklearn.adapter import SklearnModel, adapt_exactly, is_known

__all__ = ["SklearnModel", "adapt_exactly", "is_known", "pncviz_adapters"]


@hookimpl
def pncviz_adapters() -> list[AdapterSpec]:
    """Give the adapter to pncviz; what it does not know is left to the black box."""
    return [
        AdapterSpec(
            name="sklearn-exact",
            matches=is_known,
            adapt=adapt_exactly,
            priority=10,
            summary="scikit-learn classifiers and pipelines, exactly and with gradients",
        )
    ]
