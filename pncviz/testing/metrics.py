"""What a metric must keep to."""

from __future__ import annotations

import math
import numbers

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import ParameterError
from pncviz.specs import MetricSpec
from pncviz.testing.subject import Subject, find

__all__ = ["check_metric"]

#: Image shapes that a metric is tried on; the last is a table.
SHAPES = ((1, 8, 8), (3, 8, 8), (1, 12, 12), (12,))

#: Patterns are sums of gradients, so they come in any size.
SCALES = (1.0, 1e-6, 1e6)

#: Rounding in float64.
TOLERANCE = 1e-6


def check_metric(metric: str | MetricSpec) -> None:
    """Hold a metric to its contract.

    An image's similarity to itself must be the best of the metric's range; any two images must give
    the same both ways, within the range and never NaN, whatever the scale of either; ``pairwise``
    and ``paired`` must give the numbers of ``function``; and no input may change. A metric for
    images or tables only says so by a ``ParameterError``.

    Parameters
    ----------
    metric : name or MetricSpec

    Raises
    ------
    AssertionError
        A rule is broken; names the metric, its distribution, the rule and what came.

    Examples
    --------
    >>> from pncviz.testing import check_metric
    >>> check_metric("pearson")
    """
    subject, spec = find("metric", metric)
    subject.require(isinstance(spec, MetricSpec), "be a MetricSpec or a name", spec)
    low, high = spec.range
    subject.require(low < high, "have a `range` (low, high) with low < high", spec.range)
    named = isinstance(spec.units, str) and spec.units
    subject.require(named, 'have `units`, "1" if dimensionless', spec.units)
    taken = [shape for shape in SHAPES if _check_shape(subject, spec, shape)]
    subject.require(taken, f"take one of the shapes {SHAPES}", "ParameterError for each")


def _check_shape(subject: Subject, spec: MetricSpec, shape: tuple[int, ...]) -> bool:
    """Check images of one shape; False if the metric refuses it."""
    images = np.random.default_rng(0).normal(size=(4, *shape))
    try:
        _value(subject, spec, images[0], images[1])
    except ParameterError:
        return False
    best = spec.range[1] if spec.higher_is_better else spec.range[0]
    for scale in SCALES:
        for a in images * scale:
            own = _value(subject, spec, a, a)
            subject.require(
                _equal(own, best), f"give {best}, the best of its range, for metric(a, a)", own
            )
            for b in (*images, -images[0]):
                there, back = _value(subject, spec, a, b), _value(subject, spec, b, a)
                same = _equal(there, back)
                subject.require(same, "be symmetric: metric(a, b) == metric(b, a)", (there, back))
    if spec.pairwise is not None:
        _check_stacks(subject, spec, "pairwise", images, images[:3][::-1])
    if spec.paired is not None:
        _check_stacks(subject, spec, "paired", images, images[::-1] + images)
    return True


def _value(
    subject: Subject, spec: MetricSpec, a: NDArray[np.float64], b: NDArray[np.float64]
) -> float:
    """Ask for one similarity and check it as a number."""
    first, second = a.copy(), b.copy()
    with subject.trying(f"function(a, b) on images of shape {a.shape}", ParameterError):
        value = spec.function(first, second)
    same = np.array_equal(first, a) and np.array_equal(second, b)
    subject.require(same, "not change its inputs", "one changed in place")
    subject.require(isinstance(value, numbers.Real), "give one number", type(value).__name__)
    subject.require(not math.isnan(value), "never give NaN", value)
    low, high = spec.range
    within = low - TOLERANCE <= value <= high + TOLERANCE
    subject.require(within, f"stay within its range {spec.range}", value)
    return float(value)


def _check_stacks(
    subject: Subject, spec: MetricSpec, name: str, a: NDArray[np.float64], b: NDArray[np.float64]
) -> None:
    """Check what a metric says of whole stacks against what it says of two images."""
    stacked = getattr(spec, name)
    rows = a.reshape(len(a), -1).copy(), b.reshape(len(b), -1).copy()
    kept = rows[0].copy(), rows[1].copy()
    with subject.trying(f"{name}(A, B) on images of shape {a.shape[1:]}"):
        found = np.asarray(stacked(*rows))
    same = all(np.array_equal(x, y) for x, y in zip(rows, kept, strict=True))
    subject.require(same, f"not change its inputs in {name}", "one changed in place")
    shape = (len(a), len(b)) if name == "pairwise" else (len(a),)
    subject.require(found.shape == shape, f"give {name} of shape {shape}", found.shape)
    for place in np.ndindex(shape):
        value = _value(subject, spec, a[place[0]], b[place[-1]])
        subject.require(
            _equal(value, float(found[place])),
            f"give by {name} what it gives by function ({value})",
            found[place],
        )


def _equal(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)  # inf equals inf
