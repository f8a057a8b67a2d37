"""Trainers: subclasses of Classifier by name, and which parameters are theirs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from skorch import NeuralNet, NeuralNetClassifier

from pncviz.exceptions import PluginError, PncvizError
from pncviz.registry import Entry, check_params, default_registry
from pncviz.specs import TrainerSpec
from pncviz.training.classifier import Classifier

__all__ = ["STANDARD", "call_trainer", "find_trainer", "kept_params", "own_params"]

#: What everyone trains by who says nothing else.
STANDARD = "standard"

_NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY


def own_params(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Give a trainer's own parameters: named ones that Classifier does not have.

    Parameters
    ----------
    factory : subclass of Classifier, or callable that gives an instance of one
        Of a class, the parameters that it inherits count, too.

    Examples
    --------
    >>> class Slow(Classifier):
    ...     def __init__(self, *args, pause=1.0, **kwargs):
    ...         super().__init__(*args, **kwargs)
    ...         self.pause = pause
    >>> list(own_params(Slow)), list(own_params(Classifier))
    (['pause'], [])
    """
    while isinstance(factory, functools.partial):
        factory = factory.func
    found: dict[str, inspect.Parameter] = {}
    for function, skipped in _functions(factory):
        named = list(inspect.signature(function).parameters.values())[skipped:]
        found |= {p.name: p for p in named if p.kind in _NAMED and p.name not in found}
    return {name: p for name, p in found.items() if name not in _shared()}


def _functions(factory: Callable[..., Any]) -> list[tuple[Callable[..., Any], int]]:
    """List what takes a factory's parameters, and how many of them are ``self``."""
    if not isinstance(factory, type):
        return [(factory, 0)]
    line = factory.__mro__
    above = line[: line.index(Classifier)] if Classifier in line else line[:1]
    return [(vars(one)["__init__"], 1) for one in above if "__init__" in vars(one)]


@functools.lru_cache(maxsize=1)
def _shared() -> frozenset[str]:
    """Name the parameters of every classifier, which make_classifier gives."""
    classes = (Classifier, NeuralNetClassifier, NeuralNet)
    return frozenset(name for one in classes for name in inspect.signature(one).parameters)


def find_trainer(name: str, params: Mapping[str, Any]) -> Entry:
    """Look up a trainer, and check that it has these parameters.

    Raises
    ------
    UnknownNameError, ConflictError
        No trainer, or more than one, has that name.
    ParameterError
        It has no such parameter.
    """
    entry = default_registry().entry("trainer", name)
    assert isinstance(entry.spec, TrainerSpec)  # the registry checked it

    def known() -> None:
        """Stand for the factory, which takes much more than is the trainer's."""

    own = [p.replace(kind=p.KEYWORD_ONLY) for p in own_params(entry.spec.factory).values()]
    known.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined] # inspect reads it
    check_params("trainer", name, known, dict(params))
    return entry


def call_trainer(entry: Entry, *args: Any, **kwargs: Any) -> Classifier:
    """Make a classifier, and hold the factory to what it promised.

    Raises
    ------
    PluginError
        The factory raised, or gave no Classifier that keeps its parameters.
    """
    spec = entry.spec
    assert isinstance(spec, TrainerSpec)  # the registry checked it
    who = f'trainer "{spec.name}" ({entry.origin})'
    try:
        net = spec.factory(*args, **kwargs)
    except (PncvizError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin may even call sys.exit
        raise PluginError(f"{who} could not be made: {type(error).__name__}: {error}") from error
    if not isinstance(net, Classifier):
        raise PluginError(
            f"{who}: the factory must give a pncviz.training.Classifier, got {type(net).__name__}."
        )
    if lost := [name for name in own_params(spec.factory) if not hasattr(net, name)]:
        raise PluginError(f"{who} must keep its parameter `{lost[0]}` under that name.")
    return net


def kept_params(net: Classifier) -> dict[str, Any]:
    """Give the parameters of a net's trainer, by which it can be made again.

    Of a net whose trainer is not here, those that its file told.
    """
    info = getattr(net, "info_", {})
    told = info.get("trainer_params", {}) if info.get("trainer") == net.trainer else {}
    try:
        spec = default_registry().get("trainer", net.trainer)
    except PncvizError:
        own = own_params(type(net))
    else:
        assert isinstance(spec, TrainerSpec)  # the registry checked it
        own = own_params(spec.factory)
    return {**told, **{name: getattr(net, name) for name in own if hasattr(net, name)}}
