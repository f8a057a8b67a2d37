"""How close a substitute comes to what it stands for, by queries: answers, patterns, contrast."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from sklearn.frozen import FrozenEstimator

from benchmarks.anyclassifier.models import classifier, net
from benchmarks.anyclassifier.sizes import Size
from benchmarks.anyclassifier.substitute_text import STARTS, TARGETS, section, verdicts
from benchmarks.store import Store
from pncviz import (
    AdversarialExampleGenerator,
    Dataset,
    extract_patterns,
    load,
    load_dataset,
    make_attack,
    make_strategy,
    positive_negative_contrast,
    save,
)
from pncviz.exceptions import PatternWarning

__all__ = ["compute", "section", "verdicts"]

ANSWERS = ("labels", "probabilities")
#: Of FGSM on the substitute, L-inf.
EPSILON = 0.3


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
                cases[name] = store.json(name, config, partial(_case, store, size, *case))
    return {"cases": cases, "numbers": numbers, "root": str(store.root), "epsilon": EPSILON}


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
    """Extract the net's own patterns, once: they take longer than a substitute."""
    numbers = _numbers(size)
    path = store.root / f"substitute-own-{numbers['n_examples']}-{numbers['max_iter']}.nc"
    if not path.exists():
        save(_of_lenet(store, size, data), path)
    return load(path)


def _of_lenet(store: Store, size: Size, data: Dataset) -> xr.Dataset:
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
    # A class that was never answered is none of the substitute's.
    known = np.isin(y, substitute.substitute_.classes_)
    X, y = X[known], y[known]
    attack = make_attack("fgsm", epsilon=EPSILON, clip=(0.0, 1.0))
    made = AdversarialExampleGenerator(
        FrozenEstimator(substitute.substitute_), attack=attack, random_state=0
    ).fit_transform(X, y)
    rng = np.random.default_rng(0)
    random = (X + EPSILON * rng.choice([-1, 1], size=X.shape)).clip(0, 1).astype(np.float32)
    told = {"fooled": made, "random": random, "clean": X}
    return {name: float(np.mean(box.predict(inputs) != y)) for name, inputs in told.items()}
