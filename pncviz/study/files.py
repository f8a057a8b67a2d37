"""Single files of a folder: a result, its sum and its origin; and the mark of the folder."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from pncviz._version import __version__
from pncviz.dataset import load
from pncviz.dataset.atomic import replacing
from pncviz.exceptions import StudyError

__all__ = ["is_marked", "known_identity", "mark", "sum_of"]

_MARK = "study.json"
_FORMAT = {"format": "pncviz-study", "format_version": 1}


def known_identity(kind: str, path: Path) -> object:
    """Read what a finished file is the result of, after checking all of it.

    Raises
    ------
    ResultError, ModelError
        It is damaged.
    KeyError, ValueError, TypeError
        It does not say.
    """
    if kind == "model":
        from pncviz.training import read_info

        return read_info(path)["study"]
    return json.loads(load(path).attrs["study"])


def sum_of(path: Path) -> tuple[int, str]:
    """Give a file's size in bytes, and its SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return os.fstat(file.fileno()).st_size, digest.hexdigest()


def mark(root: Path) -> None:
    """Say in a folder that it is one of studies, and how it is laid out."""
    with replacing(root / _MARK) as temporary:
        temporary.write_text(f"{json.dumps(_FORMAT)}\n", encoding="utf-8")


def is_marked(root: Path) -> bool:
    """Whether a folder is one of studies.

    Raises
    ------
    StudyError
        It is, but it is laid out otherwise, or does not say how.
    """
    path = root / _MARK
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} cannot be read: {error}.") from error
    if told != _FORMAT:
        raise StudyError(
            f"{path} says {json.dumps(told):.100}, perhaps of a newer pncviz; this one "
            f"({__version__}) reads {json.dumps(_FORMAT)}."
        )
    return True
