"""Making parts by name from the default registry, and telling where a part comes from."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import distribution, packages_distributions
from typing import Any, TypeVar

from pncviz._version import __version__
from pncviz.exceptions import PluginError
from pncviz.registry.discovery import identity, installed_plugins
from pncviz.registry.table import Registry
from pncviz.specs import Attack, Dataset, Strategy

__all__ = [
    "default_registry",
    "distribution_of",
    "load_dataset",
    "make_attack",
    "make_strategy",
    "register",
]


@lru_cache(maxsize=1)
def default_registry() -> Registry:
    """Give the registry that names are looked up in; made on first use."""
    return Registry()


def register(plugin: object, name: str | None = None) -> None:
    """Add a plugin to the default registry, for this process; see :meth:`Registry.register`."""
    default_registry().register(plugin, name)


def make_strategy(name: str, **params: Any) -> Strategy:
    """Make a strategy by name.

    Parameters
    ----------
    name : str
        Such as "zero", "noise" or "aai"; ``pncviz plugins list`` shows all.
    **params
        Of the strategy.

    Raises
    ------
    UnknownNameError, ConflictError
        No strategy, or more than one, has that name.
    ParameterError
        The strategy has no such parameter, or needs one more.
    PluginError
        The factory of a plugin raised, or gave something else.

    Examples
    --------
    >>> make_strategy("noise", scale=0.5)
    Noise(scale=0.5)
    """
    return _made("strategy", Strategy, name, params)


def make_attack(name: str, **params: Any) -> Attack:
    """Make an attack by name; parameters and errors as for :func:`make_strategy`.

    Examples
    --------
    >>> make_attack("gradient_descent", learning_rate=0.1)
    GradientDescent(learning_rate=0.1)
    """
    return _made("attack", Attack, name, params)


def load_dataset(name: str, **params: Any) -> Dataset:
    """Load a dataset by name; errors as for :func:`make_strategy`, and DatasetError for its files.

    Examples
    --------
    >>> load_dataset("tiling").X.shape
    (4, 1, 6, 6)
    """
    return _made("dataset", Dataset, name, params)


_Made = TypeVar("_Made")


def _made(kind: str, expected: type[_Made], name: str, params: dict[str, Any]) -> _Made:
    """Make a part, and hold the factory to what it promised."""
    registry = default_registry()
    part = registry.make(kind, name, **params)
    if not isinstance(part, expected):
        raise PluginError(
            f'{kind} "{name}" ({registry.entry(kind, name).origin}): the factory must give a '
            f"{expected.__name__}, got {type(part).__name__}."
        )
    return part


def distribution_of(part: object) -> tuple[str, str]:
    """Name the distribution and version that an object's class comes from.

    Examples
    --------
    >>> from pncviz import make_strategy
    >>> distribution_of(make_strategy("zero"))[0]
    'pncviz'
    """
    return _home(type(part).__module__)


@lru_cache(maxsize=256)
def _home(module: str) -> tuple[str, str]:
    """Find a module's distribution: by entry point, then by what is installed.

    Entry points come first, since an editable install does not list its modules.
    """
    package = module.partition(".")[0]
    if package == "pncviz":
        return "pncviz", __version__
    points = [point for point in installed_plugins() if point.module.partition(".")[0] == package]
    points.sort(key=lambda point: len(point.module), reverse=True)
    for point in points:
        if f"{module}.".startswith(f"{point.module}."):
            return identity(point.dist)
    try:
        names = packages_distributions().get(package)
        if names:
            return identity(distribution(names[0]))
    except Exception:  # broken metadata, of whichever distribution, must not cost a result
        pass
    return identity(points[0].dist) if points else (package, "")
