"""What plugins hand over: specs, the base classes behind them, and what they may ask of a model.

Nothing here imports torch: tensors are used only through their methods, so a strategy or a metric
is written with numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    import torch

    Tensor: TypeAlias = torch.Tensor

__all__ = [
    "KINDS",
    "NEEDS",
    "STOP_REASONS",
    "AdapterSpec",
    "ArchitectureSpec",
    "Attack",
    "AttackResult",
    "AttackSpec",
    "Dataset",
    "DatasetSpec",
    "Extraction",
    "MetricSpec",
    "Model",
    "Spec",
    "Stop",
    "Strategy",
    "StrategySpec",
    "Target",
    "Trace",
]

#: What an attack may need of a model, and so what a model may offer.
NEEDS = frozenset({"gradients", "layers", "probabilities", "labels"})

#: Why a pattern stopped. The order is the code that the loop keeps on the device.
STOP_REASONS = ("max_iter", "max_loss", "min_confidence", "vanished_gradient", "diverged")

Streams: TypeAlias = Callable[[int, int], np.random.Generator]


# ------------------------------------------------------------------------------- models


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
        """Evaluation mode inside, everything as it was outside, also after an exception."""

    def tensor(self, array: ArrayLike) -> Tensor:
        """Put an array of n inputs on the device, in the model's precision and input shape."""

    def logits(self, x: Tensor) -> Tensor:
        """Inputs (n, \\*input_shape) to logits (n, n_units); differentiable."""

    def probabilities(self, x: Tensor) -> Tensor:
        """Inputs (n, \\*input_shape) to probabilities (n, n_units)."""

    def labels(self, x: Tensor) -> Tensor:
        """Inputs (n, \\*input_shape) to the likeliest unit, int64 of shape (n,)."""

    def activations(self, x: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """Inputs (n, \\*input_shape) to the outputs of the named layers; differentiable."""


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
    a probability; None switches a rule off.
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
    adversarial : tensor of shape (n, \\*input_shape)
    n_iter : integer array of shape (n,)
        Updates made.
    stop_reason : array of str of shape (n,)
        One of :data:`STOP_REASONS`, or the attack's own word.
    loss, confidence : float arrays of shape (n,)
        At the adversarial example; loss in the attack's units, confidence of the target unit.
    trace : Trace or None
    """

    adversarial: Tensor
    n_iter: NDArray[np.int64]
    stop_reason: NDArray[np.str_]
    loss: NDArray[np.float64]
    confidence: NDArray[np.float64]
    trace: Trace | None = None


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """A strategy's result for k targets: one pattern each, and how its examples fared.

    ``unit`` is the output unit that most of the examples ended in, ``success_rate`` the share of
    them called the target; ``block`` (n_blocks, k, \\*input_shape) holds the sums of interleaved
    blocks of examples, ``n_block`` (n_blocks,) how many examples each has.
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


# ------------------------------------------------------------------ strategies and attacks


class Part(BaseEstimator):
    """What strategies and attacks share: scikit-learn parameters, checked before any work."""

    def validate(self) -> None:
        """Raise :class:`~pncviz.exceptions.ParameterError` for a bad parameter."""

    def prepare(self, X: ArrayLike | None, y: ArrayLike | None) -> None:
        """Learn from the data, if there are any; nothing by default."""


class Strategy(Part):
    """How adversarial examples become one pattern per class.

    Subclass it, give :meth:`start`, and hand it over with a :class:`StrategySpec`. Examples of one
    class are reduced by ``reduction``, so set ``n_examples`` above 1 only with that in mind.

    A strategy that needs another course altogether (no starts, no attack, a search of its own) may
    define ``extract(model, attack, targets, stop, streams) -> Extraction``, which then replaces the
    usual start, run, abstract, reduce: ``targets`` are output units as an int64 array, and
    ``streams(row, example)`` gives the random generator of one example of one target.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz import Strategy
    >>> class Checkerboard(Strategy):
    ...     def start(self, shape, rng):
    ...         return np.indices(shape[-2:]).sum(0) % 2 * np.ones(shape)
    >>> Checkerboard().start((1, 2, 2), np.random.default_rng(0))
    array([[[0., 1.],
            [1., 0.]]])
    """

    #: Adversarial examples per class.
    n_examples: int = 1
    #: How a class's abstractions become one pattern.
    reduction: Literal["sum", "mean"] = "sum"
    #: Replaces the usual course when a subclass defines it.
    extract: ClassVar[Callable[..., Extraction] | None] = None

    def start(self, shape: tuple[int, ...], rng: np.random.Generator) -> ArrayLike:
        """Give one start of the image shape: (channel, row, column) or (feature,), any real dtype.

        Parameters
        ----------
        shape : tuple of int
            The image shape.
        rng : numpy.random.Generator
            This example's own stream; the same for every batch size and subset of classes.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `start(shape, rng)`.")

    def abstract(self, adversarial: Tensor, start: Tensor) -> Tensor:
        """Take the pattern out of adversarial examples: by default, what was added.

        Both are tensors of shape (n, \\*input_shape), and so is the result.
        """
        return adversarial - start


class Attack(Part):
    """How a start becomes an adversarial example.

    Subclass it, say what it ``needs`` (of :data:`NEEDS`), give :meth:`run`, and hand it over with
    an :class:`AttackSpec`. For iterative gradient attacks, :func:`pncviz.synthesis.descend` owns
    stopping, freezing and tracing; the attack supplies the step.

    Examples
    --------
    >>> from pncviz import Attack
    >>> from pncviz.synthesis import descend
    >>> class SignDescent(Attack):
    ...     needs = frozenset({"gradients"})
    ...     def run(self, model, start, target, stop, rngs):
    ...         step = lambda x, gradient, state: (x - 0.01 * gradient.sign(), state)
    ...         return descend(model, start, step, target, stop)
    >>> SignDescent()
    SignDescent()
    """

    needs: frozenset[str] = frozenset({"gradients"})

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],
    ) -> AttackResult:
        """Drive n starts to their targets.

        Parameters
        ----------
        model : Model
        start : tensor of shape (n, \\*input_shape)
            Not to be changed in place.
        target : Target
        stop : Stop
        rngs : sequence of n numpy.random.Generator
            One per row, so that nothing depends on how rows are batched.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define `run(model, start, target, stop, rngs)`."
        )


