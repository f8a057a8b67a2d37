"""Szegedy's attack: the least change by a quasi-Newton search within bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.synthesis import check_clip, check_count, check_number, judged
from pncviz_attacks.trials import Trials

__all__ = ["LBFGS"]


class LBFGS(Attack):
    r"""The least change that gives the target, by box-constrained L-BFGS.

    For a weight :math:`c` of the change :math:`r`, scipy's L-BFGS-B minimises

    .. math::

        c \, \|r\|_2^2 + L(x_0 + r), \qquad \text{low} \le x_0 + r \le \text{high},

    with the cross-entropy of the target unit, :math:`L = -\log p_t`. Untargeted, a case that the
    paper does not have, it is the cross-entropy of any other unit, :math:`L = -\log (1 - p_t)`:
    unlike :math:`\log p_t` it has a slope where the model is sure, and an end where it is not. The
    greatest :math:`c` whose minimiser the model calls as asked is searched for:
    by factors of 10 until there is a success and a failure, then by halving the interval on a
    logarithmic scale. Each search begins at the start; of the successes, the least change counts.

    Each row has an optimiser of its own; gradients are taken of all rows at once.

    Parameters
    ----------
    c : float, default=0.1
        The first weight, nats per squared unit of the input.
    n_searches : int, default=10
        Values of c tried.
    n_steps : int, default=100
        Iterations of each search; fewer where ``max_iter`` is less.
    tolerance : float, default=1e-5
        A search ends where an iteration lowers the objective by less than this share, or no
        component of its gradient is larger. Much less is below the rounding of float32.
    clip : (low, high), optional
        Bounds of the input: the box. Without, there is none.

    Notes
    -----
    ``stop_reason`` is "changed" where the model gives what is asked; else the example of the
    greatest confidence is given, with "vanished_gradient" where no search could leave the start,
    "diverged" where something was not finite or past 1e6, or "not_found". ``n_iter`` counts the
    iterations of the search that led to the example. Of the stop rule, loss and confidence are not
    asked.

    The paper has :math:`c |r|`; the square, as its successors take it, is smooth at 0.

    References
    ----------
    szegedy2013intriguing, section 4.1.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> net = torch.nn.Linear(2, 2)
    >>> net.weight.data, net.bias.data = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.zeros(2)
    >>> model = TorchModel(net, input_shape=(2,))
    >>> start, target = torch.tensor([[3.0, 4.0]]), Target(codes=torch.tensor([0]))
    >>> with model.session():
    ...     result = LBFGS().run(model, start, target, Stop(), [])
    >>> result.adversarial.norm() < 0.05, result.stop_reason  # the boundary goes through 0
    (tensor(True), array(['changed'], dtype='<U17'))
    """

    needs = frozenset({"gradients"})

    def __init__(
        self,
        c: float = 0.1,
        n_searches: int = 10,
        n_steps: int = 100,
        tolerance: float = 1e-5,
        clip: tuple[float, float] | None = None,
    ) -> None:
        self.c = c
        self.n_searches = n_searches
        self.n_steps = n_steps
        self.tolerance = tolerance
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_number("c", self.c, low=0, open_low=True)
        check_count("n_searches", self.n_searches)
        check_count("n_steps", self.n_steps)
        check_number("tolerance", self.tolerance, low=0, open_low=True)
        check_clip(self.clip)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],  # noqa: ARG002 # nothing random here
    ) -> AttackResult:
        """Search from n starts; with ``clip``, the start is clipped first."""
        if self.clip is not None:
            start = start.clamp(*self.clip)
        trials = Trials(model, start, target, c=float(self.c), clip=self.clip)
        options = {
            "maxiter": min(int(self.n_steps), stop.max_iter),
            "ftol": float(self.tolerance),
            "gtol": float(self.tolerance),
        }
        for _ in range(int(self.n_searches)):
            trials.go_on(options)
        return judged(
            model, trials.best, target, n_iter=trials.n_iter, stop_reason=trials.reasons()
        )
