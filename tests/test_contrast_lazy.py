"""Contrasts of dask arrays: sums where the blocks lie, and nothing held whole."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from pncviz import (
    PNCTransformer,
    load_classifier,
    make_classifier,
    positive_negative_contrast,
    save_classifier,
)
from pncviz.contrast import class_sums
from pncviz.exceptions import DataError, DataTypeError, LabelError, ParameterError

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

CHUNKS = {
    "rows": ((100,) * 7, (12,)),
    "ragged, some empty": ((0, 1, 399, 0, 300, 0), (12,)),
    "features too": ((350, 350), (5, 6, 1)),
    "one": ((700,), (12,)),
}


@pytest.fixture(scope="module")
def data():
    """Unbalanced random samples of three classes."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, size=700, p=[0.2, 0.3, 0.5])
    return rng.random((700, 12)).astype(np.float32) + y[:, None] * 0.1, y


class Watched:
    """A scheduler that notes how often it is asked, and how many values it gives back."""

    def __init__(self):
        self.sizes = []

    def __call__(self, graph, keys, **options):
        found = dask.get(graph, keys, **options)
        self.sizes.append(sum(np.size(part) for part in dask.core.flatten(found, container=list)))
        return found


@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "i4", "bool", ">f8"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_sums_are_those_of_the_array(chunks, dtype, data):
    """However X is cut, its sums are NumPy's: rounding of float64, and to the bit for integers."""
    X = (data[0] * 90).astype(dtype)
    codes = data[1] * 2
    found = class_sums(da.from_array(X, chunks=CHUNKS[chunks]), codes, 6)
    # float32 values are added in float32 first, 32 at a time, and blocks change which ones.
    np.testing.assert_allclose(
        found, class_sums(X, codes, 6), rtol=1e-6 if dtype == "f4" else 1e-12
    )
    if dtype in ("u1", "i4", "bool"):
        np.testing.assert_array_equal(found, class_sums(X, codes, 6))


def test_images_and_shares():
    """Channels, rows and columns may be cut too, and shares are taken for codes."""
    rng = np.random.default_rng(0)
    X, weights = rng.random((90, 3, 4, 5)), rng.random((90, 4))
    lazy = da.from_array(X, chunks=((40, 50), (2, 1), (3, 1), (5,)))
    codes = np.arange(90) % 4
    for given in (codes, weights):
        np.testing.assert_allclose(class_sums(lazy, given, 4), class_sums(X, given, 4), rtol=1e-12)


@pytest.mark.parametrize("n_features", [12, 7])
def test_every_local_scheduler_gives_the_same_bits(n_features, data):
    """Threads and one after the other: the tree of sums is the same."""
    X, found = da.from_array(data[0], chunks=(90, n_features)), []
    for scheduler in ("synchronous", "threads", "threads"):
        with dask.config.set(scheduler=scheduler):
            found.append(positive_negative_contrast(X, data[1])["contrast_block_sum"].values)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_the_layout_of_a_block_does_not_matter(data, monkeypatch):
    """A block that has travelled is contiguous; one that has not gives the same bits."""
    monkeypatch.setattr("pncviz.contrast.sums._CAST", 5000)
    works = [da.from_array(data[0], chunks=(350, 12))]
    works.append(works[0].map_blocks(np.asfortranarray))
    rows, columns = (class_sums(X, data[1], 3) for X in works)
    np.testing.assert_array_equal(columns, rows)


def test_only_sums_reach_the_client(data):
    """One call of the scheduler, which gives back the sums and not one sample."""
    X = da.from_array(data[0], chunks=(50, 12))
    for call in (
        positive_negative_contrast,
        PNCTransformer().fit,
        PNCTransformer().partial_fit,
    ):
        watched = Watched()
        with dask.config.set(scheduler=watched):
            call(X, data[1])
        assert watched.sizes == [20 * 3 * 12]


def test_large_sums_are_made_block_by_block(data, monkeypatch):
    """Sums larger than blocks stay where they are, and the blocks come: one at a time."""
    monkeypatch.setattr("pncviz.contrast.sums._LARGE", 100)
    watched = Watched()
    with dask.config.set(scheduler=watched):
        found = positive_negative_contrast(da.from_array(data[0], chunks=(50, 12)), data[1])
    assert watched.sizes == [50 * 12] * 14
    expected = positive_negative_contrast(*data)
    np.testing.assert_allclose(found["contrast"], expected["contrast"], atol=1e-6)


