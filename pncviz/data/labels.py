"""y: one label per sample, all integers or all strings, and the labels as codes."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.utils import column_or_1d

from pncviz.exceptions import LabelError

__all__ = ["check_labels", "encode_labels"]

#: From here on, floats skip integers.
_EXACT = 2.0**53


def check_labels(y: Any, n_samples: int, *, X: Any = None) -> NDArray[Any]:
    """Check y: one label per sample, all integers or all strings.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    n_samples : int
        Rows of X.
    X : array-like, optional
        If X and y are both pandas objects, their indices must agree.

    Returns
    -------
    y : int64 or str ndarray of shape (n_samples,)
        Whole floats and truth values become integers, bytes become strings.

    Raises
    ------
    LabelError
        With counts, types and what to do.

    Examples
    --------
    >>> check_labels([2.0, 0.0, 2.0], 3)
    array([2, 0, 2])
    """
    if y is None:
        raise LabelError("requires y to be passed, but the target y is None")
    if issparse(y) or isinstance(y, np.ma.MaskedArray):
        use = "y.toarray().argmax(axis=1)" if issparse(y) else "y.compressed(), and X to match"
        raise LabelError(f"y is a {type(y).__name__}, not a plain array; use {use}.")
    _refuse_permuted_index(X, y)
    found = _one_dimension(y)
    if len(found) != n_samples:
        raise LabelError(
            f"Found input variables with inconsistent numbers of samples: "
            f"[{n_samples}, {len(found)}]: X has {n_samples} samples and y has {len(found)} labels."
        )
    return _one_kind(found)


def _one_dimension(y: Any) -> NDArray[Any]:
    try:
        # As objects, since numpy would make [1, "a"] two strings.
        array = np.asarray(y, dtype=object if isinstance(y, list | tuple) else None)
        if array.ndim == 2 and array.shape[1] > 1:
            raise LabelError(
                f"y should be a 1d array, got an array of shape {array.shape} instead; if it is "
                "one-hot, use y.argmax(axis=1)."
            )
        if array.dtype.kind not in "cmMT":  # scikit-learn's words for these do not name y
            array = column_or_1d(array, warn=True)
    except LabelError:
        raise
    except ValueError as error:  # ragged, a scalar, three dimensions
        raise LabelError(f"y must be a 1d array of labels: {error}") from error
    return np.asarray(array)


def _one_kind(y: NDArray[Any]) -> NDArray[Any]:
    if y.dtype.kind in "OT":
        y = _from_objects(y.astype(object))
    if y.dtype.kind == "f":
        return _from_floats(y)
    if y.dtype.kind not in "biuUS":
        raise LabelError(
            f"y must hold integers or strings, got dtype {y.dtype}; convert it first, such as with "
            "y.astype(str)."
        )
    if y.dtype.kind == "u" and y.size and y.max() > np.iinfo(np.int64).max:
        raise LabelError(f"y contains {y.max()}, too large a label; the largest is 2**63 - 1.")
    return y.astype(np.int64 if y.dtype.kind in "biu" else str, copy=False)


def _from_floats(y: NDArray[Any]) -> NDArray[np.int64]:
    if np.isnan(y).any():
        raise LabelError(f"y contains NaN in {int(np.isnan(y).sum())} of {len(y)} places.")
    odd = y[~((np.abs(y) < _EXACT) & (y == np.floor(y)))]
    if odd.size:
        raise LabelError(
            f"Unknown label type: continuous ({odd[0]:g} among {len(y)} labels). y must hold class "
            "labels (integers or strings), not measurements."
        )
    return y.astype(np.int64)


def _from_objects(y: NDArray[Any]) -> NDArray[Any]:
    """Give objects the one dtype that they all have."""
    values = y.tolist()
    missing = sum(map(_is_missing, values))
    if missing:
        raise LabelError(f"y contains None or NaN in {missing} of {len(values)} places.")
    kinds = sorted({_kind_name(value) for value in values})
    if len(kinds) > 1 and kinds != ["float", "int"]:
        raise LabelError(f"y mixes types: {', '.join(kinds)}. Use one of them.")
    try:
        array = np.array(values)
    except ValueError as error:  # sequences of several lengths
        raise LabelError(f"y must be a 1d array of labels: {error}") from error
    if array.ndim != 1:
        raise LabelError(f"y should be a 1d array, got an array of shape {array.shape} instead.")
    if array.dtype.kind in "US" and array.tolist() != [_plain(value) for value in values]:
        raise LabelError("y has labels that end in a null character, which arrays drop; strip it.")
    return array


def _is_missing(value: object) -> bool:
    try:
        return value is None or bool(value != value)  # NaN differs from itself
    except TypeError:
        return True  # pandas.NA, which is neither
    except ValueError:
        return False  # an array, refused later


def _kind_name(value: object) -> str:
    """Name a scalar's type so that int and numpy.int8 are one."""
    if isinstance(value, bool | np.bool):
        return "bool"
    if isinstance(value, numbers.Integral):
        return "int"
    if isinstance(value, float | np.floating):
        return "float"
    return next((kind.__name__ for kind in (str, bytes) if isinstance(value, kind)), _type(value))


def _type(value: object) -> str:
    return type(value).__name__


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, bytes) else str(value)


def _refuse_permuted_index(X: Any, y: Any) -> None:
    left: Any = getattr(X, "index", None)
    right: Any = getattr(y, "index", None)
    if not hasattr(left, "equals") or not hasattr(right, "equals"):
        return  # lists have a method of that name
    if len(left) != len(right) or left.equals(right):
        return
    pairs = list(zip(left.tolist(), right.tolist(), strict=True))
    # Where no value differs, the indices differ in kind alone, which is no other order.
    place = next((i for i, (a, b) in enumerate(pairs) if a != b and not (a != a and b != b)), None)
    if place is not None:
        raise LabelError(
            f"X and y are in different order: at row {place} the index of X is {pairs[place][0]!r} "
            f"and that of y {pairs[place][1]!r}. Use y.loc[X.index]."
        )


def encode_labels(
    y: NDArray[Any], classes: ArrayLike | None = None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Turn labels into positions in the sorted classes.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
    classes : array-like of shape (n_classes,), optional
        All classes, in the order wanted; by default those in y, sorted.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    codes : int64 ndarray of shape (n_samples,)

    Raises
    ------
    LabelError
        y has a label that is not among the classes, or the classes are not distinct.

    Examples
    --------
    >>> encode_labels(np.array(["owl", "cat", "owl"]))
    (array(['cat', 'owl'], dtype='<U3'), array([1, 0, 1]))
    """
    found, codes = np.unique(y, return_inverse=True)
    if classes is None:
        return found, codes
    known = np.asarray(classes)
    if known.ndim != 1 or len(np.unique(known)) != len(known):
        raise LabelError(f"`classes` must be distinct labels, got {known.tolist()!s:.200}.")
    places = {label: place for place, label in enumerate(known.tolist())}
    missing = [label for label in found.tolist() if label not in places]
    if missing:
        alike = {str(label) for label in missing} & {str(label) for label in places}
        kinds = f"{_type(missing[0])} in y, {_type(known.tolist()[0])} in the classes"
        raise LabelError(
            f"y has labels that the model or the earlier data do not have: {missing[:10]}. "
            f"Known: {known.tolist()[:10]}." + (f" Their types differ: {kinds}." if alike else "")
        )
    positions = np.array([places[label] for label in found.tolist()], dtype=np.int64)
    return known, positions[codes]
