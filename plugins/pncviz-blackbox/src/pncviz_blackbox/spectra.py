"""Noise of images: of Gabor wavelets, and with the spectrum of the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from pncviz.exceptions import ParameterError
from pncviz.synthesis.parameters import check_count
from pncviz_blackbox.noise import (
    BinaryNoise,
    Doubles,
    Floats,
    LinearNoise,
    Noise,
    WhiteNoise,
    image_sizes,
)

__all__ = ["NOISES", "ClassMeanSpectrum", "GaborPCA", "gabor_bank", "noise_named"]

#: Sides of the wavelets' windows, as shares of the image's (3, 7 and 15 of 28 pixels).
_WINDOWS = (3 / 28, 7 / 28, 15 / 28)
_ORIENTATIONS, _PHASES, _ASPECT = 4, 2, 0.5
#: Of the wavelets' least squares, as in the notebooks.
_RIDGE = 0.1
_MOST_SAMPLES = 60_000


class GaborPCA(LinearNoise):
    """Noise of Gabor wavelets: normal coefficients of their principal components.

    Wavelets of three sizes, four orientations and two phases stand side by side over the image.

    Parameters
    ----------
    n_components : int, default=450
        Principal components kept; all, where there are fewer.
    from_data : bool, default=False
        The components are those of the wavelet coefficients of the samples, as in the notebooks of
        Borji and Lin, so that the noise is as smooth and as placed as the data. By default they are
        those of the wavelets themselves, and the noise knows nothing of the data.

    References
    ----------
    borji2020white.

    Examples
    --------
    >>> fields = GaborPCA(n_components=20).draw(np.random.default_rng(0), 3, (1, 8, 8))
    >>> fields.shape, np.allclose((fields**2).mean(axis=1), 1)
    ((3, 64), True)
    """

    def __init__(self, n_components: int = 450, *, from_data: bool = False) -> None:
        self.n_components = n_components
        self.from_data = from_data

    @property
    def needs_data(self) -> bool:  # type: ignore[override] # by parameter
        """Whether it is made from samples."""
        return self.from_data

    def validate(self) -> None:
        """Raise ParameterError for a bad parameter."""
        check_count("n_components", self.n_components)
        if not isinstance(self.from_data, bool):
            raise ParameterError(f"`from_data` must be True or False, got {self.from_data!r}.")

    def prepare(self, X: NDArray[np.float32], y: NDArray[np.int64], shape: Sequence[int]) -> None:
        """Find the principal components of the samples' wavelet coefficients."""
        super().prepare(X, y, shape)
        if not self.from_data or len(shape) < 2:  # draw() refuses tables
            return
        _, rows, columns = image_sizes(tuple(shape), self)
        images = X.reshape(-1, rows * columns)[:_MOST_SAMPLES].astype(np.float64)
        covariance = np.atleast_2d(np.cov(images, rowvar=False))
        bank = gabor_bank((rows, columns))
        # Ridge coefficients are images @ solve, so their covariance needs no more than the images'.
        gram = bank @ bank.T + _RIDGE * np.eye(len(bank))
        solve = np.linalg.solve(gram, bank).T
        values, vectors = np.linalg.eigh(solve.T @ covariance @ solve)
        kept = values.argsort()[::-1][: self.n_components]
        factor = np.sqrt(values[kept].clip(min=0))[:, None] * vectors[:, kept].T
        self.factor_ = factor @ bank

    def basis(self, size: tuple[int, int]) -> tuple[Doubles, Doubles]:
        """Give the components that are left of the wavelets."""
        if self.from_data:
            factor = getattr(self, "factor_", None)
            if factor is None or factor.shape[1] != math.prod(size):
                raise ParameterError("GaborPCA(from_data=True) needs samples: give X and y.")
        else:
            factor = gabor_bank(size)
        _, scales, images = np.linalg.svd(factor, full_matrices=False)
        kept = min(self.n_components, int((scales > 1e-6 * scales[0]).sum()))
        return scales[:kept] ** 2, images[:kept]


