"""Finding parts by name: discovery, isolation of broken plugins, conflicts, look-up.

Built-ins come through the very same hooks as everyone's plugins, one module per kind, loaded on the
first use of that kind. A broken plugin costs one warning and its own names, nothing else.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points, packages_distributions, version
from typing import Any, TypeVar

import pluggy

from pncviz import hookspecs
from pncviz._version import __version__
from pncviz.exceptions import (
    ConflictError,
    ParameterError,
    PluginError,
    PluginWarning,
    PncvizError,
    UnknownNameError,
)
from pncviz.hookspecs import GROUP, HOOKS
from pncviz.specs import KINDS, AdapterSpec, Attack, Dataset, MetricSpec, Spec, Strategy

__all__ = [
    "Entry",
    "Failure",
    "Registry",
    "check_params",
    "default_registry",
    "distribution_of",
    "installed_plugins",
    "load_dataset",
    "make_attack",
    "make_strategy",
    "normalize",
    "register",
]

#: Kind -> module of ``pncviz.builtin``.
BUILTINS = {
    "strategy": "strategies",
    "attack": "attacks",
    "architecture": "architectures",
    "dataset": "datasets",
    "metric": "metrics",
    "adapter": "adapters",
}


@dataclass(frozen=True)
class Entry:
    """One usable name: its kind, its spec, and the distribution it came with."""

    kind: str
    spec: Spec
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """The distribution and version, for messages."""
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class Failure:
    """What one plugin did wrong."""

    plugin: str
    distribution: str
    version: str
    message: str

    def __str__(self) -> str:
        origin = f"{self.distribution} {self.version}".strip()
        return f'plugin "{self.plugin}" ({origin}): {self.message}'


@dataclass(frozen=True)
class _Plugin:
    name: str
    distribution: str
    version: str

    def failure(self, message: str) -> Failure:
        return Failure(self.name, self.distribution, self.version, message)


def normalize(name: str) -> str:
    """Fold a name as PEP 503 does, so ``fashion_mnist`` and ``Fashion-MNIST`` are one.

    Examples
    --------
    >>> normalize("Fashion_MNIST")
    'fashion-mnist'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_plugins() -> list[EntryPoint]:
    """List the entry points of installed plugins without loading any."""
    return sorted(entry_points(group=GROUP), key=lambda ep: (ep.name, ep.value))


