"""``pncviz plugins`` and ``pncviz datasets``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pncviz.registry import Row

from pncviz.cli.common import table

__all__ = ["datasets", "plugins"]

plugins = typer.Typer(
    help="Strategies, attacks, architectures and more, by name.", no_args_is_help=True
)
datasets = typer.Typer(help="Datasets, by name.", no_args_is_help=True)


@plugins.command("list")
def list_plugins(
    no_load: Annotated[
        bool, typer.Option("--no-load", help="Read the metadata of installed plugins only.")
    ] = False,
) -> None:
    """List every name: distribution, version, kind, name and summary; failures are rows too."""
    if no_load:
        from pncviz.registry import installed_plugins

        rows = [
            (point.dist.name, point.dist.version, point.name, point.value)
            for point in installed_plugins()
            if point.dist
        ]
        table(("distribution", "version", "plugin", "module"), rows)
        return
    table(
        ("distribution", "version", "kind", "name", "summary"),
        [
            (row.distribution, row.version, row.kind, row.name, row.problem or row.summary)
            for row in _listing()
        ],
    )


@plugins.command("check")
def check_plugins() -> None:
    """Load every plugin and say what is wrong; exit code 1 if anything is."""
    problems = [row for row in _listing() if row.problem]
    for row in problems:
        typer.echo(f"{row.name} ({row.distribution} {row.version}): {row.problem}")
    if problems:
        sys.exit(1)
    typer.echo("All plugins are well.")


def _listing() -> list[Row]:
    import warnings

    from pncviz.exceptions import PluginWarning
    from pncviz.registry import default_registry

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # they are rows of the list
        return list(default_registry().listing())


@datasets.command("list")
def list_datasets() -> None:
    """List the datasets."""
    from pncviz.registry import default_registry

    entries = default_registry().entries("dataset")
    rows = [(entry.spec.name, entry.spec.summary, entry.origin) for entry in entries]
    table(("name", "summary", "from"), rows)
