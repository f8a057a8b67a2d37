"""Computing one item: a contrast, a null, a model or a cell. Each ends as one file, whole."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
import xarray as xr
from threadpoolctl import threadpool_limits

from pncviz.comparison import compare
from pncviz.contrast import positive_negative_contrast
from pncviz.data import encode_labels
from pncviz.dataset import load, save
from pncviz.exceptions import ModelError, PatternWarning, StudyError
from pncviz.interrupts import interrupts_noticed
from pncviz.models import only_asks
from pncviz.nulls import label_shuffled_contrasts
from pncviz.patterns import extract_patterns
from pncviz.registry import make_attack, make_strategy
from pncviz.study.folder import Folder
from pncviz.study.identity import STANDARD, canonical, dataset_of
from pncviz.study.plan import Item
from pncviz.study.record import as_cell
from pncviz.training import Classifier, load_classifier, make_classifier, save_classifier

__all__ = ["Answer", "net_of", "work"]

# Seeds, threads and the netCDF library belong to the process: one item at a time in each.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class Answer:
    """What became of an item.

    Attributes
    ----------
    key : str
    state : {"done", "there", "busy", "failed"}
        Computed; finished or adopted already; claimed by another process; raised.
    seconds : float
    message : str
        Of a failure.
    """

    key: str
    state: str
    seconds: float = 0.0
    message: str = ""


def work(root: str, item: Item) -> Answer:
    """Claim an item, compute it unless it is there, and commit it.

    Parameters
    ----------
    root : str
        Folder of the studies.
    item : Item

    Returns
    -------
    Answer
    """
    folder = Folder(root)
    with _ONE_AT_A_TIME, folder.claimed(item.key) as mine:
        if not mine:
            return Answer(item.key, "busy")
        # Another process may have finished it since this one was told to.
        line = folder.manifest.refresh().get(item.key)
        if line is not None and folder.fault(line) is None:
            folder.settle(item.key)
            return Answer(item.key, "there")
        if line is None and folder.adopt(item):
            return Answer(item.key, "there")
        begin = time.monotonic()
        try:
            with _one_thread(), warnings.catch_warnings():
                warnings.simplefilter("ignore", PatternWarning)  # cells say what failed
                _KINDS[item.kind](folder, item)
            seconds = time.monotonic() - begin
            folder.commit(item, seconds)
        except (Exception, SystemExit) as error:  # a plugin may even call sys.exit
            message = f"{type(error).__name__}: {error}"
            folder.fail(item, message, traceback.format_exc())
            return Answer(item.key, "failed", time.monotonic() - begin, message)
        return Answer(item.key, "done", seconds)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch and BLAS to one thread: the same bits everywhere, and no threads that spin."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):  # sums of two threads have other last bits than those of one
            yield
    finally:
        torch.set_num_threads(before)


def _rule(name: str) -> str | None:
    """TOML has no null: "none" stands for it."""
    return None if name == "none" else name


def _save(result: xr.Dataset, folder: Folder, item: Item) -> None:
    """Save a result with what it is the result of."""
    path = folder.path(item.kind, item.key)
    save(result.assign_attrs(study=canonical(item.identity)), path)


def _contrast(folder: Folder, item: Item) -> None:
    data = dataset_of(item.identity)
    rule = _rule(item.identity["normalize"])
    _save(positive_negative_contrast(data.X, data.y, normalize=rule), folder, item)


def _null(folder: Folder, item: Item) -> None:
    data, what = dataset_of(item.identity), item.identity
    drawn = label_shuffled_contrasts(
        data.X,
        data.y,
        what["n_draws"],
        normalize=_rule(what["normalize"]),
        random_state=what["seed"],
    )
    _save(drawn, folder, item)


# ------------------------------------------------------------------------------ models


def _model(folder: Folder, item: Item) -> None:
    what = item.identity
    data = dataset_of(what)
    classes, codes = encode_labels(data.y)
    net = net_of(what).set_params(module__n_classes=len(classes))
    with torch.random.fork_rng(), interrupts_noticed():
        torch.manual_seed(what["seed"])
        net.fit(data.X, codes)
    for name, weights in net.module_.state_dict().items():
        if weights.is_floating_point() and not bool(torch.isfinite(weights).all()):
            raise ModelError(f"Training diverged: {name} is no longer finite; use a smaller lr.")
    save_classifier(
        net,
        folder.path("model", item.key),
        labels=classes,
        dataset=what["dataset"]["name"],
        image_shape=data.image_shape,
        seed=what["seed"],
        measured=_measured(net, data, classes),
        study=what,
    )


def net_of(what: Mapping[str, Any], **training: Any) -> Classifier:
    """Make the unfitted net of a model's identity; ``training`` goes before what that says."""
    trainer = what.get("trainer", {"name": STANDARD, "params": {}})
    return make_classifier(
        what["architecture"]["name"],
        optimizer=what["optimizer"]["name"],
        trainer=trainer["name"],
        trainer_params=trainer["params"],
        **what["optimizer"]["params"],
        **{**what["training"], **training},
        **what["architecture"]["params"],
    )


