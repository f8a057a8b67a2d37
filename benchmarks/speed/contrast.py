"""Contrasts against one pass over the bytes: ``PNCTransformer.fit`` against ``X.sum()``.

``python -m benchmarks.speed.contrast``
"""

import numpy as np

from benchmarks.speed.timing import ratio
from pncviz import PNCTransformer, load_dataset
from pncviz.exceptions import DatasetError

AT_MOST = 3.0
SIZES = (7500, 15_000, 30_000)


def mnist():
    """MNIST's rows and labels, or random ones of that shape; and which of them."""
    try:
        data = load_dataset("mnist")
    except DatasetError:
        return *random_samples(60_000, 784, 10), "random, MNIST's shape"
    return data.X.reshape(len(data.X), -1), data.y, "MNIST"


def random_samples(n_samples, n_features, n_classes):
    rng = np.random.default_rng(0)
    X = rng.random((n_samples, n_features), dtype=np.float32)
    return X, rng.integers(n_classes, size=n_samples)


def against_sum(work, X, y, repeats, **params):
    """One row: ``fit`` and ``X.sum()``, in turn, where the sum is of the same array."""
    ours, limit, quotient = ratio(
        lambda: PNCTransformer(**params).fit(X, y), lambda: X.sum(), repeats
    )
    return {"work": work, "ours_s": ours, "limit_s": limit, "ratio": quotient, "at_most": AT_MOST}


def measure(repeats=7):
    """Rows of seconds and their ratios; a ratio is the median of the pairs' own."""
    X, y, name = mnist()
    rows = [
        against_sum(f"{name}, 60 000 × 784 float32, 20 blocks", X, y, repeats),
        against_sum(f"{name}, 60 000 × 784 float32, no blocks", X, y, repeats, n_blocks=0),
    ]
    rows += [
        against_sum(f"{name}, the first {n} samples, 20 blocks", X[:n], y[:n], repeats)
        for n in SIZES
    ]
    X, y = random_samples(20_000, 64 * 64, 100)
    work = "random, 20 000 × 64², 100 classes, "
    rows.append(against_sum(work + "20 blocks", X, y, repeats))
    rows.append(against_sum(work + "no blocks", X, y, repeats, n_blocks=0))
    return rows


def main():
    for row in measure():
        verdict = "ok" if row["ratio"] <= row["at_most"] else "ABOVE"
        print(
            f"{row['work']}: {row['ours_s']:.4f} s against {row['limit_s']:.4f} s, "
            f"ratio {row['ratio']:.2f} (≤ {row['at_most']}) {verdict}"
        )


if __name__ == "__main__":
    main()
