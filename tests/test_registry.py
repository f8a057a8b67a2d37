"""The registry: what is found, what is refused, who is named, and that nobody stops anybody."""

import subprocess
import sys
import textwrap
import types
import warnings

import pytest

from pncviz import Attack, AttackSpec, Strategy, StrategySpec, hookimpl
from pncviz.exceptions import (
    ConflictError,
    ParameterError,
    PluginError,
    PluginWarning,
    UnknownNameError,
)
from pncviz.hookspecs import HOOKS
from pncviz.registry import (
    Registry,
    check_params,
    default_registry,
    discovery,
    distribution_of,
    installed_plugins,
    load_dataset,
    make_attack,
    make_strategy,
    normalize,
    register,
)
from pncviz.specs import KINDS, AdapterSpec, DatasetSpec, MetricSpec

BUILTINS = {
    "strategy": {"zero", "noise", "aai"},
    "attack": {"gradient_descent"},
    "architecture": {"fc", "cnn"},
    "dataset": {"digits", "tiling", "overlapping", "mnist", "fashion_mnist", "idx", "npz"},
    "metric": {"pearson", "spearman", "cosine", "ssim", "nmi", "psnr"},
    "adapter": {"skorch", "torch", "probabilities"},
    "trainer": {"standard"},
}

HEAD = """
from pncviz import *
from pncviz import hookimpl, Strategy, StrategySpec, AttackSpec

class Board(Strategy):
    def __init__(self, size=2, colour="black"):
        self.size = size
        self.colour = colour

"""

