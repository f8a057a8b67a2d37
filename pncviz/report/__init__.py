"""One self-contained HTML page about patterns, contrasts and how alike they are.

The page loads nothing from elsewhere and runs no script but its own, so it can be mailed to a
colleague and opened from a disk. Nothing here needs torch.
"""

from __future__ import annotations

from pncviz.report.page import Report, generate_report

__all__ = ["Report", "generate_report"]
