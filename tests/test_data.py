"""X and y: what is taken, what is refused, and what the refusal says."""

import decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pncviz.data import (
    as_float32,
    check_labels,
    check_same_shape,
    check_samples,
    encode_labels,
    output_names,
    resolve_image_shape,
    resolve_seed,
    sample_shape,
)
from pncviz.exceptions import DataError, DataTypeError, LabelError, ParameterError

A = np.arange(12.0).reshape(4, 3)


def with_value(value, dtype=float):
    X = A.astype(dtype)
    X[1, 1] = value
    return X


# ------------------------------------------------------------------------------ X: values


@pytest.mark.parametrize(
    "value, match", [(np.nan, "contains NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8"])
@pytest.mark.parametrize("step", [check_samples, as_float32])
def test_what_is_not_finite_is_named(value, match, dtype, step):
    """NaN and infinity are refused by name, at the check and at the gate to a model."""
    with pytest.raises(ValueError, match=match):
        step(with_value(value, dtype))


def test_finite_false_leaves_values_to_the_caller():
    """With finite=False NaN passes, since the caller sees every value anyway."""
    assert np.isnan(check_samples(with_value(np.nan), finite=False)[1, 1])


@pytest.mark.parametrize("dtype", ["float64", ">f8", "longdouble"])
def test_overflow_of_float32_is_named(dtype):
    """A finite value that float32 does not hold is refused with the value and the dtype."""
    with pytest.raises(DataError, match=r"-1e\+40, which float(64|96|128) holds and float32 does"):
        as_float32(check_samples(with_value(-1e40, np.dtype(dtype).newbyteorder("="))))
    with pytest.raises(DataError, match=r"1e\+39, which (>f8|float)"):
        as_float32(with_value(1e39, dtype))


def test_integers_beyond_floats_are_refused():
    """Python integers have no bound; one past float64 is a DataError, not an OverflowError."""
    with pytest.raises(DataError, match="too large for floats"):
        check_samples(np.array([[10**400, 1]], dtype=object))


def test_large_finite_values_pass():
    """The largest float32 values pass, even where their float32 sum would overflow."""
    X = np.full((4, 3), np.finfo(np.float32).max)
    np.testing.assert_array_equal(as_float32(X.astype(np.float64)), X)


# ------------------------------------------------------------------------------ X: shapes


@pytest.mark.parametrize(
    "X, match",
    [
        (A[:0], r"0 sample\(s\)"),
        (A[:, :0], r"0 feature\(s\)"),
        (np.zeros((2, 0, 3)), r"0 features: its shape is \(2, 0, 3\)"),
        (A[0], "Expected 2D array, got 1D array"),
        (np.float64(3), "Expected 2D array, got scalar"),
        (np.zeros((2, 1, 1, 3, 4)), r"got shape \(2, 1, 1, 3, 4\)"),
        ([[1, 2], [3]], "inhomogeneous"),
        (pd.Series([1.0, 2.0]), "Expected a 2-dimensional container"),
    ],
)
def test_shapes_that_are_no_samples(X, match):
    """0 rows, 0 features, one or five dimensions and ragged lists are refused."""
    with pytest.raises(ValueError, match=match):
        check_samples(X)


@pytest.mark.parametrize(
    "shape, expected", [((5, 6), (1, 5, 6)), ((3, 5, 6), (3, 5, 6)), ((30,), (30,)), ((64,), (64,))]
)
def test_image_shape_follows_from_the_samples(shape, expected):
    """(n, h, w) and (n, c, h, w) say their image shape; flat rows are a table, never a square."""
    assert check_samples(np.zeros((2, *shape))).shape == (2, *shape)
    assert sample_shape(shape) == expected
    assert resolve_image_shape(shape, None) == expected


@pytest.mark.parametrize(
    "shape, image_shape, expected",
    [
        ((30,), (5, 6), (1, 5, 6)),
        ((30,), [5, 6], (1, 5, 6)),
        ((30,), np.array([5, 6]), (1, 5, 6)),
        ((90,), (3, 5, 6), (3, 5, 6)),
        ((5, 6), (5, 6), (1, 5, 6)),
        ((1, 5, 6), (5, 6), (1, 5, 6)),
        ((5, 6, 1), (5, 6, 1), (5, 6, 1)),  # said so, hence not guessed
    ],
)
def test_image_shape_that_fits(shape, image_shape, expected):
    """A given image shape is taken as it is, with a channel added to (rows, columns)."""
    assert resolve_image_shape(shape, image_shape) == expected


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_last_are_refused(channels):
    """Channels in the last place are refused, naming expected and got."""
    match = rf"expected \(n, channels, rows, columns\), got \(n, 8, 9, {channels}\)"
    with pytest.raises(DataError, match=match):
        resolve_image_shape((8, 9, channels), None)
    with pytest.raises(DataError, match=rf"\(8, 9, {channels}\) looks like channels last"):
        resolve_image_shape((72 * channels,), (8, 9, channels))


@pytest.mark.parametrize(
    "shape, image_shape, error, match",
    [
        (
            (64,),
            (8, 9),
            DataError,
            r"\(8, 9\) does not fit .* \(64,\); it must have a product of 64",
        ),
        ((8, 8), (4, 16), DataError, r"does not fit .* \(8, 8\); it must be \(1, 8, 8\)"),
        ((64,), (0, 8), DataError, r"positive sides, got \(0, 8\)"),
        ((64,), (-8, -8), DataError, r"positive sides, got \(-8, -8\)"),
        ((64,), (64,), DataError, r"\(rows, columns\) or .* got \(64,\)"),
        ((64,), (), DataError, r"got \(\)"),
        ((64,), (2, 2, 4, 4), DataError, r"got \(2, 2, 4, 4\)"),
        ((64,), 8, DataTypeError, "of integers, got 8"),
        ((64,), "88", DataTypeError, "of integers, got '88'"),
        ((64,), (8.5, 8), DataTypeError, r"of integers, got \(8.5, 8\)"),
        ((64,), (True, 64), DataTypeError, r"of integers, got \(True, 64\)"),
    ],
)
def test_image_shape_faults(shape, image_shape, error, match):
    """An image shape that is no shape, or not of these samples, is refused with both."""
    with pytest.raises(error, match=match):
        resolve_image_shape(shape, image_shape)


def test_another_shape_at_transform_is_named():
    """Samples of another shape than in fit are refused, naming both."""
    check_same_shape(np.zeros((9, 3, 4)), (3, 4))
    with pytest.raises(DataError, match=r"shape \(3, 5\), but in fit they had shape \(3, 4\)"):
        check_same_shape(np.zeros((9, 3, 5)), (3, 4))


# ------------------------------------------------------------------------------- X: types


@pytest.mark.parametrize("dtype", ["u1", "i8", "?", "f2", "f4", "f8", ">f4", ">f8", ">i2", "O"])
def test_real_types_are_cast(dtype):
    """Integer, bool, float16, big-endian and object numbers become native float32."""
    X = as_float32(check_samples(A.astype(dtype)))
    assert X.dtype == np.float32
    assert X.dtype.isnative
    np.testing.assert_array_equal(X, A.astype(bool) if dtype == "?" else A)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_negative_strides_become_contiguous(dtype):
    """Reversed views are laid out anew, since torch takes no negative strides."""
    X = as_float32(check_samples(A.astype(dtype)[::-1, ::-1]))
    assert X.flags.c_contiguous
    np.testing.assert_array_equal(X, A[::-1, ::-1])


def test_contiguous_float32_is_not_copied():
    """What a model takes already is handed on as it is."""
    X = A.astype(np.float32)
    assert np.shares_memory(as_float32(check_samples(X)), X)


TEXT = A.astype(int).astype(str)


@pytest.mark.parametrize(
    "X",
    [
        TEXT,
        TEXT.astype(bytes),
        TEXT.astype(object),
        TEXT.tolist(),
        [[1.0, "2"], [3.0, 4.0]],
        [[1]] * 2000 + [["7"]],
        np.array([[1]] * 2000 + [["7"]], dtype=object),
        TEXT.astype(np.dtypes.StringDType()),
        pd.DataFrame({"a": [1.0, 2.0], "b": ["1", "2"]}),
        pd.DataFrame({"a": ["1", "2"]}, dtype=object),
        pd.DataFrame({"a": pd.Categorical(["1", "2"])}),
    ],
)
def test_strings_are_refused_numeric_ones_too(X):
    """Text is no number, wherever it hides; scikit-learn alone would convert some of it."""
    with pytest.raises(DataError, match=r"X holds strings.*astype\(float\)"):
        check_samples(X)


@pytest.mark.parametrize(
    "X, error, match",
    [
        (A.astype(complex), DataError, "Complex data not supported: X is complex128; use X.real"),
        (A.astype(complex).astype(object), DataError, "Complex data not supported"),
        ([[1j, 2.0]], DataError, "Complex data not supported"),
        (np.ma.masked_array(A, A > 5), DataTypeError, r"masked array; fill it first: X.filled"),
        ([np.ma.masked_array([1.0, 2.0], [0, 1])], DataTypeError, "masked array"),
        (scipy.sparse.csr_array(A), TypeError, "dense data is required"),
        (np.array([["2020-01-01"]], "M8[D]"), DataError, r"X holds dates \(datetime64"),
        (pd.DataFrame({"a": pd.date_range("2020", periods=2)}), DataError, "X holds dates"),
        (np.array([[3]], "m8[s]"), DataError, r"time spans \(timedelta64\[s\]\)"),
        (np.zeros(2, [("a", int)]), DataError, "named fields"),
        (np.array([[{}]], dtype=object), TypeError, "argument must be .* string.* number"),
    ],
)
def test_types_that_must_be_converted_first(X, error, match):
    """Complex, masked, sparse, dates and the rest: the message says what came."""
    with pytest.raises(error, match=match):
        check_samples(X)


@pytest.mark.parametrize(
    "X",
    [
        A.tolist(),
        pd.DataFrame(A),
        pd.DataFrame({"a": [True, False], "b": pd.array([1, 2], dtype="Int64")}),
        pd.DataFrame({"a": pd.Categorical([1, 2])}),
    ],
)
def test_lists_and_frames_of_numbers_work(X):
    """Lists and data frames of numbers, nullable and categorical ones too, are samples."""
    expected = np.asarray(X, dtype=np.float32)
    np.testing.assert_array_equal(as_float32(check_samples(X)), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_infinities_of_both_signs(dtype):
    """Infinities that cancel are still infinities: a ValueError and no warning."""
    X = np.array([[-np.inf, np.inf]], dtype=dtype)
    for check in (as_float32, check_samples):
        with pytest.raises(ValueError, match="infinity"):
            check(X)


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int64, np.float16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=4),
    )
)
def test_a_cast_is_right_or_refused(X):
    """Property: float32 within rounding, or a ValueError; never a silent NaN or infinity."""
    with np.errstate(over="ignore"):
        fits = np.isfinite(X.astype(np.float32)).all()
    if not fits:
        with pytest.raises(ValueError, match="X contains"):
            as_float32(X)
        return
    cast = as_float32(check_samples(X))
    assert np.isfinite(cast).all()
    np.testing.assert_allclose(cast, X.astype(np.float64), rtol=1e-7, atol=1e-44)


