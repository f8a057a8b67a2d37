"""One net of images in colour: trained, and its patterns compared with the contrasts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from benchmarks.attacks.colour_parts import STRATEGIES
from benchmarks.store import Store
from pncviz import (
    Dataset,
    compare,
    extract_patterns,
    load,
    make_classifier,
    make_strategy,
    model_null,
    own_class,
    positive_negative_contrast,
    save,
    split_half_reliability,
    template_accuracy,
)
from pncviz.exceptions import PatternWarning

__all__ = ["ColourSize", "Work"]

PARAMS: dict[str, dict[str, Any]] = {
    "fc": {},
    "cnn": {"convolutions": [32, 64], "dense": [128]},
    "resnet": {"preset": "resnet20"},
}


#: Of Adam. At its usual .001 the FC net never leaves the chance level.
LEARNING_RATES = {"fc": 3e-4, "cnn": 1e-3, "resnet": 1e-3}


@dataclass(frozen=True)
class ColourSize:
    """How much is computed.

    Attributes
    ----------
    per_class, test_per_class : int
        Generated images of each class.
    epochs : dict
        By architecture.
    seeds : int
        Nets of each architecture.
    max_iter : int
        Of every pattern, the null's too.
    n_examples : int
        Of each noise-started pattern (AAI).
    scale : float
        Standard deviation of the noise, where pixels are in 0..1.
    n_draws : int
        Untrained nets that zero-started patterns are tested against.
    n_permutations, n_resamples : int
        Of the comparison.
    """

    per_class: int
    test_per_class: int
    epochs: dict[str, int]
    seeds: int
    max_iter: int
    n_examples: int
    scale: float
    n_draws: int
    n_permutations: int
    n_resamples: int


@dataclass(frozen=True)
class Work:
    """What is computed of one set of images, each part kept as it is finished."""

    store: Store
    amount: ColourSize
    load: Callable[[], Dataset]
    stamp: str

    def name(self, *more: object) -> str:
        """Name a file: plainly for the generated images, with their stamp for others."""
        own = [] if self.stamp == "generated" else [self.stamp]
        return "-".join(map(str, ("colour", *own, *more)))

    def config(self, **more: Any) -> dict[str, Any]:
        nets = {"params": PARAMS, "learning_rates": LEARNING_RATES}
        return {"size": asdict(self.amount), "data": self.stamp, **nets, **more}

    def about(self) -> dict[str, Any]:
        """Say how strong the class means are, without any net."""
        data = self.load()
        contrasts = positive_negative_contrast(data.X, data.y)
        files = {
            "contrasts": f"{self.name('contrasts')}.nc",
            "images": f"{self.name('images')}.npy",
        }
        save(contrasts, self.store.root / files["contrasts"])
        first = [int(np.flatnonzero(data.y == label)[0]) for label in contrasts["label"].values]
        np.save(self.store.root / files["images"], data.X[first])
        templates = template_accuracy(contrasts, data.X_test, data.y_test)
        return {
            "classes": list(data.class_names),
            "n_train": len(data.X),
            "n_test": len(data.X_test),
            "templates": float(templates["accuracy"]),
            "contrast_reliability": float(split_half_reliability(contrasts).mean()),
            "files": files,
        }

    def case(self, architecture: str, seed: int) -> dict[str, Any]:
        """Train a net, and compare its patterns with the contrasts."""
        config = self.config(architecture=architecture, seed=seed)
        name = self.name(architecture, seed)

        def measure() -> dict[str, Any]:
            net = self.store.model(
                self.name("net", architecture, seed), config, lambda: self.train(architecture, seed)
            )
            return self.measured(net, architecture, seed)

        return self.store.json(name, config, measure)  # type: ignore[no-any-return]

    def train(self, architecture: str, seed: int) -> Any:
        data = self.load()
        net = self.unfitted(architecture)
        torch.manual_seed(seed)
        return net.fit(data.X, np.unique(data.y, return_inverse=True)[1])

    def unfitted(self, architecture: str) -> Any:
        return make_classifier(
            architecture,
            optimizer="adam",
            lr=LEARNING_RATES[architecture],
            max_epochs=self.amount.epochs[architecture],
            **PARAMS[architecture],
        )

    def measured(self, net: Any, architecture: str, seed: int) -> dict[str, Any]:
        """Give accuracy and, for each start, how alike patterns and contrasts are."""
        data = self.load()
        classes = np.unique(data.y)
        contrasts = positive_negative_contrast(data.X, data.y)
        found: dict[str, Any] = {
            "architecture": architecture,
            "seed": seed,
            "n_parameters": sum(p.numel() for p in net.module_.parameters()),
            "accuracy": float(net.score(data.X_test, np.searchsorted(classes, data.y_test))),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PatternWarning)  # the table says what was reached
            for start in STRATEGIES:
                patterns = self.patterns(net, start, seed)
                null = self.null(architecture) if start == "zero" else None
                file = f"{self.name('patterns', architecture, seed, start)}.nc"
                save(patterns, self.store.root / file)
                found[start] = self.compared(patterns, contrasts, null) | {"file": file}
        return found

    def patterns(self, net: Any, start: str, seed: int) -> xr.Dataset:
        data = self.load()
        return extract_patterns(
            net,
            image_shape=data.image_shape,
            classes=np.unique(data.y),
            strategy=self.strategy(start),
            max_iter=self.amount.max_iter,
            n_blocks=0 if start == "zero" else self.amount.n_examples // 2,
            random_state=seed,
        )

    def strategy(self, start: str) -> Any:
        if start == "zero":
            return make_strategy("zero")
        return make_strategy("aai", n_examples=self.amount.n_examples, scale=self.amount.scale)

    def null(self, architecture: str) -> xr.Dataset:
        """Give zero-started patterns of untrained nets, the same for every seed's trained one."""
        name = self.name("null", architecture)

        def draw() -> dict[str, str]:
            data = self.load()
            _, few = np.unique(data.y, return_index=True)  # only shapes and classes count
            null = model_null(
                self.unfitted(architecture),
                data.X[few],
                data.y[few],
                kind="untrained",
                n=self.amount.n_draws,
                random_state=0,
                strategy=self.strategy("zero"),
                max_iter=self.amount.max_iter,
            )
            save(null, self.store.root / f"{name}.nc")
            return {"file": f"{name}.nc"}

        made = self.store.json(name, self.config(architecture=architecture), draw)
        return load(self.store.root / made["file"])

    def compared(
        self, patterns: xr.Dataset, contrasts: xr.Dataset, null: xr.Dataset | None
    ) -> dict[str, Any]:
        result = compare(
            patterns,
            contrasts,
            null=null,
            n_permutations=self.amount.n_permutations,
            n_resamples=self.amount.n_resamples,
            random_state=0,
        )
        own = own_class(result).isel(metric=0)
        r = float(own["similarity"].mean())
        found = {
            "r": r,
            "lower": float(own["lower"].mean()),
            "upper": float(own["upper"].mean()),
            "hits": int(result["hits"].isel(metric=0)),
            "identification_p": float(result["identification_p"].isel(metric=0)),
            "ceiling": float(own["ceiling"].mean()),
            "share_of_ceiling": float(own["share_of_ceiling"].mean()),
            "succeeded": int(patterns["succeeded"].sum()),
        }
        if null is not None:
            # Of the mean over classes: one number per untrained net.
            draws = result["null_similarity"].isel(metric=0).mean("pattern_label").values
            found["null_r"] = float(draws.mean())
            found["null_p"] = float((1 + (draws >= r).sum()) / (1 + len(draws)))
        return found
