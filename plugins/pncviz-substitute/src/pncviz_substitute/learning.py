"""How a substitute learns from answers: labels, or probabilities."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pncviz.data import resolve_image_shape
from pncviz.exceptions import LabelError, ModelError, ParameterError
from pncviz.models import adapt, fit_estimator, resolve_units
from pncviz.specs import Model
from pncviz_substitute.oracle import Answers

__all__ = ["SharesCrossEntropy", "learnt", "substitute_model"]


class SharesCrossEntropy(nn.CrossEntropyLoss):
    """Cross-entropy to a table of probabilities, whose rows the labels name.

    skorch's classifiers take one integer for each sample; here it is the row of the answer.

    Parameters
    ----------
    shares : tensor of shape (n, n_classes)

    Examples
    --------
    >>> loss = SharesCrossEntropy(torch.tensor([[0.5, 0.5]]))
    >>> loss(torch.zeros(1, 2), torch.tensor([0])).round(decimals=3)
    tensor(0.6930)
    """

    def __init__(self, shares: Tensor) -> None:
        super().__init__()
        self.register_buffer("shares", shares)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 # torch's name
        """Give the mean over the batch, nats."""
        table = self.get_buffer("shares")
        return super().forward(input, table[target].to(input.dtype))


def learnt(
    estimator: Any,
    X: NDArray[np.float32],
    answers: Answers,
    n_classes: int,
    *,
    image_shape: tuple[int, ...] | None,
    seed: int,
) -> Any:
    """Fit a clone of the estimator on what the target said.

    Raises
    ------
    ParameterError
        Probabilities are to be learnt by an estimator that cannot.
    LabelError
        The estimator cannot be fitted on the answers, mostly because they are all the same.
    """
    shape = resolve_image_shape(X.shape[1:], image_shape)
    codes = answers.codes
    if answers.shares is not None:
        estimator = _of_shares(estimator, answers.shares)
        codes = np.arange(len(X))
    try:
        return fit_estimator(estimator, X, codes, shape=shape, n_classes=n_classes, seed=seed)
    except (ModelError, ParameterError):
        raise
    except ValueError as error:
        told = np.bincount(answers.codes, minlength=n_classes).tolist()
        raise LabelError(
            f"{type(estimator).__name__} could not be fitted on {len(X)} answers, {told} of each "
            f"class; other starts may get more kinds of answer: {error}"
        ) from error


def _of_shares(estimator: Any, shares: NDArray[np.float64]) -> Any:
    criterion = getattr(estimator, "criterion", None)
    if not (isinstance(criterion, type) and issubclass(criterion, nn.CrossEntropyLoss)):
        raise ParameterError(
            'answers="probabilities" needs a skorch net with CrossEntropyLoss as `estimator`, got '
            f"{type(estimator).__name__}; ask for labels instead."
        )
    return _with(
        estimator,
        criterion=SharesCrossEntropy,
        criterion__shares=torch.from_numpy(shares.astype(np.float32)),
        classes=list(range(shares.shape[1])),
    )


def _with(estimator: Any, **params: Any) -> Any:
    from sklearn.base import clone

    changed = clone(estimator).set_params(**params)
    # What the net measures as it learns is against rows, not classes.
    with contextlib.suppress(ValueError):
        changed.set_params(callbacks__train_acc=None)
    return changed


def substitute_model(
    substitute: Any, input_shape: tuple[int, ...], n_classes: int
) -> tuple[Model, NDArray[np.int64]]:
    """Make a model of a substitute; gives the place among all classes of each of its units, too.

    Raises
    ------
    ModelError
        It gives no gradients.
    """
    model = adapt(substitute, input_shape=input_shape)
    if "gradients" not in model.capabilities:
        problem = getattr(model, "problems", {}).get("gradients", "it gives no gradients")
        raise ModelError(f"`estimator` must be differentiable: {problem}.")
    known, units = resolve_units(model)
    place = np.full(model.n_units, -1)
    kept = known < n_classes
    place[units[kept]] = known[kept]
    return model, place
