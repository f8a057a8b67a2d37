"""Linear classifiers: scores W x + b, and what each makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn import linear_model
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from pncviz_sklearn.reading import Kind, always, linear, numbers, two_units

__all__ = ["LINEAR", "ONE_VS_REST", "Shares"]


class Shares(nn.Module):
    """Logits that are no linear function of the scores, with the classes that the scores say.

    Parameters
    ----------
    scores : torch.nn.Module
        Maps (n, n_features) to (n, n_classes).
    logits : callable
        Maps scores to logits.
    """

    def __init__(self, scores: nn.Module, logits: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.scores, self._logits = scores, logits

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, n_features) to logits (n, n_classes)."""
        return self._logits(self.scores(x))

    def decide(self, x: Tensor) -> Tensor:
        """Map features to the class with the highest score (n,)."""
        found: Tensor = self.scores(x).argmax(dim=1)
        return found


def sigmoid_shares(scores: Tensor) -> Tensor:
    """Give logits whose softmax is each score's sigmoid over the sum of all.

    Where every sigmoid is 0 in double precision the shares are equal, as in scikit-learn, and the
    gradient is 0.

    Examples
    --------
    >>> sigmoid_shares(torch.tensor([[0.0, 0.0, 0.0]])).softmax(dim=1)
    tensor([[0.3333, 0.3333, 0.3333]])
    """
    none = (torch.sigmoid(scores) == 0).all(dim=1, keepdim=True)
    return torch.nn.functional.logsigmoid(scores).masked_fill(none, 0.0)


def huber_shares(scores: Tensor) -> Tensor:
    """Give logits whose softmax is (clip(score, -1, 1) + 1) / 2 over the sum of all.

    A share of 0 has the logarithm of the smallest number instead, and a gradient of 0; where all
    are 0 they are equal, as in scikit-learn.

    Examples
    --------
    >>> huber_shares(torch.tensor([[3.0, 0.5, 0.0]])).softmax(dim=1)
    tensor([[0.4444, 0.3333, 0.2222]])
    """
    shares = (scores.clamp(-1, 1) + 1) / 2
    return shares.clamp_min(torch.finfo(scores.dtype).tiny).log()


def _huber_of_two(scores: Tensor) -> Tensor:
    """Give the logits of two classes from scores (0, z), as :func:`huber_shares` of (-z, z)."""
    return huber_shares(torch.stack([-scores[:, 1], scores[:, 1]], dim=1))


def _scores(estimator: Any) -> nn.Linear:
    weight = np.atleast_2d(numbers(estimator, "coef_"))
    bias = numbers(estimator, "intercept_")
    return two_units(weight, bias) if len(weight) == 1 else linear(weight, bias)


def _by_shares(scores: nn.Linear, estimator: Any, *, binary: bool) -> nn.Module:
    """Add what a classifier that answers yes or no to each class makes of its scores."""
    loss = estimator.loss if isinstance(estimator, linear_model.SGDClassifier) else "log_loss"
    if loss == "modified_huber":
        return Shares(scores, _huber_of_two if binary else huber_shares)
    if binary or not hasattr(estimator, "predict_proba"):
        return scores
    return Shares(scores, sigmoid_shares)


def _sgd(estimator: Any) -> nn.Module:
    return _by_shares(_scores(estimator), estimator, binary=len(estimator.classes_) == 2)


def _is_one_label(estimator: Any) -> bool:
    """Whether y was one label per sample, as far as it is known."""
    binarizer = getattr(estimator, "_label_binarizer", None)
    return binarizer is None or not binarizer.y_type_.startswith("multilabel")


def _is_multinomial(estimator: Any) -> bool:
    """Whether probabilities are those of one softmax, as far as older parameters say so."""
    return getattr(estimator, "multi_class", "deprecated") in ("auto", "deprecated") and not (
        estimator.solver == "liblinear" and len(getattr(estimator, "classes_", ())) > 2
    )


#: From a linear classifier's type to what is done with it.
LINEAR: dict[type, Kind] = {
    linear_model.LogisticRegression: Kind(_is_multinomial, _scores),
    linear_model.LogisticRegressionCV: Kind(_is_multinomial, _scores),
    linear_model.RidgeClassifier: Kind(_is_one_label, _scores),
    linear_model.RidgeClassifierCV: Kind(_is_one_label, _scores),
    linear_model.SGDClassifier: Kind(always, _sgd),
    linear_model.Perceptron: Kind(always, _scores),
    LinearSVC: Kind(always, _scores),
    LinearDiscriminantAnalysis: Kind(always, _scores),
}
if hasattr(linear_model, "PassiveAggressiveClassifier"):  # scikit-learn means to drop it
    LINEAR[linear_model.PassiveAggressiveClassifier] = Kind(always, _scores)


def _is_one_vs_rest_of_linear(estimator: Any) -> bool:
    if getattr(estimator.estimator, "loss", "") == "modified_huber":
        return False  # where all shares are 0, its probabilities do not sum to 1
    parts = getattr(estimator, "estimators_", None)
    if parts is None:
        return type(estimator.estimator) in LINEAR
    return not estimator.multilabel_ and all(
        type(part) in LINEAR and LINEAR[type(part)].accepts(part) and np.size(part.classes_) == 2
        for part in parts
    )


def _one_vs_rest(estimator: Any) -> nn.Module:
    parts = estimator.estimators_
    if len(parts) == 1:
        return _by_shares(_scores(parts[0]), parts[0], binary=True)
    weights = [np.reshape(numbers(part, "coef_"), -1) for part in parts]
    biases = [np.ravel(numbers(part, "intercept_"))[0] for part in parts]
    return _by_shares(linear(np.stack(weights), np.array(biases)), parts[0], binary=False)


#: One linear classifier for each class.
ONE_VS_REST: dict[type, Kind] = {OneVsRestClassifier: Kind(_is_one_vs_rest_of_linear, _one_vs_rest)}