# ------------------------------------------------------------------------------- y: faults


@pytest.mark.parametrize(
    "y, match",
    [
        (None, "requires y to be passed"),
        ([1.0, np.nan, 2.0], "NaN in 1 of 3 places"),
        (np.array([1.0, np.nan, np.nan]), "NaN in 2 of 3 places"),
        (["a", None, "b"], "None or NaN in 1 of 3 places"),
        (pd.Series(["a", None, "b"]), "None or NaN in 1 of 3 places"),
        (pd.Series([1, None, 3], dtype="Int64"), "NaN in 1 of 3 places"),
        (np.array([pd.NA, 1, 2], object), "None or NaN in 1 of 3 places"),
        ([1, "a", 2], "y mixes types: int, str"),
        (np.array([1, "a", 2], object), "y mixes types: int, str"),
        ([True, 1, 2], "y mixes types: bool, int"),
        (np.eye(3), r"got an array of shape \(3, 3\).*use y.argmax\(axis=1\)"),
        (np.zeros((3, 1, 1)), "y must be a 1d array"),
        (7, "y must be a 1d array"),
        ("abc", "y must be a 1d array"),
        ([[1], [1, 2], [3]], "y must be a 1d array"),
        ([0.5, 1.0, 2.0], r"Unknown label type: continuous \(0.5"),
        ([1.0, np.inf, 2.0], r"Unknown label type: continuous \(inf"),
        ([1e30, 1.0, 2.0], r"Unknown label type: continuous \(1e\+30"),
        ([1, 2], r"\[3, 2\]: X has 3 samples and y has 2 labels"),
        (pd.Series(pd.date_range("2020", periods=3)), "integers or strings, got dtype datetime64"),
        (np.array([1, 2, 3], "m8[s]"), "got dtype timedelta64"),
        (np.array([1j, 2, 3]), "got dtype complex128"),
        ([decimal.Decimal(1)] * 3, "got dtype object"),
        (np.array([2**63, 1, 2], np.uint64), "9223372036854775808, too large a label"),
        (np.ma.masked_array([1, 2, 3], [0, 1, 0]), "y is a MaskedArray"),
        (scipy.sparse.csr_array(np.ones((3, 1))), "y is a csr_array, .*toarray"),
        (np.array(["a\0", "a", "b"], object), "null character"),
    ],
)
def test_labels_that_are_refused(y, match):
    """Each fault of y is a LabelError with counts, types or lengths, and what to do."""
    with pytest.raises(LabelError, match=match):
        check_labels(y, 3)


