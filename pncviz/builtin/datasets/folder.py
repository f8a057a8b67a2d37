"""Images in a folder per class. What cannot be used is an error, never skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pncviz.builtin.datasets.arrays import Part, as_dataset
from pncviz.builtin.datasets.bounded import MAX_BYTES, check_folder, check_max_bytes, fault
from pncviz.builtin.datasets.images import Header, load_image, read_header
from pncviz.exceptions import ParameterError
from pncviz.specs import Dataset

__all__ = ["image_folder"]

#: Class -> its files, both sorted.
Tree = dict[str, list[Path]]


def image_folder(
    *,
    folder: str | Path,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Load images that lie in a folder per class; the folders' names are the labels.

    ``folder`` holds the class folders, or ``train`` and ``test``, which hold the same class
    folders each; without those two the test part is empty. Classes and files are sorted by name.
    If every image is grey (modes 1, L, LA and 16 bits) there is one channel, else three.
    Photographs are turned as their EXIF orientation says. Colour is read with 8 bits.

    Parameters
    ----------
    folder : path-like
    size : tuple of two int, optional
        (rows, columns), in pixels, to which all are resized, bilinear with antialiasing.
        By default all images must have one size.
    mode : {"L", "RGB"}, optional
        Forces one channel or three.
    max_bytes : int
        The most bytes that the float32 images, and each image by itself, may take.

    Returns
    -------
    Dataset
        X of shape (n, channels, rows, columns): 8-bit pixels divided by 255, 16-bit grey by 65535.
        Labels and class names are str.

    Raises
    ------
    DatasetError
        An unreadable, animated or non-image file, a hidden file, transparency, mixed sizes, a
        nested or empty class folder, a link out of the tree, fewer than two classes, classes that
        differ between train and test, more than ``max_bytes``, Pillow not installed.
    ParameterError
        If ``size``, ``mode`` or ``max_bytes`` has a value that it may not have.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for shade, name in enumerate(["dark", "light"]):
    ...         pathlib.Path(root, name).mkdir()
    ...         Image.new("L", (5, 4), 255 * shade).save(pathlib.Path(root, name, "a.png"))
    ...     data = image_folder(folder=root)
    >>> data.X.shape, data.y.tolist()
    ((2, 1, 4, 5), ['dark', 'light'])
    """
    check_max_bytes(max_bytes)
    _check_parameters(size, mode)
    root = check_folder(folder)
    trees = _find_trees(root)
    headers = [
        read_header(path, max_bytes=max_bytes)
        for tree in trees
        for paths in tree.values()
        for path in paths
    ]
    grey = mode == "L" or (mode is None and all(header.grey for header in headers))
    shape = (1 if grey else 3, *(size or _common_size(headers)))
    need = 4 * len(headers) * int(np.prod(shape, dtype=object))
    if need > max_bytes:
        expected = f"at most max_bytes={max_bytes} bytes"
        raise fault("images too large", root, expected=expected, got=f"{need} for {len(headers)}")
    parts = [_load_part(tree, shape, resize=size is not None) for tree in trees]
    return as_dataset(parts[0], parts[1] if len(parts) > 1 else None, root)


def _check_parameters(size: tuple[int, int] | None, mode: str | None) -> None:
    if mode not in (None, "L", "RGB"):
        raise ParameterError(f'`mode` must be None, "L" or "RGB", got {mode!r}.')
    if size is not None and not (
        isinstance(size, (tuple, list))
        and len(size) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in size)
    ):
        raise ParameterError(
            f"`size` must be None or two positive integers (rows, columns), got {size!r}."
        )


def _find_trees(root: Path) -> list[Tree]:
    """Find the class folders, of train and test if there are both."""
    names = [path.name for path in _entries(root, root)]
    if not {"train", "test"} <= set(names):
        return [_find_classes(root, root)]
    if len(names) > 2:
        strange = [name for name in names if name not in ("train", "test")]
        raise fault("more than train and test", root, expected="those two", got=strange[:10])
    trees = [_find_classes(root / part, root) for part in ("train", "test")]
    if list(trees[0]) != list(trees[1]):
        expected, got = f"those of train, {list(trees[0])}", list(trees[1])
        raise fault("classes of test differ", root / "test", expected=expected, got=got)
    return trees


def _find_classes(folder: Path, root: Path) -> Tree:
    if not folder.is_dir():
        raise fault("not a folder", folder, expected="a folder of class folders", got="a file")
    tree: Tree = {}
    for entry in _entries(folder, root):
        if not entry.is_dir():
            raise fault("a file beside class folders", entry, expected="a folder", got="a file")
        tree[entry.name] = _find_files(entry, root)
    if len(tree) < 2:
        raise fault("too few classes", folder, expected="2 class folders or more", got=len(tree))
    return tree


def _find_files(folder: Path, root: Path) -> list[Path]:
    files = _entries(folder, root)
    if not files:
        raise fault("empty class folder", folder, expected="images", got="nothing")
    for path in files:
        if path.is_dir():
            raise fault("nested folder in a class folder", path, expected="images", got="a folder")
        if not path.is_file():  # a FIFO would block for ever
            raise fault("not a file", path, expected="an image", got="a device, pipe or socket")
    return files


def _entries(folder: Path, root: Path) -> list[Path]:
    """List a folder, sorted; hidden files and links out of the tree are errors."""
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise fault("cannot be read", folder, expected="a folder", got=error) from error
    top = root.resolve()
    for path in entries:
        if path.name.startswith("."):
            got = "a hidden file; delete it, nothing is skipped silently"
            raise fault("hidden file", path, expected="images in class folders", got=got)
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop, before Python 3.13
            raise fault("broken link", path, expected="a file or folder", got=error) from error
        if not real.is_relative_to(top):
            raise fault("link out of the tree", path, expected=f"something in {top}", got=real)
    return entries


def _common_size(headers: list[Header]) -> tuple[int, int]:
    first = headers[0]
    for header in headers:
        if header.size != first.size:
            expected = f"{first.size} (rows, columns) as in {first.path.name}, or `size` given"
            raise fault("mixed sizes", header.path, expected=expected, got=header.size)
    return first.size


def _load_part(tree: Tree, shape: tuple[int, int, int], *, resize: bool) -> Part:
    labels = [name for name, paths in tree.items() for _ in paths]
    X: NDArray[np.float32] = np.empty((len(labels), *shape), dtype=np.float32)
    paths = [path for paths in tree.values() for path in paths]
    for i, path in enumerate(paths):
        X[i] = load_image(path, shape, resize=resize)
    return X, np.array(labels, dtype=np.str_)
