"""What goes to and fro between the core, attacks and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "NEEDS",
    "QUERIES",
    "STOP_REASONS",
    "AttackResult",
    "Extraction",
    "Model",
    "Stop",
    "Streams",
    "Target",
    "Trace",
]

#: What an attack may need of a model, and so what a model may offer.
NEEDS = frozenset({"gradients", "layers", "probabilities", "labels"})

#: What a model can be asked from outside: who needs no more treats it as a black box.
QUERIES = frozenset({"probabilities", "labels"})

#: Why a pattern stopped. The order is the code that the loop keeps on the device.
STOP_REASONS = ("max_iter", "max_loss", "min_confidence", "vanished_gradient", "diverged")


class Streams(Protocol):
    """The random generators of an extraction; each by its place, not by what was drawn before."""

    def __call__(self, row: int, example: int) -> np.random.Generator:
        """Give the generator of one example of one target."""

    def shared(self, index: int) -> np.random.Generator:
        """Give one of those that all targets have in common, whichever are asked for."""


@runtime_checkable
class Model(Protocol):
    """A classifier as attacks see it: units, not labels; tensors, not arrays.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,) or None
        The labels that the estimator knows of; None for a bare module.
    n_units : int
        Width of the output.
    input_shape : tuple of int
        One input, without the batch axis.
    device, dtype : torch.device, torch.dtype
        Where inputs must lie, and of which precision.
    capabilities : frozenset of str
        A subset of :data:`NEEDS`.
    batch_size : int
        The most rows to hand over at once; the core halves it when memory runs out.
    """

    classes: NDArray[Any] | None
    n_units: int
    input_shape: tuple[int, ...]
    device: torch.device
    dtype: torch.dtype
    capabilities: frozenset[str]
    batch_size: int

    def session(self) -> AbstractContextManager[None]:
        """Enter evaluation mode; leave everything as it was, also after an exception."""

    def tensor(self, array: ArrayLike) -> Tensor:
        """Put an array of n inputs on the device, in the model's precision and input shape."""

    def logits(self, x: Tensor) -> Tensor:
        """Take inputs (n, *input_shape) to logits (n, n_units); differentiable."""

    def probabilities(self, x: Tensor) -> Tensor:
        """Take inputs (n, *input_shape) to probabilities (n, n_units)."""

    def labels(self, x: Tensor) -> Tensor:
        """Take inputs (n, *input_shape) to the likeliest unit, int64 of shape (n,)."""

    def activations(self, x: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """Take inputs (n, *input_shape) to the outputs of the named layers; differentiable."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a chunk of inputs is to become: one output unit per row.

    ``targeted=False`` asks to get *away* from the unit instead.
    """

    codes: Tensor
    targeted: bool = True


@dataclass(frozen=True, kw_only=True)
class Stop:
    """The disjunctive stop rule: whichever comes first, for each pattern by itself.

    ``max_loss`` is in the units of the attack's loss (nats for cross-entropy), ``min_confidence``
    a probability; ``max_queries`` counts the inputs that the model is asked about for an example,
    or, by a strategy with its own ``extract``, in all. None switches a rule off.
    """

    max_iter: int = 1000
    max_loss: float | None = None
    min_confidence: float | None = None
    max_queries: int | None = None


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Loss and confidence of each row at some iterations; NaN after a row stopped."""

    iteration: NDArray[np.int64]
    loss: NDArray[np.float64]
    confidence: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AttackResult:
    """What an attack made of a chunk of n starts.

    Attributes
    ----------
    adversarial : tensor of shape (n, *input_shape)
    n_iter : integer array of shape (n,)
        Updates made.
    stop_reason : array of str of shape (n,)
        One of :data:`STOP_REASONS`, or the attack's own word.
    loss, confidence : float arrays of shape (n,)
        At the adversarial example; loss in the attack's units, confidence of the target unit.
    trace : Trace or None
    n_queries : integer array of shape (n,) or None
        Inputs that the model was asked about for each row; to be given by who needs probabilities
        or labels alone, without which ``max_queries`` cannot be held.
    """

    adversarial: Tensor
    n_iter: NDArray[np.int64]
    stop_reason: NDArray[np.str_]
    loss: NDArray[np.float64]
    confidence: NDArray[np.float64]
    trace: Trace | None = None
    n_queries: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """A strategy's result for k targets: one pattern each, and how its examples fared.

    ``unit`` is the output unit that most of the examples ended in, ``success_rate`` the share of
    them called the target; ``block`` (n_blocks, k, *input_shape) holds the sums of interleaved
    blocks of examples, ``n_block`` (n_blocks,) how many examples each has. ``n_queries`` (k,) says
    how many inputs the model was asked about for each pattern, if it was only asked.
    """

    pattern: NDArray[np.floating[Any]]
    loss: NDArray[np.float64]
    confidence: NDArray[np.float64]
    n_iter: NDArray[np.int64]
    unit: NDArray[np.int64]
    stop_reason: NDArray[np.str_]
    success_rate: NDArray[np.float64]
    trace: Trace | None = None
    block: NDArray[np.floating[Any]] | None = None
    n_block: NDArray[np.int64] | None = None
    n_queries: NDArray[np.int64] | None = None
