"""What the registry knows: where a plugin comes from, its usable names, and what went wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pncviz.specs import Spec

__all__ = ["Entry", "Failure", "Origin", "Row", "normalize"]


def normalize(name: str) -> str:
    """Fold a name as PEP 503 does, so ``fashion_mnist`` and ``Fashion-MNIST`` are one.

    Examples
    --------
    >>> normalize("Fashion_MNIST")
    'fashion-mnist'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Failure:
    """What one plugin did wrong.

    ``kind`` and ``name`` are empty unless one spec is to blame, ``kind`` alone is given for a hook.
    """

    plugin: str
    distribution: str
    version: str
    message: str
    kind: str = ""
    name: str = ""

    def __str__(self) -> str:
        origin = f"{self.distribution} {self.version}".strip()
        return f'plugin "{self.plugin}" ({origin}): {self.message}'


@dataclass(frozen=True)
class Origin:
    """A plugin: its own name (of the entry point), and the distribution it came with."""

    plugin: str
    distribution: str
    version: str
    builtin: bool = False

    def failure(self, message: str, kind: str = "", name: str = "") -> Failure:
        """Say what this plugin did wrong."""
        return Failure(self.plugin, self.distribution, self.version, message, kind, name)


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
class Row:
    """One line of ``pncviz plugins list``: a usable name, or a ``problem``.

    ``kind`` is empty where a whole plugin is meant; ``name`` is then the entry point's.
    """

    distribution: str
    version: str
    kind: str
    name: str
    summary: str = ""
    problem: str = ""
