"""The labelled results: schema, joining, files that survive or are refused."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pncviz.dataset import (
    build_contrasts,
    build_patterns,
    build_similarities,
    check_labels_match,
    check_writable,
    common_attrs,
    concat_patterns,
    image_dims,
    load,
    printable,
    save,
    summary,
    validate,
)
from pncviz.dataset.seal import check_seal, seal
from pncviz.exceptions import LabelError, ParameterError, ResultError

ROOT = Path(__file__).parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")


def make_patterns(labels=("cat", "dog", "owl"), image_shape=(1, 4, 5), *, seed=0, **changes):
    """Patterns of random numbers."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels)
    n = len(labels)
    rate = np.resize([1.0, 0.5], n)
    arguments = {
        "pattern": rng.normal(size=(n, *image_shape)).astype("float32"),
        "labels": labels,
        "image_shape": image_shape,
        "confidence": rng.random(n),
        "loss": rng.random(n),
        "n_iter": np.arange(n),
        "prediction": labels[::-1],
        "stop_reason": np.resize(["max_iter", "", "min_confidence"], n),
        "success_rate": rate,
        "pattern_prediction": labels,
        "pattern_confidence": rng.random(n),
        "attrs": common_attrs("patterns", parameters={"seed": seed}, random_state=seed),
    }
    return build_patterns(**(arguments | changes))


def make_contrasts(labels=(0, 1, 2), image_shape=(6,), **changes):
    """Contrasts of random numbers."""
    rng = np.random.default_rng(1)
    n = len(labels)
    arguments = {
        name: rng.random((n, *image_shape))
        for name in ("contrast", "positive_mean", "negative_mean")
    }
    arguments |= {"n_positive": np.arange(n) + 1, "n_negative": np.arange(n) + 5}
    arguments |= {"labels": labels, "image_shape": image_shape}
    arguments["attrs"] = common_attrs("contrasts", parameters={})
    return build_contrasts(**(arguments | changes))


def make_similarities(**changes):
    """Two metrics, three patterns, three contrasts."""
    arguments = {
        "similarity": np.array([np.eye(3), 1 - np.eye(3)]),
        "metrics": ["pearson", "distance"],
        "pattern_labels": ["a", "b", "c"],
        "contrast_labels": ["a", "b", "c"],
        "attrs": common_attrs("similarities", parameters={}),
    }
    return build_similarities(**(arguments | changes))


def make_trace(n, iteration, seed=0):
    """A trace as synthesis gives it."""
    values = np.random.default_rng(seed).random((2, n, len(iteration)))
    values[:, 0, -1] = np.nan  # the first pattern stopped early
    return SimpleNamespace(iteration=np.asarray(iteration), loss=values[0], confidence=values[1])


# ------------------------------------------------------------------------------ attributes


def test_common_attrs_hold_only_what_netcdf_can():
    """Every attribute is a string or a number, and None is left out."""
    attrs = common_attrs(
        "patterns",
        parameters={"clip": (0, 1), "loss": None, "rate": np.float32(0.5), "model": object},
        random_state=2**100,
        plugins={"pncviz-x": "1.0"},
        deterministic=True,
        nothing=None,
        nested={"b": 1, "a": [True]},
    )
    assert all(type(value) in (str, int, float) for value in attrs.values())
    assert attrs["deterministic"] == 1
    assert "nothing" not in attrs
    assert attrs["nested"] == '{"a": [true], "b": 1}'
    assert attrs["random_state"] == str(2**100)
    assert json.loads(attrs["parameters"])["clip"] == [0, 1]
    assert json.loads(attrs["plugins"]) == {"pncviz-x": "1.0"}
    assert attrs["created_at"].endswith("+00:00")
    assert attrs["numpy_version"] == np.__version__


def test_common_attrs_names_the_kinds():
    """A misspelt kind is an error that lists them all."""
    listed = r"patterns, contrasts, similarities, examples, .*; got 'pattern'"
    with pytest.raises(ParameterError, match=listed):
        common_attrs("pattern", parameters={})


# ----------------------------------------------------------------------------------- build


def test_image_dims():
    """Three numbers are an image, one is a table, and nothing else is either."""
    assert image_dims((3, 8, 9)) == ("channel", "row", "column")
    assert image_dims((7,)) == ("feature",)
    for bad in [(), (8, 9), (1, 0, 3)]:
        with pytest.raises(ResultError, match="image_shape"):
            image_dims(bad)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_patterns_are_reshaped_and_keep_their_dtype(dtype):
    """Values stay in C order and of their dtype, whatever shape the model takes."""
    values = np.arange(60, dtype=dtype)
    ds = make_patterns(pattern=values.reshape(3, 20))
    assert ds["pattern"].dims == ("label", "channel", "row", "column")
    assert ds["pattern"].dtype == dtype
    np.testing.assert_array_equal(ds["pattern"].values.ravel(), values)
    assert ds["succeeded"].values.tolist() == [True, False, True]
    assert ds["loss"].attrs["units"] == "nat"
    assert make_patterns(loss_units="1")["loss"].attrs["units"] == "1"


