"""Ctrl-C while somebody else's loop swallows it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupts_noticed"]


@contextmanager
def interrupts_noticed() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end of the block, if Ctrl-C was pressed within it.

    skorch ends training on a KeyboardInterrupt, which its callbacks raise to stop early as well,
    and goes on as if training were done. Does nothing outside the main thread.

    Examples
    --------
    >>> with interrupts_noticed():
    ...     pass
    """
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(before):
        yield
        return
    pressed: list[int] = []

    def notice(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
