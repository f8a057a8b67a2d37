"""The command line, run as its users do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pncviz import load

BROKEN = {
    "raises": "raise ImportError('no such thing')",
    "misspelt": "import pncviz\n@pncviz.hookimpl\ndef pncviz_strategys():\n    return []\n",
    "usurper": (
        "import pncviz\n"
        "class Mine(pncviz.Strategy):\n"
        "    def start(self, shape, rng):\n"
        "        return 1 / 0\n"
        "@pncviz.hookimpl\n"
        "def pncviz_strategies():\n"
        "    return [pncviz.StrategySpec(name='zero', factory=Mine)]\n"
    ),
}


def run(*args, cwd=None, path=None, code=0):
    """Run the command line; give stdout and stderr."""
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-m", "pncviz", *map(str, args)],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model, patterns, contrasts and similarities, made by the commands."""
    folder = tmp_path_factory.mktemp("cli")
    run("train", "digits", "--out", "m.safetensors", "--max-epochs", 8, cwd=folder)
    run("extract", "m.safetensors", "-o", "p.nc", "--max-iter", 60, cwd=folder)
    run("contrast", "digits", "-o", "c.nc", cwd=folder)
    run("compare", "p.nc", "c.nc", "-o", "s.nc", "--metric", "pearson", cwd=folder)
    return folder


def test_help_needs_no_heavy_import():
    """--help imports neither torch nor scikit-learn, so that it answers at once."""
    script = (
        "import sys\n"
        "sys.argv = ['pncviz', '--help']\n"
        "from pncviz.cli import main\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code\n"
        "assert not {'torch', 'sklearn', 'xarray', 'matplotlib'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_five_commands(folder):
    """train, extract, contrast and compare leave whole results that fit each other."""
    patterns, contrasts = load(folder / "p.nc"), load(folder / "c.nc")
    assert patterns["pattern"].shape == contrasts["contrast"].shape == (10, 1, 8, 8)
    assert load(folder / "s.nc")["similarity"].shape == (1, 10, 10)


def test_compare_tests_against_a_null(folder):
    """--shuffles draws a null, --null takes it or phases, and the verdict names it."""
    run("contrast", "digits", "--shuffles", 60, "--seed", 1, "-o", "null.nc", cwd=folder)
    assert load(folder / "null.nc").sizes["draw"] == 60
    args = ["compare", "p.nc", "c.nc", "--seed", 0, "--permutations", 200]
    out, _ = run(*args, "--null", "null.nc", "-o", "tested.nc", cwd=folder)
    tested = load(folder / "tested.nc")
    assert tested["null_similarity"].sizes["draw"] == 60
    beyond = int((tested["q"] < 0.05).sum())
    assert f"pearson: {beyond} of 10 beyond contrasts of shuffled labels, q < .05." in out
    assert "identification p = 0.005" in out  # 1 / 201
    out, _ = run(*args, "--null", "phase", cwd=folder)
    assert "beyond phase-randomised patterns (right for stationary patterns only)" in out


def test_extract_parameters_reach_their_parts(folder):
    """--strategy-param, --attack-param, --label, --seed and --deterministic arrive."""
    args = ["extract", "m.safetensors", "-o", "n.nc", "--strategy", "noise", "--max-iter", 40]
    args += ["--strategy-param", "scale=.2", "--attack-param", "learning_rate=.5", "--seed", 4]
    run(*args, "--label", 3, "--label", 1, "--deterministic", cwd=folder)
    found = load(folder / "n.nc")
    assert found["label"].values.tolist() == [3, 1]
    assert '"scale": 0.2' in found.attrs["parameters"]
    assert '"learning_rate": 0.5' in found.attrs["parameters"]
    assert (found.attrs["random_state"], found.attrs["deterministic"]) == (4, 1)


def test_show_prints_and_draws(folder):
    """Show prints a row per class, and draws patterns beside contrasts, or similarities."""
    out, _ = run("show", "p.nc", "c.nc", "-o", "p.png", cwd=folder)
    assert len(re.findall(r"max_iter", out)) == 10
    run("show", "s.nc", "-o", "s.png", cwd=folder)
    for name in ("p.png", "s.png"):
        assert (folder / name).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "args, code, message",
    [
        (["extract", "m.safetensors"], 2, "Missing option"),
        (["extract", "m.safetensors", "-o", "x.nc", "--strategy", "zreo"], 2, 'mean "zero"'),
        (["extract", "m.safetensors", "-o", "x.txt"], 2, "must end in .nc"),
        (["extract", "m.safetensors", "-o", "no/x.nc"], 1, "cannot be written"),
        (["extract", "m.safetensors", "-o", "x.nc", "--label", "77"], 2, "model's classes are"),
        (["extract", "p.nc", "-o", "x.nc"], 1, "not a pncviz classifier"),
        (["extract", "nope", "-o", "x.nc"], 1, "no such file"),
        (["extract", "m.safetensors", "-o", "x.nc", "--strategy-param", "scale"], 2, "NAME=VALUE"),
        (["train", "digits", "--out", "y.safetensors", "--optimizer", "adma"], 2, "sgd, adam"),
        (["train", "nope", "--out", "y.safetensors"], 2, 'Unknown dataset "nope"'),
        (["show", "m.safetensors"], 1, "m.safetensors"),
        (["compare", "p.nc", "p.nc"], 1, "contrasts"),
        (["contrast", "digits", "-o", "x.nc", "--normalize", "max"], 2, "`normalize` must be"),
    ],
)
def test_failures_are_told_in_one_line(folder, args, code, message):
    """Exit code 2 for usage, 1 for a failure; one line, no traceback, and no file left."""
    out, err = run(*args, cwd=folder, code=code)
    assert message in " ".join(err.split())
    assert "Traceback" not in out + err
    assert not list(folder.glob("x.*"))
    assert not list(folder.glob("y.*"))


