"""Patterns of twelve kinds of classifier beside the contrasts of what they learnt from."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.anyclassifier.models import KINDS, classifier, load
from benchmarks.anyclassifier.sizes import Size
from benchmarks.drawing import grid, row_of
from benchmarks.page_parts import Verdict, number, share, table
from benchmarks.store import Store
from pncviz import (
    PNCTransformer,
    compare,
    extract_patterns,
    make_attack,
    make_strategy,
    save,
)
from pncviz import (
    load as load_result,
)
from pncviz.exceptions import PatternWarning
from pncviz.models import ProbabilityModel, adapt

__all__ = ["compute", "section", "verdicts"]

#: Interleaved blocks, for reliability.
N_BLOCKS = 20
#: Steps along gradients: the next where a pattern diverges, since scores differ in scale.
LEARNING_RATES = (0.1, 0.01, 0.001)


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Extract, and compare, each kind on each dataset."""
    return {
        dataset: {kind: _kind(store, size, dataset, kind) for kind in KINDS}
        for dataset in size.datasets
    }


def contrasts(store: Store, size: Size, dataset: str) -> xr.Dataset:
    """Give the contrasts of what the classifiers learnt from, with block sums."""
    path = store.root / f"contrasts-{dataset}.nc"
    if not path.exists():
        data = load(size, dataset)
        fitted = PNCTransformer(image_shape=data.image_shape, n_blocks=N_BLOCKS)
        save(fitted.fit(data.X, data.y).contrasts_, path)
    return load_result(path)


def _kind(store: Store, size: Size, dataset: str, kind: str) -> dict[str, Any]:
    config = {"n_train": size.n_train, "n_fields": size.n_fields, "made": repr(KINDS[kind]())}
    config |= {"rates": str(LEARNING_RATES), "fields": "white, .3, probabilities"}

    def work() -> dict[str, Any]:
        data, model = load(size, dataset), classifier(store, size, dataset, kind)
        found: dict[str, Any] = {"accuracy": float(model.score(data.X_test, data.y_test))}
        for route in _routes(model, data.X.shape[1]):
            patterns = _patterns(model, route, data, size)
            save(patterns, store.root / f"{_file(dataset, kind, route)}.nc")
            found[route] = _compared(patterns, contrasts(store, size, dataset))
            if route == "exact":
                attack = json.loads(patterns.attrs["parameters"])["attack"]
                found[route]["rate"] = attack["learning_rate"]
        return found

    result: dict[str, Any] = store.json(_file(dataset, kind, "all"), config, work)
    return result


def _file(dataset: str, kind: str, route: str) -> str:
    return f"kinds-{dataset}-{list(KINDS).index(kind)}-{route}"


def _routes(model: Any, n_features: int) -> list[str]:
    exact = not isinstance(adapt(model, input_shape=(n_features,)), ProbabilityModel)
    return ["exact", "asked"] if exact else ["asked"]


def _patterns(model: Any, route: str, data: Any, size: Size) -> xr.Dataset:
    given: dict[str, Any] = {"image_shape": data.image_shape, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)  # told in the table
        if route == "exact":
            return _by_gradient(model, given)
        fields = make_strategy(
            "classification_image",
            n_fields=size.n_fields,
            rms=0.3,
            weights="probabilities" if hasattr(model, "predict_proba") else "labels",
        )
        asked = "probabilities"  # the adapter that only asks, also where there is an exact one
        return extract_patterns(model, strategy=fields, n_blocks=N_BLOCKS, adapter=asked, **given)


def _by_gradient(model: Any, given: dict[str, Any]) -> xr.Dataset:
    for rate in LEARNING_RATES:
        patterns = extract_patterns(
            model,
            strategy=make_strategy("aai", n_examples=100, scale=0.1),
            attack=make_attack("gradient_descent", learning_rate=rate),
            max_iter=200,
            n_blocks=N_BLOCKS,
            **given,
        )
        if "diverged" not in patterns["stop_reason"].values:
            break
    return patterns


def _compared(patterns: xr.Dataset, against: xr.Dataset) -> dict[str, Any]:
    found = compare(patterns, against, random_state=0).sel(metric="pearson")
    labels = patterns["label"].values
    own = np.array(
        [float(found["similarity"].sel(pattern_label=k, contrast_label=k)) for k in labels]
    )
    queries = patterns.attrs.get("n_queries")
    return {
        "r": float(own.mean()),
        "least": float(own.min()),
        "most": float(own.max()),
        "ceiling": _mean(found, "ceiling"),
        "hits": int(found["hits"]),
        "p": float(found["identification_p"]),
        "succeeded": int(patterns["succeeded"].sum()),
        "n_labels": len(labels),
        "queries": None if queries is None else int(queries),
    }


