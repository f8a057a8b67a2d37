"""The page's pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator

from benchmarks.attacks.layers import OWN, WAYS, patterns_of
from benchmarks.attacks.lots_table import LAYERS
from benchmarks.attacks.nets import trained
from benchmarks.attacks.sizes import Size, load_data
from benchmarks.drawing import grid, row_of
from benchmarks.store import Store
from pncviz import AdversarialExampleGenerator, load, make_attack

__all__ = ["draw_attacks", "draw_layers", "draw_lots"]

_BOUNDS: dict[str, Any] = {"clip": (0.0, 1.0), "pixel_step": 1 / 255}
#: What is drawn of one image: name, attack, parameters, whether it has a target.
SHOWN = (
    ("FGSM, ε .25", "fgsm", {"epsilon": 0.25, "clip": (0.0, 1.0)}, False),
    ("FGS, smallest", "fgsm", {"epsilon": None, **_BOUNDS}, False),
    ("FGV", "fgv", _BOUNDS, False),
    ("BIM, ε .25", "bim", {"epsilon": 0.25, "clip": (0.0, 1.0)}, False),
    ("PGD, ε .25", "pgd", {"epsilon": 0.25, "clip": (0.0, 1.0)}, False),
    ("DeepFool", "deepfool", {"clip": (0.0, 1.0)}, False),
    ("L-BFGS", "lbfgs", {"clip": (0.0, 1.0)}, True),
    ("hot/cold", "hot_cold", _BOUNDS, True),
    ("LOTS conv2", "lots", {"layer": "conv2", "target": "class_mean", **_BOUNDS}, True),
    ("gradient ascent", "gradient_ascent", {"clip": (0.0, 1.0)}, True),
)
#: The image drawn, and the class it is to become.
DIGIT, GOAL = 4, 9


def draw_attacks(store: Store, size: Size, target: Path) -> Path:
    """Draw one image after each attack, and what was added."""
    data, net = load_data(size), trained(store, "lenet", size)
    one, names, images = _first(data, DIGIT), ["as it is"], []
    images.append(one[0, 0])
    for name, attack, params, targeted in SHOWN:
        maker = AdversarialExampleGenerator(
            FrozenEstimator(net), attack=make_attack(attack, **params), random_state=0, max_iter=100
        ).fit(data.X.reshape(-1, *data.image_shape), data.y)
        goal = np.array([GOAL]) if targeted else None
        adversarial = maker.generate(one, np.array([DIGIT]), target=goal)
        called = maker.examples_["prediction"].values[0]
        names.append(f"{name}: {called}")
        images.append(adversarial[0, 0])
    rows = [images, [None, *(image - images[0] for image in images[1:])]]
    return grid(rows, names, target)


def draw_lots(store: Store, size: Size, target: Path) -> Path:
    """Draw an image with its layers' representations magnified and reduced."""
    data, net = load_data(size), trained(store, "lenet", size)
    one, names = _first(data, DIGIT), ["as it is"]
    rows: list[list[Any]] = [[one[0, 0]], [None]]
    for mode, done in (("magnify", "magnified"), ("reduce", "reduced")):
        for layer in LAYERS:
            found = _represented(net, data, one, layer, mode)
            rows[0].append(found[0][0, 0])
            rows[1].append(found[0][0, 0] - one[0, 0])
            names.append(f"{layer}, {done}: {found[1]}")
    return grid(rows, names, target)


def _represented(net: Any, data: Any, one: NDArray[Any], layer: str, mode: str) -> tuple[Any, Any]:
    params = dict(_BOUNDS)
    if mode == "magnify":
        params |= {"search": "linf", "epsilon": 128 / 255}
    attack = make_attack("lots", layer=layer, mode=mode, **params)
    maker = AdversarialExampleGenerator(FrozenEstimator(net), attack=attack)
    maker.fit(data.X.reshape(-1, *data.image_shape), data.y)
    adversarial = maker.generate(one, np.array([DIGIT]))
    return adversarial, maker.examples_["prediction"].values[0]


def draw_layers(store: Store, found: dict[str, Any], target: Path) -> Path:
    """Draw patterns of each layer beside the contrasts."""
    patterns, contrasts = patterns_of(store, found), load(store.root / "layer-contrasts.nc")
    names = [OWN, *(f"{layer}, {way}" for way in WAYS for layer in LAYERS)]
    rows = [row_of(contrasts["contrast"])] + [row_of(patterns[name]["pattern"]) for name in names]
    labels = [str(label) for label in contrasts["label"].values.tolist()]
    return grid(rows, labels, target, sides=["contrast", *names])


def _first(data: Any, label: int) -> NDArray[np.float32]:
    place = int(np.flatnonzero(data.y_test == label)[0])
    image: NDArray[np.float32] = data.X_test[place].reshape(1, *data.image_shape)
    return image
