"""The check for architectures finds a shape that suits, and holds to their word those it trains."""

from __future__ import annotations

import math

import pytest
from torch import nn

from pncviz import ArchitectureSpec, hookimpl
from pncviz.exceptions import ModelError
from pncviz.registry import default_registry
from pncviz.testing import check_architecture


class Linear(nn.Module):
    """Keeps every rule; takes the shapes in ``taken`` alone, or all if there are none."""

    taken: tuple = ()

    def __init__(self, *, input_shape, n_classes):
        super().__init__()
        if self.taken and tuple(input_shape) not in self.taken:
            raise ModelError(f"not {input_shape}")
        type(self).made = [*getattr(self, "made", []), tuple(input_shape)]
        self.layer = nn.Linear(math.prod(input_shape), n_classes)

    def forward(self, x):
        return self.layer(x.flatten(1))


class Large(Linear):
    taken = ((1, 28, 28),)


class Colour(Linear):
    taken = ((3, 32, 32), (3072,))


class Nowhere(Linear):
    taken = ((7, 7, 7),)


class Absent(Linear):
    def __init__(self, **params):
        raise ModelError("needs the package nosuch")


class Drifting(Linear):
    """Answers as it should until the check has trained one; the next is another."""

    n_made = 0

    def __init__(self, *, input_shape, n_classes):
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        type(self).n_made += 1
        self.offset = float(self.n_made > 5)  # two for each of two shapes, and the trained one

    def forward(self, x):
        return super().forward(x) + self.offset


@pytest.fixture
def registered():
    """Give a function that registers an architecture under its class's name."""

    def register(factory):
        class Plugin:
            @hookimpl
            def pncviz_architectures(self):
                return [ArchitectureSpec(name=factory.__name__, factory=factory)]

        default_registry().register(Plugin(), factory.__name__)
        return factory.__name__

    default_registry.cache_clear()
    yield register
    default_registry.cache_clear()


@pytest.mark.parametrize(
    "factory, made",
    [(Linear, {(1, 8, 8), (64,)}), (Large, {(1, 28, 28)}), (Colour, {(3, 32, 32), (3072,)})],
)
def test_first_shape_that_is_taken(factory, made):
    """Without a shape, the first usual one that the architecture takes is checked, and no other."""
    factory.made = []
    check_architecture(factory)
    assert set(factory.made) == made


def test_own_shape():
    """A shape that is given is the only one tried; what is no shape is refused with it."""
    Linear.made = []
    check_architecture(Linear, input_shape=(2, 3, 3))
    assert set(Linear.made) == {(2, 3, 3), (18,)}
    with pytest.raises(AssertionError, match=r"one of the shapes \[\(1, 8, 8\), \(64,\)\]"):
        check_architecture(Large, input_shape=(1, 8, 8))


def test_reasons_are_told():
    """If all shapes are refused, the message says why, each reason once."""
    with pytest.raises(AssertionError, match=r"not \(1, 8, 8\); not \(64,\); not \(1, 28, 28\)"):
        check_architecture(Nowhere)
    with pytest.raises(AssertionError, match=r"ModelError: needs the package nosuch\.$"):
        check_architecture(Absent)


def test_files_are_checked(registered):
    """A registered architecture must answer alike once it was read from its file."""
    check_architecture(registered(Linear))
    with pytest.raises(AssertionError, match="answer alike once read from its file"):
        check_architecture(registered(Drifting))
