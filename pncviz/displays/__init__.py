"""Pictures of results, after scikit-learn's Display objects."""

from pncviz.displays.convergence import ConvergenceDisplay
from pncviz.displays.null import NullDisplay
from pncviz.displays.pattern import PatternDisplay
from pncviz.displays.similarity import SimilarityDisplay
from pncviz.displays.spectrum import SpectrumDisplay

__all__ = [
    "ConvergenceDisplay",
    "NullDisplay",
    "PatternDisplay",
    "SimilarityDisplay",
    "SpectrumDisplay",
]
