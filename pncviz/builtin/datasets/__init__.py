"""The built-in datasets, handed over through the same hook as everyone's.

``digits``, ``tiling`` and ``overlapping`` need no file; ``mnist`` and ``fashion_mnist`` need a
folder or a network; ``idx``, ``image_folder`` and ``npz`` read your own.
"""

from __future__ import annotations

from pncviz.builtin.datasets.folder import image_folder
from pncviz.builtin.datasets.idx import idx
from pncviz.builtin.datasets.mnist import fashion_mnist, mnist
from pncviz.builtin.datasets.npz import npz
from pncviz.builtin.datasets.toy import digits, overlapping, tiling
from pncviz.hookspecs import hookimpl
from pncviz.specs import DatasetSpec

__all__ = [
    "digits",
    "fashion_mnist",
    "idx",
    "image_folder",
    "mnist",
    "npz",
    "overlapping",
    "pncviz_datasets",
    "tiling",
]


@hookimpl
def pncviz_datasets() -> list[DatasetSpec]:
    """Give the built-in datasets.

    Returns
    -------
    list of DatasetSpec

    Examples
    --------
    >>> [spec.name for spec in pncviz_datasets()][:3]
    ['digits', 'tiling', 'overlapping']
    """
    return [
        DatasetSpec(
            name="digits",
            factory=digits,
            summary="scikit-learn's handwritten digits, 8x8, ten classes",
            reference="alpaydin1998optical",
        ),
        DatasetSpec(
            name="tiling",
            factory=tiling,
            summary="four 3x3 patches that tile a 6x6 image, one sample a class",
            reference="dough2020",
        ),
        DatasetSpec(
            name="overlapping",
            factory=overlapping,
            summary="four 3x3 patches that overlap in a 6x6 image, one sample a class",
            reference="dough2020",
        ),
        DatasetSpec(
            name="mnist",
            factory=mnist,
            summary="70 000 handwritten digits, 28x28, ten classes",
            reference="lecun2010mnist",
        ),
        DatasetSpec(
            name="fashion_mnist",
            factory=fashion_mnist,
            summary="70 000 pictures of clothes, 28x28, ten classes",
            reference="xiao2017fashion",
        ),
        DatasetSpec(name="idx", factory=idx, summary="your folder of IDX files (MNIST's format)"),
        DatasetSpec(
            name="image_folder", factory=image_folder, summary="your images, a folder per class"
        ),
        DatasetSpec(name="npz", factory=npz, summary="your arrays X and y in one .npz archive"),
    ]
