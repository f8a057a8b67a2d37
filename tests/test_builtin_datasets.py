"""The built-in datasets: the hook, the toy sets, MNIST and Fashion-MNIST, and downloads."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pncviz.builtin import datasets
from pncviz.builtin.datasets import digits, fashion_mnist, mnist, overlapping, tiling
from pncviz.builtin.datasets import download as download_module
from pncviz.builtin.datasets.mnist import FASHION_NAMES, MIRRORS, SUMS
from pncviz.exceptions import ChecksumError, DatasetError
from pncviz.specs import Dataset, DatasetSpec

FILES = tuple(SUMS["mnist"])


def shared_data(name):
    """$PNCVIZ_DATA, then ../shared/data; skip elsewhere."""
    places = [Path(__file__).resolve().parents[2] / "shared" / "data"]
    if os.environ.get("PNCVIZ_DATA"):
        places.insert(0, Path(os.environ["PNCVIZ_DATA"]))
    for place in places:
        if (place / name).is_dir():
            return place / name
    pytest.skip(f"no {name} in $PNCVIZ_DATA or ../shared/data")


# ----------------------------------------------------------------------------- the hook


def test_hook_names_and_summaries():
    """The eight datasets, in order, each with a factory and a one-line summary."""
    specs = datasets.pncviz_datasets()
    assert [spec.name for spec in specs] == [
        *("digits", "tiling", "overlapping", "mnist", "fashion_mnist"),
        *("idx", "image_folder", "npz"),
    ]
    for spec in specs:
        assert isinstance(spec, DatasetSpec)
        assert spec.factory is getattr(datasets, spec.name)
        assert spec.summary
        assert "\n" not in spec.summary


def test_import_is_cheap():
    """Importing the datasets brings neither pooch nor Pillow nor torch."""
    code = (
        "import sys, pncviz.builtin.datasets\n"
        "heavy = {'pooch', 'PIL', 'requests', 'torch', 'sklearn.datasets'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert run.stdout.strip() == "[]"


# ------------------------------------------------------------------------------ toy sets


def test_digits_are_scikit_learns():
    """Every image of load_digits / 16 is in one part, once, with its label."""
    data = digits()
    raw = load_digits()
    got = np.concatenate([data.X, data.X_test]).reshape(-1, 64)
    labels = np.concatenate([data.y, data.y_test])
    order = np.lexsort(np.c_[got, labels].T)
    expected = np.lexsort(np.c_[raw.data, raw.target].T)
    np.testing.assert_array_equal(got[order] * 16, raw.data[expected])
    np.testing.assert_array_equal(labels[order], raw.target[expected])
    assert data.X.dtype == np.float32
    assert data.X.max() == 1
    assert data.image_shape == data.X.shape[1:] == (1, 8, 8)
    assert data.class_names == tuple("0123456789")


def test_digits_split_is_stratified_and_seeded():
    """Each class keeps its share; a seed is a split; another seed is another."""
    data = digits(test_size=0.25)
    shares = np.bincount(data.y_test) / np.bincount(np.r_[data.y, data.y_test])
    np.testing.assert_allclose(shares, 0.25, atol=0.01)
    np.testing.assert_array_equal(data.X, digits().X)
    assert not np.array_equal(data.y, digits(random_state=1).y)
    assert len(digits(test_size=100).X_test) == 100


@pytest.mark.parametrize("bad", [0, 1.0, -1, 2000])
def test_digits_test_size(bad):
    """A size that leaves a part empty is scikit-learn's ValueError, naming test_size."""
    with pytest.raises(ValueError, match="test_size"):
        digits(test_size=bad)


@pytest.mark.parametrize(
    "factory, corners",
    [
        (tiling, [(0, 0), (0, 3), (3, 0), (3, 3)]),
        (overlapping, [(1, 1), (1, 2), (2, 1), (2, 2)]),
    ],
)
def test_toy_patches(factory, corners):
    """Pixel by pixel: 1 within three of the corner, else 0; the test part equals train."""
    data = factory()
    for image, (top, left) in zip(data.X, corners, strict=True):
        for row in range(6):
            for column in range(6):
                inside = top <= row < top + 3 and left <= column < left + 3
                assert image[0, row, column] == inside
    np.testing.assert_array_equal(data.X_test, data.X)
    np.testing.assert_array_equal(data.y_test, data.y)
    assert not np.shares_memory(data.X_test, data.X)
    assert data.X.dtype == np.float32
    assert data.y.tolist() == [0, 1, 2, 3]
    assert data.image_shape == (1, 6, 6)
    assert data.class_names == ("top left", "top right", "bottom left", "bottom right")


