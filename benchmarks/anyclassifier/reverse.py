"""Classification images: noise alone, and how well what the model says of it sorts the test set."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from benchmarks.anyclassifier.models import classifier, load, net
from benchmarks.anyclassifier.reverse_told import (
    NOISES,
    PUBLISHED,
    SIZES,
    TIMED,
    YARDSTICK,
    section,
    verdicts,
)
from benchmarks.anyclassifier.sizes import Size
from benchmarks.store import Store
from pncviz import Dataset, compare, positive_negative_contrast, template_accuracy
from pncviz.dataset import build_patterns, common_attrs
from pncviz.models import ProbabilityModel, adapt
from pncviz.specs import Model
from pncviz_blackbox.images import images_of
from pncviz_blackbox.info_value import info_value
from pncviz_blackbox.noise import BinaryNoise, Noise, WhiteNoise
from pncviz_blackbox.spectra import ClassMeanSpectrum, GaborPCA
from pncviz_blackbox.sums import WEIGHTS, Sums, tallied

__all__ = ["compute", "section", "verdicts"]

MODELS = ("LeNet", "logistic regression", "random forest")
#: On small digits a field must be larger to make a difference.
QUICK_RMS = 0.5


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Ask every model about every noise, ten times as often each time."""
    found: dict[str, Any] = {"runs": {}, "contrast": {}, "speed": {}}
    datasets = ("digits",) if size.quick else tuple(PUBLISHED)
    for dataset in datasets:
        data = load(size, dataset)
        contrast = positive_negative_contrast(_images(data, data.X), data.y)
        accuracy = template_accuracy(contrast, _images(data, data.X_test), data.y_test)
        found["contrast"][dataset] = {
            "accuracy": float(accuracy["accuracy"]),
            "images": _rounded(contrast["contrast"].values[:, 0]),
        }
        found["runs"][dataset] = {
            f"{kind}|{noise}": _runs(store, size, dataset, kind, noise, data, contrast)
            for kind in (MODELS[1:2] if size.quick else MODELS)
            for noise in NOISES
        }
    found["speed"] = _speed(store, size, datasets[0])
    return found


# --------------------------------------------------------------------------- one run


def _counts(size: Size, kind: str, noise: str) -> list[int]:
    if size.quick:
        return [200, 2000]
    most = 6 if kind == "LeNet" and noise == YARDSTICK else 5
    return [10**power for power in range(3, most + 1)]


def _runs(
    store: Store,
    size: Size,
    dataset: str,
    kind: str,
    noise: str,
    data: Dataset,
    contrast: xr.Dataset,
) -> list[dict[str, Any]]:
    """Give what came of each number of fields; the first of many are the fewer."""
    runs = []
    for n in _counts(size, kind, noise):
        offset, rms = _setting(size, kind, noise)
        config = {"n": n, "offset": offset, "rms": rms, "n_train": size.n_train}
        name = f"reverse-{dataset}-{kind}-{noise}-{n}".replace(" ", "-").lower()

        def work(n: int = n, offset: float = offset, rms: float = rms) -> dict[str, Any]:
            model = _model(store, size, dataset, kind, data)
            return _run(model, noise, n, data, contrast, offset, rms)

        runs.append(store.json(name, config, work))
    return runs


def _setting(size: Size, kind: str, noise: str) -> tuple[float, float]:
    """Give offset and root mean square."""
    _, offset, rms = NOISES[noise]
    return offset, rms or (QUICK_RMS if size.quick else SIZES[kind])


def _model(store: Store, size: Size, dataset: str, kind: str, data: Dataset) -> Model:
    if kind != "LeNet":
        estimator = classifier(store, size, dataset, kind)
        # Not the exact adapter that a plugin may have: it is to be asked only.
        return ProbabilityModel(estimator, input_shape=(data.X.shape[1],))
    shape = _shape(data)
    return adapt(net(store, size, "lenet", dataset), input_shape=shape)


def _noise(name: str, data: Dataset) -> Noise:
    made: dict[str, Noise] = {
        "white": WhiteNoise(),
        "white around grey": WhiteNoise(),
        "Gabor PCA": GaborPCA(),
        "Gabor PCA of the data": GaborPCA(from_data=True),
        "class-mean spectrum": ClassMeanSpectrum(),
    }
    noise = made[name]
    noise.prepare(_images(data, data.X), np.asarray(data.y), _shape(data))
    return noise


