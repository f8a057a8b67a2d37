"""Finding parts by name: discovery, isolation of broken plugins, conflicts, look-up.

Built-ins come through the very same hooks as everyone's plugins, one module per kind, loaded on the
first use of that kind. A broken plugin costs one warning and its own names, nothing else.
"""

from __future__ import annotations

from pncviz.registry.checks import check_params
from pncviz.registry.discovery import installed_plugins
from pncviz.registry.parts import (
    default_registry,
    distribution_of,
    load_dataset,
    make_attack,
    make_strategy,
    register,
)
from pncviz.registry.records import Entry, Failure, Row, normalize
from pncviz.registry.table import Registry

__all__ = [
    "Entry",
    "Failure",
    "Registry",
    "Row",
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
