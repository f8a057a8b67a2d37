"""Patterns of the input, taken to a layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from pncviz.activations.reading import check_reading, layered_model, read_layer
from pncviz.data import sample_shape
from pncviz.dataset import image_dims, validate
from pncviz.dataset.summed import n_summed
from pncviz.exceptions import ModelError, ParameterError, ResultError

__all__ = ["at_layer"]


def at_layer(
    estimator: Any,
    patterns: xr.Dataset,
    layer: str,
    *,
    input_shape: tuple[int, ...] | None = None,
    output: str = "auto",
    adapter: str | None = None,
    batch_size: int | None = None,
) -> xr.Dataset:
    """Take patterns of the input to a layer, where contrasts of activations can be compared.

    A pattern becomes R(pattern) − R(0), with R the activations of the layer: what the pattern
    changes there. A pattern that is a sum over examples (``strategy="aai"``) is divided by
    their number first, which is read from the attribute ``parameters`` of ``patterns``.

    Parameters
    ----------
    estimator : fitted skorch net, torch.nn.Module, or fitted scikit-learn classifier
        The model that the patterns come from, or another. Used as it is; everything that is
        touched is put back.
    patterns : xarray.Dataset
        Of :func:`~pncviz.extract_patterns`; leading dimensions (such as ``strategy``) are kept.
    layer : str
        By ``module.named_modules()``.
    input_shape : tuple of int, optional
        One input as the model takes it; by default the shape of a pattern.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What a bare module gives.
    adapter : str, optional
        Force the adapter of that name.
    batch_size : int, optional
        The most inputs at once; bounds memory.

    Returns
    -------
    xarray.Dataset
        Patterns whose ``pattern`` is of the layer's shape: an image where that is (channels,
        rows, columns), a table where it is (units,), and an image of one channel where it has two
        sides. What was said of each pattern is kept, blocks of examples are not, since a layer
        does not keep sums. The attribute ``layer`` holds the name.

    Raises
    ------
    ParameterError
        ``layer``, ``batch_size`` or ``input_shape`` cannot be used.
    ModelError
        The model cannot be reached, has no such layer, or one of more than three sides.
    ResultError
        ``patterns`` is not what it should be, or at a layer already.

    Examples
    --------
    >>> from pncviz import LayerActivations, at_layer, compare, extract_patterns, load_dataset
    >>> from pncviz import make_classifier, positive_negative_contrast
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", hidden=[8], max_epochs=100).fit(data.X, data.y)
    >>> patterns = extract_patterns(net, image_shape=(6, 6), max_iter=200)
    >>> hidden = LayerActivations(net, layer="layers.1").fit_transform(data.X)
    >>> contrasts = positive_negative_contrast(hidden, data.y)
    >>> compare(at_layer(net, patterns, "layers.1"), contrasts)["similarity"].shape
    (1, 4, 4)
    """
    check_reading(layer, batch_size)
    validate(patterns, "patterns")
    if "layer" in patterns.attrs:
        raise ResultError(
            f'patterns: they are at the layer "{patterns.attrs["layer"]}" already; give those of '
            "the input."
        )
    pattern = patterns["pattern"]
    place = pattern.dims.index("label")
    shape = _checked_shape(input_shape, pattern.shape[place + 1 :])
    model = layered_model(
        estimator,
        layer,
        input_shape=shape,
        output=output,
        adapter=adapter,
        batch_size=batch_size,
    )
    means = (pattern / n_summed(patterns).astype(pattern.dtype)).transpose(*pattern.dims)
    # The first row is the input of zeros.
    flat = np.concatenate([np.zeros((1, *shape), pattern.dtype), means.values.reshape(-1, *shape)])
    found = read_layer(model, layer, len(flat), lambda rows: flat[rows.start : rows.stop])
    lifted = (found[1:] - found[:1]).reshape(
        *pattern.shape[: place + 1], *_drawn(found.shape[1:], layer)
    )
    return _labelled(patterns, lifted, place, layer)


def _checked_shape(
    input_shape: tuple[int, ...] | None, image_shape: tuple[int, ...]
) -> tuple[int, ...]:
    shape = image_shape if input_shape is None else tuple(map(int, np.atleast_1d(input_shape)))
    if math.prod(shape) != math.prod(image_shape) or min(shape) < 1:
        raise ParameterError(f"`input_shape` must hold patterns of {image_shape}, got {shape}.")
    return shape


def _drawn(shape: tuple[int, ...], layer: str) -> tuple[int, ...]:
    """Give the image shape of a layer's activations, as the contrasts of samples have it."""
    if not 1 <= len(shape) <= 3:
        raise ModelError(
            f'Layer "{layer}" gives activations of shape {shape}, which are neither an image nor '
            "a row of a table; choose another."
        )
    return sample_shape(shape)


def _labelled(patterns: xr.Dataset, lifted: Any, place: int, layer: str) -> xr.Dataset:
    """Put the layer's patterns in the place of the input's, and drop what else lies there."""
    pattern = patterns["pattern"]
    own = {*pattern.dims[place + 1 :], "block"}
    rest = patterns.drop_vars([name for name in patterns.variables if own & {*patterns[name].dims}])
    dims = (*pattern.dims[: place + 1], *image_dims(lifted.shape[place + 1 :]))
    attrs = {"long_name": f'pattern at the layer "{layer}"', "units": "1"}
    found = xr.Dataset(
        {"pattern": (dims, lifted, attrs), **rest.data_vars},
        coords=rest.coords,
        attrs={**patterns.attrs, "layer": layer},
    )
    return validate(found, "patterns")
