"""Contrasts: class sums in one pass, and what is made of them."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.svm import LinearSVC

from pncviz import PNCTransformer, class_means_from_contrasts, positive_negative_contrast
from pncviz.contrast import class_sums
from pncviz.exceptions import AdapterError, LabelError, ParameterError


@pytest.fixture(scope="module")
def data():
    """Unbalanced random samples of three classes."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, size=700, p=[0.2, 0.3, 0.5])
    return rng.random((700, 12)).astype(np.float32) + y[:, None] * 0.1, y


@pytest.mark.parametrize("normalize", ["minmax", None])
def test_contrast_equals_the_plain_loop(data, normalize):
    """Contrasts equal positive mean minus negative mean, sample by sample."""
    X, y = data
    found = positive_negative_contrast(X, y, normalize=normalize)["contrast"]
    for label in range(3):
        expected = reference.contrast(X.astype(float), y, label, minmax=normalize == "minmax")
        np.testing.assert_allclose(found.sel(label=label), expected, atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(
    X=hnp.arrays(
        st.sampled_from([np.uint8, np.int64, np.float16, np.float32, np.float64, np.bool_]),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=30),
        elements=st.integers(0, 1),
    )
)
def test_sums_in_any_dtype(X):
    """Sums are those of float64, whatever the dtype: nothing wraps or overflows."""
    X = X * np.asarray(200, dtype=X.dtype) if X.dtype != bool else X
    codes = np.arange(len(X)) % 2
    expected = np.stack([X[codes == c].astype(np.float64).sum(axis=0) for c in (0, 1)])
    np.testing.assert_allclose(class_sums(X, codes, 2), expected)


def test_large_finite_values_are_no_infinity():
    """Values whose float32 sum overflows are still finite data."""
    X = np.full((512, 2), 3e38, dtype=np.float32)
    sums = class_sums(X, np.zeros(512, dtype=int), 1)
    np.testing.assert_allclose(sums, 512 * X[:1].astype(np.float64), rtol=1e-6)


@pytest.mark.parametrize("value, message", [(np.nan, "contains NaN"), (np.inf, "infinity")])
def test_one_bad_value_is_found(data, value, message):
    """A single NaN or infinity anywhere is refused, though no pass looks for it."""
    X, y = data[0].copy(), data[1]
    X[611, 7] = value
    for fit in (PNCTransformer().fit, PNCTransformer().partial_fit, positive_negative_contrast):
        with pytest.raises(ValueError, match=message):
            fit(X, y)


def test_partial_fit_equals_fit(data):
    """Blocks in any division give the whole's contrasts."""
    X, y = data
    whole = PNCTransformer().fit(X, y).contrasts_["contrast"]
    parts = PNCTransformer()
    for first in range(0, len(X), 37):
        parts.partial_fit(X[first : first + 37], y[first : first + 37])
    np.testing.assert_allclose(parts.contrasts_["contrast"], whole, atol=1e-12)


def test_blocks_of_one_class(data):
    """One-class blocks are taken; before a second class there is no contrast."""
    X, y = data
    pnc = PNCTransformer().partial_fit(X[y == 1], y[y == 1])
    with pytest.raises(ValueError, match="one class"):
        _ = pnc.contrasts_
    pnc.partial_fit(X[y == 0], y[y == 0]).partial_fit(X[y == 2], y[y == 2])
    np.testing.assert_allclose(
        pnc.contrasts_["contrast"], PNCTransformer().fit(X, y).contrasts_["contrast"], atol=1e-12
    )


def test_announced_classes_are_closed(data):
    """With `classes`, a label outside them is refused and an unseen one has no contrast."""
    X, y = data
    pnc = PNCTransformer().partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    with pytest.raises(LabelError, match=r"No samples of the classes \[2\]"):
        _ = pnc.contrasts_
    with pytest.raises(LabelError, match=r"do not have: \[7\]"):
        pnc.partial_fit(X[:2], np.array([7, 7]))


def test_blocks_of_other_labels_or_shape(data):
    """Strings after integers, or another shape, are refused."""
    X, y = data
    pnc = PNCTransformer().partial_fit(X, y)
    with pytest.raises(LabelError, match="integers or strings throughout"):
        pnc.partial_fit(X, y.astype(str))
    with pytest.raises(ValueError, match="features"):
        pnc.partial_fit(X[:, :5], y)


