"""The datasets that read your own files: idx, image_folder, npz; and what bad files get."""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys
import tempfile
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pncviz.builtin.datasets import idx, image_folder, npz
from pncviz.builtin.datasets.bounded import read_content
from pncviz.builtin.datasets.idx import DTYPES, parse_idx, read_idx
from pncviz.exceptions import DatasetError, ParameterError

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx_bytes(array) -> bytes:
    """IDX the slow way: every number packed by itself."""
    array = np.asarray(array)
    head = struct.pack(">BBBB", 0, 0, CODES[array.dtype.name], array.ndim)
    dims = b"".join(struct.pack(">I", n) for n in array.shape)
    letter = {8: "B", 9: "b", 11: "h", 12: "i", 13: "f", 14: "d"}[CODES[array.dtype.name]]
    return head + dims + b"".join(struct.pack(f">{letter}", v) for v in array.ravel().tolist())


def write_part(folder, part="train", *, images=None, labels=None, pack=bytes, end=""):
    """Write an images and a labels file; None gives 3 images of 2x2."""
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2) if images is None else images
    labels = np.array([0, 5, 9], dtype=np.uint8) if labels is None else labels
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        content = array if isinstance(array, bytes) else idx_bytes(array)
        (folder / f"{part}-{name}-ubyte{end}").write_bytes(pack(content))
    return images, labels


# ---------------------------------------------------------------------------------- idx


@pytest.mark.parametrize("name", sorted(CODES))
def test_idx_reads_every_dtype(name):
    """Each of the six dtypes comes back as it was packed, in the machine's byte order."""
    values = [0, 1, 2, 100, 127, 3] if name == "uint8" else [0, -1, 2, -100, 127, 3]
    array = np.array(values, dtype=name).reshape(1, 2, 3)
    got = parse_idx(io.BytesIO(idx_bytes(array)), "x")
    assert got.dtype == array.dtype
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, array)
    assert sorted(DTYPES) == sorted(CODES.values())


@pytest.mark.parametrize("pack, end", [(bytes, ""), (gzip.compress, ".gz"), (bytes, ".gz")])
def test_idx_folder(tmp_path, pack, end):
    """Gzipped or not, whatever the name says: pixels / 255, labels and names, both parts."""
    images, labels = write_part(tmp_path, pack=pack, end=end)
    write_part(tmp_path, "t10k", images=images[:2], labels=labels[:2], pack=pack, end=end)
    data = idx(folder=tmp_path)
    assert data.X.dtype == np.float32
    assert data.X.shape == (3, 1, 2, 2)
    assert data.image_shape == (1, 2, 2)
    np.testing.assert_allclose(data.X[:, 0], images / 255, rtol=1e-7)
    np.testing.assert_array_equal(data.X_test, data.X[:2])
    assert data.y.tolist() == [0, 5, 9]
    assert data.y_test.tolist() == [0, 5]
    assert data.class_names == ("0", "5", "9")


def test_idx_without_test_part(tmp_path):
    """No test files: empty arrays of the right trailing shape, never a hidden split."""
    write_part(tmp_path)
    data = idx(folder=tmp_path)
    assert len(data.X) == 3
    assert data.X_test.shape == (0, 1, 2, 2)
    assert data.X_test.dtype == np.float32
    assert data.y_test.shape == (0,)


def test_idx_4d_float_is_left_unscaled(tmp_path):
    """Rank 4 keeps its channels, and what is not ubyte keeps its values."""
    images = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 2, 2)
    (tmp_path / "train-images-idx4-float").write_bytes(idx_bytes(images))
    (tmp_path / "train-labels-idx1-int").write_bytes(idx_bytes(np.array([-7, 300], np.int32)))
    data = idx(folder=tmp_path)
    np.testing.assert_array_equal(data.X, images)
    assert data.y.tolist() == [-7, 300]


GOOD = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))


