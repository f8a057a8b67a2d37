"""The commands that read results: compared, printed, drawn."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["compare", "show"]


def compare(
    patterns: Annotated[Path, typer.Argument(help="A file of `pncviz extract`.")],
    contrasts: Annotated[Path, typer.Argument(help="A file of `pncviz contrast`.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .nc file.")] = None,
    metric: Annotated[list[str], typer.Option(help="May be repeated.")] = ["pearson"],  # noqa: B006
    null: Annotated[
        str | None,
        typer.Option(help="phase, or a .nc file of draws; see `pncviz contrast --shuffles`."),
    ] = None,
    permutations: Annotated[int, typer.Option(min=1, help="Of labels, and of phases.")] = 10_000,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything drawn.")] = None,
) -> None:
    """Compare every pattern with every contrast."""
    from pncviz.dataset import check_writable

    if output is not None:
        check_writable(output)
    from pncviz import compare as compare_all
    from pncviz import load, save, summary

    found = load(patterns)
    similarities = compare_all(
        found,
        load(contrasts),
        metrics=metric,
        null=null if null in (None, "phase") else load(null),
        n_permutations=permutations,
        random_state=seed,
    )
    if output is not None:
        save(similarities, output)
    typer.echo(summary(similarities))
    failed = int((~found["succeeded"]).sum())
    if failed:
        typer.echo(f"{failed} of {found['succeeded'].size} patterns did not reach their class.")
    for line in verdicts(similarities):
        typer.echo(line)


def verdicts(similarities: Any) -> list[str]:
    """Say in words how many patterns are identified and how many are beyond chance."""
    hits = similarities["hits"]
    n = similarities.sizes["pattern_label"]
    # As many assignments as there are, p cannot be smaller than one of them.
    sizes = sorted((n, similarities.sizes["contrast_label"]))
    least = 1 / math.perm(sizes[1], sizes[0])
    few = f"; with so few classes at least {least:.2g}" if least > 0.05 else ""
    lines = []
    for place in hits.stack(case=hits.dims)["case"].values.tolist():
        at = dict(zip(hits.dims, place, strict=True))
        title = ", ".join(str(name) for name in place)
        p = float(similarities["identification_p"].sel(at))
        lines.append(
            f"{title}: {int(hits.sel(at))} of {n} patterns are nearest to their own class's "
            f"contrast (identification p = {p:.2g}{few})."
        )
        if "q" in similarities:
            beyond = int((similarities["q"].sel(at) < 0.05).sum())
            lines.append(f"{title}: {beyond} of {n} beyond {similarities.attrs['null']}, q < .05.")
    return lines


def show(
    files: Annotated[list[Path], typer.Argument(help="One or more .nc files.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .png to draw.")] = None,
    metric: Annotated[str | None, typer.Option(help="Of similarities; the first if none.")] = None,
) -> None:
    """Print what result files hold, and draw them: patterns and contrasts in rows."""
    if output is not None and output.suffix != ".png":
        raise typer.BadParameter(f"{output} must end in .png.", param_hint="--output")
    from pncviz import load, summary

    results = [load(file) for file in files]
    for file, result in zip(files, results, strict=True):
        typer.echo(f"{file} ({result.attrs['kind']})")
        typer.echo(summary(result))
    if output is None:
        return
    from pncviz import PatternDisplay, SimilarityDisplay
    from pncviz.displays.common import save_png

    kinds = {result.attrs["kind"] for result in results}
    if kinds == {"similarities"} and len(results) == 1:
        figure = SimilarityDisplay.from_dataset(results[0], metric=metric).plot().figure_
    elif kinds <= {"patterns", "contrasts"}:
        figure = PatternDisplay.from_dataset(*results).plot().figure_
    else:
        raise typer.BadParameter("Draw one file of similarities alone, or patterns and contrasts.")
    save_png(figure, output)
    typer.echo(f"Drawn: {output}")
