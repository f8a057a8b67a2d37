"""Draws under a null: what is shuffled, what is initialised again, and what is left alone."""

import copy

import numpy as np
import pytest
import reference
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from pncviz import (
    AdversarialPatternExtractor,
    compare,
    concat_patterns,
    extract_patterns,
    label_shuffled_contrasts,
    make_classifier,
    model_null,
    positive_negative_contrast,
)
from pncviz.exceptions import LabelError, ModelError, ParameterError, PatternWarning
from pncviz.nulls.randomized import Randomized

OPTIONS = {"max_iter": 300, "image_shape": (8, 8)}


@pytest.fixture(scope="module")
def small(digits):
    """Images and labels of three classes, with names."""
    X, y = digits.X[digits.y < 3], digits.y[digits.y < 3]
    return X, np.array(["cat", "dog", "owl"])[y]


@pytest.fixture(scope="module")
def trained(small):
    """A skorch net fitted on codes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_classifier("fc", hidden=[12], max_epochs=10).fit(
            small[0], np.unique(small[1], return_inverse=True)[1]
        )


# ---------------------------------------------------------------- shuffled labels


@pytest.mark.parametrize("normalize", ["minmax", None])
def test_shuffles_equal_plain_contrasts(small, normalize):
    """Each draw is the plain contrast of the samples under some permutation of the labels."""
    X, y = small
    drawn = label_shuffled_contrasts(X, y, 4, normalize=normalize, random_state=3)
    codes = np.unique(y, return_inverse=True)[1].astype(np.uint8)
    rng = np.random.default_rng(3)
    for draw in range(4):
        shuffled = rng.permutation(codes)
        for code, label in enumerate(np.unique(y)):
            expected = reference.contrast(X, shuffled, code, minmax=normalize is not None)
            found = drawn["contrast"].sel(label=label).isel(draw=draw)
            np.testing.assert_allclose(found, expected, atol=2e-6)


def test_shuffles_keep_class_sizes(small):
    """Counts are those of y, and a draw's means add up to the mean of all."""
    X, y = small
    drawn = label_shuffled_contrasts(X, y, 3, normalize=None, random_state=0)
    _, counts = np.unique(y, return_counts=True)
    assert drawn["n_positive"].values.tolist() == counts.tolist()
    total = (drawn["positive_mean"] * drawn["n_positive"]).sum("label") / len(X)
    for draw in total:
        np.testing.assert_allclose(draw, X.mean(axis=0), atol=1e-6)


