"""From arrays to labelled patterns and contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from pncviz.dataset.builder import Builder, as_counts, as_floats, as_labels
from pncviz.exceptions import ResultError

if TYPE_CHECKING:
    from pncviz.specs import Trace

__all__ = ["build_contrasts", "build_patterns"]


def build_patterns(
    *,
    pattern: ArrayLike,
    labels: ArrayLike,
    image_shape: Sequence[int],
    confidence: ArrayLike,
    loss: ArrayLike,
    n_iter: ArrayLike,
    prediction: ArrayLike,
    stop_reason: ArrayLike,
    success_rate: ArrayLike,
    pattern_prediction: ArrayLike,
    pattern_confidence: ArrayLike,
    attrs: Mapping[str, Any],
    loss_units: str = "nat",
    feature_names: ArrayLike | None = None,
    trace: Trace | None = None,
    block: ArrayLike | None = None,
    n_block: ArrayLike | None = None,
    n_queries: ArrayLike | None = None,
) -> xr.Dataset:
    """Label adversarial patterns and how each of them came about.

    Parameters
    ----------
    pattern : array of shape (n_labels, ...)
        One pattern per class, in any shape that holds as many values as an image. In units of
        the model's input; float32 and float64 are kept.
    labels : array of shape (n_labels,)
        The classes: all integers or all strings, none twice.
    image_shape : sequence of int
        (channels, rows, columns) or (features,).
    confidence, loss, success_rate, pattern_confidence : arrays of shape (n_labels,)
        Probabilities and shares in 0..1; ``loss`` in ``loss_units``.
    n_iter : integer array of shape (n_labels,)
    prediction, pattern_prediction : arrays of shape (n_labels,)
        Labels.
    stop_reason : array of str of shape (n_labels,)
    attrs : mapping
        From :func:`common_attrs`.
    loss_units : str
        "nat" for cross-entropy, "1" if dimensionless.
    feature_names : array of shape (n_features,), optional
        For tables; becomes the coordinate ``feature``.
    trace : Trace, optional
        ``iteration`` (t,), ``loss`` and ``confidence`` (n_labels, t); NaN after a pattern stopped.
    block, n_block : arrays of shapes (n_blocks, n_labels, ...) and (n_blocks,), optional
        Sums over blocks of examples, and how many examples each has. Both or neither.
    n_queries : integer array of shape (n_labels,), optional
        Inputs that the model was asked about for each pattern, if it was only asked.

    Returns
    -------
    xarray.Dataset
        ``succeeded`` is ``success_rate == 1``.

    Raises
    ------
    ResultError
        For a shape, dtype or attribute that breaks the schema; names it.
    LabelError
        If labels mix types.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz.dataset import build_patterns, common_attrs
    >>> one = dict.fromkeys(
    ...     ["confidence", "loss", "success_rate", "pattern_confidence"], [1.0, 0.5]
    ... )
    >>> patterns = build_patterns(
    ...     pattern=np.zeros((2, 6)), labels=["cat", "dog"], image_shape=(1, 2, 3), **one,
    ...     n_iter=[3, 10], prediction=["cat", "cat"], pattern_prediction=["cat", "cat"],
    ...     stop_reason=["max_loss", "max_iter"], attrs=common_attrs("patterns", parameters={}),
    ... )
    >>> patterns["pattern"].dims, patterns["succeeded"].values.tolist()
    (('label', 'channel', 'row', 'column'), [True, False])
    """
    builder = Builder("patterns", labels, image_shape, feature_names)
    builder.add("pattern", as_floats("pattern", pattern), "label", image=True)
    builder.add("confidence", as_floats("confidence", confidence), "label")
    builder.add("loss", as_floats("loss", loss), "label", units=loss_units)
    builder.add("n_iter", as_counts("n_iter", n_iter), "label")
    builder.add("prediction", as_labels("prediction", prediction), "label")
    builder.add("stop_reason", as_labels("stop_reason", stop_reason), "label")
    rate = as_floats("success_rate", success_rate)
    builder.add("success_rate", rate, "label")
    builder.add("succeeded", rate == 1, "label", parameter="success_rate")
    builder.add("pattern_prediction", as_labels("pattern_prediction", pattern_prediction), "label")
    builder.add("pattern_confidence", as_floats("pattern_confidence", pattern_confidence), "label")
    if trace is not None and len(trace.iteration):
        iteration = np.asarray(trace.iteration).astype(np.int64)
        builder.index("trace_iteration", iteration, "iteration")
        for name in ("loss", "confidence"):
            units = loss_units if name == "loss" else None
            values = as_floats(f"trace.{name}", getattr(trace, name))
            dims = ("label", "trace_iteration")
            builder.add(f"trace_{name}", values, *dims, units=units, parameter=f"trace.{name}")
    _add_blocks(builder, "pattern_block", "block", block, n_block)
    if n_queries is not None:
        builder.add("n_queries", as_counts("n_queries", n_queries), "label")
    return builder.dataset(attrs)


def build_contrasts(
    *,
    contrast: ArrayLike,
    positive_mean: ArrayLike,
    negative_mean: ArrayLike,
    n_positive: ArrayLike,
    n_negative: ArrayLike,
    labels: ArrayLike,
    image_shape: Sequence[int],
    attrs: Mapping[str, Any],
    feature_names: ArrayLike | None = None,
    block_sum: ArrayLike | None = None,
    n_block: ArrayLike | None = None,
) -> xr.Dataset:
    """Label positive-negative contrasts and the means that they come from.

    Parameters
    ----------
    contrast, positive_mean, negative_mean : arrays of shape (n_labels, ...)
        In any shape that holds as many values as an image; in units of the data (dimensionless
        where means were normalised).
    n_positive, n_negative : arrays of shape (n_labels,)
        Samples behind each mean: integers, or floats where samples are weighted by probability.
    labels : array of shape (n_labels,)
        The classes: all integers or all strings, none twice.
    image_shape : sequence of int
        (channels, rows, columns) or (features,).
    attrs : mapping
        From :func:`common_attrs`.
    feature_names : array of shape (n_features,), optional
        For tables; becomes the coordinate ``feature``.
    block_sum : array of shape (n_blocks, n_labels, ...), optional
        Sums over interleaved blocks of samples, kept as ``contrast_block_sum``.
    n_block : array of shape (n_blocks,) or (n_blocks, n_labels), optional
        Samples in each block. Both or neither.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ResultError
        For a shape, dtype or attribute that breaks the schema; names it.
    LabelError
        If labels mix types.

    Examples
    --------
    >>> import numpy as np
    >>> from pncviz.dataset import build_contrasts, common_attrs
    >>> means = dict.fromkeys(["contrast", "positive_mean", "negative_mean"], np.zeros((2, 3)))
    >>> contrasts = build_contrasts(
    ...     **means, n_positive=[4, 6], n_negative=[6, 4], labels=[0, 1], image_shape=(3,),
    ...     attrs=common_attrs("contrasts", parameters={}),
    ... )
    >>> contrasts["contrast"].dims
    ('label', 'feature')
    """
    builder = Builder("contrasts", labels, image_shape, feature_names)
    images = {"contrast": contrast, "positive_mean": positive_mean, "negative_mean": negative_mean}
    for name, values in images.items():
        builder.add(name, as_floats(name, values), "label", image=True)
    builder.add("n_positive", as_counts("n_positive", n_positive), "label")
    builder.add("n_negative", as_counts("n_negative", n_negative), "label")
    _add_blocks(builder, "contrast_block_sum", "block_sum", block_sum, n_block)
    return builder.dataset(attrs)


def _add_blocks(
    builder: Builder,
    name: str,
    parameter: str,
    block: ArrayLike | None,
    n_block: ArrayLike | None,
) -> None:
    """Add sums over blocks and how much each block holds."""
    if (block is None) != (n_block is None):
        raise ResultError(f"`{parameter}` and `n_block` belong together: give both or neither.")
    if block is None or n_block is None:
        return
    counts = as_counts("n_block", n_block)
    builder.add(
        name, as_floats(parameter, block), "block", "label", image=True, parameter=parameter
    )
    two = counts.ndim == 2 and builder.kind == "contrasts"
    builder.add("n_block", counts, *(("block", "label") if two else ("block",)))
