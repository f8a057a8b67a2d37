from .collect import collect_study as collect_study
from .collect import save_tree as save_tree
from .config import Study as Study
from .config import load_study as load_study
from .config import parse_study as parse_study
from .run import Outcome as Outcome
from .run import Progress as Progress
from .run import run_study as run_study
from .tables import summarize_study as summarize_study

__all__ = [
    "Outcome",
    "Progress",
    "Study",
    "collect_study",
    "load_study",
    "parse_study",
    "run_study",
    "save_tree",
    "summarize_study",
]
