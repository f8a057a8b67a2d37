"""Layerwise origin-target synthesis for pncviz, and the score that goes with it.

LOTS moves an input so that the representation at any layer of a network nears that of a target,
grows or shrinks. PASS says how alike two images look once they are aligned.
"""

from __future__ import annotations

from pncviz import AttackSpec, MetricSpec, hookimpl
from pncviz_lots.attack import LOTS
from pncviz_lots.quality import adversarial_quality
from pncviz_lots.score import PassScore, pass_score, pass_similarity

__all__ = [
    "LOTS",
    "PassScore",
    "adversarial_quality",
    "pass_score",
    "pass_similarity",
    "pncviz_attacks",
    "pncviz_metrics",
]


@hookimpl
def pncviz_attacks() -> list[AttackSpec]:
    """Give LOTS to pncviz."""
    return [
        AttackSpec(
            name="lots",
            factory=LOTS,
            summary="move the representation at a layer towards a target",
            reference="rozsa2017lots",
        )
    ]


@hookimpl
def pncviz_metrics() -> list[MetricSpec]:
    """Give PASS to pncviz."""
    return [
        MetricSpec(
            name="pass",
            function=pass_similarity,
            # An alignment that fails, or ends elsewhere, makes the number jump.
            smooth=False,
            summary="structural similarity after alignment, scaled about zero",
            reference="rozsa2016adversarial",
        )
    ]
