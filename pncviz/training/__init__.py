"""Ready classifiers from named architectures, and their files."""

from pncviz.training.classifier import Classifier, StopAt
from pncviz.training.files import load_classifier, read_info, save_classifier
from pncviz.training.making import make_classifier

__all__ = [
    "Classifier",
    "StopAt",
    "load_classifier",
    "make_classifier",
    "read_info",
    "save_classifier",
]
