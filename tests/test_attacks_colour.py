"""Images in colour: what is generated, what is kept, and the rules of the verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks.attacks import colour
from benchmarks.attacks.colour_parts import STRATEGIES, TITLES
from benchmarks.attacks.textures import SHAPES, TEXTURES, class_names, draw
from benchmarks.store import Store
from pncviz import load_dataset

TINY = replace(colour.SMALL, per_class=3, test_per_class=2)


# ---------------------------------------------------------------------------- the images


def images(counts, seed=0):
    """Draw so many images of each of ten classes, and their codes."""
    rngs = [(c, np.random.default_rng([seed, c, k])) for c in range(10) for k in range(counts)]
    X = np.stack([draw(class_names(10)[code], rng) for code, rng in rngs])
    return X / 255.0, np.array([code for code, _ in rngs])


def pixels(folder):
    """Read every image of a folder, by its name within."""
    return {
        str(path.relative_to(folder)): np.asarray(Image.open(path))
        for path in sorted(folder.rglob("*.png"))
    }


def test_same_pixels_every_time(tmp_path):
    """The same numbers give the same pixels, in a larger folder too; another seed gives others."""
    small = pixels(colour.write_folder(tmp_path / "a", n_classes=3, per_class=2, test_per_class=1))
    again = pixels(colour.write_folder(tmp_path / "b", n_classes=3, per_class=2, test_per_class=1))
    large = pixels(colour.write_folder(tmp_path / "c", n_classes=4, per_class=3, test_per_class=2))
    other = pixels(
        colour.write_folder(tmp_path / "d", n_classes=3, per_class=2, test_per_class=1, seed=1)
    )
    assert len(small) == 9
    assert small.keys() == again.keys() == other.keys() < large.keys()
    for name, image in small.items():
        assert np.array_equal(image, again[name])
        assert np.array_equal(image, large[name])
        assert not np.array_equal(image, other[name])
    distinct = {image.tobytes() for image in large.values()}
    assert len(distinct) == len(large)


def test_folder_is_a_dataset(tmp_path):
    """The folder is read as colour images of 32×32, split as asked."""
    folder = colour.write_folder(tmp_path / "a", per_class=2, test_per_class=1)
    data = load_dataset("image_folder", folder=folder)
    assert data.X.shape == (20, 3, 32, 32)
    assert data.X_test.shape == (10, 3, 32, 32)
    assert sorted(data.class_names) == sorted(class_names(10))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_folder_is_left_as_it_is(tmp_path):
    """What is there is not written again; what was interrupted is begun anew, and not seen."""
    folder = colour.write_folder(tmp_path / "a", n_classes=2, per_class=1, test_per_class=1)
    (kept,) = (folder / "train" / "disc-lines").iterdir()
    kept.write_bytes(b"changed")
    colour.write_folder(folder, n_classes=2, per_class=5, test_per_class=5)
    assert kept.read_bytes() == b"changed"
    assert len(list(folder.rglob("*.png"))) == 4


def test_classes_are_pairs():
    """Of ten classes every shape and texture has two, so neither by itself tells the class."""
    names = class_names(10)
    assert len(set(names)) == 10
    for place, known in enumerate((SHAPES, TEXTURES)):
        assert Counter(name.split("-")[place] for name in names) == dict.fromkeys(known, 2)
    assert len(set(class_names(25))) == 25
    with pytest.raises(ValueError, match="`n_classes` must be 2 to 25, got 26"):
        class_names(26)


@pytest.mark.parametrize("name", class_names(25))
def test_every_class_is_drawn(name):
    """Each shape with each texture shows both colours somewhere, at places that differ."""
    stack = np.stack([draw(name, np.random.default_rng(k)) for k in range(12)])
    assert stack.shape == (12, 32, 32, 3)
    assert stack.dtype == np.uint8
    # The texture is the only fine structure: neighbours differ much there, little in the clouds.
    steps = np.abs(np.diff(stack.astype(float), axis=2)).mean(axis=3)[:, :-1] > 45
    middles = [np.argwhere(step).mean(axis=0) for step in steps]
    assert np.all(steps.sum(axis=(1, 2)) > 15)
    assert np.all(np.std(middles, axis=0) > 1)


def test_class_means_are_weak():
    """The nearest mean tells more than a guess, and far less than on MNIST, where it tells 82 %."""
    X, y = images(40)
    X_test, y_test = images(20, seed=1)
    means = np.stack([X[y == code].mean(axis=0) for code in range(10)]).reshape(10, -1)
    distances = ((X_test.reshape(len(X_test), 1, -1) - means) ** 2).sum(axis=2)
    assert 0.15 < (distances.argmin(axis=1) == y_test).mean() < 0.45
    # No class is lighter than others by more than chance makes it: both colours come first.
    light = X.mean(axis=(1, 2, 3)).reshape(10, 40)
    errors = light.std(axis=1) / np.sqrt(40)
    assert np.all(abs(light.mean(axis=1) - light.mean()) < 4 * errors)


# --------------------------------------------------------------------------- the results


@pytest.fixture
def fc_alone(monkeypatch):
    """The section with the net that needs no plugin."""
    monkeypatch.setattr(colour, "TITLES", {"fc": TITLES["fc"]})


@pytest.mark.usefixtures("fc_alone")
def test_work_is_kept(tmp_path, monkeypatch):
    """What was computed is there, in one structure; the second time nothing is done at all."""
    found = colour.compute(Store(tmp_path), TINY)
    (case,) = found["cases"]
    assert case["n_parameters"] == 3072 * 200 + 200 + 200 * 30 + 30 + 30 * 10 + 10
    assert all(-1 <= case[start]["r"] <= 1 for start in STRATEGIES)
    assert {"null_r", "null_p"} == case["zero"].keys() - case["aai"].keys()
    assert case["zero"]["null_p"] in (1 / 3, 2 / 3, 1.0)
    assert (found["n_train"], found["n_test"]) == (30, 20)
    monkeypatch.setattr(colour, "load_dataset", lambda *_, **__: pytest.fail("read again"))
    assert colour.compute(Store(tmp_path), TINY) == found
    told = colour.shown(found, tmp_path)
    assert (tmp_path / "attacks-colour.png").exists()
    assert "| FC [200, 30], 0.62 M | 0 |" in told["text"]


@pytest.mark.usefixtures("fc_alone")
def test_own_folder(tmp_path):
    """A folder of one's own may be of any sizes, is split, and kept apart by its content."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for k in range(6):
            shape = (20 + k, 30, 3) if k % 2 else (20 + k, 30)
            image = rng.integers(256, size=shape, dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "own" / label / f"{k}.png")
    out = tmp_path / "out"
    found = colour.compute(Store(out), TINY, tmp_path / "own")
    assert found["classes"] == ["a", "b"]
    assert (found["n_train"], found["n_test"]) == (8, 4)
    (tmp_path / "own" / "b" / "0.png").unlink()
    other = colour.compute(Store(out), TINY, tmp_path / "own")
    assert other["data"] != found["data"]
    assert "from a folder of the user's" in colour.shown(other, out)["text"]
    assert (out / f"attacks-colour-{other['data']}.png").exists()


