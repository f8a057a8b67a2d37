"""Noise to put to a black box: fields of one size, each known by its spread along its axes."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from pncviz.exceptions import ParameterError

__all__ = [
    "BinaryNoise",
    "LinearNoise",
    "Noise",
    "WhiteNoise",
    "image_sizes",
    "unit_rms",
]

#: Fields from which the axes of a noise without a formula are estimated, per value of a field.
_FIELDS_PER_VALUE = 20

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


class Noise(BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """A kind of noise: subclass it, and give :meth:`draw`.

    Examples
    --------
    >>> class Stripes(Noise):
    ...     def draw(self, rng, n, shape):
    ...         rows = rng.standard_normal((n, shape[-2], 1), dtype=np.float32)
    ...         return unit_rms(np.repeat(rows, shape[-1], axis=2).reshape(n, -1))
    >>> variances, axes = Stripes().axes((1, 4, 4))
    >>> int((variances > 1e-3).sum()), round(float(variances.sum()), 3)
    (4, 16.0)
    """

    #: Whether :meth:`prepare` must have had samples.
    needs_data: bool = False

    def validate(self) -> None:
        """Raise :class:`~pncviz.exceptions.ParameterError` for a bad parameter."""

    def prepare(self, X: NDArray[np.float32], y: NDArray[np.int64], shape: Sequence[int]) -> None:
        r"""Learn from samples of the image shape (n_samples, \*shape); nothing by default.

        What it cannot use, such as a table, it leaves to :meth:`draw` to refuse.
        """

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Floats:
        """Draw n fields of root mean square 1, as rows of ``prod(shape)`` values.

        The first rows must not depend on n.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `draw(rng, n, shape)`.")

    def axes(self, shape: tuple[int, ...]) -> tuple[Doubles, Doubles | None]:
        """Give the variances of a field along orthonormal axes, and the axes.

        Parameters
        ----------
        shape : tuple of int

        Returns
        -------
        variances : float64 ndarray of shape (n_axes,)
            They sum to the number of values.
        axes : float64 ndarray of shape (n_axes, n_values) or None
            None for the values themselves. Estimated from fields, unless a subclass knows.
        """
        d = math.prod(shape)
        fields = self.draw(np.random.default_rng(0), max(200, _FIELDS_PER_VALUE * d), shape)
        covariance = (fields.T @ fields).astype(np.float64) / len(fields)
        variances, axes = np.linalg.eigh(covariance)
        variances = variances.clip(min=0)
        return variances * (d / variances.sum()), axes.T


class WhiteNoise(Noise):
    """Independent normal values, each field then scaled to root mean square 1.

    Examples
    --------
    >>> fields = WhiteNoise().draw(np.random.default_rng(0), 3, (1, 4, 4))
    >>> fields.shape, np.allclose((fields**2).mean(axis=1), 1)
    ((3, 16), True)
    """

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Floats:
        """Draw n fields."""
        return unit_rms(rng.standard_normal((n, math.prod(shape)), dtype=np.float32))

    def axes(self, shape: tuple[int, ...]) -> tuple[Doubles, Doubles | None]:
        """Give ones."""
        return np.ones(math.prod(shape)), None


