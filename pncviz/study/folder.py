"""The folder of studies: a place for each kind of file, claims, and what is finished."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pncviz.dataset import load
from pncviz.dataset.atomic import check_folder, replacing, sweep
from pncviz.exceptions import PncvizError, ResultError, StudyError
from pncviz.study.identity import canonical
from pncviz.study.manifest import Line, Manifest
from pncviz.study.plan import Item, Plan

__all__ = ["Folder", "known_identity"]

_PLACES = {
    "contrast": ("contrasts", ".nc"),
    "null": ("nulls", ".nc"),
    "model": ("models", ".safetensors"),
    "cell": ("cells", ".nc"),
}
_OTHERS = ("studies", "failures", "claims")
_MARK = "study.json"


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

    def create(self) -> Folder:
        """Make the folder, unless it is there; raises if it cannot be written to.

        Raises
        ------
        StudyError
            It holds something else.
        ResultError
            It cannot be written to.
        """
        mark = self.root / _MARK
        if self.root.exists() and not mark.exists() and any(self.root.iterdir()):
            raise StudyError(
                f"{self.root} holds other things than a study; name an empty or a new folder."
            )
        try:
            for name in (*(place for place, _ in _PLACES.values()), *_OTHERS):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResultError(f"{self.root} cannot be written: {error.strerror}.") from error
        check_folder(self.root / "manifest.jsonl")
        if not mark.exists():
            with replacing(mark) as temporary:
                temporary.write_text('{"format": "pncviz-study", "format_version": 1}\n')
        for name, _ in _PLACES.values():
            sweep(self.root / name)
        return self

    def existing(self) -> Folder:
        """Raise StudyError unless a study was run there."""
        if not (self.root / _MARK).is_file():
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
        text = (self.root / "studies" / f"{name}.json").read_text(encoding="utf-8")
        return Plan.from_json(text)

    # ------------------------------------------------------------------- files

    def path(self, kind: str, key: str) -> Path:
        """Say where an item's file lies, or will."""
        place, suffix = _PLACES[kind]
        return self.root / place / f"{key}{suffix}"

    def fault(self, line: Line) -> str | None:
        """Say what is wrong with a finished file, or None: it is there and has its sum."""
        path = self.root / line.file
        try:
            size, digest = _sum_of(path)
        except OSError as error:
            return f"{line.file} cannot be read ({error.strerror})"
        if (size, digest) != (line.size, line.sha256):
            return f"{line.file} is damaged: {size} bytes that do not have the manifest's SHA-256"
        return None

    def commit(self, item: Item, seconds: float) -> Line:
        """List a file that is whole, on the disk and under its name: from here on it counts."""
        path = self.path(item.kind, item.key)
        size, digest = _sum_of(path)
        file = path.relative_to(self.root).as_posix()
        line = Line(item.kind, item.key, file, size, digest, round(seconds, 3), item.identity)
        self.manifest.append(line)
        for stale in (self._claim(item.key), self._failure(item.key)):
            stale.unlink(missing_ok=True)
        return line

    def adopt(self, item: Item) -> bool:
        """List a finished file that lacks its line, after reading it; whether there was one."""
        path = self.path(item.kind, item.key)
        if not path.is_file():
            return False
        try:
            known = known_identity(item.kind, path)
        except (PncvizError, KeyError, ValueError):
            return False
        if canonical(known) != canonical(item.identity):
            return False
        self.commit(item, 0.0)
        return True

    def files(self) -> list[Path]:
        """List every file of an item: finished or not, why it failed, who claims it."""
        places = (*(place for place, _ in _PLACES.values()), "failures", "claims")
        found = (path for place in places for path in (self.root / place).iterdir())
        return sorted(path for path in found if path.is_file() and not path.name.startswith("."))

    # ------------------------------------------------------------------- claims, failures

    @contextmanager
    def claimed(self, key: str) -> Iterator[bool]:
        """Hold an item, or learn that another process does; the kernel frees it at death."""
        lock = FileLock(self._claim(key), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        except (OSError, NotImplementedError) as error:
            if getattr(error, "errno", None) not in (errno.ENOLCK, errno.ENOTSUP, None):
                raise
            yield True  # a file system without locks: only safe with one scheduler
            return
        try:
            yield True
        finally:
            lock.release()

    def is_claimed(self, key: str) -> bool:
        """Whether a process is at work on an item, as far as can be told without a claim."""
        if not self._claim(key).exists():
            return False
        with self.claimed(key) as mine:
            return not mine

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


def known_identity(kind: str, path: Path) -> object:
    """Read what a finished file is the result of, after checking all of it.

    Raises
    ------
    ResultError, ModelError
        It is damaged.
    KeyError, ValueError
        It does not say.
    """
    if kind == "model":
        from pncviz.training import read_info

        return read_info(path)["study"]
    return json.loads(load(path).attrs["study"])


def _sum_of(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return os.fstat(file.fileno()).st_size, digest.hexdigest()
