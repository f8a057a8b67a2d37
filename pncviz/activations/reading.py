"""A layer's activations, in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.exceptions import AdapterError, ModelError, ParameterError
from pncviz.models import adapt
from pncviz.specs import Model
from pncviz.synthesis import check_count, in_batches

__all__ = ["check_reading", "layered_model", "read_layer", "shape_of_layer"]


def check_reading(layer: Any, batch_size: Any) -> None:
    """Raise ParameterError unless a layer is named and a batch size counted."""
    if not isinstance(layer, str):
        raise ParameterError(f"`layer` must be the name of a layer, got {layer!r:.80}.")
    check_count("batch_size", batch_size, none=True)


def layered_model(
    estimator: Any,
    layer: str,
    *,
    input_shape: tuple[int, ...],
    output: str,
    adapter: str | None,
    batch_size: int | None,
) -> Model:
    """Make a model of a fitted estimator; AdapterError if it has no layers that can be read."""
    model = adapt(estimator, input_shape=input_shape, output=output, adapter=adapter)
    if "layers" not in model.capabilities:
        reason = getattr(model, "problems", {}).get("layers", "the model offers no layers")
        raise AdapterError(f'Layer "{layer}" cannot be read: {reason}.')
    if batch_size is not None:
        model.batch_size = int(batch_size)
    return model


def shape_of_layer(model: Model, layer: str) -> tuple[int, ...]:
    """Give the shape of one input's activations; ModelError for a layer that keeps no rows."""
    with model.session(), torch.no_grad():
        return _activations(model, layer, model.tensor(np.zeros((2, *model.input_shape)))).shape[1:]


def read_layer(
    model: Model, layer: str, n: int, give: Callable[[range], NDArray[Any]]
) -> NDArray[np.floating[Any]]:
    r"""Take n inputs to the activations of a layer, a batch at a time.

    Parameters
    ----------
    model : Model
    layer : str
    n : int
    give : callable
        From a range of rows to their inputs.

    Returns
    -------
    ndarray of shape (n, \*layer_shape)
        float32, or float64 of a model in that precision; nothing else is held but one batch.

    Raises
    ------
    ModelError
        No such layer, one that does not run, or activations that are not finite.
    """
    dtype = np.float64 if model.dtype == torch.float64 else np.float32
    found = np.empty((n, *shape_of_layer(model, layer)), dtype=dtype)

    def read(rows: range) -> None:
        values = _activations(model, layer, model.tensor(give(rows))).to(torch.float64).cpu()
        if not bool(torch.isfinite(values).all()):
            raise ModelError(f'Layer "{layer}" gives NaN or infinity for some of the inputs.')
        found[rows.start : rows.stop] = values.numpy()

    with model.session(), torch.no_grad():
        in_batches(model, n, read)
    return found


def _activations(model: Model, layer: str, x: Tensor) -> Tensor:
    values = model.activations(x, [layer])[layer]
    if values.ndim == 0 or len(values) != len(x):
        raise ModelError(
            f'Layer "{layer}" gives {tuple(values.shape)} for {len(x)} inputs, which is not one '
            "activation for each; choose another."
        )
    return values
