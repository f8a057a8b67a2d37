"""Class means from patterns: what a published model tells of its training set, and at what cost."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from benchmarks.anyclassifier.leak_routes import DEFENCES, ROUTES, Route, model_of, routes_of
from benchmarks.anyclassifier.leak_text import section, verdicts
from benchmarks.anyclassifier.sizes import Size
from benchmarks.store import Store
from pncviz import (
    Dataset,
    class_mean_leakage,
    load_dataset,
    reconstruct_class_means,
)
from pncviz.exceptions import PatternWarning

__all__ = ["compute", "section", "verdicts"]

#: Unlabelled images of the same kind that whoever asks has; none was trained on.
N_PUBLIC = 1000
HALF = "other data"
#: What is known beforehand, by its row in the table.
PRIORS = ("nothing", "mean", "images")
#: The route that all priors are tried on.
TRIED = "fc-aai"


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Measure every route to every model of every dataset."""
    datasets = ("digits",) if size.quick else ("mnist", "fashion_mnist")
    return {dataset: _dataset(store, size, dataset) for dataset in datasets}


def _dataset(store: Store, size: Size, dataset: str) -> dict[str, Any]:
    data = _load(dataset)
    truth, frequencies = _means(data.X, data.y)
    public = data.X_test[:N_PUBLIC] if not size.quick else data.X_test[:200]
    rest = slice(len(public), None)
    other, _ = _means(data.X_test[rest], data.y_test[rest])
    files = {"true": store.root / f"leak-{dataset}-true.npy"}
    np.save(files["true"], truth.values)
    found: dict[str, Any] = {"labels": [str(k) for k in truth["label"].values], "routes": {}}
    # On small digits there is no LeNet.
    for name in ("fc", *(() if size.quick else ("lenet",)), *DEFENCES):
        config = {"size": size.quick, "routes": [route.key for route in routes_of(name)]}
        about = store.json(
            f"leak-{dataset}-{name}-model",
            config,
            partial(_accuracy, store, size, dataset, name, data),
        )
        for route in routes_of(name):
            files[route.key] = store.root / f"leak-{dataset}-{route.key}.npy"
            config = {"quick": size.quick, "route": route.key, "public": len(public)}

            def work(route: Route = route, target: Path = files[route.key]) -> dict[str, Any]:
                model = model_of(store, size, dataset, route.model, data)
                patterns = route.extract(model, data, public, size)
                priors = PRIORS if route.key == TRIED else PRIORS[-1:]
                return {
                    prior: _measured(patterns, prior, public, (truth, frequencies, other), target)
                    for prior in priors
                }

            found["routes"][route.key] = {
                "title": route.title,
                "access": route.access,
                "model": route.model,
                "seen": route.seen,
                "accuracy": about["accuracy"],
                **store.json(f"leak-{dataset}-{route.key}", config, work),
            }
    known = {"quick": size.quick, "public": len(public), "half": HALF}
    found["known"] = store.json(
        f"leak-{dataset}-known",
        known,
        lambda: _baselines(truth, frequencies, other, public),
    )
    np.save(store.root / f"leak-{dataset}-other.npy", other.values)
    files["other"] = store.root / f"leak-{dataset}-other.npy"
    found["files"] = {key: str(path) for key, path in files.items()}
    found["order"] = [route.key for route in ROUTES if route.key in found["routes"]]
    return found


def _load(dataset: str) -> Dataset:
    data = load_dataset(dataset)
    shape = data.image_shape
    assert shape is not None  # all are of images
    return replace(data, X=data.X.reshape(-1, *shape), X_test=data.X_test.reshape(-1, *shape))


def _means(X: NDArray[Any], y: NDArray[Any]) -> tuple[xr.DataArray, NDArray[np.float64]]:
    """Give the class means, and the share of each class."""
    labels, counts = np.unique(y, return_counts=True)
    means = np.stack([X[y == label].mean(axis=0, dtype=np.float64) for label in labels])
    dims = ("label", "channel", "row", "column")
    return xr.DataArray(means, dims=dims, coords={"label": labels}), counts / counts.sum()


def _accuracy(store: Store, size: Size, dataset: str, name: str, data: Dataset) -> dict[str, float]:
    model = model_of(store, size, dataset, name, data)
    return {"accuracy": float((model.predict(data.X_test) == data.y_test).mean())}


def _measured(
    patterns: xr.Dataset,
    prior: str,
    public: NDArray[Any],
    known: tuple[xr.DataArray, NDArray[np.float64], xr.DataArray],
    target: Path,
) -> dict[str, Any]:
    """Put the means together, keep them, and measure them."""
    truth, frequencies, other = known
    given = {"nothing": None, "mean": public.mean(axis=0), "images": public}[prior]
    with warnings.catch_warnings():
        # A class that no field was called has no pattern; the table tells the hits.
        warnings.simplefilter("ignore", PatternWarning)
        means = reconstruct_class_means(patterns, prior=given)
    if prior == PRIORS[-1]:
        np.save(target, means["class_mean"].values)
    table = class_mean_leakage(
        means, truth, baselines={HALF: other.values}, frequencies=frequencies, random_state=0
    )
    queries = table.attrs.get("n_queries")
    return {
        **_row(table, "reconstructed"),
        "noise_share": float(means["noise_share"].mean()),
        "queries": None if queries is None else int(queries),
        "succeeded": int(patterns["succeeded"].sum()),
    }


def _row(table: xr.Dataset, source: str) -> dict[str, Any]:
    """Give what the tables tell of one source."""
    one, found = table.sel(source=source), dict[str, Any]()
    for name in ("correlation", "deviation_correlation", "psnr"):
        ends = (f"mean_{name}", f"{name}_lower", f"{name}_upper")
        found[name] = [float(one[end]) for end in ends]
    if source == "reconstructed":
        gain = table.sel(baseline="overall mean")
        for name in ("correlation", "psnr"):
            ends = (f"{name}_gain", f"{name}_gain_lower", f"{name}_gain_upper")
            found[f"{name}_gain"] = [float(gain[end]) for end in ends]
    found["hits"], found["n_labels"] = int(one["hits"]), table.sizes["label"]
    found["p"] = float(one["identification_p"])
    return found


def _baselines(
    truth: xr.DataArray, frequencies: NDArray[np.float64], other: xr.DataArray, public: Any
) -> dict[str, Any]:
    """Measure what is known without the model: also the mean of the public images."""
    public_mean = truth.copy(data=np.broadcast_to(public.mean(axis=0), truth.shape))
    table = class_mean_leakage(
        public_mean, truth, baselines={HALF: other.values}, frequencies=frequencies, random_state=0
    )
    return {name: _row(table, name) for name in ("overall mean", HALF)} | {
        "mean of public images": _row(table, "reconstructed")
    }