def test_patterns_with_trace_blocks_and_feature_names():
    """Optional parts land on their own dimensions."""
    ds = make_patterns(
        image_shape=(2,),
        feature_names=["x", "y"],
        trace=make_trace(3, [0, 10]),
        block=np.ones((4, 3, 1, 2)),
        n_block=[5, 5, 5, 4],
    )
    assert ds["trace_loss"].dims == ("label", "trace_iteration")
    assert ds["trace_iteration"].values.tolist() == [0, 10]
    assert ds["pattern_block"].dims == ("block", "label", "feature")
    assert ds["n_block"].sum() == 19
    assert ds["feature"].values.tolist() == ["x", "y"]


def test_contrasts_weighted_and_blocks_by_label():
    """Counts may be weights, and block counts may differ by class."""
    ds = make_contrasts(
        n_positive=[0.5, 1.5, 2], block_sum=np.ones((2, 3, 6)), n_block=np.ones((2, 3))
    )
    assert ds["n_positive"].dtype == "float64"
    assert ds["n_block"].dims == ("block", "label")
    assert ds["contrast_block_sum"].dims == ("block", "label", "feature")


def test_similarities_with_strategies():
    """Strategies lead."""
    ds = make_similarities(
        similarity=np.zeros((1, 2, 3, 3)), leading={"strategy": ["zero"]}, metric_units=["1", "px"]
    )
    assert ds["similarity"].dims == ("strategy", "metric", "pattern_label", "contrast_label")
    assert ds["metric_units"].values.tolist() == ["1", "px"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pattern": np.zeros((3, 19))}, r"`pattern` must be of shape \(3, 1, 4, 5\), got \(3, 19"),
        ({"pattern": np.zeros((2, 20))}, r"`pattern` must be of shape"),
        ({"pattern": np.zeros((3, 20), complex)}, "`pattern` must be real numbers"),
        ({"pattern": np.full((3, 20), np.nan)}, "`pattern` contains NaN or infinity"),
        ({"confidence": [1.0]}, r"`confidence` must be of shape \(3\), got \(1,\)"),
        ({"confidence": np.ones((3, 1))}, "`confidence` must be of shape"),
        ({"n_iter": [0.5, 1, 2]}, "`n_iter` must be of integer dtype"),
        ({"labels": ["a", "b", "a"]}, "duplicate.*'a'.* in `label`"),
        ({"labels": np.zeros((3, 1))}, "`label` names must be of shape"),
        ({"feature_names": ["a"]}, "`feature_names` needs a table"),
        ({"block": np.ones((2, 3, 20))}, "`block` and `n_block` belong together"),
        ({"block": np.ones((2, 3, 20)), "n_block": [1]}, "`n_block` must be of shape"),
        ({"trace": make_trace(2, [0])}, "`trace.loss` must be of shape"),
        ({"attrs": {}}, "`schema_version` is missing"),
        ({"stop_reason": ["a\0", "b", "c"]}, "`stop_reason` holds a NUL"),
        ({"labels": ["a", "b", "\ud800"]}, "is not valid Unicode"),
        ({"labels": [], "pattern": np.ones((0, 20))}, "`label` is empty"),
    ],
)
def test_bad_parts_are_named(changes, message):
    """Whatever does not fit is refused by name, before there is a dataset."""
    with pytest.raises(ResultError, match=message):
        make_patterns(**changes)


@pytest.mark.parametrize("labels", [[1, "a", 2], [True, 2, 3], [None, 1, 2], [b"a", b"b", b"c"]])
def test_mixed_labels_are_refused(labels):
    """Left alone, numpy would make strings of a mixture without a word."""
    with pytest.raises(LabelError, match="all integers or all strings"):
        make_contrasts(labels=labels)


# -------------------------------------------------------------------------------- validate


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.attrs.pop("kind"), "dataset"),
        (lambda ds: ds.attrs.update(kind="pictures"), "`kind` must be .*; got 'pictures'"),
        (lambda ds: ds.attrs.update(schema_version="2"), "made by a newer pncviz"),
        (lambda ds: ds.attrs.update(schema_version="x"), "`schema_version` must be '1'"),
        (lambda ds: ds.attrs.update(schema_version="0"), "`schema_version` must be '1'"),
        (lambda ds: ds.attrs.update(flag=True), "`flag` is a bool"),
        (lambda ds: ds.attrs.update(flag=np.True_), "`flag` is a bool"),
        (lambda ds: ds.attrs.update(nothing=None), "`nothing` is a None"),
        (lambda ds: ds.attrs.update(nested={}), "`nested` is a dict"),
        (lambda ds: ds.attrs.update(wide=2**64), "too wide"),
        (lambda ds: ds.attrs.update(one=[1]), "`one` is .*two or more numbers"),
        (lambda ds: ds["loss"].attrs.update(x=None), "`loss`: attribute `x` is a None"),
        (lambda ds: ds["label"].attrs.update(x=None), "`label`: attribute `x` is a None"),
        (lambda ds: ds["loss"].attrs.update(scale_factor=2), "may not be called 'scale_factor'"),
        (lambda ds: ds["loss"].attrs.pop("units"), "dataset"),
        (lambda ds: ds.drop_vars("loss"), "variable `loss` on .* is missing"),
        (lambda ds: ds.drop_vars("label"), "coordinate `label` on .* is missing"),
        (lambda ds: ds.transpose("row", ...), r"`pattern` must have the dimensions .*label, chan"),
        (lambda ds: ds.isel(label=0), "coordinate `label`"),
        (lambda ds: ds.isel(label=slice(0)), "dimension `label` is empty"),
        (lambda ds: ds.assign(succeeded=ds["n_iter"]), "`succeeded` must be of bool dtype"),
        (lambda ds: ds.assign(n_iter=ds["n_iter"] * 1.0), "`n_iter` must be of integer dtype"),
        (lambda ds: ds.assign(extra=ds["loss"].astype(complex)), "`extra` has dtype complex"),
        (lambda ds: ds.expand_dims("strategy"), "coordinate `strategy`"),
    ],
)
def test_validate_names_what_is_wrong(change, message):
    """One change at a time breaks the schema, and the message says which."""
    ds = make_patterns()
    changed = change(ds)
    ds = changed if isinstance(changed, xr.Dataset) else ds
    message = "`kind` must be|`units` is missing" if message == "dataset" else message
    with pytest.raises(ResultError, match=message):
        validate(ds)


