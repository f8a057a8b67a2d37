"""Numbers as a reader sees them, and as the page's script gets them."""

from __future__ import annotations

import json
import math
from typing import Any

from markupsafe import Markup

from pncviz.dataset import printable

__all__ = [
    "UNKNOWN",
    "interval",
    "number",
    "plain_value",
    "probability",
    "probability_told",
    "script_json",
]

#: What stands where nothing is known.
UNKNOWN = "-"


def number(value: float | None, digits: int = 3, *, fixed: bool = False) -> str:
    """Write a number with so many decimals, without the zero in front, as in ".430".

    Small ones get their first digit instead, unless ``fixed``.

    Examples
    --------
    >>> number(0.43), number(-0.43, 2), number(23.456), number(2e-5), number(None)
    ('.430', '−.43', '23.46', '2e−05', '-')
    >>> number(-2e-5, 2, fixed=True)
    '.00'
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    size = abs(value)
    if math.isinf(value):
        text = "∞"
    elif size == 0:
        return "0"
    elif size < 0.5 * 10**-digits and not fixed:
        text = f"{size:.1g}"
    elif size < 10:
        text = f"{size:.{digits}f}"
    elif size < 1000:
        text = f"{size:.{min(digits, 2)}f}"
    else:
        text = f"{size:.4g}"
    text = text[1:] if text.startswith("0.") else text.replace("-", "−")
    return f"−{text}" if value < 0 and text.strip(".0") else text


def probability(value: float | None) -> str:
    """Write a p-value: three decimals, four below .001, never 0.

    Examples
    --------
    >>> probability(0.0312), probability(9.999e-5), probability(2e-7), probability(1.0)
    ('.031', '.0001', '< .0001', '1.000')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if value < 0.00005:
        return "< .0001"
    return number(value, 4 if value < 0.001 else 3)


def probability_told(value: float | None) -> str:
    """Write a p-value for a sentence: "p = .031", "p < .0001"."""
    text = probability(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Write an interval, or a dash where it is unknown."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return UNKNOWN
    return f"[{number(low, digits)}, {number(high, digits)}]"


def plain_value(value: Any) -> Any:
    """Give numbers as they are, NaN as None, and text without what a terminal would obey."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return printable(value) if isinstance(value, str) else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such numbers
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def script_json(value: Any) -> Markup:
    r"""Write JSON that can stand inside a ``<script>`` element whatever it holds.

    Examples
    --------
    >>> print(script_json({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    # ASCII only, which also takes care of U+2028 and U+2029.
    text = json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # nothing is left in it that could end the element
