"""The plain way to train: loss, gradient, step."""

from __future__ import annotations

from pncviz.hookspecs import hookimpl
from pncviz.specs import TrainerSpec
from pncviz.training import Classifier

__all__ = ["pncviz_trainers"]


@hookimpl
def pncviz_trainers() -> list[TrainerSpec]:
    """Give the plain classifier."""
    return [
        TrainerSpec(
            name="standard",
            factory=Classifier,
            summary="gradient steps on the loss of batches as they are",
        )
    ]
