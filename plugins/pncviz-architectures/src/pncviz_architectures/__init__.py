"""A pncviz plugin: the architectures of the papers on adversarial examples, and others' by name."""

from __future__ import annotations

from pncviz import ArchitectureSpec, hookimpl
from pncviz_architectures.external import External, timm_model, torchvision_model
from pncviz_architectures.lenet import LeNet
from pncviz_architectures.maxout import Maxout
from pncviz_architectures.rbf import RBF
from pncviz_architectures.resnet import PRESETS, ResNet
from pncviz_architectures.softmax import Softmax

__all__ = [
    "PRESETS",
    "RBF",
    "External",
    "LeNet",
    "Maxout",
    "ResNet",
    "Softmax",
    "pncviz_architectures",
    "timm_model",
    "torchvision_model",
]


@hookimpl
def pncviz_architectures() -> list[ArchitectureSpec]:
    """Give the architectures to pncviz, under the names that users write."""
    return [
        ArchitectureSpec(
            name="lenet",
            factory=LeNet,
            summary="Caffe's LeNet: conv 20 and 50 of 5x5, dense 500",
            reference="lecun1998gradient",
        ),
        ArchitectureSpec(
            name="maxout",
            factory=Maxout,
            summary="two layers of 240 maxout units with 5 pieces, with dropout",
            reference="goodfellow2013maxout",
        ),
        ArchitectureSpec(
            name="rbf",
            factory=RBF,
            summary="shallow radial basis functions, confident near centres only",
            reference="goodfellow2015explaining",
        ),
        ArchitectureSpec(
            name="softmax",
            factory=Softmax,
            summary="one linear layer: softmax regression",
            reference="goodfellow2015explaining",
        ),
        ArchitectureSpec(
            name="resnet",
            factory=ResNet,
            summary="pre-activation residual net for small images, .3 to 11 M parameters",
            reference="he2016identity",
        ),
        ArchitectureSpec(
            name="timm", factory=timm_model, summary="any model of timm, if timm is installed"
        ),
        ArchitectureSpec(
            name="torchvision",
            factory=torchvision_model,
            summary="any classifier of torchvision, if torchvision is installed",
        ),
    ]
