"""Runners of one study that are killed at random moments; used by tests and by hand.

``python tests/study_chaos.py FOLDER --cells 60 --kills 30`` prints what came of it.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

STUDY = """
name = "chaos"
[training]
max_epochs = 3
[extraction]
max_iter = 40
[comparison]
n_permutations = 200
n_resamples = 200
[[grid]]
dataset = ["digits"]
architecture = [{{ name = "fc", as = "fc", params = {{ hidden = [12] }} }}]
optimizer = ["sgd", "adam"]
strategy = ["zero", "noise", {{ name = "aai", params = {{ n_examples = 10 }} }}]
seed = {seeds}
"""


def write_study(path, n_cells):
    """Write a study of so many cells, a multiple of six."""
    path.write_text(STUDY.format(seeds=list(range(n_cells // 6))))
    return path


def runner(study, out, jobs):
    """Start ``pncviz study run`` in a process group of its own."""
    command = "from pncviz.cli import main; main()"
    arguments = ["study", "run", str(study), "--out", str(out), "--jobs", str(jobs)]
    return subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def kill_some(process, rng):
    """Kill the runner, one of its workers, or all of them at once."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(True)]
    except psutil.NoSuchProcess:
        return 0
    whom = rng.choice(["runner", "worker", "all"])
    chosen = {"runner": family[:1], "worker": [rng.choice(family)], "all": family}[whom]
    killed = 0
    for victim in chosen:
        try:
            victim.send_signal(signal.SIGKILL)
            killed = 1
        except psutil.NoSuchProcess:
            pass
    return killed


def torment(study, out, n_kills, *, seed=0, longest=6.0, jobs=(2, 1)):
    """Keep two runners going and kill at random moments; then let one finish. Gives the kills."""
    rng = random.Random(seed)
    runners = [runner(study, out, n) for n in jobs]
    kills = 0
    try:
        while kills < n_kills:
            time.sleep(rng.uniform(0.0, longest))
            at = rng.randrange(len(runners))
            kills += kill_some(runners[at], rng)
            for i, process in enumerate(runners):
                if process.poll() is not None:
                    runners[i] = runner(study, out, jobs[i])
    finally:
        for process in runners:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    last = runner(study, out, 2)
    assert last.wait(timeout=900) == 0, "the last run did not end well"
    return kills


def compare_folders(one, other):
    """Compare every result of two folders, and give (items, lost, redone, different)."""
    from pncviz.study.folder import Folder

    a, b = (Folder(path).existing() for path in (one, other))
    lost = set(a.manifest.lines) - set(b.manifest.lines)
    redone = len(b.manifest.history) - len(b.manifest.lines)
    different = [
        key
        for key, line in a.manifest.lines.items()
        if key not in lost and not same(line.kind, a.path(line.kind, key), b.path(line.kind, key))
    ]
    return len(a.manifest.lines), len(lost), redone, len(different)


def same(kind, one, other):
    """Whether two files hold the same to the bit, the time of writing aside."""
    from pncviz import load

    if kind == "model":
        return Path(one).read_bytes() == Path(other).read_bytes()
    results = [load(path) for path in (one, other)]
    for result in results:
        del result.attrs["created_at"]
    return results[0].identical(results[1])


def main():
    import argparse

    from pncviz.study import run_study, verify_study

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    study = write_study(given.folder / "chaos.toml", given.cells)
    run_study(study, given.folder / "calm", n_jobs=2)
    kills = torment(study, given.folder / "killed", given.kills, seed=given.seed)
    items, lost, redone, different = compare_folders(given.folder / "calm", given.folder / "killed")
    print(f"{kills} kills; {items} items: {lost} lost, {redone} redone, {different} different")
    print(f"verify: {verify_study(given.folder / 'killed') or 'all whole'}")


if __name__ == "__main__":
    main()
