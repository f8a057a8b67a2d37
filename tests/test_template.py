"""The plugin to copy, from its wheel: built, installed apart, listed, used by name, and tested."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pncviz import load

TEMPLATE = Path(__file__).resolve().parents[1] / "plugins" / "pncviz-template"

pytestmark = pytest.mark.skipif(not TEMPLATE.is_dir(), reason="plugins/ is not in the sdist")

EXTRACTION = """
from pncviz import AdversarialPatternExtractor, load_dataset, make_classifier
data = load_dataset("tiling")
net = make_classifier("fc", hidden=[8], max_epochs=5)
extractor = AdversarialPatternExtractor(net, strategy="checkerboard", max_iter=5, random_state=0)
patterns = extractor.fit(data.X, data.y).patterns_
print(patterns["pattern"].dims, patterns["pattern"].shape)
"""

LOOK_UP = "from pncviz import make_strategy; print(make_strategy('checkerboard'))"


@dataclass(frozen=True)
class Place:
    """An environment that sees the running one's packages, and what is installed into it."""

    python: Path
    folder: Path

    def run(self, *arguments, cwd=None, **environment):
        """Run its Python there; gives the finished process."""
        drop = {"PYTHONPATH", "PNCVIZ_DISABLE_PLUGINS"}
        kept = {name: value for name, value in os.environ.items() if name not in drop}
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "COLUMNS": "160"}
        return subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=cwd or self.folder,
            env=kept | threads | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def call(self, *arguments, **options):
        """Run, and give what is printed; a failure fails the test with all that was said."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def make_place(folder):
    """Make an environment without pip that sees what the running one sees."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        paths.add(site.getusersitepackages())
    own = (
        "Lib/site-packages"
        if os.name == "nt"
        else f"lib/python3.{sys.version_info[1]}/site-packages"
    )
    # addsitedir, not a plain path: it follows the .pth files of editable installs too.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in sorted(paths)]
    (folder / own / "running.pth").write_text("".join(lines))
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return Place(python, folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the template, as an author would build it."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("author")
    copy = shutil.copytree(TEMPLATE, folder / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    here = Place(Path(sys.executable), folder)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    here.call("-m", "pip", "wheel", *options, "-w", folder, copy)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment with pncviz and without the plugin."""
    try:
        importlib.metadata.distribution("pncviz-template")
    except importlib.metadata.PackageNotFoundError:
        return make_place(tmp_path_factory.mktemp("bare"))
    pytest.skip("pncviz-template is installed beside pncviz")


@pytest.fixture(scope="module")
def place(wheel, tmp_path_factory):
    """An environment into which the wheel was installed, its dependencies found offline."""
    place = make_place(tmp_path_factory.mktemp("user"))
    here = Place(Path(sys.executable), place.folder)
    options = ["--no-index", "--disable-pip-version-check"]
    here.call("-m", "pip", "--python", place.python, "install", *options, wheel)
    return place


@pytest.fixture(scope="module")
def model(bare):
    """A small net, trained and kept by the command line."""
    options = ["--architecture", "fc", "--out", "model.safetensors", "--max-epochs", "2"]
    bare.call("-m", "pncviz", "train", "digits", *options)
    return bare.folder / "model.safetensors"


def test_class_is_short():
    """A strategy plugin takes at most ten lines."""
    tree = ast.parse((TEMPLATE / "src" / "pncviz_template" / "__init__.py").read_text())
    (strategy,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert strategy.end_lineno - strategy.lineno < 10


def test_wheel_holds_all(wheel):
    """The wheel has the module, its type marker, the licence, and the entry point."""
    assert wheel.name == "pncviz_template-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition(".dist-info")[2] or name for name in archive.namelist()}
        points = archive.read("pncviz_template-0.1.0.dist-info/entry_points.txt").decode()
    wanted = {"pncviz_template/__init__.py", "pncviz_template/py.typed", "/licenses/LICENSE"}
    assert wanted < names
    assert points.split() == ["[pncviz]", "template", "=", "pncviz_template"]


def test_listed(place):
    """The list of plugins shows the name with its kind, distribution and version."""
    listed = place.call("-m", "pncviz", "plugins", "list")
    (row,) = [line for line in listed.splitlines() if "checkerboard" in line]
    for part in ("pncviz-template", "0.1.0", "strategy", "start from a checkerboard"):
        assert part in row


def test_used_by_name(place):
    """The extractor takes the plugin's strategy by its name."""
    printed = place.call("-W", "ignore::pncviz.exceptions.PatternWarning", "-c", EXTRACTION)
    assert printed.strip() == "('label', 'channel', 'row', 'column') (4, 1, 6, 6)"


def test_command_line(place, model):
    """The command line extracts with the plugin's strategy, and the file says whose it was."""
    options = ["--strategy", "checkerboard", "--max-iter", "20", "-o", "p.nc"]
    place.call("-m", "pncviz", "extract", model, *options)
    patterns = load(place.folder / "p.nc")
    assert patterns["pattern"].shape == (10, 1, 8, 8)
    assert np.isfinite(patterns["pattern"]).all()
    attrs = "\n".join(f"{name} {value}" for name, value in patterns.attrs.items())
    assert "Checkerboard" in attrs
    assert "pncviz-template" in attrs


def test_switched_off(place):
    """Switched off by its distribution's name, the plugin's name is unknown."""
    done = place.run("-c", LOOK_UP, PNCVIZ_DISABLE_PLUGINS="pncviz-template")
    assert done.returncode == 1
    assert 'UnknownNameError: Unknown strategy "checkerboard"' in done.stderr
    assert "Checkerboard()" in place.call("-c", LOOK_UP)


def test_unknown_without(bare, model):
    """Without the plugin the name is unknown, the choices are listed, and nothing is written."""
    options = ["--strategy", "checkerboard", "-o", "without.nc"]
    done = bare.run("-m", "pncviz", "extract", model, *options)
    assert done.returncode == 2
    assert 'Unknown strategy "checkerboard". Choices: aai, noise, zero.' in done.stderr
    assert not (bare.folder / "without.nc").exists()


def test_own_test_passes(place, wheel):
    """The template's own one-line test passes where the plugin is installed."""
    said = place.call("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=wheel.parent / "copy")
    assert "1 passed" in said


def test_own_test_needs_the_plugin(bare, wheel):
    """The template's own test fails, naming the strategy, where the plugin is not installed."""
    done = bare.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=wheel.parent / "copy")
    assert done.returncode == 1
    assert 'AssertionError: Unknown strategy "checkerboard"' in done.stdout