def test_a_permuted_index_is_refused():
    """Labels in another order than X is a LabelError with the first mismatch (raw: accepted)."""
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["p", "q", "r"])
    y = pd.Series([1, 2, 3], index=["p", "r", "q"])
    with pytest.raises(LabelError, match=r"at row 1 the index of X is 'q' and that of y 'r'"):
        check_labels(y, 3, X=X)
    assert check_labels(y.loc[X.index], 3, X=X).tolist() == [1, 3, 2]


@pytest.mark.parametrize("index", [[0, 1, np.nan], pd.date_range("2020", periods=3), [4, 4, 4]])
def test_an_equal_index_is_taken(index):
    """Equal indices are equal with NaN, dates and repeats in them, too."""
    X, y = pd.DataFrame({"a": A[:3, 0]}, index=index), pd.Series([1, 2, 3], index=index)
    assert check_labels(y, 3, X=X).tolist() == [1, 2, 3]


# ------------------------------------------------------------------------------ y: labels


@pytest.mark.parametrize(
    "y, expected",
    [
        (["b", "a", "b"], ["b", "a", "b"]),
        (np.array([b"b", b"a", b"b"]), ["b", "a", "b"]),
        (np.array([np.str_("b"), "a", "b"], object), ["b", "a", "b"]),
        (np.array(["b", "a", "b"], np.dtypes.StringDType()), ["b", "a", "b"]),
        (pd.Series(pd.Categorical(["b", "a", "b"])), ["b", "a", "b"]),
        ([-1, 9, 5], [-1, 9, 5]),
        ([9.0, 0, 5], [9, 0, 5]),
        (np.array([np.int64(1), 2, np.int8(3)], object), [1, 2, 3]),
        (np.array([1, 2, 3], np.uint64), [1, 2, 3]),
        ([True, False, True], [1, 0, 1]),
        (pd.Series([1, 2, 3], dtype="Int64"), [1, 2, 3]),
    ],
)
def test_labels_become_int64_or_str(y, expected):
    """Strings, negative and non-contiguous integers, whole floats and bools are labels."""
    labels = check_labels(y, 3)
    assert labels.tolist() == expected
    assert labels.dtype.kind == "U" or labels.dtype == np.int64


