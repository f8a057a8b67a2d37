"""What the section on techniques says and draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.page_parts import Verdict, number, share, table

__all__ = ["section", "verdicts"]

#: Least and greatest error of a technique's model over the sources, as published; others not found.
PUBLISHED = {"DNN": (0.0082, 0.3827), "DT": (0.4720, 0.8929)}


def section(result: dict[str, Any], folder: Path) -> str:
    """Write the tables, and draw both matrices."""
    across, within = result["across"], result["within"]
    _draw(result, folder / "any-classifier-techniques.png")
    head = ("examples made on", *(f"asked: {name}" for name in across["targets"]), "L2", "L-inf")
    rows = [
        [f"**{name}**", *_cells(across, i), *(number(across[w][i]) for w in ("l2", "linf"))]
        for i, name in enumerate(across["sources"])
    ]
    clean = ["as they are", *(share(value, 1) for value in across["clean_error"]), "0", "0"]
    random = ["with random signs", *(share(v, 1) for v in across["random_error"]), "", ""]
    random[-1] = number(result["epsilon"])
    return "\n\n".join(
        [
            f"Five models of each technique learnt from {len(within)} disjoint parts of "
            f"{result['n']} images. A DNN (a small CNN), logistic regression (LR), a linear SVM, "
            "a decision tree (DT), 1 nearest neighbour (kNN), and the majority of the five (Ens.). "
            f"Examples are made of {result['n_test']} test images: by FGSM of {result['epsilon']} "
            "on DNN, LR and on neighbours made smooth; by a step of "
            f"length {number(result['svm_l2'], 1)} along the normal of the SVM's hyperplane; by a "
            "walk to the next leaf of another class of the tree. How long the SVM's step is, is "
            "our choice. The table says how many of the examples each model gets wrong, with 95 % "
            "intervals; all models in it learnt from the same part. For comparison, random signs "
            "as large as FGSM's.",
            table(head, [clean, random, *rows]),
            "Beside what was published: the least and the greatest error of one technique over all "
            "sources. Of the other techniques we have no published numbers at hand.",
            table(("asked", "here", "papernot2016transferability"), _beside(across)),
            "Within a technique: examples made on a model of one part, asked of the four models "
            "that learnt from others.",
            table(
                ("technique", "error of the others (least to most)", "own error", "clean error"),
                [_inside(name, found) for name, found in within.items()],
            ),
            "![errors within and across techniques](any-classifier-techniques.png)",
        ]
    )


def _cells(found: dict[str, Any], i: int) -> list[str]:
    names = ("error_rate", "error_lower", "error_upper")
    return [
        f"{share(rate)} ({share(low)} to {share(high)})"
        for rate, low, high in zip(*(found[name][i] for name in names), strict=True)
    ]


def _beside(across: dict[str, Any]) -> list[list[str]]:
    errors = np.array(across["error_rate"])
    rows = []
    for j, name in enumerate(across["targets"]):
        told = PUBLISHED.get(name)
        published = f"{share(told[0], 2)} to {share(told[1], 2)}" if told else ""
        here = f"{share(errors[:, j].min(), 1)} to {share(errors[:, j].max(), 1)}"
        rows.append([name, here, published])
    return rows


def _inside(name: str, found: dict[str, Any]) -> list[str]:
    own, off = _diagonal(found)
    spread = f"{share(off.mean(), 1)} ({share(off.min(), 1)} to {share(off.max(), 1)})"
    return [name, spread, share(own.mean(), 1), share(float(np.mean(found["clean_error"])), 1)]


def _diagonal(found: dict[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    errors = np.array(found["error_rate"])
    n = len(errors)
    return errors[np.arange(n), np.arange(n)], errors[:, :n][~np.eye(n, dtype=bool)]


def _draw(result: dict[str, Any], target: Path) -> None:
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 5, height_ratios=(1.5, 1))
    across = result["across"]
    image = _heat(figure.add_subplot(grid[0, :]), across, "across techniques", 9)
    for place, (name, found) in enumerate(result["within"].items()):
        ax = figure.add_subplot(grid[1, place])
        _heat(ax, found, f"within {name}, five models", 6)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.7)
    bar.set_label("share of examples that are got wrong")
    figure.savefig(target, dpi=110)


def _heat(ax: Any, found: dict[str, Any], title: str, size: int) -> Any:
    errors = np.array(found["error_rate"])
    image = ax.imshow(errors, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for (i, j), value in np.ndenumerate(errors):
        colour = "white" if value > 0.6 else "black"
        text = f"{100 * value:.0f}"
        ax.text(j, i, text, ha="center", va="center", fontsize=size, color=colour)
    ax.set_xticks(range(errors.shape[1]), found["targets"], fontsize=8, parse_math=False)
    ax.set_yticks(range(errors.shape[0]), found["sources"], fontsize=8, parse_math=False)
    ax.set_xlabel("asked", fontsize=8)
    ax.set_ylabel("made on", fontsize=8)
    ax.set_title(title, fontsize=9, parse_math=False)
    return image


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """Judge what papernot2016transferability says, as our review of it tells."""
    across, within = result["across"], result["within"]
    errors, names = np.array(across["error_rate"]), across["targets"]
    n = len(across["sources"])
    more = np.array(across["error_lower"]) > np.array(across["clean_upper"])[None]
    off = np.ones_like(more)
    off[np.arange(n), np.arange(n)] = False
    between = {name: errors[:, j] for j, name in enumerate(names)}
    most, least = (f(names[:n], key=lambda t: between[t].mean()) for f in (max, min))
    inside = {name: float(_diagonal(found)[1].mean()) for name, found in within.items()}
    smooth, hard = [inside["DNN"], inside["LR"]], [inside[t] for t in ("SVM", "DT", "kNN")]
    vote = more[:, names.index("Ens.")]
    return [
        Verdict.of(
            "Examples made on a model of one technique fool models of others",
            bool(more[off].all()),
            bool(more[off].mean() >= 0.5),
            f"error above that of clean images, beyond both intervals, in {int(more[off].sum())} "
            f"of {int(off.sum())} pairs",
        ),
        Verdict.of(
            "Of all techniques, DNNs are fooled least (0.82 to 38.27 %) and decision trees most "
            "(47.20 to 89.29 %)",
            least == "DNN" and most == "DT",
            least == "DNN" or most == "DT",
            f"least {least} ({_range(between[least])}), most {most} ({_range(between[most])})",
        ),
        Verdict.of(
            "Within a technique, DNN and LR are more vulnerable than SVM, DT and kNN",
            min(smooth) > max(hard),
            bool(np.mean(smooth) > np.mean(hard)),
            ", ".join(f"{name} {share(value)}" for name, value in inside.items()),
        ),
        Verdict.of(
            "A vote of all five is fooled too",
            bool(vote.all()),
            bool(vote.mean() >= 0.5),
            f"error {_range(between['Ens.'])}, clean {share(across['clean_error'][-1], 1)}",
        ),
    ]


def _range(values: NDArray[Any]) -> str:
    return f"{share(float(values.min()), 1)} to {share(float(values.max()), 1)}"
