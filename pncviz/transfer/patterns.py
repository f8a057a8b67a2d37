"""Patterns of one model, added to data and put to others."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.data import check_labels
from pncviz.dataset import build_table, common_attrs
from pncviz.examples.checks import checked_values
from pncviz.exceptions import LabelError, ParameterError, PatternWarning, ResultError
from pncviz.inference import proportion_interval
from pncviz.synthesis import check_clip, check_number
from pncviz.transfer.adding import count_called
from pncviz.transfer.checks import check_level, checked_patterns
from pncviz.transfer.panel import Panel, check_models

__all__ = ["pattern_transfer"]

_NORMS = {"l2": 2, "linf": np.inf}


def pattern_transfer(
    models: Mapping[str, Any],
    patterns: Mapping[str, xr.Dataset],
    X: Any,
    y: Any,
    *,
    epsilon: float,
    norm: str = "l2",
    clip: tuple[float, float] | None = None,
    classes: Any = None,
    batch_size: int | None = None,
    confidence_level: float = 0.95,
) -> xr.Dataset:
    """Add the patterns of each model to samples of other classes, and ask every model about them.

    Parameters
    ----------
    models : mapping of str to fitted estimator or torch.nn.Module
        Who is asked, the targets. Used as they are.
    patterns : mapping of str to xarray.Dataset
        Of :func:`~pncviz.extract_patterns`, by the name of the model that they are of, the
        source; all of the same classes.
    X : array-like of shape (n_samples, ...)
        Dask and memory-mapped arrays are not held whole.
    y : array-like of shape (n_samples,)
    epsilon : float
        The length that every pattern is brought to, in units of X.
    norm : {"l2", "linf"}, default="l2"
        How it is measured: Euclidean, or the largest value.
    clip : (low, high), optional
        Bounds of the sum.
    classes : array-like of shape (n_classes,), optional
        Labels of the output units, in order, of all models.
    batch_size : int, optional
        The most samples at once.
    confidence_level : float, default=0.95
        Of Wilson's intervals.

    Returns
    -------
    xarray.Dataset
        On (source, target, label): ``rate``, the share of samples of other classes that the
        target model calls the pattern's class with the pattern added, with ``lower`` and
        ``upper``. On (target, label): ``clean_rate``, the share without it, likewise; ``n_samples``
        on (label,). Over all classes: ``overall_rate`` with ``overall_lower`` and
        ``overall_upper``, and ``overall_clean_rate``.

    Notes
    -----
    The overall rate counts a sample once for each class that it is not of, so its trials are not
    independent and its interval is somewhat too short.

    Raises
    ------
    ValueError
        X, y or a parameter cannot be used, or X is not of the patterns' size.
    LabelError
        A model does not have the labels, or patterns differ in theirs.
    ModelError
        A model cannot be reached.
    ResultError
        Patterns are not what they should be.

    References
    ----------
    dough2020, papernot2016transferability, wilson1927probable.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> nets = {n: make_classifier("fc", max_epochs=100, hidden=[k]).fit(data.X, data.y)
    ...         for n, k in {"narrow": 20, "wide": 40}.items()}
    >>> patterns = {n: extract_patterns(net, image_shape=(6, 6), max_iter=100)
    ...             for n, net in nets.items()}
    >>> found = pattern_transfer(nets, patterns, data.X, data.y, epsilon=5.0)
    >>> found["rate"].dims
    ('source', 'target', 'label')
    """
    check_models(models)
    check_level(confidence_level)
    check_number("epsilon", epsilon, low=0, open_low=True)
    check_clip(clip)
    if not isinstance(norm, str) or norm not in _NORMS:
        raise ParameterError(f'`norm` must be "l2" or "linf", got {norm!r}.')
    parts = checked_patterns(patterns)
    source = checked_values(X, estimator=None)
    shape = tuple(source.shape[1:])
    labels = check_labels(y, len(source), X=X)
    panel = Panel.of(models, shape, labels=labels, classes=classes, batch_size=batch_size)
    classes_of = next(iter(parts.values()))["label"].values
    scaled = {name: _scaled(name, one, shape, epsilon, norm) for name, one in parts.items()}
    own, wanted = panel.code(labels), _codes_of(panel, classes_of)
    with panel.session():
        counts = count_called(panel, scaled, source, own, wanted, clip)
    parameters = {"epsilon": epsilon, "norm": norm, "clip": clip}
    attrs = common_attrs(
        "pattern_transfer", parameters={**parameters, "confidence_level": confidence_level}
    )
    of = np.array([np.count_nonzero(own != code) for code in wanted])
    coords: dict[str, Any] = {"source": list(scaled), "target": list(models), "label": classes_of}
    return build_table(
        "pattern_transfer", _rates(counts, of, confidence_level), coords=coords, attrs=attrs
    )


def _codes_of(panel: Panel, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Give the code of each pattern's class, which all models must have."""
    known = set(panel.classes.tolist())
    for codes in panel.codes.values():
        known &= {panel.classes[code].item() for code in codes.tolist() if code >= 0}
    if missing := [label for label in labels.tolist() if label not in known]:
        raise LabelError(
            f"The patterns are of classes that not all models have: {missing[:10]}. Those that "
            f"all have are {sorted(known)[:10]}."
        )
    return panel.code(labels)


def _scaled(
    name: str, patterns: xr.Dataset, shape: tuple[int, ...], epsilon: float, norm: str
) -> NDArray[np.float64]:
    r"""Bring every pattern to one length: (n_labels, \*shape)."""
    flat = patterns["pattern"].values.reshape(patterns.sizes["label"], -1).astype(np.float64)
    if flat.shape[1] != np.prod(shape):
        raise ResultError(
            f'Patterns of "{name}" have {flat.shape[1]} values, samples of shape {shape} '
            f"{np.prod(shape)}."
        )
    size = np.linalg.norm(flat, ord=_NORMS[norm], axis=1, keepdims=True)
    if not size.all():
        empty = patterns["label"].values[size[:, 0] == 0].tolist()
        warnings.warn(
            f'Patterns of "{name}" are zero for {empty[:10]}, so nothing is added.',
            PatternWarning,
            stacklevel=3,
        )
    flat *= np.divide(epsilon, size, out=np.zeros_like(size), where=size > 0)
    return flat.reshape(-1, *shape)


def _rates(counts: NDArray[np.int64], of: NDArray[np.int64], level: float) -> dict[str, Any]:
    clean, added = counts[0], counts[1:]
    named = {
        "rate": ("", added, of),
        "clean_rate": ("clean_", clean, of),
        "overall_rate": ("overall_", added.sum(-1), of.sum()),
        "overall_clean_rate": ("", clean.sum(-1), of.sum()),
    }
    variables: dict[str, Any] = {"n_samples": of}
    for name, (prefix, hits, n) in named.items():
        n = np.broadcast_to(n, hits.shape)
        variables[name] = np.divide(hits, n, out=np.full(hits.shape, np.nan), where=n > 0)
        if name != "overall_clean_rate":
            ends = proportion_interval(hits, n, confidence_level=level)
            variables[f"{prefix}lower"], variables[f"{prefix}upper"] = ends
    return variables
