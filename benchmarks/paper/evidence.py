"""What the numbers are worth, on MNIST: calibration of every null, and power.

``python -m benchmarks.paper.evidence`` writes ``docs/evidence.md``, ``docs/calibration.png`` and
``docs/null.png``. MNIST is read from ``$PNCVIZ_DATA``. About an hour on two cores.
"""

import sys
import warnings

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.paper.mnist_fc import DOCS, train
from pncviz import (
    NullDisplay,
    calibrate_null,
    compare,
    extract_patterns,
    haufe_transform,
    label_shuffled_contrasts,
    load_dataset,
    make_classifier,
    model_null,
    own_class,
    positive_negative_contrast,
    similarity_matrix,
    split_half_reliability,
)
from pncviz.displays.common import save_png
from pncviz.exceptions import PatternWarning

#: Nets of the calibration see so many images: they need not be good, only trained.
IMAGES = 2000


READING = (
    "Identification keeps its level everywhere. The phase null does for stationary patterns only:",
    "with noise where the data are it errs more often than it promises. Model nulls speak of",
    "models: patterns of a fully connected net are rough, so beside them any smooth image looks",
    "like a class, as it does to the naive p-value of 784 independent pixels.",
)


def table(head, rows):
    """Give the lines of a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def calibration(data, n, n_draws):
    """Run the experiment; give the lines of its section, and draw its picture."""
    net = make_classifier("fc", max_epochs=15, batch_size=100)
    X, y = data.X[:IMAGES], data.y[:IMAGES]
    found = calibrate_null(net, X, y, n=n, n_draws=n_draws, max_iter=200, random_state=0, verbose=1)
    save_png(draw_calibration(found), DOCS / "calibration.png", dpi=110)
    rows = []
    for null in found["null"].values.tolist():
        cells = []
        for case in found["case"].values.tolist():
            one = found.sel(null=null, case=case)
            text = (
                f"{float(one['share']):.3f} [{float(one['lower']):.3f}, {float(one['upper']):.3f}]"
            )
            cells.append(f"**{text}**" if bool(one["matched"]) else text)
        rows.append([null, *cells])
    return table(["p-value by", *found["case"].values.tolist()], rows)


def draw_calibration(found):
    """Shares as numbers and colours; matched cells outlined."""
    share = found["share"].values
    figure = Figure(figsize=(8.6, 3.8), layout="constrained")
    ax = figure.subplots()
    scale = np.log2(np.maximum(share, 0.005) / 0.05)
    image = ax.imshow(scale, cmap="PuOr_r", vmin=-4, vmax=4, aspect="auto")
    for (i, j), value in np.ndenumerate(share):
        ax.text(j, i, f"{value:.3f}", ha="center", va="center", fontsize=9)
        if bool(found["matched"][i, j]):
            corner = (j - 0.5, i - 0.5)
            ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.6))
    ax.set_xticks(range(share.shape[1]), found["case"].values.tolist(), fontsize=8, rotation=12)
    ax.set_yticks(range(share.shape[0]), found["null"].values.tolist(), fontsize=8)
    ax.set_xlabel("where there is nothing to find", fontsize=9)
    ax.set_ylabel("p-value by", fontsize=9)
    ax.set_title("share of p ≤ .05; outlined: promised to be .05", fontsize=9)
    bar = figure.colorbar(image, ax=ax, ticks=[-4, -2, 0, 2, 4])
    bar.ax.set_yticklabels(["1/16", "1/4", "1", "4", "16"], fontsize=7)
    bar.set_label("share ÷ .05", fontsize=8)
    return figure


def power(data):
    """Test the zero patterns of the paper's net by every null."""
    net = train(data, 0)
    contrasts = positive_negative_contrast(data.X, data.y)
    patterns = extract_patterns(net, image_shape=(28, 28), random_state=0)
    nulls = {"phase": "phase"}
    nulls["shuffled-label contrasts"] = label_shuffled_contrasts(data.X, data.y, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)  # draws all the same
        nulls["untrained models"] = model_null(
            net, data.X, data.y, n=99, image_shape=(28, 28), random_state=0, verbose=1
        )
    results = {
        name: compare(patterns, contrasts, null=null, random_state=0)
        for name, null in nulls.items()
    }
    display = NullDisplay.from_dataset(results["shuffled-label contrasts"]).plot()
    save_png(display.figure_, DOCS / "null.png", dpi=110)
    first = results["shuffled-label contrasts"]
    own = own_class(first).sel(metric="pearson")
    lines = [
        f"Test accuracy {net.score(data.X_test, data.y_test):.4f}. Identification: "
        f"{int(first['hits'][0])} of 10, p = {float(first['identification_p'][0]):.4f}.",
        "",
    ]
    rows = []
    for label in own["label"].values.tolist():
        one = own.sel(label=label)
        row = [str(label), f"{float(one['similarity']):.3f}"]
        row.append(f"[{float(one['lower']):.3f}, {float(one['upper']):.3f}]")
        row.append(f"{float(one['ceiling']):.4f}")
        for result in results.values():
            tested = own_class(result).sel(metric="pearson", label=label)
            row.append(f"{float(tested['q']):.4f}")
        rows.append(row)
    lines += table(
        ["class", "r", "95 % interval (rows)", "ceiling", *(f"q, {name}" for name in results)], rows
    )
    spread = first["null_similarity"].sel(metric="pearson").std("draw")
    missed = own["label"].values[own["q"].values >= 0.05].tolist()
    lines += [
        "",
        f"Not beyond contrasts of shuffled labels at q < .05: {missed or 'none'}. Those contrasts "
        "are smooth and lie where the data are, so chance alone gives an r with standard "
        f"deviations of {float(spread.min()):.2f} to {float(spread.max()):.2f}: a single pattern "
        "with an r of .2 is within its reach, and ten of ten is not.",
    ]
    return lines


