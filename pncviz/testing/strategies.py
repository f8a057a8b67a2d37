"""What a strategy must keep to."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor

from pncviz.exceptions import ParameterError, PatternWarning
from pncviz.patterns import extract_patterns
from pncviz.specs import Strategy, StrategySpec
from pncviz.testing.probes import SHAPES, close, samples, small_net
from pncviz.testing.subject import Subject, check_part, global_seed, make

__all__ = ["check_strategy"]

#: Starts are asked for of these too.
START_SHAPES = (SHAPES[0], (3, 6, 6), SHAPES[1])


def check_strategy(
    strategy: str | StrategySpec | Strategy | Callable[..., Strategy], *, max_iter: int = 10
) -> None:
    """Hold a strategy to its contract.

    It must clone, print and pickle; reduce in a known way; start with finite real numbers of the
    image shape that depend on the given generator alone; leave data, examples and starts as they
    are; and give, through :func:`~pncviz.extract_patterns` on two small networks, the same patterns
    each time and for each batch size. A strategy for images or tables only says so by a
    ``ParameterError`` from ``start`` (or ``extract``).

    Parameters
    ----------
    strategy : name, StrategySpec, Strategy, or a factory without parameters
    max_iter : int, default=10
        Iterations of each extraction.

    Raises
    ------
    AssertionError
        A rule is broken; names the strategy, its distribution, the rule and what came.

    Examples
    --------
    >>> from pncviz.testing import check_strategy
    >>> check_strategy("zero")
    """
    subject, part = make("strategy", strategy)
    subject.require(isinstance(part, Strategy), "be a pncviz.Strategy", type(part).__name__)
    check_part(subject, part)
    n, kinds = part.n_examples, ("sum", "mean")
    counts = isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1
    subject.require(counts, "have a positive integer `n_examples`", n)
    subject.require(part.reduction in kinds, f"have a `reduction` of {kinds}", part.reduction)
    taken = list(START_SHAPES)
    if part.extract is None:
        taken = [shape for shape in START_SHAPES if _check_start(subject, part, shape)]
    for shape in SHAPES:
        _check_abstract(subject, part, shape)
    done = [s for s in SHAPES if s in taken and _check_extraction(subject, part, s, max_iter)]
    subject.require(done, f"take inputs of one of the shapes {SHAPES}", "ParameterError for each")


def _check_start(subject: Subject, part: Strategy, shape: tuple[int, ...]) -> bool:
    """Check starts of one shape; False if the strategy refuses the shape."""
    part = clone(part)
    with subject.trying("prepare(X, y) with read-only X and y"):
        part.prepare(*samples(shape))
    try:
        first = _start(subject, part, shape, 0)
    except ParameterError:
        return False
    kept = first.copy()
    _start(subject, part, shape, 1)
    subject.require(np.array_equal(first, kept), "give a new array at each start", "one reused")
    again = _start(subject, part, shape, 0)
    subject.require(
        np.array_equal(kept, again),
        f"give one start of shape {shape} for one generator, whatever was called before",
        "two that differ",
    )
    return True


def _start(
    subject: Subject, part: Strategy, shape: tuple[int, ...], stream: int
) -> NDArray[np.generic]:
    with global_seed(stream, subject), subject.trying(f"start({shape}, rng)", ParameterError):
        start = np.asarray(part.start(shape, np.random.default_rng(stream)))
    subject.require(start.shape == shape, f"give a start of shape {shape}", start.shape)
    subject.require(start.dtype.kind in "biuf", "give a start of real numbers", start.dtype)
    subject.require(np.isfinite(start).all(), "give a finite start", "NaN or infinity")
    return start


def _check_abstract(subject: Subject, part: Strategy, shape: tuple[int, ...]) -> None:
    X, y = samples(shape)
    part = clone(part)
    with subject.trying("prepare(X, y) with read-only X and y"):
        part.prepare(X, y)
    adversarial, start = torch.tensor(X[:4]), torch.tensor(X[4:8])
    with global_seed(0, subject), subject.trying("abstract(adversarial, start)"):
        pattern = part.abstract(adversarial, start)
    kind = isinstance(pattern, Tensor)
    subject.require(kind, "give a tensor from abstract()", type(pattern).__name__)
    subject.require(
        pattern.shape == start.shape,
        f"keep the shape {tuple(start.shape)} in abstract()",
        tuple(pattern.shape),
    )
    same = np.array_equal(adversarial, X[:4]) and np.array_equal(start, X[4:8])
    subject.require(same, "not change its inputs in abstract()", "one changed in place")


def _check_extraction(
    subject: Subject, part: Strategy, shape: tuple[int, ...], max_iter: int
) -> bool:
    """Check whole extractions on one network; False if the strategy refuses the shape."""
    try:
        first = _extract(subject, part, shape, max_iter, batch_size=7, seed=0)
    except ParameterError:
        return False
    pattern = first["pattern"].values
    again = _extract(subject, part, shape, max_iter, batch_size=7, seed=1)
    subject.require(
        first.equals(again), "give the same bits for the same random_state", "two results"
    )
    single = _extract(subject, part, shape, max_iter, batch_size=1, seed=2)
    apart = float(np.abs(pattern - single["pattern"].values).max())
    subject.require(
        close(pattern, single["pattern"].values),
        "give the same patterns for batch_size 1 and 7",
        f"a difference of {apart:.3g}",
    )
    return True


def _extract(
    subject: Subject,
    part: Strategy,
    shape: tuple[int, ...],
    max_iter: int,
    *,
    batch_size: int,
    seed: int,
) -> xr.Dataset:
    """Extract under a global seed of its own, which must make no difference."""
    X, y = samples(shape)
    with (
        warnings.catch_warnings(),
        global_seed(seed),
        subject.trying(f"an extraction from inputs of shape {shape}", ParameterError),
    ):
        warnings.simplefilter("ignore", PatternWarning)  # few iterations need not succeed
        return extract_patterns(
            small_net(shape),
            input_shape=shape,
            strategy=part,
            max_iter=max_iter,
            batch_size=batch_size,
            random_state=0,
            X=X,
            y=y,
        )
