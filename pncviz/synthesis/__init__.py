"""The loop: descend, stop each pattern by its own rule, batch, accumulate."""

from pncviz.synthesis.descent import DIVERGED_AT, LOSSES, descend
from pncviz.synthesis.extraction import blame, extract, make_streams

__all__ = ["DIVERGED_AT", "LOSSES", "blame", "descend", "extract", "make_streams"]
