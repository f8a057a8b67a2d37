"""MNIST and Fashion-MNIST: from a folder, or downloaded once; never unverified."""

from __future__ import annotations

import io
import os
from pathlib import Path

from pncviz.builtin.datasets.arrays import Part, as_dataset, as_labels
from pncviz.builtin.datasets.bounded import check_folder, fault
from pncviz.builtin.datasets.download import fetch, read_verified
from pncviz.builtin.datasets.idx import as_images, parse_idx
from pncviz.exceptions import DatasetError
from pncviz.specs import Dataset

__all__ = ["FASHION_NAMES", "MIRRORS", "SUMS", "fashion_mnist", "mnist"]

#: Where the files are published; a mirror that fails is followed by the next. What comes is
#: verified by content, so the one plain-http address is no weaker than the others.
MIRRORS = {
    "mnist": (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion-mnist": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
}

#: SHA-256 of the *uncompressed* files: publishers' and others' gzip wrappers differ.
SUMS = {
    "mnist": {
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
}

#: The classes of Fashion-MNIST, in the order of their labels.
FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def mnist(*, folder: str | Path | None = None) -> Dataset:
    """Load MNIST: 60 000 + 10 000 handwritten digits, 28x28, grey.

    From ``folder``; else from ``$PNCVIZ_DATA/mnist``; else downloaded, once, into pooch's cache
    (``pooch.os_cache("pncviz")``). Files may be gzipped or not; each is verified by the SHA-256
    of its uncompressed bytes. Made by LeCun, Cortes and Burges; CC BY-SA 3.0.

    Parameters
    ----------
    folder : path-like, optional
        Holds the four IDX files.

    Returns
    -------
    Dataset
        X of shape (60000, 1, 28, 28) and X_test of shape (10000, 1, 28, 28), pixels in 0..1;
        labels 0 to 9.

    Raises
    ------
    ChecksumError
        If a file is not the published one.
    DatasetError
        If a folder or file is missing or damaged, pooch is not installed, or no mirror answers.

    References
    ----------
    ``lecun2010mnist``

    Examples
    --------
    >>> mnist(folder="/no/such/folder")
    Traceback (most recent call last):
    ...
    pncviz.exceptions.DatasetError: /no/such/folder: no such folder. Expected a folder, got nothing.
    """
    return _load("mnist", folder, tuple(map(str, range(10))))


def fashion_mnist(*, folder: str | Path | None = None) -> Dataset:
    """Load Fashion-MNIST: 60 000 + 10 000 pictures of clothes, 28x28, grey.

    From ``folder``; else from ``$PNCVIZ_DATA/fashion-mnist`` (or ``fashion_mnist``); else
    downloaded, once, into pooch's cache (``pooch.os_cache("pncviz")``). Files may be gzipped or
    not; each is verified by the SHA-256 of its uncompressed bytes. Made by Xiao, Rasul and
    Vollgraf at Zalando Research; MIT licence.

    Parameters
    ----------
    folder : path-like, optional
        Holds the four IDX files.

    Returns
    -------
    Dataset
        X of shape (60000, 1, 28, 28) and X_test of shape (10000, 1, 28, 28), pixels in 0..1;
        labels 0 to 9, class names from "T-shirt/top" to "Ankle boot".

    Raises
    ------
    ChecksumError
        If a file is not the published one.
    DatasetError
        If a folder or file is missing or damaged, pooch is not installed, or no mirror answers.

    References
    ----------
    ``xiao2017fashion``

    Examples
    --------
    >>> fashion_mnist(folder="/no/such/folder")
    Traceback (most recent call last):
    ...
    pncviz.exceptions.DatasetError: /no/such/folder: no such folder. Expected a folder, got nothing.
    """
    return _load("fashion-mnist", folder, FASHION_NAMES)


def _load(name: str, folder: str | Path | None, class_names: tuple[str, ...]) -> Dataset:
    place = _local_folder(name) if folder is None else check_folder(folder)
    parts = [_read_part(name, place, part) for part in ("train", "t10k")]
    return as_dataset(parts[0], parts[1], place or name, class_names=class_names)


def _local_folder(name: str) -> Path | None:
    """Find the folder that PNCVIZ_DATA promises; None if it promises nothing."""
    root = os.environ.get("PNCVIZ_DATA")
    if not root:
        return None
    places = [Path(root) / name, Path(root) / name.replace("-", "_")]
    for place in places:
        if place.is_dir():
            return place
    raise DatasetError(
        f"{places[0]}: no such folder, though PNCVIZ_DATA={root!r} is set. Expected the four IDX "
        f"files of {name} there, got nothing. Put them there, or unset PNCVIZ_DATA to download."
    )


def _read_part(name: str, folder: Path | None, part: str) -> Part:
    images, path = _read_file(name, folder, f"{part}-images-idx3-ubyte")
    X = as_images(parse_idx(io.BytesIO(images), path), path)
    labels, path = _read_file(name, folder, f"{part}-labels-idx1-ubyte")
    return X, as_labels(parse_idx(io.BytesIO(labels), path), path)


def _read_file(name: str, folder: Path | None, file: str) -> tuple[bytearray, Path]:
    expected = SUMS[name][file]
    if folder is None:
        return fetch(name, file, expected, MIRRORS[name])
    for path in (folder / file, folder / f"{file}.gz"):
        if path.exists():
            return read_verified(path, expected), path
    raise fault("missing file", folder, expected=f"{file} or {file}.gz", got="neither")
