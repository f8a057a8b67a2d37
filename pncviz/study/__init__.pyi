from .config import Study as Study
from .config import load_study as load_study
from .config import parse_study as parse_study
from .run import Outcome as Outcome
from .run import Progress as Progress
from .run import run_study as run_study

__all__ = ["Outcome", "Progress", "Study", "load_study", "parse_study", "run_study"]