GOOD = (
    HEAD
    + """
@hookimpl
def pncviz_strategies():
    return [StrategySpec(name="{name}", factory=Board, summary="a board")]
"""
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test is a process of its own: no warnings given, no default registry, no plugins."""
    monkeypatch.delenv("PNCVIZ_DISABLE_PLUGINS", raising=False)
    monkeypatch.setattr(discovery, "_warned", set())
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution of one module on sys.path, as pip would, and forget it afterwards."""
    installed = []

    def _install(
        distribution, source, *, point=None, module=None, version="1.0", metadata=None, entries=None
    ):
        module = module or distribution.replace("-", "_").lower()
        root = tmp_path / f"site{len(installed)}"
        info = root / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (root / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        if metadata is None:
            metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        if entries is None:
            entries = f"[pncviz]\n{point or module} = {module}\n"
        (info / "entry_points.txt").write_text(entries, encoding="utf-8")
        (info / "top_level.txt").write_text(f"{module}\n", encoding="utf-8")
        (info / "RECORD").write_text(f"{module}.py,,\n", encoding="utf-8")
        monkeypatch.syspath_prepend(root)
        installed.append(module)
        return module

    yield _install
    for module in installed:
        sys.modules.pop(module, None)


def plugin_module(**attributes):
    """A module made by hand, for register()."""
    module = types.ModuleType("handmade")
    vars(module).update(attributes)
    return module


def strategies(*specs):
    """A plugin with these strategies."""
    return hooked("pncviz_strategies", list(specs))


def hooked(hook, given):
    """A plugin whose only hook gives this."""

    def implementation():
        return given

    implementation.__name__ = hook
    return plugin_module(**{hook: hookimpl(implementation)})


def quiet(registry, kind="strategy"):
    """The names of a kind, where warnings are not the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        return registry.names(kind)


# ------------------------------------------------------------------------ built-ins


@pytest.mark.parametrize("kind", list(KINDS))
def test_builtins_come_through_the_hooks(kind):
    """Each kind has its built-ins, from pncviz, and they are what the built-in hook returns."""
    registry = Registry(discover=False)
    assert BUILTINS[kind] <= set(registry.names(kind))
    module = __import__(f"pncviz.builtin.{discovery.BUILTINS[kind]}", fromlist=["x"])
    hook = getattr(module, HOOKS[kind])
    assert hasattr(hook, "pncviz_impl")
    assert {spec.name for spec in hook()} == set(registry.names(kind))
    assert {entry.distribution for entry in registry.entries(kind)} == {"pncviz"}


def test_builtins_of_one_kind_do_not_load_another():
    """Looking up a metric imports neither torch nor any other kind's module."""
    code = (
        "import sys; from pncviz.registry import Registry; "
        "Registry(discover=False).names('metric'); "
        "loaded = [m for m in sys.modules if m == 'torch' or m.startswith('pncviz.builtin.')]; "
        "assert loaded == ['pncviz.builtin.metrics'], loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -------------------------------------------------------------------------- laziness


def test_import_loads_nothing():
    """`import pncviz` brings neither torch, sklearn nor pluggy into the process."""
    code = (
        "import sys, pncviz; "
        "heavy = {'torch', 'sklearn', 'pluggy', 'skorch', 'xarray', 'numpy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_plugins_load_on_first_lookup(install):
    """Neither a registry, register() nor the list of metadata imports a plugin; a look-up does."""
    module = install("pncviz-good", GOOD.format(name="board"))
    registry = Registry()
    registry.register(strategies(StrategySpec(name="mine", factory=Strategy)))
    assert module in {point.name for point in installed_plugins()}
    assert module not in sys.modules
    assert "board" in registry.names("strategy")
    assert module in sys.modules


def test_plugins_load_once(install, monkeypatch):
    """A second look-up neither loads nor calls a hook again, also after a late registration."""
    counted = "COUNT = []\n" + GOOD.format(name="board").replace(
        "return [", "COUNT.append(1); return ["
    )
    module = install("pncviz-good", counted)
    registry = Registry()
    registry.names("strategy")
    registry.register(strategies(StrategySpec(name="late", factory=Strategy)))
    assert {"board", "late"} <= set(registry.names("strategy"))
    assert sys.modules[module].COUNT == [1]


def test_discover_false_sees_no_plugin(install):
    """A fresh registry for tests has the built-ins only."""
    module = install("pncviz-good", GOOD.format(name="board"))
    assert Registry(discover=False).names("strategy") == ["aai", "noise", "zero"]
    assert module not in sys.modules


# ------------------------------------------------------------------- broken plugins

BROKEN = {
    "import error": ("import no_such_module_anywhere", "failed to load: ModuleNotFoundError"),
    "syntax error": ("def (:", r"failed to load: SyntaxError: .*\.py, line 1"),
    "exception": ("raise RuntimeError('boom')", "failed to load: RuntimeError: boom"),
    "sys.exit": ("import sys; sys.exit(3)", "failed to load: SystemExit: 3"),
    "unprintable": (
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        "failed to load: E",
    ),
    "no hook": ("x = 1", "has no hook; it needs one of pncviz_strategies, pncviz_attacks"),
    "misspelt hook": (
        HEAD + "@hookimpl\ndef pncviz_stratgies(): return []",
        'unknown hook "pncviz_stratgies"; did you mean "pncviz_strategies"',
    ),
    "misspelt hook beside a good one": (
        GOOD.format(name="partial") + "@hookimpl\ndef pncviz_colours(): return []",
        'unknown hook "pncviz_colours"',
    ),
    "no marker": (
        HEAD + "def pncviz_strategies(): return []",
        "pncviz_strategies lacks the decorator @pncviz.hookimpl",
    ),
    "no marker beside a good one": (
        GOOD.format(name="partial") + "def pncviz_attacks(): return []",
        "pncviz_attacks lacks the decorator @pncviz.hookimpl",
    ),
    "no marker and misspelt": (
        GOOD.format(name="partial") + "def pncviz_atacks(): return []",
        'pncviz_atacks lacks the decorator @pncviz.hookimpl; did you mean "pncviz_attacks"',
    ),
    "not a function": (
        "pncviz_strategies = []",
        r"pncviz_strategies must be a function with @pncviz.hookimpl, got \[\]",
    ),
    "argument": (
        HEAD + "@hookimpl\ndef pncviz_strategies(config): return []",
        r"must take no argument, but it is pncviz_strategies\(config\)",
    ),
    "wrapper": (
        HEAD + "@hookimpl(wrapper=True)\ndef pncviz_strategies():\n    return (yield)",
        "pncviz_strategies is a wrapper",
    ),
    "hook raises": (
        HEAD + "@hookimpl\ndef pncviz_strategies(): raise KeyError('lost')",
        "pncviz_strategies raised KeyError: 'lost'",
    ),
    "hook exits": (
        HEAD + "@hookimpl\ndef pncviz_strategies(): raise SystemExit(2)",
        "pncviz_strategies raised SystemExit: 2",
    ),
    "generator raises": (
        HEAD + "@hookimpl\ndef pncviz_strategies():\n    yield StrategySpec(name='partial', "
        "factory=Board)\n    1 / 0",
        "pncviz_strategies raised ZeroDivisionError: division by zero",
    ),
    "hook gives None": (
        HEAD + "@hookimpl\ndef pncviz_strategies(): pass",
        "pncviz_strategies gave None, not a list of StrategySpec",
    ),
    "hook gives text": (
        HEAD + "@hookimpl\ndef pncviz_strategies(): return 'board'",
        "pncviz_strategies gave 'board', not a list of StrategySpec",
    ),
    "hook gives a lone spec": (
        HEAD
        + "@hookimpl\ndef pncviz_strategies(): return StrategySpec(name='partial', factory=Board)",
        r"pncviz_strategies gave StrategySpec\(.*, not a list of StrategySpec",
    ),
    "no spec": (
        HEAD + "@hookimpl\ndef pncviz_strategies(): return [42]",
        "pncviz_strategies gave 42, not a StrategySpec",
    ),
    "no spec, and no repr": (
        HEAD + "class Odd:\n    def __repr__(self): raise ValueError\n"
        "@hookimpl\ndef pncviz_strategies(): return [Odd()]",
        "pncviz_strategies gave <Odd.*, not a StrategySpec",
    ),
    "wrong kind": (
        HEAD + "@hookimpl\ndef pncviz_strategies(): return [AttackSpec(name='a', factory=Board)]",
        r"pncviz_strategies gave AttackSpec\(.*, not a StrategySpec",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_plugin(case, install):
    """A broken plugin is named with its distribution in one warning, and everyone else works on."""
    source, message = BROKEN[case]
    install("pncviz-broken", source)
    install("pncviz-a-good", GOOD.format(name="before"))
    install("pncviz-z-good", GOOD.format(name="after"))
    registry = Registry()
    expected = rf'plugin "pncviz_broken" \(pncviz-broken 1.0\): .*{message}'
    with pytest.warns(PluginWarning, match=expected) as record:
        names = registry.names("strategy")
    assert len(record) == 1
    assert {"before", "after"} | BUILTINS["strategy"] <= set(names)
    assert "partial" not in names  # all of a failed plugin, or nothing
    assert "Board" in repr(registry.make("strategy", "after"))
    with pytest.raises(UnknownNameError, match=rf"(?s)Plugins that failed:.*{expected}"):
        registry.get("strategy", "partial")


BAD_SPECS = {
    "name": ("strategy", lambda: StrategySpec(name="a b", factory=Strategy), "the name 'a b'"),
    "empty name": ("strategy", lambda: StrategySpec(name="", factory=Strategy), "the name ''"),
    "name type": ("strategy", lambda: StrategySpec(name=None, factory=Strategy), "the name None"),
    "newline": ("strategy", lambda: StrategySpec(name="a\n", factory=Strategy), r"the name 'a\\n'"),
    "summary": (
        "strategy",
        lambda: StrategySpec(name="bad", factory=Strategy, summary=None),
        '"bad" whose summary is not a string: None',
    ),
    "factory": (
        "attack",
        lambda: AttackSpec(name="bad", factory="Attack"),
        "\"bad\" whose factory is not callable: 'Attack'",
    ),
    "function": (
        "metric",
        lambda: MetricSpec(name="bad", function=None),
        '"bad" whose function is not callable: None',
    ),
    "pairwise": (
        "metric",
        lambda: MetricSpec(name="bad", function=max, pairwise=3),
        '"bad" whose pairwise is not callable: 3',
    ),
    "units": (
        "metric",
        lambda: MetricSpec(name="bad", function=max, units=1),
        '"bad" whose units are not a string: 1',
    ),
    "constant": (
        "metric",
        lambda: MetricSpec(name="bad", function=max, constant="none"),
        "\"bad\" whose constant is not a number: 'none'",
    ),
    "paired": (
        "metric",
        lambda: MetricSpec(name="bad", function=max, paired=3),
        '"bad" whose paired is not callable: 3',
    ),
    "better": (
        "metric",
        lambda: MetricSpec(name="bad", function=max, higher_is_better="yes"),
        "\"bad\" whose higher_is_better is not a bool: 'yes'",
    ),
    "range": (
        "metric",
        lambda: MetricSpec(name="bad", function=max, range=(1.0, 0.0)),
        r'"bad" whose range is not \(smallest, largest\): \(1.0, 0.0\)',
    ),
    "range length": (
        "metric",
        lambda: MetricSpec(name="bad", function=max, range=(1.0,)),
        r'"bad" whose range is not \(smallest, largest\): \(1.0,\)',
    ),
    "range type": (
        "metric",
        lambda: MetricSpec(name="bad", function=max, range=("a", "b")),
        r'"bad" whose range is not \(smallest, largest\)',
    ),
    "matches": (
        "adapter",
        lambda: AdapterSpec(name="bad", matches=True, adapt=max),
        '"bad" whose matches is not callable: True',
    ),
    "adapt": (
        "adapter",
        lambda: AdapterSpec(name="bad", matches=max, adapt=None),
        '"bad" whose adapt is not callable: None',
    ),
    "priority": (
        "adapter",
        lambda: AdapterSpec(name="bad", matches=max, adapt=max, priority="high"),
        "\"bad\" whose priority is not an integer: 'high'",
    ),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_bad_spec(case):
    """One bad spec is refused by name; the good one beside it and the built-ins stay."""
    kind, spec, message = BAD_SPECS[case]
    parts = {"metric": {"function": max}, "adapter": {"matches": bool, "adapt": max}}
    good = KINDS[kind](name="good", **parts.get(kind, {"factory": Strategy}))
    registry = Registry(discover=False)
    registry.register(hooked(HOOKS[kind], [spec(), good]))
    with pytest.warns(PluginWarning, match=f"{HOOKS[kind]} gave {message}") as record:
        names = registry.names(kind)
    assert len(record) == 1
    assert "good" in names
    assert "bad" not in names
    assert BUILTINS[kind] <= set(names)


def test_optional_hook_of_a_newer_pncviz():
    """A hook marked optional may be unknown; the plugin's others count."""

    @hookimpl(optionalhook=True)
    def pncviz_of_the_future():
        return []

    plugin = strategies(StrategySpec(name="mine", factory=Strategy))
    plugin.pncviz_of_the_future = pncviz_of_the_future
    registry = Registry(discover=False)
    registry.register(plugin)
    assert "mine" in registry.names("strategy")


def test_hook_under_another_name():
    """`hookimpl(specname=…)` is the hook that it says."""

    @hookimpl(specname="pncviz_strategies")
    def mine():
        return [StrategySpec(name="mine", factory=Strategy)]

    registry = Registry(discover=False)
    registry.register(plugin_module(mine=mine))
    assert "mine" in registry.names("strategy")


def test_hook_that_looks_itself_up():
    """A hook that asks for its own kind ends, and its names count."""
    registry = Registry(discover=False)

    @hookimpl
    def pncviz_strategies():
        assert "zero" in registry.names("strategy")
        return [StrategySpec(name="mine", factory=Strategy)]

    registry.register(plugin_module(pncviz_strategies=pncviz_strategies))
    assert registry.names("strategy") == ["aai", "mine", "noise", "zero"]


def test_plugin_that_looks_up_while_it_loads(install):
    """A plugin that asks for a name at import neither recurses nor hides itself or others."""
    lookup = "from pncviz.registry import default_registry\ndefault_registry().names('strategy')\n"
    install("pncviz-a", lookup + GOOD.format(name="first"))
    install("pncviz-b", GOOD.format(name="second"))
    assert {"first", "second", "zero"} <= set(default_registry().names("strategy"))


def test_interrupt_is_not_a_failure(install):
    """Ctrl-C while a plugin loads, or in its hook, reaches the user; the next look-up goes on."""
    interrupt = "import os\nif os.environ.pop('{}', ''): raise KeyboardInterrupt\n"
    source = (interrupt + GOOD).replace("    return [", "    interrupt_here()\n    return [")
    source = source.format("PNCVIZ_TEST_LOAD", name="board") + (
        "def interrupt_here():\n    if os.environ.pop('PNCVIZ_TEST_HOOK', ''): "
        "raise KeyboardInterrupt\n"
    )
    install("pncviz-slow", source)
    registry = Registry()
    for variable in ("PNCVIZ_TEST_LOAD", "PNCVIZ_TEST_HOOK"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(variable, "1")
            with pytest.raises(KeyboardInterrupt):  # it has no message
                registry.names("strategy")
    assert "board" in registry.names("strategy")
    assert registry.failures() == []


# ------------------------------------------------------------------------- warnings


def test_warns_once_per_process(install):
    """The same failure warns once: not on the next look-up, nor from another registry."""
    install("pncviz-broken", "1 / 0")
    registry = Registry()
    with pytest.warns(PluginWarning, match="ZeroDivisionError") as record:
        registry.names("strategy")
    assert len(record) == 1
    registry.names("strategy")  # any warning is an error here
    registry.names("attack")
    registry.register(strategies(StrategySpec(name="late", factory=Strategy)))
    registry.names("strategy")
    again = Registry()
    assert "zero" in again.names("strategy")
    assert [f.distribution for f in again.failures()] == ["pncviz-broken"]


def test_warning_turned_into_error_stops_nobody(install):
    """Under -W error the look-up raises, but all plugins have loaded by then."""
    install("pncviz-a", "1 / 0")
    install("pncviz-b", GOOD.format(name="board"))
    registry = Registry()
    with pytest.raises(PluginWarning, match=r"pncviz-a 1\.0.*Everything else works on"):
        registry.names("strategy")
    assert "board" in registry.names("strategy")


def test_failures_of_other_kinds_are_not_repeated():
    """An unknown attack repeats what may explain it, not a failure of the metrics."""
    registry = Registry(discover=False)
    registry.register(hooked("pncviz_metrics", [MetricSpec(name="bad", function=None)]))
    with pytest.warns(PluginWarning, match="whose function is not callable"):
        registry.names("metric")
    with pytest.raises(UnknownNameError, match=r"^(?!.*not callable).*$"):
        registry.get("attack", "bad")
    with pytest.raises(UnknownNameError, match=r"Plugins that failed:\n.*not callable"):
        registry.get("metric", "bad")


# ------------------------------------------------------------------------- metadata


def test_broken_entry_points_file(install):
    """A distribution whose entry_points.txt is broken is named and stops nobody."""
    install("pncviz-broken", "", entries="[pncviz]\nno equals sign\n")
    install("pncviz-good", GOOD.format(name="board"))
    registry = Registry()
    with pytest.warns(PluginWarning, match=r"\(pncviz-broken 1.0\): entry_points.txt cannot be"):
        assert "board" in registry.names("strategy")


def test_strangers_broken_entry_points_file(install):
    """A broken file of a distribution that is no plugin is not our business."""
    install("stranger", "", entries="[console_scripts]\nno equals sign\n")
    install("pncviz-good", GOOD.format(name="board"))
    assert "board" in Registry().names("strategy")


def test_entry_point_to_nothing(install):
    """An entry point whose module or attribute is not there is a failure to load."""
    install("pncviz-broken", "", entries="[pncviz]\nghost = pncviz_broken:ghost\n")
    with pytest.warns(PluginWarning, match='plugin "ghost".*failed to load: AttributeError'):
        Registry().names("strategy")


def test_distribution_without_metadata(install):
    """Plugins whose METADATA is empty still work, both of them."""
    install("pncviz-a", GOOD.format(name="first"), metadata="\n")
    install("pncviz-b", GOOD.format(name="second"), metadata="\n")
    registry = Registry()
    assert {"first", "second"} <= set(registry.names("strategy"))
    assert registry.entry("strategy", "first").origin == "unknown distribution"


def test_first_on_the_path_hides_the_second(install):
    """A distribution that is on sys.path twice counts once, as for Python's import."""
    install("pncviz-good", GOOD.format(name="old"), version="1.0")
    install("pncviz-good", GOOD.format(name="new"), version="2.0")
    entry = Registry().entry("strategy", "new")
    assert entry.origin == "pncviz-good 2.0"
    assert "old" not in Registry().names("strategy")


def test_one_entry_point_name_in_two_distributions(install):
    """Two distributions may call their entry points the same; both work."""
    install("pncviz-a", GOOD.format(name="first"), point="shapes")
    install("pncviz-b", GOOD.format(name="second"), point="shapes")
    registry = Registry()
    assert registry.entry("strategy", "first").distribution == "pncviz-a"
    assert registry.entry("strategy", "second").distribution == "pncviz-b"


def test_one_module_under_two_entry_points(install):
    """The same module twice is one plugin, and the second entry point is told so."""
    entries = "[pncviz]\na = pncviz_good\nb = pncviz_good\n"
    install("pncviz-good", GOOD.format(name="board"), entries=entries)
    registry = Registry()
    with pytest.warns(PluginWarning, match=r'"b" .*is the very plugin that "a" \(pncviz-good\)'):
        assert "board" in registry.names("strategy")


def test_distribution_called_builtin(install):
    """No choice of names lets a plugin pass for the built-ins."""
    install("builtin", GOOD.format(name="zero"), point="strategies", module="sly_module")
    registry = Registry()
    with pytest.warns(PluginWarning, match="is a built-in's name"):
        assert registry.entry("strategy", "zero").distribution == "pncviz"


# -------------------------------------------------------------------- switching off


@pytest.mark.parametrize(
    "value, left",
    [
        ("", {"first", "second"}),
        ("first_point", {"second"}),
        ("First.Point", {"second"}),
        ("PNCVIZ_B", {"first"}),
        (" pncviz-a , second-point ,", set()),
        ("*", set()),
        ("nobody", {"first", "second"}),
    ],
)
def test_disable_list(value, left, install, monkeypatch):
    """PNCVIZ_DISABLE_PLUGINS takes entry points or distributions in any spelling, and *."""
    first = install("pncviz-a", GOOD.format(name="first"), point="first_point")
    install("pncviz-b", GOOD.format(name="second"), point="second-point")
    monkeypatch.setenv("PNCVIZ_DISABLE_PLUGINS", value)
    registry = Registry()
    assert {"first", "second"} & set(registry.names("strategy")) == left
    assert BUILTINS["strategy"] <= set(registry.names("strategy"))
    assert (first in sys.modules) == ("first" in left)
    assert registry.failures() == []


def test_disabled_plugins_are_mentioned(install, monkeypatch):
    """Who looks for a name of a plugin that is switched off is told so."""
    install("pncviz-good", GOOD.format(name="board"), point="boards")
    monkeypatch.setenv("PNCVIZ_DISABLE_PLUGINS", "boards")
    with pytest.raises(UnknownNameError, match="Switched off by PNCVIZ_DISABLE_PLUGINS: boards"):
        Registry().get("strategy", "board")


# ------------------------------------------------------------------ names, conflicts


@pytest.mark.parametrize("name", ["gradient_descent", "Gradient-Descent", "GRADIENT.DESCENT"])
def test_names_are_normalised(name):
    """Look-up folds case and separators; lists keep the author's spelling."""
    registry = Registry(discover=False)
    assert registry.get("attack", name).name == "gradient_descent"
    assert registry.names("attack") == ["gradient_descent"]
    assert normalize(name) == "gradient-descent"
    assert normalize("a-_.b") == "a-b"


@pytest.mark.parametrize("name", ["zero", "Zero", "ZERO"])
def test_builtin_name_is_refused(name, install):
    """A plugin that takes a built-in's name is refused, warned of, and the built-in stays."""
    install("pncviz-taker", GOOD.format(name=name))
    registry = Registry()
    message = rf"\(pncviz-taker 1.0\): strategy \"{name}\" is a built-in's name; the built-in stays"
    with pytest.warns(PluginWarning, match=message) as record:
        assert registry.entry("strategy", "zero").distribution == "pncviz"
    assert len(record) == 1
    assert [n for n in registry.names("strategy") if normalize(n) == "zero"] == ["zero"]


def test_refusal_is_kept_once(install):
    """A late registration builds the table anew; a refusal is still one failure."""
    install("pncviz-taker", GOOD.format(name="zero"))
    registry = Registry()
    quiet(registry)
    registry.register(strategies(StrategySpec(name="late", factory=Strategy)))
    assert "late" in registry.names("strategy")
    assert [f.name for f in registry.failures()] == ["zero"]


def test_conflict_between_plugins(install):
    """Two distributions with one name: one warning, neither gets it, look-up names both."""
    install("pncviz-a", GOOD.format(name="board"))
    install("pncviz-b", GOOD.format(name="Board"), version="2.0")
    install("pncviz-c", GOOD.format(name="other"))
    registry = Registry()
    both = "pncviz-a 1.0 and pncviz-b 2.0"
    with pytest.warns(PluginWarning, match=f"is claimed by {both}, so neither has it") as record:
        names = registry.names("strategy")
    assert len(record) == 1
    assert "other" in names
    assert not {"board", "Board"} & set(names)
    with pytest.raises(ConflictError, match=f"claimed by {both}.*PNCVIZ_DISABLE_PLUGINS"):
        registry.get("strategy", "board")
    refused = [row for row in registry.listing() if normalize(row.name) == "board"]
    assert [(row.distribution, bool(row.problem)) for row in refused] == [
        ("pncviz-a", True),
        ("pncviz-b", True),
    ]


def test_conflict_ends_when_one_is_switched_off(install, monkeypatch):
    """Of two that share a name, switching one off gives it to the other."""
    install("pncviz-a", GOOD.format(name="board"))
    install("pncviz-b", GOOD.format(name="board"))
    monkeypatch.setenv("PNCVIZ_DISABLE_PLUGINS", "pncviz-a")
    assert Registry().entry("strategy", "board").distribution == "pncviz-b"


def test_one_plugin_gives_a_name_twice():
    """A plugin in conflict with itself is told so."""
    spec = StrategySpec(name="twin", factory=Strategy)
    registry = Registry(discover=False)
    registry.register(strategies(spec, StrategySpec(name="Twin", factory=Strategy)))
    with pytest.warns(PluginWarning, match="given twice by registered in this process"):
        assert "twin" not in registry.names("strategy")


def test_one_name_in_two_kinds():
    """Kinds have names of their own: a strategy and an attack may share one."""
    plugin = strategies(StrategySpec(name="both", factory=Strategy))
    plugin.pncviz_attacks = hooked(
        "pncviz_attacks", [AttackSpec(name="both", factory=Attack)]
    ).pncviz_attacks
    registry = Registry(discover=False)
    registry.register(plugin)
    assert isinstance(registry.get("strategy", "both"), StrategySpec)
    assert isinstance(registry.get("attack", "both"), AttackSpec)


def test_unknown_name_with_hint_and_choices():
    """An unknown name gets the likeliest choice, and all of them."""
    registry = Registry(discover=False)
    message = r'Unknown strategy "noize"\. Did you mean "noise"\? Choices: aai, noise, zero\.$'
    with pytest.raises(UnknownNameError, match=message):
        registry.get("strategy", "noize")
    message = r'Unknown strategy "qqqq"\. Choices: aai, noise, zero\.$'
    with pytest.raises(UnknownNameError, match=message):
        registry.get("strategy", "qqqq")


@pytest.mark.parametrize("name", [None, 3, "", ["zero"]])
def test_name_of_another_type(name):
    """Something that is no name is unknown, in the same words."""
    with pytest.raises(UnknownNameError, match=r"Unknown strategy .* Choices: aai"):
        Registry(discover=False).get("strategy", name)


def test_unknown_kind():
    """An unknown kind gets the likeliest one, and all of them."""
    with pytest.raises(UnknownNameError, match=r'No kind "strategys".*mean "strategy".*adapter'):
        Registry(discover=False).names("strategys")


# ------------------------------------------------------------------------- register


def test_register_in_this_process():
    """register() takes effect at once, also after a look-up, and in the default registry only."""
    assert "mine" not in quiet(default_registry())
    register(strategies(StrategySpec(name="mine", factory=Strategy)))
    assert isinstance(make_strategy("mine"), Strategy)
    assert "mine" not in Registry(discover=False).names("strategy")


def test_register_an_instance():
    """An object whose methods are hooks is a plugin; its class is not, and the error says why."""

    class Mine:
        @hookimpl
        def pncviz_strategies(self):
            return [StrategySpec(name="mine", factory=Strategy)]

    registry = Registry(discover=False)
    with pytest.raises(PluginError, match=r"no argument.*give an instance, not the class"):
        registry.register(Mine)
    registry.register(Mine())
    assert "mine" in registry.names("strategy")


@pytest.mark.parametrize(
    "plugin, message",
    [
        (plugin_module(), "has no hook"),
        (None, "has no hook"),
        (plugin_module(pncviz_strategies=lambda **_: []), "lacks the decorator"),
        (
            plugin_module(pncviz_strategie=hookimpl(lambda **_: [])),
            'unknown hook "pncviz_strategie"',
        ),
        (plugin_module(pncviz_attacks=hookimpl(lambda x: [])), "must take no argument"),
    ],
)
def test_register_refuses(plugin, message):
    """What is wrong with a plugin given by hand is an error at once, and leaves no trace."""
    registry = Registry(discover=False)
    with pytest.raises(PluginError, match=f"registered in this process.*{message}"):
        registry.register(plugin)
    assert registry.failures() == []
    registry.register(strategies(StrategySpec(name="mine", factory=Strategy)))
    assert "mine" in registry.names("strategy")


def test_register_twice():
    """The same plugin, or another under the same name, is refused; under a new name it is taken."""
    registry = Registry(discover=False)
    first = strategies(StrategySpec(name="first", factory=Strategy))
    registry.register(first)
    with pytest.raises(PluginError, match="is registered already"):
        registry.register(strategies(StrategySpec(name="second", factory=Strategy)))
    with pytest.raises(PluginError, match='is the very plugin that "handmade"'):
        registry.register(first, name="again")
    registry.register(strategies(StrategySpec(name="second", factory=Strategy)), name="other")
    assert {"first", "second"} <= set(registry.names("strategy"))


def test_register_a_builtin():
    """Registering a built-in's module by hand is refused, and does not lock the built-ins out."""
    import pncviz.builtin.strategies as builtin

    registry = Registry(discover=False)
    with pytest.raises(PluginError, match="is built in"):
        registry.register(builtin)
    assert "zero" in registry.names("strategy")


def test_plugin_that_breaks_inspection():
    """An object that raises when it is looked at is refused like any other."""

    class Hostile:
        def __dir__(self):
            raise RuntimeError("do not look")

    with pytest.raises(PluginError, match="RuntimeError: do not look"):
        Registry(discover=False).register(Hostile())


# ----------------------------------------------------------------------- making parts


def test_make_with_parameters(install):
    """Parameters reach the factory; bad ones are refused with hint and choices."""
    install("pncviz-good", GOOD.format(name="board"))
    assert make_strategy("board", size=3).size == 3
    message = r'strategy "board" has no parameter `sise`\. Did you mean `size`\? Choices: size, c'
    with pytest.raises(ParameterError, match=message):
        make_strategy("board", sise=3)
    with pytest.raises(ParameterError, match=r"no parameter `size`\. Choices: none\."):
        make_strategy("zero", size=3)
    with pytest.raises(ParameterError, match=r"no parameter `learning_rat`.*`learning_rate`"):
        make_attack("gradient_descent", learning_rat=1)


def test_make_needs_a_parameter():
    """A parameter that was not given is the caller's fault, not the plugin's."""
    registry = Registry(discover=False)
    registry.register(strategies(StrategySpec(name="mine", factory=lambda size, *, colour=1: 0)))
    with pytest.raises(ParameterError, match=r'strategy "mine" needs `size`; got \{\'colour\': 2'):
        registry.make("strategy", "mine", colour=2)


def test_parameters_that_cannot_be_told():
    """Factories with **params, and those of C without a signature, take what they are given."""
    check_params("dataset", "x", lambda **params: params, {"anything": 1})
    check_params("dataset", "x", max, {"anything": 1})
    with pytest.raises(ParameterError, match=r"no parameter `args`\. Choices: none"):
        check_params("dataset", "x", lambda *args: args, {"args": 1})


@pytest.mark.parametrize(
    "body, message",
    [
        ("raise ValueError('boom')", "ValueError: boom"),
        ("import sys; sys.exit(1)", "SystemExit: 1"),
        ("return 1 + ''", "TypeError: unsupported"),
    ],
)
def test_factory_raises(body, message, install):
    """A factory that raises or exits is a PluginError with plugin, distribution and parameters."""
    source = f"def factory(size=1):\n    {body}\n" + GOOD.format(name="bad")
    install("pncviz-bad", source.replace("factory=Board", "factory=factory"))
    expected = (
        rf'strategy "bad" \(pncviz-bad 1.0\) could not be made with \{{\'size\': 2\}}: {message}'
    )
    with pytest.raises(PluginError, match=expected) as caught:
        make_strategy("bad", size=2)
    assert caught.value.__cause__ is not None


def test_own_errors_pass_through_the_factory():
    """A ParameterError of the factory is about the parameter, and stays one."""

    def factory(size=1):
        raise ParameterError("`size` must be even, got 1.")

    registry = Registry(discover=False)
    registry.register(strategies(StrategySpec(name="mine", factory=factory)))
    with pytest.raises(ParameterError, match=r"^`size` must be even, got 1\.$"):
        registry.make("strategy", "mine")


@pytest.mark.parametrize(
    "kind, spec, make, expected",
    [
        ("strategy", StrategySpec, make_strategy, "Strategy"),
        ("attack", AttackSpec, make_attack, "Attack"),
        ("dataset", DatasetSpec, load_dataset, "Dataset"),
    ],
)
def test_factory_gives_something_else(kind, spec, make, expected):
    """A factory must give what its kind promises."""
    register(hooked(HOOKS[kind], [spec(name="mine", factory=lambda: 3)]))
    message = rf'{kind} "mine" \(registered in this process\): .* a {expected}, got int'
    with pytest.raises(PluginError, match=message):
        make("mine")


def test_make_of_a_kind_without_factory():
    """A metric is looked up, not made."""
    with pytest.raises(ParameterError, match='metric "pearson" has no factory'):
        Registry(discover=False).make("metric", "pearson")


# -------------------------------------------------------------------------- listing


def test_listing(install):
    """Built-ins, plugins and failures are rows; a plugin that gives nothing is one, too."""
    install("pncviz-good", GOOD.format(name="board"), version="2.1")
    install("pncviz-empty", HEAD + "@hookimpl\ndef pncviz_attacks(): return []", point="hollow")
    install("pncviz-broken", "1 / 0", point="wreck")
    registry = Registry()
    with pytest.warns(PluginWarning, match="wreck"):
        rows = registry.listing()
    found = {(r.distribution, r.version, r.kind, r.name, r.summary, r.problem) for r in rows}
    assert ("pncviz-good", "2.1", "strategy", "board", "a board", "") in found
    assert ("pncviz-empty", "1.0", "", "hollow", "gives no names", "") in found
    problem = "failed to load: ZeroDivisionError: division by zero"
    assert ("pncviz-broken", "1.0", "", "wreck", "", problem) in found
    for kind, names in BUILTINS.items():
        own = {r.name for r in rows if r.kind == kind and r.distribution == "pncviz"}
        assert names <= own
    assert rows[0].distribution == "pncviz"
    assert [bool(r.problem) for r in rows] == sorted(bool(r.problem) for r in rows)


def test_rows_cannot_be_changed():
    """What a registry hands out is frozen."""
    row = Registry(discover=False).listing()[0]
    with pytest.raises(AttributeError, match="cannot assign to field 'name'"):
        row.name = "other"


def test_installed_plugins_reads_metadata_only(install):
    """The list without loading names entry point, distribution and version, also of the broken."""
    module = install("pncviz-broken", "1 / 0", point="wreck", version="3.0")
    points = {point.name: point for point in installed_plugins()}
    assert (points["wreck"].dist.name, points["wreck"].dist.version) == ("pncviz-broken", "3.0")
    assert module not in sys.modules


# ------------------------------------------------------------------------ provenance


def test_distribution_of_a_plugins_part(install):
    """A part's origin is its distribution, whatever the module is called."""
    install("pncviz-good", GOOD.format(name="board"), module="another_name", version="4.2")
    assert distribution_of(make_strategy("board")) == ("pncviz-good", "4.2")
    assert distribution_of(make_strategy("zero"))[0] == "pncviz"


def test_distribution_of_an_editable_install(install, tmp_path):
    """Editable installs list no modules; the entry point's module tells the distribution."""
    install("pncviz-editable", GOOD.format(name="board"), module="editable_module")
    info = tmp_path / "site0" / "pncviz_editable-1.0.dist-info"
    (info / "top_level.txt").unlink()
    (info / "RECORD").write_text("_editable.pth,,\n", encoding="utf-8")
    assert distribution_of(make_strategy("board")) == ("pncviz-editable", "1.0")


def test_distribution_in_a_shared_package(install):
    """In a package of two editable distributions, the longest entry point that fits tells whose."""
    install("pncviz-a", "", entries="[pncviz]\na = shared_space\n")
    install("pncviz-b", "", entries="[pncviz]\nb = shared_space.b\n")
    for module, owner in [("shared_space.b.parts", "pncviz-b"), ("shared_space.bb", "pncviz-a")]:
        part = type("Mine", (), {"__module__": module})()
        assert distribution_of(part) == (owner, "1.0")


def test_distribution_of_a_sibling_module(install):
    """A class beside the entry point's module, in its package, is of the same distribution."""
    install("pncviz-a", "", entries="[pncviz]\na = sibling_space.plugin\n")
    part = type("Mine", (), {"__module__": "sibling_space.strategies"})()
    assert distribution_of(part) == ("pncviz-a", "1.0")


def test_distribution_of_other_classes():
    """Libraries are found by what is installed; a class of the script has no distribution."""
    import numpy as np

    assert distribution_of(np.zeros(1)) == ("numpy", np.__version__)
    made = type("Mine", (), {"__module__": "no_such_package.part"})()
    assert distribution_of(made) == ("no_such_package", "")