def reliability(data):
    """Split halves of the contrasts, and least squares by Haufe's transform."""
    raw = positive_negative_contrast(data.X, data.y, normalize=None)
    lines = []
    for rule, contrasts in [("raw", raw), ("min-max", positive_negative_contrast(data.X, data.y))]:
        found = split_half_reliability(contrasts)
        lines.append(
            f"- Split-half reliability of the contrasts ({rule}): {found.min():.4f} to "
            f"{found.max():.4f}, mean {found.mean():.4f}."
        )
    flat = data.X.reshape(len(data.X), -1).astype(np.float64)
    flat -= flat.mean(axis=0)
    target = np.eye(10)[data.y]
    weights = np.linalg.lstsq(flat.T @ flat, flat.T @ (target - target.mean(axis=0)), rcond=1e-12)
    patterns = haufe_transform(weights[0].T, data.X.reshape(len(data.X), -1))
    images = raw["contrast"].values.reshape(10, -1)
    r = np.diag(similarity_matrix(patterns, images))
    bare = np.diag(similarity_matrix(weights[0].T, images))
    lines.append(
        f"- Least squares: Haufe patterns against raw contrasts, least r = {r.min():.6f}; the "
        f"weights themselves reach at most {np.abs(bare).max():.3f}."
    )
    return lines


def main(n=1000, n_draws=3999):
    torch.set_num_threads(1)  # nets are small; and rounding is then the same on any machine
    data = load_dataset("mnist")
    text = [
        "# What the numbers are worth, on MNIST",
        "",
        "Made by `make evidence` (`python -m benchmarks.paper.evidence`).",
        "",
        "## Calibration",
        "",
        f"Share of p ≤ .05 where there is nothing to find: {n} observations a cell, {n_draws}",
        "draws each, with 95 % intervals (Clopper-Pearson). FC [784, 200, 30, 10] on 2000 images,",
        "zero patterns, Pearson's r. Bold: the null promises .05 there. Noise where the data are:",
        "smooth noise times the data's standard deviation at each pixel.",
        "",
        *calibration(data, n, n_draws),
        "",
        *READING,
        "",
        "![shares of small p-values](calibration.png)",
        "",
        "## Power",
        "",
        "Zero patterns of FC [784, 200, 30, 10], SGD, on all of MNIST.",
        "",
        *power(data),
        "",
        "![own-class similarity against contrasts of shuffled labels](null.png)",
        "",
        "## Reliability and oracle",
        "",
        *reliability(data),
        "",
    ]
    (DOCS / "evidence.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
