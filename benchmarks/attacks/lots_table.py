"""Table 1 of the LOTS paper: four kinds of examples, before and after training on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator

from benchmarks.attacks.nets import NETS, trained
from benchmarks.attacks.sizes import Size, load_data
from benchmarks.page_parts import Verdict, number, share, table
from benchmarks.store import Store
from pncviz import AdversarialExampleGenerator, Attack, load_classifier, make_attack

__all__ = ["KINDS", "LAYERS", "MODELS", "compute", "compute_model", "shown"]

LAYERS = ("conv1", "conv2", "ip1", "ip2")
#: Of the table's columns: examples per image.
KINDS = {"FGS": 1, "FGV": 1, "HC": 9, "LOTS": 36}
#: Of its rows: what the net is trained on after its training.
MODELS = ("basic", "FGS", "FGV", "HC", "LOTS")
#: Learning rate of training on: a tenth of the training's.
RATE = 1e-4
_BOUNDS: dict[str, Any] = {"clip": (0.0, 1.0), "pixel_step": 1 / 255}

#: Basic LeNet, and what training on examples of LOTS made of it (rozsa2017lots, Table 1):
#: success, PASS, L2, L-inf.
PAPER = {
    "FGS": (0.8537, 0.4303, 718.8, 34.6),
    "FGV": (0.8537, 0.7753, 435.3, 94.4),
}
#: Test errors of the paper's rows.
PAPER_ERROR = {
    "basic": 0.0091,
    "FGS": 0.0077,
    "FGV": 0.0082,
    "HC": 0.0078,
    "LOTS": 0.0065,
    "LOTS conv1": 0.0102,
    "LOTS conv2": 0.0090,
    "LOTS ip1": 0.0074,
    "LOTS ip2": 0.0078,
}


@dataclass(frozen=True)
class Attempts:
    """Examples of one kind: what they were made of, what became of it, and whether that worked."""

    rows: NDArray[np.int64]
    adversarial: NDArray[np.float32]
    succeeded: NDArray[np.bool_]


def attempts(
    net: Any, X: NDArray[np.float32], y: NDArray[np.int64], kind: str, chosen: NDArray[np.float32]
) -> Iterator[Attempts]:
    """Give all examples of a kind (or of LOTS at one layer), one target offset after another.

    ``chosen`` holds one image per class, the targets of LOTS.
    """
    rows = np.arange(len(X))
    if kind in ("FGS", "FGV"):
        attack = make_attack("fgsm", epsilon=None, **_BOUNDS)
        if kind == "FGV":
            attack = make_attack("fgv", **_BOUNDS)
        yield _attempt(net, attack, X, y, rows, None)
        return
    for attack in _targeted(kind, chosen):
        for offset in range(1, len(chosen)):
            yield _attempt(net, attack, X, y, rows, (y + offset) % len(chosen))


def _targeted(kind: str, chosen: NDArray[np.float32]) -> list[Attack]:
    if kind == "HC":
        return [make_attack("hot_cold", until="changed", **_BOUNDS)]
    layers = LAYERS if kind == "LOTS" else (kind.removeprefix("LOTS "),)
    return [
        make_attack("lots", layer=layer, target="image", targets=chosen, until="changed", **_BOUNDS)
        for layer in layers
    ]


def _attempt(
    net: Any,
    attack: Attack,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    rows: NDArray[np.int64],
    target: NDArray[np.int64] | None,
) -> Attempts:
    maker = AdversarialExampleGenerator(FrozenEstimator(net), attack=attack, random_state=0)
    adversarial = maker.fit(X, y).generate(X, y, target=target)
    found = maker.examples_
    done = (found["prediction"].values != y) & (found["original_prediction"].values == y)
    return Attempts(rows, adversarial, done)


# ------------------------------------------------------------------------------ one model


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Give the whole table, by model."""
    return {name: compute_model(store, size, name) for name in MODELS}


def compute_model(store: Store, size: Size, name: str) -> dict[str, Any]:
    """Give a row of the table: test error, and the measures of all four kinds of examples."""
    config = {"net": NETS["lenet"], "rate": RATE, "bounds": _BOUNDS, "model": name}
    config |= {"until": "changed"}
    config |= size.config("dataset", "n_measured", "n_tuned", "tuned_epochs", "epochs")

    def measure() -> dict[str, Any]:
        data = load_data(size)
        net = tuned(store, size, name)
        X_test = data.X_test.reshape(-1, *(data.image_shape or ()))
        right = net.predict(X_test) == data.y_test
        rows = np.flatnonzero(right)[: size.n_measured]
        chosen = _chosen(data)
        return {
            "error": float(1 - right.mean()),
            "n": len(rows),
            **{
                kind: _measured(net, X_test[rows], data.y_test[rows], kind, chosen)
                for kind in KINDS
            },
        }

    return store.json(f"lots-{name.replace(' ', '-')}", config, measure)  # type: ignore[no-any-return]


def _chosen(data: Any) -> NDArray[np.float32]:
    """Give the first training image of each class."""
    first = [int(np.flatnonzero(data.y == label)[0]) for label in np.unique(data.y)]
    images: NDArray[np.float32] = data.X[first].reshape(-1, *data.image_shape)
    return images


