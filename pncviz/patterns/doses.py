"""What a model calls its patterns when they come weaker or stronger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from pncviz.dataset import validate
from pncviz.dataset.summed import n_summed
from pncviz.exceptions import LabelError, ParameterError
from pncviz.models import adapt, resolve_units
from pncviz.patterns.limits import is_count
from pncviz.patterns.outcome import Names
from pncviz.specs import Model
from pncviz.synthesis import in_batches

__all__ = ["DOSES", "pattern_confusion"]

#: Powers of two: multiplying by them rounds nothing.
DOSES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)


def pattern_confusion(
    estimator: Any,
    patterns: xr.Dataset,
    *,
    doses: Sequence[float] = DOSES,
    input_shape: tuple[int, ...] | None = None,
    classes: Any = None,
    output: str = "auto",
    adapter: str | None = None,
    batch_size: int | None = None,
) -> xr.Dataset:
    """Ask a model what it calls each pattern, at several doses of it.

    A dose multiplies the pattern's norm; nothing is added to it. Dose 1 is the pattern as it is,
    and of a pattern that is a sum over examples (``strategy="aai"``) their mean: the sum divided
    by the number of examples, which is read from the attribute ``parameters`` of ``patterns``
    and is 1 where that does not name it. At dose 1 the model that the patterns come from answers
    with their ``pattern_prediction`` and ``pattern_confidence``.

    Parameters
    ----------
    estimator : fitted skorch net, torch.nn.Module, or fitted scikit-learn classifier
        The model that the patterns come from, or another with the same classes. Used as it is;
        everything that is touched is put back.
    patterns : xarray.Dataset
        Of :func:`~pncviz.extract_patterns`; leading dimensions (such as ``strategy``) are kept.
    doses : sequence of float, default=(1/8, 1/4, 1/2, 1, 2, 4, 8)
        None below 0 and none twice.
    input_shape : tuple of int, optional
        One input as the model takes it; by default the shape of a pattern.
    classes : array-like of shape (n_classes,), optional
        Labels of the output units, in order, where the estimator does not know them.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What a bare module gives.
    adapter : str, optional
        Force the adapter of that name.
    batch_size : int, optional
        The most inputs at once; bounds memory.

    Returns
    -------
    xarray.Dataset
        On (…, dose, label): ``prediction``, what the model calls the pattern, and ``confidence``,
        the probability of the pattern's own class. On (…, dose, label, unit_label):
        ``probability``, which sums to 1. ``unit_label`` names the output units in their order,
        as ``prediction`` does: a unit that no class has is "unit 7", and among integers all of
        those are one entry, one below every label and zero.

    Raises
    ------
    ParameterError
        ``doses``, ``batch_size`` or ``input_shape`` cannot be used.
    LabelError
        Patterns of classes that the model does not have; ``classes`` may be needed.
    ModelError
        The model cannot be reached.
    ResultError
        ``patterns`` is not what it should be.

    References
    ----------
    dough2020.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", max_epochs=100).fit(data.X, data.y)
    >>> patterns = extract_patterns(net, image_shape=(6, 6), max_iter=200)
    >>> answers = pattern_confusion(net, patterns, doses=(0.5, 1, 2))
    >>> answers["prediction"].dims, answers["prediction"].sel(dose=1).values.tolist()
    (('dose', 'label'), [0, 1, 2, 3])
    """
    validate(patterns, "patterns")
    grid = _checked_doses(doses)
    if batch_size is not None and not is_count(batch_size):
        raise ParameterError(f"`batch_size` must be a positive integer, got {batch_size!r}.")
    pattern = patterns["pattern"]
    place = pattern.dims.index("label")
    leading, image_shape = pattern.shape[:place], pattern.shape[place + 1 :]
    shape = image_shape if input_shape is None else tuple(map(int, np.atleast_1d(input_shape)))
    if math.prod(shape) != math.prod(image_shape) or min(shape) < 1:
        raise ParameterError(f"`input_shape` must hold patterns of {image_shape}, got {shape}.")
    model = adapt(estimator, input_shape=shape, output=output, adapter=adapter)
    if batch_size is not None:
        model.batch_size = int(batch_size)
    labels, units = resolve_units(model, classes=classes)
    targets = _units_of(pattern["label"].values, labels, units)
    n_examples = n_summed(patterns).astype(pattern.dtype)
    flat = (pattern / n_examples).transpose(*pattern.dims).values.reshape(-1, *image_shape)
    with model.session():
        share = _probabilities(model, flat, grid)
    share = share.reshape(*leading, len(targets), len(grid), model.n_units)
    return _labelled(pattern, grid, share.swapaxes(-3, -2), targets, Names(labels, units))


def _checked_doses(doses: Any) -> NDArray[np.float64]:
    found = np.atleast_1d(np.asarray(doses))
    if found.dtype.kind not in "iuf" or found.ndim != 1 or not found.size:
        raise ParameterError(f"`doses` must be one or more numbers, got {doses!r:.100}.")
    if not (np.isfinite(found) & (found >= 0)).all() or len(np.unique(found)) < len(found):
        raise ParameterError(
            f"`doses` must be finite, none below 0 and none twice, got {doses!r:.100}."
        )
    return found.astype(np.float64)


def _units_of(
    wanted: NDArray[Any], labels: NDArray[Any], units: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give the output unit of each pattern's class."""
    unit_of = dict(zip(labels.tolist(), units.tolist(), strict=True))
    missing = [label for label in wanted.tolist() if label not in unit_of]
    if missing:
        raise LabelError(
            f"The patterns are of classes that the model does not have: {missing[:10]}. Its "
            f"classes are {labels.tolist()[:10]}; if they are the same by other names, say which "
            "label each output unit stands for with `classes`."
        )
    return np.array([unit_of[label] for label in wanted.tolist()], dtype=np.int64)


