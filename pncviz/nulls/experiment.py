"""Patterns and contrasts in which there is nothing to find, and draws to compare them with."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.base import clone

from pncviz.contrast import positive_negative_contrast
from pncviz.data import as_float32, check_samples
from pncviz.exceptions import ParameterError, PatternWarning
from pncviz.nulls.labels import label_shuffled_contrasts
from pncviz.nulls.models import model_null
from pncviz.patterns import AdversarialPatternExtractor

__all__ = ["Case", "Draws", "make_experiment"]

Images = NDArray[np.float64]


class Case(NamedTuple):
    """Patterns and contrasts (n or 1, n_classes, n_features), unit vectors about their means."""

    patterns: Images
    contrasts: Images


class Draws(NamedTuple):
    """Draws under the nulls that need some, (n_draws, n_classes, n_features)."""

    untrained: Images
    shuffled_models: Images
    shuffled_contrasts: Images


def make_experiment(
    estimator: Any,
    X: Any,
    y: Any,
    n: int,
    n_draws: int,
    sigma: float,
    rng: np.random.Generator,
    params: dict[str, Any],
) -> tuple[list[Case], Draws, tuple[int, ...]]:
    """Make all that is to be tested, and all that it is tested against."""
    params = dict(params)
    verbose = params.pop("verbose")
    seeds = rng.integers(2**31, size=4).tolist()
    image_shape = params.get("image_shape", getattr(estimator, "image_shape", None))
    contrasts = positive_negative_contrast(X, y, image_shape=image_shape)
    shape = contrasts["contrast"].shape[1:]
    if len(shape) != 3:
        raise ParameterError("calibrate_null needs images; give `image_shape` for flat samples.")
    nets = []
    for kind, one in zip(("untrained", "shuffled_labels"), seeds, strict=False):
        options = {"kind": kind, "n": n + n_draws, "random_state": one, "verbose": verbose}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PatternWarning)  # draws all the same
            null = model_null(estimator, X, y, **options, **params)
        nets.append(_units(null["pattern"].values, 2))
    shuffled = label_shuffled_contrasts(
        X, y, n + n_draws, image_shape=image_shape, random_state=seeds[2]
    )
    shuffles = _units(shuffled["contrast"].values, 2)
    true = _true_patterns(estimator, X, y, seeds[3], params)
    b = _units(contrasts["contrast"].values, 1)[None]
    noise = rng.normal(size=(n, len(b[0]), *shape))
    noise = gaussian_filter(noise, (0, 0, 0, sigma, sigma), mode="wrap")
    samples = as_float32(check_samples(X))
    ink = samples.std(axis=0, dtype=np.float64).reshape(shape)
    cases = [
        Case(_units(noise, 2), b),
        Case(_units(noise * ink, 2), b),
        Case(nets[0][:n], b),
        Case(nets[1][:n], b),
        Case(true, shuffles[:n]),
    ]
    return cases, Draws(nets[0][n:], nets[1][n:], shuffles[n:]), shape


def _true_patterns(estimator: Any, X: Any, y: Any, seed: int, params: dict[str, Any]) -> Images:
    """Patterns of the model as it is meant to be, (1, n_classes, n_features)."""
    if isinstance(estimator, AdversarialPatternExtractor):
        extractor = clone(estimator).set_params(**params)
    else:
        extractor = AdversarialPatternExtractor(estimator, **params)
    extractor.set_params(random_state=seed).fit(X, y)
    return _units(extractor.patterns_["pattern"].values, 1)[None]


def _units(images: NDArray[Any], lead: int) -> Images:
    """Flatten, centre and scale, so that a scalar product is Pearson's r."""
    flat = images.reshape(*images.shape[:lead], -1).astype(np.float64)
    flat -= flat.mean(axis=-1, keepdims=True)
    size = np.linalg.norm(flat, axis=-1, keepdims=True)
    unit: Images = np.divide(flat, size, out=flat, where=size > 0)
    return unit
