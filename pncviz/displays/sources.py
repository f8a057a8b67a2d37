"""From datasets and estimators to the rows of a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from pncviz.dataset import validate
from pncviz.dataset.fields import IMAGES
from pncviz.displays.choice import check_leading
from pncviz.exceptions import ParameterError

__all__ = ["common_labels", "features_of", "result_of", "rows_of", "titles_of", "unique_name"]


def titles_of(names: Sequence[str] | None, n: int, what: str) -> Sequence[str | None]:
    """Give a name or None for each; ParameterError unless there is one each, none twice."""
    if names is None:
        return [None] * n
    if len(names) != n:
        raise ParameterError(f"`names` must have one name per {what} ({n}), got {len(names)}.")
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ParameterError(f"`names` must differ, got {twice[0]!r} twice.")
    return names


def unique_name(name: str, taken: Mapping[str, object]) -> str:
    """Give a name, with a number behind it if it is taken."""
    n, found = 1, name
    while found in taken:
        n += 1
        found = f"{name} {n}"
    return found


def features_of(images: xr.DataArray) -> list[str]:
    """Names of a table's features; their numbers if they have none."""
    if "feature" in images.coords:
        return [str(name) for name in images["feature"].values.tolist()]
    return [str(i) for i in range(images.shape[1])]


def rows_of(
    dataset: xr.Dataset, title: str | None
) -> Iterator[tuple[str, xr.DataArray, xr.DataArray | None]]:
    """Give the title, the images and which of them reached their class, row by row."""
    validate(dataset)
    kind = dataset.attrs["kind"]
    if kind not in ("patterns", "contrasts"):
        raise ParameterError(f"PatternDisplay draws patterns and contrasts, got {kind}.")
    images = dataset[kind.removesuffix("s")]
    check_leading(images, ("label", *IMAGES[0], *IMAGES[1]), free=["strategy"])
    if "strategy" not in images.dims:
        own = "contrast" if kind == "contrasts" else _strategy(dataset)
        yield title or own, images, dataset.get("succeeded")
        return
    for name in images["strategy"].values.tolist():
        one = dataset.sel(strategy=name)
        yield f"{title}: {name}" if title else name, one[images.name], one.get("succeeded")


def common_labels(datasets: Sequence[xr.Dataset]) -> NDArray[Any]:
    """Give the labels of the first dataset that all the others have."""
    first = validate(datasets[0])["label"].values
    shared = set(first.tolist()).intersection(*(d["label"].values.tolist() for d in datasets[1:]))
    return first[[label in shared for label in first.tolist()]]


def _strategy(dataset: xr.Dataset) -> str:
    """Name the strategy of patterns that have one: by its coordinate, else by its class."""
    if "strategy" in dataset.coords:
        return str(dataset["strategy"].item())
    try:
        return str(json.loads(dataset.attrs["parameters"])["strategy"]["class"]).lower()
    except (KeyError, TypeError, ValueError):
        return "pattern"


def result_of(estimator: Any) -> xr.Dataset:
    """Give what a fitted estimator made; ParameterError if there is nothing."""
    for name in ("patterns_", "contrasts_"):
        if hasattr(type(estimator), name) or hasattr(estimator, name):
            result: xr.Dataset = getattr(estimator, name)
            return result
    raise ParameterError(
        f"{type(estimator).__name__} has neither patterns_ nor contrasts_; fit it first."
    )
