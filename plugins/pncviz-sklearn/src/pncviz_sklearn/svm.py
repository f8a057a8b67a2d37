"""Support vector machines: a decision for each pair of classes, then votes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import torch
from sklearn.svm import SVC, NuSVC
from torch import Tensor, nn

from pncviz_sklearn.kernels import Kernel, class_sums
from pncviz_sklearn.reading import Kind, frozen, linear, numbers

__all__ = ["SVM", "Decisions", "Votes"]

_KERNELS = ("linear", "poly", "rbf", "sigmoid")


class Decisions(nn.Module):
    """The decision of each pair of classes (i, j), i < j: positive for i, as libsvm has it.

    Parameters
    ----------
    vectors : ndarray of shape (n_vectors, n_features)
    coefficients : ndarray of shape (n_classes - 1, n_vectors)
        libsvm's dual coefficients: in the column of a vector of class c, the row r is for the pair
        with class r, or r + 1 from c on.
    intercepts : ndarray of shape (n_pairs,)
    counts : sequence of int
        Vectors of each class.
    kernel : Kernel
    """

    centre: nn.Parameter | None
    _first: Tensor
    _second: Tensor

    def __init__(
        self, vectors: Any, coefficients: Any, intercepts: Any, counts: Any, kernel: Kernel
    ) -> None:
        super().__init__()
        pairs = list(combinations(range(len(counts)), 2))
        # Distances do not change, and are more exact near the origin; inner products would.
        centred = kernel.name == "rbf"
        centre = vectors.mean(axis=0) if centred else np.zeros(vectors.shape[1])
        self.vectors = frozen(vectors - centre)
        self.register_parameter("centre", frozen(centre) if centred else None)
        self.coefficients, self.intercepts = frozen(coefficients), frozen(intercepts)
        self.counts, self.kernel = tuple(int(count) for count in counts), kernel
        width = len(coefficients)
        self.register_buffer("_first", torch.tensor([i * width + j - 1 for i, j in pairs]))
        self.register_buffer("_second", torch.tensor([j * width + i for i, j in pairs]))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, n_features) to decisions (n, n_pairs)."""
        sums = class_sums(
            x, self.vectors, self.coefficients, self.counts, self.kernel, self.centre
        ).flatten(1)
        return sums[:, self._first] + sums[:, self._second] + self.intercepts


class Votes(nn.Module):
    r"""One logit for each class from the decisions of pairs, as scikit-learn's "ovr" has it.

    :math:`v_c + s_c / (3 (|s_c| + 1))`, with the votes :math:`v_c` and the sum :math:`s_c` of the
    decisions of the class's pairs, each positive for the class. The votes are steps, and have no
    gradient; the gradient is that of the second term, so it raises the confidences, and a vote
    goes over when a decision passes 0 on the way. It is exact wherever no decision is 0.
    "ovo" has a decision per pair and none per class, so the logits are the same. Two classes have
    the logits (0, decision). No probability is meant by any of these.

    Labels are those of libsvm: most votes, the first of equals, unless ties are broken by the
    logits.

    Parameters
    ----------
    decisions : torch.nn.Module
        Maps features to the decisions of pairs.
    n_classes : int
    break_ties : bool
    """

    _sides: Tensor

    def __init__(self, decisions: nn.Module, n_classes: int, *, break_ties: bool) -> None:
        super().__init__()
        self.decisions, self.n_classes, self.break_ties = decisions, n_classes, break_ties
        sides = np.zeros((n_classes * (n_classes - 1) // 2, n_classes))
        for row, (i, j) in zip(sides, combinations(range(n_classes), 2), strict=True):
            row[i], row[j] = 1, -1
        self.register_buffer("_sides", torch.tensor(sides))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, n_features) to logits (n, n_classes)."""
        decisions: Tensor = self.decisions(x)
        if self.n_classes == 2:
            return torch.cat([torch.zeros_like(decisions), -decisions], dim=1)
        sums = decisions @ self._sides
        return self._votes(decisions >= 0) + sums / (3 * (sums.abs() + 1))

    def decide(self, x: Tensor) -> Tensor:
        """Map features to the predicted class (n,)."""
        if self.break_ties and self.n_classes > 2:
            return self.forward(x).argmax(dim=1)
        # A decision of exactly 0 is a vote for the second class here, and for the first above.
        return self._votes(self.decisions(x) > 0).argmax(dim=1)

    def _votes(self, first: Tensor) -> Tensor:
        """Count votes (n, n_classes) from whether the first class of each pair wins."""
        won = first.to(self._sides)
        return won @ self._sides.clamp_min(0) + (1 - won) @ self._sides.neg().clamp_min(0)


def _machine(estimator: Any) -> nn.Module:
    n_classes = len(estimator.classes_)
    # With two classes scikit-learn turns the public signs; here they are libsvm's.
    sign = -1.0 if n_classes == 2 else 1.0
    vectors = numbers(estimator, "support_vectors_")
    coefficients = sign * np.atleast_2d(numbers(estimator, "dual_coef_"))
    intercepts = sign * numbers(estimator, "intercept_")
    counts = estimator.n_support_
    break_ties = bool(estimator.break_ties)
    if estimator.kernel == "linear":
        weights = _pair_weights(vectors, coefficients, counts)
        return Votes(linear(weights, intercepts), n_classes, break_ties=break_ties)
    kernel = Kernel(
        estimator.kernel,
        float(estimator._gamma),  # "scale" leaves its value nowhere else
        coef0=float(estimator.coef0),
        degree=int(estimator.degree),
        reach=float(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).max(initial=0.0)),
        weight=float(np.abs(coefficients).sum(axis=1).max(initial=0.0)),
    )
    decisions = Decisions(vectors, coefficients, intercepts, counts, kernel)
    return Votes(decisions, n_classes, break_ties=break_ties)


def _pair_weights(vectors: Any, coefficients: Any, counts: Any) -> Any:
    """Give the weights of each pair of classes (n_pairs, n_features) of a linear kernel."""
    ends = np.cumsum(counts)
    own = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    sums = [coefficients[:, part] @ vectors[part] for part in own]
    pairs = combinations(range(len(counts)), 2)
    return np.stack([sums[i][j - 1] + sums[j][i] for i, j in pairs])


def _is_known(estimator: Any) -> bool:
    # scikit-learn itself refuses to predict with the latter.
    kernel, shape = estimator.kernel, estimator.decision_function_shape
    known = isinstance(kernel, str) and kernel in _KERNELS
    return known and not (estimator.break_ties and shape == "ovo")


#: Both machines of libsvm.
SVM: dict[type, Kind] = {SVC: Kind(_is_known, _machine), NuSVC: Kind(_is_known, _machine)}
