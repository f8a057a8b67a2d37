"""Looking after a folder: how far its studies are, whether files are whole, what is left over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pncviz.exceptions import PncvizError
from pncviz.study.files import known_identity
from pncviz.study.folder import Folder
from pncviz.study.identity import canonical, key_of
from pncviz.study.manifest import Line

__all__ = ["Status", "clean_study", "study_status", "verify_study"]


@dataclass(frozen=True)
class Status:
    """How far one study is.

    Attributes
    ----------
    study : str
    done, running, failed, missing : int
        Cells; ``running`` are claimed by a process at this moment.
    failures : dict of str to str
        Message by title, of models and contrasts as well.
    """

    study: str
    done: int
    running: int
    failed: int
    missing: int
    failures: dict[str, str]

    @property
    def total(self) -> int:
        """Cells in all."""
        return self.done + self.running + self.failed + self.missing


def study_status(out: str | os.PathLike[str]) -> list[Status]:
    """Say how far each study of a folder is, without data and without disturbing a run.

    Raises
    ------
    StudyError
        Not a study's folder.
    """
    folder = Folder(out).existing()
    found = []
    for name in folder.studies():
        plan = folder.plan(name)
        counts = {"done": 0, "running": 0, "failed": 0, "missing": 0}
        failures: dict[str, str] = {}
        for cell in plan.cells:
            counts[_state(folder, cell.key)] += 1
            for key in (cell.key, *cell.needs.values()):
                failure = folder.failure(key)
                if failure and key not in folder.manifest.lines:
                    failures[f"{failure['title']} ({key})"] = str(failure["message"])
        found.append(Status(name, **counts, failures=failures))
    return found


def _state(folder: Folder, key: str) -> str:
    if key in folder.manifest.lines:
        return "done"
    if folder.is_claimed(key):
        return "running"
    return "failed" if folder.failure(key) else "missing"


def verify_study(out: str | os.PathLike[str]) -> list[str]:
    """Read every finished file whole, and say what is wrong; nothing is changed.

    Returns
    -------
    list of str
        A line per problem; empty if all is well. ``pncviz study run`` computes damaged files anew.

    Raises
    ------
    StudyError
        Not a study's folder.
    """
    folder = Folder(out).existing()
    lines = folder.manifest.lines
    problems = [told for line in lines.values() for told in _told(folder, line)]
    unlisted = [path for path in folder.finished() if path.stem not in lines]
    # A damaged line harms no more once its file has another one.
    if folder.manifest.damaged and unlisted:
        problems.append(
            f"{folder.manifest.path.name}: lines are damaged and count as not written, in all "
            f"{folder.manifest.damaged}; {len(unlisted)} files lack theirs"
        )
    return problems


def _told(folder: Folder, line: Line) -> Iterator[str]:
    """Check one file against its line, and its content against its name."""
    fault = folder.fault(line)
    if fault:
        yield fault
    elif key_of(line.identity) != line.key:
        yield f"{line.file}: its line in the manifest names another identity than its key"
    else:
        try:
            known = known_identity(line.kind, folder.root / line.file)
            if canonical(known) != canonical(line.identity):
                yield f"{line.file} is the result of something else than its line says"
        except (PncvizError, KeyError, ValueError, TypeError) as error:
            yield f"{line.file}: {error}"


def clean_study(out: str | os.PathLike[str], *, dry_run: bool = False) -> list[Path]:
    """Remove the files that no study of the folder needs any more: those of older configurations.

    Claims of dead processes and failures of cells that no study has go as well. Do not run it while
    a study runs whose configuration has changed since.

    Parameters
    ----------
    out : path-like
    dry_run : bool, default=False
        Only say what would be removed.

    Returns
    -------
    list of Path
        What was removed.

    Raises
    ------
    StudyError
        Not a study's folder.
    """
    folder = Folder(out).existing()
    needed = {
        key
        for name in folder.studies()
        for cell in folder.plan(name).cells
        for key in (cell.key, *cell.needs.values())
    }
    stale = [path for path in folder.files() if path.stem not in needed]
    if dry_run:
        return stale
    keys = {path.stem for path in stale} | (set(folder.manifest.lines) - needed)
    removed = {key for key in sorted(keys) if folder.remove(key)}
    return [path for path in stale if path.stem in removed]
