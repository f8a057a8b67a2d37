"""Radial basis functions with a confidence of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor, nn
from torch.nn import functional

from pncviz.exceptions import ParameterError
from pncviz_architectures.checks import check_counts

__all__ = ["RBF", "Distances"]


class Distances(nn.Module):
    """Squared distances of scaled inputs from centres: ``Σ (scale · x − offset)²``.

    With ``centre = offset / scale`` that is ``(x − centre)ᵀ scale² (x − centre)``, the form of
    goodfellow2015explaining with a diagonal matrix. The offset is learned rather than the centre,
    whose derivatives are as small as the squared scale, so that gradient descent would hardly
    move it.

    Parameters
    ----------
    n_inputs, n_outputs : int

    Examples
    --------
    >>> layer = Distances(4, 1)
    >>> centre = (layer.offset / layer.scale).detach()
    >>> bool(layer(centre).abs() < 1e-5), bool((layer(centre + 1) - 4).abs() < 1e-5)
    (True, True)
    """

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(n_outputs, n_inputs))
        self.offset = nn.Parameter(torch.empty(n_outputs, n_inputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Put the centres near .5, in the middle of 0..1, and all zeros or ones at distance 1."""
        scale = 2 / math.sqrt(self.scale.shape[1])
        nn.init.constant_(self.scale, scale)
        nn.init.normal_(self.offset, 0.5 * scale, 0.05 * scale)

    def forward(self, x: Tensor) -> Tensor:
        """Take inputs (n, n_inputs) to squared distances (n, n_outputs)."""
        # (s·x − b)² = s²·x² − 2·s·b·x + b²: two products, and no array of n · outputs · inputs.
        squares = functional.linear(x.square(), self.scale.square())
        crossed = functional.linear(x, self.scale * self.offset)
        return squares - 2 * crossed + self.offset.square().sum(dim=1)


class RBF(nn.Module):
    r"""Shallow network of radial basis functions, one or more centres per class; logits.

    The network's own confidence that x shows class c is that of goodfellow2015explaining,

        p_c(x) = exp(−|scale_c · x − offset_c|²),

    1 at the class's centre ``offset / scale`` and 0 far from it, each class for itself: these need
    not sum to 1, and for rubbish none is large. The logits are their logarithms,
    z_c = −|scale_c · x − offset_c|², so the softmax is p_c(x) / Σ p_k(x), the class is that of the
    largest p_c, and gradients do not vanish far from the centres, though all p_c do. With several
    centres p_c is that of the nearest.

    A softmax is the same whatever one adds to all logits, so trained by it alone the p_c of good
    examples fall to nothing (1e-4 and less on digits). Therefore, *in training mode only*, a
    background competes with the classes: the logits are log(p_c + background / n_classes), which
    makes the softmax (p_c + background / n_classes) / (Σ p_k + background). Far from every centre
    that is 1 / n_classes, so the loss is small only where the p_c of the true class exceeds the
    background. A larger one gives larger own confidences and a little more error. In
    evaluation mode the logits are z_c.

    Layers, by name: ``distances``, (n, n_classes · n_centres). Centres begin near .5, so inputs
    should lie in 0..1 or thereabouts.

    Parameters
    ----------
    input_shape : tuple of int
        One sample, flat or image.
    n_classes : int
    n_centres : int, default=1
        Of each class.
    background : float, default=0.1
        0 trains by the plain softmax.

    Raises
    ------
    ParameterError
        ``n_centres`` is no positive integer, or ``background`` negative or not finite.

    References
    ----------
    goodfellow2015explaining, section 7 and appendix A.

    Examples
    --------
    >>> net = RBF(input_shape=(1, 6, 6), n_classes=4).eval()
    >>> rubbish = 10 * torch.randn(2, 36)
    >>> net(rubbish).shape, bool((net.own_confidence(rubbish) < 1e-6).all())
    (torch.Size([2, 4]), True)
    """

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        n_classes: int,
        n_centres: int = 1,
        background: float = 0.1,
    ) -> None:
        super().__init__()
        (self.n_centres,) = check_counts("n_centres", [n_centres])
        self.background = _check_background(background)
        self.n_classes = n_classes
        self.distances = Distances(math.prod(input_shape), n_classes * self.n_centres)

    def forward(self, x: Tensor) -> Tensor:
        """Flat or image input (n, …) to logits (n, n_classes)."""
        logits = self._log_confidences(x)
        if self.training and self.background:
            floor = math.log(self.background / self.n_classes)
            logits = torch.logaddexp(logits, logits.new_tensor(floor))
        return logits

    def own_confidence(self, x: Tensor) -> Tensor:
        """Give the network's own confidence in the class that it predicts.

        Parameters
        ----------
        x : tensor of shape (n, …)
            Flat or image input.

        Returns
        -------
        tensor of shape (n,)
            The largest p_c, in 0..1, dimensionless; the same in training and in evaluation mode.
        """
        # Rounding may leave a distance a little below 0.
        return self._log_confidences(x).amax(dim=1).clamp_max(0).exp()

    def _log_confidences(self, x: Tensor) -> Tensor:
        distances: Tensor = self.distances(x.flatten(1).to(self.distances.scale.dtype))
        if self.n_centres > 1:
            distances = distances.reshape(len(x), self.n_classes, self.n_centres).amin(dim=2)
        return -distances


def _check_background(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < math.inf:
        raise ParameterError(f"`background` must be 0 or a positive finite number, got {value!r}.")
    return float(value)