@pytest.mark.parametrize(
    "content, match",
    [
        (b"\x01" + GOOD[1:], r"wrong magic number.*Expected two zeros.*got 0x01000803"),
        (GOOD[:3] + b"\0" + GOOD[4:], r"wrong magic number.*got 0x00000800"),
        (GOOD[:2] + b"\x0a" + GOOD[3:], r"unknown dtype code.*Expected one of 0x08.*got 0x0a"),
        (b"", r"short header.*Expected 4 bytes or more, got 0 bytes"),
        (GOOD[:3], r"short header.*got 3 bytes"),
        (GOOD[:10], r"short header.*Expected 16 bytes, got 10 bytes"),
        (GOOD[:-1], r"short payload.*Expected 12 bytes for \(3, 2, 2\), got 11"),
        (GOOD + b"\0", r"long payload.*Expected 12 bytes for \(3, 2, 2\), got more"),
        (GOOD[:4] + b"\xff" * 12, r"too large.*Expected at most max_bytes=.*got 3169"),
        (GOOD[:4] + struct.pack(">III", 0, 2, 2), r"empty dimension.*got \(0, 2, 2\)"),
        (idx_bytes(np.arange(3, dtype=np.uint8)), r"not images.*got shape \(3,\)"),
        (gzip.compress(GOOD, mtime=0)[:-12], r"truncated gzip.*Expected a whole gzip stream"),
        (gzip.compress(GOOD, mtime=0)[:30], r"truncated gzip"),
        (gzip.compress(GOOD, mtime=0) + b"junk", r"corrupt gzip"),
        (gzip.compress(GOOD, mtime=0)[:-8] + b"\0" * 8, r"corrupt gzip.*CRC"),
        (gzip.compress(GOOD, mtime=0)[:10] + b"\xff" * 40, r"corrupt gzip"),
        (
            gzip.compress(gzip.compress(GOOD, mtime=0), mtime=0),
            r"double gzip.*got gzip within gzip",
        ),
        (b"<!DOCTYPE html><html>404</html>", r"wrong magic number.*got 0x3c21444f"),
        (idx_bytes(np.array([[[np.nan]]], np.float32)), r"float32 cannot.*nan .float32. at \(0"),
        (idx_bytes(np.array([[[1e300]]])), r"float32 cannot.*Expected finite, got 1e\+300"),
    ],
)
def test_idx_faults(tmp_path, content, match):
    """Every damaged images file is a DatasetError with its path, expected and got."""
    write_part(tmp_path, images=content)
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte: .*" + match):
        idx(folder=tmp_path)


def test_idx_counts_differ(tmp_path):
    """Three images and two labels are refused, with both counts."""
    write_part(tmp_path, labels=np.array([1, 2], np.uint8))
    with pytest.raises(DatasetError, match=r"counts differ. Expected 3 labels.*got 2 labels"):
        idx(folder=tmp_path)


def test_idx_labels_must_be_integers(tmp_path):
    """Float labels and one-hot labels are no labels."""
    write_part(tmp_path, labels=np.array([0.5, 1, 2]))
    with pytest.raises(DatasetError, match=r"labels-idx1.*Expected integers or str, got dtype"):
        idx(folder=tmp_path)
    write_part(tmp_path, labels=np.eye(3, dtype=np.uint8))
    with pytest.raises(DatasetError, match="argmax turns one-hot into labels"):
        idx(folder=tmp_path)


def test_idx_missing_files(tmp_path):
    """Nothing, a half part, a file for a folder: each is named."""
    with pytest.raises(DatasetError, match=r"no training images and labels.*an empty folder"):
        idx(folder=tmp_path)
    write_part(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte"
    with pytest.raises(DatasetError, match=r"no such folder. Expected a folder, got a file"):
        idx(folder=file)
    write_part(tmp_path, "t10k")
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match=r"half of t10k.*only t10k-images-idx3-ubyte"):
        idx(folder=tmp_path)
    file.unlink()
    file.mkdir()
    with pytest.raises(DatasetError, match=r"train-images.*not a file"):
        idx(folder=tmp_path)


def test_idx_two_candidates(tmp_path):
    """Two files that could both be the images are refused; a file and its .gz are one."""
    write_part(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"not even gzip")
    assert len(idx(folder=tmp_path).X) == 3
    (tmp_path / "train-images-idx4-float").write_bytes(b"")
    with pytest.raises(DatasetError, match="more than one file of train-images"):
        idx(folder=tmp_path)


def test_idx_test_part_must_fit(tmp_path):
    """Another image shape, or a label that train lacks, is refused."""
    write_part(tmp_path)
    write_part(tmp_path, "t10k", images=np.zeros((3, 4, 2), np.uint8))
    with pytest.raises(DatasetError, match=r"shapes differ.*\(1, 2, 2\), got \(1, 4, 2\)"):
        idx(folder=tmp_path)
    write_part(tmp_path, "t10k", labels=np.array([0, 1, 2], np.uint8))
    with pytest.raises(DatasetError, match=r"test has labels that train lacks.*got \[1, 2\]"):
        idx(folder=tmp_path)


