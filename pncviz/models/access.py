"""From what a user has (net, module, classifier) to a model."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from pncviz.exceptions import (
    AdapterError,
    ConflictError,
    ModelError,
    PluginError,
    PncvizError,
    PncvizWarning,
)
from pncviz.registry import Entry, default_registry, distribution_of
from pncviz.specs import AdapterSpec, Attack, Model

__all__ = ["adapt", "fit_estimator", "is_frozen", "require"]


def is_frozen(estimator: Any) -> bool:
    """Say whether an estimator is used as it is: frozen, or a bare torch module."""
    return isinstance(estimator, FrozenEstimator | torch.nn.Module)


def adapt(
    estimator: Any,
    *,
    input_shape: tuple[int, ...],
    output: str = "auto",
    adapter: str | None = None,
) -> Model:
    """Make a model of a fitted estimator or a torch module.

    Parameters
    ----------
    estimator : fitted skorch net, torch.nn.Module, fitted scikit-learn classifier, or FrozenEstimator
    input_shape : tuple of int
        One input as the model takes it.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What a bare module gives.
    adapter : str, optional
        Force the adapter of that name.

    Raises
    ------
    AdapterError
        No adapter matches.
    ConflictError
        Two adapters of the highest priority match.
    NotFittedError
        The estimator is not fitted.
    """
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    entry = _named(adapter) if adapter else _matching(estimator)
    spec = entry.spec
    assert isinstance(spec, AdapterSpec)  # the registry checked it
    try:
        model = spec.adapt(estimator, input_shape=input_shape, output=output)
    except (PncvizError, ValueError, KeyboardInterrupt):  # NotFittedError is a ValueError
        raise
    except BaseException as error:
        raise PluginError(
            f'adapter "{spec.name}" ({entry.origin}) failed on {type(estimator).__name__}: '
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, Model):
        raise PluginError(
            f'adapter "{spec.name}" ({entry.origin}) must give a Model, got '
            f"{type(model).__name__}; see pncviz.specs.Model."
        )
    return model


def _named(name: str) -> Entry:
    return default_registry().entry("adapter", name)


def _matching(estimator: Any) -> Entry:
    entries = default_registry().entries("adapter")
    matching = [entry for entry in entries if _matches(entry, estimator)]
    if not matching:
        raise AdapterError(
            f"No adapter fits {type(estimator).__name__}. Give a skorch net, a torch module or a "
            f"scikit-learn classifier. Adapters: {', '.join(e.spec.name for e in entries)}."
        )
    matching.sort(key=_priority, reverse=True)
    if len(matching) > 1 and _priority(matching[0]) == _priority(matching[1]):
        first, second = matching[:2]
        raise ConflictError(
            f'Adapters "{first.spec.name}" ({first.origin}) and "{second.spec.name}" '
            f'({second.origin}) both fit {type(estimator).__name__}; choose with adapter="…".'
        )
    return matching[0]


def _priority(entry: Entry) -> int:
    return entry.spec.priority  # type: ignore[attr-defined] # entries of this kind hold AdapterSpec


def _matches(entry: Entry, estimator: Any) -> bool:
    spec = entry.spec
    assert isinstance(spec, AdapterSpec)  # the registry checked it
    try:
        return bool(spec.matches(estimator))
    except Exception as error:  # a plugin's fault must not stop the others
        warnings.warn(
            f'adapter "{spec.name}" ({entry.origin}) raised in matches(): {error}',
            PncvizWarning,
            stacklevel=2,
        )
        return False


def require(model: Model, attack: Attack) -> None:
    """Raise AdapterError, saying which need is unmet, unless the model can serve the attack."""
    unmet = sorted(attack.needs - model.capabilities)
    if unmet:
        problems = getattr(model, "problems", {})
        reasons = "; ".join(problems.get(need, f"the model offers no {need}") for need in unmet)
        name, release = distribution_of(attack)
        raise AdapterError(
            f"The attack {type(attack).__name__} ({name} {release}) needs {' and '.join(unmet)}, "
            f"and {reasons}. The model offers {', '.join(sorted(model.capabilities))}."
        )


def fit_estimator(
    estimator: Any,
    X: NDArray[Any],
    codes: NDArray[np.int64],
    *,
    shape: tuple[int, ...],
    n_classes: int,
    seed: int | None = None,
) -> Any:
    """Fit a clone on label codes; the caller's random state is as before.

    A skorch net whose module takes ``input_shape`` or ``n_classes`` gets them from the data.

    Parameters
    ----------
    estimator : unfitted skorch net or scikit-learn classifier
    X : ndarray of shape (n_samples, \\*input_shape)
    codes : int64 ndarray of shape (n_samples,)
    shape : tuple of int
        What a module that asks for ``input_shape`` is told: the image shape.
    n_classes : int
    seed : int, optional
        Seeds torch during the fit.
    """
    net = clone(estimator)
    if not hasattr(net, "module"):
        return net.fit(X, codes)
    if isinstance(net.module, torch.nn.Module):
        warnings.warn(
            "The net holds a module instance, so its weights, trained or not, are carried into "
            "the clone that is fitted. Give the module's class, or FrozenEstimator(net) to use it "
            "as it is.",
            PncvizWarning,
            stacklevel=3,
        )
    device = torch.device(net.device) if net.device else torch.device("cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f'The net asks for device="{net.device}", and there is no CUDA device.')
    net.set_params(**_module_params(net, shape, n_classes))
    binary = "Binary" in type(net).__name__ or "BCE" in str(net.criterion)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if seed is not None:
            torch.manual_seed(seed)
        return net.fit(X, codes.astype(np.float32) if binary else codes)


def _module_params(net: Any, input_shape: tuple[int, ...], n_classes: int) -> dict[str, Any]:
    if isinstance(net.module, torch.nn.Module):
        return {}
    known = inspect.signature(net.module).parameters
    given = {"input_shape": tuple(input_shape), "n_classes": n_classes}
    return {f"module__{name}": value for name, value in given.items() if name in known}
