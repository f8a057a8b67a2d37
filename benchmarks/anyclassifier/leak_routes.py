"""Ways from a trained model to patterns, and what is done to the model so that they tell less."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import xarray as xr
from sklearn.frozen import FrozenEstimator

from benchmarks.anyclassifier.models import net
from benchmarks.anyclassifier.sizes import Size
from benchmarks.attacks.nets import NETS
from benchmarks.store import Store
from pncviz import Dataset, extract_patterns, make_attack, make_classifier, make_strategy
from pncviz.exceptions import PatternWarning

__all__ = ["DEFENCES", "ROUTES", "Route", "model_of", "routes_of"]

#: Examples of an average image, by net: LeNet's take a hundred times as long.
_EXAMPLES = {"fc": 1000, "lenet": 100}
_MAX_ITER = 200
#: How a net is made to tell less; of the fully connected one.
DEFENCES = {
    "smoothing": "label smoothing 0.1",
    "smoothing-heavy": "label smoothing 0.5",
    "adversarial": "adversarial training (FGSM, 0.1)",
}


@dataclass(frozen=True)
class Route:
    """One way to patterns.

    Attributes
    ----------
    key : str
        Names its file.
    title : str
    access : str
        What the model must offer: "gradients", "probabilities" or "labels".
    model : str
        "fc", "lenet", or one of :data:`DEFENCES`.
    extract : callable
        Gives patterns of (estimator, data, public images, size).
    seen : bool
        Whether the picture shows it.
    """

    key: str
    title: str
    access: str
    model: str
    extract: Callable[[Any, Dataset, Any, Size], xr.Dataset]
    seen: bool = False


def _extract(estimator: Any, data: Dataset, **given: Any) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)  # the table tells what came out
        return extract_patterns(estimator, image_shape=data.image_shape, random_state=0, **given)


def _white(strategy: str, examples: int = 0) -> Callable[..., xr.Dataset]:
    def extract(estimator: Any, data: Dataset, _public: Any, size: Size) -> xr.Dataset:
        n = 20 if size.quick else examples
        made = make_strategy(strategy, **({"n_examples": n} if examples else {}))
        blocks = 10 if examples else 0
        return _extract(estimator, data, strategy=made, max_iter=_MAX_ITER, n_blocks=blocks)

    return extract


def _fields(n: int, weights: str, noise: str = "gabor_pca") -> Callable[..., xr.Dataset]:
    def extract(estimator: Any, data: Dataset, _public: Any, size: Size) -> xr.Dataset:
        made = make_strategy(
            "classification_image",
            n_fields=n // 100 if size.quick else n,
            weights=weights,
            noise="white" if size.quick else noise,
            whiten=True,
        )
        return _extract(estimator, data, strategy=made, n_blocks=10)

    return extract


def _nes(n: int) -> Callable[..., xr.Dataset]:
    def extract(estimator: Any, data: Dataset, _public: Any, size: Size) -> xr.Dataset:
        attack = make_attack("nes", n_samples=50 if size.quick else 200)
        queries = (n // 10 if size.quick else n) // len(data.class_names)
        return _extract(estimator, data, attack=attack, max_iter=1000, max_queries=queries)

    return extract


def _boundary(n: int) -> Callable[..., xr.Dataset]:
    def extract(estimator: Any, data: Dataset, public: Any, size: Size) -> xr.Dataset:
        attack = make_attack("boundary", beginning="samples", clip=(0.0, 1.0))
        queries = (n // 20 if size.quick else n) // len(data.class_names)
        labels = estimator.predict(public)
        return _extract(
            estimator,
            data,
            attack=attack,
            max_iter=queries,
            max_queries=queries,
            X=public,
            y=labels,
        )

    return extract


def _substitute(estimator: Any, data: Dataset, public: Any, size: Size) -> xr.Dataset:
    from pncviz_substitute import SubstituteClassifier

    made = SubstituteClassifier(
        FrozenEstimator(estimator),
        n_rounds=2 if size.quick else 6,
        image_shape=data.image_shape,
        clip=(0.0, 1.0),
        random_state=0,
    ).fit(public[:150])
    patterns = _white("aai", 1000)(made.substitute_, data, public, size)
    # The substitute calls its classes by their places.
    patterns = patterns.assign_coords(label=made.classes_[patterns["label"].values])
    return patterns.assign_attrs(n_queries=made.n_queries_)


def _every() -> list[Route]:
    routes = []
    for model, name in (("fc", "FC"), ("lenet", "LeNet")):
        n = _EXAMPLES[model]
        routes += [
            Route(f"{model}-zero", f"{name}, zero start", "gradients", model, _white("zero")),
            Route(f"{model}-noise", f"{name}, noise start", "gradients", model, _white("noise")),
            Route(
                f"{model}-aai",
                f"{name}, average of {n}",
                "gradients",
                model,
                _white("aai", n),
                seen=True,
            ),
        ]
        sizes = (1_000, 10_000, 100_000, 1_000_000) if model == "fc" else (1_000, 10_000, 100_000)
        for weights, access in (("labels", "labels"), ("log_probabilities", "probabilities")):
            routes += [
                Route(
                    f"{model}-fields-{access}-{size}",
                    f"{name}, noise fields",
                    access,
                    model,
                    _fields(size, weights),
                    seen=size == sizes[-1],
                )
                for size in sizes
            ]
        routes += [
            Route(f"{model}-nes", f"{name}, NES", "probabilities", model, _nes(100_000), seen=True),
            Route(f"{model}-boundary", f"{name}, boundary", "labels", model, _boundary(20_000)),
            Route(f"{model}-substitute", f"{name}, substitute", "labels", model, _substitute, True),
        ]
    return routes


def _defended() -> list[Route]:
    return [
        Route(f"{model}-{key}", f"FC, {title}", access, model, extract)
        for model, title in DEFENCES.items()
        for key, access, extract in (
            ("aai", "gradients", _white("aai", _EXAMPLES["fc"])),
            ("fields-probabilities", "probabilities", _fields(100_000, "log_probabilities")),
            ("fields-labels", "labels", _fields(100_000, "labels")),
        )
    ]


ROUTES = [*_every(), *_defended()]


def routes_of(model: str) -> list[Route]:
    """Give the routes through one model, in their order."""
    return [route for route in ROUTES if route.model == model]


def model_of(store: Store, size: Size, dataset: str, name: str, data: Dataset) -> Any:
    """Give a trained net; a defended one is the fully connected one but for its training."""
    if name not in DEFENCES:
        return net(store, size, name, dataset)
    recipe = NETS["fc"]
    # As long as the plain net: one that has learnt less tells more.
    epochs = 60 if size.quick else recipe.epochs
    given: dict[str, Any] = {"optimizer": recipe.optimizer, "lr": recipe.lr, "max_epochs": epochs}
    if name == "adversarial":
        given["trainer"] = "adversarial"
        given["trainer_params"] = {"attack_params": {"epsilon": 0.1}, "clip": (0, 1)}

    def train() -> Any:
        made = make_classifier("fc", **given)
        if name.startswith("smoothing"):
            made.set_params(criterion__label_smoothing=0.5 if name.endswith("heavy") else 0.1)
        torch.manual_seed(recipe.seed)
        return made.fit(data.X, data.y)

    config = {"recipe": repr(recipe), "data": dataset, "way": name, "given": repr(given)}
    return store.model(f"leak-net-{dataset}-{name}", config, train)