class Registry:
    """The names that can be used, by kind.

    Nothing is loaded before the first look-up.

    Parameters
    ----------
    discover : bool, default=True
        Load installed plugins; False gives built-ins and what :meth:`register` adds.

    Examples
    --------
    >>> Registry(discover=False).names("strategy")
    ['aai', 'noise', 'zero']
    """

    def __init__(self, *, discover: bool = True) -> None:
        self._discover = discover
        self._manager: pluggy.PluginManager | None = None
        self._plugins: dict[str, _Plugin] = {}
        self._failures: list[Failure] = []
        self._tables: dict[str, dict[str, Entry]] = {}
        self._conflicts: dict[str, dict[str, list[Entry]]] = {}

    # ------------------------------------------------------------------- look-up

    def get(self, kind: str, name: str) -> Spec:
        """Give the spec of that name.

        Raises
        ------
        UnknownNameError
            No such name; the message lists the choices and the plugins that failed.
        ConflictError
            Two distributions claim it.
        """
        return self.entry(kind, name).spec

    def entry(self, kind: str, name: str) -> Entry:
        """Give the spec of that name with its origin; raises as :meth:`get`."""
        table = self._table(kind)
        key = normalize(name) if isinstance(name, str) else ""
        if key in table:
            return table[key]
        if key in self._conflicts[kind]:
            origins = " and ".join(entry.origin for entry in self._conflicts[kind][key])
            raise ConflictError(
                f'{kind} "{name}" is claimed by {origins}, so neither has it. Uninstall one, or '
                "switch one off with PNCVIZ_DISABLE_PLUGINS."
            )
        raise UnknownNameError(self._unknown(kind, name))

    def names(self, kind: str) -> list[str]:
        """List the names of a kind, sorted."""
        return [entry.spec.name for entry in self.entries(kind)]

    def entries(self, kind: str) -> list[Entry]:
        """List the entries of a kind, sorted by name."""
        return [entry for _, entry in sorted(self._table(kind).items())]

    def failures(self) -> list[Failure]:
        """Load every kind and list what went wrong."""
        for kind in KINDS:
            self._table(kind)
        return list(self._failures)

    def make(self, kind: str, name: str, **params: Any) -> Any:
        """Call the factory of that name.

        Raises
        ------
        ParameterError
            The factory has no such parameter.
        PluginError
            The factory of a plugin raised, or gave something of the wrong type.
        """
        entry = self.entry(kind, name)
        factory: Callable[..., Any] = entry.spec.factory  # type: ignore[attr-defined] # no adapters or metrics here
        check_params(kind, name, factory, params)
        try:
            return factory(**params)
        except (PncvizError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a plugin may even call sys.exit
            raise PluginError(
                f'{kind} "{name}" ({entry.origin}) could not be made with {params}: '
                f"{type(error).__name__}: {error}"
            ) from error

    # -------------------------------------------------------------- registration

    def register(self, plugin: object, name: str | None = None) -> None:
        """Add a module, class or object with pncviz hooks, for this process only.

        Parameters
        ----------
        plugin : object
            Anything whose attributes are hook implementations.
        name : str, optional
            By default the plugin's own name.

        Raises
        ------
        PluginError
            A hook is misspelt or has the wrong signature, or there is none.
        """
        name = name or getattr(plugin, "__name__", type(plugin).__name__)
        failure = self._add(plugin, _Plugin(name, "registered in this process", ""))
        if failure is not None:
            raise PluginError(str(failure))

    def _add(self, plugin: object, origin: _Plugin) -> Failure | None:
        manager = self._started()
        key = f"{origin.distribution}:{origin.name}"
        if key in self._plugins:
            return origin.failure("is registered already")
        problem = _hook_problem(plugin)
        if problem is None:
            try:
                manager.register(plugin, name=key)
                manager.check_pending()  # a misspelt hook is otherwise silent
            except Exception as error:  # pluggy's own, or a descriptor of the plugin
                problem = f"{error}"
                if manager.has_plugin(key):
                    manager.unregister(name=key)
        if problem is not None:
            return origin.failure(problem)
        self._plugins[key] = origin
        self._tables.clear()
        self._conflicts.clear()
        return None

    def _fail(self, failure: Failure) -> None:
        if failure not in self._failures:
            self._failures.append(failure)
            warnings.warn(f"{failure}. Everything else works on.", PluginWarning, stacklevel=2)

    # ----------------------------------------------------------------- discovery

    def _started(self) -> pluggy.PluginManager:
        if self._manager is None:
            self._manager = pluggy.PluginManager(GROUP)
            self._manager.add_hookspecs(hookspecs)
            if self._discover:
                self._load_installed()
        return self._manager

    def _load_installed(self) -> None:
        disabled = {
            normalize(part.strip()) if part.strip() != "*" else "*"
            for part in os.environ.get("PNCVIZ_DISABLE_PLUGINS", "").split(",")
        }
        for point in installed_plugins():
            distribution = point.dist.name if point.dist else "unknown distribution"
            origin = _Plugin(point.name, distribution, point.dist.version if point.dist else "")
            if disabled & {"*", normalize(point.name), normalize(distribution)}:
                continue
            try:
                plugin = point.load()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # import errors of any kind, sys.exit among them
                self._fail(origin.failure(f"failed to load: {type(error).__name__}: {error}"))
                continue
            failure = self._add(plugin, origin)
            if failure is not None:
                self._fail(failure)

    # -------------------------------------------------------------------- tables

    def _table(self, kind: str) -> dict[str, Entry]:
        if kind not in KINDS:
            raise UnknownNameError(f'No kind "{kind}"; the kinds are {", ".join(KINDS)}.')
        if kind not in self._tables:
            manager = self._started()
            builtin = f"builtin:{BUILTINS[kind]}"
            if not manager.has_plugin(builtin):
                module = importlib.import_module(f"pncviz.builtin.{BUILTINS[kind]}")
                manager.register(module, name=builtin)
                manager.check_pending()
                self._plugins[builtin] = _Plugin(builtin, "pncviz", __version__)
            self._build(kind, manager)
        return self._tables[kind]

    def _build(self, kind: str, manager: pluggy.PluginManager) -> None:
        table: dict[str, Entry] = {}
        claims: dict[str, list[tuple[_Plugin, Entry]]] = {}
        implementations = getattr(manager.hook, HOOKS[kind]).get_hookimpls()
        for implementation in implementations:
            origin = self._plugins[implementation.plugin_name]
            for spec in self._specs(kind, implementation, origin):
                entry = Entry(kind, spec, origin.distribution, origin.version)
                if implementation.plugin_name.startswith("builtin:"):
                    table[normalize(spec.name)] = entry
                else:
                    claims.setdefault(normalize(spec.name), []).append((origin, entry))
        conflicts: dict[str, list[Entry]] = {}
        for key, claimants in claims.items():
            if key in table:
                for origin, entry in claimants:
                    message = f'{kind} "{entry.spec.name}" is a built-in\'s name; the built-in stays'
                    self._fail(origin.failure(message))
            elif len(claimants) > 1:
                conflicts[key] = [entry for _, entry in claimants]
                origins = " and ".join(entry.origin for entry in conflicts[key])
                message = f'{kind} "{claimants[0][1].spec.name}" is claimed by {origins}; both refused'
                self._fail(claimants[0][0].failure(message))
            else:
                table[key] = claimants[0][1]
        self._tables[kind], self._conflicts[kind] = table, conflicts

    def _specs(
        self, kind: str, implementation: pluggy.HookImpl, origin: _Plugin
    ) -> Iterable[Spec]:
        """Call one implementation by itself, so that none can stop another."""
        hook = HOOKS[kind]
        try:
            specs = list(implementation.function())
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._fail(origin.failure(f"{hook} raised {type(error).__name__}: {error}"))
            return []
        good = []
        for spec in specs:
            problem = _spec_problem(kind, spec)
            if problem is None:
                good.append(spec)
            else:
                self._fail(origin.failure(f"{hook} gave {problem}"))
        return good

    def _unknown(self, kind: str, name: object) -> str:
        choices = self.names(kind)
        close = difflib.get_close_matches(normalize(str(name)), self._tables[kind], n=1, cutoff=0.6)
        hint = f' Did you mean "{self._tables[kind][close[0]].spec.name}"?' if close else ""
        failed = "".join(f"\n  {failure}" for failure in self._failures)
        return f'Unknown {kind} "{name}".{hint} Choices: {", ".join(choices)}.' + (
            f"\nPlugins that failed:{failed}" if failed else ""
        )


def _hook_problem(plugin: object) -> str | None:
    """Say what is wrong with a plugin's hooks as far as pluggy would not."""
    marked = []
    for attribute in dir(plugin):
        if attribute.startswith("__"):
            continue
        value = inspect.getattr_static(plugin, attribute)
        if hasattr(value, f"{GROUP}_impl"):
            marked.append(attribute)
        elif attribute in HOOKS.values() and inspect.isroutine(value):
            return f"{attribute} lacks the decorator @pncviz.hookimpl"
    if not marked:
        return f"has no hook; it needs one of {', '.join(HOOKS.values())}"
    for name in sorted(set(marked) - set(HOOKS.values())):
        close = difflib.get_close_matches(name, HOOKS.values(), n=1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        return f'unknown hook "{name}"{hint}'
    return None


def _spec_problem(kind: str, spec: object) -> str | None:
    """Say what is wrong with one spec, or None."""
    expected = KINDS[kind]
    if not isinstance(spec, expected):
        return f"{spec!r:.80}, not a {expected.__name__}"
    if not isinstance(spec.name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", spec.name):
        return f"the name {spec.name!r}; use letters, digits, '_' and '-'"
    parts = ("function",) if isinstance(spec, MetricSpec) else ("factory",)
    for part in ("matches", "adapt") if isinstance(spec, AdapterSpec) else parts:
        if not callable(getattr(spec, part)):
            return f'"{spec.name}" whose {part} is not callable: {getattr(spec, part)!r:.80}'
    return None


def check_params(
    kind: str, name: str, factory: Callable[..., Any], params: dict[str, Any]
) -> None:
    """Refuse parameters that the factory does not have, and name those it has."""
    known = inspect.signature(factory).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values()):
        return
    for given in params:
        if given not in known:
            close = difflib.get_close_matches(given, known, n=1)
            hint = f" Did you mean `{close[0]}`?" if close else ""
            raise ParameterError(
                f'{kind} "{name}" has no parameter `{given}`.{hint} '
                f"Choices: {', '.join(known) or 'none'}."
            )


@lru_cache(maxsize=1)
def _packages() -> dict[str, list[str]]:
    return {package: list(names) for package, names in packages_distributions().items()}


def distribution_of(part: object) -> tuple[str, str]:
    """Name the distribution and version that an object's class comes from.

    Examples
    --------
    >>> from pncviz import make_strategy
    >>> distribution_of(make_strategy("zero"))[0]
    'pncviz'
    """
    package = type(part).__module__.partition(".")[0]
    if package == "pncviz":
        return "pncviz", __version__
    names = _packages().get(package)
    return (names[0], version(names[0])) if names else (package, "")


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
        The strategy has no such parameter.

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
    part = default_registry().make(kind, name, **params)
    if not isinstance(part, expected):
        entry = default_registry().entry(kind, name)
        raise PluginError(
            f'{kind} "{name}" ({entry.origin}): the factory must give a {expected.__name__}, got '
            f"{type(part).__name__}."
        )
    return part