def test_fit_forgets(data):
    """Fit starts anew, partial_fit goes on."""
    X, y = data
    pnc = PNCTransformer().fit(X, y)
    again = PNCTransformer().fit(X, y).fit(X[:300], y[:300]).contrasts_["contrast"]
    np.testing.assert_array_equal(
        again, PNCTransformer().fit(X[:300], y[:300]).contrasts_["contrast"]
    )
    pnc.partial_fit(X, y)
    assert int(pnc.contrasts_["n_positive"].sum()) == 1400


def test_memory_mapped_and_dask(data, tmp_path):
    """A read-only memory-mapped X and a dask X give the same; the file is as it was."""
    import dask.array

    X, y = data
    np.save(tmp_path / "X.npy", X)
    before = (tmp_path / "X.npy").read_bytes()
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    lazy = dask.array.from_array(X, chunks=(100, 12))
    expected = positive_negative_contrast(X, y)["contrast"]
    for source in (mapped, lazy, mapped[:, :]):
        np.testing.assert_allclose(positive_negative_contrast(source, y)["contrast"], expected)
        np.testing.assert_allclose(PNCTransformer().fit(source, y).contrasts_["contrast"], expected)
    assert (tmp_path / "X.npy").read_bytes() == before


def test_dask_is_read_chunk_by_chunk():
    """A dask array is computed as it is cut, and once."""
    import dask.array

    sizes = []

    def chunk(block):
        sizes.append(block.shape)
        return block + 1.0

    X = dask.array.zeros((1000, 5), chunks=(100, 5)).map_blocks(
        chunk, dtype=float, meta=np.empty((0, 5))
    )
    PNCTransformer().fit(X, np.arange(1000) % 2)
    assert sizes == [(100, 5)] * 10


def test_labels_from_prediction_and_probability(data):
    """The model's own sorting: hard labels are one-hot, soft ones weigh samples."""
    X, y = data
    forest = RandomForestClassifier(10, max_depth=2, random_state=0).fit(X, y)
    p = forest.predict_proba(X)
    hard = PNCTransformer(
        labels_from="prediction", estimator=FrozenEstimator(forest), normalize=None
    )
    expected = positive_negative_contrast(X, p.argmax(axis=1), normalize=None)["contrast"]
    found = hard.fit(X, y).contrasts_
    np.testing.assert_allclose(found["contrast"], expected[: found.sizes["label"]], atol=1e-6)
    soft = PNCTransformer(
        labels_from="probability", estimator=FrozenEstimator(forest), normalize=None
    )
    contrast = soft.fit(X, y).contrasts_
    weights = p[:, :1]
    by_hand = (weights * X).sum(0) / weights.sum() - ((1 - weights) * X).sum(0) / (
        1 - weights
    ).sum()
    np.testing.assert_allclose(contrast["contrast"][0], by_hand, atol=1e-5)
    np.testing.assert_allclose(contrast["n_positive"].sum(), len(X))


def test_labels_from_an_unfitted_estimator(data):
    """An unfitted estimator is cloned and fitted; string labels stay the user's own."""
    X, y = data
    names = np.array(["a", "b", "c"])[y]
    estimator = RandomForestClassifier(10, random_state=0)
    pnc = PNCTransformer(labels_from="prediction", estimator=estimator).fit(X, names)
    assert pnc.classes_.tolist() == ["a", "b", "c"]
    assert not hasattr(estimator, "classes_")


def test_a_class_never_predicted_is_told(data):
    """A class that the model never predicts has no contrast: it is named, never NaN."""
    X, y = data
    svc = LinearSVC(C=1e-9, random_state=0).fit(X, y)
    with pytest.raises(LabelError, match="never predicts"):
        PNCTransformer(labels_from="prediction", estimator=FrozenEstimator(svc)).fit(X, y)


def test_constant_mean_normalises_to_zero():
    """A class whose mean image is constant has a normalised mean of 0."""
    X = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0], [0.0, 3.0, 2.0]])
    contrasts = positive_negative_contrast(X, [0, 1, 1])
    assert (contrasts["positive_mean"].sel(label=0) == 0).all()


