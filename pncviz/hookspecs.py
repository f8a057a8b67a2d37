"""The hooks. Each takes nothing and returns an iterable of specs.

No hook stops at the first result: what a name means must not depend on registration order.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from pncviz.specs import (
    AdapterSpec,
    ArchitectureSpec,
    AttackSpec,
    DatasetSpec,
    MetricSpec,
    StrategySpec,
    TrainerSpec,
)

__all__ = ["GROUP", "HOOKS", "hookimpl", "hookspec"]

#: The project name in pluggy, and the entry-point group of plugin distributions.
GROUP = "pncviz"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def pncviz_strategies() -> Iterable[StrategySpec]:
    """Give strategies: how adversarial examples become one pattern per class.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz import Strategy, StrategySpec, hookimpl
    >>> class Checkerboard(Strategy):
    ...     def start(self, shape, rng):
    ...         return np.indices(shape[-2:]).sum(0) % 2 * np.ones(shape)
    >>> @hookimpl
    ... def pncviz_strategies():
    ...     return [StrategySpec(name="checkerboard", factory=Checkerboard)]
    """
    raise NotImplementedError


@hookspec
def pncviz_attacks() -> Iterable[AttackSpec]:
    """Give attacks: how a start becomes an adversarial example.

    Examples
    --------
    >>> from pncviz import Attack, AttackSpec, hookimpl
    >>> from pncviz.synthesis import descend
    >>> class SignDescent(Attack):
    ...     def run(self, model, start, target, stop, rngs):
    ...         step = lambda x, gradient, state: (x - 0.01 * gradient.sign(), state)
    ...         return descend(model, start, step, target, stop)
    >>> @hookimpl
    ... def pncviz_attacks():
    ...     return [AttackSpec(name="sign_descent", factory=SignDescent)]
    """
    raise NotImplementedError


@hookspec
def pncviz_architectures() -> Iterable[ArchitectureSpec]:
    """Give architectures: torch modules that take (n, *input_shape) or flat rows to logits.

    Examples
    --------
    >>> from pncviz import ArchitectureSpec, hookimpl
    >>> def softmax_regression(*, input_shape, n_classes):
    ...     import math, torch
    ...     linear = torch.nn.Linear(math.prod(input_shape), n_classes)
    ...     return torch.nn.Sequential(torch.nn.Flatten(), linear)
    >>> @hookimpl
    ... def pncviz_architectures():
    ...     return [ArchitectureSpec(name="softmax_regression", factory=softmax_regression)]
    """
    raise NotImplementedError


@hookspec
def pncviz_datasets() -> Iterable[DatasetSpec]:
    """Give datasets: float32 samples, labels, a train/test split, and how to draw a sample.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz import Dataset, DatasetSpec, hookimpl
    >>> def corners():
    ...     X = np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2)
    ...     y, names = np.arange(4), ("a", "b", "c", "d")
    ...     return Dataset(X=X, y=y, X_test=X, y_test=y, class_names=names, image_shape=(1, 2, 2))
    >>> @hookimpl
    ... def pncviz_datasets():
    ...     return [DatasetSpec(name="corners", factory=corners, summary="one pixel per class")]
    """
    raise NotImplementedError


@hookspec
def pncviz_metrics() -> Iterable[MetricSpec]:
    """Give metrics: the similarity of two images of one shape.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz import MetricSpec, hookimpl
    >>> def sign_agreement(a, b):
    ...     return float(np.mean(np.sign(a) == np.sign(b)))
    >>> @hookimpl
    ... def pncviz_metrics():
    ...     return [MetricSpec(name="sign_agreement", function=sign_agreement, range=(0.0, 1.0))]
    """
    raise NotImplementedError


@hookspec
def pncviz_adapters() -> Iterable[AdapterSpec]:
    """Give adapters: how an estimator of your library becomes a model.

    Examples
    --------
    >>> from pncviz import AdapterSpec, hookimpl
    >>> def matches(estimator):
    ...     return type(estimator).__name__ == "MyClassifier"
    >>> def adapt(estimator, *, input_shape, output="auto"):
    ...     from pncviz.models import TorchModel
    ...     return TorchModel(estimator.module, input_shape=input_shape, classes=estimator.names)
    >>> @hookimpl
    ... def pncviz_adapters():
    ...     return [AdapterSpec(name="my_classifier", matches=matches, adapt=adapt, priority=10)]
    """
    raise NotImplementedError


@hookspec
def pncviz_trainers() -> Iterable[TrainerSpec]:
    """Give trainers: how a classifier learns, by other batches, another loss or other steps.

    Examples
    --------
    >>> from pncviz import TrainerSpec, hookimpl
    >>> from pncviz.training import Classifier
    >>> class Noisy(Classifier):
    ...     def __init__(self, *args, scale=0.1, **kwargs):
    ...         super().__init__(*args, **kwargs)
    ...         self.scale = scale
    ...     def train_step_single(self, batch, **fit_params):
    ...         X, y = batch
    ...         noisy = X + self.scale * X.new_empty(X.shape).normal_()
    ...         return super().train_step_single((noisy, y), **fit_params)
    >>> @hookimpl
    ... def pncviz_trainers():
    ...     return [TrainerSpec(name="noisy", factory=Noisy, summary="noise in every batch")]
    """
    raise NotImplementedError


#: Kind of spec -> name of its hook.
HOOKS: dict[str, str] = {
    "strategy": "pncviz_strategies",
    "attack": "pncviz_attacks",
    "architecture": "pncviz_architectures",
    "dataset": "pncviz_datasets",
    "metric": "pncviz_metrics",
    "adapter": "pncviz_adapters",
    "trainer": "pncviz_trainers",
}
