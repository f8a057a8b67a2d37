"""What a fitted estimator has learnt, read and checked, and put into layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from torch import nn

from pncviz.exceptions import ModelError

__all__ = ["Kind", "always", "frozen", "linear", "numbers", "two_units"]


class Kind(NamedTuple):
    """How estimators of one type become modules.

    Attributes
    ----------
    accepts : callable
        From an estimator of that type, fitted or not, to whether its settings are known exactly.
    build : callable
        From a fitted one to a module in double precision.
    """

    accepts: Callable[[Any], bool]
    build: Callable[[Any], nn.Module]


def always(estimator: Any) -> bool:  # noqa: ARG001 # as other kinds have it
    """Accept every setting."""
    return True


def numbers(estimator: Any, name: str, place: int | None = None) -> NDArray[np.floating[Any]]:
    """Read an attribute as a dense array, in the precision that it was learnt in.

    What scikit-learn computes from parameters in single precision it computes in single
    precision, also for samples in double; so that is done with these arrays, in the same order.

    Parameters
    ----------
    estimator : fitted estimator
    name : str
    place : int, optional
        Which part, where the attribute is a list.

    Raises
    ------
    ModelError
        It contains NaN or infinity; names it.

    Examples
    --------
    >>> from sklearn.preprocessing import MaxAbsScaler
    >>> numbers(MaxAbsScaler().fit([[1.0, 4.0], [-2.0, 0.0]]), "scale_")
    array([2., 4.])
    """
    value = getattr(estimator, name)
    if place is not None:
        value, name = value[place], f"{name}[{place}]"
    array = np.array(value.toarray() if issparse(value) else value)
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ModelError(
            f"`{name}` of this {type(estimator).__name__} contains NaN or infinity; the model was "
            "not trained well, so it has no patterns. Scale its training data, and fit it again."
        )
    return array


def frozen(values: Any) -> nn.Parameter:
    """Copy numbers into a parameter that is not to be learnt."""
    return nn.Parameter(torch.tensor(np.asarray(values), dtype=torch.float64), requires_grad=False)


def linear(weight: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]]) -> nn.Linear:
    """Make a linear layer.

    Parameters
    ----------
    weight : ndarray of shape (n_units, n_features)
    bias : ndarray that broadcasts to (n_units,)

    Examples
    --------
    >>> linear(np.eye(2), np.zeros(1))(torch.ones(1, 2, dtype=torch.float64))
    tensor([[1., 1.]], dtype=torch.float64)
    """
    # On no device at first, since all its values are replaced.
    layer = nn.Linear(weight.shape[1], len(weight), device="meta")
    layer.weight, layer.bias = frozen(weight), frozen(np.broadcast_to(bias, len(weight)))
    return layer


def two_units(weight: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]]) -> nn.Linear:
    """Make a linear layer with the logits (0, z) of two classes from one row of weights.

    A row of zeros instead of a column that is added keeps it one layer, of which pncviz knows the
    derivative without autograd.
    """
    row = weight.reshape(1, -1)
    return linear(np.vstack([np.zeros_like(row), row]), np.array([0.0, np.ravel(bias)[0]]))
