"""From a direction to a result: the smallest step along it that does what is asked."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from pncviz import AttackResult, Model, Target
from pncviz.synthesis import judged, smallest_change

__all__ = ["searched"]


def searched(
    model: Model,
    start: Tensor,
    direction: Tensor,
    target: Target,
    *,
    goal: Target | None = None,
    clip: tuple[float, float] | None = None,
    pixel_step: float | None = None,
    limit: float | None = None,
) -> AttackResult:
    r"""Search each row's direction, and say how it went.

    Parameters
    ----------
    model : Model
    start, direction : tensors of shape (n, \*input_shape)
    target : Target
        What confidence and loss are of.
    goal : Target, optional
        What is searched for; by default the target.
    clip, pixel_step, limit
        As :func:`pncviz.synthesis.smallest_change` takes them.

    Returns
    -------
    AttackResult
        ``stop_reason`` is "changed" where the model gives what is asked, "vanished_gradient" where
        there was no direction, "diverged" where it was not finite, else "not_found"; ``n_iter`` is
        1 where the row moved.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Target
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> with model.session():
    ...     result = searched(model, torch.zeros(1, 4), torch.zeros(1, 4),
    ...                       Target(codes=model.labels(torch.zeros(1, 4)), targeted=False))
    >>> result.stop_reason
    array(['vanished_gradient'], dtype='<U17')
    """
    change = smallest_change(
        model, start, direction, goal or target, clip=clip, pixel_step=pixel_step, limit=limit
    )
    size = direction.detach().flatten(1).abs().amax(1).double().cpu().numpy()
    lost = np.where(
        np.isfinite(size), np.where(size > 0, "not_found", "vanished_gradient"), "diverged"
    )
    return judged(
        model,
        change.adversarial,
        target,
        n_iter=change.magnitude > 0,
        stop_reason=np.where(change.found.cpu().numpy(), "changed", lost),
    )
