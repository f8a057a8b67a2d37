"""What classification images are told as: tables, figures, verdicts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.drawing import grid
from benchmarks.page_parts import Verdict, number, share, table

__all__ = ["NOISES", "PUBLISHED", "SIZES", "TIMED", "YARDSTICK", "section", "verdicts"]

#: Template accuracy after 1 000 000 Gabor-PCA fields, in the notebooks of Borji and Lin.
PUBLISHED = {"mnist": 0.356, "fashion_mnist": 0.412}
PUBLISHED_QUERIES = 1_000_000

#: Noise, by name: what it knows of the data, what it is added to, and its root mean square; None
#: is that of the model.
NOISES: dict[str, tuple[str, float, float | None]] = {
    "white": ("nothing", 0.0, None),
    "white around grey": ("nothing", 0.5, 0.29),
    "Gabor PCA": ("nothing", 0.0, None),
    "Gabor PCA of the data": ("training images, no labels", 0.0, None),
    "class-mean spectrum": ("spectrum of the class means", 0.0, None),
}
#: Root mean square of the noise for each model.
SIZES = {"LeNet": 0.1, "logistic regression": 1.0, "random forest": 0.3}
#: What the net is asked about as often as Borji and Lin did; their noise was made from images too.
YARDSTICK = "Gabor PCA of the data"

#: Kinds of classifier whose speed is measured, the slow ones last.
TIMED = ("logistic regression", "MLP", "random forest", "k nearest neighbours", "SVM (rbf)")
#: How much slower asking about noise may be than asking.
SLOWER = 1.2

#: Lines of the figures.
_LINES = {"labels": "-", "probabilities": ":", "log_probabilities": "--"}
_PANELS = {
    "accuracy": "accuracy of templates, test set",
    "r": "own-class r with the contrast",
    "info": "information value (median, z)",
}


def section(result: dict[str, Any], folder: Path) -> str:
    """Write the tables, and draw accuracy, similarity and information against queries."""
    parts = [
        "Noise is shown to a model. The mean of the fields that it calls a class, minus the mean "
        "of the others, is the class's pattern. Patterns serve as templates: a test image goes to "
        "the one that it correlates with best. Nothing else of the model is used. With "
        "probabilities, fields are weighted by the standardised probability or its logarithm.",
        _yardstick(result),
        _known(),
    ]
    for dataset, runs in result["runs"].items():
        name = f"any-classifier-reverse-{dataset}.png"
        _curves(runs, result["contrast"][dataset]["accuracy"], dataset, folder / name)
        _pictures(runs, result["contrast"][dataset]["images"], dataset, folder)
        parts += [
            f"### {dataset}",
            f"Templates made of the contrasts of the training set classify "
            f"{share(result['contrast'][dataset]['accuracy'], 1)} of the test set.",
            f"![accuracy, similarity and information value against queries]({name})",
            _table(runs),
            f"![patterns by labels](any-classifier-reverse-patterns-{dataset}.png)",
        ]
    return "\n\n".join([*parts, _speed(result["speed"])])


def _yardstick(result: dict[str, Any]) -> str:
    rows = []
    for dataset, published in PUBLISHED.items():
        runs = result["runs"].get(dataset, {})
        rows.append([dataset, "Borji and Lin", "Gabor PCA", _thousands(PUBLISHED_QUERIES), "labels",
                     share(published, 1)])  # fmt: skip
        for key in (f"LeNet|{name}" for name in ("Gabor PCA of the data", "white")):
            rows += [
                [dataset, "here, LeNet", key.split("|")[1], _thousands(run["n"]), "labels",
                 _interval(run["labels"])]
                for run in runs.get(key, [])
            ]  # fmt: skip
    head = ("data", "who", "noise", "inputs asked", "answers", "accuracy of templates (95 %)")
    return (
        table(head, rows) + "\n\nThe nets differ: theirs (99.2 % of "
        "MNIST's and 85.3 % of Fashion-MNIST's test set in their notebooks) has the layers of "
        "LeNet here and a rectification after each convolution; they trained it. Their Gabor "
        "noise is made from wavelet coefficients of training images, and so is ours of that name."
    )


def _known() -> str:
    rows = [
        [name, knows, number(offset, 1), "by model" if rms is None else number(rms, 2)]
        for name, (knows, offset, rms) in NOISES.items()
    ]
    sizes = ", ".join(f"{number(rms, 1)} for {kind}" for kind, rms in SIZES.items())
    head = ("noise", "knows of the data", "added to", "root mean square")
    return (
        table(head, rows) + f"\n\nBy model: {sizes}; they were chosen on a few thousand fields of "
        "MNIST, by the accuracy of templates, and then used for Fashion-MNIST too. Uniform noise "
        "between black and white, as Borji and Lin's white noise, has mean 0.5 and size 0.29."
    )


def _table(runs: dict[str, Any]) -> str:
    rows, first = [], next(iter(runs)).split("|")[0]
    for key, found in runs.items():
        kind, noise = key.split("|")
        for run in found if kind == first else found[-1:]:
            least = min(run["called"])
            rows.append([
                kind, noise, _thousands(run["n"]), str(least),
                *(f"{share(run[w]['accuracy'])}, {number(run[w]['r'])}" for w in _LINES),
                f"{run['labels']['told']} of {len(run['called'])}",
            ])  # fmt: skip
    head = (
        "model", "noise", "inputs asked", "fields of the rarest class",
        "labels: accuracy, r", "probabilities", "log probabilities", "information value above 1.96",
    )  # fmt: skip
    return table(head, rows)


def _curves(runs: dict[str, Any], contrast: float, dataset: str, target: Path) -> None:
    kinds = list(dict.fromkeys(key.split("|")[0] for key in runs))
    figure = Figure(figsize=(11, 2.6 * len(kinds) + 0.8), layout="constrained")
    axes = figure.subplots(len(kinds), len(_PANELS), squeeze=False, sharex=True)
    for i, kind in enumerate(kinds):
        for j, (what, label) in enumerate(_PANELS.items()):
            ax = axes[i, j]
            for colour, noise in enumerate(NOISES):
                found = runs[f"{kind}|{noise}"]
                for weights, line in _LINES.items():
                    values = [run[weights][what] for run in found]
                    ax.plot([run["n"] for run in found], values, line, color=f"C{colour}",
                            marker=".", lw=1.2)  # fmt: skip
            _dress(ax, what, label, kind, contrast, PUBLISHED.get(dataset) if i == 0 else None)
    for colour, noise in enumerate(NOISES):
        axes[0, 0].plot([], [], color=f"C{colour}", label=noise)
    for weights, line in _LINES.items():
        axes[0, 0].plot([], [], line, color="black", label=weights.replace("_", " "))
    figure.legend(loc="outside lower center", ncols=4, fontsize=7, frameon=False)
    figure.savefig(target, dpi=110)


def _dress(
    ax: Any, what: str, label: str, kind: str, contrast: float, published: float | None
) -> None:
    ax.set_xscale("log")
    ax.set_title(f"{kind}: {label}", fontsize=8, parse_math=False)
    ax.tick_params(labelsize=7)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("inputs asked", fontsize=7)
    if what == "accuracy":
        ax.set_ylim(0, 1)
        ax.axhline(contrast, color="grey", lw=0.8)
        ax.axhline(0.1, color="grey", lw=0.8, ls=":")
        if published is not None:
            ax.plot([PUBLISHED_QUERIES], [published], "k*", ms=9, label="Borji and Lin")
    elif what == "r":
        ax.set_ylim(-0.1, 1)
    else:
        ax.set_yscale("symlog", linthresh=10)
        ax.axhline(1.96, color="grey", lw=0.8, ls=":")


def _pictures(runs: dict[str, Any], contrast: Any, dataset: str, folder: Path) -> None:
    """Draw the contrasts, and the first model's patterns by labels at the most queries."""
    kind = next(iter(runs)).split("|")[0]
    rows: list[list[Any]] = [[np.array(image) for image in contrast]]
    sides = ["contrast"]
    for noise in NOISES:
        run = runs[f"{kind}|{noise}"][-1]
        # A class that was never called has no pattern.
        rows.append([np.array(image) if np.any(image) else None for image in run["images"]])
        sides.append(f"{noise}\n{_thousands(run['n'])}")
    names = [str(label) for label in range(len(contrast))]
    grid(rows, names, folder / f"any-classifier-reverse-patterns-{dataset}.png", sides)


