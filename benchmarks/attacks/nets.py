"""The nets of the page, each trained once."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from benchmarks.attacks.sizes import Size, load_data
from benchmarks.store import Store
from pncviz import make_classifier

__all__ = ["NETS", "Recipe", "trained"]

#: FGSM mixture, half and half (goodfellow2015explaining, section 6).
FGSM = {
    "trainer": "adversarial",
    "trainer_params": {"attack": "fgsm", "attack_params": {"epsilon": 0.25}, "mixture": 0.5},
}


@dataclass(frozen=True)
class Recipe:
    """How a net is trained; see :func:`pncviz.make_classifier`."""

    title: str
    architecture: str
    epochs: int
    optimizer: str = "adam"
    lr: float | None = None
    weight_decay: float = 0.0
    params: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


#: By name.
NETS: dict[str, Recipe] = {
    "softmax": Recipe("softmax", "softmax", 15),
    "rbf": Recipe("RBF", "rbf", 10),
    "fc": Recipe("FC [200, 30]", "fc", 10, optimizer="sgd", lr=0.1),
    "maxout": Recipe("maxout", "maxout", 10),
    "maxout_fgsm": Recipe("maxout, FGSM-trained", "maxout", 12, training=FGSM),
    "cnn": Recipe("CNN [32, 64]", "cnn", 3, params={"convolutions": [32, 64], "dense": [128]}),
    "lenet": Recipe("LeNet", "lenet", 8, weight_decay=1e-5),
}


def trained(store: Store, name: str, size: Size) -> Any:
    """Give a net, trained on all of the training data."""
    recipe = NETS[name]
    epochs = math.ceil(recipe.epochs * size.epochs)

    def train() -> Any:
        data = load_data(size)
        net = make_classifier(
            recipe.architecture,
            optimizer=recipe.optimizer,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            max_epochs=epochs,
            **recipe.training,
            **recipe.params,
        )
        torch.manual_seed(recipe.seed)
        return net.fit(data.X.reshape(-1, *(data.image_shape or ())), data.y)

    config = asdict(recipe) | size.config("dataset", "epochs")
    return store.model(f"net-{name}", config, train)