def test_shuffles_follow_the_seed(small):
    """The same seed gives the same draws, another one others."""
    X, y = small
    one, same, other = (label_shuffled_contrasts(X, y, 2, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one["contrast"], same["contrast"])
    assert not np.array_equal(one["contrast"], other["contrast"])
    assert not np.array_equal(one["contrast"][0], one["contrast"][1])


def test_shuffles_keep_digits_far_from_zero(small):
    """Features like years keep their differences, and draws are float32 all the same."""
    X = small[0].reshape(len(small[0]), -1).astype(np.float64)
    near, far = (
        label_shuffled_contrasts(X + offset, small[1], 3, normalize=None, random_state=0)
        for offset in (0, 1e6)
    )
    np.testing.assert_allclose(far["contrast"], near["contrast"], atol=1e-5)
    assert far["contrast"].dtype == near["positive_mean"].dtype == np.float32


def test_a_shuffle_that_is_none_counts(small):
    """With two samples a class one shuffle in three gives the contrast itself, and is a tie."""
    X, y = small[0][:4], np.array([0, 0, 1, 1])
    contrasts = positive_negative_contrast(X, y)
    patterns = extract_patterns(
        make_classifier("fc", hidden=[], max_epochs=30).fit(X, y), max_iter=300, image_shape=(8, 8)
    )
    null = label_shuffled_contrasts(X, y, 300, random_state=0)
    alike = patterns.copy()
    alike["pattern"] = contrasts["contrast"].astype("float32")
    assert (compare(alike, contrasts, null=null)["p"] > 0.1).all()  # one of six partitions


def test_shuffles_refuse(small):
    """One class, no draws, and an unknown rule are refused."""
    X, y = small
    with pytest.raises(LabelError, match="only one class"):
        label_shuffled_contrasts(X, np.full(len(X), "cat"), 3)
    with pytest.raises(ParameterError, match="`n` must be a positive integer, got 0"):
        label_shuffled_contrasts(X, y, 0)
    with pytest.raises(ParameterError, match="`normalize` must be"):
        label_shuffled_contrasts(X, y, 2, normalize="zscore")


# ------------------------------------------------------------------------- models


def null_of(estimator, small, kind, **changes):
    options = OPTIONS | {"n": 3, "random_state": 0} | changes
    return model_null(estimator, *small, kind=kind, **options)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_untrained_is_the_pattern_of_a_fresh_net(small):
    """A draw is the pattern of the net as it is initialised from the draw's seed."""
    net = make_classifier("fc", hidden=[12], max_epochs=50)
    found = null_of(net, small, "untrained")
    seed = int(np.random.SeedSequence(0).generate_state(3)[1])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = make_classifier("fc", hidden=[12], input_shape=(1, 8, 8), n_classes=3).initialize()
    expected = extract_patterns(fresh, classes=["cat", "dog", "owl"], random_state=seed, **OPTIONS)
    np.testing.assert_allclose(found["pattern"][1], expected["pattern"], atol=1e-5)
    assert found["label"].values.tolist() == ["cat", "dog", "owl"]


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_shuffled_labels_trains_on_shuffled_labels(small):
    """A draw's net fits labels that were permuted, so its patterns do not find their classes."""
    net = make_classifier("fc", hidden=[12], max_epochs=15)
    X, y = small
    contrasts = positive_negative_contrast(X, y)
    true = AdversarialPatternExtractor(net, **OPTIONS, random_state=0).fit(X, y).patterns_
    null = null_of(net, small, "shuffled_labels", n=19)
    found = compare(true, contrasts, null=null, random_state=0)
    assert (found["p"] <= 0.1).all()
    assert abs(float(found["null_similarity"].mean())) < 0.3
    assert float(found["null_similarity"].std("draw").min()) > 0.01


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_cascade_randomises_from_the_top(small, trained):
    """Each stage re-initialises one layer more; lower layers keep their trained weights."""
    before = copy.deepcopy(trained.module_.state_dict())
    found = null_of(FrozenEstimator(trained), small, "cascaded", classes=["cat", "dog", "owl"])
    assert found["pattern"].dims[:3] == ("draw", "layer", "label")
    assert found["layer"].values.tolist() == ["layers.2", "layers.0"]
    for name, weights in trained.module_.state_dict().items():
        assert torch.equal(weights, before[name])
    patterns = extract_patterns(trained, classes=["cat", "dog", "owl"], **OPTIONS)
    contrasts = positive_negative_contrast(*small)
    with pytest.raises(ParameterError, match=r"null\.isel\(layer=-1\)"):
        compare(patterns, contrasts, null=found)


def test_stages_touch_one_layer_more():
    """After stage k the top k layers differ from the trained ones, and no others."""
    net = torch.nn.Sequential(*[torch.nn.Linear(3, 3) for _ in range(4)])
    same = [
        [torch.equal(a.weight, b.weight) for a, b in zip(stage, net, strict=True)]
        for stage in Randomized(net).stages(0)
    ]
    assert same == [[i < 3 - k for i in range(4)] for k in range(4)]


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
@pytest.mark.parametrize("kind", ["untrained", "cascaded"])
def test_every_way_to_give_a_net(small, trained, kind):
    """A bare module, a frozen net, a fitted net and a fitted extractor all serve, untouched."""
    classes = ["cat", "dog", "owl"]
    fitted = AdversarialPatternExtractor(FrozenEstimator(trained), classes=classes, **OPTIONS)
    fitted.fit(*small)
    unfitted = AdversarialPatternExtractor(make_classifier("fc", hidden=[12], max_epochs=2))
    unfitted.fit(*small)
    before = copy.deepcopy(trained.module_.state_dict())
    for estimator, options in [
        (trained.module_, {"classes": classes}),
        (FrozenEstimator(trained), {"classes": classes}),
        (trained, {"classes": classes}),
        (fitted, {}),
        (unfitted, {}),
    ]:
        found = null_of(estimator, small, kind, n=2, **options)
        assert found["label"].values.tolist() == classes
        flat = found["pattern"].values.reshape(2, -1)
        assert not np.allclose(flat[0], flat[1])
    for name, weights in trained.module_.state_dict().items():
        assert torch.equal(weights, before[name])


def test_models_without_layers_are_refused(small, trained):
    """What cannot be initialised, or trained, says so and what to do instead."""
    with pytest.raises(ModelError, match='LogisticRegression is none; use kind="shuffled_labels"'):
        null_of(LogisticRegression(), small, "untrained")
    with pytest.raises(ParameterError, match="a bare torch module cannot"):
        null_of(trained.module_, small, "shuffled_labels")
    with pytest.raises(ParameterError, match="`kind` must be one of untrained, cascaded"):
        null_of(trained, small, "random")
    with pytest.raises(ParameterError, match="`n` must be a positive integer, got 0"):
        null_of(trained, small, "untrained", n=0)

    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(64))

        def forward(self, x):
            return x.flatten(1)[:, :3] * self.scale[:3]

    with pytest.raises(ModelError, match=r"weights of the module \(Scaled\) cannot be"):
        Randomized(Scaled())


