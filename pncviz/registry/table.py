"""Names and what they mean: look-up, conflicts, and helpful refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pncviz.exceptions import (
    ConflictError,
    ParameterError,
    PluginError,
    PncvizError,
    UnknownNameError,
)
from pncviz.registry.checks import check_params, check_required, close_match, describe, show
from pncviz.registry.discovery import Plugins
from pncviz.registry.records import Entry, Failure, Origin, Row, normalize
from pncviz.specs import KINDS, Spec

__all__ = ["Registry"]


@dataclass(frozen=True)
class _Table:
    """The names of one kind, normalised, and those that nobody gets."""

    entries: dict[str, Entry]
    conflicts: dict[str, list[Entry]]


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
        self._plugins = Plugins(discover=discover)
        self._tables: dict[str, tuple[int, _Table]] = {}

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
        if key in table.entries:
            return table.entries[key]
        if key in table.conflicts:
            raise ConflictError(_conflict(kind, table.conflicts[key]))
        raise UnknownNameError(self._unknown(kind, name, table))

    def names(self, kind: str) -> list[str]:
        """List the names of a kind, sorted."""
        return [entry.spec.name for entry in self.entries(kind)]

    def entries(self, kind: str) -> list[Entry]:
        """List the entries of a kind, sorted by name."""
        return [entry for _, entry in sorted(self._table(kind).entries.items())]

    def failures(self) -> list[Failure]:
        """Load every kind and list what went wrong."""
        for kind in KINDS:
            self._table(kind)
        return list(self._plugins.failures)

    def listing(self) -> list[Row]:
        """Load every kind and list what there is: names first, then failures.

        Examples
        --------
        >>> [row.name for row in Registry(discover=False).listing() if row.kind == "attack"]
        ['gradient_descent']
        """
        entries = [entry for kind in KINDS for entry in self.entries(kind)]
        rows = [
            Row(e.distribution, e.version, e.kind, e.spec.name, e.spec.summary) for e in entries
        ]
        rows.sort(key=lambda row: (row.distribution != "pncviz", row.distribution))
        failures = self.failures()
        heard = {(row.distribution, row.version) for row in rows}
        heard |= {(failure.distribution, failure.version) for failure in failures}
        for origin in self._plugins.origins():
            if (origin.distribution, origin.version) not in heard:
                where = origin.distribution, origin.version
                rows.append(Row(*where, "", origin.plugin, "gives no names"))
        return rows + [
            Row(f.distribution, f.version, f.kind, f.name or f.plugin, problem=f.message)
            for f in failures
        ]

    def make(self, kind: str, name: str, **params: Any) -> Any:
        """Call the factory of that name.

        Raises
        ------
        ParameterError
            The factory has no such parameter, or needs one more.
        PluginError
            The factory of a plugin raised, or gave something of the wrong type.
        """
        entry = self.entry(kind, name)
        factory: Callable[..., Any] | None = getattr(entry.spec, "factory", None)
        if factory is None:
            raise ParameterError(f'{kind} "{name}" has no factory: look it up, do not make it.')
        check_params(kind, name, factory, params)
        check_required(kind, name, factory, params)
        try:
            return factory(**params)
        except (PncvizError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a plugin may even call sys.exit
            raise PluginError(
                f'{kind} "{name}" ({entry.origin}) could not be made with {show(params)}: '
                f"{describe(error)}"
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
        name = name or str(getattr(plugin, "__name__", type(plugin).__name__))
        origin = Origin(name, "registered in this process", "")
        failure = self._plugins.add(plugin, origin, f"registered in this process:{name}")
        if failure is not None:
            raise PluginError(f"{failure}.")

    # -------------------------------------------------------------------- tables

    def _table(self, kind: str) -> _Table:
        if kind not in KINDS:
            close = close_match(str(kind), KINDS)
            hint = f' Did you mean "{close}"?' if close else ""
            raise UnknownNameError(f'No kind "{kind}".{hint} Choices: {", ".join(KINDS)}.')
        self._plugins.load()
        revision, table = self._tables.get(kind, (-1, _Table({}, {})))
        if revision != self._plugins.revision:
            table = self._build(kind)
            self._tables[kind] = (self._plugins.revision, table)
        self._plugins.announce()
        return table

    def _build(self, kind: str) -> _Table:
        builtin: dict[str, Entry] = {}
        claims: dict[str, list[tuple[Origin, Entry]]] = {}
        for origin, spec in self._plugins.specs(kind):
            entry = Entry(kind, spec, origin.distribution, origin.version)
            if origin.builtin:
                builtin[normalize(spec.name)] = entry
            else:
                claims.setdefault(normalize(spec.name), []).append((origin, entry))
        table = _Table(builtin, {})
        for key, claimants in sorted(claims.items()):
            if key in builtin:
                for origin, entry in claimants:
                    name = entry.spec.name
                    message = f'{kind} "{name}" is a built-in\'s name; the built-in stays'
                    self._plugins.fail(origin.failure(message, kind, name))
            elif len(claimants) > 1:
                self._refuse(kind, claimants)
                table.conflicts[key] = [entry for _, entry in claimants]
            else:
                table.entries[key] = claimants[0][1]
        return table

    def _refuse(self, kind: str, claimants: list[tuple[Origin, Entry]]) -> None:
        """Keep a failure for each claimant, but warn once: the message names them all."""
        claimants.sort(key=lambda claim: (claim[1].origin, claim[0].plugin))
        message = _conflict(kind, [entry for _, entry in claimants])
        for position, (origin, entry) in enumerate(claimants):
            failure = origin.failure(message, kind, entry.spec.name)
            self._plugins.fail(failure, warn=position == 0)

    def _unknown(self, kind: str, name: object, table: _Table) -> str:
        close = close_match(normalize(str(name)), table.entries)
        choices = [entry.spec.name for _, entry in sorted(table.entries.items())]
        failures = [f"\n  {f}" for f in self._plugins.failures if f.kind in ("", kind)]
        off = self._plugins.switched_off
        return "".join(
            [
                f'Unknown {kind} "{name}".',
                f' Did you mean "{table.entries[close].spec.name}"?' if close else "",
                f" Choices: {', '.join(choices)}.",
                f"\nSwitched off by PNCVIZ_DISABLE_PLUGINS: {', '.join(off)}." if off else "",
                f"\nPlugins that failed:{''.join(failures)}" if failures else "",
            ]
        )


def _conflict(kind: str, entries: list[Entry]) -> str:
    """Say who claims a name, and what to do."""
    name = entries[0].spec.name
    origins = sorted({entry.origin for entry in entries})
    if len(origins) == 1:
        return f'{kind} "{name}" is given twice by {origins[0]}, so neither counts'
    return (
        f'{kind} "{name}" is claimed by {" and ".join(origins)}, so neither has it; uninstall one, '
        "or switch one off with PNCVIZ_DISABLE_PLUGINS"
    )
