"""The gradient attacks of the literature, as attacks of pncviz.

Each takes the model, the starts and their targets as :class:`pncviz.Attack` says, and so works with
every strategy, architecture and data.
"""

from __future__ import annotations

from pncviz import AttackSpec, hookimpl
from pncviz_attacks.ascent import GradientAscent
from pncviz_attacks.deepfool import DeepFool
from pncviz_attacks.fgsm import FGSM
from pncviz_attacks.fgv import FGV
from pncviz_attacks.hot_cold import HotCold
from pncviz_attacks.lbfgs import LBFGS
from pncviz_attacks.pgd import BIM, PGD

__all__ = [
    "BIM",
    "FGSM",
    "FGV",
    "LBFGS",
    "PGD",
    "DeepFool",
    "GradientAscent",
    "HotCold",
    "pncviz_attacks",
]


@hookimpl
def pncviz_attacks() -> list[AttackSpec]:
    """Give the attacks to pncviz, under the names that users write."""
    return [
        AttackSpec(
            name="fgsm",
            factory=FGSM,
            summary="one step by the sign of the gradient",
            reference="goodfellow2015explaining",
        ),
        AttackSpec(
            name="fgv",
            factory=FGV,
            summary="the least step along the gradient that changes the label",
            reference="rozsa2016adversarial",
        ),
        AttackSpec(
            name="bim",
            factory=BIM,
            summary="small steps by the sign of the gradient, within a box",
            reference="kurakin2017adversarial",
        ),
        AttackSpec(
            name="pgd",
            factory=PGD,
            summary="projected descent from a random start, in a box or a ball",
            reference="madry2018towards",
        ),
        AttackSpec(
            name="lbfgs",
            factory=LBFGS,
            summary="the least change by a quasi-Newton search within bounds",
            reference="szegedy2013intriguing",
        ),
        AttackSpec(
            name="deepfool",
            factory=DeepFool,
            summary="steps to the nearest boundary of the linearised model",
            reference="moosavi2016deepfool",
        ),
        AttackSpec(
            name="hot_cold",
            factory=HotCold,
            summary="towards one class and away from another, by their scores",
            reference="rozsa2016adversarial",
        ),
        AttackSpec(
            name="gradient_ascent",
            factory=GradientAscent,
            summary="climb the score of the class, smoothly if asked",
            reference="simonyan2014deep",
        ),
    ]