def minmax_contrasts(X):
    """PNC of one-sample classes by the paper's rule, the slow way."""
    scale = lambda image: (image - image.min()) / (image.max() - image.min())  # noqa: E731 - local
    return [scale(X[c]) - scale(np.delete(X, c, 0).mean(0)) for c in range(4)]


def test_tiling_contrasts_equal_classes_and_overlapping_do_not():
    """Design truth 2: after min-max, tiling's PNCs are its classes; overlapping's are not."""
    for factory, equal in ((tiling, True), (overlapping, False)):
        X = factory().X.astype(float)
        scaled = [(c - c.min()) / (c.max() - c.min()) for c in minmax_contrasts(X)]
        assert np.allclose(scaled, X) is equal


# ------------------------------------------------------------------------- the real MNIST


@pytest.mark.parametrize(
    "factory, name, mean, sd",
    [(mnist, "mnist", 0.1307, 0.3081), (fashion_mnist, "fashion-mnist", 0.2860, 0.3530)],
)
def test_mnist_is_the_published_one(factory, name, mean, sd):
    """Shapes, labels, and the published mean and standard deviation of a pixel."""
    data = factory(folder=shared_data(name))
    assert isinstance(data, Dataset)
    assert data.X.shape == (60_000, 1, 28, 28)
    assert data.X_test.shape == (10_000, 1, 28, 28)
    assert data.X.dtype == data.X_test.dtype == np.float32
    assert data.X.min() == 0
    assert data.X.max() == 1
    assert data.X.mean(dtype=np.float64) == pytest.approx(mean, abs=5e-5)
    assert data.X.std(dtype=np.float64) == pytest.approx(sd, abs=5e-5)
    assert np.unique(data.y).tolist() == list(range(10))
    assert len(data.y_test) == 10_000
    assert data.image_shape == (1, 28, 28)
    assert len(data.class_names) == 10


def test_mnist_sum_is_of_the_published_file():
    """The file whose SHA-256 is hard-coded has the md5 that the publishers give."""
    packed = (shared_data("mnist") / f"{FILES[0]}.gz").read_bytes()
    content = gzip.decompress(packed)
    assert hashlib.md5(content).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert hashlib.sha256(content).hexdigest() == SUMS["mnist"][FILES[0]]


def test_fashion_names_stand_in_label_order():
    """Trousers (1) are narrower than bags (8): the names belong to the labels."""
    assert FASHION_NAMES[0] == "T-shirt/top"
    data = fashion_mnist(folder=shared_data("fashion-mnist"))
    width = lambda name: (  # noqa: E731 - used twice, here only
        (data.X_test[data.y_test == data.class_names.index(name)] > 0.1).any(axis=2).sum(-1).mean()
    )
    assert width("Trouser") < width("Bag")


def test_every_pinned_sum_is_a_sha256():
    """Four files in each of the two sets, eight different sums of 64 hexadecimal digits."""
    sums = [digest for files in SUMS.values() for digest in files.values()]
    assert len(set(sums)) == 8
    assert all(len(digest) == 64 and int(digest, 16) for digest in sums)
    assert set(SUMS["mnist"]) == set(SUMS["fashion-mnist"])
    assert all(url.endswith("/") for urls in MIRRORS.values() for url in urls)


# ------------------------------------------------------------------------- a made MNIST


def idx_bytes(array):
    """Unsigned bytes as IDX."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.fixture
def made(monkeypatch):
    """Four small IDX files in place of MNIST and of Fashion-MNIST: name -> uncompressed bytes."""
    rng = np.random.default_rng(0)
    files = {}
    for part, n in (("train", 20), ("t10k", 10)):
        files[f"{part}-images-idx3-ubyte"] = idx_bytes(rng.integers(0, 256, (n, 28, 28)))
        files[f"{part}-labels-idx1-ubyte"] = idx_bytes(np.arange(n) % 10)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name in SUMS:
        monkeypatch.setitem(SUMS, name, sums)
    monkeypatch.delenv("PNCVIZ_DATA", raising=False)
    return files


def write(folder, files, *, packed=True):
    """Put files into a folder, gzipped or not."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("level", [1, 9])
def test_mnist_verifies_content_not_wrapper(tmp_path, made, packed, level):
    """Gzipped at any level or not at all, the same content is the same data."""
    folder = write(tmp_path, made, packed=packed)
    if packed:
        name = FILES[0]
        (folder / f"{name}.gz").write_bytes(gzip.compress(made[name], level, mtime=level))
    data = mnist(folder=folder)
    pixels = np.frombuffer(made[FILES[0]], np.uint8)[16:].reshape(20, 1, 28, 28)
    np.testing.assert_allclose(data.X, pixels / 255, rtol=1e-6)
    assert data.y_test.tolist() == list(range(10))


