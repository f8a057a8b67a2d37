"""Positive-negative contrasts: what the data say a class is."""

from pncviz.contrast.arithmetic import (
    class_means_from_contrasts,
    contrast_dataset,
    positive_negative_contrast,
)
from pncviz.contrast.sums import class_sums
from pncviz.contrast.transformer import PNCTransformer

__all__ = [
    "PNCTransformer",
    "class_means_from_contrasts",
    "class_sums",
    "contrast_dataset",
    "positive_negative_contrast",
]
