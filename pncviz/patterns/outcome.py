"""What came of the patterns, in the user's words."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from pncviz.dataset import common_attrs, printable
from pncviz.exceptions import PatternWarning
from pncviz.models import QueriedModel
from pncviz.registry import distribution_of
from pncviz.specs import Model, Part, Stop

if TYPE_CHECKING:
    from pncviz.patterns.course import Course

__all__ = ["Names", "described", "made_by", "result_attrs", "warn_of_failures"]


class Names:
    """From output units back to labels."""

    def __init__(self, classes: NDArray[Any], units: NDArray[np.int64]) -> None:
        self._label = dict(zip(units.tolist(), classes.tolist(), strict=True))
        self._text = classes.dtype.kind == "U"
        self._none = None if self._text else min(int(classes.min()), 0) - 1

    def of(self, units: NDArray[np.int64]) -> NDArray[Any]:
        """Name each unit; one that no class has is "unit 7", or a number that no label is."""
        return np.array(
            [self._label.get(u, f"unit {u}" if self._text else self._none) for u in units.tolist()]
        )


def warn_of_failures(patterns: xr.Dataset) -> None:
    """Warn of patterns that did not reach their class, by name and reason."""
    if patterns["succeeded"].values.all():
        return
    failed = patterns.sel(label=~patterns["succeeded"])
    rows = [
        f"{printable(label)} ({reason})"
        for label, reason in zip(
            failed["label"].values.tolist(), failed["stop_reason"].values.tolist(), strict=True
        )
    ]
    hint = " Try other parameters of the attack, or another strategy."
    if "max_iter" in failed["stop_reason"].values:
        hint = " Try more iterations or longer steps, such as another learning rate."
    if "vanished_gradient" in failed["stop_reason"].values:
        hint = (
            " No gradient reached them: the model is flat where they are. Try another start, such "
            'as strategy="noise" with a larger or smaller scale.'
        )
    warnings.warn(
        f"{len(rows)} of {patterns.sizes['label']} patterns did not reach their class: "
        f"{', '.join(rows[:10])}.{hint}",
        PatternWarning,
        stacklevel=4,
    )


def result_attrs(course: Course, model: Model) -> dict[str, Any]:
    """Say what made the result."""
    parts: dict[str, Part] = {"strategy": course.strategy, "attack": course.attack}
    parameters = described(parts)
    if not course.uses_attack:
        del parts["attack"]
        parameters["attack"] = {"class": "none"}
    # Class attributes of a plugin are no parameters, but without them a sum is not known for one.
    for name in ("n_examples", "reduction"):
        parameters["strategy"].setdefault(name, getattr(course.strategy, name))
    return made_by(
        "patterns",
        parts,
        parameters,
        model=model,
        stop=course.stop,
        seed=course.seed,
        deterministic=course.deterministic,
    )


def described(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Give the class and parameters of each part."""
    return {
        name: {"class": type(part).__name__, **part.get_params()} for name, part in parts.items()
    }


def made_by(
    kind: str,
    parts: Mapping[str, Part],
    parameters: Mapping[str, Any],
    *,
    model: Model,
    stop: Stop,
    seed: int,
    deterministic: bool,
) -> dict[str, Any]:
    """Give the attributes of what attacks made: parts, stop rule, seed, precision, device."""
    plugins = dict(map(distribution_of, parts.values()))
    plugins.pop("pncviz", None)
    course = {
        "max_iter": stop.max_iter,
        "max_loss": stop.max_loss,
        "min_confidence": stop.min_confidence,
        "max_queries": stop.max_queries,
        "batch_size": model.batch_size,
        "precision": str(model.dtype).removeprefix("torch."),
        "deterministic": deterministic,
        "threads": 1 if deterministic else torch.get_num_threads(),
    }
    found = common_attrs(
        kind,
        parameters={**parameters, **course},
        random_state=seed,
        plugins=plugins,
        deterministic=deterministic,
        device=str(model.device),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
    )
    if isinstance(model, QueriedModel):
        found["n_queries"] = model.n_queries
    return found
