"""Evolution finds images that a classifier is sure of: by generation, beside Nguyen et al."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pncviz_fooling import evolve, fooling_images

from benchmarks.anyclassifier import models
from benchmarks.anyclassifier.fooling_figures import draw_course, draw_elites
from benchmarks.anyclassifier.sizes import Size
from benchmarks.page_parts import Verdict, number, share, table
from benchmarks.store import Store
from pncviz import compare, load, mean_interval, positive_negative_contrast, save
from pncviz.inference.proportions import proportion_interval

__all__ = ["compute", "section", "verdicts"]

#: Whose images are evolved; on small digits the first is an FC net.
NET, FOREST, LOGISTIC = "LeNet", "random forest", "logistic regression"
ENCODINGS = ("direct", "cppn")
#: The net's images are shown to these.
OTHERS = ("fc", "softmax")
#: What Nguyen et al. report; the population is that of the settings they published.
SURE, PAPER_EARLY, PAPER_LATE, POPULATION = 0.9999, 50, 200, 200
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
    found["figure"] = {name: str(path) for name, path in _files(store, size).items()}
    return dict(found)


def _seeds(size: Size) -> int:
    return 2 if size.quick else 5


def _generations(size: Size) -> int:
    return 30 if size.quick else PAPER_LATE


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


def _files(store: Store, size: Size) -> dict[str, Path]:
    """Name the files of the elites that are drawn: of the first seed."""
    files = {
        f"{model}, {encoding}": store.root / f"{_name(model, encoding, 0)}.nc"
        for model in (NET, FOREST, LOGISTIC)
        for encoding in ENCODINGS
    }
    return files | {ASCENT: store.root / "fooling-ascent.nc"}


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
    return dict(store.json(name, config | {"kept": target.exists()}, run))


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

    return dict(store.json("fooling-ascent", _config(size) | {"kept": target.exists()}, run))


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


def _first(course: list[float], level: float = SURE) -> int | None:
    """Give the first generation at which a level is reached."""
    reached = np.flatnonzero(np.asarray(course) >= level)
    return int(reached[0]) if len(reached) else None


def section(result: dict[str, Any], folder: Path) -> str:
    """Write the section, and draw its two figures."""
    rows = result["rows"]
    evolved = {name: row for name, row in rows.items() if "course" in row}
    draw_course(evolved, SURE, folder / "any-classifier-fooling.png")
    draw_elites(
        {name: load(file) for name, file in result["figure"].items()},
        folder / "any-classifier-fooling-images.png",
    )
    one = next(iter(evolved.values()))
    last = len(one["course"][1]) - 1
    head = ("images of", "median ≥ 99.99 % from", "all ≥ 99.99 % from", "median at the end")
    head += ("called their class", "own-class r with contrasts", "nearest to their own")
    head += tuple(f"the same class to {name}" for name in result["accuracy"])
    text = [
        "In each generation 200 images are changed copies of the elites, and each is judged for "
        f"every class. {last} generations ask {one['n_queries']:,} times in all. Quantiles are "
        f"over {one['n']} elites: classes and seeds. Contrasts are of the training images.",
        "![Confidence by generation](any-classifier-fooling.png)",
        table(head, [_cells(name, row, result) for name, row in rows.items()]),
        "Nguyen et al. (MNIST, LeNet): ≥ 99.99 % for every digit in fewer than 50 generations, "
        "median 99.99 % by 200, for pixels and for CPPNs. Gradient ascent here stops at 99.99 %. "
        f"Chance of the same class in another model is about {1 / _classes(one, rows):.0%}.",
        "![Elites of the first seed](any-classifier-fooling-images.png)",
    ]
    return "\n\n".join(text) + "\n"


def _classes(one: dict[str, Any], rows: dict[str, Any]) -> int:
    # Gradient ascent has one image of each class.
    return int(rows[f"{NET}, {ASCENT}"]["n"])


def _cells(name: str, row: dict[str, Any], result: dict[str, Any]) -> list[str]:
    course, n_runs = row.get("course"), len(row["r"])
    when = ["", ""]
    if course is not None:
        when = [_written(_first(values)) for values in (course[1], row["least"])]
    return [
        name.replace("cppn", "CPPN"),
        *when,
        share(row["median"], 2),
        f"{row['succeeded']} of {row['n']}",
        _with_interval(row["r"]),
        f"{np.mean(row['hits']):.1f} of {row['n'] // n_runs}",
        *(_rate(row["transfer"][other], row["n"]) for other in result["accuracy"]),
    ]


def _written(generation: int | None) -> str:
    return "not reached" if generation is None else f"generation {generation}"


def _with_interval(values: list[float]) -> str:
    """Write a mean, and over several seeds its interval."""
    if len(values) < 2:
        return number(values[0])
    import xarray as xr

    interval = mean_interval(xr.DataArray(values, dims="seed"))
    ends = f"{number(float(interval['lower']))} to {number(float(interval['upper']))}"
    return f"{number(float(np.mean(values)))} ({ends})"


def _rate(hits: int, n: int) -> str:
    lower, upper = proportion_interval(hits, n)
    return f"{share(hits / n)} ({share(float(lower))} to {share(float(upper))})"


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """Hold the net's elites against what Nguyen et al. report."""
    rows, found = result["rows"], []
    for encoding, what in zip(ENCODINGS, ("pixels", "CPPNs"), strict=True):
        row = rows[f"{NET}, {encoding}"]
        middle, early = row["course"][1][-1], row["least"][: PAPER_EARLY + 1][-1]
        found.append(
            Verdict.of(
                f"Evolution of {what} reaches a median confidence of 99.99 % by 200 generations "
                "(nguyen2015deep)",
                middle >= SURE,
                middle >= 0.99,
                f"{share(middle, 2)} after {len(row['course'][1]) - 1}",
            )
        )
        if encoding == "direct":
            half = row["course"][1][: PAPER_EARLY + 1][-1] >= SURE
            told = f"the least sure of {row['n']} elites after 50: {share(early, 2)}"
            claim = "Fewer than 50 generations give pixel images of every digit at 99.99 %"
            found.append(Verdict.of(f"{claim} (nguyen2015deep)", early >= SURE, half, told))
    return [*found, _transfer_verdict(result)]


def _transfer_verdict(result: dict[str, Any]) -> Verdict:
    """Judge by whether the interval lies above chance, for each encoding and other model."""
    rows, above, told = result["rows"], [], []
    chance = 1 / _classes({}, rows)
    for encoding in ENCODINGS:
        row = rows[f"{NET}, {encoding}"]
        for name, hits in row["transfer"].items():
            above.append(float(proportion_interval(hits, row["n"])[0]) > chance)
            told.append(f"{encoding} to {name} {_rate(hits, row['n'])}")
    claim = "Images evolved for one net fool other nets (nguyen2015deep), above chance"
    return Verdict.of(claim, all(above), any(above), "; ".join(told))
