"""The page of any classifier: its classifiers, its words, and, where plugins are, the whole."""

import importlib.util
import re

import numpy as np
import pytest

from benchmarks.anyclassifier import kinds
from benchmarks.anyclassifier.models import KINDS, classifier, load
from benchmarks.anyclassifier.sizes import FULL, QUICK
from benchmarks.store import Store

PLUGINS = ("blackbox", "detection", "fooling", "sklearn", "substitute")
here = all(importlib.util.find_spec(f"pncviz_{name}") for name in PLUGINS)
needs_plugins = pytest.mark.skipif(
    not here, reason="the plugins are not installed: make test-plugins"
)


def found(r, p, asked=False):
    numbers = {"r": r, "least": r - 0.1, "most": r + 0.1, "ceiling": 0.9, "hits": 9, "p": p}
    return numbers | {"n_labels": 10, "succeeded": 10, "queries": 2020 if asked else None}


def test_images_are_flat_and_as_many_as_classifiers_learn_from():
    """Flat rows in 0..1; the size says how many."""
    data = load(QUICK, "digits")
    assert data.X.shape == (1347, 64)
    assert 0 <= data.X.min() < data.X.max() <= 1
    few = load(type(QUICK)(quick=True, datasets=("digits",), n_train=100, n_fields=1), "digits")
    np.testing.assert_array_equal(few.X, data.X[:100])


@pytest.mark.parametrize("kind", ["linear SVM", "decision tree"])
def test_a_classifier_is_trained_once(tmp_path, kind):
    """The second time it is read, with the same answers; another size trains anew."""
    store, data = Store(tmp_path), load(QUICK, "digits")
    first = classifier(store, QUICK, "digits", kind)
    (path,) = tmp_path.glob("*.joblib")
    written = path.stat().st_mtime_ns
    again = classifier(store, QUICK, "digits", kind)
    assert path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.predict(data.X_test), again.predict(data.X_test))
    assert first.score(data.X_test, data.y_test) > 0.8
    classifier(store, type(QUICK)(True, ("digits",), 200, 1), "digits", kind)
    assert path.stat().st_mtime_ns != written


def test_there_are_more_than_ten_kinds_on_two_datasets():
    """As the issue asks; the quick page needs no file."""
    assert len(KINDS) >= 10
    assert FULL.datasets == ("digits", "mnist")
    assert QUICK.datasets == ("digits",)


def test_verdicts_on_kinds_follow_p_values():
    """All below .05 agrees, some is in part, none does not agree; means are of r."""
    for p, words in ((0.01, "agrees"), (0.2, "does not agree")):
        result = {"digits": {"one": {"exact": found(0.5, p), "asked": found(0.3, p, True)}}}
        assert [v.word for v in kinds.verdicts(result)] == [words] * 2
    result["digits"]["two"] = {"asked": found(0.1, 0.01, True)}
    exact, asked = kinds.verdicts(result)
    assert (exact.word, asked.word) == ("does not agree", "in part")
    assert "1 of 2" in asked.told
    assert "mean r 0.20" in asked.told


@needs_plugins
def test_every_section_is_on_the_page():
    """The template takes each section, and each has the three functions."""
    from benchmarks.anyclassifier.page import SECTIONS, TEMPLATE

    text = TEMPLATE.read_text(encoding="utf-8")
    for name, module in SECTIONS.items():
        assert f"{{{{ {name} }}}}" in text
        assert all(callable(getattr(module, part)) for part in ("compute", "section", "verdicts"))


@needs_plugins
@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_faults_are_told():
    """A classifier that raises, gives NaN, or has no probabilities; one that is cut off."""
    from benchmarks.anyclassifier import faults

    result = faults.compute(None, QUICK)
    assert re.match("ModelError: .*ValueError: a pixel is negative", result["raises"])
    assert re.match("ModelError: .* with NaN or infinity", result["NaN"])
    assert re.match("AdapterError: .*no predict_proba.*boundary", result["labels only"])
    assert "10 patterns by 520 questions" in result["labels only, asked for labels"]
    whole, cut, rest = result["slow"]["asked"]
    assert cut + rest == whole
    assert result["slow"]["same"]
    assert result["slow"]["most"] <= result["slow"]["limit"]
    assert "the same bits" in faults.section(result, None)


@needs_plugins
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_whole_page(tmp_path):
    """Every section is computed, drawn and filled in; nothing of it is computed again."""
    from benchmarks.anyclassifier.__main__ import main

    target = tmp_path / "any-classifier.md"
    given = ["--quick", "--out", str(tmp_path / "out"), "--page", str(target), "--jobs", "1"]
    assert main(given) == 0
    text = target.read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert len(pictures) >= 6
    for picture in pictures:
        assert (tmp_path / picture).stat().st_size > 1000
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.json")}
    assert len(kept) >= 30
    assert main(["page", *given]) == 0
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
