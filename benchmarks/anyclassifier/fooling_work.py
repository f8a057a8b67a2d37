"""The work behind the section on fooling images: evolve, compare, show to other models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.anyclassifier import models
from benchmarks.anyclassifier.sizes import Size
from benchmarks.store import Store
from pncviz import compare, load, positive_negative_contrast, save
from pncviz_fooling import evolve, fooling_images

__all__ = ["ASCENT", "ENCODINGS", "NET", "POPULATION", "SURE", "compute"]

#: Whose images are evolved; on small digits the first is an FC net.
NET, FOREST, LOGISTIC = "LeNet", "random forest", "logistic regression"
ENCODINGS = ("direct", "cppn")
#: The net's images are shown to these.
OTHERS = ("fc", "softmax")
#: What Nguyen et al. report; the population is that of the settings they published.
SURE, GENERATIONS, POPULATION = 0.9999, 200, 200
ASCENT = "gradient ascent"


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Evolve for each model, encoding and seed; then compare and transfer."""
    runs = {
        (model, encoding, seed): _run(store, size, model, encoding, seed)
        for model in (NET, FOREST, LOGISTIC)
        for encoding in ENCODINGS
        for seed in range(_seeds(size))
    }
    ascent = _ascent(store, size)
    config = _config(size) | {"runs": [run["identity"] for run in (*runs.values(), ascent)]}
    found = store.json("fooling-summary", config, lambda: _summary(store, size))
    found["figure"] = {name: str(path) for name, path in _files(store).items()}
    return dict(found)


def _seeds(size: Size) -> int:
    return 2 if size.quick else 5


def _generations(size: Size) -> int:
    return 30 if size.quick else GENERATIONS


def _config(size: Size) -> dict[str, Any]:
    return {
        "dataset": size.main,
        "n_train": size.n_train,
        "seeds": _seeds(size),
        "generations": _generations(size),
        "population": POPULATION,
    }


def _name(model: str, encoding: str, seed: int) -> str:
    return f"fooling-{model}-{encoding}-{seed}".replace(" ", "-").lower()


def _files(store: Store) -> dict[str, Path]:
    """Name the files of the elites that are drawn: of the first seed."""

    def kept(model: str) -> dict[str, Path]:
        return {
            f"{model}, {encoding}": store.root / f"{_name(model, encoding, 0)}.nc"
            for encoding in ENCODINGS
        }

    ascent = {f"{NET}, {ASCENT}": store.root / "fooling-ascent.nc"}
    return kept(NET) | ascent | kept(FOREST) | kept(LOGISTIC)


def _model(store: Store, size: Size, model: str) -> Any:
    if model == NET:
        return models.net(store, size, "lenet")
    return models.classifier(store, size, size.main, model)


def _run(store: Store, size: Size, model: str, encoding: str, seed: int) -> dict[str, Any]:
    """Evolve once; the elites are kept beside."""
    name = _name(model, encoding, seed)
    target = store.root / f"{name}.nc"

    def run() -> dict[str, Any]:
        data = models.load(size, size.main)
        elites = evolve(
            _model(store, size, model),
            encoding=encoding,
            n_generations=_generations(size),
            population=POPULATION,
            image_shape=data.image_shape,
            random_state=seed,
        )
        save(elites, target)
        return {"identity": f"{name} {elites.attrs['created_at']}"}

    config = _config(size) | {"model": model, "encoding": encoding, "seed": seed}
    return _kept(store, name, config, target, run)


def _ascent(store: Store, size: Size) -> dict[str, Any]:
    """Climb the net's scores, to compare."""
    target = store.root / "fooling-ascent.nc"

    def run() -> dict[str, Any]:
        images = fooling_images(
            _model(store, size, NET),
            kinds=["gradient_ascent"],
            image_shape=models.load(size, size.main).image_shape,
            min_confidence=SURE,
            random_state=0,
        )
        save(images.isel(strategy=0, drop=True), target)
        return {"identity": f"ascent {images.attrs['created_at']}"}

    return _kept(store, "fooling-ascent", _config(size), target, run)


def _kept(
    store: Store,
    name: str,
    config: dict[str, Any],
    target: Path,
    run: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Run, unless that is done and its file is still there."""
    if not target.exists():
        (store.root / f"{name}.json").unlink(missing_ok=True)
    return dict(store.json(name, config, run))


def _summary(store: Store, size: Size) -> dict[str, Any]:
    """Put together what the files hold."""
    data = models.load(size, size.main)
    contrasts = positive_negative_contrast(data.X, data.y, image_shape=data.image_shape)
    # LeNet's stand-in on small digits is the FC net itself.
    others = {name: models.net(store, size, name) for name in OTHERS[size.quick :]}
    rows = {}
    for model in (NET, FOREST, LOGISTIC):
        for encoding in ENCODINGS:
            files = [
                store.root / f"{_name(model, encoding, seed)}.nc" for seed in range(_seeds(size))
            ]
            rows[f"{model}, {encoding}"] = _row([load(file) for file in files], contrasts, others)
    rows[f"{NET}, {ASCENT}"] = _row([load(store.root / "fooling-ascent.nc")], contrasts, others)
    return {"rows": rows, "accuracy": {n: _accuracy(m, data) for n, m in others.items()}}


def _accuracy(model: Any, data: Any) -> float:
    X = data.X_test.reshape(-1, *data.image_shape)
    return float((model.predict(X) == data.y_test).mean())


def _row(runs: list[Any], contrasts: Any, others: dict[str, Any]) -> dict[str, Any]:
    """Sum up the runs of one model and encoding: quantiles are over all their elites."""
    final = np.concatenate([run["confidence"].values for run in runs])
    found: dict[str, Any] = {
        "n": len(final),
        "succeeded": int(sum(run["succeeded"].values.sum() for run in runs)),
        "median": float(np.median(final)),
        "transfer": {name: _taken(runs, model) for name, model in others.items()},
        **_similarity(runs, contrasts),
    }
    if "generation" in runs[0].dims:
        trace = np.concatenate([run["trace_confidence"].values for run in runs])
        quantiles = np.quantile(trace, [0.25, 0.5, 0.75], axis=0)
        found["course"] = quantiles.tolist()
        found["least"] = trace.min(axis=0).tolist()
        found["n_queries"] = int(runs[0]["n_queries"].values[0])
    return found


def _taken(runs: list[Any], model: Any) -> int:
    """Count the elites that another model takes for the same class."""
    return int(
        sum((model.predict(run["pattern"].values) == run["label"].values).sum() for run in runs)
    )


def _similarity(runs: list[Any], contrasts: Any) -> dict[str, Any]:
    """Compare elites with contrasts: mean own-class r, and how many are nearest to their own."""
    each = [compare(run, contrasts, metrics="pearson", n_resamples=1) for run in runs]
    own = [float(np.mean(np.diag(one["similarity"].values[0]))) for one in each]
    return {
        "r": own,
        "hits": [int(one["hits"].values[0]) for one in each],
        "p": [float(one["identification_p"].values[0]) for one in each],
    }
