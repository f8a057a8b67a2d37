"""What a layer of a model makes of samples and of patterns.

With these, contrasts and patterns exist at every layer, not only in the input.
"""

from pncviz.activations.lifted import at_layer
from pncviz.activations.transformer import LayerActivations

__all__ = ["LayerActivations", "at_layer"]
