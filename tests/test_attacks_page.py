"""The page of the white-box family: what is kept, its rules, and the whole of it, small."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from benchmarks.attacks import goodfellow, layers, lots_table, transfer
from benchmarks.attacks.sizes import FULL, QUICK, load_data
from benchmarks.page_parts import Verdict, number, share, table
from benchmarks.store import Store
from pncviz import make_classifier
from pncviz.registry import default_registry


def test_work_is_kept(tmp_path):
    """What is finished is not computed again, unless it is to be made from something else."""
    store, calls = Store(tmp_path), []

    def compute():
        calls.append(1)
        return {"n": len(calls)}

    assert store.json("a", {"seed": 0}, compute) == {"n": 1}
    assert Store(tmp_path).json("a", {"seed": 0}, compute) == {"n": 1}
    assert store.json("a", {"seed": 1}, compute) == {"n": 2}
    assert store.read("b") is None


def test_models_are_kept(tmp_path):
    """A trained net is read back, and trained anew for another recipe."""
    X, y = np.eye(4, dtype=np.float32), np.arange(4)
    store, calls = Store(tmp_path), []

    def train():
        calls.append(1)
        return make_classifier("fc", hidden=[4], max_epochs=len(calls)).fit(X, y)

    first = store.model("net", {"epochs": 1}, train)
    again = store.model("net", {"epochs": 1}, train)
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    store.model("net", {"epochs": 2}, train)
    assert len(calls) == 2


def test_numbers_in_words():
    """Nothing stands where there is no number, and no zero is negative."""
    assert (number(None), number(float("nan")), share(None)) == ("", "", "")
    assert (number(-0.001), number(0.126), share(0.8937, 1)) == ("0.00", "0.13", "89.4%")
    assert table(("a", "b"), [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_verdicts_follow_their_conditions():
    """A claim agrees, agrees in part, or does not."""
    words = [Verdict.of("c", *case, "t").word for case in ((1, 1), (0, 1), (0, 0))]
    assert words == ["agrees", "in part", "does not agree"]


def of_model(error, confidence=0.8):
    return {
        "clean_error": 0.05,
        "error": error,
        "interval": [error, error],
        "confidence": confidence,
        "rubbish_error": 0.1,
        "rubbish_confidence": 0.6,
    }


def test_verdicts_of_fast_gradients():
    """The paper's own numbers agree with the paper; others do not."""
    same = {"softmax": of_model(0.999, 0.79), "maxout": of_model(0.894)}
    same["maxout_fgsm"] = of_model(0.179)
    assert [v.word for v in goodfellow.shown(same)["verdicts"]] == ["agrees"] * 3
    other = {name: of_model(0.3) for name in same}
    assert [v.word for v in goodfellow.shown(other)["verdicts"]] == ["does not agree"] * 3


def lots_row(error, scores, success):
    kinds = zip(lots_table.KINDS, scores, strict=True)
    return {
        "error": error,
        "n": 10,
        **{
            kind: {
                "n": 10,
                "success": success,
                "unaligned": 0.0,
                "pass": [score, 0.1],
                "l2": [400.0, 1.0],
                "linf": [90.0, 1.0],
            }
            for kind, score in kinds
        },
    }


def test_verdicts_of_lots():
    """The order of the rows is what is judged."""
    good, bad = (0.43, 0.78, 0.71, 0.65), (0.8, 0.7, 0.6, 0.5)
    found = {name: lots_row(0.009, good, 0.98) for name in lots_table.MODELS}
    found["LOTS"] = lots_row(0.0065, good, 0.98)
    found["LOTS"]["FGV"]["success"] = 0.3
    words = [v.word for v in lots_table.shown(found)["verdicts"]]
    assert words == ["agrees"] * 4
    found = {name: lots_row(0.009, bad, 0.5) for name in lots_table.MODELS}
    words = [v.word for v in lots_table.shown(found)["verdicts"]]
    assert words == ["does not agree"] * 4


def test_verdict_of_layers():
    """Similarity that falls from layer to layer agrees with the paper."""

    def found(values):
        named = dict(zip(lots_table.LAYERS, values, strict=True))
        one = {"r": 0.1, "lower": float("nan"), "upper": float("nan"), "hits": 3, "p": 0.5}
        inner = dict.fromkeys(lots_table.LAYERS, one)
        own = {layers.OWN: {"zero": one, "aai": one, "at_layers": inner}}
        return own | {
            f"{layer}, {way}": {
                "zero": one | {"r": r},
                "aai": one | {"lower": 0.0, "upper": 0.2},
                "at_layers": inner,
            }
            for way in layers.WAYS
            for layer, r in named.items()
        }

    for values, word in (
        ((0.5, 0.4, 0.3, 0.2), "agrees"),
        ((0.5, 0.6, 0.3, 0.2), "in part"),
        ((0.2, 0.3, 0.4, 0.5), "does not agree"),
    ):
        assert layers.shown(found(values))["verdicts"][0].word == word


def test_verdicts_of_transfer():
    """Models that fool each other, and are alike, agree; models that share nothing do not."""
    n = len(transfer.MODELS)
    at = {name: place for place, name in enumerate(transfer.MODELS)}
    error = np.full((n, n), 0.5)
    error[at["maxout"], at["maxout_fgsm"]] = 0.2
    error[at["maxout_fgsm"], at["maxout"]] = 0.4
    found = {
        name: np.full((n, n), 0.5).tolist()
        for name in ("transfer", "lower", "upper", "added", "agreement")
    }
    found |= {"error": error.tolist(), "clean": [0.02] * n, "hits": np.full((n, n), 10.0).tolist()}
    assert [v.word for v in transfer.shown(found)["verdicts"]] == ["agrees"] * 3
    found |= {"error": np.full((n, n), 0.02).tolist(), "hits": np.ones((n, n)).tolist()}
    found["agreement"] = np.zeros((n, n)).tolist()
    assert [v.word for v in transfer.shown(found)["verdicts"]] == ["does not agree"] * 3


def test_small_digits_are_enlarged():
    """Each pixel becomes three by three, so that LeNet fits."""
    data = load_data(QUICK)
    assert data.X.shape[1:] == (1, 24, 24) == data.image_shape
    np.testing.assert_array_equal(data.X[:, :, ::3, ::3], data.X[:, :, 2::3, 2::3])


def has_plugins():
    known = {entry.spec.name for entry in default_registry().entries("attack")}
    return {"fgsm", "lots"} <= known


@pytest.mark.skipif(not has_plugins(), reason="the plugins are not installed: make test-plugins")
@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_the_whole_page(tmp_path):
    """Every section is computed, drawn and filled in; nothing of it is computed again."""
    from benchmarks.attacks.__main__ import main

    target = tmp_path / "attacks.md"
    given = ["--quick", "--out", str(tmp_path / "out"), "--page", str(target), "--jobs", "1"]
    assert main(given) == 0
    text = target.read_text(encoding="utf-8")
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (tmp_path / picture).stat().st_size > 1000
    assert "nan" not in text
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.json")}
    assert len(kept) >= 10
    assert main(["page", *given]) == 0
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_sizes_differ_in_everything_that_costs():
    """The quick page is smaller in each respect."""
    full, quick = dataclasses.asdict(FULL), dataclasses.asdict(QUICK)
    assert all(quick[name] < full[name] or name in ("dataset", "tuned_epochs") for name in full)
