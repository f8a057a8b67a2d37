"""What the section on substitutes says and draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from benchmarks.drawing import grid, row_of
from benchmarks.page_parts import Verdict, number, share, table

__all__ = ["section", "verdicts"]

TARGETS = {"lenet": "LeNet", "forest": "random forest"}
STARTS = {"images": "test images", "noise": "noise alone"}
#: Of a net that was asked over the network (papernot2017practical).
PUBLISHED = 0.8424


def section(result: dict[str, Any], folder: Path) -> str:
    """Write the table, and draw the courses and the last patterns."""
    numbers = result["numbers"]
    _draw_courses(result, folder / "any-classifier-substitute.png")
    _draw_patterns(result, folder / "any-classifier-substitute-patterns.png")
    head = (
        *("target", "starts", "answers", "inputs asked", "classes named", "agreement"),
        *("r with the target's patterns, nearest their own", "r with PNC, nearest their own"),
        *("target's error on its examples", "on as much random noise"),
    )
    rows = [_row(name, case) for name, case in result["cases"].items()]
    return "\n\n".join(
        [
            f"A net with two hidden layers learns from the answers of a target, from "
            f"{numbers['n_starts']} starts and {numbers['n_rounds']} augmentations of step 0.1, "
            "whose sign changes every second one. Starts are test images, or normal noise cut to "
            f"0..1. Agreement is with the target on {numbers['n_test']} other test images, which "
            "the substitute never asks about. Its patterns (AAI) are compared with the target's "
            "own, where the target has gradients, and with the contrasts of the training data. "
            f"The last two columns: FGSM of {result['epsilon']} on the substitute, and random "
            "signs of the same size.",
            table(head, rows),
            "![agreement and similarity by queries](any-classifier-substitute.png)",
            "![patterns of the last substitutes](any-classifier-substitute-patterns.png)",
        ]
    )


def _parts(name: str) -> tuple[str, str, str]:
    _, target, start, answers = name.split("-")
    return TARGETS[target], STARTS[start], answers


def _row(name: str, case: dict[str, Any]) -> list[str]:
    own = ""
    if case["own"] is not None:
        own = f"{number(case['own'][-1])}, {case['own_hits'][-1]} of 10"
    return [
        *_parts(name),
        f"{case['n_queries'][-1]:,}".replace(",", " "),
        str(case["n_seen"][-1]),
        share(case["agreement"][-1], 1),
        own,
        f"{number(case['contrast'][-1])}, {case['contrast_hits'][-1]} of 10",
        share(case["fooled"], 1),
        share(case["random"], 1),
    ]


def _draw_courses(result: dict[str, Any], target: Path) -> None:
    titles = {
        "agreement": "called as the target does",
        "own": "r with the target's patterns",
        "contrast": "r with the contrasts (PNC)",
    }
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for key, case in result["cases"].items():
            if case[name] is None:
                continue
            box, start, answers = _parts(key)
            ax.plot(
                case["n_queries"],
                case[name],
                color="C0" if box == "LeNet" else "C1",
                linestyle="-" if start == STARTS["images"] else "--",
                marker="o" if answers == "labels" else "^",
                markersize=4,
                label=f"{box}, {start}, {answers}",
            )
        ax.set_xscale("log")
        asked = next(iter(result["cases"].values()))["n_queries"]
        ax.set_xticks(asked, [str(n) for n in asked], fontsize=7)
        ax.minorticks_off()
        ax.set_ylim(min(0, *ax.get_ylim()), 1)
        ax.set_xlabel("inputs asked", fontsize=9)
        ax.set_title(title, fontsize=9)
        ax.grid(alpha=0.3)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=7)
    figure.savefig(target, dpi=110)


def _draw_patterns(result: dict[str, Any], target: Path) -> None:
    rows: list[list[Any]] = []
    sides = []
    for name in result["cases"]:
        with xr.open_dataset(Path(result["root"]) / f"{name}.nc") as kept:
            found = kept.load()
        if not rows:
            rows, sides = [row_of(found["contrast"])], ["contrast"]
            if "own" in found:
                rows.append(row_of(found["own"]))
                sides.append("LeNet itself")
        box, start, answers = _parts(name)
        rows.append(row_of(found["last"]))
        sides.append(f"{box}:\n{start},\n{answers}")
    grid(rows, [str(k) for k in range(len(rows[0]))], target, sides)


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """Judge what papernot2017practical says, and whether noise alone will do."""
    cases = result["cases"]
    images = cases["substitute-lenet-images-labels"]
    noise = cases["substitute-lenet-noise-labels"]
    gain = images["fooled"] - images["random"]
    hits = [noise["own_hits"][-1], noise["contrast_hits"][-1]]
    return [
        Verdict.of(
            "Examples made on a substitute that saw labels alone fool the target (84.24 % after "
            "6400 queries)",
            images["fooled"] >= PUBLISHED - 0.15 and gain > 0.3,
            gain > 0.1,
            f"{share(images['fooled'], 1)} after {images['n_queries'][-1]} queries; random signs "
            f"{share(images['random'], 1)}",
        ),
        Verdict.of(
            "The patterns of a substitute are those of its target",
            images["own_hits"][-1] >= 9 and images["own"][-1] > 0.5,
            images["own_hits"][-1] >= 5,
            f"mean r {number(images['own'][-1])}, nearest their own {images['own_hits'][-1]} of 10",
        ),
        Verdict.of(
            "Queries with noise alone are enough to tell the classes' patterns",
            min(hits) >= 8,
            max(hits) >= 5,
            f"LeNet by labels: nearest the target's own {hits[0]} of 10, nearest their contrast "
            f"{hits[1]} of 10, {noise['n_seen'][-1]} classes named in {noise['n_queries'][-1]} "
            "queries",
        ),
    ]
