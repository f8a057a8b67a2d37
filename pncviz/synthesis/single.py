"""For attacks that are no descent: a gradient, what a model answers, and a whole result."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.exceptions import ParameterError
from pncviz.specs import AttackResult, Model, Target
from pncviz.synthesis.descent import chain_of, slope_of
from pncviz.synthesis.losses import grade, loss_named

__all__ = ["UNTIL", "awaited", "hits", "judged", "loss_gradient"]

#: What a search may wait for; see :func:`awaited`.
UNTIL = ("target", "changed")


def loss_gradient(
    model: Model, x: Tensor, target: Target, *, loss: str = "cross_entropy"
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Give each row's loss and confidence, and the gradient of the rows' summed loss.

    Parameters
    ----------
    model : Model
    x : tensor of shape (n, \*input_shape)
    target : Target
        Untargeted, the loss is negative, so that it is always to be descended, and the confidence
        that of not being the unit.
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"

    Returns
    -------
    loss, confidence : tensors of shape (n,)
    gradient : tensor of shape (n, \*input_shape)
        Written out where the model is a chain of simple layers, else by autograd.

    Raises
    ------
    ParameterError
        An unknown loss.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> with model.session():
    ...     loss, _, gradient = loss_gradient(
    ...         model, torch.zeros(3, 4), Target(codes=torch.arange(3)))
    >>> gradient.shape
    torch.Size([3, 4])
    """
    x = x.detach()
    slope = slope_of(model, x, target, loss)
    with slope.session():
        # Its buffer may be written to by the next call.
        value, confidence, gradient = slope.full(x)
        return value.detach(), confidence.detach(), gradient.detach().clone()


def hits(model: Model, x: Tensor, target: Target) -> Tensor:
    """Say of each row whether the model calls it what the target asks for: bool (n,)."""
    with torch.no_grad():
        same = model.labels(x) == target.codes
    return same if target.targeted else ~same


def awaited(model: Model, start: Tensor, target: Target, until: str) -> Target:
    r"""Say what a search is to wait for: the target itself, or any other label than the start's.

    The latter is how rozsa2016adversarial and rozsa2017lots count, whose targets give a direction
    only.

    Parameters
    ----------
    model : Model
    start : tensor of shape (n, \*input_shape)
    target : Target
    until : {"target", "changed"}

    Raises
    ------
    ParameterError
        Another ``until``.
    """
    if until not in UNTIL:
        raise ParameterError(f"`until` must be one of {', '.join(UNTIL)}, got {until!r:.80}.")
    if until == "target":
        return target
    with torch.no_grad():
        return Target(codes=model.labels(start), targeted=False)


def judged(
    model: Model,
    adversarial: Tensor,
    target: Target,
    *,
    n_iter: Any,
    stop_reason: Any,
    loss: str = "cross_entropy",
    n_queries: Any = None,
) -> AttackResult:
    r"""Make an attack's result of its examples: one more pass gives loss and confidence.

    Parameters
    ----------
    model : Model
    adversarial : tensor of shape (n, \*input_shape)
    target : Target
    n_iter : int, or array or tensor of shape (n,)
        Gradient steps taken.
    stop_reason : str, or array of str of shape (n,)
        One of :data:`~pncviz.specs.STOP_REASONS` or the attack's own word.
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
    n_queries : int, or array or tensor of shape (n,), optional
        What the model was asked for each row before; this pass adds one.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> with model.session():
    ...     result = judged(model, torch.zeros(3, 4), Target(codes=torch.arange(3)),
    ...                     n_iter=1, stop_reason="max_iter")
    >>> result.n_iter, result.loss.shape
    (array([1, 1, 1]), (3,))
    """
    adversarial, n = adversarial.detach(), len(adversarial)
    with torch.no_grad():
        value, share = grade(_logits(model, adversarial), target, loss_named(loss))
    return AttackResult(
        adversarial=adversarial,
        n_iter=_counts(n_iter, n),
        stop_reason=np.array(np.broadcast_to(np.asarray(stop_reason, dtype=str), (n,))),
        loss=value.double().cpu().numpy(),
        confidence=share.double().cpu().numpy(),
        n_queries=None if n_queries is None else _counts(n_queries, n) + 1,
    )


def _counts(counts: Any, n: int) -> NDArray[np.int64]:
    values = counts.cpu().numpy() if isinstance(counts, Tensor) else np.asarray(counts)
    return np.array(np.broadcast_to(values, (n,)), dtype=np.int64)


def _logits(model: Model, x: Tensor) -> Tensor:
    """Give the logits by the chain of layers that the model is, if it is one: in less time."""
    chain = chain_of(model)
    # Rows kept apart to the bit are the model's own business.
    if chain is None or hasattr(model, "tiled"):
        return model.logits(x)
    return chain.forward(x)