def gzip_bomb(start: bytes, n_zeros: int) -> bytes:
    """Zeros by the megabyte, cut off at the end, so that reading it all is another error."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as stream:
        stream.write(start)
        for _ in range(n_zeros // 2**20):
            stream.write(bytes(2**20))
    return out.getvalue()[:-100]


def test_gzip_bomb_stops_early(tmp_path):
    """128 MiB in 128 KiB stop at the declared size: little memory, and the end is never read."""
    bomb = gzip_bomb(GOOD, 2**27)
    write_part(tmp_path, images=bomb)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match="long payload"):
            idx(folder=tmp_path, max_bytes=10_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(bomb) < 2**18
    assert peak < 2**22
    with pytest.raises(DatasetError, match="truncated gzip"):
        read_content(tmp_path / "train-images-idx3-ubyte", max_bytes=2**30)


def test_gzip_bomb_stops_at_max_bytes(tmp_path):
    """A bomb whose header admits its size is refused before a single pixel is decompressed."""
    head = GOOD[:4] + struct.pack(">III", 2**27 // 64, 8, 8)
    write_part(tmp_path, images=gzip_bomb(head, 2**27))
    with pytest.raises(DatasetError, match=r"too large. Expected at most max_bytes=10000"):
        idx(folder=tmp_path, max_bytes=10_000)
    with pytest.raises(DatasetError, match="Expected at most 1000 bytes uncompressed, got more"):
        read_content(tmp_path / "train-images-idx3-ubyte", max_bytes=1000)


def test_false_size_allocates_nothing(tmp_path):
    """4 GB declared, 10 bytes there: memory follows what comes, not what is declared."""
    write_part(tmp_path, images=GOOD[:4] + struct.pack(">III", 10**9, 1, 1) + b"\0" * 10)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=r"short payload. Expected 1000000000 bytes"):
            idx(folder=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, None, "1"])
def test_max_bytes_is_checked(tmp_path, bad):
    """All three factories want a positive integer."""
    for load in (
        lambda: idx(folder=tmp_path, max_bytes=bad),
        lambda: image_folder(folder=tmp_path, max_bytes=bad),
        lambda: npz(file=tmp_path / "x.npz", max_bytes=bad),
    ):
        with pytest.raises(ParameterError, match=r"`max_bytes` must be a positive integer, got"):
            load()


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, len(GOOD)), tail=st.binary(max_size=40))
def test_cut_or_longer_idx_is_never_other_data(cut, tail):
    """A file cut and continued at random gives its own array if nothing changed, else an error."""
    content = GOOD[:cut] + tail
    expected = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    try:
        got = parse_idx(io.BytesIO(content), "x")
    except DatasetError:
        assert content != GOOD
    else:
        assert len(content) == 4 + 4 * content[3] + got.nbytes
        if content[:16] == GOOD[:16]:
            np.testing.assert_array_equal(got.ravel(), np.frombuffer(content[16:], np.uint8))
        if not tail:
            np.testing.assert_array_equal(got, expected)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_gzip_idx_is_never_other_data(data):
    """Gzip's own sum: bytes cut, appended or flipped give the right array or a DatasetError."""
    packed = bytearray(gzip.compress(GOOD, mtime=0))
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), max_size=2)):
        packed[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(packed)))
    content = bytes(packed[:cut]) + data.draw(st.binary(max_size=12))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.gz")
        path.write_bytes(content)
        try:
            got = read_idx(path)
        except DatasetError:
            return
    np.testing.assert_array_equal(got, np.arange(12, dtype=np.uint8).reshape(3, 2, 2))


# ------------------------------------------------------------------------- image_folder


def picture(path, array=None, mode=None, **options):
    """Save one image, by default 4x5 grey."""
    array = np.arange(20, dtype=np.uint8).reshape(4, 5) if array is None else np.asarray(array)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return array


def two_classes(root, **options):
    """Two grey images, in the classes b and a."""
    for name in ("b", "a"):
        picture(root / name / "1.png", **options)


def test_image_folder_order_and_values(tmp_path):
    """Classes and files are sorted by name, pixels are divided by 255."""
    images = {}
    rng = np.random.default_rng(0)
    for name in ("b/2.png", "a/10.png", "a/1.bmp", "b/1.tif"):
        images[name] = picture(tmp_path / name, rng.integers(0, 256, (4, 5), dtype=np.uint8))
    data = image_folder(folder=tmp_path)
    order = ["a/1.bmp", "a/10.png", "b/1.tif", "b/2.png"]
    expected = np.stack([images[name] for name in order])[:, None] / 255
    np.testing.assert_allclose(data.X, expected, rtol=1e-6)
    assert data.X.dtype == np.float32
    assert data.y.tolist() == ["a", "a", "b", "b"]
    assert data.class_names == ("a", "b")
    assert data.image_shape == (1, 4, 5)
    assert data.X_test.shape == (0, 1, 4, 5)
    assert data.y_test.dtype.kind == "U"


