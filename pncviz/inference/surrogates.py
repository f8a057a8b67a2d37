"""Images with the spectrum of a pattern and random phases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import ParameterError
from pncviz.metrics import similarity_matrix

__all__ = ["phase_null", "phase_randomized"]

#: Numbers per block of draws.
_BLOCK = 2**22


def phase_randomized(
    images: NDArray[Any], n_draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Give images the same power at every spatial frequency, but random phases.

    All channels and all images of one draw get the same phases, so what channels have in common
    stays. The mean of each channel stays, too.

    Parameters
    ----------
    images : ndarray of shape (n, channels, rows, columns)
    n_draws : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_draws, n, channels, rows, columns)

    Raises
    ------
    ParameterError
        Tables: features have no neighbours.

    References
    ----------
    prichard1994generating.

    Examples
    --------
    >>> image = np.eye(6)[None, None]
    >>> other = phase_randomized(image, 1, np.random.default_rng(0))[0]
    >>> np.allclose(np.abs(np.fft.fft2(other)), np.abs(np.fft.fft2(image)))
    True
    """
    _check_images(images)
    phases = _phases(n_draws, images.shape[-2:], rng)
    spectra = np.fft.rfft2(images) * phases[:, None, None]
    return np.fft.irfft2(spectra, s=images.shape[-2:])


def phase_null(
    patterns: NDArray[Any],
    contrasts: NDArray[Any],
    metric: str,
    *,
    n_draws: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw the similarity of each pattern, phase-randomised, with its contrast.

    A valid null for patterns that are *stationary*: alike everywhere in the image. Patterns that
    live where the data have their ink are not, and get p-values that are far too small.

    Parameters
    ----------
    patterns, contrasts : ndarray of shape (n, channels, rows, columns)
        The contrast in the same place is the one that belongs to a pattern.
    metric : str
    n_draws : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_draws, n)

    Raises
    ------
    ParameterError
        Tables: features have no neighbours.

    References
    ----------
    prichard1994generating.

    Examples
    --------
    >>> image = np.eye(6)[None, None]
    >>> phase_null(image, image, "pearson", n_draws=3, rng=np.random.default_rng(0)).shape
    (3, 1)
    """
    _check_images(patterns)
    draws = np.empty((n_draws, len(patterns)))
    place = 0
    for size in _sizes(n_draws, patterns.size):
        block = slice(place, place + size)
        place += size
        if metric in ("pearson", "cosine"):
            phases = _phases(size, patterns.shape[-2:], rng)
            draws[block] = _products(patterns, contrasts, phases, centred=metric == "pearson")
        else:
            surrogates = phase_randomized(patterns, size, rng)
            for i, contrast in enumerate(contrasts):
                draws[block, i] = similarity_matrix(surrogates[:, i], contrast[None], metric)[:, 0]
    return draws


def _check_images(images: NDArray[Any]) -> None:
    if images.ndim != 4:
        raise ParameterError(
            'null="phase" needs images (label, channel, row, column): the features of a table '
            f"have no neighbours. Got shape {images.shape}."
        )


def _sizes(n: int, numbers: int) -> Iterator[int]:
    per_block = max(1, _BLOCK // numbers)
    for first in range(0, n, per_block):
        yield min(per_block, n - first)


def _phases(n: int, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    """Draw unit phases of white noise, which have a real image's symmetry; the mean's is 1."""
    noise = np.fft.rfft2(rng.normal(size=(n, *shape)))
    phases = noise / np.abs(noise)
    phases[..., 0, 0] = 1
    return phases


def _products(
    a: NDArray[Any], b: NDArray[Any], phases: NDArray[Any], *, centred: bool
) -> NDArray[np.float64]:
    """Correlate without making the images: by Parseval, two products for all draws."""
    if centred:
        a, b = (x - x.mean(axis=(1, 2, 3), keepdims=True) for x in (a, b))
    sizes = np.linalg.norm(a.reshape(len(a), -1), axis=1)
    sizes = sizes * np.linalg.norm(b.reshape(len(b), -1), axis=1)
    cross = (np.fft.rfft2(a) * np.fft.rfft2(b).conj()).sum(axis=1)  # over channels
    # rfft2 leaves out the mirror images of all columns but the first and, if even, the last.
    weight = np.full(cross.shape[-1], 2.0)
    weight[0] = 1
    if a.shape[-1] % 2 == 0:
        weight[-1] = 1
    cross = (cross * weight / (a.shape[-2] * a.shape[-1])).reshape(len(a), -1)
    flat = phases.reshape(len(phases), -1)
    top = flat.real @ cross.real.T - flat.imag @ cross.imag.T
    return np.where(sizes > 0, top / np.where(sizes > 0, sizes, 1), 0.0)
