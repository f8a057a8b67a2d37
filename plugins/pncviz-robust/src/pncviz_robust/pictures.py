"""What the functions that make images share: checks, the model, the labels."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pncviz import Model
from pncviz.dataset import image_dims
from pncviz.exceptions import AdapterError, DataError
from pncviz.models import adapt
from pncviz.synthesis import check_clip, check_count, check_number

__all__ = ["checked_images", "checked_settings", "labelled", "plain", "reachable_model"]


def checked_settings(n_steps: Any, step_size: Any, epsilon: Any, clip: Any) -> dict[str, Any]:
    """Check what every walk is told, and give it as keyword arguments."""
    check_count("n_steps", n_steps)
    check_number("step_size", step_size, low=0, open_low=True)
    check_number("epsilon", epsilon, low=0, open_low=True, none=True)
    check_clip(clip)
    return {"n_steps": n_steps, "step_size": step_size, "epsilon": epsilon, "clip": clip}


def checked_images(name: str, given: ArrayLike) -> NDArray[np.float32]:
    """Give finite images as float32, or raise DataError."""
    array = np.asarray(given)
    if array.ndim < 2 or not len(array) or array.dtype.kind not in "biuf":
        raise DataError(
            f"`{name}` must be real numbers of shape (n_images, *input_shape), got dtype "
            f"{array.dtype} of shape {array.shape}."
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise DataError(f"`{name}` must be finite, but there is NaN or infinity in it.")
    return array


def reachable_model(estimator: Any, input_shape: tuple[int, ...], output: str) -> Model:
    """Make a model that has gradients and layers, or raise AdapterError."""
    model = adapt(estimator, input_shape=input_shape, output=output)
    if missing := sorted({"gradients", "layers"} - model.capabilities):
        raise AdapterError(
            f"This takes {' and '.join(missing)} of the model, and {type(estimator).__name__} "
            "offers none."
        )
    return model


def plain(values: Tensor) -> NDArray[np.float64]:
    """Take a tensor to numpy, from wherever and in whichever precision."""
    found: NDArray[np.float64] = values.detach().double().cpu().numpy()
    return found


def labelled(
    pictures: dict[str, tuple[NDArray[Any], str]],
    numbers: dict[str, tuple[NDArray[Any], str]],
    lead: tuple[str, ...],
    shape: tuple[int, ...],
    layer: str,
    settings: dict[str, Any],
) -> xr.Dataset:
    """Put images and numbers into one dataset; what was given lies along ``image`` alone."""
    found = {}
    for name, (values, told) in pictures.items():
        dims = ("image",) if name in ("seed", "target") else lead
        array = values.reshape(*values.shape[: len(dims)], *shape)
        found[name] = ((*dims, *image_dims(shape)), array, {"long_name": told, "units": "1"})
    for name, (values, told) in numbers.items():
        found[name] = (lead, values, {"long_name": told, "units": "1"})
    attrs = {"layer": layer, "parameters": json.dumps(settings), "pncviz-robust": _version()}
    return xr.Dataset(found, attrs=attrs)


def _version() -> str:
    try:
        return version("pncviz-robust")
    except PackageNotFoundError:  # registered in the process, not installed
        return "unknown"
