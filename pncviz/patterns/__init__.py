"""Adversarial patterns: what the model's own gradient makes of a controlled input."""

from pncviz.patterns.doses import pattern_confusion
from pncviz.patterns.extractor import AdversarialPatternExtractor
from pncviz.patterns.functional import extract_patterns

__all__ = ["AdversarialPatternExtractor", "extract_patterns", "pattern_confusion"]
