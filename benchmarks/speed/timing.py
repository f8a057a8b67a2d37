"""Ratios within one run: ways of doing the same, in turn."""

import statistics
import time


def in_turn(works, repeats=5):
    """Time each work in every round; gives each one's seconds, after a round that does not count.

    ``works`` maps a name to a callable.
    """
    seconds = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def quotient(seconds, above, below):
    """Give the median over the rounds of one work's time by another's."""
    return statistics.median(a / b for a, b in zip(seconds[above], seconds[below], strict=True))


def ratio(ours, theirs, repeats=7):
    """Time both in turn; gives the medians of ours, of theirs, and of the paired ratios."""
    seconds = in_turn({"ours": ours, "theirs": theirs}, repeats)
    mine, other = (statistics.median(seconds[name]) for name in ("ours", "theirs"))
    return mine, other, quotient(seconds, "ours", "theirs")


def report(name, figures, at_most):
    """Print one line."""
    mine, other, found = figures
    verdict = "ok" if found <= at_most else "ABOVE"
    print(f"{name}: {mine:.3f} s against {other:.3f} s, ratio {found:.2f} (≤ {at_most}) {verdict}")
