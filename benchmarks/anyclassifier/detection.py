"""Natural or not: kernel densities in learnt features against adversarial examples."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator

from benchmarks.anyclassifier.detection_text import section, verdicts
from benchmarks.anyclassifier.models import net
from benchmarks.anyclassifier.sizes import Size
from benchmarks.store import Store
from pncviz import AdversarialExampleGenerator, LayerActivations, load_dataset, make_attack
from pncviz.exceptions import PatternWarning
from pncviz_detection import NaturalnessDetector, detection_roc

__all__ = ["compute", "section", "verdicts"]

#: Radius in the largest norm, and the steps of PGD.
EPSILON, N_STEPS = 0.25, 20
#: A model is sure of what it gives so much.
SURE = 0.9
#: Points of each curve that are kept.
_POINTS = 200

Images = NDArray[np.float32]


@dataclass(frozen=True)
class Way:
    """One detector: where it looks, and by which features."""

    title: str
    space: str
    features: str
    residual: bool = False
    own_class: bool = False


WAYS = {
    "pixels-pca": Way("pixels, PCA", "pixels", "pca"),
    "pixels-pca-rest": Way("pixels, PCA and the rest", "pixels", "pca", residual=True),
    "pixels-autoencoder": Way("pixels, autoencoder", "pixels", "autoencoder"),
    "pixels-autoencoder-rest": Way(
        "pixels, autoencoder and the rest", "pixels", "autoencoder", residual=True
    ),
    "layer-pca": Way("layer, PCA", "layer", "pca"),
    "layer-autoencoder": Way("layer, autoencoder", "layer", "autoencoder"),
    "layer-class": Way("layer, PCA, predicted class's density", "layer", "pca", own_class=True),
}


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Make the examples, fit every detector, and try each on all of them."""
    n_fit, n = (600, 100) if size.quick else (10_000, 2000)
    config = {"quick": size.quick, "n_fit": n_fit, "n": n, "epsilon": EPSILON, "steps": N_STEPS}
    model = net(store, size, "lenet")
    made = partial(_examples, store, size, model, n)
    about = store.json("detection-examples", config, made)
    examples = _kept(store, made)
    found = {
        key: store.json(
            f"detection-{key}",
            config | {"way": repr(way)},
            partial(_tried, size, model, way, examples, n_fit),
        )
        for key, way in WAYS.items()
    }
    titles = {key: way.title for key, way in WAYS.items()}
    return {"about": about, "ways": found, "titles": titles, "sure": SURE, "config": config}


def _kept(store: Store, made: Any) -> dict[str, Images]:
    """Read the examples; make them again if their file is gone."""
    path = store.root / "detection-examples.npz"
    if not path.exists():
        made()
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def _data(size: Size) -> tuple[Images, NDArray[Any], Images, NDArray[Any]]:
    data = load_dataset(size.main)
    shape = data.image_shape or ()
    return (
        data.X.reshape(-1, *shape), data.y, data.X_test.reshape(-1, *shape), data.y_test,
    )  # fmt: skip


def _examples(store: Store, size: Size, model: Any, n: int) -> dict[str, Any]:
    """Make and keep natural images, and adversarial ones from other images of the test set."""
    *_, X, y = _data(size)
    arrays, about = {"natural": X[:n]}, {}
    bases, labels = X[n : 2 * n], y[n : 2 * n]
    rng = np.random.default_rng(0)
    fields = rng.normal(size=bases.shape).astype(np.float32)
    ball: dict[str, Any] = {"epsilon": EPSILON, "clip": (0.0, 1.0)}
    attacks: dict[str, tuple[Any, Images, Any, dict[str, Any]]] = {
        "FGSM": (make_attack("fgsm", **ball), bases, labels, {}),
        "PGD": (make_attack("pgd", n_steps=N_STEPS, **ball), bases, labels, {}),
        "gradient descent": (make_attack("gradient_descent", learning_rate=0.1), bases, labels,
                             {"min_confidence": 0.99, "max_iter": 500}),
        "noise-started patterns": (make_attack("gradient_descent"), fields, None,
                                   {"target": "random", "min_confidence": 0.99, "max_iter": 500}),
    }  # fmt: skip
    for name, (attack, starts, true, given) in attacks.items():
        maker = AdversarialExampleGenerator(
            FrozenEstimator(model), attack=attack, random_state=0, **given
        ).fit(starts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PatternWarning)  # only those that succeeded are shown
            out = maker.generate(starts, true)
        there = maker.examples_["succeeded"].values & ~maker.examples_["already"].values
        arrays[name] = out[there].astype(np.float32)
        about[name] = {"n": int(there.sum()), "of": len(starts)}
    arrays["noise"] = rng.uniform(size=bases.shape).astype(np.float32)
    about["noise"] = {"n": len(bases), "of": len(bases)}
    for name in about:
        sure = model.predict_proba(arrays[name]).max(axis=1) >= SURE
        about[name]["n_sure"] = int(sure.sum())
    kept: Any = arrays  # numpy's own types take it for flags
    np.savez(store.root / "detection-examples.npz", **kept)
    return about


def _tried(
    size: Size, model: Any, way: Way, examples: dict[str, Images], n_fit: int
) -> dict[str, Any]:
    """Fit one detector, and tell each kind of example from natural images."""
    X, y, *_ = _data(size)
    look = _layer(model) if way.space == "layer" else _flat
    detector = NaturalnessDetector(
        way.features,
        residual=way.residual,
        per_class=way.own_class,
        max_samples=500 if way.own_class else 2000,
        random_state=0,
    ).fit(look(X[:n_fit]), y[:n_fit])

    def score(images: Images) -> NDArray[np.float64]:
        labels = model.predict(images) if way.own_class else None
        scores = detector.class_score_samples(look(images), labels)
        return scores if way.own_class else scores[:, 0]

    natural, found = score(examples["natural"]), {}
    for name, images in examples.items():
        if name == "natural" or not len(images):
            continue
        scores, sure = score(images), model.predict_proba(images).max(axis=1) >= SURE
        found[name] = _told(natural, scores)
        found[name]["sure"] = _told(natural, scores[sure]) if sure.any() else None
    return {"dimensions": int(detector.n_dimensions_), "kinds": found}


def _told(natural: NDArray[np.float64], scores: NDArray[np.float64]) -> dict[str, Any]:
    """Give the area, the shares detected, and points of the curve."""
    roc = detection_roc(natural, scores)
    false, true = roc["false_positive_rate"].values, roc["true_positive_rate"].values
    # Evenly along the curve, corners at both ends among them.
    places = np.unique(np.linspace(0, len(false) - 1, _POINTS).round().astype(int))
    shares = {
        str(rate): [float(roc[f"detected{end}"].sel(at=rate)) for end in ("", "_lower", "_upper")]
        for rate in (0.01, 0.05)
    }
    return {
        "n": len(scores),
        "auc": [float(roc[name]) for name in ("auc", "auc_lower", "auc_upper")],
        "detected": shares,
        "curve": [false[places].round(4).tolist(), true[places].round(4).tolist()],
    }


def _flat(images: Images) -> Images:
    return images.reshape(len(images), -1)


def _layer(model: Any) -> Any:
    """Give what reads the last layer with weights before the logits."""
    kinds = torch.nn.Linear | torch.nn.Conv2d
    names = [n for n, part in model.module_.named_modules() if isinstance(part, kinds)]
    reader = LayerActivations(FrozenEstimator(model), layer=names[-2])
    fitted: list[LayerActivations] = []

    def look(images: Images) -> Images:
        if not fitted:
            fitted.append(reader.fit(images))
        return _flat(reader.transform(images))

    return look
