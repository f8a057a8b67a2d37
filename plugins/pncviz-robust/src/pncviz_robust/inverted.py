"""Representation inversion, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike

from pncviz.data import resolve_image_shape
from pncviz.exceptions import DataError
from pncviz.synthesis import in_batches
from pncviz_robust.pictures import (
    checked_images,
    checked_settings,
    labelled,
    plain,
    reachable_model,
)
from pncviz_robust.representation import nearness, representation, resolved_layer, walk

__all__ = ["invert_representation"]


def invert_representation(
    estimator: Any,
    targets: ArrayLike,
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
    r"""Change seeds until a layer represents them as it does the targets.

    If the images then look like the targets, the representation holds what is seen; of models
    trained in the standard way they mostly look like the seeds, with noise.

    Parameters
    ----------
    estimator : fitted skorch net, or torch.nn.Module
    targets, seeds : array-like of shape (n_images, \*input_shape)
        What to be like, and where to begin, pair by pair.
    layer : str, optional
        By ``module.named_modules()``; by default what the last layer with weights takes.
    n_steps : int, default=200
    step_size : float, default=0.5
        Euclidean length of the step at the steepest place that is met, units of the input;
        elsewhere steps are shorter in proportion.
    epsilon : float, optional
        Euclidean radius of a ball about the seed, which is not left.
    clip : (low, high), optional
        Bounds of the input.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        How flat inputs are labelled.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What a bare module gives.

    Returns
    -------
    xarray.Dataset
        ``inverted``, ``target`` and ``seed`` (image, channel, row, column) or (image, feature);
        ``distance_before`` and ``distance`` (image), Euclidean, at the layer; attribute ``layer``.

    Raises
    ------
    ParameterError
        A parameter cannot be used.
    DataError
        Targets and seeds differ in shape, or are not finite.
    ModelError, AdapterError
        No such layer, or a model without gradients or layers.

    References
    ----------
    engstrom2019adversarial, section 4.1.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    >>> found = invert_representation(net, np.ones((2, 4)), np.zeros((2, 4)), n_steps=20)
    >>> bool((found["distance"] < found["distance_before"]).all())
    True
    """
    settings = checked_settings(n_steps, step_size, epsilon, clip)
    wanted, begin = checked_images("targets", targets), checked_images("seeds", seeds)
    if wanted.shape != begin.shape:
        raise DataError(
            f"`targets` and `seeds` must have one shape, got {wanted.shape} and {begin.shape}."
        )
    model = reachable_model(estimator, begin.shape[1:], output)
    shape = resolve_image_shape(begin.shape[1:], image_shape)
    image, before, after = np.empty_like(begin), *np.empty((2, len(begin)))

    def run(rows: range) -> None:
        at = slice(rows.start, rows.stop)
        start = model.tensor(begin[at])
        with torch.no_grad():
            goal = representation(model, name, model.tensor(wanted[at]))
        slope = nearness(model, name, goal)
        before[at] = plain(slope(start)[0])
        found = walk(start, slope, **settings)
        image[at], after[at] = plain(found.x), plain(found.value)

    with model.session():
        name = resolved_layer(model, layer)
        in_batches(model, len(begin), run)
    pictures = {
        "inverted": (image, "image that the layer represents like its target"),
        "target": (wanted, "image whose representation is wanted"),
        "seed": (begin, "image to begin with"),
    }
    numbers = {
        "distance_before": (before, "distance of the seed's representation from the target's"),
        "distance": (after, "distance of the image's representation from the target's"),
    }
    return labelled(pictures, numbers, ("image",), shape, name, settings)
