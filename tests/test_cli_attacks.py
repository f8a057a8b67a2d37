"""The commands that attack data, run as their users do."""

import re

import numpy as np
import pytest
from test_cli import run

from pncviz import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two models of digits."""
    folder = tmp_path_factory.mktemp("attacks")
    for name, seed in (("a", 0), ("b", 1)):
        run(
            *("train", "digits", "--out", f"{name}.safetensors", "--max-epochs", 6),
            *("--seed", seed),
            cwd=folder,
        )
    return folder


def test_attack_writes_results_and_images(folder):
    """Examples and their images are of the first test samples; the verdict counts them."""
    args = ["attack", "a.safetensors", "digits", "-o", "e.nc", "--limit", 60, "--images", "e.npy"]
    args += ["--attack-param", "learning_rate=.5", "--min-confidence", 0.8, "--seed", 2]
    out, _ = run(*args, cwd=folder)
    found, images = load(folder / "e.nc"), np.load(folder / "e.npy")
    assert found.sizes["sample"] == 60
    assert images.shape == (60, 1, 8, 8)
    hits = int(found["succeeded"].sum())
    assert re.search(
        rf"^{hits} of 60 examples are called another class: .* \(.* to .*\);", out, re.M
    )
    assert '"learning_rate": 0.5' in found.attrs["parameters"]
    assert found.attrs["random_state"] == 2
    assert "label" in found


def test_attack_towards_a_class(folder):
    """--target takes a class or a word."""
    args = ["attack", "a.safetensors", "digits", "-o", "t.nc", "--limit", 20]
    out, _ = run(*args, "--target", 3, cwd=folder)
    assert set(load(folder / "t.nc")["target"].values.tolist()) == {3}
    assert "of 20 examples are called the target" in out
    run(*args, "--target", "runner_up", cwd=folder)
    assert len(set(load(folder / "t.nc")["target"].values.tolist())) > 1


def test_transfer_prints_every_pair(folder):
    """Models are named by their files; each pair has its rates with intervals."""
    args = ["transfer", "a.safetensors", "b.safetensors", "digits", "-o", "m.nc", "--limit", 50]
    out, _ = run(*args, "--min-confidence", 0.9, cwd=folder)
    found = load(folder / "m.nc")
    assert found["source"].values.tolist() == found["target"].values.tolist() == ["a", "b"]
    assert len(re.findall(r"^[ab] +[ab] .* to .* to ", out, re.M)) == 4
    assert run("show", "m.nc", cwd=folder)[0].count(" to ") == 8


def test_extract_prepares_on_data(folder):
    """--data reaches the attack's prepare as float32 samples and output units."""
    (folder / "learner_module.py").write_text(
        "import numpy as np, pncviz\n"
        "from pncviz.builtin.attacks import GradientDescent\n"
        "class Learner(GradientDescent):\n"
        "    def prepare(self, X, y):\n"
        "        assert X.dtype == np.float32 and sorted(set(y.tolist())) == list(range(10))\n"
        "        print('prepared on', X.shape)\n"
        "@pncviz.hookimpl\n"
        "def pncviz_attacks():\n"
        "    return [pncviz.AttackSpec(name='learner', factory=Learner)]\n"
    )
    info = folder / "learner-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: learner\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pncviz]\nlearner = learner_module\n")
    args = ["extract", "a.safetensors", "-o", "p.nc", "--attack", "learner", "--max-iter", 30]
    out, _ = run(*args, "--data", "digits", cwd=folder, path=folder)
    assert re.search(r"prepared on \(\d+, 1, 8, 8\)", out)


@pytest.mark.parametrize(
    "args, code, message",
    [
        (["attack", "a.safetensors", "digits"], 2, "Missing option"),
        (["attack", "a.safetensors", "digits", "-o", "x.nc", "--attack", "nope"], 2, "Unknown att"),
        (["attack", "a.safetensors", "digits", "-o", "x.nc", "--target", "cat"], 2, "cat: choose"),
        (["attack", "a.safetensors", "digits", "-o", "x.nc", "--images", "x.png"], 2, "in .npy"),
        (["attack", "a.safetensors", "tiling", "-o", "x.nc"], 1, "tiling"),
        (["transfer", "a.safetensors", "-o", "x.nc"], 2, "at least one model file"),
        (["transfer", "a.safetensors", "a.safetensors", "digits", "-o", "x.nc"], 2, "given twice"),
        (["extract", "a.safetensors", "-o", "x.nc", "--data", "tiling"], 1, "tiling"),
        (["show", "e.nc", "-o", "x.png"], 2, "Draw one file of similarities alone"),
    ],
)
def test_failures_are_told_in_one_line(folder, args, code, message):
    """Exit code 2 for usage, 1 for a failure; no traceback, and no file left."""
    out, err = run(*args, cwd=folder, code=code)
    assert message in " ".join(err.split())
    assert "Traceback" not in out + err
    assert not list(folder.glob("x.*"))


def test_limits_of_queries_are_for_attacks_that_only_ask(folder):
    """An attack by gradients with a limit, or a memory, is told so, in every command."""
    for command, out, *more in (
        ("extract a.safetensors", "limited-0.nc", "--max-queries", 5),
        ("extract a.safetensors", "limited-1.nc", "--memory", "answers"),
        ("attack a.safetensors digits", "limited-2.nc", "--limit", 5, "--max-queries", 5),
    ):
        _, told = run(*command.split(), "-o", out, *more, cwd=folder, code=2)
        assert "is for attacks that ask for probabilities or labels" in told
        assert not (folder / out).exists()