def test_validate_kind_and_type():
    """Another kind than the wanted one, or no dataset at all, is refused."""
    with pytest.raises(ResultError, match="`kind` must be contrasts; got 'patterns'"):
        validate(make_patterns(), "contrasts")
    with pytest.raises(ResultError, match=r"xarray\.Dataset, got dict"):
        validate({})
    with pytest.raises(ParameterError, match="must be one of"):
        validate(make_patterns(), "nonsense")


def test_validate_allows_leading_dimensions_and_more_variables():
    """`…, label, channel, row, column`: the dots are for others to fill."""
    ds = make_patterns().expand_dims(draw=3, layer=["a", "b"])
    ds["extra"] = ("draw", np.ones(3), {"long_name": "more", "units": "1"})
    assert validate(ds) is ds
    assert validate(make_similarities().expand_dims(seed=[3]), "similarities")


# ----------------------------------------------------------------------------------- joins


def test_labels_match_in_any_order():
    """Order is no difference; 1 and 1.0 are one label."""
    assert check_labels_match([1, 2], [2, 1], "a", "b") is None
    assert check_labels_match([1, 2], np.array([1.0, 2.0]), "a", "b") is None


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1, 2], ["1", "2"], r"patterns are integers \(1, 2\), those of contrasts strings \('1'"),
        ([1, 2, 3], [3, 4], "contrasts lack 1, 2, patterns lack 4"),
        (range(20), range(10), "contrasts lack 10, 11, 12, 13, 14, …;"),
        ([True, False], [0, 1], "patterns are bool"),
    ],
)
def test_labels_that_differ_are_listed(a, b, message):
    """Raw xarray would give an empty result, or silently fewer classes."""
    with pytest.raises(LabelError, match=message):
        check_labels_match(a, b, "patterns", "contrasts")


def test_concat_joins_by_label_whatever_the_order():
    """Every strategy's pattern of a class stays with its class."""
    zero = make_patterns()
    noise = make_patterns(seed=1)
    ds = concat_patterns({"zero": zero, "noise": noise.isel(label=[2, 0, 1])})
    assert ds["pattern"].dims == ("strategy", "label", "channel", "row", "column")
    assert ds["strategy"].values.tolist() == ["zero", "noise"]
    assert ds["label"].values.tolist() == ["cat", "dog", "owl"]
    np.testing.assert_array_equal(ds["pattern"].sel(strategy="zero"), zero["pattern"])
    np.testing.assert_array_equal(ds["pattern"].sel(strategy="noise"), noise["pattern"])
    assert json.loads(ds.attrs["parameters"]) == {"noise": {"seed": 1}, "zero": {"seed": 0}}
    assert "random_state" not in ds.attrs
    assert ds.attrs["numpy_version"] == np.__version__
    assert validate(ds, "patterns") is ds


def test_concat_pads_traces_and_blocks():
    """Traces meet on all iterations; a strategy without blocks gets empty ones."""
    parts = {
        "zero": make_patterns(trace=make_trace(3, [0, 10])),
        "noise": make_patterns(
            trace=make_trace(3, [0, 5, 10, 15], seed=1), block=np.ones((2, 3, 20)), n_block=[1, 1]
        ),
    }
    ds = concat_patterns(parts)
    assert ds["trace_iteration"].values.tolist() == [0, 5, 10, 15]
    assert np.isnan(ds["trace_loss"].sel(strategy="zero", trace_iteration=[5, 15])).all()
    for name, part in parts.items():
        kept = ds["trace_loss"].sel(strategy=name, trace_iteration=part["trace_iteration"])
        np.testing.assert_array_equal(kept, part["trace_loss"])
    assert ds["n_block"].values.tolist() == [[0, 0], [1, 1]]
    assert not ds["pattern_block"].sel(strategy="zero").any()
    np.testing.assert_array_equal(
        ds["pattern_block"].sel(strategy="noise"), parts["noise"]["pattern_block"]
    )
    only_one = concat_patterns({"a": parts["zero"], "b": make_patterns()})
    assert "trace_loss" not in only_one
    assert "trace_iteration" not in only_one.coords
    assert validate(only_one) is only_one


