"""The page put together, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from pncviz.dataset import printable
from pncviz.report import facts, tables
from pncviz.report.content import page_content
from pncviz.report.gather import gather
from pncviz.report.numbers import script_json
from pncviz.report.pictures import gallery
from pncviz.report.sheet import Sheet, checked_title, page_text, render
from pncviz.report.sheet import environment as _environment

__all__ = ["Report", "generate_report"]

#: Up to so many classes stand side by side and on buttons, with numbers in the matrix.
_FEW = 20


@dataclass(frozen=True)
class Report(Sheet):
    """A page, and the results that every number on it comes from.

    In a notebook it shows itself, in a frame of its own.

    Parameters
    ----------
    html : str
        The whole page.
    datasets : dict of str to xarray.Dataset
        By kind: patterns, contrasts, similarities; also the similarities that were computed.

    Examples
    --------
    >>> from pncviz import load_dataset, positive_negative_contrast
    >>> data = load_dataset("tiling")
    >>> report = generate_report(positive_negative_contrast(data.X, data.y), title="Tiles")
    >>> report.html[:15], list(report.datasets)
    ('<!doctype html>', ['contrasts'])
    """

    datasets: dict[str, xr.Dataset] = field(repr=False)


def generate_report(
    *datasets: xr.Dataset,
    title: str | None = None,
    metrics: str | Sequence[str] = "pearson",
    random_state: int | None = 0,
) -> Report:
    """Make one self-contained HTML page of patterns, contrasts and how alike they are.

    Parameters
    ----------
    *datasets : xarray.Dataset
        In any order: patterns (with or without a ``strategy`` dimension; several are put side by
        side), at most one dataset of contrasts, and at most one of similarities.
    title : str, optional
    metrics : str or sequence of str, default="pearson"
        For the comparison, which is made if there are patterns and contrasts but no similarities.
    random_state : int or None, default=0
        Likewise.

    Returns
    -------
    Report

    Raises
    ------
    ParameterError
        No dataset, too many of a kind, or dimensions that a page cannot show.
    LabelError
        The datasets are about different classes.
    ResultError
        One of them breaks the schema.

    Examples
    --------
    >>> from pncviz import load_dataset, positive_negative_contrast
    >>> data = load_dataset("tiling")
    >>> report = generate_report(positive_negative_contrast(data.X, data.y))
    >>> "contrast of" in report.html
    True
    """
    checked_title(title)
    found = gather(datasets, metrics=metrics, random_state=random_state)
    return Report(_page(found, title), found)


def _page(found: dict[str, xr.Dataset], title: str | None) -> str:
    content = page_content(found)
    classes, metrics = content["classes"], content["metrics"]
    level = found["similarities"].attrs.get("confidence_level") if metrics else None
    columns = tables.columns(content, level)
    return render(
        _environment().get_template("page.html"),
        style=tables.cell_styles(),
        script=page_text("page.js"),
        title=printable(title) if title else _usual_title(content, found),
        content=content,
        data=script_json(content),
        few=len(classes) <= _FEW,
        upright=len(classes) > 12 or max(map(len, classes)) > 7,
        gallery=gallery(found),
        columns=columns,
        scale_told=tables.scale_told,
        panels=_panels(content, columns),
        headlines=facts.headlines(content, found),
        warnings=facts.warnings(content, found),
        null=facts.null_told(found),
        parameters=facts.parameters(found),
        attributes=facts.attributes(found),
        kinds=list(found),
    )


def _panels(content: dict[str, Any], columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the matrix and the table of every source and metric; the script shows one of them."""
    sources, metrics = (range(len(content[what])) for what in ("sources", "metrics"))
    return [
        {
            "source": source,
            "metric": metric,
            "rows": tables.rows(content, columns, source, metric),
            "over": facts.resampled(content, source, metric),
            "matrix": None
            if source is None or metric is None
            else tables.matrix(content, source, metric),
        }
        for source in (sources or [None])
        for metric in (metrics or [None])
    ]


def _usual_title(content: dict[str, Any], found: dict[str, xr.Dataset]) -> str:
    what = [kind.capitalize() if i == 0 else kind for i, kind in enumerate(found)]
    listed = what[0] if len(what) == 1 else f"{', '.join(what[:-1])} and {what[-1]}"
    return f"{listed} of {len(content['classes'])} classes"