def _probabilities(
    model: Model, flat: NDArray[Any], doses: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Ask about every pattern at every dose, a batch at a time: (n_patterns * n_doses, units)."""
    parts = []
    factors = doses.astype(flat.dtype).reshape(-1, *[1] * (flat.ndim - 1))

    def ask(rows: range) -> None:
        row, dose = np.divmod(np.asarray(rows), len(doses))
        x = model.tensor(flat[row] * factors[dose])
        parts.append(model.probabilities(x).cpu().numpy())

    with torch.no_grad():
        in_batches(model, len(flat) * len(doses), ask)
    return np.concatenate(parts).astype(np.float64)


def _labelled(
    pattern: xr.DataArray,
    doses: NDArray[np.float64],
    share: NDArray[np.float64],
    targets: NDArray[np.int64],
    names: Names,
) -> xr.Dataset:
    """Name units, and label the answers; ``share`` is (…, dose, label, unit)."""
    of_units = names.of(np.arange(share.shape[-1]))
    own = np.take_along_axis(share, np.broadcast_to(targets[:, None], (*share.shape[:-1], 1)), -1)
    # Among integers, units that no class has share one name, and so their probabilities add up.
    unit_labels = np.array(list(dict.fromkeys(of_units.tolist())))
    share_of = np.stack([share[..., of_units == name].sum(axis=-1) for name in unit_labels], -1)
    leading = pattern.dims[: pattern.dims.index("label")]
    dims = (*leading, "dose", "label")
    called = {"long_name": "class that the pattern is taken for at the dose", "units": "1"}
    confidence = {"long_name": "probability of the pattern's own class", "units": "1"}
    probability = {"long_name": "probability of each class", "units": "1"}
    dose = {"long_name": "multiple of the pattern's norm", "units": "1"}
    unit = {"long_name": "class of the output unit", "units": "1"}
    inherited = {dim: pattern[dim] for dim in (*leading, "label") if dim in pattern.coords}
    return xr.Dataset(
        {
            "prediction": (dims, of_units[share.argmax(axis=-1)], called),
            "confidence": (dims, own[..., 0], confidence),
            "probability": ((*dims, "unit_label"), share_of, probability),
        },
        coords={
            **inherited,
            "dose": ("dose", doses, dose),
            "unit_label": ("unit_label", unit_labels, unit),
        },
    )
