"""Patterns of a trained model, without scikit-learn's ceremony."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from sklearn.frozen import FrozenEstimator

from pncviz.data import as_float32, check_labels, check_samples, resolve_image_shape, sample_shape
from pncviz.exceptions import ParameterError
from pncviz.models import adapt, resolve_units
from pncviz.patterns.course import MAX_BYTES, Course
from pncviz.specs import Attack, Strategy

__all__ = ["extract_patterns"]


def extract_patterns(
    estimator: Any,
    *,
    input_shape: tuple[int, ...] | None = None,
    image_shape: tuple[int, ...] | None = None,
    classes: Any = None,
    labels: Any = None,
    strategy: str | Strategy = "zero",
    attack: str | Attack = "gradient_descent",
    max_iter: int = 1000,
    max_loss: float | None = None,
    min_confidence: float | None = None,
    batch_size: int | None = None,
    deterministic: bool = False,
    precision: str | None = None,
    n_blocks: int = 0,
    output: str = "auto",
    adapter: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_queries: int | None = None,
    memory: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int = 0,
    X: Any = None,
    y: Any = None,
) -> xr.Dataset:
    """Extract the adversarial pattern of each class from a trained model.

    Parameters
    ----------
    estimator : fitted skorch net, torch.nn.Module, or fitted scikit-learn classifier
        Used as it is; everything that is touched is put back.
    input_shape : tuple of int, optional
        One input as the model takes it. By default the image shape with its channels, or the
        shape of ``X``, or the estimator's ``n_features_in_``.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        How to label and draw flat inputs.
    classes : array-like of shape (n_classes,), optional
        Labels of the output units, in order.
    labels : array-like, optional
        The classes to extract; all by default.
    strategy : str or Strategy, default="zero"
        Such as "zero", "noise", "aai", or of :func:`~pncviz.make_strategy`.
    attack : str or Attack, default="gradient_descent"
    max_iter : int, default=1000
    max_loss : float, optional
        Stop a pattern once its loss (nats for cross-entropy) is at most this.
    min_confidence : float, optional
        Stop a pattern once the target's probability is at least this.
    batch_size : int, optional
        The most inputs at once; bounds memory.
    deterministic : bool, default=False
        The same bits for every batch size, order, subset of labels and number of threads.
    precision : {"float32", "float64"}, optional
        Compute on a copy of the module in this precision; by default in its own.
    n_blocks : int, default=0
        Keep sums over so many interleaved blocks of examples, for resampling.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What a bare module gives.
    adapter : str, optional
        Force the adapter of that name.
    max_bytes : int
        Refuse to start if the patterns alone would take more.
    max_queries : int, optional
        The most inputs that an attack may ask the model about for one example; of a strategy that
        searches by itself, such as classification images, in all.
    memory : path or joblib.Memory, optional
        Where the answers of a model that is only asked are kept: the same call, after an
        interruption say, asks nothing twice.
    n_jobs : int, optional
        Processes that ask a scikit-learn classifier, as joblib counts them; None is one.
    random_state : int, RandomState, Generator or None, default=None
        Of the starts; the seed used is kept in the attributes.
    verbose : int, default=0
        1 shows a progress bar.
    X, y : array-like, optional
        For strategies and attacks that prepare on data.

    Returns
    -------
    xarray.Dataset
        ``pattern`` (label, channel, row, column) or (label, feature), and per label confidence,
        loss, n_iter, prediction, stop_reason, success_rate, succeeded, pattern_prediction,
        pattern_confidence.

    Raises
    ------
    ParameterError, UnknownNameError
        A parameter is wrong.
    ModelError
        The model cannot be reached, or cannot serve the attack (:class:`AdapterError`).
    LabelError
        Labels that the model does not have.
    PluginError
        A strategy or attack broke its contract.

    References
    ----------
    dough2020.

    Examples
    --------
    >>> from pncviz import load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", max_epochs=100).fit(data.X, data.y)
    >>> patterns = extract_patterns(net, image_shape=(6, 6), max_iter=200)
    >>> patterns["pattern"].shape, bool(patterns["succeeded"].all())
    ((4, 1, 6, 6), True)
    """
    course = Course.checked(
        strategy=strategy,
        attack=attack,
        max_iter=max_iter,
        max_loss=max_loss,
        min_confidence=min_confidence,
        random_state=random_state,
        labels=labels,
        batch_size=batch_size,
        deterministic=deterministic,
        precision=precision,
        n_blocks=n_blocks,
        max_bytes=max_bytes,
        max_queries=max_queries,
        memory=memory,
        n_jobs=n_jobs,
        verbose=verbose,
    )
    if X is None and y is not None:
        raise ParameterError("`y` was given without `X`; parts prepare on both.")
    samples = None if X is None else as_float32(check_samples(X))
    targets = None if y is None or samples is None else check_labels(y, len(samples), X=X)
    if input_shape is None and samples is not None:
        input_shape = samples.shape[1:]
    input_shape, image_shape = _shapes(estimator, input_shape, image_shape)
    model = adapt(estimator, input_shape=input_shape, output=output, adapter=adapter)
    names, units = resolve_units(model, classes=classes, y=targets)
    return course.run(model, names, units, image_shape=image_shape, data=(samples, targets))


def _shapes(
    estimator: Any, input_shape: tuple[int, ...] | None, image_shape: tuple[int, ...] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give what the model takes and how it is drawn, each from the other if need be."""
    if input_shape is None and image_shape is not None:
        input_shape = sample_shape(image_shape)
    if input_shape is None:
        inner = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
        n_features = getattr(inner, "n_features_in_", None)
        if n_features is None:
            raise ParameterError(
                "extract_patterns needs `input_shape` (one input as the model takes it) or "
                "`image_shape` (rows, columns); without data it cannot know them."
            )
        input_shape = (int(n_features),)
    input_shape = tuple(int(side) for side in np.atleast_1d(input_shape))
    if math.prod(input_shape) < 1 or min(input_shape) < 1:
        raise ParameterError(f"`input_shape` must have positive sides, got {input_shape}.")
    return input_shape, resolve_image_shape(input_shape, image_shape)
