"""What plugins hand over: specs, the base classes behind them, and what they may ask of a model.

Nothing here imports torch: tensors are used only through their methods, so a strategy or a metric
is written with numpy alone.
"""

from pncviz.specs.exchange import (
    NEEDS,
    QUERIES,
    STOP_REASONS,
    AttackResult,
    Extraction,
    Model,
    Stop,
    Streams,
    Target,
    Trace,
)
from pncviz.specs.parts import Attack, Part, Strategy
from pncviz.specs.records import (
    KINDS,
    AdapterSpec,
    ArchitectureSpec,
    AttackSpec,
    Dataset,
    DatasetSpec,
    MetricSpec,
    Spec,
    StrategySpec,
    TrainerSpec,
)

__all__ = [
    "KINDS",
    "NEEDS",
    "QUERIES",
    "STOP_REASONS",
    "AdapterSpec",
    "ArchitectureSpec",
    "Attack",
    "AttackResult",
    "AttackSpec",
    "Dataset",
    "DatasetSpec",
    "Extraction",
    "MetricSpec",
    "Model",
    "Part",
    "Spec",
    "Stop",
    "Strategy",
    "StrategySpec",
    "Streams",
    "Target",
    "Trace",
    "TrainerSpec",
]
