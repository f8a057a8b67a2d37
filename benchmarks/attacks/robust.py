"""Do robust models have clearer patterns? One study: the same net, trained in three ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from benchmarks.attacks.sizes import FULL, Size
from benchmarks.drawing import grid, row_of
from benchmarks.page_parts import Verdict, number, share, table
from benchmarks.store import Store
from pncviz import AdversarialExampleGenerator, load_classifier, load_dataset, make_attack
from pncviz.study import Study, collect_study, load_study, run_study, summarize_study
from pncviz.study.plan import make_plan
from pncviz.study.tables import rows_of

__all__ = ["compute", "draw", "shown", "study_of"]

STUDIES = Path(__file__).with_name("studies")
EPSILON = 0.1
#: How the study calls the ways to train.
PLAIN, FGSM, PGD = "plain", "FGSM", "PGD"


def study_of(size: Size) -> Path:
    """Name the study's file."""
    return STUDIES / ("robust.toml" if size is FULL else "robust-quick.toml")


def compute(store: Store, size: Size, jobs: int = 1) -> dict[str, Any]:
    """Run what is missing of the study, and summarise it; then try every model by PGD."""
    path, folder = study_of(size), store.root / "robust"
    study = load_study(path)
    outcome = run_study(study, folder, n_jobs=jobs)
    if outcome.failed:
        raise RuntimeError(f"{len(outcome.failed)} items of the study failed: {outcome.failed}")
    rows = list(rows_of(summarize_study(collect_study(folder))))
    config = {"study": path.read_text(), **size.config("n_test")}
    errors = store.json("robust-errors", config, lambda: _errors(study, folder, size))
    return {"rows": rows, "errors": errors}


def _errors(study: Study, folder: Path, size: Size) -> dict[str, Any]:
    """Give the error of each model under PGD, by way of training."""
    data, found = load_dataset(size.dataset), {}
    X = data.X_test[: min(size.n_test, 1000)]
    y = data.y_test[: len(X)]
    attack = make_attack("pgd", epsilon=EPSILON, n_steps=20, clip=(0.0, 1.0))
    ways = {cell.needs["model"]: cell.at["trainer"] for cell in make_plan(study).cells}
    for key, way in ways.items():
        net = load_classifier(folder / "models" / f"{key}.safetensors")
        maker = AdversarialExampleGenerator(FrozenEstimator(net), attack=attack, random_state=0)
        wrong = net.predict(maker.fit(X, y).generate(X, y)) != y
        found.setdefault(way, []).append(float(wrong.mean()))
    return found


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """Give the table and the verdict."""
    errors = {way: float(np.mean(values)) for way, values in found["errors"].items()}
    rows = [_cells(row, errors) for row in found["rows"]]
    head = (
        *("net", "trained", "strategy", "own-class r (95 %)", "hits", "of the ceiling"),
        *("test accuracy", f"error under PGD of {EPSILON}"),
    )
    return {"table": table(head, rows), "verdicts": [_verdict(found)]}


def _cells(row: dict[str, Any], errors: dict[str, float]) -> list[str]:
    return [
        row["architecture"],
        row["trainer"],
        row["strategy"],
        f"**{number(row['similarity'])}** ({number(row['lower'])} to {number(row['upper'])}, over "
        f"{row['n_seeds']:.0f} {row['interval_over']})",
        f"{number(row['hits'], 1)} of {row['n_classes']:.0f}",
        number(row["share_of_ceiling"]),
        share(row["test_accuracy"], 1),
        share(errors.get(row["trainer"]), 1),
    ]


def _verdict(found: dict[str, Any]) -> Verdict:
    """Clearer where the intervals lie apart, for every architecture and strategy."""
    cases: dict[tuple[str, str], dict[str, Any]] = {}
    for row in found["rows"]:
        cases.setdefault((row["architecture"], row["strategy"]), {})[row["trainer"]] = row
    clear, more, told = [], [], []
    for (net, strategy), by in cases.items():
        best = max((by[way] for way in (FGSM, PGD) if way in by), key=lambda row: row["similarity"])
        plain = by[PLAIN]
        clear.append(best["lower"] > plain["upper"])
        more.append(best["similarity"] > plain["similarity"])
        told.append(
            f"{net}, {strategy}: r {number(plain['similarity'])} plain, "
            f"{number(best['similarity'])} {best['trainer']}"
        )
    return Verdict.of(
        "Robust models have clearer patterns: nearer to the contrasts (the seminar's slides: they "
        "need no regularisation)",
        all(clear),
        any(more),
        "; ".join(told),
    )


def draw(store: Store, target: Path) -> Path:
    """Draw the zero-start patterns of each way of training below the contrasts; first seed."""
    (node,) = collect_study(store.root / "robust").values()
    found = node.to_dataset()
    first = dict.fromkeys(("architecture", "optimizer", "attack", "seed"), 0)
    strategy = found["strategy"].values.tolist().index("zero")
    patterns = found["pattern"].isel(**first, strategy=strategy)
    sides = found["trainer"].values.tolist()
    rows = [row_of(found["contrast"]), *(row_of(patterns.sel(trainer=way)) for way in sides)]
    labels = [str(label) for label in found["label"].values.tolist()]
    return grid(rows, labels, target, sides=["contrast", *sides])
