"""From an estimator to a model: logits with gradients, probabilities, layer activations.

Whatever is touched on the way is put back as it was.
"""

from pncviz.models.access import adapt, fit_estimator, is_frozen, require
from pncviz.models.asking import check_queries, only_asks, queried
from pncviz.models.blackbox import ProbabilityModel
from pncviz.models.queries import QueriedModel
from pncviz.models.tiled import TiledModel
from pncviz.models.torchmodel import TorchModel
from pncviz.models.units import as_prepared, resolve_units

__all__ = [
    "ProbabilityModel",
    "QueriedModel",
    "TiledModel",
    "TorchModel",
    "adapt",
    "as_prepared",
    "check_queries",
    "fit_estimator",
    "is_frozen",
    "only_asks",
    "queried",
    "require",
    "resolve_units",
]
