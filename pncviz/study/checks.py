"""Everything that can be known to be wrong with a plan before hours of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pncviz.data import encode_labels
from pncviz.exceptions import PncvizError, StudyError
from pncviz.metrics import find_metric
from pncviz.patterns.course import Course
from pncviz.registry import make_attack, make_strategy
from pncviz.study.identity import canonical, dataset_of
from pncviz.study.plan import Item, Plan
from pncviz.study.work import net_of

__all__ = ["check_plan"]


def check_plan(plan: Plan, missing: Sequence[Item]) -> None:
    """Make every part that missing items name, and throw it away.

    Raises
    ------
    StudyError
        With the part and what is wrong with it.
    UnknownNameError
        No such metric.
    """
    seen: set[str] = set()
    for item in missing:
        for kind, axes, check in _CHECKED:
            parts = canonical([item.identity.get(axis) for axis in axes])
            if item.kind != kind or parts in seen:
                continue
            seen.add(parts)
            try:
                check(item.identity)
            except (PncvizError, ValueError, TypeError, RuntimeError) as error:
                told = (
                    error if isinstance(error, PncvizError) else f"{type(error).__name__}: {error}"
                )
                raise StudyError(f"Study {plan.name}, {item.title}: {told}") from error
        for name in item.identity.get("comparison", {}).get("metrics", ()):
            find_metric(name)


def _check_model(what: Mapping[str, Any]) -> None:
    """Make a module for the data, its optimizer and its trainer."""
    data = dataset_of(what)
    torch.device(what["training"]["device"])  # which only a worker may have
    net = net_of(what, device="cpu")
    net.validate()
    net.data_params_ = {
        "input_shape": data.X.shape[1:],
        "n_classes": len(encode_labels(data.y)[0]),
    }
    with torch.random.fork_rng(devices=[]):
        net.initialize()


def _check_extraction(what: Mapping[str, Any]) -> None:
    Course.checked(
        strategy=make_strategy(what["strategy"]["name"], **what["strategy"]["params"]),
        attack=make_attack(what["attack"]["name"], **what["attack"]["params"]),
        random_state=what["seed"],
        **what["extraction"] | {"n_blocks": 0},  # cells take as many as they have examples
    )


#: What is made at once, and so checked at once, of items of a kind.
_CHECKED = (
    ("model", ("dataset", "architecture", "optimizer", "trainer", "training"), _check_model),
    ("cell", ("strategy", "attack", "extraction"), _check_extraction),
)
