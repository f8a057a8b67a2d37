"""What the parameters of a substitute may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pncviz.exceptions import ParameterError
from pncviz.synthesis import check_clip, check_count, check_number
from pncviz_substitute.oracle import KINDS

__all__ = ["check_parameters"]


def check_parameters(params: Mapping[str, Any]) -> None:
    """Raise ParameterError for a bad parameter of a SubstituteClassifier.

    Examples
    --------
    >>> from pncviz_substitute import SubstituteClassifier
    >>> check_parameters(SubstituteClassifier(None, step=0).get_params())
    Traceback (most recent call last):
        ...
    pncviz.exceptions.ParameterError: `step` must be a positive number, got 0.
    """
    check_number("step", params["step"], low=0, open_low=True)
    for name in ("n_rounds", "reservoir_after"):
        check_count(name, params[name], low=0)
    for name in ("period", "reservoir", "max_queries"):
        check_count(name, params[name], none=True)
    check_count("n_starts", params["n_starts"])
    check_clip(params["clip"])
    if params["answers"] not in KINDS:
        raise ParameterError(
            f"`answers` must be one of {', '.join(KINDS)}, got {params['answers']!r:.80}."
        )
