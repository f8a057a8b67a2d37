"""Directions along which differences are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

__all__ = ["DIRECTIONS", "Source", "make_source"]

#: As natural evolution strategies draw them, and as SPSA does.
DIRECTIONS = ("gaussian", "signs")

#: ``source(m, d)`` draws m directions of d values, float32.
Source: TypeAlias = Callable[[int, int], Tensor]


def make_source(kind: str, rng: np.random.Generator) -> Source:
    """Give what draws directions, from this generator alone.

    Examples
    --------
    >>> make_source("signs", np.random.default_rng(0))(2, 3)
    tensor([[-1.,  1., -1.],
            [ 1.,  1.,  1.]])
    """
    if kind == "signs":
        return lambda m, d: _signs(rng, m, d)
    # Drawing takes longer than many a classifier's answer; torch does it in half the time.
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return lambda m, d: torch.empty(m, d).normal_(generator=generator)


def _signs(rng: np.random.Generator, m: int, d: int) -> Tensor:
    raw = np.frombuffer(rng.bytes(-(-m * d // 8)), dtype=np.uint8)
    bits = np.unpackbits(raw, count=m * d).reshape(m, d)
    return torch.from_numpy(bits).float().mul_(2).sub_(1)