@pytest.mark.parametrize(
    "params, message",
    [
        ({"normalize": "max"}, '`normalize` must be "minmax" or None'),
        ({"labels_from": "x"}, "`labels_from` must be one of y, prediction"),
        ({"labels_from": "prediction"}, "needs an `estimator`"),
        ({"image_shape": (5, 5)}, r"`image_shape` \(5, 5\) does not fit"),
        ({"n_blocks": -1}, "`n_blocks` must be 0 or a positive integer, got -1"),
        ({"max_bytes": 0}, "`max_bytes` must be a positive integer, got 0"),
        ({"similarity": "pearsn"}, 'Did you mean "pearson"'),
    ],
)
def test_bad_parameters_are_named(data, params, message):
    """Each bad parameter is refused by name."""
    with pytest.raises(ValueError, match=message):
        PNCTransformer(**params).fit(*data).transform(data[0][:3])


def test_normalised_contrasts_do_not_give_means(data):
    """Class means come from raw contrasts alone."""
    with pytest.raises(ParameterError, match="normalize=None"):
        class_means_from_contrasts(positive_negative_contrast(*data), np.zeros(12), [0.3] * 3)


def test_image_shape_labels_flat_samples(data):
    """image_shape gives image dims; without it flat rows are a table."""
    X, y = data
    assert positive_negative_contrast(X, y)["contrast"].dims == ("label", "feature")
    shaped = positive_negative_contrast(X, y, image_shape=(3, 4))["contrast"]
    assert shaped.dims == ("label", "channel", "row", "column")


def test_permuted_pandas_index_is_refused(data):
    """Y in another order than X is named with the first mismatch, by every way in."""
    import pandas as pd

    X, y = pd.DataFrame(data[0]), pd.Series(data[1])
    for fit in (PNCTransformer().fit, PNCTransformer().partial_fit, positive_negative_contrast):
        with pytest.raises(LabelError, match="different order: at row 0"):
            fit(X, y[::-1])


def test_complex_dask_is_refused(data):
    """A dask X is checked by its type as any other."""
    import dask.array

    X = dask.array.zeros((20, 3), dtype=complex)
    for fit in (PNCTransformer().fit, positive_negative_contrast):
        with pytest.raises(ValueError, match=r"[Cc]omplex"):
            fit(X, np.arange(20) % 2)


def test_large_integers_keep_their_digits():
    """Integers that float32 cannot hold are added in float64."""
    rng = np.random.default_rng(0)
    X, y = (2**27 + rng.integers(0, 100, size=(600, 4))).astype(np.int32), np.arange(600) % 2
    found = positive_negative_contrast(X, y, normalize=None)["contrast"][0]
    np.testing.assert_allclose(found, X[y == 0].mean(axis=0) - X[y == 1].mean(axis=0), atol=1e-6)


def test_values_past_float32_are_refused(data):
    """Finite float64 past float32 is named, in fit, partial_fit and transform alike."""
    X, y = data[0].astype(np.float64), data[1]
    pnc = PNCTransformer().fit(X, y)
    X[3, 3] = 1e200
    for call in (lambda: PNCTransformer().fit(X, y), lambda: pnc.transform(X)):
        with pytest.raises(ValueError, match=r"contains 1e\+200, which float64 holds"):
            call()


def test_prediction_is_what_the_model_predicts(data):
    """labels_from="prediction" follows predict, not the largest probability."""
    from sklearn.model_selection import FixedThresholdClassifier

    X, y = data[0], (data[1] == 2).astype(int)
    model = FixedThresholdClassifier(RandomForestClassifier(10, random_state=0), threshold=0.8)
    model.fit(X, y)
    pnc = PNCTransformer(labels_from="prediction", estimator=FrozenEstimator(model)).fit(X, y)
    assert pnc.contrasts_["n_positive"].values.tolist() == np.bincount(model.predict(X)).tolist()


def test_soft_labels_need_probabilities(data):
    """labels_from="probability" with a model that gives none is an error, not hard labels."""
    svc = LinearSVC(random_state=0).fit(*data)
    with pytest.raises(AdapterError, match="gives no probabilities"):
        PNCTransformer(labels_from="probability", estimator=FrozenEstimator(svc)).fit(*data)


