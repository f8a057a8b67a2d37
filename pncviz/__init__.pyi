from . import exceptions as exceptions
from ._version import __version__ as __version__
from .comparison import compare as compare
from .comparison import own_class as own_class
from .contrast import PNCTransformer as PNCTransformer
from .contrast import class_means_from_contrasts as class_means_from_contrasts
from .contrast import positive_negative_contrast as positive_negative_contrast
from .dataset import concat_patterns as concat_patterns
from .dataset import load as load
from .dataset import save as save
from .dataset import summary as summary
from .displays import PatternDisplay as PatternDisplay
from .displays import SimilarityDisplay as SimilarityDisplay
from .hookspecs import hookimpl as hookimpl
from .metrics import similarity_matrix as similarity_matrix
from .patterns import AdversarialPatternExtractor as AdversarialPatternExtractor
from .patterns import extract_patterns as extract_patterns
from .registry import load_dataset as load_dataset
from .registry import make_attack as make_attack
from .registry import make_strategy as make_strategy
from .registry import register as register
from .specs import AdapterSpec as AdapterSpec
from .specs import ArchitectureSpec as ArchitectureSpec
from .specs import Attack as Attack
from .specs import AttackResult as AttackResult
from .specs import AttackSpec as AttackSpec
from .specs import Dataset as Dataset
from .specs import DatasetSpec as DatasetSpec
from .specs import Extraction as Extraction
from .specs import MetricSpec as MetricSpec
from .specs import Model as Model
from .specs import Stop as Stop
from .specs import Strategy as Strategy
from .specs import StrategySpec as StrategySpec
from .specs import Target as Target
from .training import load_classifier as load_classifier
from .training import make_classifier as make_classifier
from .training import save_classifier as save_classifier

__all__ = [
    "AdapterSpec",
    "AdversarialPatternExtractor",
    "ArchitectureSpec",
    "Attack",
    "AttackResult",
    "AttackSpec",
    "Dataset",
    "DatasetSpec",
    "Extraction",
    "MetricSpec",
    "Model",
    "PNCTransformer",
    "PatternDisplay",
    "SimilarityDisplay",
    "Stop",
    "Strategy",
    "StrategySpec",
    "Target",
    "__version__",
    "class_means_from_contrasts",
    "compare",
    "concat_patterns",
    "exceptions",
    "extract_patterns",
    "hookimpl",
    "load",
    "load_classifier",
    "load_dataset",
    "make_attack",
    "make_classifier",
    "make_strategy",
    "own_class",
    "positive_negative_contrast",
    "register",
    "save",
    "save_classifier",
    "similarity_matrix",
    "summary",
]
