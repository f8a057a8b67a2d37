"""Nearest neighbours made smooth, so that they have gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from pncviz.exceptions import LabelError, ModelError, ParameterError
from pncviz.models import TorchModel
from pncviz.synthesis import check_count, check_number

__all__ = ["SoftKNN", "adapt_soft_knn"]


class SoftKNN(nn.Module):
    r"""A soft vote of training samples by their squared distance; logits in float64.

    With one neighbour each sample i votes with ``exp(-d_i² / temperature)`` (the papers'
    formula, whose temperature is 1). With k of them its vote is ``sigmoid((r² - d_i²) /
    temperature)``, where r² lies halfway between the k-th and the next squared distance. Both
    become the vote of the k nearest as the temperature falls.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Training samples.
    codes : integer array-like of shape (n_samples,)
        Class of each, from 0; every class has a sample.
    n_neighbors : int, default=1
    temperature : float, default=1.0
        Squared units of the input.

    References
    ----------
    goldberger2004neighbourhood; papernot2016transferability.

    Examples
    --------
    >>> soft = SoftKNN([[0.0], [1.0]], [0, 1])
    >>> soft(torch.tensor([[0.5]])).softmax(dim=1).round(decimals=3)
    tensor([[0.5000, 0.5000]], dtype=torch.float64, grad_fn=<RoundBackward1>)
    """

    def __init__(
        self, X: ArrayLike, codes: ArrayLike, *, n_neighbors: int = 1, temperature: float = 1.0
    ) -> None:
        super().__init__()
        samples, units = np.asarray(X, dtype=np.float64), np.asarray(codes)
        check_count("n_neighbors", n_neighbors)
        check_number("temperature", temperature, low=0, open_low=True)
        if n_neighbors >= len(samples) and n_neighbors > 1:
            raise ParameterError(
                f"`n_neighbors` must be below the number of samples ({len(samples)}), got "
                f"{n_neighbors}."
            )
        if units.shape != (len(samples),) or len(np.unique(units)) != units.max() + 1:
            raise LabelError("`codes` must be one class for each sample, 0 to K-1, all there.")
        order = np.argsort(units, kind="stable")
        self.n_neighbors, self.temperature = int(n_neighbors), float(temperature)
        self.sizes = np.bincount(units).tolist()
        # A parameter, by which the model's precision is known; it is not to be trained.
        self.samples = nn.Parameter(torch.from_numpy(samples[order].reshape(len(units), -1)))

    @classmethod
    def from_estimator(cls, estimator: Any, *, temperature: float = 1.0) -> SoftKNN:
        """Take the samples of a fitted :class:`~sklearn.neighbors.KNeighborsClassifier`.

        Raises
        ------
        ModelError
            Weighted votes, another distance than the Euclidean, or several outputs.
        """
        check_is_fitted(estimator)
        euclidean = estimator.effective_metric_ == "euclidean"
        if not euclidean or estimator.weights != "uniform" or estimator.outputs_2d_:
            raise ModelError(
                "A soft vote stands for Euclidean distances, uniform weights and one output; this "
                f"{type(estimator).__name__} has metric {estimator.effective_metric_!r} and "
                f"weights {estimator.weights!r:.40}."
            )
        return cls(
            estimator._fit_X,
            estimator._y,
            n_neighbors=estimator.n_neighbors,
            temperature=temperature,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Take inputs (n, ...) to the logarithm of each class's vote (n, n_classes)."""
        x = x.flatten(1).to(self.samples.dtype)
        squared = (x**2).sum(1)[:, None] - 2 * x @ self.samples.T + (self.samples**2).sum(1)
        vote = -squared / self.temperature
        if self.n_neighbors > 1:
            near = squared.topk(self.n_neighbors + 1, dim=1, largest=False, sorted=True).values
            middle = near[:, -2:].mean(dim=1, keepdim=True)
            vote = nn.functional.logsigmoid(middle / self.temperature + vote)
        return torch.stack(
            [part.logsumexp(1) for part in torch.split(vote, self.sizes, dim=1)], dim=1
        )


def adapt_soft_knn(
    estimator: Any,
    *,
    input_shape: Sequence[int],
    output: str = "auto",  # noqa: ARG001 # part of the contract; these are logits
) -> TorchModel:
    """Make a smooth model, of temperature 1, of a fitted nearest-neighbour classifier."""
    return TorchModel(
        SoftKNN.from_estimator(estimator),
        input_shape=input_shape,
        classes=estimator.classes_,
        output="logits",
    )


def is_knn(estimator: Any) -> bool:
    """Say whether the adapter is for an estimator."""
    return isinstance(estimator, KNeighborsClassifier)