class ClassMeanSpectrum(Noise):
    """Noise with the amplitude spectrum of the class means, and random phases.

    The spectrum is the root mean square of those of the class means, each less the mean of them
    all: what differs between classes. The mean brightness is left out: it belongs to the strategy's
    ``offset``.

    Examples
    --------
    >>> noise = ClassMeanSpectrum()
    >>> X = np.eye(16, dtype=np.float32).reshape(16, 1, 4, 4)
    >>> noise.prepare(X, np.arange(16) % 3, (1, 4, 4))
    >>> fields = noise.draw(np.random.default_rng(0), 2, (1, 4, 4))
    >>> np.allclose((fields**2).mean(axis=1), 1)
    True
    """

    needs_data = True

    def prepare(self, X: NDArray[np.float32], y: NDArray[np.int64], shape: Sequence[int]) -> None:
        """Take the spectrum of the samples' class means."""
        if len(shape) < 2:  # draw() refuses tables
            return
        means = np.stack([X[y == unit].mean(axis=0, dtype=np.float64) for unit in np.unique(y)])
        means = (means - means.mean(axis=0)).reshape(-1, *shape[-2:])
        power = (np.abs(np.fft.fft2(means)) ** 2).sum(axis=0)
        power[0, 0] = 0
        if not power.sum() > 0:
            raise ParameterError(
                "The class means are all alike: their differences have no spectrum."
            )
        # So that the squares of a field, by Parseval, have mean 1.
        self.power_ = power * (power.size / power.sum())

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Floats:
        """Draw n fields."""
        channels, rows, columns = image_sizes(shape, self)
        power = self._power((rows, columns))
        half = columns // 2 + 1
        angles = rng.random((n, channels, rows, half), dtype=np.float32) * np.float32(2 * np.pi)
        amplitude = np.sqrt(power[:, :half] * power.size).astype(np.float32)
        waves = np.empty(angles.shape, dtype=np.complex64)
        np.multiply(np.cos(angles), amplitude, out=waves.real)
        np.multiply(np.sin(angles), amplitude, out=waves.imag)
        for column in {0, columns // 2} if columns % 2 == 0 else {0}:
            _make_real(waves[..., column], amplitude[:, column])
        fields: Floats = scipy.fft.irfft2(waves, s=(rows, columns), overwrite_x=True)
        return fields.reshape(n, -1)

    def axes(self, shape: tuple[int, ...]) -> tuple[Doubles, Doubles | None]:
        """Give the power of each wave, and the waves: those of Hartley, which are real."""
        channels, rows, columns = image_sizes(shape, self)
        power = self._power((rows, columns))
        turn = [np.outer(np.arange(n), np.arange(n)) / n for n in (rows, columns)]
        angle = 2 * np.pi * (turn[0][:, None, :, None] + turn[1][None, :, None, :])
        waves = (np.cos(angle) + np.sin(angle)).reshape(power.size, power.size)
        axes: Doubles = np.kron(np.eye(channels), waves / math.sqrt(power.size)).astype(np.float64)
        return np.tile(power.ravel(), channels), axes

    def _power(self, size: tuple[int, int]) -> Doubles:
        power: Doubles | None = getattr(self, "power_", None)
        if power is None or power.shape != size:
            raise ParameterError("Noise with the spectrum of the data needs samples: give X and y.")
        return power


def _make_real(waves: NDArray[np.complex64], amplitude: Floats) -> None:
    """Let waves (…, rows) of one column and their opposites be conjugate, in place."""
    rows = waves.shape[-1]
    waves[..., rows - 1 : rows // 2 : -1] = waves[..., 1 : (rows + 1) // 2].conj()
    for row in {0, rows // 2} if rows % 2 == 0 else {0}:  # their own opposites: a sign is left
        sign = np.where(waves[..., row].real < 0, -1, 1)
        waves[..., row] = sign * amplitude[row]


def gabor_bank(size: tuple[int, int]) -> Doubles:
    """Give Gabor wavelets that tile an image, as rows.

    Parameters
    ----------
    size : (rows, columns)

    Returns
    -------
    float64 ndarray of shape (n_wavelets, rows * columns)

    Examples
    --------
    >>> gabor_bank((28, 28)).shape
    (960, 784)
    """
    rows, columns = size
    y, x = np.mgrid[:rows, :columns]
    found = []
    for side in dict.fromkeys(max(2, round(share * min(size))) for share in _WINDOWS):
        for turn in range(_ORIENTATIONS):
            theta = np.pi * turn / _ORIENTATIONS
            for quarter in range(_PHASES):
                phase = np.pi * quarter / _PHASES
                for top in range(0, rows, side):
                    for left in range(0, columns, side):
                        middle = top + (side - 1) / 2, left + (side - 1) / 2
                        found.append(_wavelet(y - middle[0], x - middle[1], side, theta, phase))
    return np.stack(found).reshape(len(found), -1)


def _wavelet(y: Doubles, x: Doubles, side: int, theta: float, phase: float) -> Doubles:
    along = x * math.cos(theta) + y * math.sin(theta)
    across = y * math.cos(theta) - x * math.sin(theta)
    envelope = np.exp(-(along**2 + (_ASPECT * across) ** 2) / (2 * (side / 4) ** 2))
    wave: Doubles = envelope * np.cos(4 * np.pi * along / side + phase)
    size = float(np.sqrt((wave * wave).sum()))
    return wave / size if size > 0 else wave


#: What ``noise=`` may be called.
NOISES: dict[str, Any] = {
    "white": WhiteNoise,
    "binary": BinaryNoise,
    "gabor_pca": GaborPCA,
    "class_mean_spectrum": ClassMeanSpectrum,
}


def noise_named(noise: str | Noise) -> Noise:
    """Make the noise of a name; one that is given is taken as it is.

    Raises
    ------
    ParameterError
        No such noise.

    Examples
    --------
    >>> noise_named("white")
    WhiteNoise()
    """
    if isinstance(noise, Noise):
        return noise
    if not isinstance(noise, str) or noise not in NOISES:
        names = ", ".join(f'"{name}"' for name in NOISES)
        raise ParameterError(f"`noise` must be a Noise or one of {names}, got {noise!r:.80}.")
    found: Noise = NOISES[noise]()
    return found
