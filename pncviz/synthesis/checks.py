"""What strategies and attacks are held to: whoever breaks it is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.exceptions import ParameterError, PluginError, PncvizError
from pncviz.registry import distribution_of
from pncviz.specs import NEEDS, Attack, AttackResult, Extraction, Model, Stop, Strategy

__all__ = [
    "blame",
    "check_abstraction",
    "check_extraction",
    "check_needs",
    "check_result",
    "check_strategy",
    "checked_starts",
    "unchanged",
]


def _origin(part: object) -> str:
    return f"{type(part).__name__} ({' '.join(distribution_of(part)).strip()})"


@contextmanager
def blame(part: object, method: str) -> Iterator[None]:
    """Name the part whose method failed, and where it comes from."""
    try:
        yield
    except (PncvizError, KeyboardInterrupt, torch.OutOfMemoryError):
        raise
    except BaseException as error:  # a plugin may even call sys.exit
        raise PluginError(
            f"{_origin(part)} failed in {method}: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def unchanged(model: Model, *parts: object) -> Iterator[None]:
    """Raise PluginError if the parts leave other weights or another mode behind."""
    take = getattr(model, "fingerprint", list)
    before: list[float] = take()
    yield
    if take() != before:
        names = " or ".join(_origin(part) for part in parts)
        raise PluginError(f"{names} changed the model's weights or its training mode.")


def check_needs(attack: Attack) -> None:
    """Raise PluginError for a need that there is no such thing as."""
    unknown = sorted(set(attack.needs) - NEEDS)
    if unknown:
        raise PluginError(
            f"{_origin(attack)} needs {', '.join(unknown)}, which no model has; `needs` may hold "
            f"{', '.join(sorted(NEEDS))}."
        )


def check_strategy(strategy: Strategy, n_blocks: int) -> None:
    """Raise ParameterError for a count or a reduction that cannot be."""
    n = strategy.n_examples
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ParameterError(f"`n_examples` must be a positive integer, got {n!r}.")
    if strategy.reduction not in ("sum", "mean"):
        raise ParameterError(f'`reduction` must be "sum" or "mean", got {strategy.reduction!r}.')
    if n_blocks < 0 or n_blocks > n:
        raise ParameterError(
            f"`n_blocks` must lie between 0 and the number of examples ({n}), got {n_blocks}."
        )


def checked_starts(
    starts: list[NDArray[Any]], strategy: Strategy, shape: tuple[int, ...]
) -> NDArray[Any]:
    """Stack starts that are real, finite and of the image shape."""
    for start in starts:
        if start.shape != shape or start.dtype.kind not in "biuf":
            raise PluginError(
                f"{_origin(strategy)}.start must give real numbers of shape {shape}, got dtype "
                f"{start.dtype} of shape {start.shape}."
            )
        if not np.isfinite(start).all():
            raise PluginError(f"{_origin(strategy)}.start gave NaN or infinity.")
    return np.stack(starts)


def check_result(result: object, attack: Attack, start: Tensor, version: int, stop: Stop) -> None:
    """Hold an attack's result to its contract, field by field."""
    who = f"{_origin(attack)}.run"
    if not isinstance(result, AttackResult):
        raise PluginError(f"{who} must give an AttackResult, got {type(result).__name__}.")
    if start._version != version:
        raise PluginError(f"{who} changed its start in place; clone it first.")
    _check_tensor(result.adversarial, start, f"{who} must give adversarial examples")
    if not torch.isfinite(result.adversarial).all():
        raise PluginError(f"{who} gave NaN or infinity.")
    kinds = {"n_iter": "iu", "stop_reason": "U", "loss": "f", "confidence": "f"}
    for name, allowed in kinds.items():
        values = np.asarray(getattr(result, name))
        if values.shape != (len(start),) or values.dtype.kind not in allowed:
            raise PluginError(
                f"{who} must give `{name}` of shape ({len(start)},), got {values.shape} of dtype "
                f"{values.dtype}."
            )
        if allowed == "f" and not np.isfinite(values).all():
            raise PluginError(f"{who} gave a `{name}` that is NaN or infinite.")
    _check_queries(result.n_queries, attack, len(start), stop)
    if np.max(result.n_iter) > stop.max_iter:
        raise PluginError(
            f"{who} took {np.max(result.n_iter)} iterations, more than max_iter={stop.max_iter}."
        )


def _check_queries(n_queries: object, attack: Attack, n: int, stop: Stop) -> None:
    """Hold what an attack says of its queries to shape and limit."""
    who = f"{_origin(attack)}.run"
    if n_queries is None:
        if stop.max_queries is not None:
            raise PluginError(
                f"{who} does not say in `n_queries` how often it asks, so it cannot be held to "
                f"max_queries={stop.max_queries}."
            )
        return
    counts = np.asarray(n_queries)
    if counts.shape != (n,) or counts.dtype.kind not in "iu" or counts.min(initial=0) < 0:
        raise PluginError(
            f"{who} must give `n_queries` as counts of shape ({n},), got {counts.shape} of dtype "
            f"{counts.dtype}."
        )
    if stop.max_queries is not None and counts.max(initial=0) > stop.max_queries:
        raise PluginError(
            f"{who} asked {counts.max()} times, more than max_queries={stop.max_queries}."
        )


def _check_tensor(value: object, like: Tensor, what: str) -> None:
    if not isinstance(value, Tensor) or value.shape != like.shape or value.dtype != like.dtype:
        came = f"{tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else value
        raise PluginError(
            f"{what} of shape {tuple(like.shape)} and {like.dtype}, got {came!s:.80}."
        )


def check_abstraction(abstraction: Tensor, strategy: Strategy, start: Tensor) -> None:
    """Hold `abstract` to shape, precision and finite values."""
    _check_tensor(abstraction, start, f"{_origin(strategy)}.abstract must give a tensor")
    if not bool(torch.isfinite(abstraction).all()):
        raise PluginError(f"{_origin(strategy)}.abstract gave NaN or infinity.")


def check_extraction(
    found: object, strategy: Strategy, k: int, input_shape: tuple[int, ...]
) -> Extraction:
    """Hold a strategy's own `extract` to what the usual course would give."""
    who = f"{_origin(strategy)}.extract"
    if not isinstance(found, Extraction):
        raise PluginError(f"{who} must give an Extraction, got {type(found).__name__}.")
    if np.shape(found.pattern) != (k, *input_shape) or not np.isfinite(found.pattern).all():
        raise PluginError(
            f"{who} must give finite patterns of shape {(k, *input_shape)}, got "
            f"{np.shape(found.pattern)}."
        )
    for name in ("loss", "confidence", "n_iter", "unit", "stop_reason", "success_rate"):
        if np.shape(getattr(found, name)) != (k,):
            raise PluginError(
                f"{who} must give `{name}` of shape ({k},), got {np.shape(getattr(found, name))}."
            )
    if found.n_queries is not None and np.shape(found.n_queries) != (k,):
        raise PluginError(
            f"{who} must give `n_queries` of shape ({k},), got {np.shape(found.n_queries)}."
        )
    return found
