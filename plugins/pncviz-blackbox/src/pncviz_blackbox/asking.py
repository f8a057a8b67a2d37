"""What the attacks ask a model, and how they keep count."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz import Model, Stop, Target
from pncviz.synthesis.losses import grade, loss_named

__all__ = ["Answers", "Purse", "ask", "flat_start", "shaped"]


class Answers(NamedTuple):
    """What the model says of n points; float64, on the CPU.

    Attributes
    ----------
    loss, confidence : tensors of shape (n,)
        As attacks give them: untargeted, the negative loss, and the confidence of not being the
        unit.
    margin : tensor of shape (n,)
        Difference of logarithms of probabilities; below 0 where the point is as asked.
    """

    loss: Tensor
    confidence: Tensor
    margin: Tensor


def ask(model: Model, points: Tensor, target: Target, loss: str = "cross_entropy") -> Answers:
    r"""Ask about points, one target each.

    Parameters
    ----------
    model : Model
    points : tensor of shape (n, n_values)
        On the CPU.
    target : Target
        ``codes`` of shape (n,), on the CPU.
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> model = TorchModel(torch.nn.Identity(), input_shape=(2,), output="logits")
    >>> with model.session():
    ...     ask(model, torch.tensor([[0.0, 3.0]]), Target(codes=torch.tensor([1]))).margin
    tensor([-3.], dtype=torch.float64)
    """
    with torch.no_grad():
        # Double, since differences of losses are to be taken.
        logits = model.logits(model.tensor(points.numpy())).cpu().double()
        value, share = grade(logits, target, loss_named(loss))
        own = logits.gather(1, target.codes[:, None])[:, 0]
        others = logits.scatter(1, target.codes[:, None], -torch.inf).amax(dim=1)
    margin = others - own if target.targeted else own - others
    return Answers(value, share, margin)


class Purse:
    """Questions left to each row.

    Parameters
    ----------
    n : int
        Rows.
    stop : Stop
        Of which ``max_queries`` counts.

    Examples
    --------
    >>> purse = Purse(2, Stop(max_queries=3))
    >>> purse.pay(np.array([1]), 2)
    >>> purse.affords(np.array([0, 1]), 2)
    array([ True, False])
    """

    def __init__(self, n: int, stop: Stop) -> None:
        self.spent = np.zeros(n, dtype=np.int64)
        self._most = np.iinfo(np.int64).max if stop.max_queries is None else int(stop.max_queries)

    def affords(self, rows: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
        """Say which rows may ask so many more."""
        enough: NDArray[np.bool_] = self.spent[rows] <= self._most - count
        return enough

    def pay(self, rows: NDArray[np.int64], count: int = 1) -> None:
        """Note that these rows asked."""
        self.spent[rows] += count


def flat_start(start: Tensor, clip: tuple[float, float] | None) -> Tensor:
    """Give starts as flat float64 rows on the CPU, within bounds."""
    x = start.detach().cpu().double().flatten(1)
    return x.clone() if clip is None else x.clamp(*clip)


def shaped(x: Tensor, start: Tensor) -> Tensor:
    """Give flat rows the shape, the precision and the device of the starts."""
    return x.reshape(start.shape).to(start)
