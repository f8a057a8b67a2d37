"""What all need that run attacks on a model: a checked attack, and a model made ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from pncviz.data import encode_labels
from pncviz.exceptions import ParameterError
from pncviz.models import (
    TiledModel,
    TorchModel,
    adapt,
    fit_estimator,
    is_frozen,
    queried,
    require,
    resolve_units,
)
from pncviz.patterns.limits import is_count
from pncviz.registry import make_attack
from pncviz.specs import Attack, Model, Strategy
from pncviz.synthesis import check_needs

__all__ = ["check_form", "checked_attack", "fitted_model", "fitted_out", "progress_bar", "reached"]

_PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


def checked_attack(attack: str | Attack) -> Attack:
    """Make an attack of a name, or copy the one given, and check its parameters.

    Raises
    ------
    ParameterError, UnknownNameError
        No attack, no such attack, or a bad parameter of it.
    PluginError
        It needs what no model has.

    Examples
    --------
    >>> checked_attack("gradient_descent")
    GradientDescent()
    """
    given = make_attack(attack) if isinstance(attack, str) else attack
    if not isinstance(given, Attack):
        raise ParameterError(f"`attack` must be a name or an Attack, got {attack!r:.80}.")
    found: Attack = clone(given)  # prepare() may store what it learns
    found.validate()
    check_needs(found)
    return found


def check_form(precision: object, **counts: object) -> None:
    """Raise ParameterError for an unknown precision, or a count that is neither None nor one."""
    for name, value in counts.items():
        if value is not None and not is_count(value):
            raise ParameterError(f"`{name}` must be a positive integer, got {value!r}.")
    if precision not in (None, *_PRECISIONS):
        raise ParameterError(
            f'`precision` must be None, "float32" or "float64", got {precision!r}.'
        )


def fitted_model(
    estimator: Any,
    samples: NDArray[Any],
    labels: NDArray[Any] | None,
    *,
    image_shape: tuple[int, ...],
    classes: Any = None,
    output: str = "auto",
    adapter: str | None = None,
    seed: int | None = None,
) -> tuple[Any, Model, NDArray[Any], NDArray[np.int64]]:
    r"""Make a model of an estimator, of whose clone it is fitted unless frozen.

    Parameters
    ----------
    estimator : skorch net, torch.nn.Module, or scikit-learn classifier
    samples : ndarray of shape (n_samples, \*input_shape)
        Of a frozen estimator their shape alone matters.
    labels : ndarray of shape (n_samples,) or None
        None for a frozen estimator alone.
    image_shape : tuple of int
    classes, output, adapter
        As of :class:`~pncviz.AdversarialPatternExtractor`.
    seed : int, optional
        Of a fit.

    Returns
    -------
    estimator : the fitted estimator
    model : Model
    classes : ndarray of shape (n_classes,)
    units : int64 ndarray of shape (n_classes,)
        The output unit of each class.
    """
    frozen = is_frozen(estimator)
    known = np.arange(0)
    if not frozen:
        known, codes = encode_labels(np.asarray(labels), classes)
        estimator = fit_estimator(
            estimator, samples, codes, shape=image_shape, n_classes=len(known), seed=seed
        )
    model = adapt(estimator, input_shape=samples.shape[1:], output=output, adapter=adapter)
    if frozen:
        return estimator, model, *resolve_units(model, classes=classes, y=labels)
    return estimator, model, known, np.arange(len(known))


def fitted_out(
    model: Model, *, precision: str | None, batch_size: int | None, deterministic: bool
) -> Model:
    """Give the model the precision, batch size and determinism asked for."""
    if isinstance(model, TorchModel):
        dtype = _PRECISIONS.get(precision or "", model.dtype)
        if dtype != model.dtype:
            model = model.astype(dtype)
    if batch_size is not None:
        model.batch_size = int(batch_size)
    if deterministic and isinstance(model, TorchModel):
        return TiledModel(model)
    return model


def reached(model: Model, part: Attack | Strategy, course: Any) -> Model:
    """Hold a model against what a part needs of it; one that is only asked is counted.

    Parameters
    ----------
    model : Model
    part : Attack or Strategy
    course : object with ``stop``, ``memory`` and ``n_jobs``

    Raises
    ------
    AdapterError
        An unmet need.
    ParameterError
        A limit or a memory of queries, for what takes gradients.
    """
    require(model, part)
    return queried(
        model,
        part,
        max_queries=course.stop.max_queries,
        memory=course.memory,
        n_jobs=course.n_jobs,
    )


@contextmanager
def progress_bar(
    what: str, total: int | None, wanted: bool
) -> Iterator[Callable[[int], object] | None]:
    """Show a bar on the terminal, if wanted; gives what to call with the number done."""
    if not wanted:
        yield None
        return
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task(what, total=total)
        yield lambda n: bar.advance(task, n)