def test_image_folder_train_and_test(tmp_path):
    """train/ and test/ become the two parts."""
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "test", array=np.full((4, 5), 255, np.uint8))
    data = image_folder(folder=tmp_path)
    assert data.X.shape == data.X_test.shape == (2, 1, 4, 5)
    assert (data.X_test == 1).all()
    assert data.y_test.tolist() == ["a", "b"]


def test_image_folder_train_and_test_must_agree(tmp_path):
    """Other classes in test, or a third folder beside the two, are refused."""
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "test")
    picture(tmp_path / "test" / "c" / "1.png")
    with pytest.raises(DatasetError, match=r"classes of test differ.*\['a', 'b'\], got.*'c'"):
        image_folder(folder=tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(DatasetError, match=r"more than train and test.*\['other'\]"):
        image_folder(folder=tmp_path)


def test_image_folder_modes(tmp_path):
    """All grey gives one channel, any colour three; `mode` forces either."""
    two_classes(tmp_path)
    colour = np.zeros((4, 5, 3), np.uint8)
    colour[..., 0] = 255
    picture(tmp_path / "a" / "2.png", np.eye(4, 5) > 0)  # one bit
    assert image_folder(folder=tmp_path).image_shape == (1, 4, 5)
    assert image_folder(folder=tmp_path, mode="RGB").image_shape == (3, 4, 5)
    picture(tmp_path / "a" / "3.png", colour)
    data = image_folder(folder=tmp_path)
    assert data.image_shape == (3, 4, 5)
    np.testing.assert_array_equal(data.X[2], np.moveaxis(colour, -1, 0) / 255)
    np.testing.assert_array_equal(data.X[1, 0], np.eye(4, 5))
    grey = image_folder(folder=tmp_path, mode="L")
    np.testing.assert_allclose(grey.X[2], 0.299, atol=1 / 255)  # ITU-R 601 luma of red


def test_image_folder_16_bit(tmp_path):
    """16-bit grey is divided by 65535, in one channel or spread over three."""
    array = np.linspace(0, 65535, 20).astype(np.uint16).reshape(4, 5)
    two_classes(tmp_path, array=array)
    data = image_folder(folder=tmp_path)
    np.testing.assert_allclose(data.X[0, 0], array / 65535, rtol=1e-6)
    colour = image_folder(folder=tmp_path, mode="RGB")
    np.testing.assert_array_equal(colour.X, np.repeat(data.X, 3, axis=1))


def test_image_folder_palette_and_opaque_alpha(tmp_path):
    """Palettes and fully opaque alpha are colour like any other."""
    two_classes(tmp_path)
    colour = np.random.default_rng(1).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    picture(tmp_path / "a" / "2.png", colour, "RGBA")
    picture(tmp_path / "a" / "3.png", np.full((4, 5, 3), 51, np.uint8), "P")
    data = image_folder(folder=tmp_path)
    np.testing.assert_allclose(data.X[1], np.moveaxis(colour, -1, 0) / 255, rtol=1e-6)
    np.testing.assert_allclose(data.X[2], 0.2, rtol=1e-6)


def test_image_folder_resizes(tmp_path):
    """With `size` mixed sizes fit; a constant stays constant, halving averages neighbours."""
    picture(tmp_path / "a" / "1.png", np.full((8, 6), 51, np.uint8))
    picture(tmp_path / "b" / "1.png", np.tile([[0, 255]], (4, 30)).astype(np.uint8))
    data = image_folder(folder=tmp_path, size=(4, 30))
    assert data.image_shape == (1, 4, 30)
    np.testing.assert_allclose(data.X[0], 0.2, rtol=1e-5)
    # stripes of one pixel would alias to black or white without antialiasing
    assert np.abs(data.X[1, 0, :, 2:-2] - 0.5).max() < 0.05
    assert data.X.min() >= 0
    assert data.X.max() <= 1


def test_image_folder_turns_photographs(tmp_path):
    """EXIF orientation 6 (turn clockwise) is applied, and its size counts as turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    bright_left = np.zeros((16, 32), np.uint8)
    bright_left[:, :16] = 255
    two_classes(tmp_path, array=bright_left.T)
    for end in ("jpg", "png"):
        picture(tmp_path / "a" / f"0.{end}", bright_left, exif=exif)
    data = image_folder(folder=tmp_path)
    assert data.image_shape == (1, 32, 16)
    np.testing.assert_allclose(data.X[0], data.X[1], atol=0.05)
    np.testing.assert_allclose(data.X[1], data.X[2], atol=0.05)


def as_unreadable(root):
    (root / "a" / "0.png").write_bytes((root / "a" / "1.png").read_bytes()[:45])
    return r"a/0.png: unreadable image"


def as_truncated(root):
    noise = np.random.default_rng(0).integers(0, 256, (99, 99), dtype=np.uint8)
    two_classes(root, array=noise)
    content = picture_bytes(noise, "JPEG")
    (root / "a" / "0.jpg").write_bytes(content[: len(content) // 2])
    return r"a/0.jpg: unreadable image.*got OSError"


def as_text(root):
    (root / "b" / "notes.txt").write_text("hello")
    return r"b/notes.txt: unreadable image. Expected an image in PNG.*UnidentifiedImageError"


def as_postscript(root):
    (root / "b" / "x.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 4\n%%EOF\n")
    return r"b/x.eps: unreadable image"


def as_mixed(root):
    picture(root / "b" / "2.png", np.zeros((5, 4), np.uint8))
    return r"b/2.png: mixed sizes. Expected \(4, 5\).*or `size` given, got \(5, 4\)"


def as_nested(root):
    (root / "a" / "deeper").mkdir()
    return r"a/deeper: nested folder in a class folder"


def as_empty(root):
    (root / "c").mkdir()
    return r"c: empty class folder. Expected images, got nothing"


def as_link_out(root):
    (root / "a" / "0.png").symlink_to(root.parent / "outside.png")
    return r"a/0.png: link out of the tree.*got .*outside.png"


def as_linked_class(root):
    (root / "c").symlink_to(root.parent)
    return r"c: link out of the tree"


def as_broken_link(root):
    (root / "a" / "0.png").symlink_to(root / "nowhere.png")
    return r"a/0.png: broken link"


def as_loop(root):
    (root / "a" / "0.png").symlink_to(root / "a" / "0.png")
    return r"a/0.png: broken link"


def as_hidden(root):
    (root / "a" / ".DS_Store").write_bytes(b"\0")
    return r"a/.DS_Store: hidden file"


def as_stray(root):
    picture(root / "stray.png")
    return r"stray.png: a file beside class folders"


def as_fifo(root):
    os.mkfifo(root / "a" / "0.png")
    return r"a/0.png: not a file.*pipe"


def as_transparent(root):
    picture(root / "a" / "0.png", np.full((4, 5, 4), 128, np.uint8))
    return r"a/0.png: transparency.*background of your choice.*alpha down to 128"


def as_transparent_shade(root):
    picture(root / "a" / "0.png", transparency=3)
    return r"a/0.png: transparency.*alpha down to 0"


def as_transparent_16(root):
    picture(root / "a" / "0.png", np.zeros((4, 5), np.uint16))
    content = (root / "a" / "0.png").read_bytes()
    chunk = b"tRNS\0\0"
    chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (root / "a" / "0.png").write_bytes(content[:33] + chunk + content[33:])
    return r"a/0.png: transparency"


def as_animated(root):
    frames = [Image.new("L", (5, 4), shade) for shade in (0, 255)]
    frames[0].save(root / "a" / "0.gif", save_all=True, append_images=frames[1:])
    return r"a/0.gif: more than one frame. Expected a still image, got 2"


def as_float(root):
    picture(root / "a" / "0.tif", np.zeros((4, 5), np.float32))
    return r"a/0.tif: unusable mode.*got mode 'F'"


def as_bomb(root):
    (root / "a" / "0.png").write_bytes(png_header(20_000, 20_000))
    return r"a/0.png: decompression bomb"


def as_small_bomb(root):
    (root / "a" / "0.png").write_bytes(png_header(10_000, 9_900))
    return r"a/0.png: decompression bomb"  # Pillow only warns here


def picture_bytes(array, form):
    out = io.BytesIO()
    Image.fromarray(array).save(out, form)
    return out.getvalue()


def png_header(columns, rows):
    """A grey PNG that declares a size and holds nothing."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


FOLDER_FAULTS = [value for name, value in sorted(globals().items()) if name.startswith("as_")]


@pytest.mark.parametrize("spoil", FOLDER_FAULTS, ids=lambda spoil: spoil.__name__)
def test_image_folder_faults(tmp_path, spoil):
    """Whatever cannot be used is a DatasetError naming the file; nothing is skipped."""
    root = tmp_path / "root"
    two_classes(root)
    picture(tmp_path / "outside.png")
    match = spoil(root)
    with pytest.raises(DatasetError, match=match):
        image_folder(folder=root)


def test_image_folder_link_inside_is_fine(tmp_path):
    """A link that stays in the tree is an image like any other."""
    two_classes(tmp_path)
    (tmp_path / "a" / "2.png").symlink_to(tmp_path / "b" / "1.png")
    assert image_folder(folder=tmp_path).y.tolist() == ["a", "a", "b"]


def test_image_folder_too_few_classes(tmp_path):
    """One class has no contrast; none is no dataset."""
    with pytest.raises(DatasetError, match=r"too few classes. Expected 2.*got 0"):
        image_folder(folder=tmp_path)
    picture(tmp_path / "a" / "1.png")
    with pytest.raises(DatasetError, match=r"too few classes. Expected 2.*got 1"):
        image_folder(folder=tmp_path)


def test_image_folder_max_bytes(tmp_path):
    """Two images of 80 bytes in float32: 160 is enough, 159 is not, nor is 79 for one."""
    two_classes(tmp_path)
    assert image_folder(folder=tmp_path, max_bytes=160).X.nbytes == 160
    with pytest.raises(DatasetError, match=r"images too large.*max_bytes=159 bytes, got 160"):
        image_folder(folder=tmp_path, max_bytes=159)
    with pytest.raises(DatasetError, match=r"1.png: image too large.*max_bytes=79 bytes, got 80"):
        image_folder(folder=tmp_path, max_bytes=79, size=(1, 1))


@pytest.mark.parametrize("bad", [5, (5,), (0, 5), (5.0, 5), "55", (True, 1)])
def test_image_folder_size_is_checked(tmp_path, bad):
    """`size` is two positive integers."""
    with pytest.raises(ParameterError, match=r"`size` must be None or two positive integers"):
        image_folder(folder=tmp_path, size=bad)


def test_image_folder_mode_is_checked(tmp_path):
    """`mode` is L or RGB."""
    with pytest.raises(ParameterError, match=r'`mode` must be None, "L" or "RGB", got \'RGBA\''):
        image_folder(folder=tmp_path, mode="RGBA")


def test_image_folder_without_pillow(tmp_path, monkeypatch):
    """Without Pillow the error says how to get it."""
    two_classes(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DatasetError, match=r'pip install "pncviz\[data\]"'):
        image_folder(folder=tmp_path)


# ---------------------------------------------------------------------------------- npz


@pytest.fixture
def save(tmp_path):
    """Write an archive; X and y are there unless told otherwise."""

    def write(compressed=False, **arrays):
        arrays = {"X": np.arange(12.0).reshape(2, 2, 3), "y": [1, 0]} | arrays
        arrays = {key: value for key, value in arrays.items() if value is not None}
        path = tmp_path / "data.npz"
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return path

    return write


def member(path, name, content, *, link=False, **options):
    """Write an archive with one member of any name and content."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        info = zipfile.ZipInfo(name)
        info.compress_type = options.get("compression", zipfile.ZIP_STORED)
        info.external_attr = (0o120777 if link else 0o100644) << 16
        archive.writestr(info, content)
    return path


def npy(array=None, *, descr="<f8", shape=(2, 3), payload=None):
    """An .npy file whose header need not fit its payload."""
    out = io.BytesIO()
    head = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, head)
    return out.getvalue() + (bytes(48) if payload is None else payload)


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_round_trip(save, compressed):
    """What was saved comes back, images with a channel axis, str labels, names in order."""
    X = np.arange(24, dtype=np.float64).reshape(4, 2, 3) / 24
    y = np.array(["ox", "cat", "ox", "cat"])
    names = ["Cat", "Ox"]
    path = save(compressed, X=X, y=y, X_test=X[:1], y_test=y[:1], class_names=names)
    data = npz(file=path)
    np.testing.assert_array_equal(data.X[:, 0], X.astype(np.float32))
    assert data.image_shape == (1, 2, 3)
    assert data.y.tolist() == y.tolist()
    assert data.class_names == ("Cat", "Ox")
    np.testing.assert_array_equal(data.X_test, data.X[:1])
    assert data.y_test.tolist() == ["ox"]


@pytest.mark.parametrize(
    "shape, image_shape", [((2, 5), None), ((2, 4, 5), (1, 4, 5)), ((2, 3, 4, 5), (3, 4, 5))]
)
def test_npz_shapes(save, shape, image_shape):
    """Rank 2 is a table, 3 grey images, 4 is kept; uint8 is scaled for images only."""
    data = npz(file=save(X=np.full(shape, 255, np.uint8)))
    assert data.image_shape == image_shape
    assert data.X.shape == ((2, *image_shape) if image_shape else shape)
    value = 1 if image_shape else 255
    np.testing.assert_array_equal(data.X, np.full(data.X.shape, value))
    assert data.X_test.shape == (0, *data.X.shape[1:])


@pytest.mark.parametrize("dtype", ["bool", "float16", ">f4", ">i2", "int64", "<u2"])
def test_npz_dtypes(save, dtype):
    """Any real dtype and byte order, Fortran order too, is cast as it is."""
    array = np.asfortranarray(np.arange(12).reshape(2, 6) % 2, dtype=dtype)
    data = npz(file=save(X=array, y=np.array([3, -1], dtype=">i4")))
    np.testing.assert_array_equal(data.X, np.arange(12).reshape(2, 6) % 2)
    assert data.X.dtype == np.float32
    assert data.y.dtype == np.int64
    assert data.y.tolist() == [3, -1]


@pytest.mark.parametrize(
    "arrays, match",
    [
        ({"X": None}, r"no X. Expected keys X and y, got \['y'\]"),
        ({"y": None}, r"no y"),
        ({"x_test": [1]}, r"unknown key. Expected only X.npy.*got 'x_test.npy'"),
        ({"X_test": np.zeros((1, 2, 3))}, r"half a test part"),
        ({"X": np.array([["a"], ["b"]])}, r"X is not numeric.*got dtype <U1"),
        ({"X": np.array([[1j], [1]])}, r"not an array of numbers or str.*complex128"),
        ({"X": np.array([1.0, 2])}, r"X has a strange shape.*got \(2,\)"),
        ({"X": np.zeros((2, 0))}, r"X with an empty dimension"),
        ({"X": [[np.nan], [1]]}, r"X holds values.*got nan .float64. at \(0, 0\)"),
        ({"X": [[1.0], [1e39]]}, r"X holds values.*got 1e\+39 .float64. at \(1, 0\)"),
        ({"X": [[1.0], [np.inf]]}, r"X holds values.*got inf"),
        ({"y": [1, 2, 3]}, r"train counts differ.*got 2 samples and 3 labels"),
        ({"y": [1.0, 2.0]}, r"y has no labels. Expected integers or str, got dtype float64"),
        ({"y": np.eye(2, dtype=int)}, r"y is not 1-D.*argmax"),
        ({"y": np.array([0, 2**63], np.uint64)}, r"y too large"),
        ({"class_names": ["one"]}, r"class names. Expected 2, one a class, got 1"),
        ({"X_test": np.zeros((1, 2, 4)), "y_test": [1]}, r"shapes differ"),
        ({"X_test": np.zeros((1, 2, 3)), "y_test": ["1"]}, r"labels differ"),
        ({"X_test": np.zeros((1, 2, 3)), "y_test": [7]}, r"test has labels that train lacks"),
    ],
)
def test_npz_faults(save, arrays, match):
    """Keys, shapes, dtypes and values that do not fit are named."""
    with pytest.raises(DatasetError, match=r"data\.npz: .*" + match):
        npz(file=save(**arrays))


def test_npz_never_unpickles(save, tmp_path):
    """An object array is refused by its dtype; its pickle is not run."""

    class Payload:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    path = save(X=np.array([[Payload()], [Payload()]], dtype=object))
    with pytest.raises(DatasetError, match=r"X is an object array.*pickles are never loaded"):
        npz(file=path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "name, match",
    [
        ("../X.npy", "leads out of the archive.*'../X.npy'"),
        ("a/../../X.npy", "leads out of the archive"),
        ("/X.npy", "leads out of the archive"),
        ("C:/X.npy", "leads out of the archive"),
        ("..\\X.npy", "leads out of the archive"),
        ("sub/X.npy", "unknown key"),
        ("X", "unknown key"),
    ],
)
def test_npz_member_names(tmp_path, name, match):
    """Members may not lead out of the archive, nor be anything but the keys."""
    with pytest.raises(DatasetError, match=match):
        npz(file=member(tmp_path / "x.npz", name, npy()))


def test_npz_links_and_doubles(tmp_path):
    """A member that is a link, or that comes twice, is refused."""
    with pytest.raises(DatasetError, match=r"member is a link.*'X.npy'"):
        npz(file=member(tmp_path / "x.npz", "X.npy", "/etc/passwd", link=True))
    path = tmp_path / "twice.npz"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the double that is wanted here
        archive.writestr("X.npy", npy())
        archive.writestr("X.npy", npy())
    with pytest.raises(DatasetError, match="a key twice"):
        npz(file=path)


@pytest.mark.parametrize(
    "content, match",
    [
        (npy(shape=(2**40, 2**40)), r"X too large. Expected at most max_bytes=1000 bytes, got"),
        (npy(shape=(-2, 3)), r"X with an empty dimension.*got \(-2, 3\)"),
        (npy(descr="<U400000000", shape=(2,)), r"X too large"),
        (npy(shape=(2, 4)), r"X is cut off. Expected 64 bytes, got 48"),
        (npy(shape=(2, 2)), r"X is longer than declared. Expected 32 bytes, got more"),
        (npy(payload=bytes(30_000)), r"X is longer than declared"),
        (npy(descr=[("a", "<f8")]), r"X is not an array of numbers"),
        (npy(descr="<M8[s]"), r"X is not an array of numbers"),
        (b"PK", r"X has a bad npy header"),
        (npy()[:40], r"X has a bad npy header"),
        (npy().replace(b"(2, 3)", b"(((((("), r"X has a bad npy header"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff" + b" " * 20_000, r"X has a bad npy header"),
        (b"\x93NUMPY\x09\0", r"X has a bad npy header"),
    ],
)
def test_npz_lying_members(tmp_path, content, match):
    """Sizes are checked from the header before anything is read, and held to afterwards."""
    with pytest.raises(DatasetError, match=match):
        npz(file=member(tmp_path / "x.npz", "X.npy", content), max_bytes=1000)


def test_npz_bomb_stops_early(tmp_path):
    """A small header over 128 MiB of deflated zeros: stops at the declared 48 bytes."""
    content = npy() + bytes(2**27)
    path = member(tmp_path / "x.npz", "X.npy", content, compression=zipfile.ZIP_DEFLATED)
    del content
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match="X is longer than declared"):
            npz(file=path, max_bytes=1000)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_npz_max_bytes_is_for_all_arrays(save):
    """X takes 96 bytes and y 16: 112 is enough, 111 is not."""
    path = save()
    assert len(npz(file=path, max_bytes=112).X) == 2
    with pytest.raises(DatasetError, match=r"y too large. Expected at most max_bytes=15 bytes"):
        npz(file=path, max_bytes=111)


def test_npz_strange_compression(tmp_path):
    """bzip2 and lzma, which zipfile decompresses without bound, are refused."""
    path = member(tmp_path / "x.npz", "X.npy", npy(), compression=zipfile.ZIP_BZIP2)
    with pytest.raises(DatasetError, match=r"strange compression. Expected stored or deflated"):
        npz(file=path)


def test_npz_no_archive(tmp_path, save):
    """Nothing, text, a cut-off archive, text that is no Unicode."""
    with pytest.raises(DatasetError, match="no such file"):
        npz(file=tmp_path)
    path = save()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DatasetError, match=r"damaged archive. Expected an .npz .zip. archive"):
        npz(file=path)
    path.write_text("<html>404</html>")
    with pytest.raises(DatasetError, match="damaged archive"):
        npz(file=path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", npy())
        archive.writestr("y.npy", npy(descr="<U1", shape=(2,), payload=b"\xff" * 8))
    with pytest.raises(DatasetError, match=r"y is no text. Expected Unicode"):
        npz(file=path)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_npz_is_never_other_data(data):
    """An archive with bytes flipped, cut or appended gives the right arrays or a DatasetError."""
    out = io.BytesIO()
    X, y = np.arange(6.0).reshape(2, 3), np.array([4, 2])
    np.savez(out, X=X, y=y)
    content = bytearray(out.getvalue())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=2)):
        content[at] ^= data.draw(st.integers(1, 255))
    content = content[: data.draw(st.sampled_from([len(content), len(content) - 9]))]
    content += data.draw(st.binary(max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.npz")
        path.write_bytes(bytes(content))
        try:
            got = npz(file=path)
        except DatasetError:
            return
    np.testing.assert_array_equal(got.X, X)
    np.testing.assert_array_equal(got.y, y)
