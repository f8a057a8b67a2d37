"""Ratios within one run: two ways of doing the same, in turn."""

import statistics
import time


def ratio(ours, theirs, repeats=7):
    """Time both in turn; gives the medians of ours, of theirs, and of the paired ratios."""
    ours(), theirs()
    pairs = []
    for _ in range(repeats):
        times = []
        for work in (ours, theirs):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        pairs.append(times)
    mine, other = zip(*pairs, strict=True)
    quotients = [a / b for a, b in pairs]
    return statistics.median(mine), statistics.median(other), statistics.median(quotients)


def report(name, figures, at_most):
    """Print one line."""
    mine, other, quotient = figures
    verdict = "ok" if quotient <= at_most else "ABOVE"
    print(
        f"{name}: {mine:.3f} s against {other:.3f} s, ratio {quotient:.2f} (≤ {at_most}) {verdict}"
    )
