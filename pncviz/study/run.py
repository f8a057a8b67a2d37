"""Running a study: what is missing, and why; then all of it, until nothing is."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pncviz.study.config import Study, load_study
from pncviz.study.engine import Engine, ProcessDiedError
from pncviz.study.folder import Folder
from pncviz.study.identity import differences
from pncviz.study.plan import Item, Plan, make_plan

if TYPE_CHECKING:
    from pncviz.study.work import Answer

__all__ = ["Outcome", "Progress", "run_study"]

logger = logging.getLogger("pncviz")

#: Seconds between two looks at what another runner has claimed.
_POLL = 0.2
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
    failed : dict of str to str
        Message by title of the item.
    reasons : dict of str to str
        Why each cell that was not reused was not, by its title.
    """

    n_cells: int
    computed: int
    reused: int
    failed: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    done, total : int
        Items that this run set out to do.
    seconds_left : float or None
        From what finished items of the kind took; None until one has.
    item : Item
        The one that has just ended.
    state : str
        See :class:`~pncviz.study.work.Answer`.
    """

    done: int
    total: int
    seconds_left: float | None
    item: Item
    state: str


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

    What is finished stays finished, whatever ends the run: run again to go on. Several runs may
    share one folder at the same time; each item is then done by one of them.

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
    plan = make_plan(plan_of)
    folder = Folder(out).create()
    folder.keep_plan(plan)
    folder.manifest.refresh()
    missing, reasons = _missing(plan, folder)
    if missing:
        from pncviz.study.checks import check_plan

        check_plan(plan, missing)
    runner = _Runner(folder, engine, missing, progress)
    if missing:
        with engine.running():
            for kinds in _WAVES:
                runner.wave([item for item in missing if item.kind in kinds])
    return Outcome(
        n_cells=len(plan.cells),
        computed=runner.computed,
        reused=len(plan.cells) - len(reasons),
        failed=runner.failed,
        reasons=reasons,
    )


def _missing(plan: Plan, folder: Folder) -> tuple[list[Item], dict[str, str]]:
    """Find the items to do, what cells need before them, and say why each cell is not reused."""
    lines = folder.manifest.lines
    reasons: dict[str, str] = {}
    wanted: dict[str, Item] = {}
    for key in dict.fromkeys(cell.key for cell in plan.cells):
        item = plan.items[key]
        why = _why_not(item, folder)
        if why is None:
            continue
        reasons[f"{item.title} ({key})"] = why
        for need in item.needs.values():
            if need not in wanted and (need not in lines or folder.fault(lines[need])):
                wanted[need] = plan.items[need]
        wanted[key] = item
    return list(wanted.values()), reasons


def _why_not(item: Item, folder: Folder) -> str | None:
    """Say why a finished item cannot stand for this one; None if one can."""
    line = folder.manifest.lines.get(item.key)
    if line is not None:
        return folder.fault(line)
    failure = folder.failure(item.key)
    if failure:
        return f"failed before: {failure.get('message')}"
    names = [_place(item.identity)]
    told = [
        differences(old.identity, item.identity)
        for old in folder.manifest.history
        if old.kind == item.kind and _place(old.identity) in names
    ]
    if told:
        least = min(told, key=len)
        return f"changed: {', '.join(least[:4])}{' and more' if len(least) > 4 else ''}"
    return "new"


def _place(identity: dict[str, Any]) -> tuple[Any, ...]:
    """Name the point of the grid, without parameters."""
    axes = ("dataset", "architecture", "optimizer", "strategy", "attack")
    return (*(identity.get(axis, {}).get("name") for axis in axes), identity.get("seed"))


class _Runner:
    """Works waves of items off, and keeps count."""

    def __init__(
        self,
        folder: Folder,
        engine: Engine,
        missing: Sequence[Item],
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self.folder, self.engine, self.progress = folder, engine, progress
        self.left = {item.key: item for item in missing}
        self.total, self.computed = len(missing), 0
        self.failed: dict[str, str] = {}

    def wave(self, items: Sequence[Item]) -> None:
        """Repeat until every item is finished by someone, or has failed here."""
        pending = {item.key: item for item in items}
        apart = False
        while pending:
            before = len(pending)
            try:
                for answer in self.engine.answers(list(pending.values()), apart=apart):
                    self._take(answer, pending)
            except ProcessDiedError as error:
                if apart:  # the first one without an answer was alone in its process
                    item = next(iter(pending.values()))
                    message = f"Its process was killed, most often for want of memory: {error}"
                    self.folder.fail(item, message, "")
                    self._end(pending.pop(item.key), "failed", message)
                # Without knowing whose fault it was: once more, and then each by itself.
                apart = apart or len(pending) == before
                continue
            if len(pending) == before:
                time.sleep(_POLL)  # all of them are being done elsewhere

    def _take(self, answer: Answer, pending: dict[str, Item]) -> None:
        if answer.state == "busy":
            return
        self.computed += answer.state == "done"
        self._end(pending.pop(answer.key), answer.state, answer.message)

    def _end(self, item: Item, state: str, message: str) -> None:
        self.left.pop(item.key, None)
        if state == "failed":
            self.failed[f"{item.title} ({item.key})"] = message
            logger.warning("%s failed: %s", item.title, message)
        if self.progress is not None:
            done = self.total - len(self.left)
            self.progress(Progress(done, self.total, self._seconds_left(), item, state))

    def _seconds_left(self) -> float | None:
        """Estimate from what items of the same kind and model took, here or in earlier runs."""
        self.folder.manifest.refresh()
        took: dict[tuple[Any, ...], list[float]] = {}
        for line in self.folder.manifest.history:
            if line.seconds:
                for group in _groups(line.kind, line.identity):
                    took.setdefault(group, []).append(line.seconds)
        total = 0.0
        for item in self.left.values():
            known = [took[g] for g in _groups(item.kind, item.identity) if g in took]
            if not known:
                return None
            total += sum(known[0]) / len(known[0])
        return total / max(1, min(self.engine.n_jobs, len(self.left)))


def _groups(kind: str, identity: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Give what an item's time may be guessed from, the closest first."""
    parts = [identity.get(axis, {}).get("name") for axis in ("dataset", "architecture", "strategy")]
    for n in (3, 2, 0):
        yield (kind, *parts[:n])
