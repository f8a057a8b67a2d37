"""What is kept of noise fields and the answers to them: sums, and never the fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.exceptions import ModelError
from pncviz.specs import Model
from pncviz_blackbox.noise import Doubles, Floats, Noise

__all__ = ["WEIGHTS", "Sums", "looked_at", "tallied"]

#: Values of noise held at once, and the most fields: fixed, so that results do not depend on what
#: the model takes at once.
_VALUES, _MOST_FIELDS = 2**22, 8192

#: Units whose sums are made by one product.
_GROUP = 16

#: The smallest probability that has a logarithm of its own.
_FLOOR = 1e-12

#: What a field may be weighted by.
WEIGHTS = ("labels", "probabilities", "log_probabilities")


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums over noise fields f and a model's answers w to them, by block and target.

    Attributes
    ----------
    count : int64 ndarray of shape (n_blocks,)
        Fields.
    called : int64 ndarray of shape (k,)
        Fields that the model called the target.
    square : float64 ndarray of shape (k,)
        Sum of w².
    block_weight : float64 ndarray of shape (n_blocks, k)
        Sums of w.
    field : float64 ndarray of shape (n_blocks, n_values)
        Sums of f.
    weighted : float64 ndarray of shape (n_blocks, k, n_values)
        Sums of w f.
    """

    count: NDArray[np.int64]
    called: NDArray[np.int64]
    square: Doubles
    block_weight: Doubles
    field: Doubles
    weighted: Doubles

    @property
    def n(self) -> int:
        """All fields."""
        return int(self.count.sum())

    @property
    def mean(self) -> Doubles:
        """Mean weight of each target (k,)."""
        return np.asarray(self.block_weight.sum(axis=0) / self.n)

    @property
    def variance(self) -> Doubles:
        """Variance of each target's weights (k,); 0 where they are all the same."""
        variance = self.square / self.n - self.mean**2
        alike = variance <= 1e-12 * (self.square / self.n)  # rounding of equal weights
        return np.where(alike, 0, variance)

    def covariances(self) -> Doubles:
        """Give sums over each block of (w - mean w) f: (n_blocks, k, n_values)."""
        return self.weighted - self.mean[:, None] * self.field[:, None]


