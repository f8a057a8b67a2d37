"""How exact the adapters of scikit-learn's classifiers are, and how fast."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.anyclassifier.adapters_cases import MORE, Case
from benchmarks.anyclassifier.adapters_svm import compute_machine, machine_text
from benchmarks.anyclassifier.models import KINDS, classifier, load
from benchmarks.anyclassifier.sizes import Size
from benchmarks.page_parts import Verdict, number, share, table
from benchmarks.store import Store
from pncviz import Dataset
from pncviz_sklearn import SklearnModel, adapt_exactly, is_known

__all__ = ["compute", "section", "verdicts"]

#: Random inputs that answers are compared on, and inputs that gradients are.
N_INPUTS, N_GRADIENTS = 1000, 45
#: Test images that are labelled against the clock, and how often.
N_TIMED, _ROUNDS = 1000, 3
#: What the issue asks for, and what central differences can tell.
BOUND, GRADIENT_BOUND = 1e-6, 1e-5


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Compare every kind with scikit-learn, then measure one large machine."""
    found = {}
    for place, (name, make) in enumerate(_cases(store, size).items()):
        config = {"name": name, "n": _n_fitted(size), "dataset": size.main, "made": _told(name)}
        config |= {"inputs": N_INPUTS, "gradients": N_GRADIENTS, "timed": N_TIMED}
        work = partial(_measured, make, size)
        found[name] = store.json(f"adapters-{place}", config, work)
    return {"kinds": found, "machine": compute_machine(store, size)}


def _n_fitted(size: Size) -> int:
    return 1000 if size.quick else 2000


@lru_cache(maxsize=1)
def _data(size: Size) -> Dataset:
    return load(size, size.main)


def _told(name: str) -> str:
    return repr(KINDS[name]() if name in KINDS else MORE[name].make())


def _cases(store: Store, size: Size) -> dict[str, Callable[[], Any]]:
    """Name what fits, or loads, each classifier."""

    def kept(kind: str) -> Callable[[], Any]:
        return lambda: classifier(store, size, size.main, kind)

    def fitted(case: Case) -> Callable[[], Any]:
        return lambda: _fit(case, size)

    known = [kind for kind in KINDS if is_known(KINDS[kind]())]
    cases = {kind: kept(kind) for kind in known}
    return cases | {name: fitted(case) for name, case in MORE.items()}


def _fit(case: Case, size: Size) -> Any:
    data, n = _data(size), _n_fitted(size)
    y = np.where(data.y[:n] < 5, "low", "high") if case.two else data.y[:n]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few iterations are enough here
        return case.make().fit(data.X[:n], y)


def _measured(make: Callable[[], Any], size: Size) -> dict[str, Any]:
    estimator = make()
    images = _data(size).X_test.astype(np.float64)
    rng = np.random.default_rng(0)
    half, n_features = N_INPUTS // 2, images.shape[1]
    X = np.vstack([rng.random((half, n_features)), rng.normal(size=(half, n_features))])
    model = adapt_exactly(estimator, input_shape=(n_features,))
    third = N_GRADIENTS // 3
    near = images[:third] + 0.05 * rng.normal(size=(third, n_features))
    with threadpool_limits(1):
        answer, deviation = _deviation(estimator, model, X)
        gradient, kinks = _gradient_error(model, np.vstack([X[:third], X[-third:], near]), rng)
        seconds, own = _seconds(estimator, model, np.resize(images, (N_TIMED, n_features)))
        with model.session(), torch.no_grad():
            labels = np.asarray(model.classes)[model.labels(model.tensor(X)).numpy()]
    return {
        "answer": answer,
        "deviation": deviation,
        "agree": float(np.mean(labels == estimator.predict(X))),
        "gradient": gradient,
        "kinks": kinks,
        "seconds": seconds,
        "own_seconds": own,
    }


def _deviation(estimator: Any, model: SklearnModel, X: NDArray[np.float64]) -> tuple[str, float]:
    """Give what was compared, and the largest difference over the largest size."""
    with model.session(), torch.no_grad():
        x = model.tensor(X)
        logits, shares = model.logits(x).numpy(), model.probabilities(x).numpy()
        if hasattr(estimator, "predict_proba"):
            return "predict_proba", float(np.abs(shares - estimator.predict_proba(X)).max())
        if not hasattr(estimator, "decision_function"):
            told = -np.stack([np.abs(X - c).sum(axis=1) for c in estimator.centroids_], axis=1)
            return "distances", float(np.abs(logits - told).max() / np.abs(told).max())
        told = estimator.decision_function(X)
        if told.ndim == 1:
            found = logits[:, 1] - logits[:, 0]
        elif told.shape == logits.shape:
            found = logits
        else:  # one vs one
            found = model.module[-1].decisions(x).numpy()
    return "decision_function", float(np.abs(found - told).max() / np.abs(told).max())


