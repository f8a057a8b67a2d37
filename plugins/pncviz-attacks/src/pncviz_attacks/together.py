"""Many of scipy's optimisers at once, whose functions are evaluated in one batch.

:func:`scipy.optimize.minimize` calls the function, and there is no public way to have it the other
way round. So each problem has a thread, which sleeps while its point waits; when all that run are
waiting, the calling thread evaluates their points together and wakes them. All arithmetic but the
optimisers' own is done in the calling thread, and the batches are the same however the threads
happen to be scheduled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

__all__ = ["Minimum", "minimize_together"]

#: Threads at a time, and so the most points in a batch.
MOST = 128

Vector: TypeAlias = NDArray[np.float64]
#: From rows and their points (k, d) to values (k,) and gradients (k, d).
Evaluate: TypeAlias = Callable[[NDArray[np.int64], Vector], tuple[Vector, Vector]]


class Minimum(NamedTuple):
    """Where an optimiser ended.

    Attributes
    ----------
    x : float64 ndarray of shape (d,)
    n_iter : int
        Its iterations.
    finite : bool
        Whether all was finite to the end; if not, ``x`` is the last iterate before.
    """

    x: Vector
    n_iter: int
    finite: bool


#: What workers tell: a point to be evaluated, how it ended, or what went wrong.
_Post: TypeAlias = "SimpleQueue[tuple[int, Vector | Minimum | BaseException]]"


class _NotFiniteError(Exception):
    """A value or gradient is NaN or infinite: no optimiser can go on from there."""


class _GivenUpError(Exception):
    """The calling thread has left, and nobody will answer."""


def minimize_together(
    evaluate: Evaluate,
    starts: Vector,
    *,
    most: int = MOST,
    **settings: Any,
) -> list[Minimum]:
    """Minimise one function per row, each by its own L-BFGS-B, in one batch of evaluations.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(rows, points)`` gives the values (k,) and gradients (k, d) of these rows'
        functions at their points (k, d). Called in the calling thread, rows in ascending order.
    starts : float64 ndarray of shape (n, d)
    most : int, default=128
        Rows at a time.
    **settings
        Of :func:`scipy.optimize.minimize`: ``bounds``, ``options``.

    Returns
    -------
    list of n Minimum

    Raises
    ------
    BaseException
        What ``evaluate`` or an optimiser raised, Ctrl-C too; no thread is left behind.

    Examples
    --------
    >>> import numpy as np
    >>> goals = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> def squares(rows, points):
    ...     away = points - goals[rows]
    ...     return (away**2).sum(axis=1), 2 * away
    >>> [found.x.round(6).tolist() for found in minimize_together(squares, np.zeros((2, 2)))]
    [[1.0, 2.0], [3.0, 4.0]]
    """
    post: _Post = SimpleQueue()
    running: dict[int, _Worker] = {}
    results: dict[int, Minimum] = {}
    coming = iter(range(len(starts)))
    try:
        while True:
            for row in islice(coming, most - len(running)):
                running[row] = _Worker(row, starts[row], settings, post)
                running[row].start()
            if not running:
                return [results[row] for row in range(len(starts))]
            points = _collect(post, running, results)
            if points:
                # In order: which thread came first must not matter to a single bit.
                rows = np.array(sorted(points), dtype=np.int64)
                values, gradients = evaluate(rows, np.stack([points[row] for row in rows]))
                for row, value, gradient in zip(rows, values, gradients, strict=True):
                    running[row].answers.put((value, gradient))
    finally:
        for worker in running.values():
            worker.answers.put(None)
        for worker in running.values():
            if worker.is_alive():  # Ctrl-C may come before it was started
                worker.join()


def _collect(
    post: _Post, running: dict[int, _Worker], results: dict[int, Minimum]
) -> dict[int, Vector]:
    """Wait until each running row waits for an answer or has ended; give the points."""
    points: dict[int, Vector] = {}
    while len(points) < len(running):
        row, came = post.get()
        if isinstance(came, np.ndarray):
            points[row] = came
            continue
        del running[row]
        if isinstance(came, BaseException):
            raise came
        results[row] = came
    return points


class _Worker(threading.Thread):
    """The optimiser of one row."""

    def __init__(self, row: int, start: Vector, settings: dict[str, Any], post: _Post) -> None:
        # A daemon: should all else fail, it does not keep the process alive.
        super().__init__(name=f"pncviz-lbfgs-{row}", daemon=True)
        self.row, self.settings, self.post = row, settings, post
        self.point, self.n_iter = np.array(start, dtype=np.float64), 0
        self.answers: SimpleQueue[tuple[float, Vector] | None] = SimpleQueue()

    def run(self) -> None:
        """Minimise, and tell how it ended, whatever happens."""
        try:
            self.post.put((self.row, self.minimum()))
        except _GivenUpError:
            return
        except BaseException as error:  # raised again where it is waited for
            self.post.put((self.row, error))

    def minimum(self) -> Minimum:
        """Minimise."""
        try:
            found = minimize(
                self.ask,
                self.point,
                jac=True,
                method="L-BFGS-B",
                callback=self.note,
                **self.settings,
            )
        except _NotFiniteError:
            return Minimum(self.point, self.n_iter, finite=False)
        return Minimum(found.x, int(found.nit), finite=True)

    def ask(self, point: Vector) -> tuple[float, Vector]:
        """Have a point evaluated: sleep until it is."""
        self.post.put((self.row, point.copy()))
        answer = self.answers.get()
        if answer is None:
            raise _GivenUpError
        value, gradient = answer
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise _NotFiniteError
        return float(value), gradient

    def note(self, intermediate_result: OptimizeResult) -> None:
        """Keep the iterate: should nothing be finite any more, it is the last that was."""
        self.point, self.n_iter = intermediate_result.x.copy(), self.n_iter + 1
