"""The main job, start to end, on small data: train, extract, contrast, compare, draw."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from numpy.typing import NDArray

from pncviz.comparison import compare, own_class
from pncviz.contrast import positive_negative_contrast
from pncviz.data import encode_labels
from pncviz.dataset import check_writable, concat_patterns, printable, save
from pncviz.dataset.atomic import replacing
from pncviz.displays import PatternDisplay, SimilarityDisplay
from pncviz.displays.common import save_png
from pncviz.exceptions import PatternWarning
from pncviz.interrupts import interrupts_noticed
from pncviz.nulls import label_shuffled_contrasts
from pncviz.patterns import extract_patterns
from pncviz.registry import load_dataset, normalize
from pncviz.report import generate_report
from pncviz.specs import Dataset
from pncviz.training import make_classifier

__all__ = ["DATASETS", "STEPS", "STRATEGIES", "Outcome", "run_demo", "write_summary"]

DATASETS = ("digits", "tiling", "overlapping")
STRATEGIES = ("zero", "noise", "aai")
STEPS = len(STRATEGIES) + 4

#: The paper's net and stopping point for its one-sample-per-class sets (section 2.6).
_DUMMY: dict[str, Any] = {"hidden": [200, 50], "stop_loss": 5.8e-4, "max_epochs": 5000}
_USUAL: dict[str, Any] = {"lr": 0.1, "max_epochs": 60, "stop_accuracy": 0.99}


@dataclass(frozen=True)
class Outcome:
    """What came of one dataset: its folder, the test accuracy, and the similarities."""

    dataset: str
    folder: Path
    accuracy: float
    patterns: xr.Dataset
    similarities: xr.Dataset

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Give dataset, strategy, mean own-class r, hits and success, as text."""
        own = own_class(self.similarities).sel(metric="pearson")
        n = own.sizes["label"]
        rows = []
        for strategy in own["strategy"].values.tolist():
            one = own.sel(strategy=strategy)
            reached = int(self.patterns["succeeded"].sel(strategy=strategy).sum())
            rows.append(
                (
                    self.dataset,
                    strategy,
                    f"{float(one['similarity'].mean()):.2f}",
                    f"{int(one['nearest'].sum())} of {n}",
                    f"{reached} of {n}",
                )
            )
        return rows


def run_demo(
    out: Path,
    names: Sequence[str] = DATASETS,
    *,
    seed: int = 0,
    metrics: Sequence[str] = ("pearson", "ssim", "angle"),
    step: Callable[[str], object] = lambda _: None,
    classifier: dict[str, Any] | None = None,
) -> list[Outcome]:
    """Do the main job on each dataset, and write results and pictures below a folder.

    Parameters
    ----------
    out : Path
        Made if it is missing.
    names : sequence of str
    seed : int, default=0
    metrics : sequence of str
    step : callable
        Told what comes next, STEPS times per dataset.
    classifier : dict, optional
        Parameters of :func:`~pncviz.make_classifier` instead of the usual ones.

    Returns
    -------
    list of Outcome
    """
    data = {name: load_dataset(name) for name in names}
    folders = {name: out / normalize(name) for name in names}
    for folder in folders.values():  # before any computing
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / "patterns.nc")
    return [
        _one(name, data[name], folders[name], seed, metrics, step, classifier) for name in names
    ]


def _one(
    name: str,
    data: Dataset,
    folder: Path,
    seed: int,
    metrics: Sequence[str],
    step: Callable[[str], object],
    classifier: dict[str, Any] | None,
) -> Outcome:
    step(f"{name}: training")
    params = classifier or (_DUMMY if len(data.X) == len(data.class_names) else _USUAL)
    classes, codes = encode_labels(data.y)
    with torch.random.fork_rng(), interrupts_noticed():
        torch.manual_seed(seed)
        net = make_classifier("fc", **params).fit(data.X, codes)
    patterns = _patterns(name, net, data, classes, seed, step)
    step(f"{name}: contrasts")
    contrasts = positive_negative_contrast(data.X, data.y)
    step(f"{name}: comparison")
    null = None
    if len(data.X) > len(classes):  # with one sample a class, shuffling gives the classes again
        null = label_shuffled_contrasts(data.X, data.y, random_state=seed)
    similarities = compare(patterns, contrasts, metrics=list(metrics), null=null, random_state=seed)
    step(f"{name}: files, pictures and report")
    _write(name, folder, patterns, contrasts, similarities)
    accuracy = float(net.score(data.X_test, encode_labels(data.y_test, classes)[1]))
    return Outcome(name, folder, accuracy, patterns, similarities)


def _patterns(
    name: str,
    net: Any,
    data: Dataset,
    classes: NDArray[Any],
    seed: int,
    step: Callable[[str], object],
) -> xr.Dataset:
    found = {}
    for strategy in STRATEGIES:
        step(f"{name}: patterns from {strategy}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PatternWarning)  # the table says how many succeeded
            found[strategy] = extract_patterns(
                net,
                input_shape=data.X.shape[1:],
                image_shape=data.image_shape,
                classes=classes,
                strategy=strategy,
                n_blocks=20 if strategy == "aai" else 0,
                random_state=seed,
            )
    return concat_patterns(found)


def _write(
    name: str, folder: Path, patterns: xr.Dataset, contrasts: xr.Dataset, similarities: xr.Dataset
) -> None:
    save(patterns, folder / "patterns.nc")
    save(contrasts, folder / "contrasts.nc")
    save(similarities, folder / "similarities.nc")
    save_png(
        PatternDisplay.from_dataset(contrasts, patterns).plot().figure_, folder / "patterns.png"
    )
    save_png(
        SimilarityDisplay.from_dataset(similarities).plot().figure_, folder / "similarities.png"
    )
    title = f"What a net learnt of {name}"
    report = generate_report(patterns, contrasts, similarities, title=title)
    report.save(folder / "report.html")


HEAD = (
    "dataset",
    "strategy",
    "own-class r",
    "nearest to own contrast",
    "reached class",
)


def write_summary(outcomes: Sequence[Outcome], path: Path) -> Path:
    """Write the closing table and the list of files as Markdown."""
    lines = ["# Patterns and contrasts", "", f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|"]
    lines += [f"| {' | '.join(map(printable, row))} |" for o in outcomes for row in o.rows()]
    lines += [
        "",
        "*own-class r*: mean Pearson correlation of each pattern with its own class's contrast. "
        "*nearest*: how many patterns are more like their own class's contrast than any other's.",
        "",
    ]
    for outcome in outcomes:
        folder = outcome.folder.name
        lines += [
            f"## {outcome.dataset}",
            "",
            f"Test accuracy of the net: {outcome.accuracy:.3f}. Results: "
            f"`{folder}/patterns.nc`, `{folder}/contrasts.nc`, `{folder}/similarities.nc`. "
            f"Everything on one page: [report.html]({folder}/report.html).",
            "",
            f"![contrasts and patterns]({folder}/patterns.png)",
            "",
            f"![similarities]({folder}/similarities.png)",
            "",
        ]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    return path
