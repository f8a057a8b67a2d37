"""What one model's examples and patterns do to another, counted by hand."""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from pncviz import (
    Attack,
    AttackResult,
    extract_patterns,
    load,
    load_dataset,
    make_attack,
    make_classifier,
    pattern_agreement,
    pattern_transfer,
    rubbish_error,
    save,
    summary,
    transfer_matrix,
)
from pncviz.exceptions import (
    AdapterError,
    LabelError,
    ModelError,
    ParameterError,
    PatternWarning,
    ResultError,
)
from pncviz.inference import proportion_interval
from pncviz.report import generate_report


@pytest.fixture(scope="module")
def nets(digits, digits_net):
    """Three models of digits: two nets, and a linear module without labels of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        other = make_classifier("fc", hidden=[16], max_epochs=6).fit(digits.X, digits.y)
        linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        with torch.no_grad():
            for label in range(10):
                mean = digits.X[digits.y == label].mean(0).ravel()
                linear[1].weight[label] = torch.as_tensor(8 * mean)
                linear[1].bias[label] = float(-4 * (mean**2).sum())
    return {"big": digits_net, "small": other, "means": linear}


@pytest.fixture(scope="module")
def patterns(nets):
    """Zero-start patterns of the three."""
    return {
        name: extract_patterns(net, image_shape=(8, 8), max_iter=30) for name, net in nets.items()
    }


@pytest.fixture(scope="module")
def small(digits):
    """A hundred and fifty test digits."""
    return digits.X_test[:150], digits.y_test[:150]


class Sign(Attack):
    """One signed gradient step, by the plain re-implementation, row by row."""

    def run(self, model, start, target, stop, rngs):
        rows = [
            reference.sign_example(model.module, x, code, epsilon=0.15, targeted=target.targeted)
            for x, code in zip(start, target.codes, strict=True)
        ]
        n = len(start)
        return AttackResult(
            adversarial=torch.stack(rows),
            n_iter=np.ones(n, dtype=np.int64),
            stop_reason=np.full(n, "max_iter"),
            loss=np.zeros(n),
            confidence=np.zeros(n),
        )


def _module(net):
    return getattr(net, "module_", net)


def _call(net, x):
    """What a model calls one sample."""
    with torch.no_grad():
        return int(_module(net)(torch.as_tensor(x)[None]).argmax())


# ---------------------------------------------------------------------- examples


@pytest.mark.parametrize("aim", [None, 3])
def test_counts_are_those_of_counting_by_hand(nets, small, aim):
    """Every count of the matrix, one sample after the other; targeted ones too."""
    X, y = small
    found = transfer_matrix(nets, X, y, attack=Sign(), target=aim, batch_size=40)
    for source, net in nets.items():
        counts = {name: [0, 0, 0] for name in nets}
        for x, label in zip(X, y, strict=True):
            made = reference.sign_example(
                _module(net),
                x,
                int(label) if aim is None else aim,
                epsilon=0.15,
                targeted=aim is not None,
            )
            own = _call(net, made)
            own_fooled = own != label if aim is None else own == aim != label
            for target, other in nets.items():
                call = _call(other, made)
                fooled = call != label if aim is None else call == aim != label
                eligible = _call(net, x) == label == _call(other, x) and own_fooled
                counts[target][0] += call != label
                counts[target][1] += eligible
                counts[target][2] += eligible and fooled
        for target, (errors, eligible, moved) in counts.items():
            one = found.sel(source=source, target=target)
            assert [int(one[k]) for k in ("n_errors", "n_fooled", "n_transferred")] == [
                errors,
                eligible,
                moved,
            ]
            assert float(one["error_rate"]) == errors / len(y)
            if eligible:
                assert float(one["transfer_rate"]) == moved / eligible
                ends = reference.wilson(moved, eligible)
                got = [float(one[f"transfer_{end}"]) for end in ("lower", "upper")]
                np.testing.assert_allclose(got, ends, atol=1e-12)
            ends = reference.wilson(errors, len(y))
            got = [float(one[f"error_{end}"]) for end in ("lower", "upper")]
            np.testing.assert_allclose(got, ends, atol=1e-12)
    assert 0 < int(found["n_transferred"].min()) < int(found["n_fooled"].max())


def test_clean_errors(nets, small):
    """clean_error is the share of the samples that a model gets wrong, with its interval."""
    X, y = small
    found = transfer_matrix(nets, X, y, attack=Sign(), confidence_level=0.9)
    for name, net in nets.items():
        wrong = sum(_call(net, x) != label for x, label in zip(X, y, strict=True))
        one = found.sel(target=name)
        assert float(one["clean_error"]) == wrong / len(y)
        ends = reference.wilson(wrong, len(y), z=1.6448536269514722)
        got = [float(one["clean_lower"]), float(one["clean_upper"])]
        np.testing.assert_allclose(got, ends, atol=1e-12)


def test_a_model_fools_itself(nets, small):
    """On the diagonal every example that fooled the source transfers: the rate is 1."""
    found = transfer_matrix(nets, *small, attack=Sign())
    for name in nets:
        one = found.sel(source=name, target=name)
        assert int(one["n_fooled"]) == int(one["n_transferred"]) > 0
        assert float(one["transfer_rate"]) == 1


def test_nothing_fooled_is_not_a_number(nets, small):
    """An attack that changes nothing fools no one: errors are the clean ones, the rate is NaN."""
    X, y = small
    still = make_attack("gradient_descent", learning_rate=1e-12)
    found = transfer_matrix(nets, X, y, attack=still, max_iter=1)
    assert (found["n_fooled"] == 0).all()
    for name in ("transfer_rate", "transfer_lower", "transfer_upper"):
        assert found[name].isnull().all()
    for name in nets:
        clean = found["clean_error"].sel(target=name)
        assert (found["error_rate"].sel(target=name) == clean).all()


def test_labels_are_only_names(nets, small):
    """With names instead of numbers the matrix is the same."""
    X, y = small
    names = np.array([f"d{label}" for label in range(10)])
    plain = transfer_matrix(nets, X, y, attack=Sign())
    named = transfer_matrix(nets, X, names[y], attack=Sign(), classes=names)
    assert plain.drop_attrs().equals(named.drop_attrs())


def test_targets_without_gradients(nets, small, digits):
    """A model without gradients may be asked, but not be the source of a gradient attack."""
    X, y = small
    forest = LogisticRegression(max_iter=300).fit(digits.X.reshape(len(digits.X), -1), digits.y)
    with pytest.raises(AdapterError, match=r"Sign.*needs gradients"):
        transfer_matrix({"net": nets["big"], "logistic": forest}, X, y, attack=Sign())


def test_the_matrix_is_a_result(nets, small, tmp_path):
    """It is saved and loads identical; the summary has a row per pair; a report says it cannot."""
    found = transfer_matrix(nets, *small, attack=Sign(), random_state=3)
    assert load(save(found, tmp_path / "t.nc")).identical(found)
    lines = summary(found).splitlines()
    assert len(lines) == 1 + 9
    assert lines[2].split()[:2] == ["big", "small"]
    assert found.attrs["random_state"] == 3
    with pytest.raises(ParameterError, match="a report cannot show transfer"):
        generate_report(found)


def test_bad_input_of_the_matrix_is_named(nets, small):
    """Models that are no mapping, labels that one lacks, mixed labels, wrong levels and samples."""
    X, y = small
    two = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    named = LogisticRegression(max_iter=300).fit(X.reshape(len(X), -1), y.astype(str))
    for call, error, message in (
        (lambda: transfer_matrix([], X, y), ParameterError, "`models` must be a mapping"),
        (lambda: transfer_matrix({3: two}, X, y), ParameterError, "`models` must have names"),
        (lambda: transfer_matrix({"two": two}, X, y), ModelError, "2 output units"),
        (lambda: transfer_matrix(nets, X, y + 90), LabelError, 'Model "big": y has labels'),
        (lambda: transfer_matrix({"text": named}, X, y), LabelError, 'Model "text": y has'),
        (lambda: transfer_matrix(nets, X, y[:3]), LabelError, "inconsistent numbers"),
        (lambda: transfer_matrix(nets, X * np.nan, y), ValueError, "NaN"),
        (lambda: transfer_matrix(nets, X, y, attack="nope"), ValueError, "Unknown attack"),
        (
            lambda: transfer_matrix(nets, X, y, confidence_level=95),
            ParameterError,
            "`confidence_level` must be between 0 and 1, got 95",
        ),
    ):
        with pytest.raises(error, match=message):
            call()


# ---------------------------------------------------------------------- patterns


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_pattern_rates_are_those_of_counting_by_hand(nets, patterns, small, norm):
    """Scaled, added to each sample of another class, and asked about, one at a time."""
    X, y = (part[:60] for part in small)
    epsilon, clip = (2.0, None) if norm == "l2" else (0.4, (0, 1))
    found = pattern_transfer(
        nets, patterns, X, y, epsilon=epsilon, norm=norm, clip=clip, batch_size=17
    )
    for source in ("big", "means"):
        for label in (0, 4):
            p = patterns[source]["pattern"].sel(label=label).values
            size = np.sqrt((p**2).sum()) if norm == "l2" else np.abs(p).max()
            others = X[y != label]
            sums = others + np.float32(epsilon / size) * p
            sums = sums if clip is None else sums.clip(*clip)
            for target, net in nets.items():
                hits = sum(_call(net, x.astype(np.float32)) == label for x in sums)
                one = found.sel(source=source, target=target, label=label)
                assert float(one["rate"]) == hits / len(others)
                ends = reference.wilson(hits, len(others))
                np.testing.assert_allclose([one["lower"], one["upper"]], ends, atol=1e-12)
                clean = sum(_call(net, x) == label for x in others)
                assert float(one["clean_rate"]) == clean / len(others)
                assert int(one["n_samples"]) == len(others)
    n = found["n_samples"]
    pooled = (found["rate"] * n).sum("label") / n.sum()
    np.testing.assert_allclose(found["overall_rate"], pooled.transpose("source", "target"))
    pooled = (found["clean_rate"] * n).sum("label") / n.sum()
    np.testing.assert_allclose(found["overall_clean_rate"], pooled)
    assert (found["overall_rate"] > found["overall_clean_rate"]).any()


def test_longer_patterns_convince_more(nets, patterns, small):
    """At length almost 0 the rate is the clean one; at a large one a model calls all its own."""
    faint, loud = (
        pattern_transfer(nets, patterns, *small, epsilon=epsilon) for epsilon in (1e-9, 30.0)
    )
    for source in nets:
        np.testing.assert_array_equal(faint["rate"].sel(source=source), faint["clean_rate"])
        assert float(loud["overall_rate"].sel(source=source, target=source)) > 0.9


def test_a_pattern_of_zeros_is_told(nets, patterns, small):
    """Nothing can be scaled there: a warning names the class, and the rate is the clean one."""
    empty = patterns["big"].copy(deep=True)
    empty["pattern"].loc[{"label": 3}] = 0
    with pytest.warns(PatternWarning, match=r'"big" are zero for \[3\]'):
        found = pattern_transfer(nets, {"big": empty}, *small, epsilon=1.0)
    there = found.sel(source="big", label=3)
    np.testing.assert_array_equal(there["rate"], there["clean_rate"])


def test_pattern_transfer_is_a_result(nets, patterns, small, tmp_path):
    """It is saved and loads identical; the summary has a row per pair."""
    found = pattern_transfer(nets, patterns, *small, epsilon=1.0)
    assert load(save(found, tmp_path / "p.nc")).identical(found)
    assert len(summary(found).splitlines()) == 1 + 9


def test_bad_input_of_patterns_is_named(nets, patterns, small):
    """Lengths, norms, patterns of other classes, shapes or dimensions are refused by name."""
    X, y = small

    def call(given=patterns, samples=X, **params):
        pattern_transfer(nets, given, samples, y, **({"epsilon": 1.0} | params))

    one = patterns["big"]
    table = one["pattern"].stack(feature=("channel", "row", "column")).reset_index("feature")
    flat = one.drop_vars("pattern").assign(pattern=table.drop_vars(["channel", "row", "column"]))
    for params, error, message in (
        ({"epsilon": 0}, ParameterError, "`epsilon` must be a positive number, got 0"),
        ({"norm": "l1"}, ParameterError, '`norm` must be "l2" or "linf"'),
        ({"clip": (1, 0)}, ParameterError, "`clip` must be None or"),
        ({"given": one}, ParameterError, "`patterns` must be a mapping"),
        ({"given": {"a": one.expand_dims(draw=2)}}, ParameterError, "leading dimension `draw`"),
        ({"given": {"a": one, "b": one.isel(label=[0])}}, LabelError, "lack"),
        ({"given": {"a": one, "b": flat}}, ResultError, "make equal"),
        (
            {"given": {"a": one.assign_coords(label=np.arange(90, 100))}},
            LabelError,
            r"classes that not all models have: \[90",
        ),
        ({"samples": X[:, :, :4]}, ModelError, "shape"),
    ):
        with pytest.raises(error, match=message):
            call(**params)


def test_agreement_is_similarity_class_by_class(patterns):
    """Pearson's r, ranks and hits are those of comparing by hand; the diagonal is perfect."""
    found = pattern_agreement(patterns, random_state=0)
    for a, b in (("big", "small"), ("means", "big")):
        left, right = (patterns[name]["pattern"].values.astype(float) for name in (a, b))
        r = np.array([[reference.pearson(p, q) for q in right] for p in left])
        one = found.sel(source=a, target=b)
        np.testing.assert_allclose(one["similarity"], np.diag(r), atol=1e-9)
        ranks = [sum(value >= row[i] for value in row) for i, row in enumerate(r)]
        assert one["rank"].values.tolist() == ranks
        assert int(one["hits"]) == ranks.count(1)
        assert float(one["mean_similarity"]) == pytest.approx(np.diag(r).mean())
    for name in patterns:
        one = found.sel(source=name, target=name)
        assert int(one["hits"]) == 10
        np.testing.assert_allclose(one["similarity"], 1)
        assert float(one["identification_p"]) == pytest.approx(1 / 10_001)