def tallied(
    model: Model,
    noise: Noise,
    targets: NDArray[np.int64],
    n: int,
    *,
    shape: tuple[int, ...],
    stream: Callable[[int], np.random.Generator],
    weights: Sequence[str] = ("labels",),
    rms: float = 1.0,
    offset: float | Floats = 0.0,
    antithetic: bool = False,
    n_blocks: int = 1,
) -> list[Sums]:
    """Put n noise fields to the model, a block at a time, and add up what it says.

    Parameters
    ----------
    model : Model
    noise : Noise
    targets : int64 ndarray of shape (k,)
        Output units.
    n : int
        Even, with ``antithetic``.
    shape : tuple of int
        The image shape, which may differ from the model's.
    stream : callable
        ``stream(i)`` gives the generator of the block i of fields.
    weights : sequence of :data:`WEIGHTS`
        Each gives sums of its own, of the same answers.
    rms : float
        Root mean square of the fields as the model sees them.
    offset : float or float32 array of shape (n_values,)
        What fields are added to.
    antithetic : bool
        Put each field and its negative.
    n_blocks : int
        Interleaved blocks of sums.
    """
    d, units = math.prod(shape), _with_neighbours(targets, model.n_units)
    per_block = max(1, min(_MOST_FIELDS, _VALUES // d))
    found = [_Adding(n_blocks, len(units), d) for _ in weights]
    signs = (rms, -rms) if antithetic else (rms,)
    drawn = n // len(signs)
    labels_do = set(weights) == {"labels"}
    for block, first in enumerate(range(0, drawn, per_block)):
        fields = noise.draw(stream(block), min(per_block, drawn - first), shape)
        parts = [_answers(model, fields, units, s, offset, labels_do=labels_do) for s in signs]
        for adding, kind in zip(found, weights, strict=True):
            adding.add(fields, [_weights(hit, own, kind) for hit, own in parts], first)
            adding.called += sum(hit.sum(axis=0) for hit, _ in parts)
    return [adding.sums(np.searchsorted(units, targets)) for adding in found]


def _with_neighbours(targets: NDArray[np.int64], n_units: int) -> NDArray[np.int64]:
    """Give all units of the groups that the targets are in.

    A product's last bits depend on its shape, which must not depend on who else is asked for.
    """
    groups = np.unique(targets // _GROUP)
    units = (groups[:, None] * _GROUP + np.arange(_GROUP)).ravel()
    return np.asarray(units[units < n_units])


class _Adding:
    """Sums that grow; products in float32, sums of blocks in float64."""

    def __init__(self, n_blocks: int, k: int, d: int) -> None:
        self.count, self.called = np.zeros(n_blocks, dtype=np.int64), np.zeros(k, dtype=np.int64)
        self.square, self.block_weight = np.zeros(k), np.zeros((n_blocks, k))
        self.field, self.weighted = np.zeros((n_blocks, d)), np.zeros((n_blocks, k, d))

    def add(self, fields: Floats, answers: list[Floats], first: int) -> None:
        """Add fields, the first of which is number ``first``, and the answers to them.

        A second array of answers is of the fields' negatives.
        """
        for w in answers:
            self.square += np.einsum("ij,ij->j", w, w, dtype=np.float64)
        difference = answers[0] if len(answers) == 1 else answers[0] - answers[1]
        ones = np.ones(len(fields), dtype=np.float32)
        n_blocks = len(self.count)
        for b in range(n_blocks):
            mine = slice((b - first) % n_blocks, None, n_blocks)
            self.count[b] += len(fields[mine]) * len(answers)
            self.block_weight[b] += sum(w[mine].sum(axis=0, dtype=np.float64) for w in answers)
            for unit in range(0, difference.shape[1], _GROUP):
                group = slice(unit, unit + _GROUP)
                self.weighted[b, group] += difference[mine, group].T @ fields[mine]
            if len(answers) == 1:  # a field and its negative add up to nothing
                self.field[b] += ones[mine] @ fields[mine]

    def sums(self, chosen: NDArray[np.int64]) -> Sums:
        """Give the sums of some units."""
        return Sums(
            count=self.count,
            called=self.called[chosen],
            square=self.square[chosen],
            block_weight=self.block_weight[:, chosen],
            field=self.field,
            weighted=self.weighted[:, chosen],
        )


def _answers(
    model: Model,
    fields: Floats,
    targets: NDArray[np.int64],
    rms: float,
    offset: float | Floats,
    *,
    labels_do: bool,
) -> tuple[NDArray[np.bool_], Doubles]:
    """Give whether each field is called each target (n, k), and the targets' probabilities.

    The model is asked for no more rows at once than it takes.

    Raises
    ------
    ModelError
        Probabilities that are not finite.
    """
    parts = []
    for first in range(0, len(fields), model.batch_size):
        x = fields[first : first + model.batch_size] * np.float32(rms)
        x += offset
        parts.append(_asked(model, model.tensor(x), labels_do=labels_do))
    unit, share = (torch.cat(found).cpu().numpy() for found in zip(*parts, strict=True))
    if not np.isfinite(share).all():
        raise ModelError(
            f"The model's probabilities for noise of root mean square {abs(rms):.3g} are NaN or "
            "infinite; try smaller noise."
        )
    hit = unit[:, None] == targets
    return hit, hit.astype(np.float64) if labels_do else share[:, targets].astype(np.float64)


def _weights(hit: NDArray[np.bool_], share: Doubles, kind: str) -> Floats:
    if kind == "labels":
        return hit.astype(np.float32)
    if kind == "log_probabilities":
        return np.log(np.maximum(share, _FLOOR)).astype(np.float32)
    # Products with numbers that float32 holds only in part are very slow.
    return np.where(share < np.finfo(np.float32).tiny, 0, share).astype(np.float32)


def _asked(model: Model, x: Tensor, *, labels_do: bool) -> tuple[Tensor, Tensor]:
    """Ask for units (n,) and, unless labels do, for probabilities (n, n_units)."""
    with torch.no_grad():
        if labels_do:
            unit = model.labels(x)
            return unit, torch.empty((len(x), 0), device=unit.device)
        share = model.probabilities(x)
        return share.argmax(dim=1), share


def looked_at(
    model: Model, x: NDArray[Any], targets: NDArray[np.int64], *, labels_do: bool
) -> tuple[NDArray[np.int64], Doubles]:
    """Give the unit of each input (k,), and the target's probability: 1 or 0, if labels do."""
    step = model.batch_size
    pieces = (model.tensor(x[row : row + step]) for row in range(0, len(x), step))
    parts = [_asked(model, piece, labels_do=labels_do) for piece in pieces]
    unit, share = (torch.cat(found).cpu().numpy() for found in zip(*parts, strict=True))
    if labels_do:
        return unit, (unit == targets).astype(np.float64)
    return unit, share[np.arange(len(targets)), targets].astype(np.float64)
