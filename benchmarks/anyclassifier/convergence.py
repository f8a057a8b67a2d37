"""What questions find of a gradient, how many they must be, and how fast they are asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from threadpoolctl import threadpool_limits

from benchmarks.anyclassifier.convergence_told import ATTACKS, METHODS, section, verdicts
from benchmarks.anyclassifier.models import classifier, load, net
from benchmarks.anyclassifier.sizes import Size
from benchmarks.store import Store
from pncviz import AdversarialExampleGenerator, Attack, Stop, Target, load_dataset
from pncviz.builtin.attacks import GradientDescent
from pncviz.models import ProbabilityModel, QueriedModel, TorchModel, adapt
from pncviz.specs import Model
from pncviz.synthesis import loss_gradient, make_streams
from pncviz_blackbox import NES, SPSA, Boundary, Square, estimate_gradient

__all__ = ["compute", "section", "verdicts"]

#: Classifiers that the speed is measured on: those with probabilities of their own.
TIMED = (
    *("logistic regression", "naive Bayes", "MLP", "k nearest neighbours", "random forest"),
    *("SVM (rbf)",),
)
#: Steps of each pattern, and rows beyond so many questions.
N_STEPS, FEW = 20, 3


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Estimate, extract, attack and time, each kept as it is finished."""
    return {
        "n_features": int(load(size, size.main).X.shape[1]),
        "gradients": {
            name: _gradients(store, size, name)
            for name in ("logistic regression", "net")
        },
        "patterns": _patterns(store, size),
        "attacks": {name: _attacked(store, size, name) for name in ATTACKS},
        "speed": {kind: _speed(store, size, kind) for kind in TIMED},
    }  # fmt: skip


def _counts(size: Size, name: str) -> list[int]:
    most = (4 if size.quick else 6) if name == "logistic regression" else (3 if size.quick else 5)
    return [10**power for power in range(2, most + 1)]


def _models(store: Store, size: Size, name: str) -> tuple[Model, Model]:
    """Give a model to be asked, and one that knows its gradients."""
    if name == "net":
        made = net(store, size, "lenet")
        shape = tuple(load_dataset(size.main).image_shape or ())
        white: Model = adapt(made, input_shape=shape)
        return QueriedModel(white), white
    made = classifier(store, size, size.main, name)
    linear = torch.nn.Linear(*made.coef_.shape[::-1], dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(torch.as_tensor(made.coef_))
        linear.bias.copy_(torch.as_tensor(made.intercept_))
    shape = (made.coef_.shape[1],)
    asked = QueriedModel(ProbabilityModel(made, input_shape=shape))
    return asked, TorchModel(linear, input_shape=shape, output="logits")


# --------------------------------------------------------------------------- gradients


def _gradients(store: Store, size: Size, name: str) -> dict[str, Any]:
    """Give relative errors and correlations, by method, number of questions and class."""
    found: dict[str, Any] = {method: {} for method in METHODS}
    for method in METHODS:
        for n in _counts(size, name):
            config = {"main": size.main, "n_train": size.n_train, "n": n, "few": FEW}
            found[method][n] = store.json(
                f"convergence-{name}-{method}-{n}".replace(" ", "-").replace(",", ""),
                config,
                lambda method=method, n=n: _estimated(store, size, name, method, n),
            )
    # As a reader of JSON has it.
    return {m: {str(n): one for n, one in by.items()} for m, by in found.items()}


def _estimated(store: Store, size: Size, name: str, method: str, n: int) -> dict[str, Any]:
    asked, white = _models(store, size, name)
    k = 10 if n < 10 ** (6 if name == "logistic regression" else 5) else FEW
    starts = np.random.default_rng(0).normal(size=(10, *white.input_shape))[:k]
    target, streams = Target(codes=torch.arange(k)), make_streams(1, range(k))
    with white.session(), asked.session():
        _, _, true = loss_gradient(white, white.tensor(starts), target)
        begin = time.perf_counter()
        estimate = estimate_gradient(
            asked, asked.tensor(starts), target, [streams(row, 0) for row in range(k)],
            n_samples=n, **METHODS[method],
        ).gradient  # fmt: skip
        seconds = time.perf_counter() - begin
    return {**_alike(estimate, true), "seconds": seconds}


def _alike(found: torch.Tensor, true: torch.Tensor) -> dict[str, list[float]]:
    a, b = (part.detach().double().flatten(1).numpy() for part in (found, true))
    errors = np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)
    r = [float(np.corrcoef(*pair)[0, 1]) for pair in zip(a, b, strict=True)]
    return {"errors": errors.tolist(), "r": r}


# ---------------------------------------------------------------------------- patterns