def test_a_column_of_labels_is_flattened_with_a_warning():
    """One column is taken for labels, and scikit-learn's warning says so."""
    from sklearn.exceptions import DataConversionWarning

    with pytest.warns(DataConversionWarning, match="column-vector"):
        assert check_labels(np.array([[3], [1]]), 2).tolist() == [3, 1]


@given(
    st.one_of(
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
        st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1),
    )
)
def test_encoding_can_be_undone(labels):
    """Property: classes[codes] are the labels again, and the classes are sorted and distinct."""
    checked = check_labels(labels, len(labels))
    classes, codes = encode_labels(checked)
    assert classes[codes].tolist() == labels
    assert classes.tolist() == sorted(set(labels))


@given(st.permutations(["ape", "bee", "cat", "dog"]), st.data())
def test_encoding_by_given_classes(classes, data):
    """Property: codes are places in the classes as given, whichever of them y lacks."""
    labels = data.draw(st.lists(st.sampled_from(classes), min_size=1))
    known, codes = encode_labels(np.array(labels), classes)
    assert known.tolist() == classes
    assert codes.tolist() == [classes.index(label) for label in labels]


@pytest.mark.parametrize(
    "y, classes, match",
    [
        ([1, 5, 7], [0, 5], r"do not have: \[1, 7\]. Known: \[0, 5\]"),
        (["a"], ["b"], r"do not have: \['a'\]"),
        ([1, 5], ["1", "5"], "Their types differ: int in y, str in the classes"),
        ([1, 5], [5, 5, 1], r"must be distinct labels, got \[5, 5, 1\]"),
        ([1], [[1, 2]], r"must be distinct labels, got \[\[1, 2\]\]"),
    ],
)
def test_labels_that_are_not_among_the_classes(y, classes, match):
    """A label that the model lacks is listed; "1" is not 1, and the message says so."""
    with pytest.raises(LabelError, match=match):
        encode_labels(np.array(y), classes)


