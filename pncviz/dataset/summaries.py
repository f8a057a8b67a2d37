"""A result as a plain-text table, safe to print whatever its labels hold."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from pncviz.dataset.rates import (
    agreement_rows,
    example_rows,
    pattern_transfer_rows,
    transfer_rows,
)
from pncviz.dataset.schema import validate

__all__ = ["printable", "summary"]


#: Kinds whose tables are made elsewhere.
_ROWS = {
    "examples": example_rows,
    "transfer": transfer_rows,
    "pattern_transfer": pattern_transfer_rows,
    "pattern_agreement": agreement_rows,
}


def printable(text: object) -> str:
    r"""Escape what a terminal would obey rather than show: control characters and ANSI codes.

    Parameters
    ----------
    text : object
        Anything; ``str`` is applied first.

    Returns
    -------
    str
        Non-printable characters (also line breaks and text-direction marks) as backslash escapes.

    Examples
    --------
    >>> from pncviz.dataset import printable
    >>> print(printable("\x1b[31mcat\n"))
    \x1b[31mcat\n
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in str(text)
    )


def _width(text: str) -> int:
    """Columns that a text takes in a terminal."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def _cell(value: Any) -> str:
    """One value as text: four significant digits, yes or no, or the escaped text."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return printable(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Align columns: text to the left, numbers to the right."""
    lines = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(head))]
    right = [
        all(isinstance(row[i], int | float) and not isinstance(row[i], bool) for row in rows)
        for i in range(len(head))
    ]
    texts = []
    for line in lines:
        cells = []
        for text, width, to_right in zip(line, widths, right, strict=True):
            pad = " " * (width - _width(text))
            cells.append(pad + text if to_right else text + pad)
        texts.append("  ".join(cells).rstrip())
    return "\n".join(texts)


def _each(array: xr.DataArray, dims: Sequence[Any]) -> Iterator[tuple[dict[Any, int], list[Any]]]:
    """Positions along dims, and the coordinates there (the position where there are none)."""
    for position in product(*(range(array.sizes[dim]) for dim in dims)):
        at = dict(zip(dims, position, strict=True))
        # `item` gives plain Python values, so that labels show as 3 and not as np.int64(3).
        yield at, [array[d][i].values.item() if d in array.coords else i for d, i in at.items()]


def summary(ds: xr.Dataset) -> str:
    """One row per class: how each pattern fared, what each contrast rests on, who is alike, ….

    Parameters
    ----------
    ds : xarray.Dataset
        A labelled result of any kind.

    Returns
    -------
    str
        An aligned table. Adversarial examples have a row per class, with shares and means over
        its samples, and what transfers a row per pair of models. For similarities, per metric,
        each pattern's similarity to its own class's contrast and the rank of that among all
        contrasts (ties count against it), with interval, p and q if there are any.

    Raises
    ------
    ResultError
        If ``ds`` breaks the schema.

    Examples
    --------
    >>> from pncviz.dataset import build_similarities, common_attrs, summary
    >>> similarities = build_similarities(
    ...     similarity=[[[0.5, 0.75], [0.0, 1.0]]], metrics=["pearson"],
    ...     pattern_labels=["cat", "dog"], contrast_labels=["cat", "dog"],
    ...     attrs=common_attrs("similarities", parameters={}),
    ... )
    >>> print(summary(similarities))
    metric   label  similarity  rank
    pearson  cat           0.5  2/2
    pearson  dog             1  1/2
    """
    validate(ds)
    if ds.attrs["kind"] in _ROWS:
        return _table(*_ROWS[ds.attrs["kind"]](ds))
    if ds.attrs["kind"] == "similarities":
        return _similarities(ds)
    columns = {
        "patterns": {
            "confidence": "confidence",
            "iterations": "n_iter",
            "stop reason": "stop_reason",
            "succeeded": "succeeded",
        },
        "contrasts": {"n_positive": "n_positive", "n_negative": "n_negative"},
    }[ds.attrs["kind"]]
    arrays = [ds[name] for name in columns.values()]
    # The longest leads: a variable without the leading dimensions repeats along them.
    longest = max(arrays, key=lambda array: array.ndim)
    rows = []
    for at, names in _each(longest, longest.dims):
        values = [a[{d: i for d, i in at.items() if d in a.dims}].values.item() for a in arrays]
        rows.append([*names, *values])
    return _table([*(printable(dim) for dim in longest.dims), *columns], rows)


def _similarities(ds: xr.Dataset) -> str:
    """Rows of own-class similarity, its interval, its rank, and p and q."""
    similarity = ds["similarity"]
    others = similarity["contrast_label"].values.tolist()
    interval = "lower" in ds and "upper" in ds and bool(ds["lower"].notnull().any())
    tested = [name for name in ("p", "q") if name in ds]
    rows = []
    for at, names in _each(similarity, similarity.dims[:-1]):
        row = similarity[at]
        higher = bool(row["higher_is_better"]) if "higher_is_better" in row.coords else True
        label = names[-1]
        own = float(row[others.index(label)]) if label in others else np.nan
        better = row.values >= own if higher else row.values <= own
        rank = "-" if np.isnan(own) else f"{np.count_nonzero(better)}/{len(others)}"
        ends = []
        if interval:
            low, high = (float(ds[name][at]) for name in ("lower", "upper"))
            ends = ["-" if np.isnan(low) else f"{low:.4g} to {high:.4g}"]
        rows.append([*names, own, *ends, rank, *(float(ds[name][at]) for name in tested)])
    head = [printable(dim) for dim in similarity.dims[:-2]]
    middle = ["interval"] if interval else []
    return _table([*head, "label", "similarity", *middle, "rank", *tested], rows)
