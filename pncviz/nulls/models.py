"""Patterns of models that learned nothing, or nothing true."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from sklearn.base import clone

from pncviz.data import check_labels, check_samples, resolve_seed
from pncviz.dataset import validate
from pncviz.exceptions import LabelError, ParameterError, PatternWarning, PncvizWarning
from pncviz.nulls.randomized import Randomized, can_start_anew, thawed, trained_estimator
from pncviz.patterns import AdversarialPatternExtractor

__all__ = ["KINDS", "model_null"]

#: What the draws are, by kind.
KINDS = {
    "untrained": "patterns of untrained models",
    "cascaded": "patterns of models randomised from the top",
    "shuffled_labels": "patterns of models trained on shuffled labels",
}


def model_null(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    kind: str = "untrained",
    n: int = 99,
    random_state: Any = None,
    verbose: int = 0,
    **params: Any,
) -> xr.Dataset:
    """Extract the patterns of models that cannot know the classes.

    Given to :func:`~pncviz.compare` as ``null``, the p-value of a pattern answers: is it more like
    its class's contrast than the pattern of a model of the same architecture that never saw the
    classes? The patterns tested must have been made alike.

    Parameters
    ----------
    estimator : AdversarialPatternExtractor, or what it takes
        An extractor's own parameters are used; they may be changed by ``params``. A fitted net in
        it is not touched.
    X, y : array-like of shapes (n_samples, ...) and (n_samples,)
        "shuffled_labels" trains on them; else they tell shapes and classes only.
    kind : {"untrained", "cascaded", "shuffled_labels"}, default="untrained"
        A fresh initialisation; a trained net whose layers are re-initialised one by one from the
        top, which adds a dimension ``layer``; or a fit on permuted y.
    n : int, default=99
        Draws: 99 give a least p-value of .01.
    random_state : int, RandomState, Generator or None, default=None
        Of shuffling, initialisation, training and starts; each draw has a seed of its own.
    verbose : int, default=0
        1 shows a progress bar.
    **params
        Of :class:`~pncviz.AdversarialPatternExtractor`, such as ``strategy="aai"``.

    Returns
    -------
    xarray.Dataset
        Patterns with a leading ``draw``; for "cascaded" then ``layer``, the lowest layer that is
        re-initialised, from the top down.

    Raises
    ------
    ParameterError
        An unknown ``kind``, or ``n`` below 1.
    ModelError
        No torch net to initialise, or one that cannot be.
    ValueError
        X or y cannot be used.

    References
    ----------
    adebayo2018sanity.

    Examples
    --------
    >>> from pncviz import load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", max_epochs=5)
    >>> null = model_null(net, data.X, data.y, n=3, max_iter=200, random_state=0)
    >>> null["pattern"].dims[:2], null.attrs["null"]
    (('draw', 'label'), 'patterns of untrained models')
    """
    if kind not in KINDS:
        raise ParameterError(f"`kind` must be one of {', '.join(KINDS)}, got {kind!r}.")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ParameterError(f"`n` must be a positive integer, got {n!r}.")
    extractor, fitted = _extractor(estimator, params)
    samples = check_samples(X)
    labels = check_labels(y, len(samples), X=X)
    seed = resolve_seed(random_state)
    draw = _course(extractor, fitted, kind, samples, labels, seed)
    seeds = np.random.SeedSequence(seed).generate_state(int(n)).tolist()
    with _quiet(), _progress(len(seeds), kind, verbose) as advance:
        parts = []
        for one in seeds:
            parts.append(draw(one))
            _check_size(parts[0], len(seeds), extractor.max_bytes)
            advance()
    found = _joined(parts, "draw")
    _label(found, kind, len(seeds), seed)
    _warn_of_failures(found, kind)
    return validate(found, "patterns")


def _extractor(estimator: Any, params: dict[str, Any]) -> tuple[AdversarialPatternExtractor, Any]:
    """Give an unfitted extractor, and the trained net that a fitted one holds."""
    params = {"n_blocks": 0, "verbose": 0} | params
    if isinstance(estimator, AdversarialPatternExtractor):
        unfitted: AdversarialPatternExtractor = clone(estimator)
        unfitted.set_params(**params)
        return unfitted, getattr(estimator, "estimator_", None)
    return AdversarialPatternExtractor(estimator, **params), None


def _course(
    extractor: AdversarialPatternExtractor,
    fitted: Any,
    kind: str,
    samples: NDArray[Any],
    labels: NDArray[Any],
    seed: int,
) -> Callable[[int], xr.Dataset]:
    """Give what makes one draw from its seed."""
    if kind == "shuffled_labels" or (kind == "untrained" and can_start_anew(extractor.estimator)):
        plain = clone(extractor).set_params(estimator=_trainable(extractor.estimator))
        _check_classes(extractor.estimator if fitted is None else fitted, labels)
        if kind == "untrained":
            plain.set_params(estimator__max_epochs=0)

        def anew(one: int) -> xr.Dataset:
            y = labels
            if kind == "shuffled_labels":
                y = np.random.default_rng(one).permutation(labels)
            found: xr.Dataset = clone(plain).set_params(random_state=one).fit(samples, y).patterns_
            return found

        return anew
    net, classes = trained_estimator(extractor, fitted, samples, labels, seed, kind)
    copy = Randomized(net)

    def randomized(one: int) -> xr.Dataset:
        stages: list[xr.Dataset] = []
        for estimator in copy.stages(one, whole=kind == "untrained"):
            part = clone(extractor, safe=False)
            part.set_params(estimator=estimator, classes=classes, random_state=one)
            stages.append(part.fit(samples, labels).patterns_)
        if kind == "untrained":
            return stages[0]
        return _joined(stages, "layer").assign_coords(layer=("layer", np.array(copy.names)))

    return randomized


def _trainable(estimator: Any) -> Any:
    estimator = thawed(estimator)
    if isinstance(estimator, torch.nn.Module):
        raise ParameterError(
            'kind="shuffled_labels" must train, and a bare torch module cannot: give a skorch net '
            "or a scikit-learn classifier."
        )
    return estimator


def _check_classes(estimator: Any, labels: NDArray[Any]) -> None:
    """Raise LabelError if y lacks classes of a fitted net: one made for y would be another."""
    classes = getattr(thawed(estimator), "classes_", ())
    found = np.unique(labels)
    if len(classes) > len(found):
        raise LabelError(
            f"The model knows {len(classes)} classes, y has {len(found)} ({found[:10].tolist()}): "
            "a model made for y would have another architecture. Give samples of every class."
        )


def _check_size(first: xr.Dataset, n: int, max_bytes: int) -> None:
    """Raise after the first draw rather than after hours, if all would not fit."""
    estimate = 2 * n * first.nbytes  # as they are, and joined
    if estimate > max_bytes:
        raise ParameterError(
            f"{n} draws need about {estimate:,} bytes, more than `max_bytes` ({max_bytes:,}). Draw "
            "fewer, choose fewer `labels`, or raise it."
        )


def _joined(parts: list[xr.Dataset], dim: str) -> xr.Dataset:
    kept = [part.drop_dims([d for d in ("trace_iteration",) if d in part.dims]) for part in parts]
    joined: xr.Dataset = xr.concat(
        kept,
        dim=dim,
        data_vars="all",
        coords="minimal",
        compat="override",
        join="exact",
        combine_attrs="override",
    )
    return joined


def _label(found: xr.Dataset, kind: str, n: int, seed: int) -> None:
    parameters = json.loads(found.attrs["parameters"])
    parameters["null"] = {"kind": kind, "n": n}
    found.attrs["parameters"] = json.dumps(parameters, sort_keys=True)
    found.attrs["random_state"] = seed
    found.attrs["null"] = KINDS[kind]


def _warn_of_failures(found: xr.Dataset, kind: str) -> None:
    failed = int((~found["succeeded"]).sum())
    if failed:
        warnings.warn(
            f"{failed} of {found['succeeded'].size} {KINDS[kind]} did not reach their class; they "
            "are draws all the same.",
            PatternWarning,
            stacklevel=3,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Count what failed once, at the end, and not draw by draw."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)
        warnings.filterwarnings("ignore", "The net holds a module instance", PncvizWarning)
        yield


@contextmanager
def _progress(total: int, kind: str, verbose: int) -> Iterator[Callable[[], object]]:
    if not verbose:
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task(kind, total=total)
        yield lambda: bar.advance(task)
