"""Checks for plugin authors: one line of a test holds a part to its whole contract.

::

    from pncviz.testing import check_strategy

    def test_checkerboard():
        check_strategy("checkerboard")

Each check takes a registered name, a spec, or the part itself (or its factory), tries it on small
seeded models, and raises ``AssertionError`` at the first broken rule: which part, from which
distribution, what was expected and what came. A check that passes returns None.
"""

from pncviz.testing.adapters import check_adapter
from pncviz.testing.architectures import check_architecture
from pncviz.testing.attacks import check_attack
from pncviz.testing.datasets import check_dataset
from pncviz.testing.metrics import check_metric
from pncviz.testing.strategies import check_strategy
from pncviz.testing.trainers import check_trainer

__all__ = [
    "check_adapter",
    "check_architecture",
    "check_attack",
    "check_dataset",
    "check_metric",
    "check_strategy",
    "check_trainer",
]
