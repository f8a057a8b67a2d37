"""Sums over support vectors, in blocks, with their gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["BLOCK_ROWS", "BLOCK_VECTORS", "Kernel", "class_sums"]

#: Inputs and support vectors of a block: 16 MB of kernel values in double precision.
BLOCK_ROWS, BLOCK_VECTORS = 1024, 2048
#: How far multiplying out may move a decision, before differences are taken one by one.
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Kernel:
    r"""A kernel of inputs x and support vectors s.

    "rbf" is :math:`\exp(-\gamma |x - s|^2)`, "poly" :math:`(\gamma x \cdot s + c)^{degree}` and
    "sigmoid" :math:`\tanh(\gamma x \cdot s + c)`.

    Parameters
    ----------
    name : {"rbf", "poly", "sigmoid"}
    gamma : float
        1 / (unit of the input)².
    coef0 : float, default=0.0
        The c above.
    degree : int, default=3
    reach : float, default=0.0
        Largest norm of a support vector, as they are given.
    weight : float, default=0.0
        Largest sum of the absolute dual coefficients of one decision.

    Examples
    --------
    >>> Kernel("rbf", 0.5).values(torch.zeros(1, 2), torch.ones(1, 2))
    tensor([[0.3679]])
    """

    name: str
    gamma: float
    coef0: float = 0.0
    degree: int = 3
    reach: float = 0.0
    weight: float = 0.0

    def values(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Give the kernel of each input with each vector, (n, m)."""
        if self.name == "rbf":
            return self._exponents(x, vectors).exp_()
        inner = self._inner(x, vectors)
        return inner.tanh_() if self.name == "sigmoid" else inner.pow_(self.degree)

    def slopes(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Give the derivative of each value with respect to |x - s|² ("rbf") or x · s."""
        if self.name == "rbf":
            return self.values(x, vectors).mul_(-self.gamma)
        if self.name == "sigmoid":
            return self.values(x, vectors).square_().sub_(1).mul_(-self.gamma)
        if self.degree == 0:
            return x.new_zeros(len(x), len(vectors))
        return self._inner(x, vectors).pow_(self.degree - 1).mul_(self.gamma * self.degree)

    def pull_back(self, x: Tensor, vectors: Tensor, pulls: Tensor) -> Tensor:
        """Give the gradient with respect to x (n, d) of a sum.

        Parameters
        ----------
        x : tensor of shape (n, d)
        vectors : tensor of shape (m, d)
        pulls : tensor of shape (n, m)
            The gradient with respect to what :meth:`slopes` differentiates by.
        """
        if self.name != "rbf":
            return pulls @ vectors
        return 2 * (x * pulls.sum(dim=1, keepdim=True) - pulls @ vectors)

    def multiplies_out(self, n_features: int, dtype: torch.dtype) -> bool:
        """Say whether |x|² + |s|² - 2 x · s is exact enough for |x - s|² here.

        Its rounding error is at most about 4 √d eps (|x| + |s|)². For inputs within twice the
        reach R of the vectors that is 36 √d eps R²; for those beyond, gamma |x - s|² is so large
        that the error in its exponential is smaller still. So this depends on the model alone, and
        an input's answer not on the others in its batch.
        """
        error = 36 * math.sqrt(n_features) * torch.finfo(dtype).eps * self.gamma * self.reach**2
        return error * max(1.0, self.weight) <= _TOLERANCE

    def _exponents(self, x: Tensor, vectors: Tensor) -> Tensor:
        if not self.multiplies_out(x.shape[1], x.dtype):
            apart = torch.cdist(x, vectors, compute_mode="donot_use_mm_for_euclid_dist")
            return apart.square_().mul_(-self.gamma)
        sizes = vectors.square().sum(dim=1).mul_(-self.gamma)
        exponents = torch.addmm(sizes, x, vectors.T, alpha=2 * self.gamma)
        return exponents.sub_(x.square().sum(dim=1, keepdim=True).mul_(self.gamma))

    def _inner(self, x: Tensor, vectors: Tensor) -> Tensor:
        start = x.new_full((1,), self.coef0)
        return torch.addmm(start, x, vectors.T, alpha=self.gamma)


def class_sums(
    x: Tensor,
    vectors: Tensor,
    coefficients: Tensor,
    counts: Sequence[int],
    kernel: Kernel,
    centre: Tensor | None = None,
) -> Tensor:
    """Sum up kernel values over the support vectors of each class.

    Beside inputs and outputs there are at most three arrays of ``BLOCK_ROWS * BLOCK_VECTORS``
    numbers at a time (50 MB in double precision), in the gradient too, which computes the kernel
    values once more.

    Parameters
    ----------
    x : tensor of shape (n, n_features)
    vectors : tensor of shape (n_vectors, n_features)
        Those of the first class first.
    coefficients : tensor of shape (m, n_vectors)
    counts : sequence of int
        How many vectors each class has.
    kernel : Kernel
    centre : tensor of shape (n_features,), optional
        What is taken from each input first.

    Returns
    -------
    tensor of shape (n, n_classes, m)

    Examples
    --------
    >>> x, vectors = torch.zeros(1, 2), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> class_sums(x, vectors, torch.ones(1, 2), (1, 1), Kernel("rbf", 1.0))
    tensor([[[0.3679],
             [0.0183]]])
    """
    apply: Any = _ClassSums.apply  # torch leaves it untyped
    sums: Tensor = apply(x, vectors, coefficients, tuple(counts), kernel, centre)
    return sums


class _ClassSums(torch.autograd.Function):
    """The sums of :func:`class_sums`, and their derivative with respect to x alone."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        vectors: Tensor,
        coefficients: Tensor,
        counts: tuple[int, ...],
        kernel: Kernel,
        centre: Tensor | None,
    ) -> Tensor:
        out = x.new_zeros(len(x), len(counts), len(coefficients))
        for rows in _blocks(len(x), BLOCK_ROWS):
            part = x[rows] if centre is None else x[rows] - centre
            for block in _blocks(len(vectors), BLOCK_VECTORS):
                values = kernel.values(part, vectors[block])
                for place, own, here in _by_class(counts, block):
                    out[rows, place] += values[:, here] @ coefficients[:, own].T
        ctx.save_for_backward(x, vectors, coefficients)
        ctx.counts, ctx.kernel, ctx.centre = counts, kernel, centre
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        x, vectors, coefficients = ctx.saved_tensors
        centre = ctx.centre
        found = torch.zeros_like(x)
        for rows in _blocks(len(x), BLOCK_ROWS):
            part = x[rows] if centre is None else x[rows] - centre
            for block in _blocks(len(vectors), BLOCK_VECTORS):
                pulls = ctx.kernel.slopes(part, vectors[block])
                for place, own, here in _by_class(ctx.counts, block):
                    pulls[:, here] *= gradient[rows, place] @ coefficients[:, own]
                found[rows] += ctx.kernel.pull_back(part, vectors[block], pulls)
        return found, None, None, None, None, None


def _blocks(total: int, size: int) -> Iterator[slice]:
    for begin in range(0, total, size):
        yield slice(begin, min(total, begin + size))


def _by_class(counts: tuple[int, ...], block: slice) -> Iterator[tuple[int, slice, slice]]:
    """Give the classes of which vectors lie in a block: their place, these vectors, and where."""
    begin = 0
    for place, count in enumerate(counts):
        own = slice(max(begin, block.start), min(begin + count, block.stop))
        if own.start < own.stop:
            yield place, own, slice(own.start - block.start, own.stop - block.start)
        begin += count