def _gradient_error(
    model: SklearnModel, X: NDArray[np.float64], rng: np.random.Generator, step: float = 1e-6
) -> tuple[float, int]:
    """Compare with central differences: largest error over largest derivative.

    Where the model bends within a step, as a ReLU may, there is no derivative to compare with;
    bends are told by second differences, which know nothing of the gradient. Gives their number
    too.
    """
    x = model.tensor(X)
    along = model.tensor(rng.normal(size=X.shape) / np.sqrt(X.shape[1]))
    with model.session():
        with torch.no_grad():
            ahead, here, behind = (model.logits(x + k * step * along) for k in (1, 0, -1))
        leaf = x.requires_grad_()
        logits = model.logits(leaf)
        told = torch.zeros_like(here)
        for unit in range(model.n_units):
            if logits[:, unit].detach().any():  # else the 0 of (0, z)
                (pull,) = torch.autograd.grad(logits[:, unit].sum(), leaf, retain_graph=True)
                told[:, unit] = (pull * along).sum(dim=1)
    largest = max(float(told.abs().max()), float(np.finfo(float).tiny))
    bent = (ahead + behind - 2 * here).abs() / step > 2 * GRADIENT_BOUND * largest
    apart = (told - (ahead - behind) / (2 * step)).abs().masked_fill(bent, 0.0)
    return float(apart.max()) / largest, int(bent.any(dim=1).sum())


def _seconds(estimator: Any, model: SklearnModel, X: NDArray[np.float64]) -> tuple[float, float]:
    """Give the least seconds of both ways to label rows, taken in turns on one thread."""
    x = model.tensor(X)
    ours, theirs = [], []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with model.session(), torch.no_grad():
            for _ in range(_ROUNDS):
                begin = time.perf_counter()
                for part in x.split(model.batch_size):
                    model.labels(part)
                ours.append(time.perf_counter() - begin)
                begin = time.perf_counter()
                estimator.predict(X)
                theirs.append(time.perf_counter() - begin)
    finally:
        torch.set_num_threads(threads)
    return min(ours), min(theirs)


def section(result: dict[str, Any], folder: Path) -> str:  # noqa: ARG001 # there is no figure
    """Write what was compared."""
    head = (
        "classifier",
        "compared with",
        "largest deviation",
        "same label",
        "largest error of a gradient",
        "time, of `predict`'s",
    )
    rows = [
        [
            name,
            f"`{part['answer']}`" if "_" in part["answer"] else part["answer"],
            f"{part['deviation']:.0e}",
            share(part["agree"], 1),
            f"{part['gradient']:.0e}",
            number(part["seconds"] / part["own_seconds"]),
        ]
        for name, part in result["kinds"].items()
    ]
    kinks = sum(part["kinks"] for part in result["kinds"].values())
    text = (
        "`pncviz-sklearn` makes a torch module of a fitted classifier or pipeline. On "
        f"{N_INPUTS} random inputs (half uniform in 0..1, half normal noise) its answers were "
        "compared with scikit-learn's: probabilities where there are any, else the decision "
        "function, whose deviations are relative to its largest value. Gradients are compared "
        f"with central differences in double precision, at {N_GRADIENTS} inputs (a third of them "
        "test images with a little noise), relative to the largest derivative; "
        f"{kinks} of {len(rows) * N_GRADIENTS} inputs, where the model bends within the step, are "
        "left out. Time is that of labelling "
        f"{N_TIMED} test images, over that of `predict`, on one thread."
    )
    return "\n\n".join([text, table(head, rows), machine_text(result["machine"])])


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """Judge exactness; no paper claims it, but all patterns of these models rest on it."""
    parts = [*result["kinds"].values(), result["machine"]]
    exact = [part["deviation"] <= BOUND and part.get("agree", 1.0) == 1.0 for part in parts]
    smooth = [part["gradient"] <= GRADIENT_BOUND for part in result["kinds"].values()]
    worst = max(part["deviation"] for part in parts)
    return [
        Verdict.of(
            "the exact models answer as scikit-learn does, to 1e-6, with the same labels",
            all(exact),
            sum(exact) > len(exact) / 2,
            f"{sum(exact)} of {len(exact)}; largest deviation {worst:.0e}",
        ),
        Verdict.of(
            "their gradients are those of finite differences, to 1e-5",
            all(smooth),
            sum(smooth) > len(smooth) / 2,
            f"{sum(smooth)} of {len(smooth)}; largest error "
            f"{max(part['gradient'] for part in result['kinds'].values()):.0e}",
        ),
    ]
