"""Multi-layer perceptrons, as torch layers."""

from __future__ import annotations

from typing import Any

from sklearn.neural_network import MLPClassifier
from torch import nn

from pncviz_sklearn.reading import Kind, linear, numbers, two_units

__all__ = ["NETWORK"]

_ACTIVATIONS: dict[str, type[nn.Module] | None] = {
    "identity": None,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
}


def _layers(estimator: Any) -> nn.Module:
    """Give the layers up to the logits; pncviz applies the softmax itself."""
    layers: list[nn.Module] = []
    last = len(estimator.coefs_) - 1
    activation = _ACTIVATIONS[estimator.activation]
    for place in range(last + 1):
        weight = numbers(estimator, "coefs_", place).T
        bias = numbers(estimator, "intercepts_", place)
        layers.append((two_units if len(weight) == 1 and place == last else linear)(weight, bias))
        if activation is not None and place < last:
            layers.append(activation())
    return nn.Sequential(*layers)


def _is_one_label(estimator: Any) -> bool:
    """Whether the outputs share one probability: several sigmoids are several labels."""
    sigmoids = getattr(estimator, "out_activation_", "softmax") == "logistic"
    return estimator.activation in _ACTIVATIONS and not (
        sigmoids and getattr(estimator, "n_outputs_", 1) > 1
    )


#: The one type of network.
NETWORK: dict[type, Kind] = {MLPClassifier: Kind(_is_one_label, _layers)}
