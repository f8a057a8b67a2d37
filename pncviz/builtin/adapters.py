"""The built-in adapters: skorch nets, torch modules, and any scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet, NeuralNetClassifier
from skorch.exceptions import SkorchAttributeError

from pncviz.exceptions import ModelError
from pncviz.hookspecs import hookimpl
from pncviz.models import ProbabilityModel, TorchModel
from pncviz.specs import AdapterSpec

__all__ = ["pncviz_adapters"]


def adapt_skorch(net: Any, *, input_shape: Sequence[int], output: str = "auto") -> TorchModel:
    """Make a model of an initialised skorch net; its criterion says what the module gives."""
    if not getattr(net, "initialized_", False):
        raise NotFittedError(
            f"This {type(net).__name__} is not fitted yet; call fit, or load its parameters, first."
        )
    if output == "auto":
        output = _criterion_output(net)
    try:
        classes = net.classes_
    except (AttributeError, SkorchAttributeError):
        classes = None  # initialised and loaded, never fitted
    if classes is not None and len(classes) == 0:
        classes = None
    loss = torch.nn
    yes_or_no = isinstance(net.criterion_, loss.BCELoss | loss.BCEWithLogitsLoss)
    try:
        model = TorchModel(net.module_, input_shape=input_shape, classes=classes, output=output)
    except ModelError as error:
        raise ModelError(f"{error} (criterion {type(net.criterion_).__name__})") from error
    if yes_or_no and model.n_units > 2:
        raise ModelError(
            f"{type(net.criterion_).__name__} with {model.n_units} units says yes or no to each "
            "class by itself, so the classes do not share one probability; train with "
            "CrossEntropyLoss."
        )
    return model


def _criterion_output(net: Any) -> str:
    """Say what the criterion makes of the module's output."""
    loss, criterion = torch.nn, net.criterion_
    if isinstance(criterion, loss.NLLLoss):
        # skorch's classifier applies the logarithm itself, its plain net does not.
        return "probabilities" if isinstance(net, NeuralNetClassifier) else "log_probabilities"
    if isinstance(criterion, loss.BCELoss):
        return "probabilities"
    if isinstance(criterion, loss.CrossEntropyLoss | loss.BCEWithLogitsLoss | loss.MultiMarginLoss):
        return "logits"
    return "auto"


def adapt_torch(
    module: torch.nn.Module, *, input_shape: Sequence[int], output: str = "auto"
) -> TorchModel:
    """Make a model of a bare torch module."""
    return TorchModel(module, input_shape=input_shape, output=output)


def adapt_sklearn(
    estimator: Any,
    *,
    input_shape: Sequence[int],
    output: str = "auto",  # noqa: ARG001 # part of the contract; a classifier gives probabilities
) -> ProbabilityModel:
    """Make a model of any fitted classifier, without gradients."""
    # What was trained elsewhere may only answer, and what is not scikit-learn's cannot be checked.
    if hasattr(estimator, "fit") and hasattr(estimator, "__sklearn_tags__"):
        check_is_fitted(estimator)
    return ProbabilityModel(estimator, input_shape=input_shape)


def _answers(estimator: Any) -> bool:
    """Say whether it is a scikit-learn classifier, or answers as one."""
    if hasattr(estimator, "__sklearn_tags__"):
        return bool(is_classifier(estimator))
    asked = hasattr(estimator, "predict_proba") or hasattr(estimator, "predict")
    return hasattr(estimator, "classes_") and asked


@hookimpl
def pncviz_adapters() -> list[AdapterSpec]:
    """Give the built-in adapters."""
    return [
        AdapterSpec(
            name="skorch",
            matches=lambda estimator: isinstance(estimator, NeuralNet),
            adapt=adapt_skorch,
            summary="skorch nets, with gradients; logits decided from the criterion",
        ),
        AdapterSpec(
            name="torch",
            matches=lambda estimator: isinstance(estimator, torch.nn.Module),
            adapt=adapt_torch,
            summary="torch modules, with gradients",
        ),
        AdapterSpec(
            name="probabilities",
            matches=_answers,
            adapt=adapt_sklearn,
            priority=-100,
            summary="any classifier with classes_, by predict_proba or predict",
        ),
    ]
