"""Which adapter reaches an estimator, and what becomes of one that fails."""

import pytest
import torch
from torch import nn

from pncviz import AdapterSpec, extract_patterns, hookimpl
from pncviz.exceptions import (
    AdapterError,
    ConflictError,
    ModelError,
    PluginError,
    PluginWarning,
    UnknownNameError,
)
from pncviz.models import TorchModel, access, adapt
from pncviz.registry import Registry


class Mine(nn.Linear):
    """An estimator that the built-in "torch" adapter would take, too."""

    def __init__(self):
        super().__init__(4, 3)


def is_mine(estimator):
    return isinstance(estimator, Mine)


class Marked(TorchModel):
    """A model that tells which adapter made it."""

    by = ""


def spec(name, *, priority=10, matches=is_mine, adapt=None):
    """An adapter whose models carry its name."""

    def marked(estimator, *, input_shape, output="auto"):
        model = Marked(estimator, input_shape=input_shape, output=output)
        model.by = name
        return model

    return AdapterSpec(name=name, matches=matches, adapt=adapt or marked, priority=priority)


@pytest.fixture
def register(monkeypatch):
    """Give a way to add adapters to a registry of this test alone."""
    registry = Registry(discover=False)
    monkeypatch.setattr(access, "default_registry", lambda: registry)

    def add(*specs):
        for number, one in enumerate(specs):

            class Plugin:
                @staticmethod
                @hookimpl
                def pncviz_adapters(one=one):
                    return [one]

            registry.register(Plugin, name=f"plugin{number}")

    return add


@pytest.mark.parametrize("order", [1, -1])
def test_the_highest_priority_wins(register, order):
    """Of all that match, the highest priority adapts, whichever came first."""
    register(*[spec("low", priority=5), spec("high", priority=6)][::order])
    assert adapt(Mine(), input_shape=(4,)).by == "high"


def test_an_exact_adapter_is_only_for_its_own(register):
    """A module that it does not match goes the built-in way."""
    register(spec("mine"))
    assert not isinstance(adapt(nn.Linear(4, 3), input_shape=(4,)), Marked)


@pytest.mark.parametrize("priority", [10, 0])
def test_two_equals_are_a_conflict(register, priority):
    """Equal highest priorities are a ConflictError naming both; built-ins are no exception."""
    register(spec("mine", priority=priority), spec("other", priority=10))
    if priority == 0:
        assert adapt(Mine(), input_shape=(4,)).by == "other"
        return
    match = r'"mine" \(.*\) and "other" \(.*\) fit Mine with the same priority; .* adapter="mine"'
    with pytest.raises(ConflictError, match=match):
        adapt(Mine(), input_shape=(4,))


def test_equals_of_a_built_in_are_a_conflict(register):
    """A plugin of the priority of "torch" conflicts with it."""
    register(spec("mine", priority=0))
    with pytest.raises(ConflictError, match=r'"mine" \(.*\) and "torch" \(pncviz [\d.]+.*\) fit'):
        adapt(Mine(), input_shape=(4,))


def test_lower_equals_do_not_matter(register):
    """Only the highest counts: two equals below it are no conflict."""
    register(spec("a", priority=3), spec("b", priority=3), spec("c", priority=4))
    assert adapt(Mine(), input_shape=(4,)).by == "c"


def test_a_name_forces_an_adapter(register):
    """adapter="name" takes that one: below the highest, among equals, or where none matches."""
    register(spec("a"), spec("b"), spec("never", matches=lambda estimator: False))
    for name in ("a", "b", "never"):
        assert adapt(Mine(), input_shape=(4,), adapter=name).by == name
    assert not isinstance(adapt(Mine(), input_shape=(4,), adapter="torch"), Marked)
    patterns = extract_patterns(Mine(), input_shape=(4,), adapter="b", max_iter=50)
    assert patterns.sizes["label"] == 3


def test_an_unknown_name_is_refused(register):
    """The choices are listed, and the nearest proposed; an empty name is no name."""
    register(spec("mine"))
    with pytest.raises(UnknownNameError, match=r'"torhc".*Did you mean "torch"'):
        adapt(Mine(), input_shape=(4,), adapter="torhc")
    with pytest.raises(UnknownNameError, match=r"Choices: .*mine.*probabilities.*skorch.*torch"):
        adapt(Mine(), input_shape=(4,), adapter="")


@pytest.mark.parametrize("error", [ValueError("odd"), RuntimeError("odd"), SystemExit("odd")])
def test_an_adapter_that_raises_is_named(register, error):
    """Whatever it raises, sys.exit included, comes as a PluginError with its name."""

    def fail(estimator, *, input_shape, output="auto"):
        raise error

    register(spec("mine", adapt=fail))
    match = rf'adapter "mine" \(.+\) failed on Mine: {type(error).__name__}: odd'
    with pytest.raises(PluginError, match=match) as caught:
        adapt(Mine(), input_shape=(4,))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [ModelError("bad weights"), KeyboardInterrupt("ctrl-c")])
def test_what_is_not_the_adapters_fault_passes(register, error):
    """A ModelError says itself what is wrong, and Ctrl-C is no fault."""

    def fail(estimator, *, input_shape, output="auto"):
        raise error

    register(spec("mine", adapt=fail))
    with pytest.raises(type(error), match=r"bad weights|ctrl-c"):
        adapt(Mine(), input_shape=(4,))


@pytest.mark.parametrize("made", [None, 3, nn.Linear(4, 3)])
def test_an_adapter_that_gives_no_model(register, made):
    """Something without a model's methods is a PluginError that says what came."""
    register(spec("mine", adapt=lambda estimator, *, input_shape, output="auto": made))
    with pytest.raises(
        PluginError, match=f'"mine" .* must give a Model, got {type(made).__name__}'
    ):
        adapt(Mine(), input_shape=(4,))


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit("odd")])
def test_matching_that_raises_is_a_warning(register, error):
    """An adapter that raises in matches() is named and passed over; the others work on."""

    def fail(estimator):
        raise error

    register(spec("broken", matches=fail, priority=99), spec("mine"))
    match = rf'adapter "broken" \(.+\) raised {type(error).__name__} in matches\(\).*odd'
    with pytest.warns(PluginWarning, match=match):
        assert adapt(Mine(), input_shape=(4,)).by == "mine"


def test_what_no_adapter_fits(register):
    """The error lists every adapter, plugins included."""
    register(spec("mine"))
    with pytest.raises(
        AdapterError, match=r"No adapter fits str.*: mine, probabilities, skorch, to"
    ):
        adapt("resnet", input_shape=(4,))


def test_the_example_of_the_hook(register):
    """An adapter needs nothing but a TorchModel around what the estimator holds."""

    class Wrapper:
        module, names = torch.nn.Linear(4, 2), ["cat", "owl"]

    def unwrap(estimator, *, input_shape, output="auto"):
        return TorchModel(estimator.module, input_shape=input_shape, classes=estimator.names)

    matches = lambda estimator: isinstance(estimator, Wrapper)  # noqa: E731 # as short as in docs
    register(AdapterSpec(name="wrapper", matches=matches, adapt=unwrap, priority=10))
    patterns = extract_patterns(Wrapper(), input_shape=(4,), max_iter=50)
    assert patterns["label"].values.tolist() == ["cat", "owl"]
