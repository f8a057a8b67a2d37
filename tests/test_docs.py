"""What the README and the docs show works as it stands."""

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from pncviz.exceptions import PncvizError

ROOT = Path(__file__).parent.parent


def _blocks(path):
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), re.DOTALL)


def _run(blocks, namespace):
    for block in blocks:
        exec(compile(block, "<docs>", "exec"), namespace)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_tutorial_runs(tmp_path, monkeypatch, capsys):
    """Every block of the tutorial runs, one after the other."""
    monkeypatch.chdir(tmp_path)
    _run(_blocks("docs/tutorial.md"), {})
    assert (tmp_path / "patterns.png").exists()
    assert "max_iter" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_readme_runs(tmp_path, monkeypatch, digits, digits_net):
    """The README's blocks run, given a net and data of the shape that they name."""
    monkeypatch.chdir(tmp_path)
    own, examples, anything, pipeline, plugin = _blocks("README.md")
    compile(anything, "README.md", "exec")  # run by the plugins' own pages, which it needs
    small = own.replace("(28, 28)", "(8, 8)")
    X = digits.X.reshape(len(digits.X), -1)
    _run([small], {"net": digits_net, "X": X, "y": digits.y})
    assert (tmp_path / "patterns.png").exists()
    made = {"net": digits_net, "X": X, "y": digits.y}
    _run([examples], made)
    assert made["generator"].examples_["succeeded"].values.mean() > 0.9
    _run([pipeline], {})
    namespace = {}
    _run([plugin], namespace)
    assert namespace["pncviz_strategies"]()[0].name == "checkerboard"
    lines = [line for line in plugin.splitlines() if line.strip()]
    assert len(lines) <= 10


@pytest.mark.parametrize("page", ["README.md", "docs/reference.md"])
def test_study_files_are_valid(page):
    """Each TOML block is a study that could be run."""
    from pncviz.study import parse_study
    from pncviz.study.plan import make_plan

    text = (ROOT / page).read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    plan = make_plan(parse_study(tomllib.loads(block)))
    assert len(plan.cells) > 1


def test_plugin_page_runs(monkeypatch):
    """The attack on the plugin page meets its contract."""
    from pncviz.testing import check_attack

    module = ModuleType("plugin_page")
    monkeypatch.setitem(sys.modules, "plugin_page", module)
    _run([b for b in _blocks("docs/plugins.md") if "SignDescent" in b], vars(module))
    check_attack(module.SignDescent())


def test_every_reference_is_in_the_bib():
    """Each key that a spec or docstring cites stands in docs/references.bib."""
    from pncviz.registry import Registry
    from pncviz.specs import KINDS

    known = set(re.findall(r"@\w+\{(\w+),", (ROOT / "docs/references.bib").read_text()))
    registry = Registry(discover=False)
    cited = {e.spec.reference for kind in KINDS for e in registry.entries(kind)} - {""}
    cited |= {
        key
        for path in (ROOT / "plugins").rglob("src/**/*.py")
        for key in re.findall(r'reference="(\w+)"', path.read_text(encoding="utf-8"))
    }
    for path in [*(ROOT / "pncviz").rglob("*.py"), *(ROOT / "plugins").rglob("src/**/*.py")]:
        for section in re.findall(
            r"References\n +-+\n((?: +.*\n)+?)(?=\n|\s*\"\"\")", path.read_text()
        ):
            cited |= set(re.findall(r"\b[a-z]+\d{4}[a-z]*\b", section))
    assert cited
    assert cited <= known


def test_every_error_is_told_in_the_reference():
    """The reference page names each public exception."""
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    from pncviz import exceptions

    assert issubclass(exceptions.ResultError, PncvizError)
    assert [name for name in exceptions.__all__ if name not in text] == []


def test_public_names_have_numpydoc():
    """Each public class and function has a docstring, and says what it may raise or returns."""
    import pncviz

    for name in pncviz.__all__:
        thing = getattr(pncviz, name)
        if callable(thing):
            assert len((thing.__doc__ or "").partition("\n")[0]) > 10, name


def test_attack_of_the_plugin_page():
    """The attack without a descent keeps the contract, also on a model of probabilities alone."""
    from pncviz.testing import check_attack

    module = ModuleType("random_line_of_docs")
    sys.modules[module.__name__] = module  # so that instances can be pickled
    vars(module)["__name__"] = module.__name__
    _run([b for b in _blocks("docs/plugins.md") if "RandomLine" in b], vars(module))
    check_attack(module.RandomLine)
