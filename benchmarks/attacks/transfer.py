"""Whose examples fool whom; and whether one model's patterns are another's."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.attacks.goodfellow import EPSILON
from benchmarks.attacks.nets import NETS, trained
from benchmarks.attacks.sizes import Size, load_data
from benchmarks.page_parts import Verdict, number, share, table
from benchmarks.store import Store
from pncviz import (
    extract_patterns,
    make_attack,
    make_strategy,
    pattern_agreement,
    pattern_transfer,
    transfer_matrix,
)

__all__ = ["MODELS", "compute", "shown"]

MODELS = ("softmax", "maxout", "rbf", "fc", "cnn", "maxout_fgsm")
#: Length of a pattern that is added to images: of a stroke or two.
PATTERN_L2 = 4.0
#: Of maxout's examples on the trained maxout, and of the trained one's on maxout.
PAPER = {("maxout", "maxout_fgsm"): 0.196, ("maxout_fgsm", "maxout"): 0.409}


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Give rates of examples and of patterns, source by target."""
    config = {"models": {name: NETS[name] for name in MODELS}}
    config |= {"epsilon": EPSILON, "l2": PATTERN_L2}
    config |= size.config("dataset", "n_test", "epochs", "n_examples")
    return store.json("transfer", config, lambda: _all(store, size))  # type: ignore[no-any-return]


def _all(store: Store, size: Size) -> dict[str, Any]:
    data = load_data(size)
    X, y = data.X_test[: size.n_test].reshape(-1, *(data.image_shape or ())), data.y_test
    y = y[: size.n_test]
    models = {name: trained(store, name, size) for name in MODELS}
    attack = make_attack("fgsm", epsilon=EPSILON, clip=(0.0, 1.0))
    examples = transfer_matrix(models, X, y, attack=attack)
    patterns = {
        name: extract_patterns(
            net,
            image_shape=data.image_shape,
            strategy=make_strategy("aai", n_examples=size.n_examples),
            max_iter=200,
            random_state=0,
        )
        for name, net in models.items()
    }
    few = slice(None, min(len(X), 2000))
    added = pattern_transfer(models, patterns, X[few], y[few], epsilon=PATTERN_L2)
    alike = pattern_agreement(patterns)
    return {
        "error": _square(examples["error_rate"]),
        "transfer": _square(examples["transfer_rate"]),
        "lower": _square(examples["transfer_lower"]),
        "upper": _square(examples["transfer_upper"]),
        "clean": examples["clean_error"].values.tolist(),
        "added": _square(added["overall_rate"]),
        "added_clean": added["overall_clean_rate"].values.tolist(),
        "agreement": _square(alike["mean_similarity"]),
        "hits": _square(alike["hits"]),
    }


def _square(values: Any) -> Any:
    return np.asarray(values.transpose("source", "target").values, dtype=float).tolist()


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """Give the three tables and the verdicts."""
    titles = [NETS[name].title for name in MODELS]

    def square(cell: Any) -> str:
        rows = [
            [f"**{title}**", *(cell(i, j) for j in range(len(MODELS)))]
            for i, title in enumerate(titles)
        ]
        return table(("made on", *titles), rows)

    return {
        "examples": square(lambda i, j: share(found["error"][i][j], 1)),
        "transferred": square(
            lambda i, j: (
                f"{share(found['transfer'][i][j])} ({share(found['lower'][i][j])} to "
                f"{share(found['upper'][i][j])})"
            )
        ),
        "added": square(lambda i, j: share(found["added"][i][j])),
        "agreement": square(
            lambda i, j: f"{number(found['agreement'][i][j])}, {found['hits'][i][j]:.0f}"
        ),
        "pattern_l2": number(PATTERN_L2, 0),
        "verdicts": _verdicts(found),
    }


def _verdicts(found: dict[str, Any]) -> list[Verdict]:
    error, clean = np.array(found["error"]), np.array(found["clean"])
    off = ~np.eye(len(MODELS), dtype=bool)
    gain = (error - clean[None])[off]
    told = f"error of another model {share(error[off].min())} to {share(error[off].max())}"
    at = {name: place for place, name in enumerate(MODELS)}
    between = {pair: float(error[at[pair[0]], at[pair[1]]]) for pair in PAPER}
    forth, back = between.values()
    agreement = np.array(found["agreement"])
    return [
        Verdict.of(
            "Examples made on one model fool others, whatever their architecture",
            bool((gain > 0.05).all()),
            bool((gain > 0.05).mean() >= 0.5),
            told,
        ),
        Verdict.of(
            "The plain maxout's examples fool the FGSM-trained one less (19.6 %) than its own do "
            "the plain one (40.9 %)",
            forth < back and abs(forth - 0.196) < 0.1 and abs(back - 0.409) < 0.15,
            forth < back,
            f"{share(forth, 1)} and {share(back, 1)}",
        ),
        Verdict.of(
            "Models agree because they learn the same of each class: their patterns are alike",
            bool((np.array(found["hits"])[off] >= 0.8 * 10).all()),
            bool((agreement[off] > 0.1).mean() >= 0.5),
            f"r of patterns of two models {number(agreement[off].min())} to "
            f"{number(agreement[off].max())}",
        ),
    ]
