"""The plugins of one registry: found, loaded and called each by itself, so none stops another."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, EntryPoint, distributions

import pluggy

from pncviz import hookspecs
from pncviz._version import __version__
from pncviz.exceptions import PluginWarning
from pncviz.hookspecs import GROUP, HOOKS
from pncviz.registry.checks import describe, hook_problem, show, spec_problem
from pncviz.registry.records import Failure, Origin, normalize
from pncviz.specs import KINDS, Spec

__all__ = ["Plugins", "identity", "installed_plugins"]

#: Kind -> module of ``pncviz.builtin``.
BUILTINS = {
    "strategy": "strategies",
    "attack": "attacks",
    "architecture": "architectures",
    "dataset": "datasets",
    "metric": "metrics",
    "adapter": "adapters",
    "trainer": "trainers",
}

#: Stands for the name of a distribution whose metadata cannot be read.
UNKNOWN = "unknown distribution"

#: Warnings given in this process: a second registry does not repeat them.
_warned: set[str] = set()


def installed_plugins() -> list[EntryPoint]:
    """List the entry points of installed plugins without loading any.

    Examples
    --------
    >>> all(point.group == "pncviz" for point in installed_plugins())
    True
    """
    return _scan()[0]


def identity(distribution: Distribution | None) -> tuple[str, str]:
    """Give a distribution's name and version, as far as its metadata can be read."""
    found = []
    for attribute, otherwise in (("name", UNKNOWN), ("version", "")):
        try:
            found.append(str(getattr(distribution, attribute) or otherwise))
        except Exception:  # no METADATA, or one without this field
            found.append(otherwise)
    return found[0], found[1]


def _scan() -> tuple[list[EntryPoint], list[Failure]]:
    """Find entry points; ``importlib.metadata.entry_points`` stops at the first broken file."""
    points: list[EntryPoint] = []
    failures = []
    seen = set()
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
        except Exception:  # unreadable, so nobody knows whether it concerns pncviz
            continue
        if f"[{GROUP}]" not in text:
            continue
        name, release = identity(distribution)
        if normalize(name) in seen:  # the first on sys.path hides the others
            continue
        if name != UNKNOWN:
            seen.add(normalize(name))
        try:
            points += distribution.entry_points.select(group=GROUP)
        except Exception as error:
            message = f"entry_points.txt cannot be read: {describe(error)}"
            failures.append(Failure(name, name, release, message))
    return sorted(points, key=lambda point: (point.name, point.value)), failures


def _disabled() -> set[str]:
    """Read PNCVIZ_DISABLE_PLUGINS, normalised; "*" stays."""
    parts = os.environ.get("PNCVIZ_DISABLE_PLUGINS", "").split(",")
    return {part.strip() if part.strip() == "*" else normalize(part.strip()) for part in parts}


