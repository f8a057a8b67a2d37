"""Whose examples fool whom, within one technique and across five of them and their vote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.anyclassifier.sizes import Size
from benchmarks.page_parts import Verdict, number, share, table
from benchmarks.store import Store
from pncviz import Dataset, load_dataset, make_attack, make_classifier
from pncviz.dataset.atomic import replacing

__all__ = ["TECHNIQUES", "compute", "section", "verdicts"]

#: L-inf of FGSM (the paper's), and the length of the step along an SVM's normal (ours).
EPSILON, SVM_L2 = 0.3, 5.0

_MADE: dict[str, Callable[[], Any]] = {
    "LR": lambda: LogisticRegression(C=0.01, max_iter=500),
    "SVM": lambda: LinearSVC(C=0.01, random_state=0),
    "DT": lambda: DecisionTreeClassifier(random_state=0),
    "kNN": lambda: KNeighborsClassifier(n_neighbors=1),
}
TECHNIQUES = ("DNN", *_MADE)
#: Least and greatest error of a technique's model over the sources, as published; others not found.
PUBLISHED = {"DNN": (0.0082, 0.3827), "DT": (0.4720, 0.8929)}
N_PARTS = 5


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Train five models of each technique on disjoint parts, and ask them all."""
    n, n_test = (250, 100) if size.quick else (10_000, 2000)
    config = {"n": n, "n_test": n_test, "epsilon": EPSILON, "svm_l2": SVM_L2, "data": size.main}
    config["made"] = [repr(make()) for make in _MADE.values()]
    within = {
        name: store.json(
            f"techniques-within-{name}",
            config,
            lambda name=name: _asked(store, size, config, {str(i): (name, i) for i in range(5)}),
        )
        for name in TECHNIQUES
    }
    across = store.json(
        "techniques-across",
        config,
        lambda: _asked(store, size, config, {name: (name, 0) for name in TECHNIQUES}, vote=True),
    )
    return {"across": across, "within": within, "n": n, "n_test": n_test}


def _asked(
    store: Store,
    size: Size,
    config: dict[str, Any],
    which: dict[str, tuple[str, int]],
    *,
    vote: bool = False,
) -> dict[str, Any]:
    from pncviz_substitute import MajorityVote, technique_transfer

    data = load_dataset(size.main)
    models = {name: _model(store, size, config, *key) for name, key in which.items()}
    sources = {name: _source(key[0], models[name]) for name, key in which.items()}
    targets = dict(models)
    if vote:
        targets["Ens."] = MajorityVote(list(models.values()))
    X = data.X_test[: config["n_test"]].reshape(-1, data.X[0].size)
    found = technique_transfer(
        sources, targets, X, data.y_test[: len(X)], max_iter=100, random_state=0
    )
    names = ("error_rate", "error_lower", "error_upper")
    square = {n: found[n].transpose("source", "target").values.tolist() for n in names}
    line = {n: found[n].values.tolist() for n in ("clean_error", "clean_upper", "l2", "linf")}
    return {"sources": list(sources), "targets": list(targets), **square, **line}


def _source(technique: str, model: Any) -> Any:
    from pncviz_substitute import Source

    clip = (0.0, 1.0)
    if technique == "SVM":
        return Source(model, make_attack("svm_normal", epsilon=SVM_L2, clip=clip))
    if technique == "DT":
        return Source(model, make_attack("decision_tree", search="sibling", clip=clip))
    adapter = "soft_knn" if technique == "kNN" else None
    return Source(model, make_attack("fgsm", epsilon=EPSILON, clip=clip), adapter)


def _part(data: Dataset, n: int, part: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rows = slice(part * n, (part + 1) * n)
    return data.X[rows].reshape(len(data.X[rows]), -1), data.y[rows]


def _model(store: Store, size: Size, config: dict[str, Any], technique: str, part: int) -> Any:
    """Give a model of a technique that learnt from one part, trained the first time."""
    data, n, name = load_dataset(size.main), config["n"], f"techniques-{technique}-{part}"
    X, y = _part(data, n, part)
    key = {"n": n, "data": size.main, "part": part}
    if technique == "DNN":
        epochs = 30 if size.quick else 5

        def train() -> Any:
            made = make_classifier(
                "cnn",
                optimizer="adam",
                max_epochs=epochs,
                convolutions=[16, 32],
                dense=[64],
                input_shape=data.image_shape,
            )
            torch.manual_seed(part)
            return made.fit(X, np.asarray(y))

        return store.model(name, {**key, "epochs": epochs}, train)
    made, path = _MADE[technique](), store.root / f"{name}.joblib"
    key["made"] = repr(made)
    # Our own files in our own folder; they are not for sharing.
    if path.exists() and (kept := joblib.load(path))["key"] == key:
        return kept["estimator"]
    made.fit(X, y)
    with replacing(path) as temporary:
        joblib.dump({"key": key, "estimator": made}, temporary)
    return made


# ------------------------------------------------------------------------ what is shown


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
    return "\n\n".join(
        [
            f"Five models of each technique learnt from {N_PARTS} disjoint parts of "
            f"{result['n']} images. A DNN (a small CNN), logistic regression (LR), a linear SVM, "
            "a decision tree (DT), 1 nearest neighbour (kNN), and the majority of the five (Ens.). "
            f"Examples are made of {result['n_test']} test images: by FGSM of {EPSILON} on DNN, LR "
            "and on neighbours made smooth; by a step of "
            f"length {number(SVM_L2, 0)} along the normal of the SVM's hyperplane; by a walk to "
            "the next leaf of another class of the tree. How long the SVM's step is, is our "
            "choice. The table says how many of the examples each model gets wrong, with 95 % "
            "intervals; all models in it learnt from the same part.",
            table(head, [clean, *rows]),
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