def _patterns(store: Store, size: Size) -> dict[str, Any]:
    """Compare whole patterns of the logistic regression with those of gradient descent."""
    most = 5 if size.quick else 6
    config = {"main": size.main, "n_train": size.n_train, "steps": N_STEPS}
    found: dict[str, Any] = {}
    for name, make in _SAME_STEPS.items():
        for n in [10**power for power in range(3, most + 1)]:
            part = store.json(
                f"convergence-pattern-{name}-{n}", config | {"n": n},
                lambda make=make, n=n: _extracted(store, size, make(n // N_STEPS)),
            )  # fmt: skip
            found.setdefault(name, {})[str(n)] = part
    return found


#: With the constant steps of gradient descent.
_SAME_STEPS: dict[str, Callable[[int], Attack]] = {
    "nes": lambda n: NES(n_samples=n),
    "spsa": lambda n: SPSA(n_samples=n, alpha=0, gamma=0),
}


def _extracted(store: Store, size: Size, attack: Attack) -> dict[str, Any]:
    asked, white = _models(store, size, "logistic regression")
    zeros, streams = np.zeros((10, *white.input_shape)), make_streams(2, range(10))
    target, stop = Target(codes=torch.arange(10)), Stop(max_iter=N_STEPS)
    with white.session(), asked.session():
        true = GradientDescent().run(white, white.tensor(zeros), target, stop, []).adversarial
        rngs = [streams(row, 0) for row in range(10)]
        found = attack.run(asked, asked.tensor(zeros), target, stop, rngs)
    assert found.n_queries is not None  # by contract
    return {**_alike(found.adversarial, true), "n_queries": int(found.n_queries.max())}


# ----------------------------------------------------------------------------- attacks


def _attack(name: str, shape: tuple[int, ...]) -> tuple[Attack, dict[str, Any]]:
    """Give an attack within a box of .3, or the boundary attack, and its stop rule."""
    box: dict[str, Any] = {"epsilon": 0.3, "clip": (0.0, 1.0)}
    sure = {"min_confidence": 0.6}
    if name == "nes":
        return NES(n_samples=100, step="sign", learning_rate=0.02, **box), sure
    if name == "spsa":
        return SPSA(n_samples=100, learning_rate=1.0, **box), sure
    if name == "square":
        return Square(image_shape=shape, **box), {}
    return Boundary(beginning="noise", clip=(0.0, 1.0)), {}


def _attacked(store: Store, size: Size, name: str) -> dict[str, Any]:
    """Attack test images that the net knows, untargeted."""
    n, most = (20, 1000) if size.quick else (100, 5000)
    config = {"main": size.main, "n": n, "max_queries": most}

    def attack() -> dict[str, Any]:
        made, data = net(store, size, "lenet"), load_dataset(size.main)
        shape = tuple(data.image_shape or ())
        X = data.X_test.reshape(-1, *shape)[: 2 * n]
        right = made.predict(X) == data.y_test[: 2 * n]
        X, y = X[right][:n], data.y_test[: 2 * n][right][:n]
        part, rule = _attack(name, shape)
        maker = AdversarialExampleGenerator(
            FrozenEstimator(made), attack=part, max_iter=most, max_queries=most, random_state=0,
            **rule,
        ).fit(X, y)  # fmt: skip
        maker.generate(X, y)
        found = maker.examples_
        done = found["succeeded"].values
        middle = {
            key: float(np.median(found[key].values[done])) if done.any() else None
            for key in ("n_queries", "l2", "linf")
        }
        return {"n": len(y), "success": float(done.mean()), "max_queries": most, **middle}

    return store.json(f"convergence-attack-{name}", config, attack)  # type: ignore[no-any-return]


# ------------------------------------------------------------------------------- speed


def _speed(store: Store, size: Size, kind: str) -> dict[str, Any] | None:
    """Time what a descent asks, beside the classifier's own answers to as large batches."""
    config = {"main": size.main, "n_train": size.n_train, "n_samples": 800}
    return store.json(  # type: ignore[no-any-return]
        f"convergence-speed-{kind}".replace(" ", "-").replace("(", "").replace(")", ""),
        config,
        lambda: _timed(store, size, kind),
    )


def _timed(store: Store, size: Size, kind: str) -> dict[str, Any] | None:
    made, n_samples = classifier(store, size, size.main, kind), 800
    if not hasattr(made, "predict_proba"):
        return None
    d = int(load(size, size.main).X.shape[1])
    X = np.random.default_rng(0).normal(size=(10 * n_samples, d)).astype(np.float32)
    with threadpool_limits(1):
        made.predict_proba(X[:10])
        once = _best(lambda: made.predict_proba(X), 1)
        # Some two seconds each, in turn.
        steps = int(np.clip(2 / once, 1, 30))
        seconds: dict[str, float] = {}
        for _ in range(3):
            own = _best(lambda: made.predict_proba(X), steps)
            seconds["own"] = min(own, seconds.get("own", np.inf))
            for name in ("nes", "spsa"):
                mine = _best(lambda name=name: _walk(made, d, name, n_samples, steps), 1) / steps
                seconds[name] = min(mine, seconds.get(name, np.inf))
    return {name: len(X) / value for name, value in seconds.items()}


def _best(action: Callable[[], Any], times: int) -> float:
    # Of this process alone, whatever else the machine does.
    begin = time.process_time()
    for _ in range(times):
        action()
    return (time.process_time() - begin) / times


def _walk(made: Any, d: int, name: str, n_samples: int, steps: int) -> NDArray[np.int64] | None:
    model = QueriedModel(ProbabilityModel(made, input_shape=(d,)))
    # Steps so short that nothing is ever moved to where there are no more differences.
    make = NES if name == "nes" else SPSA
    attack = make(learning_rate=1e-9, n_samples=n_samples, sigma=0.3, loss="squared_error")
    streams = make_streams(3, range(10))
    with model.session():
        start = model.tensor(np.random.default_rng(1).normal(size=(10, d)))
        result = attack.run(
            model, start, Target(codes=torch.arange(10)), Stop(max_iter=steps),
            [streams(row, 0) for row in range(10)],
        )  # fmt: skip
    return result.n_queries
