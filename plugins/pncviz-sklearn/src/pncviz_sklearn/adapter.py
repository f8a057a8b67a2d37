"""From a fitted classifier, or a pipeline that ends in one, to a model."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from pncviz.exceptions import ModelError, PncvizWarning
from pncviz.models import TorchModel
from pncviz_sklearn.gaussian import GAUSSIAN
from pncviz_sklearn.linear import LINEAR, ONE_VS_REST
from pncviz_sklearn.network import NETWORK
from pncviz_sklearn.steps import STEPS
from pncviz_sklearn.svm import SVM

__all__ = ["SklearnModel", "adapt_exactly", "is_known"]

_CLASSIFIERS = LINEAR | ONE_VS_REST | GAUSSIAN | NETWORK | SVM
_SEARCHES = (GridSearchCV, RandomizedSearchCV)


class SklearnModel(TorchModel):
    r"""A torch module that does what a fitted scikit-learn classifier does.

    Logits. Where the classifier has ``predict_proba``, the softmax of the logits is that (except
    for the deprecated ``SVC(probability=True)``, whose probabilities contradict its own labels).
    Where it has only a ``decision_function``, the logits are that, (0, z) for two classes, and
    their softmax is a score and no probability.

    Labels are those of the classifier's ``predict``, also where it is not the likeliest unit:
    nearest centroids, and support vector machines that vote.

    Parameters
    ----------
    module : torch.nn.Sequential
        Its last part may have ``decide(features)``, which gives the labels' places.
    input_shape : tuple of int
    classes : array-like of shape (n_classes,), optional
    output : str, default="logits"
        What the module gives.
    batch_size : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from pncviz_sklearn import adapt_exactly
    >>> X, y = np.array([[0.0, 1.0], [1.0, 0.0]]), ["owl", "cat"]
    >>> classifier = LogisticRegression().fit(X, y)
    >>> model = adapt_exactly(classifier, input_shape=(2,))
    >>> with model.session():
    ...     shares = model.probabilities(model.tensor(X)).numpy()
    >>> bool(np.allclose(shares, classifier.predict_proba(X))), model.classes.tolist()
    (True, ['cat', 'owl'])
    """

    module: nn.Sequential

    def __init__(
        self,
        module: nn.Sequential,
        *,
        input_shape: Sequence[int],
        classes: ArrayLike | None = None,
        output: str = "logits",
        batch_size: int | None = None,
    ) -> None:
        with warnings.catch_warnings():
            # Decisions of ridge classifiers and the like may sum to 1 without being shares.
            warnings.filterwarnings("ignore", "The module gives probabilities", PncvizWarning)
            super().__init__(
                module,
                input_shape=input_shape,
                classes=classes,
                output=output,
                batch_size=batch_size,
            )
        self.labels_by_logits = not hasattr(module[-1], "decide")

    def labels(self, x: Tensor) -> Tensor:
        """Map inputs to the place of the class that the classifier predicts (n,)."""
        if self.labels_by_logits:
            return super().labels(x)
        *steps, classifier = self.module
        for step in steps:
            x = step(x)
        decide: Callable[[Tensor], Tensor] = classifier.decide  # type: ignore[assignment] # a method
        return decide(x)

    def astype(self, dtype: torch.dtype) -> SklearnModel:
        """Copy the model in another precision; in single precision it is no longer exact."""
        with torch.inference_mode(False):
            return SklearnModel(
                copy.deepcopy(self.module).to(dtype),
                input_shape=self.input_shape,
                classes=self.classes,
                batch_size=self.batch_size,
            )


def is_known(estimator: Any) -> bool:
    """Say whether every part of a classifier is known exactly.

    Types are compared without their subclasses, which may predict otherwise.

    Parameters
    ----------
    estimator : object
        Fitted or not.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> is_known(make_pipeline(StandardScaler(), LogisticRegression()))
    True
    >>> is_known(KNeighborsClassifier())
    False
    """
    *steps, classifier = list(_unrolled(estimator)) or [None]
    kind = _CLASSIFIERS.get(type(classifier))
    return (
        kind is not None
        and kind.accepts(classifier)
        and np.ndim(classes := getattr(classifier, "classes_", (0, 1))) == 1
        and len(classes) > 1
        and all(type(step) in STEPS and STEPS[type(step)].accepts(step) for step in steps)
    )


def _unrolled(estimator: Any) -> Iterator[Any]:
    """Give the steps of a pipeline, and of pipelines and winners of searches within it."""
    if estimator is None or (isinstance(estimator, str) and estimator == "passthrough"):
        return
    if type(estimator) is FrozenEstimator:
        yield from _unrolled(estimator.estimator)
    elif type(estimator) is Pipeline:
        for _, step in estimator.steps:
            yield from _unrolled(step)
    elif type(estimator) in _SEARCHES and estimator.refit:
        yield from _unrolled(getattr(estimator, "best_estimator_", estimator.estimator))
    else:
        yield estimator


def adapt_exactly(
    estimator: Any,
    *,
    input_shape: Sequence[int],
    output: str = "auto",  # noqa: ARG001 # part of the contract; a classifier gives what it gives
) -> SklearnModel:
    """Make an exact model, with gradients, of a fitted classifier or pipeline.

    Parameters
    ----------
    estimator : fitted scikit-learn classifier
        One that :func:`is_known` knows.
    input_shape : tuple of int
        One input; an image is flattened first.

    Raises
    ------
    NotFittedError
    ModelError
        Parameters that are NaN or infinite, or an input of another size.
    """
    check_is_fitted(estimator)
    *steps, classifier = list(_unrolled(estimator))
    for part in (*steps, classifier):
        check_is_fitted(part)
    n_features = (steps or [classifier])[0].n_features_in_
    if n_features != math.prod(input_shape):
        raise ModelError(
            f"This {type(estimator).__name__} was fitted on {n_features} features; inputs of shape "
            f"{tuple(input_shape)} have {math.prod(input_shape)}."
        )
    parts: list[nn.Module] = [] if len(input_shape) == 1 else [nn.Flatten()]
    parts += [STEPS[type(step)].build(step) for step in steps]
    parts.append(_CLASSIFIERS[type(classifier)].build(classifier))
    return SklearnModel(nn.Sequential(*parts), input_shape=input_shape, classes=classifier.classes_)