def test_debug_shows_the_traceback(folder):
    """--debug gives the traceback."""
    _, err = run("--debug", "extract", "nope", "-o", "x.nc", cwd=folder, code=1)
    assert "Traceback" in err


def test_lists():
    """Plugins list shows distribution, kind, name and summary; datasets list the datasets."""
    out, _ = run("plugins", "list")
    assert re.search(r"pncviz +0\.\d+\.\d+ +strategy +zero +start from zeros", out)
    out, _ = run("datasets", "list")
    assert "fashion_mnist" in out
    assert run("plugins", "check")[0].strip() == "All plugins are well."


def _install(folder: Path, name: str, code: str) -> None:
    """Make a module and the metadata of a distribution, as an installer would."""
    (folder / f"{name}_module.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pncviz]\n{name} = {name}_module\n")


def test_broken_plugins_are_reported_and_the_demo_runs(tmp_path):
    """A plugin that raises, one misspelt, one that duplicates zero: each named; demo still runs."""
    for name, code in BROKEN.items():
        _install(tmp_path, name, code)
    out, _ = run("plugins", "check", path=tmp_path, code=1)
    assert re.search(r"raises.*no such thing", out)
    assert re.search(r'misspelt.*pncviz_strategys.*did you mean "pncviz_strategies"', out)
    assert re.search(r"usurper.*zero.*built-in", out)
    listed, _ = run("plugins", "list", path=tmp_path)
    assert all(name in listed for name in BROKEN)
    out, err = run("demo", "--dataset", "tiling", "--out", tmp_path / "demo", path=tmp_path)
    assert "4 of 4 patterns are nearest" in out
    for name in BROKEN:
        assert len(re.findall(rf'warning: plugin "{name}" \({name} 1.0\)', err)) == 1


def test_disabled_plugins_are_silent(tmp_path, monkeypatch):
    """PNCVIZ_DISABLE_PLUGINS switches broken plugins off."""
    for name, code in BROKEN.items():
        _install(tmp_path, name, code)
    monkeypatch.setenv("PNCVIZ_DISABLE_PLUGINS", "*")
    assert run("plugins", "check", path=tmp_path)[0].strip() == "All plugins are well."


def test_demo_writes_what_it_says(tmp_path):
    """demo: patterns (strategy, label, …), contrasts, similarities, PNGs and summary.md."""
    out, _ = run("demo", "--dataset", "overlapping", "--out", tmp_path)
    here = tmp_path / "overlapping"
    patterns = load(here / "patterns.nc")
    assert patterns["pattern"].dims == ("strategy", "label", "channel", "row", "column")
    assert patterns["strategy"].values.tolist() == ["zero", "noise", "aai"]
    assert np.isfinite(load(here / "similarities.nc")["similarity"]).all()
    assert load(here / "contrasts.nc").sizes["label"] == 4
    for name in ("patterns.png", "similarities.png", "report.html"):
        assert (here / name).stat().st_size > 5000
    assert "overlapping/report.html" in (tmp_path / "summary.md").read_text()
    assert "overlapping/patterns.png" in (tmp_path / "summary.md").read_text()
    assert "overlapping, zero: 4 of 4 patterns are nearest" in out