def test_mnist_wrong_content(tmp_path, made):
    """One pixel changed: ChecksumError with the path, the expected sum and the one found."""
    folder = write(tmp_path, made, packed=False)
    content = bytearray(made[FILES[0]])
    content[100] ^= 1
    (folder / FILES[0]).write_bytes(content)
    got = hashlib.sha256(content).hexdigest()
    expected = SUMS["mnist"][FILES[0]]
    with pytest.raises(ChecksumError, match=rf"{FILES[0]}: .*SHA-256 {expected}.*got {got}"):
        mnist(folder=folder)


def test_mnist_local_faults(tmp_path, made, monkeypatch):
    """A missing file, a cut-off one, and one that unpacks without end."""
    folder = write(tmp_path, made)
    path = folder / f"{FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=rf"{path.name}: truncated gzip"):
        mnist(folder=folder)
    monkeypatch.setattr(download_module, "MAX_DOWNLOAD", 2**20)
    path.write_bytes(gzip.compress(bytes(2**23))[:-20])
    with pytest.raises(DatasetError, match=r"too large. Expected at most 1048576 bytes"):
        mnist(folder=folder)
    path.unlink()
    with pytest.raises(DatasetError, match=rf"missing file. Expected {FILES[0]} or {FILES[0]}.gz"):
        mnist(folder=folder)


@pytest.mark.parametrize(
    "factory, name",
    [(mnist, "mnist"), (fashion_mnist, "fashion-mnist"), (fashion_mnist, "fashion_mnist")],
)
def test_pncviz_data(tmp_path, made, monkeypatch, factory, name):
    """$PNCVIZ_DATA/<name> is read where no folder is given; both spellings of fashion."""
    write(tmp_path / name, made)
    monkeypatch.setenv("PNCVIZ_DATA", str(tmp_path))
    assert len(factory().X) == 20