def test_a_failed_block_leaves_no_trace(data):
    """A block that is refused changes nothing of what was learnt before."""
    X, y = data
    pnc = PNCTransformer().partial_fit(X[y < 2], y[y < 2])
    before = pnc.contrasts_["contrast"].copy()
    bad = X[y == 2].copy()
    bad[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        pnc.partial_fit(bad, y[y == 2])
    assert pnc.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(pnc.contrasts_["contrast"], before)


def test_other_classes_later_are_refused(data):
    """`classes` may be repeated in later calls, not changed."""
    pnc = (
        PNCTransformer().partial_fit(*data, classes=[0, 1, 2]).partial_fit(*data, classes=[0, 1, 2])
    )
    with pytest.raises(LabelError, match="differ from those of earlier calls"):
        pnc.partial_fit(*data, classes=[0, 1])


def test_feature_names_are_kept(data):
    """A DataFrame's column names label the features."""
    import pandas as pd

    names = [f"f{i}" for i in range(12)]
    found = positive_negative_contrast(pd.DataFrame(data[0], columns=names), data[1])
    assert found["feature"].values.tolist() == names


def block_sums(X, y, n_blocks):
    """The j-th sample of each class goes into block j modulo n_blocks, one by one."""
    labels = np.unique(y).tolist()
    sums, counts = np.zeros((n_blocks, len(labels), X.shape[1])), np.zeros((n_blocks, len(labels)))
    seen = dict.fromkeys(labels, 0)
    for x, label in zip(X.astype(float), y.tolist(), strict=True):
        block = seen[label] % n_blocks
        sums[block, labels.index(label)] += x
        counts[block, labels.index(label)] += 1
        seen[label] += 1
    return sums, counts


@pytest.mark.parametrize("step", [700, 37])
def test_samples_are_dealt_to_blocks_in_turn(data, step):
    """Blocks hold what dealing out the samples of each class gives, also bit by bit."""
    X, y = data
    sums, counts = block_sums(X, y, 6)
    pnc = PNCTransformer(n_blocks=6)
    for first in range(0, len(X), step):
        pnc.partial_fit(X[first : first + step], y[first : first + step])
    found = pnc.contrasts_
    np.testing.assert_array_equal(found["n_block"], counts)
    np.testing.assert_allclose(found["contrast_block_sum"], sums, rtol=1e-6)
    np.testing.assert_allclose(
        found["contrast"], positive_negative_contrast(X, y, n_blocks=0)["contrast"], atol=1e-7
    )


def test_soft_labels_in_blocks_add_up(data):
    """Weights are dealt out by their likeliest class; blocks add up to the whole."""
    X, y = data
    forest = FrozenEstimator(RandomForestClassifier(5, max_depth=3, random_state=0).fit(X, y))
    options = {"labels_from": "probability", "estimator": forest, "normalize": None}
    whole = PNCTransformer(n_blocks=0, **options).fit(X, y).contrasts_
    parts = PNCTransformer(n_blocks=4, **options).fit(X, y).contrasts_
    np.testing.assert_allclose(parts["contrast"], whole["contrast"], atol=1e-6)
    np.testing.assert_allclose(parts["n_block"].sum("block"), whole["n_positive"])
    means = parts["contrast_block_sum"].sum("block") / whole["n_positive"]
    np.testing.assert_allclose(means, whole["positive_mean"], rtol=1e-5)
    assert "contrast_block_sum" not in whole


def test_too_large_contrasts_are_refused_before_they_are_made():
    """1000 classes of 3×224×224 are refused with an estimate, unless without blocks."""
    X = np.lib.stride_tricks.as_strided(
        np.zeros(1, dtype=np.float32), (1000, 3, 224, 224), (0, 0, 0, 0), writeable=False
    )
    with pytest.raises(ParameterError, match=r"1000 contrasts .* need about 55,394,304,000 bytes"):
        positive_negative_contrast(X, np.arange(1000))
    with pytest.raises(ParameterError, match="Use n_blocks=0, or raise it"):
        PNCTransformer().partial_fit(X, np.arange(1000))
    with pytest.raises(ParameterError, match=r"\. Raise it"):
        positive_negative_contrast(X, np.arange(1000), n_blocks=0, max_bytes=10**9)


def plain_sums(X, codes, n_classes):
    """Add sample after sample to its class, in float64."""
    sums = np.zeros((n_classes, int(np.prod(X.shape[1:]))))
    for x, code in zip(X, codes.tolist(), strict=True):
        sums[code] += x.astype(np.float64).ravel()
    return sums


LAYOUTS = {
    "rows": lambda X: X,
    "columns": np.asfortranarray,
    "every other": lambda X: np.repeat(X, 2, axis=0)[::2],
    "channels moved": lambda X: np.moveaxis(X.reshape(len(X), 2, 3, 2), 3, 1),
    "bytes swapped": lambda X: X.astype(X.dtype.newbyteorder()),
}


@pytest.mark.parametrize("pieces", ["whole", "small"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", "u2", "i4", "i8", "f2", "f4", "f8"])
def test_many_samples_in_any_layout(dtype, layout, pieces, monkeypatch):
    """Sums are the plain loop's in any dtype, layout and piece; those of integers to the bit."""
    if pieces == "small":
        for name, size in {"_CAST": 5000, "_DIRECT": 9000, "_CACHED": 700}.items():
            monkeypatch.setattr(f"pncviz.contrast.sums.{name}", size)
    rng = np.random.default_rng(1)
    codes = np.where(np.arange(1500) < 700, 5, rng.choice([0, 1, 6, 7], size=1500))
    floats = np.dtype(dtype).kind == "f"
    X = LAYOUTS[layout](
        (rng.random((1500, 12)) if floats else rng.integers(0, 127, (1500, 12))).astype(dtype)
    )
    found, expected = class_sums(X, codes, 9), plain_sums(X, codes, 9)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype in ("f2", "f4") else 1e-13)
    if not floats:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "dtype, n",
    [("u1", 100_000), ("i1", 200_000), ("u2", 600), ("i2", 1100), ("u4", 600), ("i4", 600)],
)
def test_largest_integers_are_added_exactly(dtype, n):
    """Not one unit is lost where float32 would run out of integers."""
    X = np.full((n, 1), np.iinfo(dtype).max, dtype=dtype)
    X[::3] //= 2
    codes, sign = np.zeros(n, dtype=int), -1 if dtype[0] == "i" else 1
    expected = sign * X.sum(axis=0, dtype=np.int64)
    np.testing.assert_array_equal(class_sums(sign * X, codes, 1)[0], expected)


def test_float32_sums_do_not_drift():
    """A long class is added up in float64: a float32 sum of so many would be off by 2e-3."""
    X = np.full((200_000, 1), 0.1, dtype=np.float32)
    found = class_sums(X, np.zeros(len(X), dtype=int), 1)[0, 0]
    np.testing.assert_allclose(found, len(X) * np.float64(np.float32(0.1)), rtol=1e-6)


def test_a_class_without_samples_between_others():
    """Parts of sums find their own class, also where one class has two and the next has none."""
    codes = np.array([0] * 40 + [2])
    np.testing.assert_array_equal(
        class_sums(np.ones((41, 1), np.float32), codes, 4).T, [[40, 0, 1, 0]]
    )


def test_nan_shares_come_to_an_end():
    """Shares that are NaN give NaN, not an endless search in X, whose values are good."""
    assert np.isnan(class_sums(np.ones((3, 2), np.float32), np.full((3, 2), np.nan), 2)).all()


@pytest.mark.parametrize("n_classes", [3, 400])
@pytest.mark.parametrize("given", ["u1", "channels moved", "f4"])
def test_no_whole_copy_is_made(given, n_classes):
    """Samples that must be cast or moved are so a piece at a time."""
    import tracemalloc

    dtype = "f4" if given == "channels moved" else given
    X = np.ones((60_000, 10, 10, 3), dtype=dtype)
    X = X.transpose(0, 3, 1, 2) if given == "channels moved" else X
    codes = np.arange(len(X)) % n_classes
    tracemalloc.start()
    try:
        class_sums(X, codes, n_classes)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60_000 * 300 * 4 / 3


def test_blocks_are_dealt_alike_whatever_came_before():
    """Adding at once, or in parts of which the later ones bring classes in between, is the same."""
    rng = np.random.default_rng(2)
    y = np.sort(rng.choice(["a", "c", "m", "z"], size=3000))[rng.permutation(3000)]
    X = rng.random((3000, 5)).astype(np.float32)
    order = np.argsort(np.isin(y, ["c", "m"]), kind="stable")
    whole = PNCTransformer(n_blocks=7).fit(X, y).contrasts_
    parts = PNCTransformer(n_blocks=7)
    for rows in np.array_split(order, 11):
        parts.partial_fit(X[rows], y[rows])
    np.testing.assert_array_equal(parts.contrasts_["n_block"], whole["n_block"])
    np.testing.assert_allclose(
        parts.contrasts_["contrast_block_sum"], whole["contrast_block_sum"], rtol=1e-6
    )