def _mean(found: xr.Dataset, name: str) -> float:
    return float(found[name].mean()) if name in found else float("nan")


def section(result: dict[str, Any], folder: Path, store: Store, size: Size) -> str:
    """Write the tables, and draw the patterns of the main dataset."""
    parts = [_told(size)]
    for dataset, kinds in result.items():
        rows = [
            [kind if first else "", share(found["accuracy"], 1) if first else "", *_row(found, way)]
            for kind, found in kinds.items()
            for first, way in ((True, _ways(found)[0]), *((False, w) for w in _ways(found)[1:]))
        ]
        head = (
            "classifier",
            "accuracy",
            "reached by",
            "own-class r (least to most)",
            "ceiling",
            "nearest its own contrast",
            "identification p",
            "inputs asked",
        )
        parts.append(f"### {dataset}\n\n{table(head, rows)}")
    _draw(result, folder, store, size)
    parts.append("![patterns of twelve kinds of classifier](any-classifier-kinds.png)")
    parts.append(
        f"*{size.main}: contrasts, and below them the patterns of each kind, by gradients where "
        "there are any; each picture in a scale of its own. Models that divide by deviations (the "
        "pipeline, nearest centroid) put most into pixels that hardly ever vary. A neighbour's "
        "class that noise never reaches has no pattern.*"
    )
    return "\n\n".join(parts)


def _told(size: Size) -> str:
    fields = f"{size.n_fields:,}".replace(",", " ")
    return (
        f"Each learnt from the first {size.n_train} training images, or from all if there are "
        "fewer. *Its gradient*: the sum of 100 adversarial examples from noise of .1, by 200 steps "
        "of `gradient_descent` through an exact adapter; steps of .1, or a tenth or hundredth of "
        f"it where a pattern diverges. *Questions alone*: a classification image of {fields} white "
        "fields with a root mean square of .3, weighted by probabilities, or labels where there "
        "are none; the model is not known to be anything but a black box. Ceilings are from 20 "
        "blocks; p is of the mean own-class r, labels permuted, at least .0001."
    )


def _ways(found: dict[str, Any]) -> list[str]:
    return [way for way in ("exact", "asked") if way in found]


def _row(found: dict[str, Any], way: str) -> list[str]:
    of, name = found[way], {"exact": "its gradient", "asked": "questions alone"}[way]
    spread = f"{number(of['r'])} ({number(of['least'])} to {number(of['most'])})"
    asked = "" if of["queries"] is None else f"{of['queries']:,}".replace(",", " ")
    hits = f"{of['hits']} of {of['n_labels']}"
    return [name, spread, number(of["ceiling"]), hits, f"{of['p']:.2g}", asked]


def _draw(result: dict[str, Any], folder: Path, store: Store, size: Size) -> None:
    dataset = size.main
    against = contrasts(store, size, dataset)
    rows, sides = [row_of(against["contrast"])], ["contrast"]
    for kind, found in result[dataset].items():
        way = _ways(found)[0]
        patterns = load_result(store.root / f"{_file(dataset, kind, way)}.nc")
        rows.append(row_of(patterns["pattern"]))
        sides.append(kind + ("" if way == "exact" else " (asked)"))
    names = [str(label) for label in against["label"].values]
    grid(rows, names, folder / "any-classifier-kinds.png", sides)


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """Judge whether any classifier's patterns tell its classes."""
    asked = [(d, k, f["asked"]) for d, kinds in result.items() for k, f in kinds.items()]
    told = [f for _, _, f in asked if f["p"] < 0.05]
    exact = [f["exact"] for kinds in result.values() for f in kinds.values() if "exact" in f]
    known = [f for f in exact if f["p"] < 0.05]
    return [
        Verdict.of(
            "patterns found by gradients are like their class's contrast, of any differentiable "
            "classifier",
            len(known) == len(exact),
            bool(known),
            f"{len(known)} of {len(exact)} classifiers with identification p < .05, mean r "
            f"{number(float(np.mean([f['r'] for f in exact])))}",
        ),
        Verdict.of(
            "patterns found by questions alone are so, of any classifier",
            len(told) == len(asked),
            bool(told),
            f"{len(told)} of {len(asked)} classifiers with identification p < .05, mean r "
            f"{number(float(np.mean([f['r'] for _, _, f in asked])))}",
        ),
    ]
