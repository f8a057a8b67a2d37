"""Adversarial training for pncviz, and what robust models show.

A trainer that learns from adversarial examples of any attack; an attack that gives an input the
representation of a class; and two functions that make a layer's representation visible.
"""

from __future__ import annotations

from pncviz import AttackSpec, TrainerSpec, hookimpl
from pncviz_robust.adversary import Adversary
from pncviz_robust.features import visualize_features
from pncviz_robust.inversion import RepresentationInversion
from pncviz_robust.inverted import invert_representation
from pncviz_robust.training import AdversarialClassifier

__all__ = [
    "AdversarialClassifier",
    "Adversary",
    "RepresentationInversion",
    "invert_representation",
    "pncviz_attacks",
    "pncviz_trainers",
    "visualize_features",
]


@hookimpl
def pncviz_trainers() -> list[TrainerSpec]:
    """Give adversarial training to pncviz."""
    return [
        TrainerSpec(
            name="adversarial",
            factory=AdversarialClassifier,
            summary="clean and adversarial batches, by any attack",
            reference="goodfellow2015explaining",
        )
    ]


@hookimpl
def pncviz_attacks() -> list[AttackSpec]:
    """Give representation inversion to pncviz."""
    return [
        AttackSpec(
            name="representation_inversion",
            factory=RepresentationInversion,
            summary="give the input the representation of a class",
            reference="engstrom2019adversarial",
        )
    ]
