"""Classes as normal distributions, and as nothing but their centres."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid
from torch import Tensor, nn

from pncviz_sklearn.reading import Kind, frozen, numbers

__all__ = ["GAUSSIAN", "Centroids", "Diagonal", "Quadratic"]


class Diagonal(nn.Module):
    """Logarithms of joint probabilities where features are independent in each class.

    Differences are taken before they are squared: multiplied out, features that hardly vary would
    lose their digits. One class after another, so that no array is larger than the inputs.

    Parameters
    ----------
    means, variances : ndarray of shape (n_classes, n_features)
    constants : ndarray of shape (n_classes,)
    """

    def __init__(self, means: Any, variances: Any, constants: Any) -> None:
        super().__init__()
        self.means, self.variances = frozen(means), frozen(variances)
        self.constants = frozen(constants)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, n_features) to logits (n, n_classes)."""
        parts = zip(self.means, self.variances, self.constants, strict=True)
        columns = [c - 0.5 * ((x - mean) ** 2 / variance).sum(dim=1) for mean, variance, c in parts]
        return torch.stack(columns, dim=1)


class Quadratic(nn.Module):
    """Logarithms of joint probabilities, each class with a covariance of its own.

    Parameters
    ----------
    means : ndarray of shape (n_classes, n_features)
    whitenings : ndarray of shape (n_classes, n_features, n_features)
        What makes each class's covariance the identity.
    constants : ndarray of shape (n_classes,)
    """

    def __init__(self, means: Any, whitenings: Any, constants: Any) -> None:
        super().__init__()
        self.means, self.whitenings = frozen(means), frozen(whitenings)
        self.constants = frozen(constants)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, n_features) to logits (n, n_classes)."""
        parts = zip(self.means, self.whitenings, self.constants, strict=True)
        columns = [c - 0.5 * ((x - mean) @ w).square().sum(dim=1) for mean, w, c in parts]
        return torch.stack(columns, dim=1)


class Centroids(nn.Module):
    """Scores by the distance to each class's centre.

    The Euclidean decision function of scikit-learn divides features by their spread within
    classes, and its ``predict``, where all classes have the same prior probability, does not: so
    the label need not be the likeliest class. By Manhattan distance there is no public decision
    function; the logits are then what ``predict`` compares: minus the distance, or, with other
    priors, minus the squared distance of scaled features plus twice the logarithm of the prior.

    Parameters
    ----------
    centroids : ndarray of shape (n_classes, n_features)
    spread : ndarray of shape (n_features,)
        What features are divided by.
    offsets : ndarray of shape (n_classes,)
    order : {1.0, 2.0}
        Of the norm.
    uniform : bool
        Whether the nearest centroid is predicted, whatever the scores say.
    """

    def __init__(
        self,
        centroids: NDArray[np.floating[Any]],
        spread: NDArray[np.floating[Any]],
        offsets: NDArray[np.floating[Any]],
        *,
        order: float,
        uniform: bool,
    ) -> None:
        super().__init__()
        self.centroids, self.spread, self.offsets = map(frozen, (centroids, spread, offsets))
        self.order, self.uniform = order, uniform

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, n_features) to logits (n, n_classes)."""
        if self.uniform and self.order == 1:
            return -self._powers(x, self.centroids)
        powers = self._powers(x / self.spread, self.centroids / self.spread)
        return self.offsets - (powers if self.order == 2 else powers.square())

    def decide(self, x: Tensor) -> Tensor:
        """Map features to the predicted class (n,)."""
        if not self.uniform:
            return self.forward(x).argmax(dim=1)
        if self.order == 1:
            return self._powers(x, self.centroids).argmin(dim=1)
        # Multiplied out, as scikit-learn does it, but near the origin; |x|² is common to all.
        middle = self.centroids.mean(dim=0)
        centroids = self.centroids - middle
        sizes = centroids.square().sum(dim=1)
        return torch.addmm(sizes, x - middle, centroids.T, alpha=-2).argmin(dim=1)

    def _powers(self, x: Tensor, centroids: Tensor) -> Tensor:
        """Give distances (order 1) or squared distances (order 2), one class after another."""
        apart = (x - centroid for centroid in centroids)
        return torch.stack(
            [(d.abs() if self.order == 1 else d.square()).sum(dim=1) for d in apart], dim=1
        )


def _no_prior_is_zero(estimator: Any) -> bool:
    """Whether every class can come out at all: the logarithm of 0 is no logit."""
    names = ("priors", "priors_", "class_prior_")
    given = [getattr(estimator, name, None) for name in names]
    return all(p is None or isinstance(p, str) or np.all(np.asarray(p) > 0) for p in given)


def _naive_bayes(estimator: Any) -> nn.Module:
    variances, priors = numbers(estimator, "var_"), numbers(estimator, "class_prior_")
    # Logarithms in their own precision, as scikit-learn takes them; their sum in double.
    logs = [float(-0.5 * np.sum(np.log(2.0 * np.pi * variance))) for variance in variances]
    constants = np.log(priors).astype(np.float64) + np.array(logs)
    return Diagonal(numbers(estimator, "theta_"), variances, constants)


def _quadratic(estimator: Any) -> nn.Module:
    places = range(len(estimator.classes_))
    scalings = [numbers(estimator, "scalings_", i) for i in places]
    whitenings = [numbers(estimator, "rotations_", i) * scalings[i] ** (-0.5) for i in places]
    spreads = np.array([np.log(scaling).sum() for scaling in scalings])
    constants = np.log(numbers(estimator, "priors_")) - 0.5 * spreads
    return Quadratic(numbers(estimator, "means_"), np.stack(whitenings), constants)


def _nearest_centroid(estimator: Any) -> nn.Module:
    priors = numbers(estimator, "class_prior_")
    spread = numbers(estimator, "within_class_std_dev_")
    return Centroids(
        numbers(estimator, "centroids_"),
        np.where(spread == 0, 1.0, spread),
        2 * np.log(priors),
        order=1.0 if estimator.metric == "manhattan" else 2.0,
        uniform=bool(np.isclose(priors, 1 / len(priors)).all()),
    )


def _is_known_distance(estimator: Any) -> bool:
    return estimator.metric in ("euclidean", "manhattan") and _no_prior_is_zero(estimator)


#: From a classifier's type to what is done with it.
GAUSSIAN: dict[type, Kind] = {
    GaussianNB: Kind(_no_prior_is_zero, _naive_bayes),
    QuadraticDiscriminantAnalysis: Kind(_no_prior_is_zero, _quadratic),
    NearestCentroid: Kind(_is_known_distance, _nearest_centroid),
}
