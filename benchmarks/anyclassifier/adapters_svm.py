"""One large support vector machine: 60 000 inputs, 10 000 support vectors, in blocks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from benchmarks.anyclassifier.models import load
from benchmarks.anyclassifier.sizes import Size
from benchmarks.page_parts import number
from benchmarks.store import Store
from pncviz import load_dataset
from pncviz_sklearn import SklearnModel, adapt_exactly

__all__ = ["compute_machine", "machine_text"]


def compute_machine(store: Store, size: Size) -> dict[str, Any]:
    """Measure time and memory of a machine that keeps every sample as a support vector."""
    config = {"dataset": size.main, "quick": size.quick, "version": 1}
    result: dict[str, Any] = store.json("adapters-machine", config, lambda: _machine(size))
    return result


def _machine(size: Size) -> dict[str, Any]:
    n_vectors, n_own = (1000, 500) if size.quick else (10_000, 1000)
    data = load(size, size.main)
    # Labels by chance and a small C: no sample can be told from the others, so all are kept.
    labels = np.random.default_rng(0).permutation(np.arange(n_vectors) % 10)
    whole = load_dataset(size.main).X
    queries = whole.reshape(len(whole), -1).astype(np.float64)
    with threadpool_limits(1):
        machine = SVC(C=0.01).fit(data.X[:n_vectors], labels)
        begin = time.perf_counter()
        told = machine.decision_function(queries[:n_own])
        own = (time.perf_counter() - begin) / n_own
    model = adapt_exactly(machine, input_shape=queries.shape[1:])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        answers, seconds, peak = _answered(model, queries)
        some = queries[: 5 * n_own]
        gradient, gradient_peak = _differentiated(model, some)
    finally:
        torch.set_num_threads(threads)
    return {
        "n_vectors": len(machine.support_vectors_),
        "n_queries": len(queries),
        "n_features": queries.shape[1],
        "n_own": n_own,
        "n_gradients": len(some),
        "deviation": float(np.abs(answers[:n_own] - told).max() / np.abs(told).max()),
        "seconds": seconds,
        "own_seconds_per_row": own,
        "gradient_seconds_per_row": gradient,
        "peak_bytes": peak,
        "gradient_peak_bytes": gradient_peak,
    }


def _answered(model: SklearnModel, queries: Any) -> tuple[Any, float, int]:
    """Give the logits of all queries at once, the seconds, and the memory taken on the way."""
    x = model.tensor(queries)
    with model.session(), torch.no_grad():
        before = _reset_peak()
        begin = time.perf_counter()
        logits = model.logits(x)
        return logits.numpy(), time.perf_counter() - begin, _peak() - before


def _differentiated(model: SklearnModel, queries: Any) -> tuple[float, int]:
    """Give seconds per row of a gradient, its forward pass included, and the memory taken."""
    with model.session():
        x = model.tensor(queries).requires_grad_()
        before = _reset_peak()
        begin = time.perf_counter()
        torch.autograd.grad(model.logits(x)[:, 0].sum(), x)
        return (time.perf_counter() - begin) / len(queries), _peak() - before


def _reset_peak() -> int:
    """Forget the peak of resident memory, and give what is resident now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def machine_text(found: dict[str, Any]) -> str:
    """Write what the large machine took."""
    rate, own = found["n_queries"] / found["seconds"], 1 / found["own_seconds_per_row"]
    held = found["n_queries"] * found["n_vectors"] * 8
    return (
        f"A support vector machine (rbf) with {_whole(found['n_vectors'])} support vectors, asked "
        f"about {_whole(found['n_queries'])} inputs of {found['n_features']} values at once: "
        f"{number(found['seconds'], 1)} s on one thread, {_whole(rate)} inputs a second, beside "
        f"{_whole(own)} a second of `SVC.decision_function` (timed on {_whole(found['n_own'])} of "
        f"them): {number(rate / own, 1)} times as many. Largest deviation "
        f"{found['deviation']:.0e}. Memory grew by {_megabytes(found['peak_bytes'])} on the way, "
        f"logits included; the kernel matrix would take {_megabytes(held)}. A gradient takes "
        f"{number(found['gradient_seconds_per_row'] * 1e3)} ms a row, and "
        f"{_megabytes(found['gradient_peak_bytes'])} for {_whole(found['n_gradients'])} rows, the "
        "gradients themselves included."
    )


def _whole(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _megabytes(value: float) -> str:
    return f"{_whole(value / 2**20)} MB"
