"""The commands of studies: what they say, how they end, and Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
import warnings

import psutil
import pytest
from study_small import Plugin, moody, study, write

from pncviz import register
from pncviz.cli import main
from pncviz.registry import default_registry
from pncviz.study import run_study, study_status, verify_study
from pncviz.study.folder import Folder
from pncviz.study.plan import make_plan


@pytest.fixture
def plugins():
    """Strategies and architectures of the tests, in a registry that ends with the test."""
    default_registry.cache_clear()
    register(Plugin(), "tests")
    yield
    default_registry.cache_clear()


def in_process(*args, code=0):
    """Run the command line in this process; give what it said on both streams."""
    from typer.testing import CliRunner

    from pncviz.cli.studies import study as app

    found = CliRunner().invoke(app, [*map(str, args)])
    assert found.exit_code == code, found.output
    return found.output


def test_the_commands(tmp_path):
    """Run, status, verify, collect and clean say what there is and end with 0."""
    file, out = write(tmp_path / "a.toml", {"strategy": ["zero", "noise"]}), tmp_path / "out"
    told = in_process("run", file, "--out", out)
    assert told == (
        f"{out}: 2 of 2 cells are there, 0 of them from before; 4 items computed, 0 failed.\n"
    )
    assert "2 of them from before; 0 items" in in_process("run", file, "-o", out, "-j", 1)
    assert re.search(r"small +2 +2 +0 +0 +0", in_process("status", out))
    assert in_process("verify", out) == f"{out}: every finished file is whole.\n"
    assert in_process("collect", out, "-o", tmp_path / "a.nc") == (
        f"{tmp_path / 'a.nc'}, /tiling: 2 done\n"
    )
    assert in_process("clean", out) == "0 files were removed.\n"
    write(file, {"strategy": ["zero"]})
    assert "0 items computed" in in_process("run", file, "-o", out)
    assert "1 files would be removed." in in_process("clean", out, "--dry-run")
    assert "1 files were removed." in in_process("clean", out)
    write(file, {"strategy": ["zero"]}, extraction={"max_iter": 4})
    told = in_process("run", file, "-o", out)
    assert re.search(r"not reused: cell: .*: changed: extraction.max_iter 5 → 4\n", told)


def test_many_reasons_are_counted(tmp_path):
    """Five reasons are written out, and the others counted; new cells need none."""
    file, out = tmp_path / "a.toml", tmp_path / "out"
    run_study(study({"seed": [*range(7)]}), out)
    write(file, {"seed": [*range(7)]}, extraction={"max_iter": 4})
    told = in_process("run", file, "-o", out)
    assert told.count("not reused: ") == 5
    assert "… and 2 more" in told


def test_the_commands_tell_failures(tmp_path, plugins):
    """Exit code 1, the cell and its message, and nothing that a terminal would obey."""
    flag, out = tmp_path / "there", tmp_path / "out"
    flag.write_text("")
    file = write(tmp_path / "a.toml", moody(flag))
    told = in_process("run", file, "-o", out, code=1)
    assert "1 of 2 cells are there" in told
    assert "the moon is full" in told
    assert "\x1b" not in told
    told = in_process("status", out, code=1)
    assert re.search(r"small +2 +1 +0 +1 +0", told)
    assert "the moon is full" in told
    assert "\x1b" not in told
    assert "1 done, 1 failed" in in_process("collect", out, "-o", tmp_path / "a.nc")
    (path,) = (out / "cells").glob("*.nc")
    path.write_bytes(b"")
    told = in_process("verify", out, code=1)
    assert f"cells/{path.name} is damaged: 0 bytes" in told
    assert "Run the study again" in told


@pytest.mark.parametrize(
    "args, code, message",
    [
        (["run", "nope.toml", "-o", "out"], 1, "nope.toml: no such file"),
        (["run", "a.toml"], 2, "Missing option"),
        (["run", "a.toml", "-o", "a.toml"], 1, "a.toml is a file; name a folder"),
        (["run", "a.toml", "-o", "out", "--jobs", "0"], 2, "`n_jobs` must be"),
        (["run", "a.toml", "-o", "out", "--backend", "daks"], 2, "loky, dask"),
        (["run", "b.toml", "-o", "out"], 1, "Did you mean `strategy`"),
        (["status", "."], 1, "is not the folder of a study"),
        (["collect", "done", "-o", "a.txt"], 2, "must end in .nc"),
        (["collect", "done", "-o", "no/a.nc"], 1, "cannot be written"),
        (["collect", "done", "-o", "a.nc", "--study", "x"], 1, "name one of small"),
    ],
)
def test_failures_are_told_in_one_line(tmp_path, monkeypatch, capsys, args, code, message):
    """2 for wrong usage, 1 for a failure; no traceback, and nothing is left."""
    write(tmp_path / "a.toml")
    write(tmp_path / "b.toml", {"stratgy": ["zero"]})
    folder = Folder(tmp_path / "done").create()
    folder.keep_plan(make_plan(study()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pncviz", "study", *args])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # which main replaces
    with pytest.raises(SystemExit, match=f"^{code}$"):
        main()
    out, err = capsys.readouterr()
    assert message in " ".join(err.split())
    assert "Traceback" not in out + err
    assert not list(tmp_path.glob("a.nc"))
    assert not (tmp_path / "out").exists()


GUARD = """
import sys
from importlib.abc import MetaPathFinder
class Guard(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {blocked!r}:
            raise RuntimeError(name + " is imported")
sys.meta_path.insert(0, Guard())
sys.argv = ["pncviz", "study", *{args!r}]
from pncviz.cli import main
main()
"""


def guarded(blocked, *args):
    """Run the command line where some modules cannot be imported."""
    code = GUARD.format(blocked=blocked, args=[*map(str, args)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("command", ["run", "report"])
def test_help_needs_no_heavy_import(command):
    """--help answers without what computing needs."""
    heavy = ["torch", "sklearn", "xarray", "matplotlib", "joblib"]
    assert "Usage" in guarded(heavy, command, "--help")


def test_what_is_finished_needs_no_torch(tmp_path):
    """A finished study answers run, status and collect without importing torch."""
    file, out = write(tmp_path / "a.toml"), tmp_path / "out"
    run_study(study(), out)
    assert "1 of them from before" in guarded(["torch"], "run", file, "--out", out)
    assert "small" in guarded(["torch"], "status", out)
    assert "1 done" in guarded(["torch"], "collect", out, "-o", tmp_path / "a.nc")


# ---------------------------------------------------------------------------------- Ctrl-C


def started(out, jobs, *, epochs, iterations, until):
    """Start a long run in a process group of its own, and wait until it is at work."""
    file = write(
        out.with_suffix(".toml"),
        {"dataset": ["digits"], "seed": [0, 1]},
        training={"max_epochs": epochs},
        extraction={"max_iter": iterations},
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pncviz", "study", "run", file, "-o", out, "--jobs", str(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    for _ in range(6000):  # a busy machine takes its time; nothing here measures it
        if process.poll() is not None or until(out):
            break
        time.sleep(0.1)
    assert until(out), process.communicate()
    time.sleep(0.5)
    return process


def interrupted(process):
    """Press Ctrl-C; give the processes that outlive it."""
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        _, left = psutil.wait_procs(family, timeout=10)
        for one in left:
            one.kill()
    assert process.returncode == 130, out + err
    assert err.strip() == "interrupted; nothing finished is lost: run the same command to go on"
    assert out == ""
    return left


def at_models(out):
    """Whether models are being trained."""
    return len(list((out / "claims").glob("*.lock"))) >= 1 and any(out.glob("contrasts/*.nc"))


def at_cells(out):
    """Whether all models are there, and cells are being made."""
    return len(list((out / "models").glob("*.safetensors"))) == 2 and at_models(out)


@pytest.mark.parametrize(
    "jobs, epochs, iterations, until",
    [
        (1, 10**6, 5, at_models),
        (2, 10**6, 5, at_models),
        pytest.param(2, 1, 10**7, at_cells, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_ends_a_run_at_once(tmp_path, jobs, epochs, iterations, until):
    """In training or in extraction: exit code 130, what to do, no traceback, and nobody left.

    What was finished is whole, and the next run goes on from there.
    """
    out = tmp_path / "out"
    process = started(out, jobs, epochs=epochs, iterations=iterations, until=until)
    assert interrupted(process) == []
    assert verify_study(out) == []
    finished = Folder(out).existing().manifest.lines
    assert {line.kind for line in finished.values()} >= {"contrast"}
    assert not any(line.kind == "cell" for line in finished.values())
    assert study_status(out)[0].running == 0
    assert study_status(out)[0].failures == {}
    shorter = {"dataset": ["digits"], "seed": [0, 1]}
    outcome = run_study(study(shorter, training={"max_epochs": 1}), out)
    assert outcome.done == 2
    assert outcome.computed == (4 if epochs > 1 else 2)
