"""Working items off, wave by wave, with an eye on how far it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pncviz.study.engine import Engine, ProcessDiedError
from pncviz.study.folder import Folder
from pncviz.study.plan import Item

if TYPE_CHECKING:
    from pncviz.study.work import Answer

__all__ = ["Progress", "Runner"]

logger = logging.getLogger("pncviz")

#: Seconds between two looks at what another runner has claimed.
_POLL = 0.2


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


class Runner:
    """Works waves of items off, and keeps count.

    Parameters
    ----------
    folder : Folder
    engine : Engine
    missing : sequence of Item
        All that is to be done.
    progress : callable or None
        Told of each item that ends.

    Attributes
    ----------
    computed : int
        Items finished by this run.
    failed : dict of str to str
        Message by title of the item.
    without : set of str
        Keys of the items that failed.
    """

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
        self.without: set[str] = set()

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
                if error.item is not None:
                    message = f"Its process was killed, most often for want of memory: {error}"
                    self.folder.fail(error.item, message, "")
                    self._end(pending.pop(error.item.key), "failed", message)
                # Without knowing whose fault it was, each by itself until that is known.
                apart = len(pending) == before
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
            self.without.add(item.key)
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
