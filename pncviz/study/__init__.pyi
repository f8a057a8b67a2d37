from .collect import collect_study as collect_study
from .collect import save_tree as save_tree
from .config import Study as Study
from .config import load_study as load_study
from .config import parse_study as parse_study
from .keep import Status as Status
from .keep import clean_study as clean_study
from .keep import study_status as study_status
from .keep import verify_study as verify_study
from .record import similarities_of as similarities_of
from .report import StudyReport as StudyReport
from .report import study_report as study_report
from .run import Outcome as Outcome
from .run import Progress as Progress
from .run import run_study as run_study
from .tables import summarize_study as summarize_study

__all__ = [
    "Outcome",
    "Progress",
    "Status",
    "Study",
    "StudyReport",
    "clean_study",
    "collect_study",
    "load_study",
    "parse_study",
    "run_study",
    "save_tree",
    "similarities_of",
    "study_report",
    "study_status",
    "summarize_study",
    "verify_study",
]
