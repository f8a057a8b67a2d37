"""Files that are the old one or the new one, whole, whatever happens in between."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from pncviz.exceptions import ResultError

__all__ = ["check_folder", "interrupts_deferred", "replacing", "sweep"]

_SUFFIX = ".pncviz-tmp"
_NAME = re.compile(r"\..*\.(?P<pid>\d+)-(?P<host>[0-9a-f]{8})[0-9a-f]{16}\.pncviz-tmp", re.DOTALL)
_DAY = 86_400.0


def _host() -> str:
    """Eight digits for this machine: on a shared folder, another's process ids mean nothing."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _temporary(path: Path) -> Path:
    """Make up a name beside the target that no one else has and that says whose it is."""
    # File names end at 255 bytes; ours needs about 60 of them.
    name = os.fsencode(path.name)[:180].decode("utf-8", "ignore")
    return path.with_name(f".{name}.{os.getpid()}-{_host()}{secrets.token_hex(8)}{_SUFFIX}")


def _alive(pid: int) -> bool:
    """Whether a process of this machine is running."""
    if os.name != "posix":
        return True  # os.kill would end it there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def sweep(folder: Path) -> list[Path]:
    """Remove what killed processes left in a folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of Path
        What was removed: temporary files of processes of this machine that no longer run, and of
        anyone once they are a day old.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sweep(Path(folder))
    []
    """
    removed = []
    for path in folder.glob(f".*{_SUFFIX}"):
        match = _NAME.fullmatch(path.name)
        if not match:
            continue
        with suppress(OSError):  # another process may sweep at the same time
            dead = match["host"] == _host() and not _alive(int(match["pid"]))
            if dead or time.time() - path.stat().st_mtime > _DAY:
                path.unlink()
                removed.append(path)
    return removed


def check_folder(path: Path) -> None:
    """Raise unless a file could be written to ``path``, by really writing one beside it.

    Parameters
    ----------
    path : Path
        The target.

    Raises
    ------
    ResultError
        If ``path`` is a folder, or its folder is missing or cannot be written to.

    Examples
    --------
    >>> check_folder(Path("/no/such/folder/a.nc"))
    Traceback (most recent call last):
        ...
    pncviz.exceptions.ResultError: /no/such/folder/a.nc cannot be written: there is no folder \
/no/such/folder within reach; create it first.
    """
    if os.path.isdir(path):
        raise ResultError(f"{path} cannot be written: it is a folder; name a file in it.")
    folder = path.parent
    if not os.path.isdir(folder):  # Path.is_dir raises where access is denied
        raise ResultError(
            f"{path} cannot be written: there is no folder {folder} within reach; create it first."
        )
    probe = _temporary(path)
    try:
        # os.access lies to root and on network folders.
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        probe.unlink()
    except OSError as error:
        raise ResultError(
            f"{path} cannot be written: folder {folder} takes no files ({error.strerror}); choose "
            "another one."
        ) from error


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Hold Ctrl-C back until the block is over; does nothing outside the main thread.

    Examples
    --------
    >>> with interrupts_deferred():
    ...     pass
    """
    main = threading.current_thread() is threading.main_thread()
    # None: a handler that was not installed from Python, and so could not be put back.
    if not main or signal.getsignal(signal.SIGINT) is None:
        yield
        return
    pressed: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's own form
        pressed.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def _sync(path: Path) -> None:
    """Push a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file's name, which becomes ``path`` if the block ends well.

    Parameters
    ----------
    path : Path
        The target; a symbolic link is followed.

    Yields
    ------
    Path
        Beside the target, so that renaming is one step. Removed if the block raises.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("new")
    ...     [file.name for file in Path(folder).iterdir()]
    ['a.txt']
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary(target)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some systems cannot open folders; the file itself is safe
        _sync(target.parent)
