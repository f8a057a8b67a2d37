"""Work in batches that shrink when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from pncviz.exceptions import ModelError
from pncviz.specs import Model

__all__ = ["in_batches"]

logger = logging.getLogger("pncviz")


def in_batches(model: Model, n: int, work: Callable[[range], object]) -> None:
    """Call ``work`` with one range of rows after another, ``model.batch_size`` at a time.

    A batch that runs out of memory is tried again in halves, and so is what comes after it.

    Raises
    ------
    ModelError
        There is no memory for a single row.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,), batch_size=2)
    >>> in_batches(model, 5, print)
    range(0, 2)
    range(2, 4)
    range(4, 5)
    """
    first = 0
    while first < n:
        rows = range(first, min(first + model.batch_size, n))
        try:
            work(rows)
        except torch.OutOfMemoryError as error:
            if model.batch_size == 1:
                raise ModelError("There is no memory for even one input at a time.") from error
            model.batch_size = max(1, min(model.batch_size, len(rows)) // 2)
            logger.warning("Out of memory; going on with batch_size=%d.", model.batch_size)
            continue
        first = rows.stop