@pytest.mark.parametrize(
    "dtype, value",
    [("f4", np.nan), ("f4", np.inf), ("f8", np.nan), ("f8", -np.inf), ("f8", 1e200)],
)
def test_bad_values_are_named_as_in_an_array(dtype, value, data):
    """A block raises what the array does, in the same words, and leaves no trace."""
    X = data[0].astype(dtype)
    X[611, 7] = value
    with pytest.raises(ValueError, match=r"X contains (NaN|infinity|1e\+200)") as expected:
        positive_negative_contrast(X, data[1])
    pnc = PNCTransformer().fit(*data)
    before = pnc.contrasts_["contrast"].copy()
    lazy = da.from_array(X, chunks=(100, 6))
    for call in (positive_negative_contrast, PNCTransformer().fit, pnc.partial_fit):
        with pytest.raises(type(expected.value), match="X contains") as caught:
            call(lazy, data[1])
        assert str(caught.value) == str(expected.value)
    np.testing.assert_array_equal(pnc.contrasts_["contrast"], before)


def test_unknown_sizes_are_named(data):
    """Chunks of unknown size are refused before anything is computed; once known they work."""
    X, y = da.from_array(data[0], chunks=(100, 12)), data[1]
    some = X[da.from_array(y, chunks=100) < 2]
    for call in (positive_negative_contrast, PNCTransformer().fit, PNCTransformer().partial_fit):
        with pytest.raises(DataError, match=r"shape \(nan, 12\); call X.compute_chunk_sizes"):
            call(some, y[y < 2])
    found = positive_negative_contrast(some.compute_chunk_sizes(), y[y < 2])
    expected = positive_negative_contrast(data[0][y < 2], y[y < 2])
    np.testing.assert_allclose(found["contrast"], expected["contrast"], atol=1e-6)


def test_what_is_no_array_of_numbers(data):
    """Objects, masked blocks and other dask collections are refused by name."""
    X, y = da.from_array(data[0], chunks=(100, 12)), data[1]
    with pytest.raises(DataError, match=r"Python objects; .*X.astype\(float\)"):
        positive_negative_contrast(X.astype(object), y)
    with pytest.raises(DataTypeError, match="dask Delayed, not a dask array"):
        positive_negative_contrast(dask.delayed(np.zeros)((700, 12)), y)
    with pytest.raises(DataTypeError, match="whose blocks are MaskedArray"):
        positive_negative_contrast(da.ma.masked_greater(X, 0.5), y)
    with pytest.raises(ValueError, match="strings"):
        positive_negative_contrast(X.astype("U9"), y)


def test_labels_may_be_lazy_too(data):
    """A dask y is computed, also one of unknown size, and its length is checked."""
    X, y = da.from_array(data[0], chunks=(100, 12)), da.from_array(data[1], chunks=60)
    expected = positive_negative_contrast(X, data[1])
    for labels in (y, y[y >= 0]):
        found = PNCTransformer().fit(X, labels).contrasts_
        np.testing.assert_array_equal(found["contrast"], expected["contrast"])
    with pytest.raises(LabelError, match="X has 700 samples and y has 600"):
        positive_negative_contrast(X, y[:600])


def test_dataarrays_around_either(data):
    """An xarray.DataArray is what it holds: a NumPy array or a dask array."""
    X, y = data
    lazy = da.from_array(X, chunks=(100, 12))
    for held in (X, lazy):
        found = positive_negative_contrast(xr.DataArray(held), y)
        np.testing.assert_array_equal(
            found["contrast"], positive_negative_contrast(held, y)["contrast"]
        )


def test_partial_fit_takes_array_and_dask(data):
    """Parts of either kind add up to the whole."""
    X, y = data
    pnc = PNCTransformer().partial_fit(da.from_array(X[:300], chunks=(70, 5)), y[:300])
    pnc.partial_fit(X[300:400], y[300:400])
    pnc.partial_fit(da.from_array(X[400:], chunks=(70, 5)), y[400:])
    expected = positive_negative_contrast(X, y)
    np.testing.assert_array_equal(pnc.contrasts_["n_block"], expected["n_block"])
    np.testing.assert_allclose(pnc.contrasts_["contrast"], expected["contrast"], atol=1e-6)


