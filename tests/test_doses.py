"""What a model calls its patterns at doses of their norm."""

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.linear_model import LogisticRegression

from pncviz import concat_patterns, extract_patterns, make_strategy
from pncviz.dataset import build_patterns, common_attrs
from pncviz.exceptions import LabelError, ModelError, ParameterError, ResultError
from pncviz.patterns import pattern_confusion


@pytest.fixture(scope="module")
def patterns(digits_net):
    """Zero, noise and AAI patterns of digits, the last sums of five examples."""
    parts = {"zero": "zero", "noise": "noise", "aai": make_strategy("aai", n_examples=5)}
    common = {"image_shape": (8, 8), "max_iter": 15, "random_state": 0}
    return concat_patterns(
        {
            name: extract_patterns(digits_net, strategy=part, **common)
            for name, part in parts.items()
        }
    )


def linear_module(n_in=6, n_out=3):
    """A linear module of fixed weights without bias."""
    module = torch.nn.Linear(n_in, n_out, bias=False)
    weights = np.random.default_rng(0).normal(size=(n_out, n_in))
    module.weight.data = torch.tensor(weights, dtype=torch.float32)
    return module


def patterns_of(images, labels, parameters=None):
    """A patterns dataset of these images (label, …)."""
    n = len(images)
    return build_patterns(
        pattern=images,
        labels=labels,
        image_shape=images.shape[1:],
        **dict.fromkeys(["confidence", "loss", "success_rate", "pattern_confidence"], np.ones(n)),
        n_iter=np.ones(n, dtype=int),
        prediction=labels,
        pattern_prediction=labels,
        stop_reason=["max_iter"] * n,
        attrs=common_attrs("patterns", parameters=parameters or {}),
    )


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def test_dose_one_is_the_pattern_itself(digits_net, patterns):
    """At dose 1 the answers are pattern_prediction and pattern_confidence, for sums, too."""
    found = pattern_confusion(digits_net, patterns)
    assert found["prediction"].dims == ("strategy", "dose", "label")
    assert found["probability"].dims == ("strategy", "dose", "label", "unit_label")
    one = found.sel(dose=1)
    np.testing.assert_array_equal(one["prediction"], patterns["pattern_prediction"])
    np.testing.assert_allclose(one["confidence"], patterns["pattern_confidence"], rtol=1e-5)
    sums = patterns["pattern_confidence"].sel(strategy="aai")
    other = found["confidence"].sel(strategy="aai", dose=4)
    assert np.abs(other - sums).max() > 1e-3  # so the division by the examples matters here
    np.testing.assert_array_equal(found["dose"], [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8])
    for variable in (*found.data_vars.values(), found["dose"], found["unit_label"]):
        assert variable.attrs["units"] == "1"
        assert variable.attrs["long_name"]


def test_one_strategy_of_several_is_the_same(digits_net, patterns):
    """One strategy picked out, as a list or by name, or alone, gets the answers it had."""
    whole = pattern_confusion(digits_net, patterns, doses=(1, 2))
    for picked in (["aai"], "aai"):
        found = pattern_confusion(digits_net, patterns.sel(strategy=picked), doses=(1, 2))
        xr.testing.assert_allclose(found, whole.sel(strategy=picked))


def test_probabilities_are_shares_that_agree(digits_net, patterns):
    """Probabilities sum to 1; the largest is the prediction, the own class's the confidence."""
    found = pattern_confusion(digits_net, patterns)
    np.testing.assert_allclose(found["probability"].sum("unit_label"), 1, rtol=1e-6)
    largest = found["probability"].idxmax("unit_label")
    np.testing.assert_array_equal(largest, found["prediction"])
    for label in range(10):
        own = found["probability"].sel(label=label, unit_label=label)
        np.testing.assert_allclose(own, found["confidence"].sel(label=label))


def test_answers_equal_asking_one_by_one(digits_net, patterns):
    """Every answer is that of the net's own predict_proba to dose × pattern / examples."""
    found = pattern_confusion(digits_net, patterns, doses=(0.25, 3), batch_size=7)
    for strategy, n in (("zero", 1), ("noise", 1), ("aai", 5)):
        for dose in (0.25, 3):
            for label in (0, 8):
                here = {"strategy": strategy, "label": label}
                image = patterns["pattern"].sel(here).values / n * dose
                expected = digits_net.predict_proba(image[None].astype(np.float32))[0]
                answer = found["probability"].sel(here | {"dose": dose})
                np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_batches_do_not_matter(digits_net, patterns, batch_size):
    """Any batch size gives the same answers to float32 rounding."""
    found = pattern_confusion(digits_net, patterns, batch_size=batch_size)
    expected = pattern_confusion(digits_net, patterns)
    xr.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_confidence_of_a_linear_model_grows_with_the_dose():
    """A linear model's own weights, dosed, are softmax(dose · W w): known, and ever surer."""
    module = linear_module()
    weights = module.weight.detach().numpy().astype(np.float64)
    doses = [0, 0.125, 0.5, 1, 2]
    found = pattern_confusion(module, patterns_of(weights, [0, 1, 2]), doses=doses)
    for i, dose in enumerate(doses):
        for label in range(3):
            expected = softmax(dose * weights @ weights[label])
            np.testing.assert_allclose(found["probability"][i, label], expected, rtol=1e-5)
    np.testing.assert_allclose(found["confidence"].sel(dose=0), 1 / 3, rtol=1e-6)
    assert (found["confidence"].diff("dose") > 0).all()