# ------------------------------------------------------------------------- seeds and names


def test_random_states_become_one_integer():
    """Integers stay; generators draw, the same for the same state; None draws afresh."""
    assert resolve_seed(np.int64(3)) == 3
    for make in (np.random.RandomState, np.random.default_rng):
        assert resolve_seed(make(5)) == resolve_seed(make(5)) != resolve_seed(make(6))
    assert len({resolve_seed(None) for _ in range(5)}) > 1


def test_drawing_a_seed_leaves_numpys_global_state():
    """None does not touch numpy's global generator."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002 # the very state that must not move
    resolve_seed(None)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002 # likewise


@pytest.mark.parametrize("state", [1.5, "a", True, [1], np.random.SeedSequence(0)])
def test_random_states_of_other_types(state):
    """Anything else is a TypeError that lists the choices."""
    with pytest.raises(DataTypeError, match="`random_state` must be an integer, a RandomState, a "):
        resolve_seed(state)


@pytest.mark.parametrize("state", [-1, 2**63])
def test_random_states_out_of_range(state):
    """A negative seed, or one that torch and NetCDF cannot hold, is refused with its value."""
    with pytest.raises(ParameterError, match=f"`random_state` must not be negative.*got {state}"):
        resolve_seed(state)


def test_output_names():
    """Columns are named by metric and class; other input features than in fit are refused."""

    class Fitted:
        n_features_in_ = 2
        feature_names_in_ = np.array(["p", "q"], dtype=object)

    labels = np.array(["cat", "owl"])
    assert output_names(Fitted, "pearson", labels, None).tolist() == ["pearson_cat", "pearson_owl"]
    assert len(output_names(Fitted, "pearson", labels, ["p", "q"])) == 2
    with pytest.raises(DataError, match="not equal to feature_names_in_"):
        output_names(Fitted, "pearson", labels, ["q", "p"])
    del Fitted.feature_names_in_
    with pytest.raises(DataError, match=r"number of features \(2\), got 3"):
        output_names(Fitted, "pearson", labels, ["a", "b", "c"])