def test_failed_draws_are_told_once(small):
    """Draws that did not reach their class are kept, and counted in one warning."""
    net = make_classifier("fc", hidden=[12])
    with pytest.warns(PatternWarning, match=r"\d of 9 patterns of untrained models did") as told:
        found = null_of(net, small, "untrained", max_iter=1)
    assert len(told) == 1
    failed = int((~found["succeeded"]).sum())
    assert failed
    assert str(told[0].message).startswith(f"{failed} of 9")


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_a_null_is_of_the_patterns_own_strategy(small, trained):
    """Patterns are tested against draws of their own strategy, or not at all."""
    classes = ["cat", "dog", "owl"]
    kinds = ("zero", "noise")
    found = {
        s: extract_patterns(trained, classes=classes, strategy=s, random_state=0, **OPTIONS)
        for s in kinds
    }
    contrasts = positive_negative_contrast(*small)
    net = make_classifier("fc", hidden=[12])
    nulls = {s: null_of(net, small, "untrained", strategy=s, n=5) for s in kinds}
    both = compare(concat_patterns(found), contrasts, null=concat_patterns(nulls), random_state=0)
    for strategy in kinds:
        alone = compare(found[strategy], contrasts, null=nulls[strategy], random_state=0)
        np.testing.assert_allclose(both["p"].sel(strategy=strategy), alone["p"])
    with pytest.raises(LabelError, match=r"no draws of the strategies \['noise'\]"):
        compare(concat_patterns(found), contrasts, null=concat_patterns({"zero": nulls["zero"]}))
    with pytest.raises(LabelError, match=r"no draws of the strategies \['zero', 'noise'\]"):
        compare(concat_patterns(found), contrasts, null=nulls["zero"])


def test_draws_too_large_are_refused(small, trained):
    """Draws that would not fit are refused before, or after the first of them."""
    with pytest.raises(ParameterError, match=r"500 draws of 3 contrasts .* 1,536,000 bytes, more"):
        label_shuffled_contrasts(*small, max_bytes=10**6)
    net = make_classifier("fc", hidden=[4])
    with pytest.raises(ParameterError, match=r"1000 draws need about .* Draw fewer"):
        null_of(net, small, "untrained", n=1000, max_bytes=10**5)


def test_many_draws_of_many_classes_go_in_small_steps(small, monkeypatch):
    """The steps through the samples change no draw."""
    X, y = small
    whole = label_shuffled_contrasts(X, y, 5, random_state=0)
    monkeypatch.setattr("pncviz.nulls.labels._HELD", 100)
    steps = label_shuffled_contrasts(X, y, 5, random_state=0)
    np.testing.assert_allclose(whole["contrast"], steps["contrast"], atol=1e-6)


def test_a_null_needs_every_class_of_the_model(small, trained):
    """With a class missing in y, a model made for y would be another architecture."""
    X, y = small
    some = y != "owl"
    with pytest.raises(LabelError, match="The model knows 3 classes, y has 2"):
        null_of(trained, (X[some], y[some]), "untrained")
