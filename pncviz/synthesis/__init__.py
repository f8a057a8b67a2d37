"""The loop: descend, stop each pattern by its own rule, batch, accumulate."""

from pncviz.synthesis.batching import in_batches
from pncviz.synthesis.checks import blame, check_extraction, check_needs, unchanged
from pncviz.synthesis.descent import DIVERGED_AT, FORMS, descend
from pncviz.synthesis.extraction import extract, make_streams
from pncviz.synthesis.losses import LOSSES

__all__ = [
    "DIVERGED_AT",
    "FORMS",
    "LOSSES",
    "blame",
    "check_extraction",
    "check_needs",
    "descend",
    "extract",
    "in_batches",
    "make_streams",
    "unchanged",
]
