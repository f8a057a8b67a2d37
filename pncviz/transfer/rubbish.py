"""What a model says of noise, which is of no class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from pncviz.data import resolve_image_shape, resolve_seed, sample_shape
from pncviz.dataset import common_attrs
from pncviz.exceptions import ModelError, ParameterError
from pncviz.inference import proportion_interval
from pncviz.models import adapt
from pncviz.specs import Model
from pncviz.synthesis import check_count, check_number, in_batches, make_streams
from pncviz.transfer.checks import check_level

__all__ = ["rubbish_error"]


def rubbish_error(
    estimator: Any,
    *,
    input_shape: tuple[int, ...] | None = None,
    image_shape: tuple[int, ...] | None = None,
    n: int = 10_000,
    scale: float = 1.0,
    threshold: float = 0.5,
    output: str = "auto",
    adapter: str | None = None,
    batch_size: int | None = None,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> xr.Dataset:
    r"""Count how often a model is sure of the class of Gaussian noise, which is an error.

    Parameters
    ----------
    estimator : fitted skorch net, torch.nn.Module, or fitted scikit-learn classifier
        Used as it is. A module with a method ``own_confidence(x)``, from inputs
        (n, \*input_shape) to the confidence of the class predicted (n,), is asked for that: it
        need not be a probability, and may be low for every class. Else the largest probability
        counts.
    input_shape : tuple of int, optional
        One input as the model takes it; by default from ``image_shape``.
    image_shape : (rows, columns) or (channels, rows, columns), optional
    n : int, default=10_000
        Inputs.
    scale : float, default=1.0
        Standard deviation of the noise, in units of the input; its mean is 0.
    threshold : float, default=0.5
        A confidence above it is an error.
    output, adapter, batch_size
        As of :func:`~pncviz.extract_patterns`.
    confidence_level : float, default=0.95
        Of Wilson's interval.
    random_state : int, RandomState, Generator or None, default=None
        Of the noise, input by input.

    Returns
    -------
    xarray.Dataset
        Scalars: ``error``, the share of inputs that are errors, ``lower`` and ``upper``,
        ``n_errors``, ``n_inputs``, and ``mean_confidence`` of the errors (NaN if there are none).

    Raises
    ------
    ParameterError
        A parameter is wrong.
    ModelError
        The model cannot be reached, has no probabilities, or its own confidence is not one finite
        number per input.

    References
    ----------
    goodfellow2015explaining, wilson1927probable.

    Examples
    --------
    >>> import torch
    >>> found = rubbish_error(torch.nn.Linear(4, 2), input_shape=(4,), n=100, random_state=0)
    >>> found["error"].item()  # of two probabilities one is above a half
    1.0
    """
    check_count("n", n)
    check_number("scale", scale, low=0, open_low=True)
    check_number("threshold", threshold)
    check_count("batch_size", batch_size, none=True)
    check_level(confidence_level)
    shape = _shape(input_shape, image_shape)
    seed = resolve_seed(random_state)
    model = adapt(estimator, input_shape=shape, output=output, adapter=adapter)
    if batch_size is not None:
        model.batch_size = int(batch_size)
    confidence = _confidence_in_noise(model, n, scale, seed)
    sure = confidence > threshold
    low, high = proportion_interval(sure.sum(), n, confidence_level=confidence_level)
    values = {
        "error": (float(sure.mean()), "share of inputs classed with confidence above threshold"),
        "lower": (float(low), "interval of the error from"),
        "upper": (float(high), "interval of the error to"),
        "n_errors": (int(sure.sum()), "inputs classed with confidence above threshold"),
        "n_inputs": (int(n), "inputs of Gaussian noise"),
        "mean_confidence": (
            float(confidence[sure].mean()) if sure.any() else math.nan,
            "mean confidence of the errors",
        ),
    }
    attrs = common_attrs(
        "transfer", parameters={"scale": scale, "threshold": threshold}, random_state=seed
    )
    del attrs["kind"]  # scalars need no file of their own
    variables = {
        name: ((), value, {"long_name": told, "units": "1"})
        for name, (value, told) in values.items()
    }
    return xr.Dataset(variables, attrs=attrs)


def _shape(
    input_shape: tuple[int, ...] | None, image_shape: tuple[int, ...] | None
) -> tuple[int, ...]:
    if input_shape is None and image_shape is None:
        raise ParameterError(
            "rubbish_error needs `input_shape` (one input as the model takes it) or `image_shape`."
        )
    if input_shape is None:
        return sample_shape(_sides("image_shape", image_shape))
    shape = _sides("input_shape", input_shape)
    resolve_image_shape(shape, image_shape)  # raises unless they fit
    return shape


def _sides(name: str, given: Any) -> tuple[int, ...]:
    sides = np.atleast_1d(np.asarray(given))
    if sides.dtype.kind not in "iu" or not sides.size or sides.min() < 1:
        raise ParameterError(f"`{name}` must have positive integers as sides, got {given!r:.80}.")
    return tuple(sides.tolist())


def _confidence_in_noise(model: Model, n: int, scale: float, seed: int) -> NDArray[np.float64]:
    """Ask about noise, a batch at a time; each input has a stream of its own."""
    streams = make_streams(seed, range(n))
    found = np.empty(n)

    def work(rows: range) -> None:
        noise = [streams(row, 0).normal(scale=scale, size=model.input_shape) for row in rows]
        found[rows.start : rows.stop] = _confidence(model, model.tensor(np.stack(noise)))

    with model.session(), torch.no_grad():
        in_batches(model, n, work)
    return found


def _confidence(model: Model, x: torch.Tensor) -> NDArray[np.float64]:
    own = getattr(getattr(model, "module", None), "own_confidence", None)
    if own is None:
        if "probabilities" not in model.capabilities:
            raise ModelError("The model gives no probabilities, so no confidence is known.")
        share: NDArray[np.float64] = model.probabilities(x).amax(dim=1).cpu().double().numpy()
        return share
    answer = torch.as_tensor(own(x)).cpu().double().numpy()
    if answer.shape != (len(x),) or not np.isfinite(answer).all():
        raise ModelError(
            f"`own_confidence` of the module must give one finite number per input, got shape "
            f"{answer.shape} for {len(x)} inputs."
        )
    return np.asarray(answer, dtype=np.float64)