class Plugins:
    """Built-ins and plugins, each asked once for what it gives.

    ``failures`` are in the order in which they were met, ``switched_off`` are the plugins that
    PNCVIZ_DISABLE_PLUGINS names, and ``revision`` grows with every plugin.
    """

    def __init__(self, *, discover: bool) -> None:
        self.failures: list[Failure] = []
        self.switched_off: list[str] = []
        self.revision = 0
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._origins: dict[str, Origin] = {}
        self._waiting: list[EntryPoint] | None = None if discover else []
        self._given: dict[tuple[str, str], list[Spec]] = {}
        self._unannounced: list[Failure] = []

    def origins(self) -> list[Origin]:
        """List the plugins that loaded, without the built-ins."""
        return [origin for origin in self._origins.values() if not origin.builtin]

    # ------------------------------------------------------------------- loading

    def load(self) -> None:
        """Load what is installed, each in its own try; a second call does nothing."""
        if self._waiting is None:
            self._waiting, failures = _scan()
            for failure in failures:
                self.fail(failure)
        while self._waiting:
            point = self._waiting.pop(0)
            try:
                self._load(point)
            except KeyboardInterrupt:
                self._waiting.insert(0, point)  # interrupted, not broken: try again
                raise

    def _load(self, point: EntryPoint) -> None:
        origin = Origin(point.name, *identity(point.dist))
        off = _disabled()
        if off & {"*", normalize(point.name), normalize(origin.distribution)}:
            self.switched_off.append(point.name)
            return
        try:
            plugin = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # import errors of any kind, sys.exit among them
            self.fail(origin.failure(f"failed to load: {describe(error)}"))
            return
        failure = self.add(plugin, origin, f"{origin.distribution}:{point.name}={point.value}")
        if failure is not None:
            self.fail(failure)

    def add(self, plugin: object, origin: Origin, key: str) -> Failure | None:
        """Register one plugin whole, or not at all."""
        try:
            problem = self._problem(plugin, key)
            if problem is None:
                self._manager.register(plugin, name=key)
                self._manager.check_pending()  # a misspelt hook is otherwise silent
        except Exception as error:  # pluggy's own, or a descriptor of the plugin
            problem = describe(error)
        if problem is not None:
            if key not in self._origins and self._manager.has_plugin(key):
                self._manager.unregister(name=key)
            return origin.failure(problem)
        self._origins[key] = origin
        self.revision += 1
        return None

    def _problem(self, plugin: object, key: str) -> str | None:
        if key in self._origins:
            return "is registered already; give another one another name"
        if str(getattr(plugin, "__name__", "")).startswith("pncviz.builtin."):
            return "is built in"
        for other, origin in self._origins.items():
            if self._manager.get_plugin(other) is plugin:
                return f'is the very plugin that "{origin.plugin}" ({origin.distribution}) gives'
        return hook_problem(self._manager, plugin)

    # ------------------------------------------------------------------- calling

    def specs(self, kind: str) -> list[tuple[Origin, Spec]]:
        """Give every good spec of a kind, and whose it is."""
        self.load()
        builtin = f"pncviz.builtin.{BUILTINS[kind]}"
        if builtin not in self._origins:
            self._manager.register(importlib.import_module(builtin), name=builtin)
            self._manager.check_pending()
            self._origins[builtin] = Origin(BUILTINS[kind], "pncviz", __version__, builtin=True)
        found: list[tuple[Origin, Spec]] = []
        for implementation in getattr(self._manager.hook, HOOKS[kind]).get_hookimpls():
            origin = self._origins[implementation.plugin_name]
            found += [(origin, spec) for spec in self._ask(kind, implementation, origin)]
        return found

    def _ask(self, kind: str, implementation: pluggy.HookImpl, origin: Origin) -> list[Spec]:
        """Call one implementation, once, by itself."""
        key = (implementation.plugin_name, kind)
        if key in self._given:
            return self._given[key]
        self._given[key] = []  # what a hook that looks up its own kind finds of itself
        try:
            good = self._checked(kind, implementation.function(), origin)
        except KeyboardInterrupt:
            del self._given[key]
            raise
        except BaseException as error:
            self.fail(origin.failure(f"{HOOKS[kind]} raised {describe(error)}", kind))
            return []
        self._given[key] = good
        return good

    def _checked(self, kind: str, given: object, origin: Origin) -> list[Spec]:
        hook = HOOKS[kind]
        if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
            expected = f"a list of {KINDS[kind].__name__}"
            self.fail(origin.failure(f"{hook} gave {show(given)}, not {expected}", kind))
            return []
        good = []
        for spec in list(given):
            problem = spec_problem(kind, spec)
            if problem is None:
                good.append(spec)
            else:
                self.fail(origin.failure(f"{hook} gave {problem}", kind))
        return good

    # ------------------------------------------------------------------- failing

    def fail(self, failure: Failure, *, warn: bool = True) -> None:
        """Keep a failure; :meth:`announce` warns of it."""
        if failure not in self.failures:
            self.failures.append(failure)
            if warn:
                self._unannounced.append(failure)

    def announce(self) -> None:
        """Warn of each new failure, once a process.

        Only when all is loaded: a warning that is turned into an error must not stop a plugin.
        """
        while self._unannounced:
            text = str(self._unannounced.pop(0)).rstrip(".")
            if text not in _warned:
                _warned.add(text)
                warnings.warn(f"{text}. Everything else works on.", PluginWarning, stacklevel=2)
