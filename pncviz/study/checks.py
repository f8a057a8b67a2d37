"""Everything that can be known to be wrong with a plan before hours of work."""

from __future__ import annotations

from collections.abc import Sequence

from pncviz.exceptions import PncvizError, StudyError
from pncviz.metrics import find_metric
from pncviz.patterns.course import Course
from pncviz.registry import make_attack, make_strategy
from pncviz.study.identity import canonical
from pncviz.study.plan import Item, Plan
from pncviz.training import make_classifier

__all__ = ["check_plan"]

#: What is made at once, and so checked at once.
_CHECKED = (("architecture", "optimizer", "training"), ("strategy", "attack", "extraction"))


def check_plan(plan: Plan, missing: Sequence[Item]) -> None:
    """Make every part that missing items name, and throw it away.

    Raises
    ------
    StudyError
        With the part and what is wrong with it.
    """
    seen: set[str] = set()
    for item in missing:
        what = item.identity
        for axes in _CHECKED:
            parts = canonical([what.get(axis) for axis in axes])
            if axes[0] not in what or parts in seen:
                continue
            seen.add(parts)
            try:
                _check_model(item) if axes[0] == "architecture" else _check_extraction(item)
            except (PncvizError, TypeError) as error:
                raise StudyError(f"Study {plan.name}, {item.title}: {error}") from error
        for name in what.get("comparison", {}).get("metrics", ()):
            find_metric(name)


def _check_model(item: Item) -> None:
    what = item.identity
    make_classifier(
        what["architecture"]["name"],
        optimizer=what["optimizer"]["name"],
        **what["optimizer"]["params"],
        **what["training"],
        **what["architecture"]["params"],
    )


def _check_extraction(item: Item) -> None:
    what = item.identity
    if "strategy" not in what:
        return
    Course.checked(
        strategy=make_strategy(what["strategy"]["name"], **what["strategy"]["params"]),
        attack=make_attack(what["attack"]["name"], **what["attack"]["params"]),
        random_state=what["seed"],
        **what["extraction"] | {"n_blocks": 0},  # cells take as many as they have examples
    )
