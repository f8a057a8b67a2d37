"""The loop: descend, stop each pattern by its own rule, batch, accumulate."""

from pncviz.synthesis.checks import blame, check_extraction, check_needs, unchanged
from pncviz.synthesis.descent import DIVERGED_AT, LOSSES, descend
from pncviz.synthesis.extraction import extract, make_streams

__all__ = [
    "DIVERGED_AT",
    "LOSSES",
    "blame",
    "check_extraction",
    "check_needs",
    "descend",
    "extract",
    "make_streams",
    "unchanged",
]
