"""Pictures of results, after scikit-learn's Display objects."""

from pncviz.displays.pattern import PatternDisplay
from pncviz.displays.similarity import SimilarityDisplay

__all__ = ["PatternDisplay", "SimilarityDisplay"]
