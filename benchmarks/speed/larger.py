"""Contrasts of data larger than memory: the peak of each process, against the data's own size.

``python -m benchmarks.speed.larger`` (10 GB; ``… larger 100`` takes 100 GB). The memory-mapped file
is sparse: it takes hardly any of the disk. Each thread holds a block, so more of them hold more.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.speed.memory import PEAK

HEAD = ("source", "data, MB", "before, MB", "at its peak, MB", "largest worker, MB")
#: Of each sample, as float32; and of a dask block.
FEATURES, BLOCK = 200, 2**25
CLASSES = 10

SHARED = """
import json
import numpy as np
from pncviz import positive_negative_contrast

def report(counts, before, workers=()):
    print(json.dumps({"rows": int(counts), "before": before, "peak": peak(), "workers": workers}))

if __name__ == "__main__":  # a cluster's processes import this file
    rows, features, classes = (int(word) for word in sys.argv[1:4])
    y = np.random.default_rng(1).integers(classes, size=rows)
"""

DASK = """
import dask.array as da

def draw(block_info=None):
    where = block_info[None]
    return np.random.default_rng(where["chunk-location"]).random(where["chunk-shape"], np.float32)

def drawn(rows, features, block):
    chunks = da.core.normalize_chunks((max(1, block // (4 * features)), -1), (rows, features))
    return da.map_blocks(draw, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0), np.float32))
"""

THREADS = """
if __name__ == "__main__":
    X, before = drawn(rows, features, int(sys.argv[4])), peak()
    found = positive_negative_contrast(X, y)
    report(found["n_positive"].sum(), before)
"""

CLUSTER = """
if __name__ == "__main__":
    from dask.distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        X, before = drawn(rows, features, int(sys.argv[4])), peak()
        found = positive_negative_contrast(X, y)
        report(found["n_positive"].sum(), before, list(client.run(peak).values()))
"""

MAPPED = """
if __name__ == "__main__":
    X = np.memmap(sys.argv[4], dtype=np.float32, mode="r", shape=(rows, features))
    before = peak()
    found = positive_negative_contrast(X, y)
    report(found["n_positive"].sum(), before)
"""

PEAKS = {
    "dask blocks, threads": DASK + THREADS,
    "dask blocks, a cluster of two processes": DASK + CLUSTER,
    "memory-mapped file": MAPPED,
}


def run(script, rows, last):
    """What a process of its own reports: MB before and at its peak, and its workers' peaks."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "larger.py"
        file.write_text(PEAK + SHARED + script)
        words = [file, rows, FEATURES, CLASSES, last]
        done = subprocess.run(
            [sys.executable, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == rows  # every sample was seen
    return found


def measure(n_bytes=10 * 10**9, block=BLOCK):
    """Rows of MB: one for each kind of source."""
    rows = n_bytes // (4 * FEATURES)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "X.bin"
        with file.open("wb") as empty:
            empty.truncate(rows * 4 * FEATURES)
        for source, script in PEAKS.items():
            seen = run(script, rows, file if script == MAPPED else block)
            found.append({"source": source, "size": rows * 4 * FEATURES / 10**6, **seen})
    return found


def main():
    from benchmarks.speed.__main__ import largers

    size = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    print("\n".join(largers({"larger": measure(int(size * 10**9))})))


if __name__ == "__main__":
    main()
