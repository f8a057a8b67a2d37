"""Strategies that take a course of their own, instead of start, attack, abstract, reduce."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import ParameterError, PluginError
from pncviz.specs import Attack, Extraction, Model, Stop, Strategy, Streams
from pncviz.synthesis.checks import blame, check_extraction, unchanged

__all__ = ["extract_itself"]


def extract_itself(
    strategy: Strategy,
    model: Model,
    attack: Attack,
    targets: NDArray[np.int64],
    stop: Stop,
    streams: Streams,
    *,
    image_shape: tuple[int, ...],
    n_blocks: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Extraction:
    """Let a strategy with an ``extract`` of its own do it, told what more it asks to know.

    Parameters and result are those of :func:`~pncviz.synthesis.extract`; ``progress`` is called
    with the number of inputs after each answer of a model that is only asked.

    Raises
    ------
    ParameterError
        Blocks, of a strategy that keeps none.
    PluginError
        The strategy raised, or gave something of the wrong shape or value.
    """
    own, who = strategy.extract, type(strategy).__name__
    assert own is not None  # the caller asked
    asked = inspect.signature(own).parameters
    if n_blocks and "n_blocks" not in asked:
        raise ParameterError(f"{who} keeps no blocks, got n_blocks={n_blocks}; leave it 0.")
    more = {"n_blocks": n_blocks, "image_shape": image_shape}
    if hasattr(model, "progress"):
        model.progress = progress
    with unchanged(model, strategy), blame(strategy, "extract"):
        given = {name: value for name, value in more.items() if name in asked}
        before = _shown(model)
        answer = own(model, attack, targets, stop, streams, **given)
        shown = _shown(model) - before
    if stop.max_queries is not None and shown > stop.max_queries:
        raise PluginError(
            f"{who}.extract asked {shown} times, more than max_queries={stop.max_queries}."
        )
    return check_extraction(answer, strategy, len(targets), model.input_shape)


def _shown(model: Model) -> int:
    """Give how many inputs a model that is only asked has been shown, also from memory."""
    return int(getattr(model, "n_queries", 0)) + int(getattr(model, "n_remembered", 0))
