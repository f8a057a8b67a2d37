"""The specs: a name and what it stands for, one kind per hook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pncviz.specs.exchange import Model
from pncviz.specs.parts import Attack, Strategy

if TYPE_CHECKING:
    import torch

    from pncviz.training import Classifier

__all__ = [
    "KINDS",
    "AdapterSpec",
    "ArchitectureSpec",
    "AttackSpec",
    "Dataset",
    "DatasetSpec",
    "MetricSpec",
    "Spec",
    "StrategySpec",
    "TrainerSpec",
]


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
    constant : float
        What is given where an image is constant.
    smooth : bool
        Whether a small change of an image makes a small change of the number; if not, as with
        counts in bins, no interval is given.
    pairwise : callable, optional
        ``pairwise(A, B) -> ndarray of shape (n, m)`` for flattened images (n, d) and (m, d): the
        same numbers, faster.
    paired : callable, optional
        ``paired(A, B) -> ndarray of shape (n,)`` for flattened images (n, d) and (n, d), each with
        its counterpart: likewise.
    """

    function: Callable[[NDArray[np.float64], NDArray[np.float64]], float]
    units: str = "1"
    range: tuple[float, float] = (-1.0, 1.0)
    higher_is_better: bool = True
    constant: float = 0.0
    smooth: bool = True
    pairwise: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]] | None = (
        field(default=None)
    )
    paired: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]] | None = (
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


@dataclass(frozen=True, kw_only=True)
class TrainerSpec(Spec):
    """A trainer: how a classifier learns.

    ``factory`` is a subclass of :class:`pncviz.training.Classifier`, or a callable that takes the
    same and gives an instance of one. Named parameters that Classifier does not have are the
    trainer's; the instance keeps each under its name. One that is called ``attack`` is taken for
    the name of an attack: studies then keep the version of its plugin, too.
    """

    factory: Callable[..., Classifier]


#: The seven kinds, by the word that lists and errors use.
KINDS: dict[str, type[Spec]] = {
    "strategy": StrategySpec,
    "attack": AttackSpec,
    "architecture": ArchitectureSpec,
    "dataset": DatasetSpec,
    "metric": MetricSpec,
    "adapter": AdapterSpec,
    "trainer": TrainerSpec,
}