@pytest.mark.parametrize("labels_from", ["prediction", "probability"])
def test_a_model_sorts_block_after_block(labels_from, data):
    """The contrast is the array's, and no call of the scheduler gives more than a block."""
    X, y = data
    forest = FrozenEstimator(RandomForestClassifier(10, max_depth=3, random_state=0).fit(X, y))
    pnc = PNCTransformer(labels_from=labels_from, estimator=forest)
    expected, watched = pnc.fit(X, y).contrasts_, Watched()
    with dask.config.set(scheduler=watched):
        found = pnc.fit(da.from_array(X, chunks=(100, 12)), y).contrasts_
    assert watched.sizes == [1200] * 7
    for name in ("contrast", "n_positive", "n_block", "contrast_block_sum"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_a_model_with_classes_in_its_own_order(data, tmp_path):
    """Blocks add up under their own labels, though the model's are not sorted."""
    X, y = data
    net = make_classifier("fc", hidden=[8], max_epochs=3).fit(X, y)
    path = save_classifier(net, tmp_path / "net.safetensors", labels=["pear", "fig", "apple"])
    model, names = FrozenEstimator(load_classifier(path)), np.array(["pear", "fig", "apple"])[y]
    pnc = PNCTransformer(labels_from="probability", estimator=model)
    expected = pnc.fit(X, names).contrasts_
    found = pnc.fit(da.from_array(X, chunks=(100, 12)), names).contrasts_
    assert found["label"].values.tolist() == expected["label"].values.tolist()
    np.testing.assert_allclose(found["contrast"], expected["contrast"], atol=1e-5)
    np.testing.assert_allclose(found["n_block"], expected["n_block"], rtol=1e-5)


def test_a_model_is_not_trained_on_what_is_larger_than_memory(data):
    """An estimator that would have to be fitted on a dask X is refused."""
    pnc = PNCTransformer(labels_from="prediction", estimator=RandomForestClassifier())
    with pytest.raises(ParameterError, match="`estimator` must be in FrozenEstimator when X is a"):
        pnc.fit(da.from_array(data[0], chunks=(100, 12)), data[1])


@pytest.mark.parametrize("labels", [np.arange(3), np.array(["b", "a", "ccc"])])
def test_labels_are_looked_up_a_slice_at_a_time(labels, data, monkeypatch):
    """Slices of labels, of which some lack classes, give the codes and blocks of the whole."""
    X, y = data[0], labels[np.sort(data[1])]
    expected = PNCTransformer(n_blocks=6).fit(X, y).contrasts_
    monkeypatch.setattr("pncviz.contrast.accumulator.LOOKED_UP", 33)
    found = PNCTransformer(n_blocks=6).fit(X, y).contrasts_
    for name in ("label", "n_block", "contrast_block_sum"):
        np.testing.assert_array_equal(found[name], expected[name])


CLUSTER = """
import warnings

import dask
import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster
from pncviz import positive_negative_contrast


def columns(block):
    return np.asfortranarray(block)


def sums(X, y):
    return positive_negative_contrast(X, y)["contrast_block_sum"].values


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    X, y = rng.random((5000, 12), dtype=np.float32), rng.integers(10, size=5000)
    works = {
        "rows": da.from_array(X, chunks=(370, 12)),
        "features cut": da.from_array(X, chunks=(370, 7)),
        "columns": da.from_array(X, chunks=(370, 12)).map_blocks(columns),
    }
    with dask.config.set(scheduler="synchronous"):
        expected = {name: sums(lazy, y) for name, lazy in works.items()}
    many = da.zeros((300_000, 1), chunks=30_000, dtype=np.uint8)
    place = da.arange(5000, chunks=370)[:, None] == 4321
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        for name, lazy in works.items():
            print(name, np.array_equal(sums(lazy, y), expected[name]))
        kept = client.persist(works["rows"])
        print("kept there", np.array_equal(sums(kept, y), expected["rows"]))
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "200kB"}):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                sums(many, np.arange(300_000) % 3)
            print("warnings", [str(one.message) for one in caught])
        for value in (np.nan, 1e200):
            try:
                sums(da.where(place, value, works["rows"].astype(float)), y)
            except ValueError as error:
                print(type(error).__name__, str(error).splitlines()[0])
"""


def test_a_cluster_gives_the_same_bits_and_errors(tmp_path):
    """Two processes give one process's bits in any layout, its errors, and no advice on labels."""
    pytest.importorskip("distributed")
    (tmp_path / "cluster.py").write_text(CLUSTER)
    done = subprocess.run(
        [sys.executable, tmp_path / "cluster.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=300,
    )
    assert done.stdout.splitlines() == [
        "rows True",
        "features cut True",
        "columns True",
        "kept there True",
        "warnings []",
        "ValueError Input X contains NaN.",
        "DataError X contains 1e+200, which float64 holds and float32 does not; scale X first.",
    ], done.stderr


def test_memory_stays_far_below_the_data():
    """400 MB by threads, by a cluster and from a file: the peak grows by a fraction of it."""
    pytest.importorskip("distributed")
    from benchmarks.speed.larger import measure

    rows = measure(4 * 10**8, block=2**23)
    assert [row["size"] for row in rows] == [400] * 3
    assert all(row["peak"] - row["before"] < 130 for row in rows)
    # A worker begins with what pncviz's imports take.
    assert max(max(row["workers"], default=0) for row in rows) < 300