def test_agreement_p_is_that_of_all_permutations(patterns):
    """With five classes the p of the mean is exact."""
    few = {name: one.isel(label=slice(0, 5)) for name, one in patterns.items()}
    found = pattern_agreement(few)
    left, right = (few[name]["pattern"].values for name in ("big", "means"))
    r = np.array([[reference.pearson(p, q) for q in right] for p in left])
    got = float(found["identification_p"].sel(source="big", target="means"))
    assert got == pytest.approx(reference.identification_p(r))


def test_agreement_takes_any_metric_and_order(patterns, tmp_path):
    """Labels may come in another order; where smaller is better, that ranks best."""
    turned = {"big": patterns["big"], "again": patterns["big"].isel(label=slice(None, None, -1))}
    found = pattern_agreement(turned, metric="angle")
    assert (found["hits"] == 10).all()
    np.testing.assert_allclose(found["similarity"], 0, atol=1e-3)
    assert found["similarity"].attrs["units"] != "1"
    assert load(save(found, tmp_path / "a.nc")).identical(found)
    assert len(summary(found).splitlines()) == 1 + 4
    with pytest.raises(ParameterError, match="`n_permutations` must be a positive integer"):
        pattern_agreement(turned, n_permutations=0)


# ----------------------------------------------------------------------- rubbish


