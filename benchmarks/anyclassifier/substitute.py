"""How close a substitute comes to what it stands for, by queries: answers, patterns, contrast."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from sklearn.frozen import FrozenEstimator

from benchmarks.anyclassifier.models import classifier, net
from benchmarks.anyclassifier.sizes import Size
from benchmarks.drawing import grid, row_of
from benchmarks.page_parts import Verdict, number, share, table
from benchmarks.store import Store
from pncviz import (
    AdversarialExampleGenerator,
    Dataset,
    extract_patterns,
    load_dataset,
    make_attack,
    make_strategy,
    positive_negative_contrast,
)
from pncviz.exceptions import PatternWarning

__all__ = ["compute", "section", "verdicts"]

TARGETS = {"lenet": "LeNet", "forest": "random forest"}
STARTS = {"images": "test images", "noise": "noise alone"}
ANSWERS = ("labels", "probabilities")
#: Of FGSM on the substitute, L-inf.
EPSILON = 0.3
#: Of a net that was asked over the network (papernot2017practical).
PUBLISHED = 0.8424


def _numbers(size: Size) -> dict[str, Any]:
    if size.quick:
        return {"n_starts": 50, "n_rounds": 3, "n_test": 100, "n_examples": 10, "max_iter": 50}
    return {"n_starts": 150, "n_rounds": 6, "n_test": 2000, "n_examples": 30, "max_iter": 200}


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Make a substitute of each target from each start and kind of answer."""
    numbers = _numbers(size)
    cases = {}
    for target in TARGETS:
        for start in STARTS:
            for answers in ANSWERS:
                name = f"substitute-{target}-{start}-{answers}"
                config = {"data": size.main, "epsilon": EPSILON, **numbers}
                case = (target, start, answers)
                cases[name] = store.json(name, config, lambda case=case: _case(store, size, *case))
    return {"cases": cases, "numbers": numbers, "root": str(store.root)}


def _case(store: Store, size: Size, target: str, start: str, answers: str) -> dict[str, Any]:
    from pncviz_substitute import SubstituteClassifier, substitute_patterns

    numbers, data = _numbers(size), load_dataset(size.main)
    assert data.image_shape is not None  # all are of images
    shape = data.image_shape if target == "lenet" else (int(np.prod(data.image_shape)),)
    box = _target(store, size, target)
    n = numbers["n_starts"]
    X_test = data.X_test[n : n + numbers["n_test"]].reshape(-1, *shape)
    y_test = data.y_test[n : n + numbers["n_test"]]
    substitute = SubstituteClassifier(
        box,
        n_rounds=numbers["n_rounds"],
        step=0.1,
        period=2,
        answers=answers,
        clip=(0.0, 1.0),
        n_starts=n,
        input_shape=shape,
        image_shape=data.image_shape,
        keep_rounds=True,
        random_state=0,
    ).fit(data.X_test[:n].reshape(-1, *shape) if start == "images" else None, X_test=X_test)
    own = _own_patterns(store, size, data) if target == "lenet" else None
    contrasts = positive_negative_contrast(
        data.X.reshape(len(data.X), -1), data.y, image_shape=data.image_shape
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)
        found = substitute_patterns(
            substitute,
            target_patterns=own,
            contrasts=contrasts,
            random_state=0,
            **_extraction(size, data),
        )
    _keep(store, target, start, answers, found, contrasts, own)
    fooled = _fooled(substitute, box, X_test, y_test)
    history = substitute.history_
    names = ("agreement", "foreseen", "n_queries", "n_seen")
    return {
        **{name: history[name].values.tolist() for name in names},
        "contrast": found["contrast_similarity"].mean("label").values.tolist(),
        "contrast_hits": found["contrast_hits"].values.tolist(),
        "own": None if own is None else found["target_similarity"].mean("label").values.tolist(),
        "own_hits": None if own is None else found["target_hits"].values.tolist(),
        "accuracy": float(np.mean(substitute.predict(X_test) == y_test)),
        **fooled,
    }


def _target(store: Store, size: Size, target: str) -> Any:
    if target == "lenet":
        return net(store, size, "lenet")
    return classifier(store, size, size.main, "random forest")


def _extraction(size: Size, data: Dataset) -> dict[str, Any]:
    numbers = _numbers(size)
    strategy = make_strategy("aai", n_examples=numbers["n_examples"])
    return {
        "strategy": strategy,
        "max_iter": numbers["max_iter"],
        "image_shape": data.image_shape,
    }


def _own_patterns(store: Store, size: Size, data: Dataset) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)
        return extract_patterns(
            _target(store, size, "lenet"),
            input_shape=data.image_shape,
            random_state=0,
            **_extraction(size, data),
        )


def _keep(
    store: Store,
    target: str,
    start: str,
    answers: str,
    found: xr.Dataset,
    contrasts: xr.Dataset,
    own: xr.Dataset | None,
) -> None:
    """Keep what is drawn later: the last round's patterns, and what they are beside."""
    images = {"last": found["pattern"].isel({"round": -1}), "contrast": contrasts["contrast"]}
    if own is not None:
        images["own"] = own["pattern"]
    plain = xr.Dataset({name: (array.dims, array.values) for name, array in images.items()})
    plain.to_netcdf(store.root / f"substitute-{target}-{start}-{answers}.nc")


def _fooled(substitute: Any, box: Any, X: Any, y: Any) -> dict[str, float]:
    """Say how often FGSM's examples of the substitute are got wrong by the target."""
    attack = make_attack("fgsm", epsilon=EPSILON, clip=(0.0, 1.0))
    made = AdversarialExampleGenerator(
        FrozenEstimator(substitute.substitute_), attack=attack, random_state=0
    ).fit_transform(X, y)
    rng = np.random.default_rng(0)
    random = (X + EPSILON * rng.choice([-1, 1], size=X.shape)).clip(0, 1).astype(np.float32)
    told = {"fooled": made, "random": random, "clean": X}
    return {name: float(np.mean(box.predict(inputs) != y)) for name, inputs in told.items()}


# ------------------------------------------------------------------------ what is shown


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
            f"The last two columns: FGSM of {EPSILON} on the substitute, and random signs of the "
            "same size.",
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
