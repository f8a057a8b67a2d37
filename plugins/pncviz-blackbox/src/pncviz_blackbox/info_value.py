"""How much a classification image holds, beside those of observers that answer at random."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from pncviz.exceptions import ParameterError, ResultError
from pncviz.synthesis.parameters import check_count
from pncviz_blackbox.images import variances_left
from pncviz_blackbox.noise import Doubles, Noise
from pncviz_blackbox.spectra import noise_named

__all__ = ["info_value", "information_value", "reference_norms"]

#: Makes the median absolute deviation of normal numbers their standard deviation.
_TO_SD = 1.4826
#: Normal numbers held at once.
_VALUES = 2**22


def reference_norms(variances: ArrayLike, n_draws: int = 10_000, *, seed: int = 0) -> Doubles:
    """Draw norms of sums of very many random fields, per unit of standard error.

    By the central limit theorem such a sum is normal, with the fields' covariance, so its norm is
    the root of a sum of independent squares along their axes.

    Parameters
    ----------
    variances : array-like of shape (n_axes,)
        Of one field along orthonormal axes, as of :meth:`~pncviz_blackbox.noise.Noise.axes`.
    n_draws : int, default=10_000
    seed : int, default=0

    Examples
    --------
    >>> norms = reference_norms(np.ones(100))
    >>> norms.shape, round(float(np.median(norms)), 1)
    ((10000,), 10.0)
    """
    v = np.asarray(variances, dtype=np.float64)
    rng = np.random.default_rng(seed)
    rows = max(1, _VALUES // v.size)
    sizes = [min(rows, n_draws - first) for first in range(0, n_draws, rows)]
    powers = [rng.standard_normal((n, v.size)) ** 2 @ v for n in sizes]
    return np.asarray(np.sqrt(np.concatenate(powers)))


def info_value(
    pattern: ArrayLike,
    variances: ArrayLike,
    *,
    n_fields: int,
    n_called: int | None = None,
    rms: float = 1.0,
    n_draws: int = 10_000,
    seed: int = 0,
) -> float:
    """Say how far an image's norm lies above those of random observers, as a z-score.

    (norm - median) / (1.4826 · MAD) of the norms of classification images of observers that call
    as many fields the class, but at random. Those norms are not simulated field by field:
    they are drawn from the distribution that they have for many fields. With few fields called the
    class it is a little too wide, since fields of one size vary less in norm than normal ones do,
    and the z-score a little too small.

    Parameters
    ----------
    pattern : array-like of any shape
    variances : array-like of shape (n_axes,)
        Of one field of root mean square 1 along orthonormal axes.
    n_fields : int
    n_called : int, optional
        Fields called the class, for the difference of two means. By default the pattern is a mean
        weighted by standardised answers.
    rms : float, default=1.0
        Of the fields, in units of the input.
    n_draws, seed : int

    Returns
    -------
    float
        About normal for random answers. NaN if all fields, or none, are called the class.

    References
    ----------
    brinkman2019quantifying.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> fields, called = rng.standard_normal((1000, 64)), rng.random(1000) < 0.3
    >>> image = fields[called].mean(axis=0) - fields[~called].mean(axis=0)
    >>> z = info_value(image, np.ones(64), n_fields=1000, n_called=int(called.sum()))
    >>> bool(abs(z) < 2)
    True
    """
    check_count("n_fields", n_fields, low=2)
    if n_called is not None:
        check_count("n_called", n_called, low=0)
        if n_called > n_fields:
            raise ParameterError(
                f"`n_called` must be at most `n_fields` ({n_fields}), got {n_called}."
            )
    norms = reference_norms(variances, n_draws, seed=seed)
    return _z(np.asarray(pattern, dtype=np.float64), norms, n_fields, n_called, rms)


def _z(pattern: Doubles, norms: Doubles, n_fields: int, n_called: int | None, rms: float) -> float:
    if n_called is None:
        share = 1 / n_fields
    elif 0 < n_called < n_fields:
        share = 1 / n_called + 1 / (n_fields - n_called)
    else:
        return math.nan
    # Of answers dealt out at random: n - 1, since their sum is given.
    error = rms * math.sqrt(share * n_fields / (n_fields - 1))
    middle = float(np.median(norms))
    spread = _TO_SD * float(np.median(np.abs(norms - middle)))
    return float((math.sqrt(float((pattern**2).sum())) / error - middle) / spread)


def information_value(
    patterns: xr.Dataset,
    *,
    X: Any = None,
    y: Any = None,
    noise: Noise | None = None,
    n_draws: int = 10_000,
) -> xr.DataArray:
    """Give the information value of each classification image.

    Parameters
    ----------
    patterns : xarray.Dataset
        Of the strategy ``classification_image``.
    X, y : array-likes, optional
        The samples, as images or flat, and their classes, if the noise was made from them.
    noise : Noise, optional
        If it was not one of the named.
    n_draws : int, default=10_000
        Of the reference distribution.

    Returns
    -------
    xarray.DataArray
        z-scores on the labels; see :func:`info_value`. NaN for a class that was never or always
        called, if the fields were weighted by labels.

    Raises
    ------
    ResultError
        The patterns are of another strategy.
    ParameterError
        The noise was made from samples, or is an object, and is not given.

    References
    ----------
    brinkman2019quantifying.

    Examples
    --------
    >>> import torch
    >>> from pncviz import extract_patterns
    >>> from pncviz_blackbox.classification_image import ClassificationImage
    >>> net = torch.nn.Linear(6, 2)
    >>> with torch.no_grad():
    ...     _ = net.weight.copy_(torch.eye(2, 6)), net.bias.zero_()
    >>> patterns = extract_patterns(
    ...     net, input_shape=(6,), strategy=ClassificationImage(2000), random_state=0
    ... )
    >>> bool((information_value(patterns) > 10).all())
    True
    """
    made = json.loads(patterns.attrs.get("parameters", "{}")).get("strategy", {})
    if made.get("class") != "ClassificationImage":
        raise ResultError(
            "Information values are of classification images, got patterns of strategy "
            f"{made.get('class', 'unknown')!r:.80}."
        )
    if patterns["n_iter"].dims != ("label",):
        others = [str(dim) for dim in patterns["n_iter"].dims if dim != "label"]
        raise ResultError(f"`patterns` must be one set; choose along {', '.join(others)} first.")
    images = patterns["pattern"].transpose("label", ...)
    shape = images.shape[1:]
    kind = _fitted(made["noise"] if noise is None else noise, X, y, shape)
    variances, _ = kind.axes(shape)
    if made["whiten"]:
        variances = variances_left(variances)
    norms = reference_norms(variances, n_draws)
    n_fields = patterns["n_queries"].values - 1
    called: NDArray[Any] | list[None] = patterns["n_iter"].values
    if made["weights"] != "labels":
        called = [None] * len(n_fields)
    values = [
        _z(image.astype(np.float64), norms, int(n), None if c is None else int(c), made["rms"])
        for image, n, c in zip(images.values, n_fields, called, strict=True)
    ]
    attrs = {"long_name": "norm beside those of random observers, as z-score", "units": "1"}
    return xr.DataArray(
        values, coords={"label": patterns["label"]}, name="information_value", attrs=attrs
    )


def _fitted(noise: str | Noise, X: Any, y: Any, shape: tuple[int, ...]) -> Noise:
    """Make the noise that the patterns were made with."""
    known = isinstance(noise, Noise) or noise in ("white", "binary", "gabor_pca")
    if isinstance(noise, str) and not known and noise != "class_mean_spectrum":
        raise ParameterError(f"The noise was {noise:.80}; give it as `noise`.")
    kind = noise_named(noise)
    if X is not None and y is not None:
        samples = np.asarray(X, dtype=np.float32)
        kind = clone(kind)  # a noise that was given stays as it is
        kind.prepare(samples.reshape(-1, *shape), np.asarray(y), shape)
    elif kind.needs_data and not isinstance(noise, Noise):
        raise ParameterError(f'The noise "{noise}" was made from samples; give X and y.')
    return kind