def tuned(store: Store, size: Size, name: str) -> Any:
    """Give LeNet, trained on with examples that were made on it; the basic one as it is."""
    basic = trained(store, "lenet", size)
    if name == "basic":
        return basic
    config = {"net": NETS["lenet"], "rate": RATE, "bounds": _BOUNDS, "model": name}
    config |= size.config("dataset", "n_tuned", "tuned_epochs", "epochs")

    def train() -> Any:
        X, y = _examples(basic, size, name)
        net = load_classifier(store.root / "net-lenet.safetensors")
        net.set_params(lr=RATE, max_epochs=size.tuned_epochs)
        torch.manual_seed(0)
        return net.partial_fit(X, y)

    return store.model(f"net-lenet-{name.replace(' ', '-')}", config, train)


def _examples(net: Any, size: Size, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Give what worked of about ``n_tuned`` attempts on training images, with their true labels."""
    data = load_data(size)
    per_image = KINDS.get(name, KINDS["HC"])
    n = size.n_tuned // per_image
    X, y = data.X[:n].reshape(-1, *(data.image_shape or ())), data.y[:n]
    parts = [
        (found.adversarial[found.succeeded], y[found.rows[found.succeeded]])
        for found in attempts(net, X, y, name, _chosen(data))
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _measured(
    net: Any,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    kind: str,
    chosen: NDArray[np.float32],
) -> dict[str, Any]:
    """Give share of success and, over what worked, mean and deviation of the three measures."""
    from pncviz_lots import adversarial_quality

    n, values, aligned = 0, [], []
    for found in attempts(net, X, y, kind, chosen):
        n += len(found.rows)
        done = found.succeeded
        quality = adversarial_quality(X[found.rows[done]], found.adversarial[done])
        values.append(np.stack([quality[name].values for name in ("pass", "l2", "linf")]))
        aligned.append(quality["aligned"].values)
    every = np.concatenate(values, axis=1)
    measures = {
        name: [float(row.mean()), float(row.std())]
        for name, row in zip(("pass", "l2", "linf"), every, strict=True)
    }
    return {
        "n": n,
        "success": every.shape[1] / n,
        "unaligned": float(1 - np.concatenate(aligned).mean()),
        **measures,
    }


# ------------------------------------------------------------------------------ the page


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """Give the tables and the verdicts."""
    rows = []
    for name, one in found.items():
        cells = [_cell(one[kind]) for kind in KINDS]
        theirs = PAPER_ERROR.get(name)
        rows.append([name, share(one["error"], 2), share(theirs, 2), *cells])
    paper = [
        [kind, share(ok, 1), number(score, 3), number(l2, 0), number(linf, 1)]
        for kind, (ok, score, l2, linf) in PAPER.items()
    ]
    unaligned = max(one[kind]["unaligned"] for one in found.values() for kind in KINDS)
    return {
        "table": table(("trained on", "test error", "theirs", *KINDS), rows),
        "paper": table(("kind", "success", "PASS", "L2", "L∞"), paper),
        "unaligned": share(unaligned, 1),
        "n": found["basic"]["n"],
        "verdicts": _verdicts(found),
    }


def _cell(one: dict[str, Any]) -> str:
    (score, spread), (l2, _), (linf, _) = one["pass"], one["l2"], one["linf"]
    return (
        f"{share(one['success'], 1)}, PASS **{number(score, 3)}** ± {number(spread, 2)}, "
        f"{number(l2, 0)}, {number(linf, 1)}"
    )


def _verdicts(found: dict[str, Any]) -> list[Verdict]:
    basic = found["basic"]
    score = {kind: basic[kind]["pass"][0] for kind in KINDS}
    order = score["FGS"] < score["LOTS"] < score["HC"] < score["FGV"]
    some = score["FGS"] < min(score["LOTS"], score["HC"], score["FGV"])
    told = ", ".join(f"{kind} {number(score[kind], 3)}" for kind in KINDS)
    sure = basic["LOTS"]["success"] >= 0.97
    errors = {name: one["error"] for name, one in found.items()}
    least = min(errors, key=lambda name: errors[name])
    strong = {name: one["LOTS"]["success"] for name, one in found.items()}
    weaker = {name: 1 - one["FGV"]["success"] for name, one in found.items()}
    return [
        Verdict.of("PASS rises in the order FGS, LOTS, HC, FGV", order, some, told),
        Verdict.of(
            "LOTS works on 97 to 99 % of attempts, for all models",
            min(strong.values()) >= 0.97,
            sure or min(strong.values()) >= 0.9,
            f"{share(min(strong.values()), 1)} to {share(max(strong.values()), 1)}",
        ),
        Verdict.of(
            "Training on LOTS gives the least test error (.65 % from .91 %)",
            least.startswith("LOTS") and errors["LOTS"] < errors["basic"],
            errors["LOTS"] < errors["basic"],
            f"{share(errors['LOTS'], 2)} from {share(errors['basic'], 2)}; least: {least}",
        ),
        Verdict.of(
            "Gradient values fail more often after training on LOTS than on other examples",
            max(weaker, key=lambda name: weaker[name]).startswith("LOTS"),
            weaker["LOTS"] > weaker["basic"] + 0.05,
            f"FGV works on {share(found['LOTS']['FGV']['success'], 1)} of the images, "
            f"{share(basic['FGV']['success'], 1)} before",
        ),
    ]
