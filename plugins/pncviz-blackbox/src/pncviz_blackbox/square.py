"""The Square attack: random search by squares on the surface of a box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ParameterError
from pncviz.synthesis import check_clip, check_number
from pncviz_blackbox.asking import Answers, Purse, ask, flat_start, shaped
from pncviz_blackbox.windows import window_share, window_size

__all__ = ["Square"]

#: What is searched to be less: the margin, or the cross-entropy.
LOSSES = ("auto", "margin", "cross_entropy")

#: Signs are drawn anew until something changes, but not for ever.
_MOST_DRAWS = 100

_Floats: TypeAlias = NDArray[np.float64]
_Rows: TypeAlias = NDArray[np.int64]


class Square(Attack):
    r"""Random search: squares of one sign per channel, kept where the loss falls.

    Every value is changed by ``epsilon``, up or down. It begins with vertical stripes of random
    sign; each proposal then gives a square window at a random place, in each channel, one random
    sign. The squares become smaller as the search goes on.

    Parameters
    ----------
    epsilon : float, default=0.3
        Change of every value, units of the input.
    p : float, default=0.8
        Share of the pixels in the first squares; halved after .1, .5, 2, 5, 10, 20, 40, 60 and 80 %
        of the proposals that ``max_iter`` and ``max_queries`` allow.
    loss : {"auto", "margin", "cross_entropy"}, default="auto"
        What is to fall: the lead of the likeliest other unit, in differences of log-probabilities,
        or the cross-entropy of the target. "auto" is the margin to get away from a unit and the
        cross-entropy to reach one, as in the authors' code.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        What flat inputs are. Flat inputs are otherwise a table, whose "squares" are consecutive
        features and whose "stripes" are single ones.
    clip : (low, high), optional
        Bounds of the input.

    Notes
    -----
    A row asks once at its start and once for each proposal. It ends as soon as its example is as
    asked ("changed"); or, where the stop rule names a loss (of the cross-entropy) or a confidence,
    as soon as that is met ("max_loss", "min_confidence"). If neither comes, ``stop_reason`` is
    "changed" or "not_found". The paper's search in L2 is not here. A window is drawn from all
    places that it fits in, as the paper says; the authors' code leaves out the last row and column.

    References
    ----------
    andriushchenko2020square.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> target = Target(codes=torch.tensor([0, 1]))
    >>> rngs = [np.random.default_rng(row) for row in range(2)]
    >>> with model.session():
    ...     result = Square(epsilon=2).run(model, torch.zeros(2, 4), target, Stop(), rngs)
    >>> result.stop_reason.tolist(), result.adversarial.abs().max().item()
    (['changed', 'changed'], 2.0)
    """

    needs = frozenset({"probabilities"})

    def __init__(
        self,
        epsilon: float = 0.3,
        p: float = 0.8,
        loss: str = "auto",
        image_shape: tuple[int, ...] | None = None,
        clip: tuple[float, float] | None = None,
    ) -> None:
        self.epsilon = epsilon
        self.p = p
        self.loss = loss
        self.image_shape = image_shape
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_number("epsilon", self.epsilon, low=0, open_low=True)
        check_number("p", self.p, low=0, high=1, open_low=True)
        if self.loss not in LOSSES:
            raise ParameterError(
                f"`loss` must be one of {', '.join(LOSSES)}, got {self.loss!r:.80}."
            )
        shape = self.image_shape
        if shape is not None and (
            not isinstance(shape, Sequence)
            or len(shape) not in (2, 3)
            or not all(isinstance(n, int | np.integer) and n > 0 for n in shape)
        ):
            raise ParameterError(
                "`image_shape` must be None, (rows, columns) or (channels, rows, columns), got "
                f"{shape!r:.80}."
            )
        check_clip(self.clip)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],
    ) -> AttackResult:
        """Search from n starts; with ``clip``, the start is clipped first."""
        shape = _image(tuple(start.shape[1:]), self.image_shape)
        search = _Search(self, model, start, target, stop, shape)
        return search.result(rngs)


def _image(input_shape: tuple[int, ...], told: tuple[int, ...] | None) -> tuple[int, int, int]:
    """Give the shape (channels, rows, columns) in which squares are drawn."""
    shape = input_shape if told is None else tuple(told)
    if math.prod(shape) != math.prod(input_shape):
        raise ParameterError(
            f"`image_shape` must have {math.prod(input_shape)} values, as the model's inputs of "
            f"shape {input_shape} have, got {shape}."
        )
    if len(shape) > 3:
        raise ParameterError(f"Square takes images or tables, got inputs of shape {input_shape}.")
    channels, rows, columns = (1, 1, 1, *shape)[-3:]
    return channels, rows, columns


class _Search:
    """Rows on their way."""

    def __init__(
        self,
        attack: Square,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        shape: tuple[int, int, int],
    ) -> None:
        n = len(start)
        self.attack, self.model, self.stop, self.origin = attack, model, stop, start
        self.codes, self.targeted = target.codes.cpu(), target.targeted
        self.start: _Floats = flat_start(start, attack.clip).numpy().reshape(n, *shape)
        self.best = self.start.copy()
        self.purse = Purse(n, stop)
        self.loss, self.confidence, self.margin, self.goal = np.full((4, n), np.inf)
        self.n_iter = np.zeros(n, dtype=np.int64)
        self.reason = np.full(n, "", dtype=object)
        self.ruled = stop.max_loss is not None or stop.min_confidence is not None

    def result(self, rngs: Sequence[np.random.Generator]) -> AttackResult:
        """Propose until every row has ended."""
        alive = np.arange(len(self.start))
        self._keep(alive, self._asked(alive, self.best))
        alive = self._going_on(alive)
        most = self.stop.max_iter
        if self.stop.max_queries is not None:
            most = min(most, max(self.stop.max_queries - 1, 0))
        for k in range(most):
            if not len(alive):
                break
            draw = self._stripes if k == 0 else self._square
            share = window_share(self.attack.p, max(k - 1, 0), most)
            proposed = np.stack([draw(row, rngs[row], share) for row in alive.tolist()])
            found = self._asked(alive, proposed)
            goal = self._goal(found)
            # The stripes are where the search begins, whatever they do.
            better = (goal < self.goal[alive]) | (k == 0)
            self.best[alive[better]] = proposed[better]
            self._keep(alive[better], Answers(*(part[torch.from_numpy(better)] for part in found)))
            self.n_iter[alive] += 1
            alive = self._going_on(alive)
        self.reason[alive] = np.where(self.margin[alive] < 0, "changed", "not_found")
        return AttackResult(
            adversarial=shaped(torch.from_numpy(self.best), self.origin),
            n_iter=self.n_iter,
            stop_reason=self.reason.astype(str),
            loss=self.loss,
            confidence=self.confidence,
            n_queries=self.purse.spent,
        )

    def _asked(self, rows: _Rows, images: _Floats) -> Answers:
        self.purse.pay(rows)
        points = torch.from_numpy(images.reshape(len(rows), -1))
        aim = Target(codes=self.codes[torch.from_numpy(rows)], targeted=self.targeted)
        return ask(self.model, points, aim)

    def _goal(self, found: Answers) -> _Floats:
        loss = self.attack.loss
        margin = loss == "margin" or (loss == "auto" and not self.targeted)
        goal: _Floats = (found.margin if margin else found.loss).numpy()
        return goal

    def _keep(self, rows: _Rows, found: Answers) -> None:
        self.goal[rows] = self._goal(found)
        for name in Answers._fields:
            getattr(self, name)[rows] = getattr(found, name).numpy()

    def _going_on(self, rows: _Rows) -> _Rows:
        """Let rows leave that are as asked."""
        stop, done = self.stop, np.zeros(len(rows), dtype=bool)
        rules = [(self.margin[rows] < 0) & (not self.ruled)]
        rules.append(self.loss[rows] <= (-np.inf if stop.max_loss is None else stop.max_loss))
        least = np.inf if stop.min_confidence is None else stop.min_confidence
        rules.append(self.confidence[rows] >= least)
        for met, reason in zip(rules, ("changed", "max_loss", "min_confidence"), strict=True):
            self.reason[rows[met & ~done]] = reason
            done |= met
        return rows[~done]

    def _moved(self, values: _Floats, signs: _Floats) -> _Floats:
        moved: _Floats = values + self.attack.epsilon * signs
        return moved if self.attack.clip is None else moved.clip(*self.attack.clip)

    def _stripes(self, row: int, rng: np.random.Generator, _: float) -> _Floats:
        channels, _rows, columns = self.start[row].shape
        return self._moved(self.start[row], rng.choice((-1.0, 1.0), (channels, 1, columns)))

    def _square(self, row: int, rng: np.random.Generator, share: float) -> _Floats:
        start, best = self.start[row], self.best[row]
        channels, rows, columns = start.shape
        high, wide = window_size(share, rows, columns)
        top, left = rng.integers(0, rows - high + 1), rng.integers(0, columns - wide + 1)
        window = (slice(None), slice(top, top + high), slice(left, left + wide))
        proposed: _Floats = best.copy()
        for _ in range(_MOST_DRAWS):
            signs = rng.choice((-1.0, 1.0), (channels, 1, 1))
            proposed[window] = self._moved(start[window], signs)
            if (np.abs(proposed[window] - best[window]) >= 1e-7).any():
                break
        return proposed
