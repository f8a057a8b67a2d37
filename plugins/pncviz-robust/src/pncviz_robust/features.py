"""Feature visualisation: images that make single units large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike
from torch import Tensor

from pncviz import Model
from pncviz.data import resolve_image_shape
from pncviz.exceptions import ParameterError
from pncviz.synthesis import in_batches
from pncviz_robust.pictures import (
    checked_images,
    checked_settings,
    labelled,
    plain,
    reachable_model,
)
from pncviz_robust.representation import Slope, representation, resolved_layer, walk

__all__ = ["visualize_features"]


def visualize_features(
    estimator: Any,
    units: Sequence[int],
    seeds: ArrayLike,
    *,
    layer: str | None = None,
    n_steps: int = 200,
    step_size: float = 0.5,
    epsilon: float | None = None,
    clip: tuple[float, float] | None = None,
    image_shape: tuple[int, ...] | None = None,
    output: str = "auto",
) -> xr.Dataset:
    r"""Change seeds so that single units of a layer become as large as they can.

    Nothing keeps the images smooth or natural: of robust models they are so by themselves.

    Parameters
    ----------
    estimator, layer, n_steps, step_size, epsilon, clip, image_shape, output
        As of :func:`invert_representation`.
    units : sequence of int
        Places in the flattened output of the layer.
    seeds : array-like of shape (n_images, \*input_shape)
        Each unit begins at each of them.

    Returns
    -------
    xarray.Dataset
        ``feature`` (unit, image, channel, row, column) or (unit, image, feature), ``seed``
        (image, …); ``activation_before`` and ``activation`` (unit, image), in units of the layer;
        attribute ``layer``.

    Raises
    ------
    ParameterError
        A parameter cannot be used, or the layer has no such unit.
    DataError, ModelError, AdapterError
        As :func:`invert_representation`.

    References
    ----------
    engstrom2019adversarial, section 4.2.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 3))
    >>> found = visualize_features(net, [0, 5], np.zeros((1, 4)), n_steps=10)
    >>> dict(found["feature"].sizes), bool((found["activation"] > found["activation_before"]).all())
    ({'unit': 2, 'image': 1, 'feature': 4}, True)
    """
    settings = checked_settings(n_steps, step_size, epsilon, clip)
    begin, chosen = checked_images("seeds", seeds), _checked(units)
    model = reachable_model(estimator, begin.shape[1:], output)
    shape, n = resolve_image_shape(begin.shape[1:], image_shape), len(begin)
    image = np.empty((len(chosen) * n, *begin.shape[1:]), begin.dtype)
    before, after = np.empty((2, len(chosen) * n))

    def run(rows: range) -> None:
        at, places = slice(rows.start, rows.stop), np.array(rows)
        start = model.tensor(begin[places % n])
        codes = torch.tensor([chosen[place // n] for place in rows], device=start.device)
        slope = _largeness(model, name, codes)
        before[at] = -plain(slope(start)[0])
        found = walk(start, slope, **settings)
        image[at], after[at] = plain(found.x), -plain(found.value)

    with model.session():
        name = resolved_layer(model, layer)
        _check_units(model, name, chosen)
        in_batches(model, len(image), run)
    lead = (len(chosen), n)
    pictures = {
        "feature": (image.reshape(*lead, *begin.shape[1:]), "image that makes the unit large"),
        "seed": (begin, "image to begin with"),
    }
    numbers = {
        "activation_before": (before.reshape(lead), "activation of the unit at the seed"),
        "activation": (after.reshape(lead), "activation of the unit at the image"),
    }
    found = labelled(pictures, numbers, ("unit", "image"), shape, name, settings)
    return found.assign_coords(unit=("unit", chosen, {"long_name": "unit", "units": "1"}))


def _largeness(model: Model, layer: str, codes: Tensor) -> Slope:
    """Make the slope of minus the activation of each row's unit."""

    def slope(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        value = -representation(model, layer, x).gather(1, codes[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(value.sum(), x)
        return value.detach(), gradient

    return slope


def _checked(units: Any) -> list[int]:
    """Give the units as integers, or raise ParameterError."""
    chosen = np.atleast_1d(np.asarray(units))
    if chosen.size and (chosen.dtype.kind not in "iu" or chosen.ndim != 1):
        raise ParameterError(f"`units` must be one or more integers, got {units!r:.80}.")
    return [int(unit) for unit in chosen]


def _check_units(model: Model, layer: str, units: list[int]) -> None:
    x = torch.zeros(2, *model.input_shape, device=model.device, dtype=model.dtype)
    with torch.no_grad():
        width = representation(model, layer, x).shape[1]
    if not units or not 0 <= min(units) <= max(units) < width:
        raise ParameterError(
            f'`units` must be places from 0 to {width - 1} in the layer "{layer}", '
            f"got {units!s:.80}."
        )
