"""What comes before the classifier in a pipeline, as layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from torch import Tensor, nn

from pncviz_sklearn.reading import Kind, always, frozen, linear, numbers

__all__ = ["STEPS", "Normalized", "Scaled"]


class Scaled(nn.Module):
    """Features shifted and scaled, in the order in which scikit-learn does it.

    Gives ``(x - minus) / over * times + plus``, then ``clip``; what is None is left out. The
    derivative of the clip is 1 within the bounds and on them, 0 beyond.

    Examples
    --------
    >>> Scaled(minus=np.ones(2), over=np.full(2, 4.0))(torch.zeros(1, 2, dtype=torch.float64))
    tensor([[-0.2500, -0.2500]], dtype=torch.float64)
    """

    minus: nn.Parameter | None
    over: nn.Parameter | None
    times: nn.Parameter | None
    plus: nn.Parameter | None

    def __init__(
        self,
        minus: Any = None,
        over: Any = None,
        times: Any = None,
        plus: Any = None,
        clip: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("minus", minus), ("over", over), ("times", times), ("plus", plus)):
            self.register_parameter(name, None if value is None else frozen(value))
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_features) to (n, n_features)."""
        x = x if self.minus is None else x - self.minus
        x = x if self.over is None else x / self.over
        x = x if self.times is None else x * self.times
        x = x if self.plus is None else x + self.plus
        return x if self.clip is None else x.clamp(*self.clip)


class Normalized(nn.Module):
    """Each row divided by its norm; a row of (nearly) zeros stays as it is.

    So a start from zeros has the gradient of the classifier without the normaliser, and jumps to
    the sphere with the first step.

    Parameters
    ----------
    norm : {"l1", "l2", "max"}

    Examples
    --------
    >>> Normalized("max")(torch.tensor([[1.0, -4.0], [0.0, 0.0]]))
    tensor([[ 0.2500, -1.0000],
            [ 0.0000,  0.0000]])
    """

    def __init__(self, norm: str) -> None:
        super().__init__()
        self.order = {"l1": 1.0, "l2": 2.0, "max": torch.inf}[norm]

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_features) to (n, n_features)."""
        norm = torch.linalg.vector_norm(x, ord=self.order, dim=1, keepdim=True)
        # scikit-learn's bound for what it takes for zero.
        return x / torch.where(norm < 10 * torch.finfo(x.dtype).eps, torch.ones_like(norm), norm)


def _standard(step: Any) -> nn.Module:
    return Scaled(
        minus=numbers(step, "mean_") if step.with_mean else None,
        over=numbers(step, "scale_") if step.with_std else None,
    )


def _robust(step: Any) -> nn.Module:
    return Scaled(
        minus=numbers(step, "center_") if step.with_centering else None,
        over=numbers(step, "scale_") if step.with_scaling else None,
    )


def _min_max(step: Any) -> nn.Module:
    low, high = (float(bound) for bound in step.feature_range)
    clip = (low, high) if step.clip else None
    return Scaled(times=numbers(step, "scale_"), plus=numbers(step, "min_"), clip=clip)


def _max_abs(step: Any) -> nn.Module:
    # `clip` is younger than the oldest scikit-learn that pncviz takes.
    clip = (-1.0, 1.0) if getattr(step, "clip", False) else None
    return Scaled(over=numbers(step, "scale_"), clip=clip)


def _pca(step: Any) -> nn.Module:
    components = numbers(step, "components_")
    layer = linear(components, -(components @ numbers(step, "mean_")))
    if not step.whiten:
        return layer
    spread = np.sqrt(numbers(step, "explained_variance_"))
    # As scikit-learn bounds it.
    return nn.Sequential(layer, Scaled(over=np.maximum(spread, np.finfo(spread.dtype).eps)))


#: From a transformer's type to what is done with it.
STEPS: dict[type, Kind] = {
    StandardScaler: Kind(always, _standard),
    RobustScaler: Kind(always, _robust),
    MinMaxScaler: Kind(always, _min_max),
    MaxAbsScaler: Kind(always, _max_abs),
    PCA: Kind(always, _pca),
    Normalizer: Kind(always, lambda step: Normalized(step.norm)),
}
