"""Many items at once: joblib is the one interface, loky on one machine, dask for many."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib

from pncviz.exceptions import ParameterError, StudyError
from pncviz.study.plan import Item

if TYPE_CHECKING:
    from pncviz.study.work import Answer

__all__ = ["BACKENDS", "Engine"]

BACKENDS = ("loky", "dask")


class Engine:
    """Hands items to processes and gives their answers as they come.

    Parameters
    ----------
    root : path-like
        The studies' folder; with dask, a path that every worker can reach.
    n_jobs : int, default=1
        Processes; 1 works in this one, -1 takes as many as there are processors.
    backend : {"loky", "dask"}, default="loky"
    scheduler : str, optional
        Address of a dask scheduler, such as ``tcp://host:8786``; without it dask starts
        ``n_jobs`` processes here.

    Raises
    ------
    ParameterError
        An unknown backend, a number of jobs that is none, or a scheduler without dask.
    StudyError
        dask.distributed is not installed, or the scheduler does not answer.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        n_jobs: int = 1,
        backend: str = "loky",
        scheduler: str | None = None,
    ) -> None:
        if backend not in BACKENDS:
            raise ParameterError(
                f"`backend` must be one of {', '.join(BACKENDS)}, got {backend!r}."
            )
        if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0 or n_jobs < -1:
            raise ParameterError(f"`n_jobs` must be a positive integer or -1, got {n_jobs!r}.")
        if scheduler is not None and backend != "dask":
            raise ParameterError(f'`scheduler` is for backend="dask", got backend={backend!r}.')
        # Workers of a cluster may have another working directory.
        self.root = str(Path(root).absolute())
        self.n_jobs = (os.cpu_count() or 1) if n_jobs == -1 else n_jobs
        self.backend, self.scheduler = backend, scheduler

    @contextmanager
    def running(self) -> Iterator[Engine]:
        """Have processes while the block lasts, and none after it, whatever ends it."""
        try:
            if self.backend == "dask":
                with self._cluster(), joblib.parallel_config("dask"):
                    yield self
            else:
                with (
                    joblib.parallel_config("loky", inner_max_num_threads=1),
                    warnings.catch_warnings(),
                ):
                    # loky replaces processes that have grown, as those that hold data do.
                    warnings.filterwarnings("ignore", "A worker stopped while some jobs")
                    yield self
        except KeyboardInterrupt:
            self._kill()
            raise

    @contextmanager
    def _cluster(self) -> Iterator[None]:
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise StudyError(
                'backend="dask" needs dask.distributed: pip install "pncviz[dask]".'
            ) from error
        if self.scheduler is not None:
            try:
                client = Client(self.scheduler)
            except (OSError, ValueError) as error:
                told = f"The scheduler {self.scheduler} does not answer: {error}."
                raise StudyError(told) from error
            with client:
                yield
            return
        with (
            LocalCluster(
                n_workers=self.n_jobs, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster),
        ):
            yield

    def answers(self, items: Sequence[Item], *, apart: bool = False) -> Iterator[Answer]:
        """Work items off, in no order; ``apart`` gives each a process of its own.

        Raises
        ------
        ProcessDiedError
            A process was killed, so some items have no answer.
        """
        if apart:
            for item in items:
                try:
                    yield from self._pool([item], 2)  # one job would be done in this process
                except ProcessDiedError as error:
                    error.item = item
                    raise
            return
        yield from self._pool(items, self._width(len(items)))

    def _width(self, n_items: int) -> int:
        return -1 if self.backend == "dask" else max(1, min(self.n_jobs, n_items))

    def _pool(self, items: Sequence[Item], width: int) -> Iterator[Answer]:
        pool = joblib.Parallel(
            n_jobs=width, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
        )
        try:
            yield from pool(joblib.delayed(_call)(self.root, item, os.getpid()) for item in items)
        except KeyboardInterrupt:
            raise
        except Exception as error:
            if type(error).__name__ in _DEATHS:
                self._kill()
                raise ProcessDiedError(str(error)) from error
            raise

    def _kill(self) -> None:
        if self.backend == "loky":
            from joblib.externals.loky import get_reusable_executor

            # Without `reuse`, loky would wait for what its processes are at.
            get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


#: What loky and dask raise when a process is gone.
_DEATHS = {"TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "CancelledError"}


class ProcessDiedError(RuntimeError):
    """A worker process was killed: out of memory, most often.

    ``item`` is what it was at, if that is known.
    """

    item: Item | None = None


def _call(root: str, item: Item, parent: int) -> Any:
    """Work in a worker process, which leaves Ctrl-C to the one that started it."""
    if os.getpid() != parent and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    from pncviz.study.work import work  # takes seconds, in which Ctrl-C may come

    return work(root, item)
