from . import exceptions as exceptions
from ._version import __version__ as __version__
from .activations import LayerActivations as LayerActivations
from .activations import at_layer as at_layer
from .comparison import compare as compare
from .comparison import own_class as own_class
from .contrast import PNCTransformer as PNCTransformer
from .contrast import class_means_from_contrasts as class_means_from_contrasts
from .contrast import positive_negative_contrast as positive_negative_contrast
from .dataset import concat_patterns as concat_patterns
from .dataset import load as load
from .dataset import save as save
from .dataset import summary as summary
from .displays import ConvergenceDisplay as ConvergenceDisplay
from .displays import NullDisplay as NullDisplay
from .displays import PatternDisplay as PatternDisplay
from .displays import SimilarityDisplay as SimilarityDisplay
from .displays import SpectrumDisplay as SpectrumDisplay
from .examples import AdversarialExampleGenerator as AdversarialExampleGenerator
from .hookspecs import hookimpl as hookimpl
from .inference import band_similarity as band_similarity
from .inference import example_convergence as example_convergence
from .inference import haufe_transform as haufe_transform
from .inference import mean_interval as mean_interval
from .inference import split_half_reliability as split_half_reliability
from .inference import template_accuracy as template_accuracy
from .leakage import ClassMeanDisplay as ClassMeanDisplay
from .leakage import class_mean_leakage as class_mean_leakage
from .leakage import reconstruct_class_means as reconstruct_class_means
from .metrics import similarity_matrix as similarity_matrix
from .nulls import calibrate_null as calibrate_null
from .nulls import label_shuffled_contrasts as label_shuffled_contrasts
from .nulls import model_null as model_null
from .patterns import AdversarialPatternExtractor as AdversarialPatternExtractor
from .patterns import extract_patterns as extract_patterns
from .patterns import pattern_confusion as pattern_confusion
from .registry import load_dataset as load_dataset
from .registry import make_attack as make_attack
from .registry import make_strategy as make_strategy
from .registry import register as register
from .report import Report as Report
from .report import generate_report as generate_report
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
from .specs import TrainerSpec as TrainerSpec
from .study import collect_study as collect_study
from .study import load_study as load_study
from .study import run_study as run_study
from .study import summarize_study as summarize_study
from .training import load_classifier as load_classifier
from .training import make_classifier as make_classifier
from .training import save_classifier as save_classifier
from .transfer import pattern_agreement as pattern_agreement
from .transfer import pattern_transfer as pattern_transfer
from .transfer import rubbish_error as rubbish_error
from .transfer import transfer_matrix as transfer_matrix

__all__ = [
    "AdapterSpec",
    "AdversarialExampleGenerator",
    "AdversarialPatternExtractor",
    "ArchitectureSpec",
    "Attack",
    "AttackResult",
    "AttackSpec",
    "ClassMeanDisplay",
    "ConvergenceDisplay",
    "Dataset",
    "DatasetSpec",
    "Extraction",
    "LayerActivations",
    "MetricSpec",
    "Model",
    "NullDisplay",
    "PNCTransformer",
    "PatternDisplay",
    "Report",
    "SimilarityDisplay",
    "SpectrumDisplay",
    "Stop",
    "Strategy",
    "StrategySpec",
    "Target",
    "TrainerSpec",
    "__version__",
    "at_layer",
    "band_similarity",
    "calibrate_null",
    "class_mean_leakage",
    "class_means_from_contrasts",
    "collect_study",
    "compare",
    "concat_patterns",
    "example_convergence",
    "exceptions",
    "extract_patterns",
    "generate_report",
    "haufe_transform",
    "hookimpl",
    "label_shuffled_contrasts",
    "load",
    "load_classifier",
    "load_dataset",
    "load_study",
    "make_attack",
    "make_classifier",
    "make_strategy",
    "mean_interval",
    "model_null",
    "own_class",
    "pattern_agreement",
    "pattern_confusion",
    "pattern_transfer",
    "positive_negative_contrast",
    "reconstruct_class_means",
    "register",
    "rubbish_error",
    "run_study",
    "save",
    "save_classifier",
    "similarity_matrix",
    "split_half_reliability",
    "summarize_study",
    "summary",
    "template_accuracy",
    "transfer_matrix",
]
