"""The checkerboard keeps to pncviz's contract for strategies."""

from pncviz.testing import check_strategy


def test_checkerboard():
    """One line: everything that pncviz asks of a strategy holds."""
    check_strategy("checkerboard")
