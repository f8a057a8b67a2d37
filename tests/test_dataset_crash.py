"""Results under `kill -9`: whatever the moment, the file found is whole."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_dataset import make_patterns

from pncviz.dataset import content, load, save, storage
from pncviz.dataset.seal import seal
from pncviz.exceptions import ResultError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")

HERE = Path(__file__).parent

# Imports once, then forks a writer for every line that it is sent; reaps it when it is killed, so
# that its process id is free and the sweep can see that it is dead.
LAUNCHER = """
import os, sys
sys.path[:0] = [{root!r}, {here!r}]
from test_dataset_crash import candidates, writer
write, parts = writer({how!r}), candidates()
write(parts[0], sys.argv[1])  # warm up: netCDF4 is imported on first use
for line in sys.stdin:
    path = line.rstrip()
    child = os.fork()
    if child == 0:
        os.write(1, b"%d\\n" % os.getpid())
        for turn in range(10_000):
            write(parts[turn % 2], path)
        os._exit(0)
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


def candidates():
    """Give the two results that writers alternate."""
    fixed = {"created_at": "2026-01-01T00:00:00+00:00"}
    return [
        make_patterns(image_shape=(1, 120, 120 + 40 * seed), seed=seed).assign_attrs(fixed)
        for seed in (0, 1)
    ]


def writer(how):
    """Give `save`, or the same bytes written straight to the target."""
    if how == "save":
        return save

    def in_place(ds, path):
        ds = content.plain_dataset(ds)
        ds.attrs[content.SUM] = content.content_sha256(ds)
        storage._write(ds, Path(path))
        seal(Path(path))

    return in_place


def kill_at_random(how, folder, n_kills, n_saves=3):
    """Kill writers at moments spread over some saves; say what was found after each.

    Yields the path, and "absent", "whole" or why the file was refused.
    """
    parts = candidates()
    start = time.perf_counter()
    for turn in range(4):
        writer(how)(parts[turn % 2], folder / "measured.nc")
    duration = (time.perf_counter() - start) / 4
    moments = np.random.default_rng(0).uniform(0, n_saves * duration, n_kills)
    code = LAUNCHER.format(root=str(HERE.parent), here=str(HERE), how=how)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "warm.nc")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as launcher:
        for turn, moment in enumerate(moments):
            path = folder / str(turn // 2) / "a.nc"  # every other time over a file found
            path.parent.mkdir(exist_ok=True)
            print(path, file=launcher.stdin, flush=True)
            child = int(launcher.stdout.readline())
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
            assert launcher.stdout.readline() == "dead\n"
            yield path, found(path, parts)
        launcher.stdin.close()


def found(path, parts):
    """What a user finds."""
    if not path.exists():
        return "absent"
    try:
        ds = load(path)
    except ResultError as error:
        return str(error)
    return "whole" if any(ds.identical(part) for part in parts) else "of wrong data"


def test_kill_leaves_the_old_file_or_the_new_one(tmp_path):
    """Of 50 kills at random moments none leaves a file that is not whole, nor litter for long."""
    litter, seen = 0, []
    states = {}
    for path, state in kill_at_random("save", tmp_path, 50):
        before = states.get(path, "absent")
        assert state == "whole" or (state == before == "absent"), state
        states[path] = state
        seen.append(state)
        litter += len(list(path.parent.glob(".*.pncviz-tmp")))
        # The next start, here: a save of another file to the same folder.
        save(candidates()[0], path.with_name("b.nc"))
        assert not list(path.parent.glob(".*.pncviz-tmp"))
        path.with_name("b.nc").unlink()
    # Otherwise the kills came too early or too late to mean anything.
    assert litter > 10
    assert seen.count("whole") > 10


def test_kill_breaks_a_write_in_place(tmp_path):
    """The test above can fail: the same kills spoil the same bytes when they are not renamed."""
    for ds in candidates():
        writer("in place")(ds, tmp_path / "a.nc")
        assert load(tmp_path / "a.nc").identical(ds)
    states = [state for _, state in kill_at_random("in place", tmp_path, 16)]
    assert any(state not in ("absent", "whole") for state in states), states
