"""Locks of the operating system, which the kernel frees when their holder dies."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["held"]

#: A file system without locks: only safe with one scheduler.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, None)


@contextmanager
def held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock file, or learn that another process does.

    Parameters
    ----------
    path : Path
    wait : bool
        Until it is free.

    Yields
    ------
    bool
        Whether it is held; always if ``wait``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with held(Path(folder) / "a.lock", wait=False) as first:
    ...         with held(Path(folder) / "a.lock", wait=False) as second:
    ...             (first, second)
    (True, False)
    """
    lock = FileLock(path, timeout=-1 if wait else 0, poll_interval=0.01)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        if getattr(error, "errno", None) not in _NO_LOCKS:
            raise
        yield True
        return
    try:
        yield True
    finally:
        lock.release()
