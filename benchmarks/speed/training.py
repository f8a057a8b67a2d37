"""What skorch's own loop costs in training: against the bare arithmetic, before and now.

``python -m benchmarks.speed.training``
"""

import copy
import statistics
import time

import numpy as np
import torch
from torch.utils.data import DataLoader

from pncviz import make_classifier

N_SAMPLES, BATCH, EPOCHS = 6000, 64, 2
WORKS = {
    "FC [200, 30]": ("fc", {"hidden": [200, 30]}, (784,)),
    "CNN [8, 16], dense [32]": (
        "cnn",
        {"convolutions": [8, 16], "dense": [32]},
        (1, 28, 28),
    ),
}


def bare_loop(module, lr, X, y):
    """The arithmetic alone: forward, loss, backward and step over batches that lie ready."""
    batches = list(zip(torch.tensor(X).split(BATCH), torch.tensor(y).split(BATCH), strict=True))
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(module.parameters(), lr=lr)

    def train():
        for _ in range(EPOCHS):
            for samples, labels in batches:
                optimizer.zero_grad()
                criterion(module(samples), labels).backward()
                optimizer.step()

    return train


def three_ways(architecture, params, shape):
    """The same net three times, as functions that train it on for EPOCHS epochs."""
    generator = np.random.default_rng(0)
    X = generator.random((N_SAMPLES, *shape), dtype=np.float32)
    y = generator.integers(0, 10, N_SAMPLES)
    own = {"iterator_train": DataLoader, "iterator_valid": DataLoader}
    nets = []
    for iterators in ({}, own):
        net = make_classifier(architecture, max_epochs=EPOCHS, batch_size=BATCH, **params)
        torch.manual_seed(0)
        nets.append(net.set_params(**iterators).fit(X, y))
    ours, theirs = nets
    bare = bare_loop(copy.deepcopy(ours.module_), ours.lr, X, y)
    return {
        "ours": lambda: ours.partial_fit(X, y),
        "skorch": lambda: theirs.partial_fit(X, y),
        "bare": bare,
    }


def seconds_in_turn(works, repeats):
    """Seconds per epoch of each, one after the other in each round, after one to warm up."""
    rounds = {name: [] for name in works}
    for _ in range(1 + repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            rounds[name].append((time.perf_counter() - start) / EPOCHS)
    return {name: times[1:] for name, times in rounds.items()}


def measure(repeats=3):
    """Medians; a share is that part of an epoch's time which the bare loop does not need."""
    rows = []
    for name, work in WORKS.items():
        times = seconds_in_turn(three_ways(*work), repeats)

        def share(way, times=times):
            pairs = zip(times["bare"], times[way], strict=True)
            return statistics.median(1 - bare / whole for bare, whole in pairs)

        rows.append(
            {"work": name}
            | {f"{way}_s": statistics.median(times[way]) for way in times}
            | {"share_before": share("skorch"), "share_now": share("ours")}
        )
    return rows


def main():
    print(
        f"{N_SAMPLES} samples of 784 pixels, batches of {BATCH}, {torch.get_num_threads()} threads"
    )
    for row in measure(7):
        print(
            f"{row['work']}: an epoch {row['ours_s']:.3f} s, with torch's DataLoader "
            f"{row['skorch_s']:.3f} s, bare {row['bare_s']:.3f} s; share that is not the "
            f"arithmetic: {row['share_now']:.0%}, before {row['share_before']:.0%}"
        )


if __name__ == "__main__":
    main()
