"""Small data that need no file: digits, and the paper's two toy sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pncviz.specs import Dataset

__all__ = ["digits", "overlapping", "tiling"]

#: The order of the four classes of the toy sets.
CORNER_NAMES = ("top left", "top right", "bottom left", "bottom right")


def digits(*, test_size: float = 0.25, random_state: int = 0) -> Dataset:
    """Load scikit-learn's handwritten digits, 8x8 grey images of ten classes.

    1797 samples, part of "Optical Recognition of Handwritten Digits" of the UCI repository
    (CC BY 4.0); they come with scikit-learn. Pixels 0..16 are divided by 16.

    Parameters
    ----------
    test_size : float or int
        Share (0 to 1) or number of samples in the test part; each class keeps its share.
    random_state : int
        Seed of the split.

    Returns
    -------
    Dataset
        ``image_shape`` (1, 8, 8), labels 0 to 9.

    Raises
    ------
    ValueError
        If ``test_size`` leaves a part without some class; from scikit-learn.

    References
    ----------
    ``alpaydin1998optical``

    Examples
    --------
    >>> data = digits()
    >>> data.X.shape, data.X_test.shape
    ((1347, 1, 8, 8), (450, 1, 8, 8))
    """
    # Here, so that importing the datasets stays cheap.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    images = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    X_train, X_test, y_train, y_test = train_test_split(
        images, y, test_size=test_size, random_state=random_state, stratify=y
    )
    return Dataset(
        X=X_train,
        y=y_train,
        X_test=X_test,
        y_test=y_test,
        class_names=tuple(map(str, range(10))),
        image_shape=(1, 8, 8),
    )


def tiling() -> Dataset:
    """Make the paper's tiling set: four 3x3 patches that tile a 6x6 image.

    Ones on zeros, top-left corners (0, 0), (0, 3), (3, 0), (3, 3); one sample a class, and the
    test part equals the training part. Min-max PNCs equal their classes.

    Returns
    -------
    Dataset
        X of shape (4, 1, 6, 6), labels 0 to 3.

    References
    ----------
    ``dough2020``

    Examples
    --------
    >>> tiling().X.sum(axis=0).min()  # together they cover every pixel
    np.float32(1.0)
    """
    return _patches([(0, 0), (0, 3), (3, 0), (3, 3)])


def overlapping(*, corners: bool = False) -> Dataset:
    """Make the paper's overlapping set: four 3x3 patches that overlap in a 6x6 image.

    Ones on zeros, top-left corners (1, 1), (1, 2), (2, 1), (2, 2); one sample a class, and the
    test part equals the training part. Min-max PNCs differ from their classes.

    Parameters
    ----------
    corners : bool, default=False
        Instead, 4x4 patches in the four corners of the image, which overlap as well.

    Returns
    -------
    Dataset
        X of shape (4, 1, 6, 6), labels 0 to 3.

    References
    ----------
    ``dough2020``

    Examples
    --------
    >>> overlapping().X.sum(axis=0).max()  # all four share the middle
    np.float32(4.0)
    """
    if corners:
        return _patches([(0, 0), (0, 2), (2, 0), (2, 2)], side=4)
    return _patches([(1, 1), (1, 2), (2, 1), (2, 2)])


def _patches(places: Sequence[tuple[int, int]], side: int = 3) -> Dataset:
    X = np.zeros((4, 1, 6, 6), dtype=np.float32)
    for image, (row, column) in zip(X, places, strict=True):
        image[0, row : row + side, column : column + side] = 1
    y = np.arange(4)
    return Dataset(
        X=X,
        y=y,
        X_test=X.copy(),  # a copy: who writes into one part must not change the other
        y_test=y.copy(),
        class_names=CORNER_NAMES,
        image_shape=(1, 6, 6),
    )