# -------------------------------------------------------------------------------- specs


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The name that users write, one line for lists, and a key of ``docs/references.bib``."""

    name: str
    summary: str = ""
    reference: str = ""


@dataclass(frozen=True, kw_only=True)
class StrategySpec(Spec):
    """A strategy: ``factory(**params)`` gives a :class:`Strategy`."""

    factory: Callable[..., Strategy]


@dataclass(frozen=True, kw_only=True)
class AttackSpec(Spec):
    """An attack: ``factory(**params)`` gives an :class:`Attack`."""

    factory: Callable[..., Attack]


@dataclass(frozen=True, kw_only=True)
class ArchitectureSpec(Spec):
    """An architecture: ``factory(*, input_shape, n_classes, **params)`` gives a torch module.

    The module takes flat or image input of ``input_shape`` and returns logits (n, n_classes).
    """

    factory: Callable[..., torch.nn.Module]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Samples and labels, as dataset factories give them.

    Attributes
    ----------
    X, X_test : ndarray of shape (n_samples, n_features) or (n_samples, channels, rows, columns)
        float32; built-in images lie in 0..1.
    y, y_test : ndarray of shape (n_samples,)
        Labels.
    class_names : tuple of str
        A name for each sorted label, for captions.
    image_shape : tuple of int or None
        (channels, rows, columns), or None for a table.
    """

    X: NDArray[np.float32]
    y: NDArray[Any]
    X_test: NDArray[np.float32]
    y_test: NDArray[Any]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int] | None


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A dataset: ``factory(**params)`` gives a :class:`Dataset`."""

    factory: Callable[..., Dataset]


@dataclass(frozen=True, kw_only=True)
class MetricSpec(Spec):
    """A similarity of two images.

    Attributes
    ----------
    function : callable
        ``function(a, b) -> float`` for two float64 arrays of one image shape, (channel, row,
        column) or (feature,). Constant images never reach it.
    units : str
        "1" if dimensionless.
    range : tuple of two floats
        Smallest and largest value.
    higher_is_better : bool
    pairwise : callable, optional
        ``pairwise(A, B) -> ndarray of shape (n, m)`` for flattened images (n, d) and (m, d): the
        same numbers, faster.
    """

    function: Callable[[NDArray[np.float64], NDArray[np.float64]], float]
    units: str = "1"
    range: tuple[float, float] = (-1.0, 1.0)
    higher_is_better: bool = True
    pairwise: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]] | None = (
        field(default=None)
    )


@dataclass(frozen=True, kw_only=True)
class AdapterSpec(Spec):
    """How an estimator becomes a :class:`Model`.

    Attributes
    ----------
    matches : callable
        ``matches(estimator) -> bool``; must be cheap and must not raise.
    adapt : callable
        ``adapt(estimator, *, input_shape, output="auto") -> Model``.
    priority : int
        The highest that matches wins; the probability fallback has -100, skorch and torch 0, exact
        adapters 10.
    """

    matches: Callable[[Any], bool]
    adapt: Callable[..., Model]
    priority: int = 0


#: The six kinds, by the word that lists and errors use.
KINDS: dict[str, type[Spec]] = {
    "strategy": StrategySpec,
    "attack": AttackSpec,
    "architecture": ArchitectureSpec,
    "dataset": DatasetSpec,
    "metric": MetricSpec,
    "adapter": AdapterSpec,
}
