"""One value of c after another: what is tried in the search for the least change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz import Model, Target
from pncviz.exceptions import ModelError
from pncviz.models import TorchModel
from pncviz.models.tiled import TiledModel
from pncviz.synthesis import DIVERGED_AT, hits, judged, loss_gradient
from pncviz_attacks.together import Minimum, Vector, minimize_together

__all__ = ["Trials"]

#: How far c goes up or down while there is no bracket of it.
_FACTOR = 10.0

#: From inputs and units of n rows to losses (n,) and gradients (n, *input_shape).
_Loss: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Trials:
    r"""For each row the weight c to try next, and the best example so far.

    Parameters
    ----------
    model : Model
    start : tensor of shape (n, \*input_shape)
        Within ``clip``.
    target : Target
    c : float
        The first weight.
    clip : (low, high), optional
        Bounds of the input.

    Attributes
    ----------
    best : tensor of shape (n, \*input_shape)
        Of the examples that are as asked the one of the least change; else the surest.
    n_iter : int64 ndarray of shape (n,)
        Iterations that led to it.
    """

    def __init__(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        *,
        c: float,
        clip: tuple[float, float] | None = None,
    ) -> None:
        n = len(start)
        self.model, self.start, self.target, self.clip = model, start, target, clip
        self._apart = _rows_apart(model, self._loss, start, target.codes)
        # In float64, as scipy works: the objective's own part is exact whatever the model is.
        self.flat: Vector = start.flatten(1).double().cpu().numpy()
        self.c = np.full(n, c)
        self.lower, self.upper = np.zeros(n), np.full(n, np.inf)
        self.best = start.clone()
        self.found, self.confidence = self.ask(np.arange(n), start)
        self.length = np.where(self.found, 0.0, np.inf)
        self.open, self.diverged = ~self.found, np.zeros(n, dtype=bool)
        self.n_iter, self.moved = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)

    def go_on(self, options: dict[str, float]) -> None:
        """Minimise with the present c of each open row, and learn from where that leads.

        ``options`` are those of scipy's L-BFGS-B.
        """
        rows = np.flatnonzero(self.open)
        if not len(rows):
            return

        def objective(places: NDArray[np.int64], points: Vector) -> tuple[Vector, Vector]:
            return self.objective(rows[places], points)

        bounds = None if self.clip is None else [self.clip] * self.flat.shape[1]
        minima = minimize_together(objective, self.flat[rows], bounds=bounds, options=options)
        self.learn(rows, minima)

    def objective(self, rows: NDArray[np.int64], points: Vector) -> tuple[Vector, Vector]:
        """Give c |r|² + L of some rows at their points, and its gradient."""
        loss, gradient = self._apart(self.inputs(points), self.target.codes[rows])
        change, c = points - self.flat[rows], self.c[rows]
        slope = gradient.flatten(1).double().cpu().numpy()
        value = c * (change**2).sum(axis=1) + loss.double().cpu().numpy()
        return value, 2 * c[:, None] * change + slope

    def _loss(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Give the cross-entropy of the target, or of any other unit, and its gradient."""
        if self.target.targeted:
            loss, _, gradient = loss_gradient(self.model, x, Target(codes=codes))
            return loss, gradient
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            logits = self.model.logits(x)
            own = logits.gather(1, codes[:, None])[:, 0]
            others = logits.scatter(1, codes[:, None], -torch.inf).logsumexp(dim=1)
            loss = torch.nn.functional.softplus(own - others)
            (gradient,) = torch.autograd.grad(loss, x, torch.ones_like(loss))
        return loss.detach(), gradient

    def inputs(self, points: Vector) -> Tensor:
        """Take points back to inputs of the model, within bounds in its precision too."""
        x = torch.from_numpy(points).to(self.start).reshape(-1, *self.start.shape[1:])
        return x if self.clip is None else x.clamp(*self.clip)

    def ask(
        self, rows: NDArray[np.int64], x: Tensor
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Say of each row whether the model gives what is asked, and with what confidence."""
        target = Target(codes=self.target.codes[rows], targeted=self.target.targeted)
        confidence = judged(self.model, x, target, n_iter=0, stop_reason="").confidence
        return hits(self.model, x, target).cpu().numpy(), confidence

    def learn(self, rows: NDArray[np.int64], minima: Sequence[Minimum]) -> None:
        """Keep what is better than before, and choose the next c."""
        points = np.stack([minimum.x for minimum in minima])
        finite = np.array([minimum.finite for minimum in minima])
        finite &= np.abs(points).max(axis=1) <= DIVERGED_AT
        points = np.where(finite[:, None], points, self.flat[rows])
        x = self.inputs(points)
        there, confidence = self.ask(rows, x)
        length = np.where(there, ((points - self.flat[rows]) ** 2).sum(axis=1), np.inf)
        surer = ~there & ~self.found[rows] & (confidence > self.confidence[rows])
        better = surer | (length < self.length[rows])
        self.best[rows[better]] = x[torch.from_numpy(better).to(x.device)]
        self.confidence[rows[better]] = confidence[better]
        self.length[rows] = np.minimum(length, self.length[rows])
        self.found[rows] |= there
        n_iter = np.array([minimum.n_iter for minimum in minima])
        self.moved[rows] |= n_iter > 0
        self.n_iter[rows[better]] = n_iter[better]
        self.diverged[rows], self.open[rows] = ~finite, finite
        self._narrow(rows, there)

    def _narrow(self, rows: NDArray[np.int64], there: NDArray[np.bool_]) -> None:
        """Take c for a bound of the interval: of a success, a greater one may do."""
        c = self.c[rows]
        lower = np.where(there, c, self.lower[rows])
        upper = np.where(there, self.upper[rows], c)
        bracketed = (lower > 0) & np.isfinite(upper)
        middle = np.sqrt(lower * np.where(bracketed, upper, 1.0))
        self.c[rows] = np.where(bracketed, middle, np.where(there, c * _FACTOR, c / _FACTOR))
        self.lower[rows], self.upper[rows] = lower, upper

    def reasons(self) -> NDArray[np.str_]:
        """Say of each row how its search ended."""
        return np.select(
            [self.found, self.diverged, ~self.moved],
            ["changed", "diverged", "vanished_gradient"],
            "not_found",
        )


def _rows_apart(model: Model, loss: _Loss, start: Tensor, codes: Tensor) -> _Loss:
    """Make each row's loss the same to the bit whatever batch it is in, where that can be had.

    By its rounding a loss depends on the batch in the last bits, from which an optimiser may make
    thousandths: whether it ends one iteration sooner is a matter of less.
    """
    if not isinstance(model, TorchModel | TiledModel):
        return loss
    tiled = model if isinstance(model, TiledModel) else TiledModel(model)
    try:
        return tiled.tiled(loss, start, codes)
    except ModelError:
        return loss
