"""Substitutes of black boxes: nets trained on answers alone, their patterns, and what transfers.

With them come the attacks by which papernot2016transferability makes examples of classifiers that
have no gradients of their own: support vector machines, decision trees, nearest neighbours.
"""

from __future__ import annotations

from sklearn.tree import DecisionTreeClassifier

from pncviz import AdapterSpec, AttackSpec, hookimpl
from pncviz_substitute.augmentation import jacobian_step, reservoir, signed_step
from pncviz_substitute.ensemble import MajorityVote
from pncviz_substitute.knn import SoftKNN, adapt_soft_knn, is_knn
from pncviz_substitute.patterns import substitute_patterns
from pncviz_substitute.substitute import SubstituteClassifier
from pncviz_substitute.svm import SVMNormal
from pncviz_substitute.techniques import Source, technique_transfer
from pncviz_substitute.tree import DecisionTree, TreeModel, adapt_tree

__all__ = [
    "DecisionTree",
    "MajorityVote",
    "SVMNormal",
    "SoftKNN",
    "Source",
    "SubstituteClassifier",
    "TreeModel",
    "jacobian_step",
    "pncviz_adapters",
    "pncviz_attacks",
    "reservoir",
    "signed_step",
    "substitute_patterns",
    "technique_transfer",
]


@hookimpl
def pncviz_attacks() -> list[AttackSpec]:
    """Give the attacks to pncviz, under the names that users write."""
    return [
        AttackSpec(
            name="svm_normal",
            factory=SVMNormal,
            summary="one step orthogonal to the hyperplane of the class",
            reference="papernot2016transferability",
        ),
        AttackSpec(
            name="decision_tree",
            factory=DecisionTree,
            summary="the least change that reaches a leaf of another class",
            reference="papernot2016transferability",
        ),
    ]


@hookimpl
def pncviz_adapters() -> list[AdapterSpec]:
    """Give the adapters to pncviz."""
    return [
        AdapterSpec(
            name="decision_tree",
            matches=lambda estimator: isinstance(estimator, DecisionTreeClassifier),
            adapt=adapt_tree,
            priority=10,
            summary="decision trees, whose leaves are a layer",
            reference="papernot2016transferability",
        ),
        AdapterSpec(
            name="soft_knn",
            matches=is_knn,
            adapt=adapt_soft_knn,
            # Below the fallback: a smooth vote is not what the classifier itself would say.
            priority=-200,
            summary="nearest neighbours made smooth, with gradients; by name only",
            reference="goldberger2004neighbourhood",
        ),
    ]
