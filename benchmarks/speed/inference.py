"""Ten classes of 28×28, 10 000 permutations; and shuffled labels against their bare product.

``python -m benchmarks.speed.inference``
"""

import subprocess
import sys

import numpy as np

from benchmarks.speed.timing import ratio, report
from pncviz.nulls.labels import _shuffled_sums

TESTS = """
import re, time
import numpy as np
from pncviz.inference import draw_p_values, identification_test, phase_null

def peak():  # in MB; getrusage would give the parent's, which a child inherits
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

rng = np.random.default_rng(0)
a, b = rng.normal(size=(2, 10, 1, 28, 28))
scores = np.corrcoef(a.reshape(10, -1), b.reshape(10, -1))[:10, 10:]
before, start = peak(), time.perf_counter()
identification_test(scores, np.arange(10), n_permutations=10_000, rng=rng)
draw_p_values(np.diag(scores), phase_null(a, b, "pearson", n_draws=10_000, rng=rng))
print(time.perf_counter() - start, peak() - before, peak())
"""

SHUFFLES = """
import re
import numpy as np
from pncviz import label_shuffled_contrasts

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

rng = np.random.default_rng(0)
X, y = rng.random((60_000, 784), dtype=np.float32), rng.integers(10, size=60_000)
before = peak()
label_shuffled_contrasts(X, y, 500, image_shape=(28, 28), random_state=0)
print(peak() - before)
"""


def child(script):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return [float(word) for word in done.stdout.split()]


def main():
    seconds, grown, peak = child(TESTS)
    print(
        f"identification and phase null, 10 × 10 classes, 28×28, 10 000 permutations: "
        f"{seconds:.2f} s (< 5), {peak:.0f} MB at most (< 500), of which {grown:.0f} MB are theirs"
    )
    rng = np.random.default_rng(0)
    X, y = rng.random((60_000, 784), dtype=np.float32), rng.integers(10, size=60_000)
    indicator = np.zeros((5000, len(X)), dtype=np.float32)
    for draw in range(500):
        indicator[draw * 10 + rng.permutation(y), np.arange(len(y))] = 1
    mean = X.mean(axis=0, dtype=np.float64)
    figures = ratio(lambda: _shuffled_sums(X, mean, y, 500, 0), lambda: indicator @ X, repeats=3)
    report("500 label shuffles of 60 000 × 784, against indicator @ X", figures, 1.5)
    (grown,) = child(SHUFFLES)
    print(f"label_shuffled_contrasts, whole: {grown:.0f} MB beyond X (< 500)")


if __name__ == "__main__":
    main()
