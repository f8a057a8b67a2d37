"""Is an input natural? Kernel densities of natural inputs in learnt features, for pncviz.

A scikit-learn outlier detector, features of an autoencoder for it, and what its scores are worth:
how well they tell adversarial inputs from natural ones, with intervals.
"""

from __future__ import annotations

from pncviz_detection.autoencoder import AutoencoderFeatures
from pncviz_detection.detector import NaturalnessDetector
from pncviz_detection.roc import detection_roc

__all__ = ["AutoencoderFeatures", "NaturalnessDetector", "detection_roc"]