def _measured(net: Any, data: Any, classes: Any) -> dict[str, float]:
    """Give accuracy and mean loss on the test data; nothing if there are none."""
    if not len(data.X_test):
        return {}
    codes = torch.as_tensor(encode_labels(data.y_test, classes)[1])
    with torch.random.fork_rng():
        logits = net.forward(data.X_test).cpu().double()
    loss = torch.nn.functional.cross_entropy(logits, codes)
    accuracy = (logits.argmax(1) == codes).double().mean()
    return {"test_accuracy": float(accuracy), "test_loss": float(loss)}


# ------------------------------------------------------------------------------ cells


def _cell(folder: Folder, item: Item) -> None:
    what = item.identity
    data = dataset_of(what)
    net = load_classifier(_needed(folder, item, "model"), device=what["training"]["device"])
    strategy = make_strategy(what["strategy"]["name"], **what["strategy"]["params"])
    extraction = dict(what["extraction"])
    # A block holds one example at least; one example has nothing to resample.
    n_blocks = min(extraction.pop("n_blocks"), strategy.n_examples)
    attack = make_attack(what["attack"]["name"], **what["attack"]["params"])
    if not only_asks(strategy if strategy.needs is not None else attack):
        extraction.pop("max_queries", None)  # of the grid's other attacks
    patterns = extract_patterns(
        net,
        input_shape=data.X.shape[1:],
        image_shape=data.image_shape,
        strategy=strategy,
        attack=attack,
        n_blocks=n_blocks if n_blocks > 1 else 0,
        deterministic=True,
        random_state=what["seed"],
        X=data.X,
        y=data.y,
        **extraction,
    )
    null = load(_needed(folder, item, "null")) if "null" in item.needs else None
    numbers = ("metrics", "n_permutations", "n_resamples", "confidence_level")
    similarities = compare(
        patterns,
        load(_needed(folder, item, "contrast")),
        null=null,
        random_state=what["seed"],
        **{name: what["comparison"][name] for name in numbers},
    )
    _save(as_cell(patterns, similarities, _of_model(net.info_)), folder, item)


def _needed(folder: Folder, item: Item, kind: str) -> Path:
    """Give the file that a cell stands on, which must be listed as finished."""
    key = item.needs[kind]
    if key in folder.manifest.lines:
        return folder.path(kind, key)
    why = (folder.failure(key) or {}).get("message", "it is not there")
    raise StudyError(f"Its {kind} {key} could not be made: {why}")


def _of_model(info: Mapping[str, Any]) -> dict[str, float]:
    """Give what is known of a model's training, as cells keep it."""
    found = {"epochs": float(info["epochs"]), **info["measured"]}
    for name, value in info["history"].items():
        if name in ("train_loss", "train_acc"):
            found[name.replace("acc", "accuracy")] = value
    return {name: float(np.float64(value)) for name, value in found.items()}


_KINDS: dict[str, Callable[[Folder, Item], None]] = {
    "contrast": _contrast,
    "null": _null,
    "model": _model,
    "cell": _cell,
}
