"""The commands put together, and how failures are told."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated, Any

import typer

from pncviz.cli import attacks, commands, lists, reports, results, studies
from pncviz.cli.common import state

__all__ = ["app", "main"]

app = typer.Typer(
    help="What did a classifier learn about each class?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(lists.plugins, name="plugins")
app.add_typer(lists.datasets, name="datasets")
app.add_typer(studies.study, name="study")
for command in (
    commands.demo,
    commands.train,
    commands.extract,
    commands.contrast,
    attacks.attack,
    attacks.transfer,
    results.compare,
    results.show,
    reports.report,
):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        from pncviz._version import __version__

        typer.echo(f"pncviz {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of a failure.")
    ] = False,
    version: Annotated[  # noqa: ARG001 # used by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    state.debug = debug


def _one_line(text: object) -> str:
    from pncviz.dataset import printable

    return printable(" ".join(str(text).split()))


def _tell_warning(message: Any, *_: Any, **__: Any) -> None:
    typer.echo(f"warning: {_one_line(message)}", err=True)


def main() -> None:
    """Run the command line; exit with 0, 1 for a failure, 2 for wrong usage, 130 for Ctrl-C."""
    warnings.showwarning = _tell_warning
    try:
        app()
    except KeyboardInterrupt as interrupt:
        typer.echo(_one_line(interrupt) or "interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (… | head): nothing more to say, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if state.debug:
            raise
        typer.echo(f"error: {_one_line(error) or type(error).__name__}", err=True)
        sys.exit(2 if _is_usage(error) else 1)


def _is_usage(error: Exception) -> bool:
    from pncviz.exceptions import ParameterError, UnknownNameError

    return isinstance(error, ParameterError | UnknownNameError)
