"""How large the windows of the Square attack are."""

from __future__ import annotations

import math

__all__ = ["window_share", "window_size"]

#: After so many of 10 000 proposals, the share of pixels is halved again.
_HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def window_share(p: float, proposal: int, n_proposals: int) -> float:
    """Give the share of pixels in a proposal's window, by the paper's schedule.

    Examples
    --------
    >>> window_share(0.8, 0, 10_000), window_share(0.8, 11, 10_000), window_share(0.8, 9999, 10_000)
    (0.8, 0.4, 0.0015625)
    """
    progress = int(proposal / n_proposals * 10_000)
    halvings = sum(progress > at for at in _HALVED_AT)
    return p * 0.5**halvings


def window_size(share: float, rows: int, columns: int) -> tuple[int, int]:
    """Give rows and columns of a window: a square, or, of one row, consecutive columns."""
    if rows == 1:
        return 1, min(max(round(share * columns), 1), max(columns - 1, 1))
    side = min(max(round(math.sqrt(share * rows * columns)), 1), max(min(rows, columns) - 1, 1))
    return side, side
