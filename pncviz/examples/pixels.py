"""The values that examples may have, and how they come back from the model's precision."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pncviz.exceptions import ParameterError
from pncviz.specs import Attack

__all__ = ["attack_on", "returned", "returned_dtype"]


def returned_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Say in which dtype examples of samples come back: integers, float32 and float64 in theirs.

    Examples
    --------
    >>> returned_dtype(np.dtype("uint8")), returned_dtype(np.dtype("float16"))
    (dtype('uint8'), dtype('float32'))
    """
    if dtype.kind in "iu" or dtype.newbyteorder("=") in (np.float32, np.float64):
        return dtype.newbyteorder("=")
    return np.dtype(np.float64 if dtype.kind == "f" and dtype.itemsize > 8 else np.float32)


def attack_on(attack: Attack, dtype: np.dtype[Any]) -> Attack:
    """Let an attack know that values are whole numbers of a dtype, unless it was told otherwise.

    Parameters
    ----------
    attack : Attack
        Stays as it is.
    dtype : numpy.dtype
        Of what is returned.

    Returns
    -------
    Attack
        With ``pixel_step`` 1 and ``clip`` at the dtype's bounds where it has these parameters,
        they are None, and the dtype is of integers.
    """
    if dtype.kind not in "iu":
        return attack
    params = attack.get_params(deep=False)
    whole = {"pixel_step": 1, "clip": _bounds(dtype)}
    missing = {name: value for name, value in whole.items() if params.get(name, 0) is None}
    if not missing:
        return attack
    told = copy.copy(attack)  # not a clone, which would forget what was prepared
    told.set_params(**missing)
    try:
        told.validate()
    except ParameterError as error:
        raise ParameterError(
            f"{error} Samples of {dtype} have a `pixel_step` of 1 and `clip` at its bounds: give "
            "lengths in their units."
        ) from error
    return told


def _bounds(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Give the least and largest whole number that dtype and model's precision both have."""
    low, high = (float(end) for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))
    single = np.float32(high)
    if int(single) > np.iinfo(dtype).max:
        high = float(np.nextafter(single, np.float32(0)))
    return low, high


def returned(
    adversarial: Tensor, start: Tensor, x: NDArray[Any], attack: Attack, dtype: np.dtype[Any]
) -> NDArray[Any]:
    r"""Bring examples into the dtype that users get.

    What the attack left as it was is as in ``x`` to the bit; no value leaves the dtype, or the
    attack's ``clip``.

    Parameters
    ----------
    adversarial, start : tensors of shape (n, \*input_shape)
    x : ndarray of n samples
        What the starts were made of.
    attack : Attack
    dtype : numpy.dtype
        See :func:`returned_dtype`.

    Returns
    -------
    ndarray of x's shape
    """
    made, before = (_array(tensor).reshape(x.shape) for tensor in (adversarial, start))
    clip = getattr(attack, "clip", None)
    if dtype.kind in "iu":
        low, high = _bounds(dtype)
        if clip is not None:
            low, high = max(low, np.ceil(clip[0])), min(high, np.floor(clip[1]))
        made_whole = np.rint(made.astype(np.float64)).clip(low, high).astype(dtype)
        kept = (made == before) & (x >= low) & (x <= high)
        return np.where(kept, x, made_whole).astype(dtype, copy=False)
    found = np.where(made == before, x, made).astype(dtype, copy=False)
    return found if clip is None else found.clip(*(dtype.type(end) for end in clip))


def _array(tensor: Tensor) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # numpy has no bfloat16
        return tensor.float().numpy()
