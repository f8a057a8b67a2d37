"""The list of what is finished: one line each, appended last, never rewritten."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pncviz.exceptions import StudyError
from pncviz.study.identity import canonical
from pncviz.study.locks import held

__all__ = ["Line", "Manifest"]


@dataclass(frozen=True)
class Line:
    """One finished item.

    Attributes
    ----------
    kind, key : str
    file : str
        Below the folder, with ``/``; empty in a line that takes an earlier one back.
    size : int
        Bytes.
    sha256 : str
        Of the file.
    seconds : float
        What it took; 0 where a finished file was adopted.
    identity : dict
        What it is the result of.
    """

    kind: str
    key: str
    file: str
    size: int
    sha256: str
    seconds: float
    identity: dict[str, Any]

    def text(self) -> str:
        """Give the line as it is written, with a sum of itself."""
        body = canonical(asdict(self))
        return canonical({"sum": _sum(body), "item": json.loads(body)}) + "\n"

    @classmethod
    def read(cls, text: bytes) -> Line | None:
        """Undo :meth:`text`; None for what is no whole line."""
        try:
            raw = json.loads(text)
            whole = raw["sum"] == _sum(canonical(raw["item"]))
            return cls(**raw["item"]) if whole else None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


class Manifest:
    """The lines of one folder, read on from where the last look ended.

    Several processes may append at once: each does so whole, under a lock of the operating system.

    Parameters
    ----------
    path : Path
        Need not be there yet.

    Attributes
    ----------
    lines : dict of str to Line
        The latest by key.
    history : list of Line
        All, in the order of the file.
    damaged : int
        Lines that were cut off or changed; they count as not written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = Manifest(Path(folder) / "manifest.jsonl")
    ...     manifest.append(Line("cell", "k", "cells/k.nc", 3, "0" * 64, 1.5, {"seed": 0}))
    ...     Manifest(manifest.path).refresh()["k"].identity
    {'seed': 0}
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, Line] = {}
        self.history: list[Line] = []
        self.damaged = 0
        self._read = 0

    def refresh(self) -> Mapping[str, Line]:
        """Read what has been appended since, and give the latest line of each key.

        Raises
        ------
        StudyError
            The file is there, but cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return self.lines
        except OSError as error:
            raise StudyError(f"{self.path} cannot be read: {error.strerror}.") from error
        whole = new.rfind(b"\n") + 1  # what follows may still be being written
        self._read += whole
        for text in new[:whole].splitlines():
            if not text:
                continue
            line = Line.read(text)
            if line is None:
                self.damaged += 1
            else:
                self.history.append(line)
                self.lines[line.key] = line
                if not line.file:
                    del self.lines[line.key]
        return self.lines

    def append(self, line: Line) -> None:
        """Add a line, on the disk when this returns."""
        with held(self.path.with_name(self.path.name + ".lock"), wait=True):
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                text = line.text().encode()
                # A writer that lost its power may have left half a line.
                if not _ends_line(descriptor):
                    text = b"\n" + text
                while text:  # a disk that is nearly full takes a part
                    text = text[os.write(descriptor, text) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self.refresh()

    def withdraw(self, key: str) -> None:
        """Take an item's line back, because its file was removed on purpose."""
        if key in self.lines:
            self.append(replace(self.lines[key], file="", size=0, sha256="", seconds=0.0))


def _ends_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
