"""Every pattern against every contrast, and what the numbers are worth."""

from pncviz.comparison.cases import compare
from pncviz.comparison.own import own_class

__all__ = ["compare", "own_class"]
