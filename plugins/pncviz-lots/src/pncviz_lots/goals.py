"""Where LOTS goes: the representation of a target for each output unit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz import Model
from pncviz.exceptions import ParameterError
from pncviz.synthesis import in_batches
from pncviz_lots.representation import represented

__all__ = ["TARGETS", "Goals", "learn_goals"]

#: What stands for a class.
TARGETS = ("class_mean", "mean_image", "contrast", "image")

Data = tuple[NDArray[Any], NDArray[np.int64]]


class Goals(NamedTuple):
    """The target of each output unit, at one layer of one model.

    Attributes
    ----------
    place : tensor of shape (n_units, d)
        Representations to move to.
    way : tensor of shape (n_units, d) or None
        Differences to add, whatever the origin; None where it is the place minus the origin.
    known : bool tensor of shape (n_units,)
        Units that have a target.
    """

    place: Tensor
    way: Tensor | None
    known: Tensor

    def nearest_other(self, origin: Tensor, codes: Tensor) -> Tensor:
        """Give, for each origin (n, d), the unit other than its own whose place is nearest."""
        # Unit by unit: all differences at once would take n * n_units * d numbers.
        apart = torch.stack([(origin - place).square().sum(dim=1) for place in self.place], dim=1)
        apart = apart.masked_fill(~self.known, torch.inf)
        apart = apart.scatter(1, codes[:, None], torch.inf)
        if bool(torch.isinf(apart).all(dim=1).any()):
            raise ParameterError(
                "LOTS has no target of another class to move to; give X and y of two or more "
                'classes, or use mode="reduce".'
            )
        return apart.argmin(dim=1)

    def check_known(self, codes: Tensor) -> None:
        """Raise ParameterError for a unit without a target."""
        missing = sorted(set(codes[~self.known[codes]].tolist()))
        if missing:
            raise ParameterError(
                f"LOTS has no target for the output units {missing[:10]}: no sample in y is of "
                'them. Give samples of every class, or images as `targets` with target="image".'
            )


def learn_goals(
    model: Model, layer: str | None, target: str, data: Data | None, images: Any = None
) -> Goals:
    r"""Find the representations that stand for the classes.

    Parameters
    ----------
    model : Model
        Within its session.
    layer : str or None
    target : {"class_mean", "mean_image", "contrast", "image"}
    data : (X, y) or None
        Samples (n, \*input_shape) and their output units (n,).
    images : array-like of shape (n_units, \*input_shape), optional
        For target="image".

    Raises
    ------
    ParameterError
        There are neither data nor images, or they do not fit the model.
    """
    with torch.no_grad():
        if images is not None:
            chosen = _checked_images(model, images)
            return _of_images(model, layer, chosen, np.ones(model.n_units, dtype=bool))
        if data is None:
            raise ParameterError(
                "LOTS takes its targets from data: give X and y along with the attack (as to "
                'extract_patterns), or images as `targets` with target="image".'
            )
        X, y = data
        if target == "image":
            return _of_images(model, layer, *_first(model, X, y))
        if target == "mean_image":
            sums, counts = _sums(model, X, y, _flattened)
            return _of_images(model, layer, _divided(sums, counts), counts > 0)
        sums, counts = _sums(model, X, y, lambda x: represented(model, x, layer))
        place, known = _divided(sums, counts), counts > 0
        if target == "class_mean":
            return Goals(_tensor(model, place), None, _mask(model, known))
        rest = counts.sum() - counts
        way = place - _divided(sums.sum(axis=0) - sums, rest)
        return Goals(_tensor(model, place), _tensor(model, way), _mask(model, known & (rest > 0)))


def _flattened(x: Tensor) -> Tensor:
    return x.flatten(1)


def _sums(
    model: Model, X: NDArray[Any], y: NDArray[np.int64], take: Any
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Add up what is taken of each sample, by unit."""
    width = take(model.tensor(np.zeros((1, *model.input_shape)))).shape[1]
    sums = np.zeros((model.n_units, width))

    def add(rows: range) -> None:
        values = take(model.tensor(X[rows.start : rows.stop])).double().cpu().numpy()
        # One after the other, so that sums do not depend on the batches.
        for unit, value in zip(y[rows.start : rows.stop], values, strict=True):
            sums[unit] += value

    in_batches(model, len(X), add)
    return sums, np.bincount(y, minlength=model.n_units)


def _divided(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give means; zeros where there is nothing, which ``known`` says."""
    means: NDArray[np.float64] = sums / np.maximum(counts, 1)[:, None]
    return means


def _first(
    model: Model, X: NDArray[Any], y: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Give the first sample of each unit."""
    units, places = np.unique(y, return_index=True)
    images = np.zeros((model.n_units, *X.shape[1:]), dtype=X.dtype)
    images[units] = X[places]
    return images, np.isin(np.arange(model.n_units), units)


def _of_images(
    model: Model, layer: str | None, images: NDArray[Any], known: NDArray[np.bool_]
) -> Goals:
    parts: list[Tensor] = []

    def read(rows: range) -> None:
        x = model.tensor(images[rows.start : rows.stop])
        parts.append(represented(model, x, layer).clone())

    in_batches(model, len(images), read)
    return Goals(torch.cat(parts), None, _mask(model, known))


def _checked_images(model: Model, images: Any) -> NDArray[Any]:
    wanted = (model.n_units, *model.input_shape)
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise ParameterError(
            f"`targets` must be an array of shape {wanted}, one image per output unit: {error}"
        ) from error
    if array.dtype.kind not in "biuf" or array.shape != wanted or not np.isfinite(array).all():
        raise ParameterError(
            f"`targets` must be finite numbers of shape {wanted}, one image per output unit; got "
            f"{array.dtype} of shape {array.shape}."
        )
    return array


def _tensor(model: Model, rows: NDArray[np.float64]) -> Tensor:
    return torch.as_tensor(rows, dtype=model.dtype, device=model.device)


def _mask(model: Model, known: NDArray[np.bool_]) -> Tensor:
    return torch.as_tensor(known, device=model.device)
