"""PNCTransformer.fit on MNIST's shape against one matrix product; memory of a streamed file.

``python -m benchmarks.speed.bench_contrast``
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.speed.timing import ratio, report
from pncviz import PNCTransformer

STREAM = """
import re, sys
import numpy as np
from pncviz import PNCTransformer

def peak():  # in MB; getrusage would give the parent's, which a child inherits
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

X, y = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2])
pnc = PNCTransformer()
pnc.partial_fit(X[:100], y[:100])
before = peak()
pnc.partial_fit(X[100:], y[100:])
print(peak() - before)
"""


def main():
    rng = np.random.default_rng(0)
    X, y = rng.random((60_000, 784), dtype=np.float32), rng.integers(10, size=60_000)

    def one_product():
        onehot = np.zeros((len(y), 10), dtype=np.float32)
        onehot[np.arange(len(y)), y] = 1
        return onehot.T @ X

    figures = ratio(lambda: PNCTransformer().fit(X, y), one_product)
    report("PNCTransformer.fit, 60 000 × 784 float32, against onehot.T @ X", figures, 2.0)
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("X.npy", "y.npy")]
        np.save(files[0], np.concatenate([X] * 6))
        np.save(files[1], np.concatenate([y] * 6))
        size = Path(files[0]).stat().st_size / 2**20
        done = subprocess.run(
            [sys.executable, "-c", STREAM, *files], capture_output=True, text=True, check=True
        )
    grown = float(done.stdout)
    print(f"partial_fit over a memory-mapped file of {size:.0f} MB: peak grew by {grown:.0f} MB")


if __name__ == "__main__":
    main()
