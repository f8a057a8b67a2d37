"""Running a study: what is missing, and why; then all of it, until nothing is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pncviz.exceptions import StudyError
from pncviz.study.config import AXES, Study, load_study
from pncviz.study.engine import Engine
from pncviz.study.folder import Folder
from pncviz.study.identity import differences, forget_data
from pncviz.study.plan import Item, Plan, make_plan
from pncviz.study.runner import Progress, Runner

__all__ = ["Outcome", "Progress", "run_study"]

#: Waves of work: what is in one needs what is in those before it.
_WAVES = (("contrast", "null", "model"), ("cell",))


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes
    ----------
    n_cells : int
        Of the study.
    computed : int
        Items finished by this run, models and contrasts included.
    reused : int
        Cells that were finished before.
    done : int
        Cells that are finished now.
    failed : dict of str to str
        Message by title of the item.
    reasons : dict of str to str
        Why each cell that was not reused was not, by its title; and why any model or contrast that
        was finished is made anew.
    """

    n_cells: int
    computed: int
    reused: int
    done: int
    failed: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def run_study(
    study: Study | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    n_jobs: int = 1,
    backend: str = "loky",
    scheduler: str | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Outcome:
    """Do what is missing of a study.

    What is finished stays finished, whatever ends the run: run again to go on. Files that are
    damaged or gone are made anew, those of models and contrasts as well. Several runs may share one
    folder at the same time; each item is then done by one of them.

    Parameters
    ----------
    study : Study or path-like
        Of :func:`load_study`, or its file.
    out : path-like
        Folder; made if it is missing. May hold other studies: what they share is done once.
    n_jobs : int, default=1
        Processes of one torch thread each; -1 for as many as there are processors.
    backend : {"loky", "dask"}, default="loky"
    scheduler : str, optional
        Address of a dask scheduler whose workers all reach ``out``.
    progress : callable, optional
        Told of each item that ends.

    Returns
    -------
    Outcome
        Items that failed are in it, with their messages; the others are done.

    Raises
    ------
    StudyError
        The file or the folder cannot be used.
    ParameterError, UnknownNameError
        A part that there is not, found before any work.
    """
    plan_of = study if isinstance(study, Study) else load_study(study)
    engine = Engine(out, n_jobs=n_jobs, backend=backend, scheduler=scheduler)
    folder = Folder(out).usable()
    forget_data()
    plan = make_plan(plan_of)
    folder.manifest.refresh()
    missing, reasons = _missing(plan, folder)
    if missing:
        from pncviz.study.checks import check_plan

        check_plan(plan, missing)
    folder.create().keep_plan(plan)
    runner = Runner(folder, engine, missing, progress)
    if missing:
        with engine.running():
            for kinds in _WAVES:
                runner.wave([item for item in missing if item.kind in kinds])
    anew = {item.key for item in missing}
    return Outcome(
        n_cells=len(plan.cells),
        computed=runner.computed,
        reused=sum(cell.key not in anew for cell in plan.cells),
        done=sum(cell.key not in runner.without for cell in plan.cells),
        failed=runner.failed,
        reasons=reasons,
    )


def _missing(plan: Plan, folder: Folder) -> tuple[list[Item], dict[str, str]]:
    """Find the items to do, what cells need before them, and say why each is not reused."""
    faults = {key: _fault(folder, key) for key in plan.items}
    finished = all(fault is None for fault in faults.values())
    former = {} if finished else _former(plan, folder)
    wanted, reasons = [], {}
    for key, item in plan.items.items():
        fault = faults[key]
        if fault is None:
            continue
        wanted.append(item)
        if item.kind == "cell" or key in folder.manifest.lines:
            reasons[f"{item.title} ({key})"] = fault or _why_not(item, folder, former)
    return wanted, reasons


def _fault(folder: Folder, key: str) -> str | None:
    """Say what is wrong with a finished item; None if nothing is, "" if it is not finished."""
    line = folder.manifest.lines.get(key)
    return "" if line is None else folder.fault(line)


def _former(plan: Plan, folder: Folder) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Give the cells that were finished and that no study here has any more, by their place."""
    current = set(plan.items)
    for name in folder.studies():
        if name != plan.name:
            with suppress(StudyError):  # it is for those who run that one to know
                current |= {cell.key for cell in folder.plan(name).cells}
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for line in folder.manifest.history:
        if line.kind == "cell" and line.key not in current:
            found.setdefault(_place(line.identity), []).append(line.identity)
    return found


def _why_not(item: Item, folder: Folder, former: Mapping[Any, list[dict[str, Any]]]) -> str:
    """Say why there is no finished item to stand for this one."""
    if folder.path(item.kind, item.key).is_file():
        return "its file is not in the manifest; taken over if it is whole"
    failure = folder.failure(item.key)
    if failure:
        return f"failed before: {failure.get('message')}"
    told = [differences(old, item.identity) for old in former.get(_place(item.identity), ())]
    if told:
        least = min(told, key=len)
        return f"changed: {', '.join(least[:4])}{' and more' if len(least) > 4 else ''}"
    return "new"


def _place(identity: dict[str, Any]) -> tuple[Any, ...]:
    """Name the point of the grid, without parameters."""
    parts = (identity.get(axis, {}).get("name") for axis in AXES[:-1])
    return (*parts, identity.get("seed"))