def test_labels_are_units_by_name_not_place():
    """`classes` names the units; patterns of some classes, in any order, find their own."""
    module = linear_module()
    weights = module.weight.detach().numpy()
    patterns = patterns_of(weights[[2, 0]] * 50, np.array(["a", "c"]))
    found = pattern_confusion(module, patterns, classes=["c", "b", "a"], doses=[1])
    assert found["prediction"].values.tolist() == [["a", "c"]]
    assert found["unit_label"].values.tolist() == ["c", "b", "a"]
    assert (found["confidence"] > 0.99).all()


def test_units_without_a_class():
    """Text: "unit 2". Integers: one entry below every label, with all of their probability."""
    module = linear_module(n_out=4)
    weights = module.weight.detach().numpy()
    text = patterns_of(weights[[1, 0]], np.array(["b", "a"]))
    found = pattern_confusion(module, text, classes=["a", "b"], doses=[1])
    assert found["unit_label"].values.tolist() == ["a", "b", "unit 2", "unit 3"]
    numbers = patterns_of(weights[[1, 2]] * 50, [7, 5])
    found = pattern_confusion(module, numbers, classes=[5, 7], doses=[1, 0])
    assert found["unit_label"].values.tolist() == [5, 7, -1]
    assert found["prediction"].sel(dose=1).values.tolist() == [7, -1]
    np.testing.assert_allclose(found["probability"].sel(dose=0), [[0.25, 0.25, 0.5]] * 2)
    np.testing.assert_allclose(found["probability"].sum("unit_label"), 1, rtol=1e-6)


def test_means_are_not_divided():
    """Only sums are divided by the number of examples; unknown makers count as one example."""
    module, weights = linear_module(), linear_module().weight.detach().numpy()

    def confidence(parameters):
        found = pattern_confusion(module, patterns_of(weights, [0, 1, 2], parameters), doses=[1])
        return found["confidence"].values

    plain = confidence({})
    np.testing.assert_array_equal(
        plain, confidence({"strategy": {"n_examples": 4, "reduction": "mean"}})
    )
    summed = patterns_of(weights * 4, [0, 1, 2], {"strategy": {"n_examples": 4}})
    found = pattern_confusion(module, summed, doses=[1])
    np.testing.assert_allclose(found["confidence"].values, plain, rtol=1e-6)
    assert np.abs(confidence({"strategy": {"n_examples": 4}}) - plain).max() > 1e-3


def test_any_classifier_can_be_asked(digits, patterns):
    """Patterns of one model may be put to another, here without gradients; its state stays."""
    other = LogisticRegression(C=0.01, max_iter=500).fit(digits.X.reshape(-1, 64), digits.y)
    found = pattern_confusion(other, patterns, doses=[1])
    image = patterns["pattern"].sel(strategy="zero", label=3).values.reshape(1, 64)
    expected = other.predict_proba(image)[0]
    answer = found["probability"].sel(strategy="zero", label=3, dose=1)
    np.testing.assert_allclose(answer, expected, rtol=1e-5)


def test_nothing_is_left_behind(patterns):
    """Training mode, gradients and flags of a module are as before."""
    module = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 10), torch.nn.Dropout(0.5)
    ).train()
    first = pattern_confusion(module, patterns, input_shape=(64,), doses=[1, 2])
    again = pattern_confusion(module, patterns, input_shape=(64,), doses=[1, 2])
    xr.testing.assert_identical(first, again)  # dropout was off
    assert all(part.training for part in module.modules())
    assert all(p.requires_grad and p.grad is None for p in module.parameters())


def test_what_cannot_be_used_is_named(digits_net, patterns):
    """Doses, batch sizes, shapes, foreign labels and other results."""
    for doses in ([], [1, 1], [-1], [np.nan], [np.inf], ["1"], [[1, 2]], [True]):
        with pytest.raises(ParameterError, match="`doses` must be"):
            pattern_confusion(digits_net, patterns, doses=doses)
    for batch_size in (0, 1.5, True):
        with pytest.raises(ParameterError, match="`batch_size` must be a positive integer"):
            pattern_confusion(digits_net, patterns, batch_size=batch_size)
    for shape in ((63,), (-1, -64)):
        with pytest.raises(ParameterError, match="`input_shape` must hold patterns of"):
            pattern_confusion(digits_net, patterns, input_shape=shape)
    texts = patterns.assign_coords(label=list("abcdefghij"))
    with pytest.raises(LabelError, match=r"does not have: \['a', .*with `classes`"):
        pattern_confusion(digits_net, texts)
    assert pattern_confusion(digits_net, texts, classes=list("abcdefghij"), doses=[1]).sizes["dose"]
    with pytest.raises(ModelError, match="names 11 units"):
        pattern_confusion(digits_net, patterns, classes=range(11))
    with pytest.raises(ResultError, match="schema_version"):
        pattern_confusion(digits_net, xr.Dataset())
    for parameters in ("no JSON", "[1]", '{"strategy": {"n_examples": 0}}'):
        spoilt = patterns.isel(strategy=0, drop=True).assign_attrs(parameters=parameters)
        with pytest.raises(ResultError, match="of how many examples they are sums"):
            pattern_confusion(digits_net, spoilt)
