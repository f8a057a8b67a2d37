"""What makes two pieces of work the same: a configuration, the data's sum, the versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from pncviz._version import __version__
from pncviz.exceptions import StudyError
from pncviz.registry import default_registry, load_dataset
from pncviz.specs import Dataset, TrainerSpec

__all__ = [
    "STANDARD",
    "canonical",
    "dataset_of",
    "differences",
    "fingerprint",
    "forget_data",
    "key_of",
    "versions_of",
    "written",
]

#: Whose version can change the numbers, by kind of item.
_MATTER = {
    "contrast": ("numpy", "scipy"),
    "null": ("numpy", "scipy"),
    "model": ("numpy", "skorch", "torch"),
    "cell": ("numpy", "scipy", "scikit-image", "skorch", "torch"),
}
_KINDS = ("dataset", "architecture", "trainer", "strategy", "attack")
#: The plain way to train, of which identities, labels and results say nothing: they are older.
STANDARD = "standard"
#: Names that come with pncviz, which no plugin can take: looking them up would import torch, and
#: a finished study need not wait for that.
_OWN = {
    "architecture": ("cnn", "fc"),
    "attack": ("gradient-descent",),
    "strategy": ("aai", "noise", "zero"),
    "trainer": (STANDARD,),
}


def canonical(value: Any) -> str:
    """Give one line of JSON, the same for equal values.

    Examples
    --------
    >>> canonical({"b": (1, 2.5), "a": None})
    '{"a": null, "b": [1, 2.5]}'
    """
    return json.dumps(value, sort_keys=True, default=str)


def written(name: str, params: Mapping[str, Any]) -> str:
    """Give a part's name with its parameters.

    Examples
    --------
    >>> written("noise", {"scale": 0.1}), written("zero", {})
    ('noise(scale=0.1)', 'zero')
    """
    given = ", ".join(f"{key}={value}" for key, value in sorted(params.items()))
    return f"{name}({given})" if given else name


def key_of(identity: Mapping[str, Any]) -> str:
    """Give the name under which a piece of work is kept: 20 digits of its identity's SHA-256."""
    return hashlib.sha256(canonical(identity).encode()).hexdigest()[:20]


@lru_cache(maxsize=2)
def _load(config: str) -> Dataset:
    part = json.loads(config)
    return load_dataset(part["name"], **part["params"])


def dataset_of(identity: Mapping[str, Any]) -> Dataset:
    """Load the dataset of an item; the last two are kept in memory.

    Raises
    ------
    StudyError
        The data are no longer those that the item's key is of.
    """
    part = identity["dataset"]
    if fingerprint(part) != identity["data"]:
        forget_data()  # what this process remembers may be older than the plan
        if fingerprint(part) != identity["data"]:
            raise StudyError(
                f"The data of {part['name']} changed while the study ran; run it again."
            )
    return _load(canonical(part))


def forget_data() -> None:
    """Read datasets anew: their files may have changed since the last run of this process."""
    _load.cache_clear()
    _sum.cache_clear()


@lru_cache(maxsize=64)
def _sum(config: str) -> str:
    data = _load(config)
    digest = hashlib.sha256()
    for array in (data.X, data.y, data.X_test, data.y_test):
        values = np.ascontiguousarray(array)
        digest.update(f"{values.dtype.str} {values.shape}".encode())
        whole = values.dtype.kind in "biuf"
        digest.update(values.data if whole else canonical(values.tolist()).encode())
    digest.update(canonical([list(data.class_names), data.image_shape]).encode())
    return digest.hexdigest()


def fingerprint(part: Mapping[str, Any]) -> str:
    """Sum up a dataset: samples and labels of both halves, names and image shape."""
    return _sum(canonical(part))


@lru_cache(maxsize=64)
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _attacks_in(trainer: Mapping[str, Any] | None) -> list[str]:
    """Name the attack that a trainer works with, if it has a parameter of that name."""
    if trainer is None or trainer["name"] in _OWN["trainer"]:
        return []
    from pncviz.training.trainers import own_params  # imports torch

    spec = default_registry().get("trainer", trainer["name"])
    assert isinstance(spec, TrainerSpec)  # the registry checked it
    usual = own_params(spec.factory).get("attack")
    attack = trainer["params"].get("attack", usual and usual.default)
    return [attack] if isinstance(attack, str) else []


def versions_of(kind: str, config: Mapping[str, Any]) -> dict[str, str]:
    """Give the versions that can change the numbers, plugins' among them."""
    found = {"pncviz": __version__, **{name: _version(name) for name in _MATTER[kind]}}
    names = [(part, config[part]["name"]) for part in _KINDS if part in config]
    names += [("attack", name) for name in _attacks_in(config.get("trainer"))]
    names += [("metric", name) for name in config.get("comparison", {}).get("metrics", ())]
    for part, name in names:
        if name in _OWN.get(part, ()):
            continue
        entry = default_registry().entry(part, name)
        if entry.distribution != "pncviz":
            found[entry.distribution] = entry.version
    return found


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say in what one identity differs from another.

    Examples
    --------
    >>> differences({"a": {"b": 1}, "data": "12"}, {"a": {"b": 2}, "data": "34"})
    ['a.b 1 → 2', 'the data']
    """
    before, after = dict(_leaves(old)), dict(_leaves(new))
    told = []
    for path in sorted({*before, *after}):
        was, is_now = before.get(path, "nothing"), after.get(path, "nothing")
        if canonical(was) != canonical(is_now):
            told.append("the data" if path == "data" else f"{path} {was} → {is_now}")
    return told
