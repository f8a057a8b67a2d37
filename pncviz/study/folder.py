"""The folder of studies: a place for each kind of file, claims, and what is finished."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pncviz.dataset.atomic import check_folder, replacing, sweep
from pncviz.exceptions import PncvizError, ResultError, StudyError
from pncviz.study.files import is_marked, known_identity, mark, sum_of
from pncviz.study.identity import canonical
from pncviz.study.locks import held
from pncviz.study.manifest import Line, Manifest
from pncviz.study.plan import Item, Plan

__all__ = ["Folder"]

_PLACES = {
    "contrast": ("contrasts", ".nc"),
    "null": ("nulls", ".nc"),
    "model": ("models", ".safetensors"),
    "cell": ("cells", ".nc"),
}
_OTHERS = ("studies", "failures", "claims")
_KEY = re.compile(r"[0-9a-f]{20}")


class Folder:
    """Where studies keep what they found; several studies and several runners may share one.

    Parameters
    ----------
    root : path-like

    Attributes
    ----------
    root : Path
    manifest : Manifest
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.manifest = Manifest(self.root / "manifest.jsonl")

    # ------------------------------------------------------------------- being there

    def usable(self) -> Folder:
        """Raise StudyError unless the folder is missing, empty, or one of studies."""
        if self.root.exists() and not self.root.is_dir():
            raise StudyError(f"{self.root} is a file; name a folder.")
        # Looked at before the mark, which another process may be about to make.
        found = [path for path in self.root.glob("*") if not path.name.startswith(".")]
        if not is_marked(self.root) and found:
            raise StudyError(
                f"{self.root} holds other things than a study; name an empty or a new folder."
            )
        return self

    def create(self) -> Folder:
        """Make the folder, unless it is there; raises if it cannot be written to.

        Raises
        ------
        StudyError
            It holds something else, or is of a newer pncviz.
        ResultError
            It cannot be written to.
        """
        self.usable()
        places = [self.root / name for name in (*(p for p, _ in _PLACES.values()), *_OTHERS)]
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            check_folder(self.manifest.path)
            if not is_marked(self.root):
                mark(self.root)  # first of all: who is killed here leaves a folder of ours
            for place in places:
                place.mkdir(exist_ok=True)
        except OSError as error:
            raise ResultError(f"{self.root} cannot be written: {error.strerror}.") from error
        for place in (self.root, *places):
            sweep(place)
        return self

    def existing(self) -> Folder:
        """Raise StudyError unless a study was run there."""
        if not is_marked(self.root):
            raise StudyError(
                f"{self.root} is not the folder of a study; `pncviz study run FILE --out "
                f"{self.root}` makes one."
            )
        self.manifest.refresh()
        return self

    # ------------------------------------------------------------------- studies in it

    def keep_plan(self, plan: Plan) -> None:
        """Keep which cells a study has, for those who only read."""
        with replacing(self.root / "studies" / f"{plan.name}.json") as temporary:
            temporary.write_text(plan.to_json(), encoding="utf-8")

    def studies(self) -> list[str]:
        """Name the studies that were run here."""
        return sorted(path.stem for path in (self.root / "studies").glob("*.json"))

    def plan(self, name: str | None = None) -> Plan:
        """Give the cells of a study; the name may be left out if there is only one.

        Raises
        ------
        StudyError
            No such study, or several and no name.
        """
        names = self.studies()
        if name is None and len(names) == 1:
            name = names[0]
        if name not in names:
            what = "holds several studies" if name is None else f'holds no study "{name}"'
            raise StudyError(f"{self.root} {what}; name one of {', '.join(names) or 'none'}.")
        path = self.root / "studies" / f"{name}.json"
        try:
            return Plan.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            told = f"{path} cannot be read ({error!r:.100}); running the study writes it anew."
            raise StudyError(told) from error

    # ------------------------------------------------------------------- files

    def path(self, kind: str, key: str) -> Path:
        """Say where an item's file lies, or will."""
        place, suffix = _PLACES[kind]
        return self.root / place / f"{key}{suffix}"

    def fault(self, line: Line) -> str | None:
        """Say what is wrong with a finished file, or None: it is there and has its sum."""
        path = self.root / line.file
        try:
            size, digest = sum_of(path)
        except OSError as error:
            return f"{line.file} cannot be read ({error.strerror})"
        if size != line.size:
            return f"{line.file} is damaged: {size} bytes, not the {line.size} of the manifest"
        if digest != line.sha256:
            return f"{line.file} is damaged: its SHA-256 is not the manifest's"
        return None

    def commit(self, item: Item, seconds: float) -> Line:
        """List a file that is whole, on the disk and under its name: from here on it counts."""
        path = self.path(item.kind, item.key)
        size, digest = sum_of(path)
        file = path.relative_to(self.root).as_posix()
        line = Line(item.kind, item.key, file, size, digest, round(seconds, 3), item.identity)
        self.manifest.append(line)
        self.settle(item.key)
        return line

    def settle(self, key: str) -> None:
        """Remove what is kept of an item until it is finished: its claim, and why it failed."""
        for stale in (self._claim(key), self._failure(key)):
            stale.unlink(missing_ok=True)

    def adopt(self, item: Item) -> bool:
        """List a finished file that lacks its line, after reading it; whether there was one."""
        path = self.path(item.kind, item.key)
        if not path.is_file():
            return False
        try:
            known = known_identity(item.kind, path)
        except (PncvizError, KeyError, ValueError, TypeError, OSError):
            return False
        if canonical(known) != canonical(item.identity):
            return False
        self.commit(item, 0.0)
        return True

    def files(self) -> list[Path]:
        """List every file of an item: finished or not, why it failed, who claims it.

        Files that somebody else put there are not among them.
        """
        places = (*(place for place, _ in _PLACES.values()), "failures", "claims")
        found = (path for place in places for path in (self.root / place).glob("*"))
        return sorted(path for path in found if path.is_file() and _KEY.fullmatch(path.stem))

    def finished(self) -> list[Path]:
        """List the files of results, whether they have their lines or not."""
        places = {place for place, _ in _PLACES.values()}
        return [path for path in self.files() if path.parent.name in places]

    def remove(self, key: str) -> bool:
        """Remove all files of an item, unless a process is at work on it."""
        with self.claimed(key) as mine:
            if mine:
                self.manifest.withdraw(key)
                for path in [*(self.path(kind, key) for kind in _PLACES), self._failure(key)]:
                    path.unlink(missing_ok=True)
                self._claim(key).unlink(missing_ok=True)
        return mine

    # ------------------------------------------------------------------- claims, failures

    @contextmanager
    def claimed(self, key: str) -> Iterator[bool]:
        """Hold an item, or learn that another process does; the kernel frees it at death."""
        with held(self._claim(key), wait=False) as mine:
            yield mine

    def is_claimed(self, key: str) -> bool:
        """Whether a process is at work on an item, as far as can be told without a claim."""
        if not self._claim(key).exists():
            return False
        try:
            with self.claimed(key) as mine:
                return not mine
        except OSError:  # a folder that we may only read
            return False

    def _claim(self, key: str) -> Path:
        return self.root / "claims" / f"{key}.lock"

    def _failure(self, key: str) -> Path:
        return self.root / "failures" / f"{key}.json"

    def fail(self, item: Item, message: str, trace: str) -> None:
        """Keep why an item failed, until it succeeds."""
        record = {"title": item.title, "message": message, "traceback": trace, "at": time.time()}
        with suppress(OSError), replacing(self._failure(item.key)) as temporary:
            temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")

    def failure(self, key: str) -> dict[str, Any] | None:
        """Give what was kept of a failure, if anything."""
        try:
            record = json.loads(self._failure(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None