def test_concat_keeps_blocks_that_all_have():
    """Blocks of equal number stay, whatever their sums."""
    part = make_patterns(block=np.ones((2, 3, 20)), n_block=[1, 1])
    assert concat_patterns({"a": part, "b": part})["pattern_block"].sizes["strategy"] == 2


def test_concat_lists_units_and_plugins_that_differ():
    """A unit is never taken from one strategy for all."""
    attrs = [
        common_attrs("patterns", parameters={}, plugins={"pncviz-x": version}) for version in "12"
    ]
    ds = concat_patterns(
        {"a": make_patterns(attrs=attrs[0]), "b": make_patterns(attrs=attrs[1], loss_units="1")}
    )
    assert ds["loss"].attrs["units"] == "nat | 1"
    assert json.loads(ds.attrs["plugins"]) == {"pncviz-x": "1 | 2"}


def test_concat_refuses_what_does_not_fit():
    """Labels, shapes, features, kinds and nothing at all are each refused by name."""
    one = make_patterns()
    with pytest.raises(ParameterError, match="`mapping` is empty"):
        concat_patterns({})
    with pytest.raises(LabelError, match=r"patterns of 'a' are strings .*'b' integers"):
        concat_patterns({"a": one, "b": make_patterns([0, 1, 2])})
    with pytest.raises(LabelError, match="patterns of 'a' lack 'fox'"):
        concat_patterns({"a": one, "b": make_patterns(["cat", "dog", "fox"])})
    with pytest.raises(ResultError, match=r"'b' are .*'row': 5"):
        concat_patterns({"a": one, "b": make_patterns(image_shape=(1, 5, 4))})
    with pytest.raises(ResultError, match="do not fit together"):
        concat_patterns(
            {
                name: make_patterns(image_shape=(2,), feature_names=[name, "z"])
                for name in ("a", "b")
            }
        )
    with pytest.raises(ResultError, match="`kind` must be patterns"):
        concat_patterns({"a": make_contrasts()})
    with pytest.raises(ResultError, match="`strategy` dimension already"):
        concat_patterns({"b": concat_patterns({"a": one})})


# --------------------------------------------------------------------------------- summary


def test_summary_of_patterns():
    """One row per strategy and class, aligned."""
    text = summary(concat_patterns({"zero": make_patterns(), "noise": make_patterns(seed=1)}))
    lines = text.splitlines()
    assert lines[0].split() == [
        *("strategy", "label", "confidence", "iterations"),
        *("stop", "reason", "succeeded"),
    ]
    assert len(lines) == 7
    assert lines[1].split()[:2] == ["zero", "cat"]
    assert lines[1].split()[-1] == "yes"
    assert lines[2].split()[-1] == "no"
    assert lines[1].index("yes") == lines[2].index("no")


def test_summary_of_contrasts_and_similarities():
    """Counts by class; own similarity and its rank, in the metric's own direction."""
    assert summary(make_contrasts()).splitlines()[2].split() == ["1", "2", "6"]
    text = summary(make_similarities(higher_is_better=[True, False]))
    assert [line.split()[-1] for line in text.splitlines()[1:]] == ["1/3"] * 6
    text = summary(make_similarities())
    assert text.splitlines()[4].split() == ["distance", "a", "0", "3/3"]
    other = make_similarities(contrast_labels=["x", "b", "c"])
    assert summary(other).splitlines()[1].split() == ["pearson", "a", "nan", "-"]


def test_summary_escapes_labels():
    """A label cannot write to the terminal, nor break the table."""
    ds = make_patterns(["\x1b[2J", "a\nb", "\u202eabc"])
    text = summary(ds)
    assert text.replace("\n", "").isprintable()
    assert len(text.splitlines()) == 4
    assert "\\x1b[2J" in text
    assert printable("a\x00\u202e") == "a\\x00\\u202e"
    assert printable("Zoë 猫") == "Zoë 猫"


# ------------------------------------------------------------------------------ round trip

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
LABELS = st.one_of(
    st.lists(TEXT, min_size=1, max_size=5, unique=True),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5, unique=True),
)
SHAPES = st.one_of(
    st.tuples(st.integers(1, 6)), st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
)


def same(a, b):
    """Identical, and of the same dtypes (strings: of one kind)."""
    assert a.identical(b)
    for name in a.variables:
        x, y = a[name].dtype, b[name].dtype
        assert x == y or x.kind == y.kind == "U"
    assert list(a.coords) == list(b.coords) or set(a.coords) == set(b.coords)
    return True


