"""Where each row's loss falls: by autograd, or by a gradient that is written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pncviz.specs import Model, Target
from pncviz.synthesis.chain import Chain
from pncviz.synthesis.losses import grade, loss_named
from pncviz.synthesis.rows import size_of

__all__ = ["Autograd", "Slope", "WrittenOut", "as_given"]

#: ``tiled(function, *likes)`` gives the function with rows kept apart to the bit.
Tiled: TypeAlias = Callable[..., Callable[..., Any]]

#: As long as nothing happens, so many iterations are taken before the host looks, and again in
#: smaller steps if something did.
_FAR = 100

#: Fewer multiplications than this per pass take longer on several threads than on one.
_FEW = 2**20


def as_given(function: Callable[..., Any], *likes: Tensor) -> Callable[..., Any]:  # noqa: ARG001 # a stand-in
    """Leave a function as it is: ``tiled`` where nothing has to be kept apart."""
    return function


class Slope:
    """Loss, confidence and gradient of the rows still in the batch.

    A descent walks in coordinates of the slope's choosing, which begin at ``start``;
    :meth:`inputs` takes them back to inputs of the model.

    Parameters
    ----------
    model : Model
    start : tensor of shape (n, *input_shape)
    target : Target
    loss : str
        A key of :data:`LOSSES`.
    """

    #: Iterations to take before anything is asked. Few, where taking them again costs much.
    at_once = 10

    def __init__(self, model: Model, start: Tensor, target: Target, loss: str) -> None:
        self.model, self.start, self.loss = model, start, loss_named(loss)
        self.target, self.sign = target, 1.0 if target.targeted else -1.0

    def gradient(self, x: Tensor) -> Tensor:
        """Give the gradient of the rows' summed loss: a tensor that is not written to again."""
        raise NotImplementedError

    def full(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give loss and confidence of each row, and the gradient."""
        raise NotImplementedError

    @property
    def codes(self) -> Tensor:
        """The units that rows are to become, or to leave."""
        return self.target.codes

    def grade(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Give loss and confidence of each row; see :func:`~pncviz.synthesis.losses.grade`."""
        return grade(logits, self.target, self.loss)

    def graded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give loss and confidence as the model itself sees the inputs."""
        with torch.no_grad():
            return self.grade(self.model.logits(self.inputs(x)))

    def inputs(self, x: Tensor) -> Tensor:
        """Take coordinates of the rows still in the batch back to inputs."""
        return x

    def size(self, x: Tensor) -> Tensor:
        """Give the largest magnitude of each input, or a bound of it where that is harmless."""
        return size_of(x)

    def keep(self, stays: Tensor) -> None:
        """Let the other rows leave the batch."""
        self.target = replace(self.target, codes=self.codes[stays])

    @contextmanager
    def session(self) -> Iterator[None]:
        """Descend inside."""
        yield


class Autograd(Slope):
    """The reference: torch differentiates, whatever the model is."""

    def gradient(self, x: Tensor) -> Tensor:
        return self._differentiated(x)[1]

    def full(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, gradient = self._differentiated(x)
        return *self.grade(logits), gradient

    def _differentiated(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        logits = self.model.logits(x)
        value = self.loss.value(logits, self.codes)
        # Weights of the sum over rows: one, or minus one to climb.
        (gradient,) = torch.autograd.grad(value, x, torch.full_like(value, self.sign))
        return logits.detach(), gradient


class WrittenOut(Slope):
    """The gradient of a chain of layers, without autograd's bookkeeping.

    Parameters
    ----------
    model, start, target, loss
        As for :class:`Slope`.
    chain : Chain
        The model's logits, or what of them comes after the coordinates.
    """

    at_once = _FAR

    def __init__(self, model: Model, start: Tensor, target: Target, loss: str, chain: Chain):
        super().__init__(model, start, target, loss)
        self.chain = chain
        self.tiled: Tiled = getattr(model, "tiled", as_given)
        wanted = torch.nn.functional.one_hot(self.codes, model.n_units).to(start.dtype)
        self.aligned = self.prepared(wanted)
        self._run = self.tiled(self.run, self.start, *self.aligned)

    @property
    def n_weights(self) -> int:
        """Multiplications per row and pass."""
        return self.chain.n_weights

    def prepared(self, wanted: Tensor) -> tuple[Tensor, ...]:
        """Give what :meth:`run` needs of each row besides its coordinates."""
        return (wanted,)

    def run(self, *rows: Tensor) -> tuple[Tensor, Tensor]:
        """Give gradient and logits of each row, from coordinates and what is prepared."""
        x, wanted = rows
        logits = self.chain.forward(x)
        slope = self.loss.slope(torch.softmax(logits, 1), wanted)
        if self.sign < 0:
            slope = slope.neg_()
        return self.chain.backward(slope), logits

    def gradient(self, x: Tensor) -> Tensor:
        gradient: Tensor
        gradient, self._logits = self._run(x, *self.aligned)
        return gradient

    def full(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gradient = self.gradient(x)
        return *self.grade(self._logits), gradient

    def keep(self, stays: Tensor) -> None:
        super().keep(stays)
        self.aligned = tuple(part[stays] for part in self.aligned)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Leave autograd aside, and use one thread where several would wait for each other."""
        threads = torch.get_num_threads()
        small = self.chain.is_dense and len(self.start) * self.n_weights < _FEW
        try:
            if small and threads > 1:
                torch.set_num_threads(1)
            with torch.no_grad():
                yield
        finally:
            if small and threads > 1:
                torch.set_num_threads(threads)