def _speed(speed: dict[str, Any]) -> str:
    rows = [
        [*key.split("|"), _thousands(round(found["model"])), _thousands(round(found["whole"])),
         number(found["model"] / found["whole"])]
        for key, found in speed.items()
    ]  # fmt: skip
    head = ("classifier", "noise", "its own rows a second", "with noise and sums", "times as long")
    return (
        "### Speed\n\n" + table(head, rows) + "\n\nOn one thread, the classifier's own "
        "`predict_proba` (or `predict`) on fields that lie ready, and the whole: drawing fields, "
        "asking and adding up. What comes on top takes the same time for every classifier, so it "
        "shows where the classifier itself is as quick as a product of matrices. Binary noise is "
        "white as well, and much cheaper to draw."
    )


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """Judge the published yardstick by the queries that it took here, and the speed."""
    found = []
    for dataset, published in PUBLISHED.items():
        runs = result["runs"].get(dataset, {}).get(f"LeNet|{YARDSTICK}")
        if not runs:
            continue
        claim = (
            f"1 000 000 Gabor-PCA fields make templates that classify {share(published, 1)} of "
            f"{dataset}'s test images (Borji and Lin)"
        )
        reached = [run["n"] for run in runs if run["labels"]["lower"] >= published]
        near = any(run["labels"]["upper"] >= published for run in runs)
        told = f"{share(runs[-1]['labels']['accuracy'], 1)} after {_thousands(runs[-1]['n'])}"
        if reached:
            told += f"; so much or more after {_thousands(reached[0])}"
        found.append(Verdict.of(claim, bool(reached), near, told))
        found.append(_fewer(result["runs"][dataset], dataset))
    return [*found, *_quick_enough(result["speed"])]