@settings(max_examples=60, deadline=None)
@given(
    labels=LABELS,
    image_shape=SHAPES,
    strategies=st.lists(TEXT, max_size=3, unique=True),
    dtype=st.sampled_from(["float32", "float64"]),
    note=TEXT,
    traced=st.booleans(),
)
def test_round_trip_is_identical(labels, image_shape, strategies, dtype, note, traced):
    """`load(save(ds))` is `ds`: values, dtypes, coordinates and attributes."""
    n = len(labels)
    pattern = np.random.default_rng(0).normal(size=(n, *image_shape)).astype(dtype)
    trace = make_trace(n, [0, 3]) if traced else None
    attrs = common_attrs("patterns", parameters={"note": note}, note=note, x=0.1, n=-3)
    ds = make_patterns(labels, image_shape, pattern=pattern, trace=trace, attrs=attrs)
    if strategies:
        ds = concat_patterns(dict.fromkeys(strategies, ds))
    with tempfile.TemporaryDirectory() as folder:
        path = save(ds, Path(folder) / "a.nc")
        assert same(load(path), ds)
        assert [file.name for file in Path(folder).iterdir()] == ["a.nc"]


@pytest.mark.parametrize(
    "make",
    [
        make_contrasts,
        make_similarities,
        lambda: make_contrasts(labels=["", "é"], image_shape=(2, 1, 1)),
        lambda: make_contrasts(labels=[""]),
        lambda: make_contrasts(labels=np.array([False, True])),
        lambda: make_contrasts(labels=np.array([3, -1], dtype="int8")),
        lambda: make_contrasts(labels=np.array([3, 1], dtype=">i4")),
        lambda: make_contrasts(n_block=np.ones((2, 3)), block_sum=np.ones((2, 3, 6))),
        lambda: make_contrasts(image_shape=(2,), feature_names=["ü", ""]),
        lambda: make_similarities(metric_units=["1", ""], higher_is_better=[True, False]),
        lambda: make_patterns().expand_dims(draw=2).assign_coords(seed=3, who="me"),
        lambda: make_patterns().assign_attrs(limits=np.array([0.5, 1]), pair=(1, 2), empty=""),
        lambda: make_patterns().assign_attrs(content_sha256="old", f=np.float32(0.1)),
    ],
)
def test_round_trip_of_every_kind(make, tmp_path):
    """Contrasts, similarities, bool and narrow labels, empty strings and scalar coordinates."""
    ds = make()
    before = ds.copy(deep=True)
    loaded = load(save(ds, tmp_path / "a.nc"))
    assert ds.identical(before)
    ds = ds.assign_attrs()
    ds.attrs.pop("content_sha256", None)
    assert loaded.identical(ds)
    assert loaded.encoding == {}
    assert loaded["label"].encoding == {} if "label" in loaded else True
    assert load(save(loaded, tmp_path / "b.nc")).identical(ds)


def test_object_labels_become_fixed_width(tmp_path):
    """Labels of object dtype, as pandas makes them, come back as numpy strings."""
    ds = make_patterns()
    ds = ds.assign_coords(label=("label", ds["label"].values.astype(object), ds["label"].attrs))
    assert ds["label"].dtype == object
    loaded = load(save(ds, tmp_path / "a.nc"))
    assert loaded["label"].dtype == "<U3"
    assert loaded.identical(make_patterns().assign_attrs(ds.attrs))


def test_loaded_result_is_in_memory(tmp_path):
    """The file is closed: it can go while the result stays."""
    ds = make_patterns()
    path = save(ds, tmp_path / "a.nc")
    loaded = load(path)
    path.unlink()
    assert loaded.identical(ds)


def test_files_use_checksums_and_no_heap_for_strings(tmp_path):
    """Numbers carry fletcher32, strings are characters."""
    with h5py.File(save(make_patterns(), tmp_path / "a.nc")) as file:
        assert file["pattern"].fletcher32
        assert file["pattern"].compression == "gzip"
        assert file["stop_reason"].dtype == "S1"
        assert file["label"].dtype == "S1"


def test_other_programs_read_sealed_files(tmp_path):
    """The sum behind the end is no one else's business."""
    ds = make_patterns()
    path = save(ds, tmp_path / "a.nc")
    assert path.read_bytes()[-79:].startswith(b"\npncviz-sha256:")
    assert check_seal(path) is None
    with xr.open_dataset(path) as raw:
        np.testing.assert_array_equal(raw["pattern"], ds["pattern"])
        assert raw["label"].values.tolist() == ds["label"].values.tolist()
    with netCDF4.Dataset(path) as raw:
        assert raw["succeeded"][:].tolist() == [1, 0, 1]
    with h5py.File(path) as raw:
        assert raw["loss"].shape == (3,)


# ------------------------------------------------------------------------- what is refused


def test_bit_flips_are_noticed(tmp_path):
    """A file with one flipped bit anywhere is refused (raw netCDF4 may loop for ever)."""
    ds = make_patterns(trace=make_trace(3, [0, 1]))
    path = save(ds, tmp_path / "a.nc")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in np.linspace(0, len(whole) - 1, 150).astype(int):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        with pytest.raises(ResultError, match=r"a\.nc: "):
            load(path)


