"""Studies under kill -9, with two runners in one folder; and on every backend."""

import os
import signal

import psutil
import pytest
from study_chaos import compare_folders, torment, write_study

from pncviz.study import run_study, verify_study


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """Twelve cells, done by one undisturbed process."""
    folder = tmp_path_factory.mktemp("calm")
    study = write_study(folder / "chaos.toml", 12)
    run_study(study, folder / "out")
    return study, folder / "out"


def test_two_runners_under_kills_lose_nothing(calm, tmp_path):
    """Five kills in twelve cells: complete, nothing done twice, the same bits."""
    study, out = calm
    assert torment(study, tmp_path / "out", 5, longest=5.0) == 5
    items, lost, redone, different = compare_folders(out, tmp_path / "out")
    assert items > 12
    assert (lost, redone, different) == (0, 0, 0)
    assert verify_study(tmp_path / "out") == []


@pytest.mark.slow
def test_sixty_cells_under_thirty_kills(tmp_path):
    """The same at the size that the issue asks for."""
    study = write_study(tmp_path / "chaos.toml", 60)
    run_study(study, tmp_path / "calm", n_jobs=2)
    assert torment(study, tmp_path / "killed", 30) == 30
    items, lost, redone, different = compare_folders(tmp_path / "calm", tmp_path / "killed")
    assert items > 60
    assert (lost, redone, different) == (0, 0, 0)
    assert verify_study(tmp_path / "killed") == []


@pytest.fixture(scope="module")
def cluster():
    """A dask cluster of two processes."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


def test_dask_with_a_killed_worker_gives_the_bits_of_one(calm, tmp_path, cluster):
    """Killing a worker half-way loses nothing, and dask computes what one process does."""
    study, out = calm
    killed = []

    def kill_one(progress):
        if progress.item.kind == "cell" and not killed:
            pids = [worker.pid for worker in cluster.workers.values()]
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    outcome = run_study(
        study,
        tmp_path / "out",
        backend="dask",
        scheduler=cluster.scheduler_address,
        progress=kill_one,
    )
    assert killed
    assert outcome.failed == {}
    items, *differences = compare_folders(out, tmp_path / "out")
    assert items > 12
    assert differences == [0, 0, 0]


def test_a_killed_worker_of_loky_costs_its_cell_only(calm, tmp_path):
    """A worker is killed once, as for want of memory: its cell is done again, all else stays."""
    study, out = calm
    killed = []

    def kill_one(progress):
        if progress.item.kind == "cell" and not killed:
            family = psutil.Process().children(recursive=True)
            workers = [child for child in family if "LokyProcess" in " ".join(child.cmdline())]
            killed.append(workers[0].pid)
            workers[0].kill()

    outcome = run_study(study, tmp_path / "out", n_jobs=2, progress=kill_one)
    assert killed
    assert outcome.failed == {}
    items, *differences = compare_folders(out, tmp_path / "out")
    assert items > 12
    assert differences == [0, 0, 0]
