"""What every section of the page is written with: tables, numbers, verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Verdict", "number", "share", "table"]


@dataclass(frozen=True)
class Verdict:
    """A claim of a paper, and whether it was found here.

    Attributes
    ----------
    claim : str
        In our own words.
    word : {"agrees", "in part", "does not agree", "not known"}
    told : str
        The numbers that say so.
    """

    claim: str
    word: str
    told: str

    @classmethod
    def of(cls, claim: str, holds: bool, in_part: bool, told: str) -> Verdict:
        """Judge by two conditions."""
        word = "agrees" if holds else "in part" if in_part else "does not agree"
        return cls(claim, word, told)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def number(value: float | None, digits: int = 2) -> str:
    """Write a number; nothing where there is none."""
    if value is None or math.isnan(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def share(value: float | None, digits: int = 0) -> str:
    """Write a share as a percentage; nothing where there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}%}"
