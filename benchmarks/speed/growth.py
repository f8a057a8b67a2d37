"""How the cost grows with classes, examples and pixels, for pncviz and for a plain loop.

``python -m benchmarks.speed.growth``
"""

import statistics

import numpy as np
from matplotlib.figure import Figure

from benchmarks.speed.patterns import ATTACK, LIMIT, Work, measure

PLAIN = "plain batched"
LABELS = {ATTACK: "pncviz", PLAIN: "plain batched loop", LIMIT: "bare arithmetic"}

#: What grows -> the works, each with its size.
GROWTHS = {
    "examples (FC, 28², 10 classes)": [
        (n, Work("", "fc", n, n_iter=100)) for n in (10, 30, 100, 300, 1000, 3000, 10_000)
    ],
    "classes (FC, 28², a pattern each)": [
        (k, Work("", "fc", k, n_iter=100, n_classes=k)) for k in (10, 30, 100, 300, 1000)
    ],
    "pixels (FC, 10 patterns)": [
        (side**2, Work("", "fc", 10, side=side)) for side in (28, 64, 112, 224)
    ],
    "pixels (CNN, 10 patterns)": [
        (side**2, Work("", "cnn", 10, n_iter=n, side=side)) for side, n in ((28, 50), (64, 20))
    ],
}


def measure_all(repeats=3):
    """Milliseconds per iteration: {what: {who: [(size, ms), …]}}."""
    found = {}
    for what, works in GROWTHS.items():
        curves = {name: [] for name in LABELS}
        for size, work in works:
            seconds = measure(work, repeats)
            formats = [name for name in seconds if name.startswith(LIMIT)]
            seconds[LIMIT] = min((seconds[name] for name in formats), key=statistics.median)
            for name, curve in curves.items():
                curve.append((size, 1e3 * statistics.median(seconds[name]) / work.n_iter))
        found[what] = curves
    return found


def exponent(curve):
    """The power of the size that the cost grows with: the slope of the line through logarithms."""
    size, cost = np.log(np.array(curve)).T
    return float(np.polyfit(size, cost, 1)[0])


def draw(found):
    """One panel for each thing that grows; both axes logarithmic."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    for axes, (what, curves) in zip(figure.subplots(2, 2).flat, found.items(), strict=True):
        for name, curve in curves.items():
            label = f"{LABELS[name]}: power {exponent(curve):.2f}"
            axes.loglog(*zip(*curve, strict=True), "o-", label=label)
        axes.set_xlabel(what)
        axes.set_ylabel("ms per iteration")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def main():
    for what, curves in measure_all().items():
        print(what)
        for name, curve in curves.items():
            points = ", ".join(f"{size}: {cost:.3g}" for size, cost in curve)
            print(f"  {LABELS[name]}: {points} ms; power {exponent(curve):.2f}")


if __name__ == "__main__":
    main()
