"""The small models and data that parts are tried on; the same ones every time."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

__all__ = [
    "N_CLASSES",
    "SHAPES",
    "close",
    "samples",
    "small_net",
    "small_table_classifier",
    "told_samples",
]

#: Inputs of the small models: an image and a table.
SHAPES: tuple[tuple[int, ...], ...] = ((1, 6, 6), (5,))

N_CLASSES = 3

#: How far numbers may lie apart that differ by the order of float32 sums alone.
TOLERANCE = 1e-4


def small_net(shape: tuple[int, ...]) -> nn.Module:
    """Make a seeded two-layer network with the layers flatten, hidden, activation, output.

    Examples
    --------
    >>> small_net((5,))(torch.zeros(2, 5)).shape
    torch.Size([2, 3])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            flatten=nn.Flatten(),
            hidden=nn.Linear(math.prod(shape), 8),
            activation=nn.Tanh(),
            output=nn.Linear(8, N_CLASSES),
        )
        return nn.Sequential(layers).eval()


def samples(shape: tuple[int, ...], n: int = 12) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw n seeded samples, write-protected, labelled 0, 1, 2 in turn."""
    X = np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)
    y = np.arange(n) % N_CLASSES
    X.flags.writeable = y.flags.writeable = False
    return X, y


def told_samples(
    net: nn.Module, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Draw seeded samples, labelled by what the network finds more of in them than in others."""
    X, _ = samples(shape, 60)
    with torch.no_grad():
        logits = net(torch.tensor(X))
    y = (logits - logits.mean(dim=0)).argmax(dim=1).numpy()
    y.flags.writeable = False
    return X, y


def small_table_classifier() -> LogisticRegression:
    """Fit a classifier that has probabilities and no gradients on the table."""
    return LogisticRegression().fit(*samples(SHAPES[1], 30))


def close(a: Any, b: Any, tolerance: float = TOLERANCE) -> bool:
    """Say whether two arrays or tensors have one shape and the same numbers, but for rounding."""
    a, b = (np.asarray(v.detach().cpu() if isinstance(v, Tensor) else v) for v in (a, b))
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance))