def test_rubbish_is_counted_by_hand():
    """Share and mean confidence are those of asking about the same noise, one by one."""
    torch.manual_seed(1)
    net = torch.nn.Linear(6, 4)
    found = rubbish_error(
        net, input_shape=(6,), n=200, scale=2.0, threshold=0.6, random_state=4, batch_size=33
    )
    from pncviz.synthesis import make_streams

    streams, sure = make_streams(4, range(200)), []
    for i in range(200):
        x = torch.as_tensor(streams(i, 0).normal(scale=2.0, size=6)).float()
        with torch.no_grad():
            confidence = float(net(x).softmax(0).max())
        if confidence > 0.6:
            sure.append(confidence)
    assert 0 < len(sure) < 200
    assert int(found["n_errors"]) == len(sure)
    assert float(found["error"]) == len(sure) / 200
    assert float(found["mean_confidence"]) == pytest.approx(np.mean(sure), abs=1e-6)
    ends = reference.wilson(len(sure), 200)
    np.testing.assert_allclose([found["lower"], found["upper"]], ends, atol=1e-12)


class Doubtful(torch.nn.Linear):
    """Sure of itself as probabilities go, but with a confidence of its own."""

    answer = 0.3

    def own_confidence(self, x):
        return torch.full((len(x),), self.answer)


