"""From numbers to verdicts: what a claim is, and the rules with their thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.paper.between import Cases, Numbers
from benchmarks.paper.results import Results

NOT, PART, HOLDS = 0, 1, 2
VERDICTS = ("does not hold", "holds in part", "holds")
NOT_RUN = "not run"

#: r from which on two images count as almost identical.
IDENTICAL = 0.9
#: Half of the variance in common; and a tenth.
HALF, TENTH = 0.7, 0.3
SURE = 0.9


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes
    ----------
    key, section, text : str
        The claim in our own words.
    measure : callable
        Results to cases, each a mapping of names to numbers, or None where nothing was run.
    told : str
        A case's numbers as text.
    rule : str
        The thresholds in words.
    judge : callable
        A case's numbers to NOT, PART or HOLDS.
    """

    key: str
    section: str
    text: str
    measure: Callable[[Results], Cases]
    told: str
    rule: str
    judge: Callable[[Numbers], int]


def level(holds: bool, in_part: bool) -> int:
    """Give the verdict's level."""
    return HOLDS if holds else PART if in_part else NOT


def verdict(claim: Claim, cases: Cases) -> str:
    """Judge every case: all hold, or none does, or the claim holds in part.

    Where some of the cases were not run the verdict says so, and is that of the others.
    """
    levels = [claim.judge(numbers) for numbers in cases.values() if numbers is not None]
    if not levels:
        return NOT_RUN
    one = levels[0] if len(set(levels)) == 1 else PART
    short = len(levels) < len(cases) or any(map(incomplete, cases.values()))
    return VERDICTS[one] + (" (as far as run)" if short else "")


def incomplete(numbers: Numbers | None) -> bool:
    """Say whether numbers are of fewer models than there should be."""
    return numbers is not None and numbers.get("done", 0) < numbers.get("of", 0)


def told(claim: Claim, cases: Cases) -> str:
    """Give the numbers of all cases as text."""
    parts = []
    for name, numbers in cases.items():
        text = NOT_RUN if numbers is None else claim.told.format_map(_shown(numbers))
        parts.append(f"{name}: {text}")
    return "; ".join(parts)


class _Shown(float):
    """A number that says so where there is none."""

    def __format__(self, spec: str) -> str:
        return "not known" if math.isnan(self) else super().__format__(spec)


def _shown(numbers: Numbers) -> dict[str, _Shown]:
    return {name: _Shown(value) for name, value in numbers.items()}


# ------------------------------------------------------------------------------ rules


def same(n: Numbers) -> int:
    """Almost identical."""
    return level(n["mean"] >= IDENTICAL, n["mean"] >= HALF and n["mean"] > n["most_other"])


def confident(n: Numbers) -> int:
    """All examples, and all patterns by themselves."""
    examples = n["reached"] == 1 and n["least"] >= SURE
    return level(examples and n["right"] == 1 and n["itself"] >= SURE, examples)


def indifferent(n: Numbers) -> int:
    """To where one stops."""
    both = (n["first"], n["second"])
    return level(min(both) >= IDENTICAL, max(both) >= IDENTICAL)


def persistent(n: Numbers) -> int:
    """Across models."""
    return level(n["nearest"] >= SURE, n["nearest"] >= HALF)


def falling(n: Numbers) -> int:
    """From the simplest to the most complex."""
    steps = [n[name] for name in ("fc_sgd", "fc_adam", "cnn", "norm") if not math.isnan(n[name])]
    down = all(b < a for a, b in pairwise(steps))
    return level(down, steps[-1] < steps[0])


def resembling(n: Numbers) -> int:
    """Beyond chance."""
    beyond = math.isnan(n["beyond"]) or n["beyond"] >= 0.5
    return level(n["identified"] == n["n"] and beyond, n["identified"] >= n["n"] / 2)


def striking(n: Numbers) -> int:
    """How alike."""
    return level(n["mean"] >= HALF, n["mean"] >= TENTH)


def unique(n: Numbers) -> int:
    """No two classes share one."""
    return level(n["shared"] == 0, n["shared"] < 0.05)


def replica(n: Numbers) -> int:
    """Of the class image."""
    return level(n["image"] >= IDENTICAL, n["image"] >= HALF)


def something_else(n: Numbers) -> int:
    """Not the class image, and closer to the contrast."""
    return level(
        n["image"] < IDENTICAL and n["closer"] >= SURE,
        n["image"] < IDENTICAL or n["closer"] >= SURE,
    )
