"""Strategies and attacks: the base classes that plugins subclass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from pncviz.specs.exchange import AttackResult, Extraction, Model, Stop, Target

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Attack", "Part", "Strategy"]


class Part(BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """What strategies and attacks share: scikit-learn parameters, checked before any work."""

    def validate(self) -> None:
        """Raise :class:`~pncviz.exceptions.ParameterError` for a bad parameter."""

    def prepare(self, X: ArrayLike | None, y: ArrayLike | None) -> None:
        r"""Learn from the data, if there are any; nothing by default.

        Parameters
        ----------
        X : float32 ndarray of shape (n_samples, \*input_shape) or None
            Not to be written to.
        y : int64 ndarray of shape (n_samples,) or None
            The *output unit* of each sample, as targets name them; not the user's labels.
        """


class Strategy(Part):
    """How adversarial examples become one pattern per class.

    Subclass it, give :meth:`start`, and hand it over with a :class:`StrategySpec`. Examples of one
    class are reduced by ``reduction``, so set ``n_examples`` above 1 only with that in mind.

    A strategy that needs another course altogether (no starts, no attack, a search of its own) may
    define ``extract(model, attack, targets, stop, streams) -> Extraction``, which then replaces the
    usual start, run, abstract, reduce: ``targets`` are output units as an int64 array,
    ``streams(row, example)`` gives the random generator of one example of one target, and
    ``streams.shared(index)`` one that all targets have in common. If it does without the attack, it
    says in ``needs`` what it needs of the model. It may take the keywords ``n_blocks``, if it keeps
    sums over blocks, and ``image_shape``, what inputs laid flat are.

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
    #: What an own ``extract`` needs of the model (:data:`NEEDS`), if it does without the attack.
    needs: frozenset[str] | None = None
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

        Both are tensors of shape (n, *input_shape), and so is the result.
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
    #: What it can do: reach a unit, get away from one, or both.
    modes: frozenset[str] = frozenset({"targeted", "untargeted"})

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
        start : tensor of shape (n, *input_shape)
            Not to be changed in place.
        target : Target
            Patterns are always targeted; adversarial examples of data may be untargeted.
        stop : Stop
        rngs : sequence of n numpy.random.Generator
            One per row, so that nothing depends on how rows are batched.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define `run(model, start, target, stop, rngs)`."
        )