def test_own_confidence_counts():
    """A module that knows its own confidence is asked for that, not for probabilities."""
    net = Doubtful(6, 2)
    found = rubbish_error(net, input_shape=(6,), n=50, random_state=0)
    assert float(found["error"]) == 0
    assert np.isnan(found["mean_confidence"])
    assert float(rubbish_error(net, input_shape=(6,), n=50, threshold=0.2)["error"]) == 1
    net.answer = np.nan
    with pytest.raises(ModelError, match="`own_confidence` of the module must give one finite"):
        rubbish_error(net, input_shape=(6,), n=50)


def test_rubbish_images_and_faults(nets):
    """image_shape says what the model takes; wrong parameters are refused by name."""
    found = rubbish_error(nets["small"], image_shape=(8, 8), n=300, random_state=0)
    assert 0 < float(found["lower"]) < float(found["error"]) <= 1
    again = rubbish_error(nets["small"], image_shape=(8, 8), n=300, random_state=0, batch_size=7)
    assert int(found["n_errors"]) == int(again["n_errors"])
    for params, error, message in (
        ({}, ParameterError, "rubbish_error needs `input_shape`"),
        ({"image_shape": (8, 8), "n": 0}, ParameterError, "`n` must be a positive integer"),
        ({"image_shape": (8, 8), "scale": 0}, ParameterError, "`scale` must be a positive number"),
        ({"input_shape": (0,)}, ParameterError, "`input_shape` must have positive integers"),
        ({"image_shape": "8x8"}, ParameterError, "`image_shape` must have"),
    ):
        with pytest.raises(error, match=message):
            rubbish_error(nets["small"], **params)


# --------------------------------------------------------------------- intervals


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 10_000), share=st.floats(0, 1))
def test_intervals_are_wilsons(n, share):
    """The closed formula gives the same ends, and they hold the share between them."""
    hits = round(share * n)
    low, high = proportion_interval(hits, n)
    np.testing.assert_allclose([low, high], reference.wilson(hits, n), atol=1e-9)
    assert 0 <= low <= hits / n <= high <= 1


def test_intervals_of_nothing():
    """No trials, no interval."""
    low, high = proportion_interval([0, 1], [0, 2])
    assert np.isnan([low[0], high[0]]).all()
    assert 0 < low[1] < high[1] < 1


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "a"])
def test_no_batches_of_nothing(batch_size):
    """A batch size that is none is refused, where it once went round for ever."""
    data = load_dataset("tiling")
    net = make_classifier("fc", hidden=[8], max_epochs=5).fit(data.X, data.y)
    with pytest.raises(ParameterError, match="`batch_size` must be None or a positive integer"):
        transfer_matrix({"a": net}, data.X, data.y, batch_size=batch_size)
