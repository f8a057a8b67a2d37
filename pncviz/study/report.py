"""One self-contained HTML page about a study: its tables, its pictures, its failures."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

import xarray as xr

from pncviz.dataset import printable
from pncviz.dataset.attributes import now
from pncviz.report.sheet import Sheet, checked_title, environment, page_text, render
from pncviz.study import account
from pncviz.study.collect import collect_study
from pncviz.study.folder import Folder
from pncviz.study.plan import Plan
from pncviz.study.sections import BLANK, COLUMNS, section
from pncviz.study.tables import summarize_study

__all__ = ["StudyReport", "study_report"]

#: Lengths of the lists of failures, of missing cells, and of files.
MOST_LISTED = {"failures": 50, "missing": 200, "files": 1000}


@dataclass(frozen=True)
class StudyReport(Sheet):
    """A page about a study, and the results that the numbers on it come from.

    In a notebook it shows itself, in a frame of its own.

    Parameters
    ----------
    html : str
        The whole page.
    tree : xarray.DataTree
        Of :func:`~pncviz.study.collect_study`; empty if nothing is finished.
    summary : xarray.DataTree
        Of :func:`~pncviz.study.summarize_study`, for the datasets with a finished cell.

    Examples
    --------
    >>> StudyReport("<!doctype html>", xr.DataTree(), xr.DataTree()).html
    '<!doctype html>'
    """

    tree: xr.DataTree = field(repr=False)
    summary: xr.DataTree = field(repr=False)


def study_report(
    out: str | os.PathLike[str], study: str | None = None, *, title: str | None = None
) -> StudyReport:
    """Make one self-contained HTML page of a study, however much of it is finished.

    Needs neither the data nor torch.

    Parameters
    ----------
    out : path-like
        Folder of :func:`~pncviz.study.run_study`.
    study : str, optional
        Which, if the folder holds several.
    title : str, optional

    Returns
    -------
    StudyReport

    Raises
    ------
    StudyError
        Not a study's folder, or no such study.
    ResultError
        A file is damaged; ``pncviz study verify`` lists all.
    ParameterError
        ``title`` is not a string.

    Examples
    --------
    >>> import tempfile
    >>> from pncviz.study import parse_study, run_study
    >>> tiny = parse_study(
    ...     {
    ...         "name": "tiny",
    ...         "grid": [{"dataset": ["tiling"]}],
    ...         "training": {"max_epochs": 1},
    ...         "extraction": {"max_iter": 1},
    ...     }
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     outcome = run_study(tiny, folder)
    ...     report = study_report(folder)
    >>> "1 of 1 cells is finished" in report.html, list(report.summary)
    (True, ['tiling'])
    """
    checked_title(title)
    folder = Folder(out).existing()
    plan = folder.plan(study)
    tree, finished = xr.DataTree(), xr.DataTree()
    if any(account.state_of(folder, cell) == "done" for cell in plan.cells):
        tree = collect_study(out, plan.name)
        nodes = {name: node.to_dataset() for name, node in tree.children.items()}
        # A dataset of which no cell is finished has nothing to average.
        finished = xr.DataTree.from_dict({n: d for n, d in nodes.items() if "own_similarity" in d})
        finished.attrs = dict(tree.attrs)
    summary = summarize_study(finished) if finished.children else xr.DataTree()
    return StudyReport(_html(folder, plan, finished, summary, title), tree, summary)


def _html(
    folder: Folder, plan: Plan, finished: xr.DataTree, summary: xr.DataTree, title: str | None
) -> str:
    counts = account.states(folder, plan)
    out = shlex.quote(folder.root.resolve().name or ".")
    return render(
        environment().get_template("study.html"),
        style=page_text("study.css"),
        title=printable(title) if title else f"Study {plan.name}",
        name=plan.name,
        description=printable(" ".join(getattr(plan, "description", "").split())),
        headline=_headline(counts),
        states=account.STATES,
        counts=[(printable(label), count) for label, count in counts.items()],
        datasets=[section(label, plan, finished, summary) for label in counts],
        columns=COLUMNS,
        blank=BLANK,
        axes=plan.axes[1:-1],
        failures=account.failures(folder, plan),
        missing=account.missing(folder, plan),
        made=account.made(folder, plan),
        most=MOST_LISTED,
        command=printable(f"pncviz study run {plan.name}.toml --out {out}"),
        at=now(),
    )


def _headline(counts: Mapping[str, Mapping[str, int]]) -> str:
    sums = {state: sum(count[state] for count in counts.values()) for state in account.STATES}
    are = "is" if sums["done"] == 1 else "are"
    text = f"{sums['done']} of {sum(sums.values())} cells {are} finished"
    others = [f"{sums[state]} {state}" for state in ("failed", "missing") if sums[state]]
    return f"{text}; {' and '.join(others)}." if others else f"{text}."
