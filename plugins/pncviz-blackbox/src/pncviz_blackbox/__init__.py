"""Attacks, and a strategy, for classifiers that can only be asked.

They need probabilities, or labels alone, and so work with every classifier: trees, forests, nearest
neighbours, pipelines, and networks that lie elsewhere. Every question is counted.
"""

from __future__ import annotations

from pncviz import AttackSpec, StrategySpec, hookimpl
from pncviz_blackbox.boundary import Boundary
from pncviz_blackbox.classification_image import ClassificationImage
from pncviz_blackbox.descents import NES, SPSA
from pncviz_blackbox.estimates import Estimate, estimate_gradient
from pncviz_blackbox.info_value import info_value, information_value
from pncviz_blackbox.square import Square

__all__ = [
    "NES",
    "SPSA",
    "Boundary",
    "ClassificationImage",
    "Estimate",
    "Square",
    "estimate_gradient",
    "info_value",
    "information_value",
    "pncviz_attacks",
    "pncviz_strategies",
]


@hookimpl
def pncviz_attacks() -> list[AttackSpec]:
    """Give the attacks to pncviz, under the names that users write."""
    return [
        AttackSpec(
            name="nes",
            factory=NES,
            summary="descend a gradient that is estimated along Gaussian directions",
            reference="ilyas2018blackbox",
        ),
        AttackSpec(
            name="spsa",
            factory=SPSA,
            summary="descend a gradient that is estimated along directions of signs",
            reference="spall1992multivariate",
        ),
        AttackSpec(
            name="square",
            factory=Square,
            summary="random search by squares, within a box",
            reference="andriushchenko2020square",
        ),
        AttackSpec(
            name="boundary",
            factory=Boundary,
            summary="walk along the decision boundary towards the start, by labels alone",
            reference="brendel2018decision",
        ),
    ]


@hookimpl
def pncviz_strategies() -> list[StrategySpec]:
    """Give the strategy to pncviz."""
    return [
        StrategySpec(
            name="classification_image",
            factory=ClassificationImage,
            summary="average the noise fields that the model calls the class",
            reference="borji2020white",
        )
    ]