@pytest.mark.parametrize("factory, name", [(mnist, "mnist"), (fashion_mnist, "fashion-mnist")])
def test_pncviz_data_without_the_folder(tmp_path, made, monkeypatch, factory, name):
    """A promise that is not kept is an error, not a download."""
    monkeypatch.setenv("PNCVIZ_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DatasetError, match=rf"{tmp_path}/{name}: no such folder.*PNCVIZ_DATA"):
        factory()


# ------------------------------------------------------------------------------ downloads


@contextmanager
def serving(answers):
    """A server on 127.0.0.1: path -> (status, body, declared length). Yields its address, log."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, body, length = answers.get(self.path, (404, b"no", 2))
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answers_for(files, under="/"):
    """Right answers: every file gzipped."""
    packed = {name: gzip.compress(content) for name, content in files.items()}
    return {f"{under}{name}.gz": (200, body, len(body)) for name, body in packed.items()}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no proxy between us and 127.0.0.1."""
    monkeypatch.setattr(download_module, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("PNCVIZ_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def cached(cache):
    """Every file in the cache, hidden and temporary ones too."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def test_cache_is_poochs():
    """Downloads go where pooch keeps them."""
    import pooch

    assert download_module.cache_folder() == Path(pooch.os_cache("pncviz"))


def test_download_once(made, cache, monkeypatch):
    """The four files are fetched, verified and kept; a second load asks nobody."""
    with serving(answers_for(made)) as (address, asked):
        monkeypatch.setitem(MIRRORS, "mnist", (f"{address}/",))
        first = mnist()
        second = mnist()
    np.testing.assert_array_equal(first.X, second.X)
    assert len(first.X) == 20
    assert sorted(asked) == sorted(f"/{name}.gz" for name in FILES)
    assert cached(cache / "mnist") == sorted(f"{name}.gz" for name in FILES)


def test_download_of_the_real_files(cache, monkeypatch):
    """The published bytes pass the pinned sums on their way through a server and the cache."""
    folder = shared_data("fashion-mnist")
    bodies = {f"/{name}.gz": (folder / f"{name}.gz").read_bytes() for name in FILES}
    answers = {path: (200, body, len(body)) for path, body in bodies.items()}
    with serving(answers) as (address, _):
        monkeypatch.setitem(MIRRORS, "fashion-mnist", (f"{address}/",))
        data = fashion_mnist()
    assert data.X.shape == (60_000, 1, 28, 28)
    assert data.X.mean(dtype=np.float64) == pytest.approx(0.2860, abs=5e-5)


HTML = b"<!DOCTYPE html><html>Please log in</html>"
WRONG = gzip.compress(idx_bytes(np.zeros((20, 28, 28))), mtime=0)


@pytest.mark.parametrize(
    "answer, error, match",
    [
        ((200, WRONG, len(WRONG)), ChecksumError, r"Expected SHA-256 {sum}.*, got [0-9a-f]{{64}}"),
        ((200, HTML, len(HTML)), ChecksumError, r"Expected SHA-256 {sum}.*got an HTML page"),
        ((200, b"", 0), ChecksumError, r"Expected SHA-256 {sum}"),
        ((200, None, 0), DatasetError, r"download failed .*IncompleteRead"),
        ((200, WRONG[:50], 50), DatasetError, r"truncated gzip"),
        ((404, HTML, len(HTML)), DatasetError, r"download failed .HTTPError: 404"),
        ((500, b"", 0), DatasetError, r"download failed .HTTPError: 500"),
    ],
    ids=["wrong", "html", "empty", "cut", "cut_without_length", "404", "500"],
)
def test_bad_download_leaves_nothing(made, cache, monkeypatch, answer, error, match):
    """Whatever is not the published file is removed, and the error says what came."""
    answers = answers_for(made)
    path = f"/{FILES[0]}.gz"
    if answer[1] is None:  # the right bytes, cut off in the middle
        whole = answers[path][1]
        answer = (200, whole[: len(whole) // 2], len(whole))
    answers[path] = answer
    with serving(answers) as (address, _):
        monkeypatch.setitem(MIRRORS, "mnist", (f"{address}/",))
        with pytest.raises(
            DatasetError, match="(?s)" + match.format(sum=SUMS["mnist"][FILES[0]])
        ) as e:
            mnist()
    assert type(e.value) is error
    assert "Set PNCVIZ_DATA" in str(e.value)
    assert cached(cache) == []


def test_endless_download_is_stopped(made, cache, monkeypatch):
    """An answer longer than any of the files is not followed to its end."""
    monkeypatch.setattr(download_module, "MAX_DOWNLOAD", 100_000)
    with serving({f"/{FILES[0]}.gz": (200, bytes(200_000), 200_000)}) as (address, _):
        monkeypatch.setitem(MIRRORS, "mnist", (f"{address}/",))
        with pytest.raises(DatasetError, match=r"too large. Expected at most 100000 bytes"):
            mnist()
    assert cached(cache) == []


def closed_port():
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def test_next_mirror_is_tried(made, cache, monkeypatch):
    """A dead mirror and one with wrong content are followed by the one that is right."""
    answers = answers_for(made, "/good/")
    answers |= {f"/bad/{name}.gz": (200, HTML, len(HTML)) for name in FILES}
    with serving(answers) as (address, asked):
        mirrors = (closed_port(), f"{address}/bad/", f"{address}/good/")
        monkeypatch.setitem(MIRRORS, "mnist", mirrors)
        assert len(mnist().X) == 20
    assert len(asked) == 8
    assert cached(cache / "mnist") == sorted(f"{name}.gz" for name in FILES)


def test_no_network(made, cache, monkeypatch):
    """Nobody answers: one DatasetError that names each mirror and says to set PNCVIZ_DATA."""
    mirrors = (closed_port(), closed_port())
    monkeypatch.setitem(MIRRORS, "mnist", mirrors)
    with pytest.raises(DatasetError, match=r"Set PNCVIZ_DATA to a folder that holds mnist/") as e:
        mnist()
    assert type(e.value) is DatasetError
    assert all(mirror in str(e.value) for mirror in mirrors)
    assert cached(cache) == []


def test_rotten_cache_is_replaced(made, cache, monkeypatch):
    """A cached file that changed is fetched again; while nobody answers it is not used."""
    rotten = write(cache / "mnist", made) / f"{FILES[0]}.gz"
    rotten.write_bytes(b"rot")
    monkeypatch.setitem(MIRRORS, "mnist", (closed_port(),))
    with pytest.raises(DatasetError, match="cannot be downloaded"):
        mnist()
    with serving(answers_for(made)) as (address, asked):
        monkeypatch.setitem(MIRRORS, "mnist", (f"{address}/",))
        assert len(mnist().X) == 20
    assert asked == [f"/{FILES[0]}.gz"]
    assert gzip.decompress(rotten.read_bytes()) == made[FILES[0]]


def test_unwritable_cache(made, cache, monkeypatch):
    """A cache that cannot be made is a DatasetError naming it."""
    cache.write_text("a file where the folder should be")
    monkeypatch.setitem(MIRRORS, "mnist", (closed_port(),))
    with pytest.raises(DatasetError, match="the cache cannot be written"):
        mnist()


def test_without_pooch(made, monkeypatch):
    """Without pooch the error says how to get it."""
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DatasetError, match=r'pip install "pncviz\[data\]"'):
        mnist()
