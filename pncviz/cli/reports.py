"""The command that makes a page for a colleague."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    files: Annotated[list[Path], typer.Argument(help="Patterns, contrasts, similarities: .nc.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page, .html.")],
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    metric: Annotated[
        list[str], typer.Option(help="Of the comparison; may be repeated. [default: pearson]")
    ] = [],  # noqa: B006 # typer copies it
    seed: Annotated[int, typer.Option(min=0, help="Of resampling and permutations.")] = 0,
) -> None:
    """Make one HTML page of patterns, contrasts and how alike they are.

    Without a file of similarities they are computed, and saved beside the page.
    """
    from pncviz.dataset import check_writable, load, save
    from pncviz.dataset.atomic import check_folder

    if output.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"{output} must end in .html.", param_hint="--output")
    check_folder(output.absolute())
    results = [load(file) for file in files]
    kinds = {result.attrs["kind"] for result in results}
    computed = kinds == {"patterns", "contrasts"}
    beside = output.with_name(f"{output.stem}-similarities.nc")
    if computed:
        check_writable(beside)
    elif metric:
        raise typer.BadParameter(
            "nothing is compared here: give a file of patterns, one of contrasts, and none of "
            "similarities.",
            param_hint="--metric",
        )
    from pncviz.report import generate_report

    page = generate_report(*results, title=title, metrics=metric or ["pearson"], random_state=seed)
    if computed:
        save(page.datasets["similarities"], beside)
        typer.echo(f"{beside}: the similarities on the page, which were computed for it")
    page.save(output)
    typer.echo(f"{output}: {len(page.html) / 1e6:.2g} MB, {', '.join(page.datasets)}")
