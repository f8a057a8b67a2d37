"""Images that a classifier is sure of and no one else would be: evolution, for any classifier.

One search keeps the best image of each class (MAP-Elites, mouret2015illuminating), made of pixels
or by compositional pattern-producing networks (nguyen2015deep).
"""

from __future__ import annotations

from pncviz import StrategySpec, hookimpl
from pncviz_fooling.evolving import evolve
from pncviz_fooling.images import fooling_images
from pncviz_fooling.mutation import polynomial_mutation
from pncviz_fooling.strategies import EvolutionCPPN, EvolutionDirect

__all__ = [
    "EvolutionCPPN",
    "EvolutionDirect",
    "evolve",
    "fooling_images",
    "pncviz_strategies",
    "polynomial_mutation",
]


@hookimpl
def pncviz_strategies() -> list[StrategySpec]:
    """Give the strategies to pncviz, under the names that users write."""
    return [
        StrategySpec(
            name="evolution_direct",
            factory=EvolutionDirect,
            summary="evolve pixels; one archive with the best image of each class",
            reference="nguyen2015deep",
        ),
        StrategySpec(
            name="evolution_cppn",
            factory=EvolutionCPPN,
            summary="evolve networks that draw regular images, likewise",
            reference="nguyen2015deep",
        ),
    ]
