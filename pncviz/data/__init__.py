"""X and y, checked: samples of a known shape, and labels as codes.

Nothing here guesses: flat rows stay a table unless an image shape is given, and every refusal
names what came and what to do.
"""

from pncviz.data.labels import check_labels, encode_labels
from pncviz.data.names import output_names
from pncviz.data.samples import as_float32, check_same_shape, check_samples, refuse_overflow
from pncviz.data.seeds import resolve_seed
from pncviz.data.shapes import resolve_image_shape, sample_shape

__all__ = [
    "as_float32",
    "check_labels",
    "check_same_shape",
    "check_samples",
    "encode_labels",
    "output_names",
    "refuse_overflow",
    "resolve_image_shape",
    "resolve_seed",
    "sample_shape",
]
