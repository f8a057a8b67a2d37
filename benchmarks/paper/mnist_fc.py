"""The README's table: FC [784, 200, 30, 10] by SGD on MNIST, three strategies, three seeds.

``python -m benchmarks.paper.mnist_fc`` writes ``docs/mnist.md`` and ``docs/mnist.png``. MNIST is
read from ``$PNCVIZ_DATA``.
"""

from pathlib import Path

import torch

from pncviz import (
    PatternDisplay,
    compare,
    concat_patterns,
    extract_patterns,
    load_dataset,
    make_classifier,
    own_class,
    positive_negative_contrast,
)
from pncviz.displays.common import save_png

DOCS = Path(__file__).parents[2] / "docs"
SEEDS = (0, 1, 2)
STRATEGIES = ("zero", "noise", "aai")
HEAD = (
    "seed",
    "test accuracy",
    "strategy",
    "least ADE confidence",
    "reached class",
    "own-class r (mean, least)",
    "nearest to own contrast",
)


def train(data, seed):
    torch.manual_seed(seed)
    net = make_classifier("fc", lr=0.02, batch_size=64, max_epochs=20, stop_accuracy=0.925)
    return net.fit(data.X, data.y)


def rows(data, contrasts, seed, found):
    """Give a row per strategy, and put the patterns into `found`."""
    net = train(data, seed)
    accuracy = net.score(data.X_test, data.y_test)
    for strategy in STRATEGIES:
        patterns = extract_patterns(net, image_shape=(28, 28), strategy=strategy, random_state=seed)
        found[strategy] = patterns
        own = own_class(compare(patterns, contrasts)).sel(metric="pearson")
        r = own["similarity"]
        yield (
            str(seed),
            f"{accuracy:.4f}",
            strategy,
            f"{float(patterns['confidence'].min()):.4f}",
            f"{int(patterns['succeeded'].sum())} of 10",
            f"{float(r.mean()):.2f}, {float(r.min()):.2f}",
            f"{int(own['nearest'].sum())} of 10",
        )


def main():
    torch.set_num_threads(1)  # nets are small; and rounding is then the same on any machine
    data = load_dataset("mnist")
    contrasts = positive_negative_contrast(data.X, data.y)
    lines = [f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|"]
    for seed in SEEDS:
        found = {}
        for row in rows(data, contrasts, seed, found):
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
        if seed == SEEDS[0]:
            display = PatternDisplay.from_dataset(contrasts, concat_patterns(found)).plot()
            save_png(display.figure_, DOCS / "mnist.png", dpi=90)
    text = [
        "# MNIST, FC [784, 200, 30, 10], SGD",
        "",
        "Made by `make paper-table` (`python -m benchmarks.paper.mnist_fc`); 1000 iterations,",
        "learning rate 1, no other stop rule. *own-class r* is Pearson's correlation of a pattern",
        "with its own class's min-max contrast. For AAI the confidence is the mean of 30 examples.",
        "",
        *lines,
        "",
        "![contrasts and patterns, seed 0](mnist.png)",
        "",
    ]
    (DOCS / "mnist.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
