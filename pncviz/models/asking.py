"""Who needs no more than answers gets a model that is only asked, within limits."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np

from pncviz.exceptions import ParameterError
from pncviz.models.queries import QueriedModel
from pncviz.specs import QUERIES, Model

__all__ = ["check_queries", "only_asks", "queried"]


def check_queries(max_queries: object, memory: object, n_jobs: object) -> None:
    """Raise ParameterError for a limit, a memory or a number of jobs that cannot be.

    Examples
    --------
    >>> check_queries(1000, None, 2)
    """
    for name, value, least in (("max_queries", max_queries, 1), ("n_jobs", n_jobs, None)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if value is not None and (not whole or value == 0 or (least and value < least)):  # type: ignore[operator] # whole
            kind = "a positive integer" if least else "an integer other than 0"
            raise ParameterError(f"`{name}` must be None or {kind}, got {value!r}.")
    if (
        memory is not None
        and not isinstance(memory, joblib.Memory | str)
        and not hasattr(memory, "__fspath__")
    ):
        raise ParameterError(
            f"`memory` must be None, a path or a joblib.Memory, got {memory!r:.80}."
        )


def only_asks(part: Any) -> bool:
    """Say whether an attack or a strategy needs answers alone.

    Examples
    --------
    >>> from pncviz import make_attack
    >>> only_asks(make_attack("gradient_descent"))
    False
    """
    return bool(part.needs) and part.needs <= QUERIES


def queried(
    model: Model,
    part: Any,
    *,
    max_queries: int | None = None,
    memory: Any = None,
    n_jobs: int | None = None,
) -> Model:
    """Give the model such that it is only asked, if that is all that is needed.

    Parameters
    ----------
    model : Model
    part : Attack or Strategy
        Who needs it.
    max_queries, memory, n_jobs
        As of :class:`QueriedModel` and :class:`~pncviz.specs.Stop`.

    Raises
    ------
    ParameterError
        A limit or a memory of queries, for what takes gradients.
    """
    if only_asks(part):
        return QueriedModel(model, memory=memory, n_jobs=n_jobs)
    for name, value in (("max_queries", max_queries), ("memory", memory)):
        if value is not None:
            raise ParameterError(
                f"`{name}` is for attacks that ask for probabilities or labels; "
                f"{type(part).__name__} needs {' and '.join(sorted(part.needs or ['nothing']))}, "
                f"got {value!r:.80}."
            )
    return model
