"""Descents along estimated gradients: natural evolution strategies, and SPSA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ParameterError
from pncviz.synthesis import check_clip, check_count, check_number
from pncviz_blackbox.estimates import check_estimate
from pncviz_blackbox.walk import Gains, Walk

__all__ = ["NES", "SPSA"]

#: What a step is made of.
STEPS = ("plain", "sign")


class NES(Attack):
    r"""Descend a gradient that is estimated from probabilities, along Gaussian directions.

    The step is that of ``gradient_descent``, ``v <- momentum * v + gradient``, ``x <- x -
    learning_rate * v``, or its sign. So with many samples the pattern becomes that of
    ``gradient_descent``; with few, the errors of the steps partly cancel over the iterations.

    Parameters
    ----------
    learning_rate : float, default=1.0
        Units of the input per unit of gradient; with ``step="sign"``, the change of every value.
    n_samples : int, default=50
        Inputs asked about for each step; see :func:`pncviz_blackbox.estimate_gradient`. In d
        dimensions, the estimate's relative error is about ``sqrt(2 * d / n_samples)``.
    sigma : float, default=0.01
        Length of the differences, per value, in units of the input. Where answers are constant
        piece by piece, as those of trees and nearest neighbours are, choose it as large as the
        pieces: for images in 0..1, a few tenths.
    momentum : float, default=0.0
        In [0, 1).
    step : {"plain", "sign"}, default="plain"
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
        The former is unbounded: where a model says 0, as trees do, it is taken as 708 nats, and one
        step may go far. "squared_error" is never more than 2, so choose it for such models.
    antithetic : bool, default=True
        See :func:`pncviz_blackbox.estimate_gradient`.
    epsilon : float, optional
        The most that any value changes, units of the input.
    clip : (low, high), optional
        Bounds of the input. Points between which differences are taken may lie beyond them.

    Notes
    -----
    Each row asks ``n_samples`` questions a step, one more where the stop rule on loss or confidence
    is to be tried, and one at the end. A step is taken only if ``max_queries`` allows the whole of
    it. ``stop_reason`` is "max_iter", "max_loss", "min_confidence", "max_queries",
    "vanished_gradient" (no answer differed from another; raise ``sigma``) or "diverged".

    References
    ----------
    ilyas2018blackbox.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> target = Target(codes=torch.tensor([0, 1]))
    >>> rngs = [np.random.default_rng(row) for row in range(2)]
    >>> with model.session():
    ...     result = NES().run(model, torch.zeros(2, 4), target, Stop(max_queries=500), rngs)
    >>> result.n_queries, result.n_iter, result.stop_reason[0].item()
    (array([451, 451]), array([9, 9]), 'max_queries')
    """

    needs = frozenset({"probabilities"})

    def __init__(
        self,
        learning_rate: float = 1.0,
        n_samples: int = 50,
        sigma: float = 0.01,
        momentum: float = 0.0,
        step: str = "plain",
        loss: str = "cross_entropy",
        antithetic: bool = True,
        epsilon: float | None = None,
        clip: tuple[float, float] | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.n_samples = n_samples
        self.sigma = sigma
        self.momentum = momentum
        self.step = step
        self.loss = loss
        self.antithetic = antithetic
        self.epsilon = epsilon
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_estimate(self.n_samples, self.sigma, self.loss)
        check_number("learning_rate", self.learning_rate, low=0, open_low=True)
        check_number("momentum", self.momentum, low=0, high=1)
        if self.momentum == 1:
            raise ParameterError(f"`momentum` must lie in [0, 1), got {self.momentum!r}.")
        if self.step not in STEPS:
            raise ParameterError(
                f"`step` must be one of {', '.join(STEPS)}, got {self.step!r:.80}."
            )
        if not isinstance(self.antithetic, bool | np.bool_):
            raise ParameterError(
                f"`antithetic` must be True or False, got {self.antithetic!r:.80}."
            )
        check_number("epsilon", self.epsilon, low=0, open_low=True, none=True)
        check_clip(self.clip)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],
    ) -> AttackResult:
        """Descend from n starts to their targets; with ``clip``, the start is clipped too."""
        gains = Gains(
            rate=lambda _: self.learning_rate,
            width=lambda _: self.sigma,
            momentum=self.momentum,
            sign=self.step == "sign",
        )
        walk = Walk(
            model, start, target, stop, rngs, kind="gaussian", gains=gains, loss=self.loss,
            n_samples=self.n_samples, antithetic=self.antithetic, epsilon=self.epsilon,
            clip=self.clip,
        )  # fmt: skip
        return walk.result()


class SPSA(Attack):
    r"""Descend a gradient that is estimated along directions of signs, by falling gains.

    In step k, the estimate is the mean of ``(L(x + c_k s) - L(x - c_k s)) / (2 c_k) s`` over
    ``n_samples / 2`` vectors s of -1 and 1, and ``x <- x - a_k * estimate``. As Spall recommends,
    ``a_k = a / (k + 1 + A)^0.602`` and ``c_k = c / (k + 1)^0.101``.

    Parameters
    ----------
    learning_rate : float, default=1.0
        The first gain, ``a / (1 + A)^0.602``: units of the input per unit of gradient.
    n_samples : int, default=50
        Inputs asked about for each step; 2 is the method as it was first described.
    sigma : float, default=0.01
        The first width, c, in units of the input. Where answers are constant piece by piece, as
        those of trees and nearest neighbours are, choose it as large as the pieces.
    stability : float, optional
        A; by default a tenth of ``max_iter``, as Spall advises.
    alpha, gamma : float, default=0.602, 0.101
        How fast the gains and the widths fall.
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
        As of :class:`NES`: for models that say 0, "squared_error".
    epsilon : float, optional
        The most that any value changes, units of the input.
    clip : (low, high), optional
        Bounds of the input. Points between which differences are taken may lie beyond them.

    Notes
    -----
    Questions and ``stop_reason`` as of :class:`NES`. uesato2018adversarial takes the same estimate
    with a step by Adam, which this has not.

    References
    ----------
    spall1992multivariate, uesato2018adversarial.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> target = Target(codes=torch.tensor([0, 1]))
    >>> rngs = [np.random.default_rng(row) for row in range(2)]
    >>> with model.session():
    ...     result = SPSA(n_samples=20).run(
    ...         model, torch.zeros(2, 4), target, Stop(max_iter=1000, max_loss=0.2), rngs)
    >>> result.stop_reason.tolist()
    ['max_loss', 'max_loss']
    """

    needs = frozenset({"probabilities"})

    def __init__(
        self,
        learning_rate: float = 1.0,
        n_samples: int = 50,
        sigma: float = 0.01,
        stability: float | None = None,
        alpha: float = 0.602,
        gamma: float = 0.101,
        loss: str = "cross_entropy",
        epsilon: float | None = None,
        clip: tuple[float, float] | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.n_samples = n_samples
        self.sigma = sigma
        self.stability = stability
        self.alpha = alpha
        self.gamma = gamma
        self.loss = loss
        self.epsilon = epsilon
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        check_count("n_samples", self.n_samples, low=2)
        check_estimate(self.n_samples, self.sigma, self.loss)
        check_number("learning_rate", self.learning_rate, low=0, open_low=True)
        check_number("stability", self.stability, low=0, none=True)
        check_number("alpha", self.alpha, low=0)
        check_number("gamma", self.gamma, low=0)
        check_number("epsilon", self.epsilon, low=0, open_low=True, none=True)
        check_clip(self.clip)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],
    ) -> AttackResult:
        """Descend from n starts to their targets; with ``clip``, the start is clipped too."""
        behind = stop.max_iter / 10 if self.stability is None else self.stability
        gains = Gains(
            rate=lambda k: self.learning_rate * ((1 + behind) / (k + 1 + behind)) ** self.alpha,
            width=lambda k: self.sigma / (k + 1) ** self.gamma,
        )
        walk = Walk(
            model, start, target, stop, rngs, kind="signs", gains=gains, loss=self.loss,
            n_samples=self.n_samples, antithetic=True, epsilon=self.epsilon, clip=self.clip,
        )  # fmt: skip
        return walk.result()
