"""From what a user has (net, module, classifier) to a model."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetBinaryClassifier

from pncviz.exceptions import (
    AdapterError,
    ConflictError,
    ModelError,
    PluginError,
    PluginWarning,
    PncvizError,
    PncvizWarning,
)
from pncviz.interrupts import interrupts_noticed
from pncviz.registry import Entry, default_registry, distribution_of
from pncviz.specs import AdapterSpec, Attack, Model, Strategy

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
    estimator : torch.nn.Module, or a fitted skorch net or scikit-learn classifier
        Also within FrozenEstimator.
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
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    entry = _matching(estimator) if adapter is None else _named(adapter)
    spec = entry.spec
    assert isinstance(spec, AdapterSpec)  # the registry checked it
    try:
        model = spec.adapt(estimator, input_shape=input_shape, output=output)
    except (PncvizError, NotFittedError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin may even call sys.exit
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
    equals = [entry for entry in matching if _priority(entry) == _priority(matching[0])]
    if len(equals) > 1:
        names = " and ".join(f'"{entry.spec.name}" ({entry.origin})' for entry in equals)
        raise ConflictError(
            f"Adapters {names} fit {type(estimator).__name__} with the same priority; choose with "
            f'adapter="{equals[0].spec.name}", say.'
        )
    return matching[0]


def _priority(entry: Entry) -> int:
    assert isinstance(entry.spec, AdapterSpec)  # the registry checked it
    return entry.spec.priority


def _matches(entry: Entry, estimator: Any) -> bool:
    spec = entry.spec
    assert isinstance(spec, AdapterSpec)  # the registry checked it
    try:
        return bool(spec.matches(estimator))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin's fault must not stop the others
        warnings.warn(
            f'adapter "{spec.name}" ({entry.origin}) raised {type(error).__name__} in matches(), '
            f"so it is passed over: {error}",
            PluginWarning,
            stacklevel=2,
        )
        return False


def require(model: Model, part: Attack | Strategy) -> None:
    """Raise AdapterError, saying which need is unmet, unless the model can serve the part."""
    unmet = sorted((part.needs or frozenset()) - model.capabilities)
    if unmet:
        problems = getattr(model, "problems", {})
        told = [problems.get(need, f"the model offers no {need}") for need in unmet]
        reasons = "; ".join(dict.fromkeys(told))
        origin = " ".join(distribution_of(part)).strip()
        kind = "attack" if isinstance(part, Attack) else "strategy"
        raise AdapterError(
            f"The {kind} {type(part).__name__} ({origin}) needs {' and '.join(unmet)}, "
            f"and {reasons}. The model offers {', '.join(sorted(model.capabilities))}."
            f"{_others(model)}"
        )


def _others(model: Model) -> str:
    """Name the attacks and strategies that ask for no more than the model offers."""
    found = []
    for kind in ("attack", "strategy"):
        for entry in default_registry().entries(kind):
            needs = getattr(getattr(entry.spec, "factory", None), "needs", None)
            if isinstance(needs, frozenset) and needs <= model.capabilities:
                found.append(f'{kind}="{entry.spec.name}"')
    if not found:
        return " The plugin pncviz-blackbox has attacks that only ask."
    return f" It can serve {' or '.join(found)}."


def fit_estimator(
    estimator: Any,
    X: NDArray[Any],
    codes: NDArray[np.int64],
    *,
    shape: tuple[int, ...],
    n_classes: int,
    seed: int | None = None,
) -> Any:
    r"""Fit a clone on label codes; the caller's random state is as before.

    A skorch net whose module takes ``input_shape`` or ``n_classes`` gets them from the data.

    Parameters
    ----------
    estimator : unfitted skorch net or scikit-learn classifier
    X : ndarray of shape (n_samples, \*input_shape)
    codes : int64 ndarray of shape (n_samples,)
    shape : tuple of int
        What a module that asks for ``input_shape`` is told: the image shape.
    n_classes : int
    seed : int, optional
        Seeds torch during the fit.

    Raises
    ------
    ModelError
        A device that is not there, or a net that cannot learn these classes from these samples.
    """
    net = clone(estimator)
    if not hasattr(net, "module"):
        nets = [step for _, step in getattr(net, "steps", []) if hasattr(step, "module")]
        # scikit-learn's own take flat rows; as which the model then hands images over.
        return net.fit(X if nets else X.reshape(len(X), -1), codes)
    if isinstance(net.module, torch.nn.Module):
        warnings.warn(
            "The net holds a module instance, so its weights, trained or not, are carried into "
            "the clone that is fitted. Give the module's class, or FrozenEstimator(net) to use it "
            "as it is.",
            PncvizWarning,
            stacklevel=3,
        )
    device = _checked_device(net.device)
    net.set_params(**_module_params(net, shape, n_classes))
    binary = isinstance(net, NeuralNetBinaryClassifier) or "BCE" in str(net.criterion)
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        warnings.catch_warnings(),
    ):
        # Memory-mapped samples are read only, and no one writes to them.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        if seed is not None:
            torch.manual_seed(seed)
        try:
            with interrupts_noticed(), torch.inference_mode(False), torch.enable_grad():
                return net.fit(X, codes.astype(np.float32) if binary else codes)
        except (PncvizError, torch.OutOfMemoryError):
            raise
        except (IndexError, RuntimeError) as error:  # torch's, for widths and shapes that differ
            raise ModelError(
                f"{type(net).__name__} could not be fitted on samples of shape {X.shape[1:]} and "
                f"{n_classes} classes; the module must take the one and have {n_classes} output "
                f"units: {type(error).__name__}: {error}"
            ) from error


def _checked_device(name: Any) -> torch.device:
    try:
        device = torch.device(name or "cpu")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise ModelError(
            f'The net asks for device="{name}", which is not there; use "cpu": {error!s:.100}'
        ) from error
    return device


def _module_params(net: Any, input_shape: tuple[int, ...], n_classes: int) -> dict[str, Any]:
    if isinstance(net.module, torch.nn.Module):
        return {}
    known = inspect.signature(net.module).parameters
    given = {"input_shape": tuple(input_shape), "n_classes": n_classes}
    return {f"module__{name}": value for name, value in given.items() if name in known}
