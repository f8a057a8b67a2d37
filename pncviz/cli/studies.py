"""``pncviz study``: grids of cells, resumable."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pncviz.cli.common import table

if TYPE_CHECKING:
    from pncviz.study import Outcome, Progress

__all__ = ["study"]

study = typer.Typer(
    help="Grids of dataset × architecture × optimizer × trainer × strategy × attack × seed.",
    no_args_is_help=True,
)

_Folder = Annotated[Path, typer.Argument(help="A folder of `pncviz study run`.")]
_Name = Annotated[str | None, typer.Option("--study", help="Which, if the folder has several.")]

#: Reasons that are written out; the rest is counted.
_SHOWN = 5


@study.command()
def run(
    file: Annotated[Path, typer.Argument(help="A study, .toml.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of results; may exist.")],
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes; -1: all processors.")] = 1,
    backend: Annotated[str, typer.Option(help="loky (this machine) or dask.")] = "loky",
    scheduler: Annotated[str | None, typer.Option(help="Of dask, such as tcp://host:8786.")] = None,
) -> None:
    """Do what is missing of a study; run it again after any interruption."""
    try:
        from pncviz.study import run_study  # takes seconds, in which Ctrl-C may come

        with _bar() as progress:
            outcome = run_study(
                file, out, n_jobs=jobs, backend=backend, scheduler=scheduler, progress=progress
            )
    except KeyboardInterrupt:
        # typer would end with the right code, but without a word.
        typer.echo("interrupted; nothing finished is lost: run the same command to go on", err=True)
        raise typer.Exit(130) from None
    _tell(outcome, out)
    if outcome.failed:
        sys.exit(1)


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """Show how far a run is, and how long it will still take, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    from pncviz.dataset import printable
    from pncviz.study.account import duration

    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.description}", markup=False),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, left="")

        def tell(progress: Progress) -> None:
            left = progress.seconds_left
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                left="" if not left else f"about {duration(left)} left",
                description=printable(progress.item.title),
            )
            if progress.state == "failed":
                console.print(f"failed: {printable(progress.item.title)}", markup=False)

        yield tell


def _tell(outcome: Outcome, out: Path) -> None:
    from pncviz.dataset import printable

    changed = {title: why for title, why in outcome.reasons.items() if why != "new"}
    for title, why in list(changed.items())[:_SHOWN]:
        typer.echo(printable(f"not reused: {title}: {why}"))
    if len(changed) > _SHOWN:
        typer.echo(f"… and {len(changed) - _SHOWN} more")
    for title, message in outcome.failed.items():
        typer.echo(printable(f"failed: {title}: {' '.join(message.split())}"), err=True)
    told = (
        f"{out}: {outcome.done} of {outcome.n_cells} cells are there, {outcome.reused} of them "
        f"from before; {outcome.computed} items computed, {len(outcome.failed)} failed."
    )
    typer.echo(printable(told))


@study.command()
def status(folder: _Folder) -> None:
    """Say how far each study of a folder is; exit code 1 if one has failures."""
    from pncviz.dataset import printable
    from pncviz.study import study_status

    found = study_status(folder)
    rows = [
        [one.study, *map(str, (one.total, one.done, one.running, one.failed, one.missing))]
        for one in found
    ]
    table(("study", "cells", "done", "running", "failed", "missing"), rows)
    failures = {title: why for one in found for title, why in one.failures.items()}
    for title, message in failures.items():
        typer.echo(printable(f"{title}: {' '.join(message.split())}"))
    if failures:
        sys.exit(1)


@study.command()
def verify(folder: _Folder) -> None:
    """Read every finished file whole; exit code 1 if one is not as it was written."""
    from pncviz.dataset import printable
    from pncviz.study import verify_study

    problems = verify_study(folder)
    for problem in problems:
        typer.echo(printable(problem))
    if problems:
        typer.echo("Run the study again: what is damaged is computed anew.")
        sys.exit(1)
    typer.echo(printable(f"{folder}: every finished file is whole."))


@study.command()
def collect(
    folder: _Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .nc file.")],
    name: _Name = None,
) -> None:
    """Put all finished cells into one file, a group per dataset (xarray.open_datatree)."""
    from pncviz.dataset import check_writable, printable
    from pncviz.study import collect_study, save_tree

    check_writable(output)
    tree = collect_study(folder, name)
    save_tree(tree, output)
    for dataset, node in tree.items():
        states = node.to_dataset()["state"].values.ravel().tolist()
        told = ", ".join(f"{states.count(state)} {state}" for state in sorted({*states} - {"none"}))
        typer.echo(printable(f"{output}, /{dataset}: {told}"))


@study.command()
def report(
    folder: _Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page, .html.")],
    name: _Name = None,
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
) -> None:
    """Make one HTML page of a study: its table, its pictures, its failures."""
    from pncviz.dataset import printable
    from pncviz.dataset.atomic import check_folder

    if output.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"{output} must end in .html.", param_hint="--output")
    check_folder(output.absolute())
    from pncviz.study.report import study_report

    page = study_report(folder, name, title=title)
    page.save(output)
    typer.echo(printable(f"{output}: {len(page.html) / 1e6:.2g} MB"))


@study.command()
def clean(
    folder: _Folder,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
) -> None:
    """Remove what no study of the folder needs any more, such as results of changed settings."""
    from pncviz.dataset import printable
    from pncviz.study import clean_study

    removed = clean_study(folder, dry_run=dry_run)
    for path in removed:
        typer.echo(printable(path))
    typer.echo(f"{len(removed)} files {'would be' if dry_run else 'were'} removed.")