# --------------------------------------------------------------------------- the verdict


def case(architecture, accuracy=0.8, zero=0.001, aai=0.001, null=0.025, r=0.4, seed=0):
    """Give a net's numbers as far as the verdict looks at them."""
    one = {"r": r, "hits": 9}
    return {
        "architecture": architecture,
        "seed": seed,
        "accuracy": accuracy,
        "zero": one | {"identification_p": zero, "null_p": null},
        "aai": one | {"identification_p": aai},
    }


def judged(*cases):
    return colour.verdict({"classes": list("abcdefghij"), "cases": list(cases)})


def test_verdict_agrees():
    """If every net that learned shows its contrasts from both starts, the claim agrees."""
    found = judged(*(case(name, seed=seed) for name in TITLES for seed in (0, 1)))
    assert found.word == "agrees"
    assert found.told.count("r 0.40, 9.0 of 10 (zero)") == 3


@pytest.mark.parametrize("change", [{"zero": 0.2}, {"aai": 0.2}, {"null": 0.1}, {"r": 0.2}])
def test_verdict_in_part(change):
    """One net that fails in one seed, by one of the conditions, is enough."""
    every = [case(name, seed=seed) for name in TITLES for seed in (0, 1)]
    assert judged(*every[:-1], case("resnet", seed=1, **change)).word == "in part"


def test_verdict_does_not_agree():
    """If no architecture finds its classes from one start in every seed, the claim fails."""
    assert judged(*(case(name, zero=0.5, aai=0.5) for name in TITLES)).word == "does not agree"
    mixed = [case("fc", zero=0.5), case("fc", aai=0.5, seed=1)]
    assert judged(*mixed).word == "does not agree"
    assert judged(case("fc", aai=0.5), case("fc", aai=0.5, seed=1)).word == "in part"


def test_verdict_counts_nets_that_learned():
    """A net that guesses says nothing of the classes, and the verdict tells so."""
    found = judged(case("fc", accuracy=0.15, zero=0.5, aai=0.5), case("cnn"), case("resnet"))
    assert found.word == "agrees"
    assert found.told.endswith("FC [200, 30] did not learn the classes")
    assert judged(*(case(name, accuracy=0.2) for name in TITLES)).word == "not known"
