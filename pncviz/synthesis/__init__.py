"""The loop: descend, stop each pattern by its own rule, batch, accumulate."""

from pncviz.synthesis.batching import in_batches
from pncviz.synthesis.checks import blame, check_extraction, check_needs, unchanged
from pncviz.synthesis.descent import DIVERGED_AT, FORMS, descend
from pncviz.synthesis.extraction import extract, make_streams, run_attack
from pncviz.synthesis.line_search import Change, smallest_change
from pncviz.synthesis.losses import LOSSES
from pncviz.synthesis.own_course import extract_itself
from pncviz.synthesis.parameters import check_clip, check_count, check_number
from pncviz.synthesis.single import UNTIL, awaited, hits, judged, loss_gradient

__all__ = [
    "DIVERGED_AT",
    "FORMS",
    "LOSSES",
    "UNTIL",
    "Change",
    "awaited",
    "blame",
    "check_clip",
    "check_count",
    "check_extraction",
    "check_needs",
    "check_number",
    "descend",
    "extract",
    "extract_itself",
    "hits",
    "in_batches",
    "judged",
    "loss_gradient",
    "make_streams",
    "run_attack",
    "smallest_change",
    "unchanged",
]
