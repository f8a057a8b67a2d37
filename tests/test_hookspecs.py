"""The hooks: one for each kind, documented with an example, and nothing in them but specs."""

import inspect
import re
from pathlib import Path

import pluggy
import pytest

from pncviz import hookimpl, hookspecs
from pncviz.hookspecs import GROUP, HOOKS
from pncviz.specs import KINDS

REFERENCE = Path(__file__).parents[1] / "docs" / "reference.md"


def test_one_hook_for_each_kind():
    """Kinds and hooks are the same set, and the module has no other hook."""
    assert list(HOOKS) == list(KINDS)
    found = [name for name, value in vars(hookspecs).items() if hasattr(value, f"{GROUP}_spec")]
    assert sorted(found) == sorted(HOOKS.values())


@pytest.mark.parametrize("kind, hook", HOOKS.items())
def test_hooks_take_nothing_and_combine(kind, hook):
    """A hook has no argument, and never stops at the first result: order must not matter."""
    function = getattr(hookspecs, hook)
    assert not inspect.signature(function).parameters
    assert function.pncviz_spec["firstresult"] is False
    assert function.pncviz_spec["historic"] is False
    assert KINDS[kind].__name__ in str(inspect.signature(function).return_annotation)


@pytest.mark.parametrize("kind, hook", HOOKS.items())
def test_docstring_has_a_complete_example(kind, hook):
    """A hook's text shows an implementation that can be copied: marker, hook, spec, name."""
    text = inspect.getdoc(getattr(hookspecs, hook))
    assert text.splitlines()[0].startswith("Give ")
    example = text.partition("Examples\n--------\n")[2]
    assert re.search(
        rf"^>>> from pncviz import .*\b{KINDS[kind].__name__}\b.*hookimpl", example, re.M
    )
    assert f">>> @hookimpl\n... def {hook}():\n...     return [{KINDS[kind].__name__}(" in example
    assert 'name="' in example


def test_examples_register():
    """Each hook's example is, as it stands, a plugin that pluggy takes."""
    for hook in HOOKS.values():
        text = inspect.getdoc(getattr(hookspecs, hook))
        source = "\n".join(line[4:] for line in text.splitlines() if line[:4] in (">>> ", "... "))
        namespace = {}
        exec(source, namespace)  # our own docstring
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(hookspecs)
        manager.register(type("Example", (), {hook: staticmethod(namespace[hook])}))
        manager.check_pending()
        (specs,) = getattr(manager.hook, hook)()
        assert len(specs) == 1


def test_calling_a_spec_is_an_error():
    """A hook's specification is not an implementation."""
    for hook in HOOKS.values():
        with pytest.raises(NotImplementedError, match=r"^$"):
            getattr(hookspecs, hook)()


def test_marker_is_the_public_one():
    """`from pncviz import hookimpl` is the marker that the registry looks for."""

    @hookimpl
    def pncviz_strategies():
        return []

    assert hookimpl is hookspecs.hookimpl
    assert hasattr(pncviz_strategies, f"{GROUP}_impl")


@pytest.mark.skipif(not REFERENCE.exists(), reason="docs/reference.md is not written yet")
@pytest.mark.parametrize("hook", HOOKS.values())
def test_reference_names_every_hook(hook):
    """A hook that the reference does not name does not exist for its readers."""
    assert f"{hook}(" in REFERENCE.read_text(encoding="utf-8")
