"""DeepFool: step by step to the nearest boundary of the linearised model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.synthesis import DIVERGED_AT, check_clip, check_count, check_number, hits, judged
from pncviz_attacks.steps import unit_rows

__all__ = ["DeepFool"]


class DeepFool(Attack):
    r"""Step to the nearest boundary of the linearised model until the label changes.

    With the scores :math:`z` before the softmax, the unit :math:`t` to get away from, and for each
    other class :math:`f_k = z_k - z_t`, :math:`w_k = \nabla f_k`, the boundary to class :math:`k`
    lies at a distance of :math:`|f_k| / \|w_k\|`. Each step goes to the nearest one,

    .. math::

        r \leftarrow r + \left(\frac{|f_k|}{\|w_k\|} + m\right) \frac{w_k}{\|w_k\|}, \qquad
        x \leftarrow x_0 + (1 + \eta) \, r ,

    with the overshoot :math:`\eta` and the margin :math:`m`, until the model gives another label.
    Targeted, the one boundary is that between the present label and the target.

    Parameters
    ----------
    overshoot : float, default=0.02
        Share by which the change is exceeded, to come out beyond the boundary.
    n_steps : int, default=50
        Fewer where ``max_iter`` is less.
    candidates : int or None, default=10
        Untargeted, look at the boundaries of the class itself to so many classes less one: those
        likeliest at the start. None is all.
    margin : float, default=1e-4
        Added to each distance, units of the input, as the authors' program does; with 0, a start
        on the boundary itself would not move.
    clip : (low, high), optional
        Bounds of the input.

    Notes
    -----
    ``stop_reason`` is "changed" where the model gives what is asked, "max_iter" where it did not
    within the steps, "vanished_gradient" where no boundary has a direction, "diverged" where a step
    would lead past 1e6 or is not finite. Of the stop rule, loss and confidence are not asked.

    References
    ----------
    moosavi2016deepfool, algorithm 2.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> net = torch.nn.Linear(2, 2)
    >>> net.weight.data, net.bias.data = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.zeros(2)
    >>> model = TorchModel(net, input_shape=(2,))
    >>> start, target = torch.tensor([[3.0, 4.0]]), Target(codes=torch.tensor([1]), targeted=False)
    >>> with model.session():
    ...     result = DeepFool(margin=0).run(model, start, target, Stop(), [])
    >>> result.adversarial, result.n_iter  # the boundary goes through 0
    (tensor([[-0.0600, -0.0800]]), array([1]))
    """

    needs = frozenset({"gradients"})

    def __init__(
        self,
        overshoot: float = 0.02,
        n_steps: int = 50,
        candidates: int | None = 10,
        margin: float = 1e-4,
        clip: tuple[float, float] | None = None,
    ) -> None:
        self.overshoot = overshoot
        self.n_steps = n_steps
        self.candidates = candidates
        self.margin = margin
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_number("overshoot", self.overshoot, low=0)
        check_count("n_steps", self.n_steps)
        check_count("candidates", self.candidates, low=2, none=True)
        check_number("margin", self.margin, low=0)
        check_clip(self.clip)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],  # noqa: ARG002 # nothing random here
    ) -> AttackResult:
        """Step from n starts; with ``clip``, the start is clipped first."""
        if self.clip is not None:
            start = start.clamp(*self.clip)
        walk = _Walk(start, self.overshoot, self.margin, self.clip)
        others = None if target.targeted else self._others(model, start, target.codes)
        for _ in range(min(int(self.n_steps), stop.max_iter)):
            rows = walk.rows
            codes = target.codes[rows]
            if others is None:
                boundary = _between(model, walk.x[rows], codes)
            else:
                boundary = _around(model, walk.x[rows], codes, others[rows])
            walk.advance(boundary)
            if not len(walk.rows):
                break
        # Asked of the whole result: in a batch of another size the last bits are others.
        walk.reason[hits(model, walk.x, target).cpu().numpy()] = "changed"
        return judged(model, walk.x, target, n_iter=walk.n_iter, stop_reason=walk.reason)

    def _others(self, model: Model, start: Tensor, codes: Tensor) -> Tensor:
        """Give the likeliest other classes of each row, (n, candidates - 1)."""
        with torch.no_grad():
            scores = model.logits(start).scatter(1, codes[:, None], -torch.inf)
        n_units = scores.shape[1]
        k = n_units if self.candidates is None else min(int(self.candidates), n_units)
        return scores.topk(k - 1, dim=1).indices


class _Boundary(NamedTuple):
    r"""The linearised boundary that each row is to step to.

    Attributes
    ----------
    distance : tensor of shape (n,)
        L2, units of the input; infinite where there is no boundary.
    gradient : tensor of shape (n, \*input_shape)
        At a right angle to it.
    reached : bool tensor of shape (n,)
        Whether the model gives what is asked already.
    """

    distance: Tensor
    gradient: Tensor
    reached: Tensor


def _between(model: Model, x: Tensor, codes: Tensor) -> _Boundary:
    """Linearise the boundary between what the model calls each row and its target."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = model.logits(x)
        labels = logits.detach().argmax(dim=1)
        return _Boundary(*_slope(logits, x, labels, codes), labels == codes)