def _fewer(runs: dict[str, Any], dataset: str) -> Verdict:
    """Structured noise needs fewer questions: at every number of them its templates are better."""
    pairs = [
        (a["labels"]["accuracy"], b["labels"]["accuracy"])
        for a, b in zip(runs[f"LeNet|{YARDSTICK}"], runs["LeNet|white"], strict=False)
    ]
    better = sum(a > b for a, b in pairs)
    claim = f"Gabor-PCA noise needs fewer questions than white noise ({dataset}; Borji and Lin)"
    told = "; ".join(f"{share(a)} against {share(b)}" for a, b in pairs) + " by labels"
    return Verdict.of(claim, better == len(pairs), better > 0, told)


def _quick_enough(speed: dict[str, Any]) -> list[Verdict]:
    slower = {key: found["model"] / found["whole"] for key, found in speed.items()}
    within = [key for key, times in slower.items() if times <= SLOWER]
    worst = max(slower, key=lambda key: slower[key], default=None)
    if worst is None or math.isnan(slower[worst]):
        return []
    claim = f"Asking about noise takes at most {SLOWER} times as long as asking (our own aim)"
    told = (
        f"{len(within)} of {len(slower)}; the most {number(slower[worst], 1)} times, "
        f"{' with '.join(worst.split('|'))} noise"
    )
    return [Verdict.of(claim, len(within) == len(slower), bool(within), told)]


def _interval(found: dict[str, float]) -> str:
    return (
        f"{share(found['accuracy'], 1)} ({share(found['lower'], 1)} to {share(found['upper'], 1)})"
    )


def _thousands(n: int) -> str:
    return f"{n:,}".replace(",", " ")