def _run(
    model: Model,
    name: str,
    n: int,
    data: Dataset,
    contrast: xr.Dataset,
    offset: float,
    rms: float,
) -> dict[str, Any]:
    noise, shape = _noise(name, data), _shape(data)
    begin = time.perf_counter()
    with model.session(), torch.no_grad():
        every = tallied(
            model,
            noise,
            np.arange(len(contrast["label"])),
            n,
            shape=shape,
            stream=lambda block: np.random.default_rng([0, block]),
            weights=WEIGHTS,
            rms=rms,
            offset=offset,
        )
    seconds = time.perf_counter() - begin
    variances, _ = noise.axes(shape)
    found: dict[str, Any] = {"n": n, "seconds": seconds, "called": every[0].called.tolist()}
    for weights, sums in zip(WEIGHTS, every, strict=True):
        images = rms * images_of(sums, weights)[0] / n
        patterns = _labelled(images, contrast["label"].values, sums, shape)
        similar = compare(patterns, contrast)["similarity"].sel(metric="pearson").values
        accuracy = template_accuracy(patterns, _images(data, data.X_test), data.y_test)
        called = sums.called.tolist() if weights == "labels" else [None] * len(images)
        values = [
            info_value(image, variances, n_fields=n, n_called=c, rms=rms, n_draws=2000)
            for image, c in zip(images, called, strict=True)
        ]
        known = [value for value in values if not math.isnan(value)]
        found[weights] = {
            "accuracy": float(accuracy["accuracy"]),
            "lower": float(accuracy["lower"]),
            "upper": float(accuracy["upper"]),
            "r": float(similar.diagonal().mean()),
            "info": float(np.median(known)) if known else math.nan,
            "told": sum(value > 1.96 for value in known),
        }
    images = rms * images_of(every[0], "labels")[0] / n
    found["images"] = _rounded(images.reshape(-1, *shape)[:, 0])
    return found


def _labelled(images: Any, labels: Any, sums: Sums, shape: tuple[int, ...]) -> xr.Dataset:
    """Make patterns of images, for what compares patterns."""
    k = len(images)
    return build_patterns(
        pattern=images,
        labels=labels,
        image_shape=shape,
        confidence=np.zeros(k),
        loss=np.zeros(k),
        n_iter=sums.called,
        prediction=labels,
        stop_reason=np.full(k, "n_fields"),
        success_rate=np.ones(k),
        pattern_prediction=labels,
        pattern_confidence=np.zeros(k),
        attrs=common_attrs("patterns", parameters={}),
    )


def _shape(data: Dataset) -> tuple[int, ...]:
    assert data.image_shape is not None  # all are of images
    return tuple(data.image_shape)


def _images(data: Dataset, X: Any) -> Any:
    return np.asarray(X).reshape(-1, *_shape(data))


def _rounded(images: Any) -> Any:
    return np.round(images / max(float(np.abs(images).max()), 1e-12), 3).tolist()


# --------------------------------------------------------------------------- speed


def _speed(store: Store, size: Size, dataset: str) -> dict[str, Any]:
    """Time each classifier's own answers to noise, and all that is done beside."""

    def work(kind: str, noise: Noise) -> dict[str, float]:
        data = load(size, dataset)
        model = _model(store, size, dataset, kind, data)
        n = 2048 if kind in TIMED[3:] else 8192
        fields = noise.draw(np.random.default_rng(0), n, _shape(data)) * np.float32(0.1)
        estimator = classifier(store, size, dataset, kind)
        ask = getattr(estimator, "predict_proba", estimator.predict)
        weights = "probabilities" if hasattr(estimator, "predict_proba") else "labels"

        def whole() -> None:
            tallied(
                model,
                noise,
                np.arange(model.n_units),
                n,
                shape=_shape(data),
                stream=lambda block: np.random.default_rng([0, block]),
                weights=(weights,),
                rms=0.1,
            )

        return {"model": n / _best(lambda: ask(fields)), "whole": n / _best(whole)}

    found: dict[str, Any] = {}
    for kind in TIMED[:1] if size.quick else TIMED:
        for name, noise in (("white", WhiteNoise()), ("binary", BinaryNoise())):
            key = f"reverse-speed-{dataset}-{kind}-{name}".replace(" ", "-").lower()
            config = {"n_train": size.n_train}
            found[f"{kind}|{name}"] = store.json(key, config, partial(work, kind, noise))
    return found


def _best(call: Any) -> float:
    """Give the least seconds of three calls, or of one that takes long."""
    times: list[float] = []
    while len(times) < 3 and sum(times) < 10:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)