def _around(model: Model, x: Tensor, codes: Tensor, others: Tensor) -> _Boundary:
    """Linearise the boundaries around a class, and choose the nearest."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = model.logits(x)
        distance, gradient = torch.full_like(logits[:, 0].detach(), torch.inf), torch.zeros_like(x)
        for other in others.T:
            # Only the nearest one is kept: all would take a batch's memory once per class.
            far, steep = _slope(logits, x, codes, other)
            nearer = far < distance
            distance = torch.where(nearer, far, distance)
            gradient = torch.where(_each(nearer, x), steep, gradient)
        return _Boundary(distance, gradient.detach(), logits.detach().argmax(dim=1) != codes)


def _slope(logits: Tensor, x: Tensor, away: Tensor, towards: Tensor) -> tuple[Tensor, Tensor]:
    """Give distance and gradient of the boundary between two classes of each row."""
    lead = (logits.gather(1, towards[:, None]) - logits.gather(1, away[:, None]))[:, 0]
    (gradient,) = torch.autograd.grad(lead, x, torch.ones_like(lead), retain_graph=True)
    # In float64, where squares of small gradients do not vanish.
    length = torch.linalg.vector_norm(gradient.flatten(1), dim=1, dtype=torch.float64)
    distance = (lead.detach().double().abs() / length).to(x.dtype)
    return torch.where(length > 0, distance, torch.inf), gradient


class _Walk:
    """Where each row is, how far it has come, and which still run."""

    def __init__(
        self, start: Tensor, overshoot: float, margin: float, clip: tuple[float, float] | None
    ) -> None:
        self.start, self.overshoot, self.margin, self.clip = start, overshoot, margin, clip
        self.x, self.total = start.clone(), torch.zeros_like(start)
        self.rows = torch.arange(len(start), device=start.device)
        self.n_iter = torch.zeros_like(self.rows)
        self.reason = np.full(len(start), "max_iter", dtype="U17")

    def advance(self, boundary: _Boundary) -> None:
        """Take a step with the running rows; those leave that need none or can take none."""
        distance = _each(boundary.distance + self.margin, boundary.gradient)
        change = self.total[self.rows] + unit_rows(boundary.gradient) * distance
        new = self.start[self.rows] + change * (1 + self.overshoot)
        if self.clip is not None:
            new = new.clamp(*self.clip)
        vanished = torch.isinf(boundary.distance)
        # False for NaN, too.
        bounded = (_size(new) <= DIVERGED_AT) & torch.isfinite(_size(change))
        for word, rows in (("diverged", ~bounded), ("vanished_gradient", vanished)):
            self.reason[self.rows[rows].cpu().numpy()] = word
        runs = ~boundary.reached & bounded & ~vanished
        self.rows = self.rows[runs]
        self.total[self.rows], self.x[self.rows] = change[runs], new[runs]
        self.n_iter[self.rows] += 1


def _each(values: Tensor, x: Tensor) -> Tensor:
    """Give one value per row the shape to be multiplied with the rows."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


def _size(x: Tensor) -> Tensor:
    return x.flatten(1).abs().amax(1)
