"""Peak memory, each in a process of its own: an AAI of many examples, and a streamed file.

``python -m benchmarks.speed.memory``
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PEAK = """
import re, sys, warnings
warnings.simplefilter("ignore")

def peak():  # in MB; getrusage would give the parent's, which a child inherits
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
"""

AAI = """
from benchmarks.speed.patterns import Work, network
from pncviz import extract_patterns, make_strategy

net, shape = network(Work("", "fc", 10))
batch_size = int(sys.argv[1]) or None

def patterns(n):
    strategy = make_strategy("aai", n_examples=n)
    extract_patterns(net, input_shape=shape, strategy=strategy, max_iter=2, batch_size=batch_size)

patterns(1)
before = peak()
patterns(1000)
print(peak() - before)
"""

STREAM = """
import numpy as np
from pncviz import PNCTransformer

X, y = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2])
pnc = PNCTransformer()
pnc.partial_fit(X[:100], y[:100])
before = peak()
pnc.partial_fit(X[100:], y[100:])
print(peak() - before)
"""


def grown(script, *arguments):
    """MB by which the peak of a new process grew."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def streamed():
    """MB of a memory-mapped file of six times MNIST's samples, and by which the peak grew."""
    rng = np.random.default_rng(0)
    X, y = rng.random((60_000, 784), dtype=np.float32), rng.integers(10, size=60_000)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("X.npy", "y.npy")]
        np.save(files[0], np.concatenate([X] * 6))
        np.save(files[1], np.concatenate([y] * 6))
        return files[0].stat().st_size / 2**20, grown(STREAM, *files)


def measure():
    """MB: of 1000 examples × 10 classes in our batches and as one, and of a streamed file."""
    size, growth = streamed()
    return {
        "batches": grown(AAI, 0),
        "at once": grown(AAI, 10_000),
        "file": size,
        "streamed": growth,
    }


def main():
    found = measure()
    share = found["batches"] / found["at once"]
    print(
        f"AAI of 1000 × 10, FC: the peak grows by {found['batches']:.0f} MB, held at once by "
        f"{found['at once']:.0f} MB: {share:.3f} of it (< .1)"
    )
    print(f"partial_fit over {found['file']:.0f} MB mapped: {found['streamed']:.0f} MB more")


if __name__ == "__main__":
    main()
