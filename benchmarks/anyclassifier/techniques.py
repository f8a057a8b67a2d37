"""Whose examples fool whom, within one technique and across five of them and their vote."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.anyclassifier.sizes import Size
from benchmarks.anyclassifier.techniques_text import section, verdicts
from benchmarks.store import Store
from pncviz import Dataset, load_dataset, make_attack, make_classifier
from pncviz.dataset.atomic import replacing

__all__ = ["TECHNIQUES", "compute", "section", "verdicts"]

#: L-inf of FGSM (the paper's), and the length of the step along an SVM's normal (ours: on MNIST
#: about as long as FGSM's).
EPSILON, SVM_L2 = 0.3, {"mnist": 5.0, "digits": 1.5}

_MADE: dict[str, Callable[[], Any]] = {
    "LR": lambda: LogisticRegression(C=0.01, max_iter=500),
    "SVM": lambda: LinearSVC(C=0.01, random_state=0),
    "DT": lambda: DecisionTreeClassifier(random_state=0),
    "kNN": lambda: KNeighborsClassifier(n_neighbors=1),
}
TECHNIQUES = ("DNN", *_MADE)
N_PARTS = 5


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Train five models of each technique on disjoint parts, and ask them all."""
    n, n_test = (250, 100) if size.quick else (10_000, 2000)
    config = {
        "n": n,
        "n_test": n_test,
        "epsilon": EPSILON,
        "svm_l2": SVM_L2[size.main],
        "data": size.main,
    }
    config["made"] = [repr(make()) for make in _MADE.values()]
    within = {
        name: store.json(
            f"techniques-within-{name}",
            config,
            partial(_asked, store, size, config, {str(i): (name, i) for i in range(N_PARTS)}),
        )
        for name in TECHNIQUES
    }
    across = store.json(
        "techniques-across",
        config,
        lambda: _asked(store, size, config, {name: (name, 0) for name in TECHNIQUES}, vote=True),
    )
    told = {"n": n, "n_test": n_test, "svm_l2": SVM_L2[size.main], "epsilon": EPSILON}
    return {"across": across, "within": within, **told}


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
    sources = {name: _source(key[0], models[name], config["svm_l2"]) for name, key in which.items()}
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
    signs = np.random.default_rng(0).choice([-1, 1], size=X.shape)
    noisy = (X + EPSILON * signs).clip(0, 1).astype(np.float32)
    right = data.y_test[: len(X)]
    line["random_error"] = [float(np.mean(m.predict(noisy) != right)) for m in targets.values()]
    return {"sources": list(sources), "targets": list(targets), **square, **line}


def _source(technique: str, model: Any, svm_l2: float) -> Any:
    from pncviz_substitute import Source

    clip = (0.0, 1.0)
    if technique == "SVM":
        return Source(model, make_attack("svm_normal", epsilon=svm_l2, clip=clip))
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
        epochs = 30 if size.quick else 3

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