def test_data_bit_flips_are_refused(tmp_path):
    """A flip inside a variable's own bytes never passes, even if someone seals it anew."""
    path = save(make_patterns(), tmp_path / "a.nc")
    whole = path.read_bytes()
    with h5py.File(path) as file:
        number = file["pattern"].id.get_chunk_info(0)
        places = [(number.byte_offset, number.size), (file["label"].id.get_offset(), 9)]
    for start, size in places:
        for position in range(start, start + size, max(size // 20, 1)):
            flipped = bytearray(whole)
            flipped[position] ^= 4
            path.write_bytes(flipped)
            seal(path)
            with pytest.raises(ResultError, match="damaged"):
                load(path)


def test_truncated_files_are_refused(tmp_path):
    """No prefix of a file passes for it."""
    path = save(make_patterns(), tmp_path / "a.nc")
    whole = path.read_bytes()
    for length in [*range(1, 12), *np.linspace(12, len(whole) - 1, 60).astype(int)]:
        path.write_bytes(whole[:length])
        with pytest.raises(ResultError, match=r"a\.nc: "):
            load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"label,confidence\n", "not a NetCDF-4 file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a NetCDF-4 file"),
        (b"CDF\x01" + bytes(100), "not a NetCDF-4 file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "not a pncviz result"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    """Files of other formats are named for what they are not."""
    path = tmp_path / "a.nc"
    path.write_bytes(content)
    with pytest.raises(ResultError, match=f"a.nc: {message}"):
        load(path)


def test_missing_files_folders_and_bad_limits(tmp_path):
    """No such file, a folder, a pipe, and a limit that is none."""
    with pytest.raises(ResultError, match=r"a\.nc: no such file"):
        load(tmp_path / "a.nc")
    with pytest.raises(ResultError, match=r"not a file|cannot be opened"):
        load(tmp_path)
    with pytest.raises(ParameterError, match="`max_bytes` must be a positive integer, got 0"):
        load(tmp_path / "a.nc", max_bytes=0)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.nc")
        with pytest.raises(ResultError, match="not a file"):
            load(tmp_path / "pipe.nc")


def test_other_netcdf_is_refused(tmp_path):
    """A NetCDF file of someone else's is not a result."""
    xr.Dataset({"t": ("x", [1.0, 2.0])}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    with pytest.raises(ResultError, match="not a pncviz result"):
        load(tmp_path / "a.nc")


def edited(tmp_path, change):
    """A saved result, changed by h5py and sealed anew."""
    path = save(make_patterns(), tmp_path / "a.nc")
    with h5py.File(path, "r+") as file:
        change(file)
    seal(path)  # a stranger can do that as well
    return path


def elsewhere(tmp_path):
    """Another file of this machine, with a secret."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["loss"] = np.zeros(3)
    return str(tmp_path / "secret.h5")


def virtual(file, other):
    """Replace a variable by a view of another file."""
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource(other, "loss", shape=(3,))
    file.create_virtual_dataset("sly", layout)


def external(file, other):
    """Add a variable whose bytes are another file's."""
    file.create_dataset("sly", (3,), "f8", external=[(other, 0, h5py.h5f.UNLIMITED)])


CHANGES = [
    (lambda f, o: f.__setitem__("sly", h5py.ExternalLink(o, "loss")), "is a link .ExternalLink"),
    (lambda f, o: f.__setitem__("sly", h5py.SoftLink("/loss")), "is a link .SoftLink"),
    (external, "external storage"),
    (virtual, "virtual dataset"),
    (lambda f, o: f.create_group("deep"), "`deep` is a group"),
    (lambda f, o: f.__setitem__("deep", np.dtype("f8")), "`deep` is a group or a type"),
    (lambda f, o: f.create_dataset("huge", (10**12,), "f8", chunks=(1000,)), "`max_bytes`"),
    (
        lambda f, o: f.create_dataset("huge", (1,), "f8", maxshape=(None,), chunks=(2**28,)),
        "more than `max_bytes`",
    ),
    (lambda f, o: f.create_dataset("text", (2,), h5py.string_dtype()), "results hold numbers"),
    (lambda f, o: f.create_dataset("z", (9,), "f8", compression="lzf"), "uses filter 32000"),
    (lambda f, o: f.attrs.update(schema_version="2"), "made by a newer pncviz"),
    (lambda f, o: f.attrs.update(kind="pictures"), "`kind` is 'pictures'"),
    (lambda f, o: f.attrs.__delitem__("content_sha256"), "`content_sha256` is missing"),
    (lambda f, o: f.attrs.update(content_sha256="0" * 64), "`content_sha256` does not fit"),
    (lambda f, o: f.attrs.update(parameters="{}"), "`content_sha256` does not fit"),
    (lambda f, o: f["loss"].attrs.update(scale_factor=2.0), "`content_sha256` does not fit"),
    (lambda f, o: f["loss"].__setitem__(0, 0.125), "`content_sha256` does not fit"),
    (lambda f, o: f.__delitem__("loss"), "a.nc: "),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_files_from_strangers_are_refused(change, message, tmp_path):
    """Links, storage elsewhere, terabytes, foreign types and any change are refused by name."""
    other = elsewhere(tmp_path)
    path = edited(tmp_path, lambda file: change(file, other))
    with pytest.raises(ResultError, match=message):
        load(path, max_bytes=10**9)


@pytest.mark.parametrize(("change", "message"), CHANGES[:11])
def test_refused_before_data_are_read(change, message, tmp_path, monkeypatch):
    """What points elsewhere never reaches the reader."""
    other = elsewhere(tmp_path)
    path = edited(tmp_path, lambda file: change(file, other))

    def opened(*args, **kwargs):
        raise AssertionError("data were read")

    monkeypatch.setattr(xr, "open_dataset", opened)
    with pytest.raises(ResultError, match=message):
        load(path, max_bytes=10**9)


def test_max_bytes_counts_all_variables(tmp_path):
    """The limit is on the sum, not on each."""
    path = save(make_patterns(), tmp_path / "a.nc")
    with pytest.raises(ResultError, match="more than `max_bytes`"):
        load(path, max_bytes=300)
    assert load(path, max_bytes=10_000)


# ------------------------------------------------------------------------------ safe saving


def test_save_wants_nc(tmp_path):
    """Another suffix would promise another format."""
    for function in (lambda path: save(make_patterns(), path), check_writable):
        with pytest.raises(ParameterError, match=r"must end in \.nc"):
            function(tmp_path / "a.csv")


def test_save_validates_first(tmp_path):
    """What breaks the schema is never written."""
    ds = make_patterns().drop_vars("loss")
    with pytest.raises(ResultError, match="`loss`"):
        save(ds, tmp_path / "a.nc")
    assert not list(tmp_path.iterdir())


def test_check_writable(tmp_path, monkeypatch):
    """A missing folder, a folder as target and a read-only folder are found before computing."""
    assert check_writable(tmp_path / "a.nc") is None
    assert not list(tmp_path.iterdir())
    with pytest.raises(ResultError, match="there is no folder"):
        check_writable(tmp_path / "no" / "a.nc")
    (tmp_path / "b.nc").mkdir()
    with pytest.raises(ResultError, match="it is a folder"):
        check_writable(tmp_path / "b.nc")

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ResultError, match=r"takes no files \(Read-only file system\)"):
        check_writable(tmp_path / "a.nc")


@posix
def test_check_writable_of_kernel_folder():
    """A folder that takes no files even from root is found by trying."""
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc on this system")
    with pytest.raises(ResultError, match="takes no files"):
        check_writable("/proc/self/a.nc")


@posix
def test_save_in_read_only_folder():
    """Without write permission, save says so before anything is written; the old file stays."""
    old = make_patterns()
    with tempfile.TemporaryDirectory() as folder:
        path = save(old, Path(folder) / "a.nc")
        os.chmod(folder, 0o555)
        done = run(
            "import os\n"
            "from pncviz.exceptions import ResultError\n"
            "from test_dataset import check_writable, make_patterns, save\n"
            "ds = make_patterns(seed=1)\n"
            "if os.geteuid() == 0:\n"
            "    os.setgid(65534); os.setuid(65534)  # root writes everywhere\n"
            "for attempt in (check_writable, lambda path: save(ds, path)):\n"
            "    try:\n"
            "        attempt(sys.argv[1])\n"
            "    except ResultError as error:\n"
            "        print(error)\n",
            path,
        )
        assert done.stdout.count("takes no files (Permission denied)") == 2, done.stderr
        os.chmod(folder, 0o755)
        assert load(path).identical(old)
        assert os.listdir(folder) == ["a.nc"]


@pytest.mark.parametrize("name", ["to_netcdf", "fsync", "replace", "changed"])
def test_failure_anywhere_leaves_the_old_file(name, tmp_path, monkeypatch):
    """Disk full while writing, syncing or renaming, or silently wrong bytes: the old file stays."""
    old = make_patterns()
    path = save(old, tmp_path / "a.nc")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    if name == "changed":
        to_netcdf = xr.Dataset.to_netcdf
        monkeypatch.setattr(
            xr.Dataset,
            "to_netcdf",
            lambda ds, *args, **kwargs: to_netcdf(ds.assign(loss=ds["loss"] * 0), *args, **kwargs),
        )
    else:
        monkeypatch.setattr(xr.Dataset if name == "to_netcdf" else os, name, full)
    with pytest.raises(ResultError, match=r"could not be saved.*(No space left|read back)"):
        save(make_patterns(seed=1), path)
    monkeypatch.undo()
    assert load(path).identical(old)
    assert [file.name for file in tmp_path.iterdir()] == ["a.nc"]


def run(code, *arguments, **kwargs):
    """Run Python code in the project's folder."""
    program = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n"
    return subprocess.run(
        [sys.executable, "-c", program + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **kwargs,
    )


@posix
def test_disk_full_for_real(tmp_path):
    """A file size limit, met inside the NetCDF library, leaves the old file and no temporary."""
    old = make_patterns()
    path = save(old, tmp_path / "a.nc")
    done = run(
        "import resource, signal, numpy as np\n"
        "from pncviz.exceptions import ResultError\n"
        "from test_dataset import make_patterns, save\n"
        "ds = make_patterns(image_shape=(1, 300, 300))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    save(ds, sys.argv[1])\n"
        "except ResultError as error:\n"
        "    print(error)\n",
        path,
    )
    assert "could not be saved, and is as it was before" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr
    assert load(path).identical(old)
    assert [file.name for file in tmp_path.iterdir()] == ["a.nc"]


@posix
@pytest.mark.parametrize("moment", ["to_netcdf", "replace"])
def test_ctrl_c_waits_for_the_file(moment, tmp_path):
    """SIGINT during a save: the new file is whole, and KeyboardInterrupt comes after."""
    path = tmp_path / "a.nc"
    done = run(
        "import os, signal, time, xarray as xr\n"
        "from test_dataset import make_patterns, save\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        f"owner, name = {'xr.Dataset' if moment == 'to_netcdf' else 'os'}, {moment!r}\n"
        "real = getattr(owner, name)\n"
        "def interrupted(*args, **kwargs):\n"
        "    os.kill(os.getpid(), signal.SIGINT); time.sleep(0.05)\n"
        "    result = real(*args, **kwargs)\n"
        "    os.kill(os.getpid(), signal.SIGINT); time.sleep(0.05)\n"
        "    print('went on', flush=True)\n"
        "    return result\n"
        "setattr(owner, name, interrupted)\n"
        "try:\n"
        "    save(make_patterns(seed=5), sys.argv[1])\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', signal.getsignal(signal.SIGINT) is before)\n",
        path,
    )
    assert done.stdout.splitlines() == ["went on", "interrupted True"], done.stderr
    created_at = load(path).attrs["created_at"]
    assert load(path).identical(make_patterns(seed=5).assign_attrs(created_at=created_at))
    assert [file.name for file in tmp_path.iterdir()] == ["a.nc"]


def test_stale_temporaries_are_swept(tmp_path):
    """Leftovers of dead processes of this machine go, or of anyone after a day; no others."""
    from pncviz.dataset import atomic

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()

    def leftover(pid, host, days=0.0):
        path = tmp_path / f".a.nc.{pid}-{host}{'0' * 15}{len(list(tmp_path.iterdir()))}.pncviz-tmp"
        path.touch()
        if days:
            os.utime(path, (1e9, path.stat().st_mtime - days * 86_400))
        return path

    here = atomic._host()
    gone = [
        leftover(dead.pid, here),
        leftover(dead.pid, "0" * 8, 2),
        leftover(os.getpid(), here, 2),
    ]
    kept = [leftover(os.getpid(), here), leftover(dead.pid, "0" * 8)]
    other = tmp_path / ".something.pncviz-tmp"
    other.touch()
    save(make_patterns(), tmp_path / "b.nc")
    assert sorted(tmp_path.iterdir()) == sorted([*kept, other, tmp_path / "b.nc"])
    assert not any(path.exists() for path in gone)


def test_long_names_and_links(tmp_path):
    """The longest file name works, and a symbolic link stays one."""
    ds = make_patterns()
    long = tmp_path / ("é" * 126 + ".nc")
    assert load(save(ds, long)).identical(ds)
    link = tmp_path / "link.nc"
    link.symlink_to(long)
    new = make_patterns(seed=1)
    save(new, link)
    assert link.is_symlink()
    assert load(long).identical(new)


def test_save_and_load_in_threads(tmp_path):
    """Threads may save and load at once: netCDF4 by itself ends the process then."""
    from concurrent.futures import ThreadPoolExecutor

    parts = [make_patterns(seed=seed) for seed in range(4)]

    def whole(turn):
        ds = parts[turn % 4]
        return load(save(ds, tmp_path / f"{turn}.nc")).identical(ds)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(whole, range(40)))


# ----------------------------------------------------------------------------- other worlds


def test_needs_no_torch(tmp_path):
    """With torch and skorch blocked from import, a saved result loads and is summed up."""
    path = save(make_patterns(), tmp_path / "a.nc")
    done = run(
        "sys.modules['torch'] = sys.modules['skorch'] = None\n"
        "from pncviz.dataset import load, summary, common_attrs\n"
        "common_attrs('patterns', parameters={})\n"
        "print(summary(load(sys.argv[1])))\n",
        path,
    )
    assert done.stdout.splitlines()[0].startswith("label  confidence"), done.stderr


@pytest.mark.parametrize("first", ["h5py", "netCDF4"])
def test_two_hdf5_libraries_in_one_process(first, tmp_path):
    """The wheels of h5py and netCDF4 bring one HDF5 each; either may come first."""
    done = run(
        f"import {first}\n"
        "from test_dataset import make_patterns, save, load\n"
        "ds = make_patterns()\n"
        "print(all(load(save(ds, sys.argv[1])).identical(ds) for _ in range(5)))\n",
        tmp_path / "a.nc",
    )
    assert done.stdout == "True\n", done.stderr
    assert netCDF4.__hdf5libversion__
    assert signal.getsignal(signal.SIGINT) is not None
