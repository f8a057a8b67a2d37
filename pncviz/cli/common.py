"""What commands share: the debug switch, KEY=VALUE parameters, tables."""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

__all__ = ["Params", "parse_params", "parse_shape", "shaped", "state", "steps", "table"]


@dataclass
class _State:
    debug: bool = False


state = _State()

Params = list[str]


def parse_params(given: Sequence[str], option: str) -> dict[str, Any]:
    """Turn ``["scale=.1", "clip=(0, 1)"]`` into keyword arguments.

    Examples
    --------
    >>> parse_params(["scale=.1", "loss=cross_entropy"], "--attack-param")
    {'scale': 0.1, 'loss': 'cross_entropy'}
    """
    params = {}
    for pair in given:
        key, sign, value = pair.partition("=")
        if not sign or not key.isidentifier():
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE.", param_hint=option)
        try:
            params[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            params[key] = value
    return params


def parse_shape(text: str | None, option: str) -> tuple[int, ...] | None:
    """Turn "28x28" or "3,32,32" into a tuple."""
    if text is None:
        return None
    try:
        return tuple(int(side) for side in text.replace("x", ",").split(","))
    except ValueError as error:
        message = f"{text!r} is not a shape such as 28x28 or 3x32x32."
        raise typer.BadParameter(message, param_hint=option) from error


def shaped(X: Any, dataset: str, net: Any) -> Any:
    """Give samples of a dataset in the shape that a loaded net was trained on."""
    shape = tuple(net.info_["params"]["input_shape"])
    if math.prod(X.shape[1:]) != math.prod(shape):
        from pncviz.exceptions import DataError

        raise DataError(
            f"Samples of {dataset} have the shape {X.shape[1:]}, and the model takes {shape}."
        )
    return X.reshape(len(X), *shape)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print a table; cells are shown as they stand, whatever they hold."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pncviz.dataset import printable

    grid = Table(*head, title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    # In a pipe there is no width to fold to.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(grid)


@contextmanager
def steps(total: int) -> Iterator[Any]:
    """Show a bar of so many steps on stderr; gives ``step(text)``."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        started = False

        def step(text: str) -> None:
            nonlocal started
            bar.update(task, description=text, advance=1 if started else 0)
            started = True

        yield step