class BinaryNoise(Noise):
    """Each value -1 or 1 by a coin: white as well, and ten times cheaper to draw.

    Examples
    --------
    >>> BinaryNoise().draw(np.random.default_rng(0), 2, (5,))
    array([[-1.,  1., -1.,  1.,  1.],
           [-1., -1.,  1., -1., -1.]], dtype=float32)
    """

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Floats:
        """Draw n fields."""
        d = math.prod(shape)
        # Whole words for each field, so that the first fields are the same for every n.
        words = rng.integers(0, 2**64, size=(n, -(-d // 64)), dtype=np.uint64)
        bits = np.unpackbits(words.astype("<u8", copy=False).view(np.uint8), axis=1, count=d)
        fields = bits.astype(np.float32)
        fields *= 2
        fields -= 1
        return fields

    def axes(self, shape: tuple[int, ...]) -> tuple[Doubles, Doubles | None]:
        """Give ones."""
        return np.ones(math.prod(shape)), None


class LinearNoise(Noise):
    """Normal coefficients of orthonormal images: what Gabor noise and others are made of.

    A subclass gives :meth:`basis`, and calls this :meth:`prepare` if it learns in its own. Channels
    are independent of each other.
    """

    def prepare(self, X: NDArray[np.float32], y: NDArray[np.int64], shape: Sequence[int]) -> None:  # noqa: ARG002 # part of the protocol
        """Forget the bases made so far."""
        self.__dict__.pop("_bases", None)

    def basis(self, size: tuple[int, int]) -> tuple[Doubles, Doubles]:
        """Give variances (m,) and orthonormal images (m, rows * columns), for one channel."""
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Floats:
        """Draw n fields; they are scaled by their coefficients, before they are made."""
        channels, rows, columns = image_sizes(shape, self)
        variances, images = self._kept((rows, columns))
        m = len(variances)
        coefficients = rng.standard_normal((n, channels * m), dtype=np.float32)
        coefficients *= np.tile(np.sqrt(variances), channels).astype(np.float32)
        power = np.einsum("ij,ij->i", coefficients, coefficients)
        coefficients *= np.sqrt(math.prod(shape) / power)[:, None]
        return (coefficients.reshape(-1, m) @ images).reshape(n, -1)

    def axes(self, shape: tuple[int, ...]) -> tuple[Doubles, Doubles | None]:
        """Give the images, and how much is left of their variances once fields are scaled."""
        channels, rows, columns = image_sizes(shape, self)
        variances, images = self._kept((rows, columns))
        spread = np.tile(variances, channels)
        axes: Doubles = np.kron(np.eye(channels), images.astype(np.float64)).astype(np.float64)
        return math.prod(shape) * _shares(spread), axes

    def _kept(self, size: tuple[int, int]) -> tuple[Doubles, Floats]:
        """Give the basis, made once for a size as long as the parameters are the same."""
        params = self.get_params(deep=False)
        made_with, bases = self.__dict__.get("_bases", ({}, {}))
        if not bases or not all(np.array_equal(made_with[name], params[name]) for name in params):
            bases = {}
            # A copy, since arrays may be changed in place.
            self._bases = copy.deepcopy(params), bases
        if size not in bases:
            variances, images = self.basis(size)
            bases[size] = variances, images.astype(np.float32)
        found: tuple[Doubles, Floats] = bases[size]
        return found


def unit_rms(fields: Floats) -> Floats:
    """Scale each row to root mean square 1, in place; a row of zeros stays.

    Examples
    --------
    >>> unit_rms(np.array([[2.0, -2.0], [0.0, 0.0]], dtype=np.float32))
    array([[ 1., -1.],
           [ 0.,  0.]], dtype=float32)
    """
    power = np.einsum("ij,ij->i", fields, fields) / fields.shape[1]
    fields /= np.sqrt(np.where(power > 0, power, 1))[:, None]
    return fields


def image_sizes(shape: tuple[int, ...], noise: Noise) -> tuple[int, int, int]:
    """Give channels, rows and columns of an image.

    Raises
    ------
    ParameterError
        The input is a table.
    """
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3:
        raise ParameterError(
            f"{type(noise).__name__} is noise of images, got inputs of shape {shape}. Give "
            '`image_shape` if they are images laid flat, or use noise="white" or "binary".'
        )
    return shape[0], shape[1], shape[2]


def _shares(variances: Doubles) -> Doubles:
    """Give the mean share of each term in a sum of independent squares of normal numbers.

    E[v_i g_i² / Σ v_j g_j²] is the integral over t > 0 of
    v_i / (1 + 2 t v_i) · Π (1 + 2 t v_j)^(-1/2), here by the trapezium rule in log t.
    """
    v = variances / variances.sum()
    log_t = np.linspace(-12, 25, 1500)
    t = np.exp(log_t)
    # With two terms the integrand still falls as 1/t in log t, so the range is long.
    product = np.zeros_like(t)
    for value in v:
        product -= np.log1p(2 * t * value) / 2
    weight = np.exp(product) * t * (log_t[1] - log_t[0])
    shares = np.array([(weight * value / (1 + 2 * t * value)).sum() for value in v])
    return np.asarray(shares / shares.sum())
