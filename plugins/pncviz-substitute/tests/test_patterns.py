"""The patterns of a substitute beside those of what it stands for."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from pncviz import extract_patterns, load_dataset, make_classifier, positive_negative_contrast
from pncviz.exceptions import LabelError, ParameterError
from pncviz_substitute import SubstituteClassifier, substitute_patterns

SETTING = {"image_shape": (6, 6), "max_iter": 60, "strategy": "zero"}


@pytest.fixture(scope="module")
def case():
    """Steal a small net by four images, and keep what belongs to it."""
    data = load_dataset("tiling")
    X = data.X.reshape(4, -1)
    net = make_classifier("fc", max_epochs=60, hidden=[20]).fit(X, data.y)
    substitute = SubstituteClassifier(net, n_rounds=2, keep_rounds=True, random_state=0).fit(X)
    target = extract_patterns(net, input_shape=(36,), **SETTING)
    contrasts = positive_negative_contrast(X, data.y, image_shape=(6, 6))
    return substitute, target, contrasts


def test_similarities_are_those_of_each_round(case):
    """Each number is scipy's correlation of the round's own pattern with what it is beside."""
    substitute, target, contrasts = case
    found = substitute_patterns(
        substitute, target_patterns=target, contrasts=contrasts, random_state=0, **SETTING
    )
    assert found["n_queries"].values.tolist() == [4, 8, 16]
    for number, net in enumerate(substitute.rounds_):
        own = extract_patterns(net, input_shape=(36,), random_state=0, **SETTING)["pattern"]
        np.testing.assert_array_equal(found["pattern"][number], own)
        for code in range(4):
            for name, other in (("target", target["pattern"]), ("contrast", contrasts["contrast"])):
                expected = pearsonr(own[code].values.ravel(), other[code].values.ravel())[0]
                cell = found[f"{name}_similarity"][number, code]
                assert cell == pytest.approx(expected, abs=1e-6)


def test_the_last_round_alone(case):
    """Without kept rounds, the final substitute is looked at, under its own number."""
    substitute, _, contrasts = case
    whole = substitute_patterns(substitute, contrasts=contrasts, random_state=0, **SETTING)
    kept = substitute.__dict__.pop("rounds_")
    try:
        last = substitute_patterns(substitute, contrasts=contrasts, random_state=0, **SETTING)
    finally:
        substitute.rounds_ = kept
    assert last["round"].values.tolist() == [2]
    assert last.drop_attrs().identical(whole.isel({"round": [2]}).drop_attrs())
    assert "target_similarity" not in last


def test_a_copy_has_the_patterns_of_the_original():
    """Hits of a round count patterns nearest to their own class, here all of a linear model's."""
    data = load_dataset("digits")
    X = data.X.reshape(len(data.X), -1)
    box = LogisticRegression(max_iter=300).fit(X, data.y)
    net = make_classifier("fc", hidden=[], max_epochs=60, optimizer="adam", lr=0.01)
    substitute = SubstituteClassifier(
        box, estimator=net, n_rounds=0, answers="probabilities", random_state=0
    ).fit(X[:500])
    own = make_classifier("fc", hidden=[], max_epochs=60, optimizer="adam", lr=0.01).fit(X, data.y)
    setting = {"image_shape": (8, 8), "max_iter": 50}
    found = substitute_patterns(
        substitute,
        target_patterns=extract_patterns(own, input_shape=(64,), **setting),
        random_state=0,
        **setting,
    )
    assert found["target_hits"].item() == 10
    assert found["target_similarity"].mean() > 0.8


def test_contrasts_are_found_by_name(case):
    """Of some labels, or contrasts in another order, each number stays that of its class."""
    substitute, _, contrasts = case
    name = "contrast_similarity"
    setting = {"contrasts": contrasts, "random_state": 0, **SETTING}
    whole = substitute_patterns(substitute, **setting)[name]
    turned = setting | {"contrasts": contrasts.isel(label=[2, 0, 3, 1])}
    np.testing.assert_allclose(substitute_patterns(substitute, **turned)[name], whole)
    labels = whole["label"].values[[3, 1]]
    some = substitute_patterns(substitute, labels=labels, **setting)[name]
    np.testing.assert_allclose(some.sel(label=labels), whole.sel(label=labels), atol=1e-6)
    few = setting | {"contrasts": contrasts.isel(label=[0, 1])}
    with pytest.raises(LabelError, match="contrasts"):
        substitute_patterns(substitute, **few)


def test_what_is_missing_is_told(case):
    """Nothing to compare with, or nothing fitted."""
    with pytest.raises(ParameterError, match="`target_patterns`, `contrasts` or both"):
        substitute_patterns(case[0])
    with pytest.raises(NotFittedError, match="not fitted yet"):
        substitute_patterns(SubstituteClassifier(case[0]), contrasts=case[2])
