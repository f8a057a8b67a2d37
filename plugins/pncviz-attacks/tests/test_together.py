"""Many of scipy's optimisers at once: as each alone, whatever goes wrong, and no thread left."""

import signal
import threading

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from pncviz_attacks.together import _Worker, minimize_together

N, D = 7, 4
STARTS = np.random.default_rng(0).uniform(-1, 1, (N, D))


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    """Whatever a test does, as many threads run after it as before."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def rosenbrock(rows, points):  # the same function for every row
    """Give Rosenbrock's function and its gradient."""
    return np.array([rosen(point) for point in points]), np.stack(list(map(rosen_der, points)))


@pytest.mark.parametrize("most", [1, 3, 128])
@pytest.mark.parametrize("bounds", [None, [(-1.0, 0.5)] * D])
def test_each_as_alone(most, bounds):
    """Each row ends at the very bits where scipy alone ends, in as many iterations."""
    found = minimize_together(rosenbrock, STARTS, most=most, bounds=bounds)
    for start, one in zip(STARTS, found, strict=True):
        alone = minimize(rosen, start, jac=rosen_der, method="L-BFGS-B", bounds=bounds)
        np.testing.assert_array_equal(one.x, alone.x)
        assert (one.n_iter, one.finite) == (alone.nit, True)


def test_points_are_evaluated_together():
    """All rows that run are in one batch, in order, and no more of them than allowed."""
    seen = []

    def noted(rows, points):
        seen.append(rows.tolist())
        return rosenbrock(rows, points)

    minimize_together(noted, STARTS, most=3)
    assert seen[0] == [0, 1, 2]
    assert all(rows == sorted(set(rows)) and len(rows) <= 3 for rows in seen)
    assert {row for rows in seen for row in rows} == set(range(N))
    again, seen[:] = list(seen), []
    minimize_together(noted, STARTS, most=3)
    assert seen == again


def test_no_rows():
    """Nothing to minimise is nothing to wait for."""
    assert minimize_together(rosenbrock, STARTS[:0]) == []


@pytest.mark.parametrize("when", [1, 5])
@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, SystemExit])
def test_what_is_raised_comes_through(error, when):
    """What the function raises is raised, at the start and midway."""
    calls = []

    def failing(rows, points):
        calls.append(rows)
        if len(calls) == when:
            raise error("here")
        return rosenbrock(rows, points)

    with pytest.raises(error, match="here"):
        minimize_together(failing, STARTS, most=3)


def test_ctrl_c_in_the_function():
    """Ctrl-C while the function runs is an interrupt, not a hang."""

    def interrupted(rows, points):
        signal.raise_signal(signal.SIGINT)
        return rosenbrock(rows, points)

    with pytest.raises(KeyboardInterrupt):
        minimize_together(interrupted, STARTS)


def test_ctrl_c_while_waiting(monkeypatch):
    """Ctrl-C while the calling thread waits for an optimiser at work is an interrupt, too."""
    main, release = threading.main_thread().ident, threading.Event()

    def press(*_):
        signal.pthread_kill(main, signal.SIGINT)
        # Longer than the interrupt takes: it finds nothing in the post.
        release.wait(1)

    monkeypatch.setattr(_Worker, "note", press)
    with pytest.raises(KeyboardInterrupt):
        minimize_together(rosenbrock, STARTS[:2])


def test_errors_of_the_optimiser_come_through():
    """What scipy itself finds wrong is raised in the calling thread."""
    with pytest.raises(ValueError, match="bound"):
        minimize_together(rosenbrock, STARTS, bounds=[(1.0, 0.0)] * D)


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stops_one_row(strange):
    """A row whose value or slope is not finite keeps its last iterate; the others are as alone."""
    calls = dict.fromkeys(range(N), 0)

    def spoilt(rows, points):
        values, gradients = rosenbrock(rows, points)
        for place, row in enumerate(rows):
            calls[row] += 1
            if row == 2 and calls[row] == 6:
                values[place] = strange
            if row == 4:
                gradients[place, 1] = strange
        return values, gradients

    found, alone = minimize_together(spoilt, STARTS), minimize_together(rosenbrock, STARTS)
    assert [one.finite for one in found] == [True, True, False, True, False, True, True]
    assert 0 < found[2].n_iter < alone[2].n_iter
    assert rosen(found[2].x) < rosen(STARTS[2])
    assert found[4].n_iter == 0
    np.testing.assert_array_equal(found[4].x, STARTS[4])
    for row in (0, 1, 3, 5, 6):
        np.testing.assert_array_equal(found[row].x, alone[row].x)
