"""X and y, checked: samples of a known shape, and labels as codes.

Nothing here guesses: flat rows stay a table unless an image shape is given, and every refusal
names what came and what to do.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, validate_data

from pncviz.exceptions import DataError, DataTypeError, LabelError

__all__ = [
    "as_float32",
    "check_labels",
    "check_same_shape",
    "check_samples",
    "encode_labels",
    "output_names",
    "resolve_image_shape",
    "resolve_seed",
    "sample_shape",
]

_CHANNELS = (1, 3, 4)


def check_samples(
    X: Any, *, estimator: Any = None, reset: bool = True, finite: bool = True
) -> NDArray[Any]:
    """Check X as scikit-learn does, without casting or copying it.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), (n_samples, rows, columns) or \
            (n_samples, channels, rows, columns)
    estimator : estimator, optional
        Gets ``n_features_in_`` and ``feature_names_in_``, or is held to them if not ``reset``.
    reset : bool, default=True
    finite : bool, default=True
        Refuse NaN and infinity here; False leaves that to a caller that sees every value anyway.

    Returns
    -------
    X : ndarray of 2, 3 or 4 dimensions

    Raises
    ------
    DataError, DataTypeError
        Strings, complex numbers, masked arrays, or channels in the last place.
    ValueError, TypeError
        scikit-learn's own, for empty, non-finite, one-dimensional or sparse X.
    """
    _refuse_types(X)
    options: dict[str, Any] = {
        "dtype": "numeric" if _kind(X) == "O" else None,
        "allow_nd": True,
        "ensure_all_finite": finite,
    }
    if estimator is None:
        checked = check_array(X, **options)
    else:
        checked = validate_data(estimator, X, reset=reset, **options)
    if checked.ndim > 4:
        raise DataError(
            "X must be (n, features), (n, rows, columns) or (n, channels, rows, columns), got "
            f"shape {checked.shape}."
        )
    if 0 in checked.shape[1:]:
        raise DataError(f"X has 0 features: its shape is {checked.shape}.")
    return checked  # type: ignore[no-any-return] # sklearn is untyped


def _kind(X: Any) -> str:
    dtype = getattr(X, "dtype", None)
    return getattr(dtype, "kind", "O") if dtype is not None else "O"


def _refuse_types(X: Any) -> None:
    if isinstance(X, np.ma.MaskedArray):
        raise DataTypeError("X is a masked array; fill it first: X.filled(value).")
    if _kind(X) in "USM" or (isinstance(X, np.ndarray) and _kind(X) == "O" and _has_text(X)):
        raise DataError(
            "X holds strings, which cannot be used as numbers; convert it first: X.astype(float)."
        )
    if isinstance(X, list | tuple) and _has_text(np.asarray(X, dtype=object)):
        raise DataError("X holds strings; convert them to numbers first.")


def _has_text(X: NDArray[Any]) -> bool:
    return any(isinstance(value, str | bytes) for value in X.ravel()[:1000])


def as_float32(X: NDArray[Any]) -> NDArray[np.float32]:
    """Cast to float32, refusing values that do not fit.

    Examples
    --------
    >>> as_float32(np.array([[1e40]]))
    Traceback (most recent call last):
    ...
    pncviz.exceptions.DataError: X contains 1e+40, which float64 holds and float32 does not; ...
    """
    if X.dtype == np.float32:
        return X
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(X, dtype=np.float32)
    if X.dtype.kind == "f" and X.dtype.itemsize > 4 and not np.isfinite(cast).all():
        worst = X[~np.isfinite(cast)].ravel()[0]
        raise DataError(
            f"X contains {worst:g}, which {X.dtype} holds and float32 does not; scale X first."
        )
    return cast


def sample_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Give the image shape that samples of this shape have by themselves.

    Examples
    --------
    >>> sample_shape((64,)), sample_shape((8, 8)), sample_shape((3, 8, 8))
    ((64,), (1, 8, 8), (3, 8, 8))
    """
    return (1, *shape) if len(shape) == 2 else tuple(shape)


def resolve_image_shape(
    shape: Sequence[int], image_shape: Sequence[int] | None
) -> tuple[int, ...]:
    """Say how samples of a shape are labelled and drawn.

    Parameters
    ----------
    shape : tuple of int
        One sample's shape, ``X.shape[1:]``.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        Flat samples without it are a table; a square is never guessed.

    Returns
    -------
    tuple of int
        (channels, rows, columns) or (n_features,).

    Examples
    --------
    >>> resolve_image_shape((64,), (8, 8))
    (1, 8, 8)
    """
    own = sample_shape(shape)
    if image_shape is None:
        if len(own) == 3 and own[-1] in _CHANNELS and own[0] not in _CHANNELS:
            raise DataError(
                f"X looks like channels last: expected (n, channels, rows, columns), got (n, "
                f"{', '.join(map(str, own))}). Use X.transpose(0, 3, 1, 2), or give `image_shape` "
                "if the first axis really is the channels."
            )
        return own
    wanted = _checked_image_shape(image_shape)
    if math.prod(wanted) != math.prod(own) or (len(own) == 3 and wanted != own):
        raise DataError(
            f"`image_shape` {tuple(image_shape)} does not fit samples of shape {tuple(shape)}."
        )
    return wanted


def _checked_image_shape(image_shape: Sequence[int]) -> tuple[int, ...]:
    try:
        wanted = tuple(int(side) for side in image_shape)
    except TypeError as error:
        raise DataTypeError(
            f"`image_shape` must be (rows, columns) or (channels, rows, columns), got "
            f"{image_shape!r}."
        ) from error
    if len(wanted) not in (2, 3) or min(wanted) < 1:
        raise DataError(
            "`image_shape` must be (rows, columns) or (channels, rows, columns) with positive "
            f"sides, got {tuple(image_shape)}."
        )
    return sample_shape(wanted)


def check_labels(y: Any, n_samples: int, *, X: Any = None) -> NDArray[Any]:
    """Check y: one label per sample, all integers or all strings.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    n_samples : int
        Rows of X.
    X : array-like, optional
        If X and y are both pandas objects, their indices must agree.

    Raises
    ------
    LabelError
        With counts, types and what to do.
    """
    if y is None:
        raise LabelError("requires y to be passed, but the target y is None")
    _refuse_permuted_index(X, y)
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        raise LabelError(
            f"y should be a 1d array, got an array of shape {y.shape} instead; if it is one-hot, "
            "use y.argmax(axis=1)."
        )
    y = column_or_1d(y, warn=True)
    if len(y) != n_samples:
        raise LabelError(
            f"Found input variables with inconsistent numbers of samples: [{n_samples}, {len(y)}]:"
            f" X has {n_samples} samples and y has {len(y)} labels."
        )
    return _one_kind(y)


def _one_kind(y: NDArray[Any]) -> NDArray[Any]:
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise LabelError(f"y contains NaN in {int(np.isnan(y).sum())} of {len(y)} places.")
    if y.dtype.kind == "O":
        kinds = sorted({type(value).__name__ for value in y})
        missing = sum(value is None or value != value for value in y)  # noqa: PLR0124 # NaN != NaN
        if missing:
            raise LabelError(f"y contains None or NaN in {missing} of {len(y)} places.")
        if len(kinds) > 1:
            raise LabelError(f"y mixes types: {', '.join(kinds)}. Use one of them.")
        y = np.array(y.tolist())
    if y.dtype.kind == "f" and (np.isinf(y).any() or (y != np.floor(y)).any()):
        raise LabelError(
            f"Unknown label type: {type_of_target(y) if np.isfinite(y).all() else 'continuous'}. "
            "y must hold class labels (integers or strings), not measurements."
        )
    if y.dtype.kind not in "biufUS":
        raise LabelError(f"y must hold integers or strings, got dtype {y.dtype}.")
    if y.dtype.kind in "fb":
        return y.astype(np.int64)
    return y.astype(str) if y.dtype.kind == "S" else y


def _refuse_permuted_index(X: Any, y: Any) -> None:
    left, right = getattr(X, "index", None), getattr(y, "index", None)
    if callable(left) or callable(right) or left is None or right is None:
        return  # lists have a method of that name
    if len(left) == len(right) and not (left == right).all():
        place = int(np.flatnonzero(np.asarray(left != right))[0])
        raise LabelError(
            f"X and y are in different order: at row {place} the index of X is {left[place]!r} "
            f"and that of y {right[place]!r}. Use y.loc[X.index]."
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
    codes : ndarray of shape (n_samples,)

    Raises
    ------
    LabelError
        y has a label that is not among the classes.

    Examples
    --------
    >>> encode_labels(np.array(["owl", "cat", "owl"]))
    (array(['cat', 'owl'], dtype='<U3'), array([1, 0, 1]))
    """
    found, codes = np.unique(y, return_inverse=True)
    if classes is None:
        return found, codes
    known = np.asarray(classes)
    places = {label: place for place, label in enumerate(known.tolist())}
    missing = [label for label in found.tolist() if label not in places]
    if missing:
        raise LabelError(
            f"y has labels that the model or the earlier data do not have: {missing[:10]}. "
            f"Known: {known.tolist()[:10]}."
        )
    positions = np.array([places[label] for label in found.tolist()], dtype=np.int64)
    return known, positions[codes]


def check_same_shape(X: Any, shape: tuple[int, ...]) -> None:
    """Raise DataError unless samples have the shape seen in fit.

    scikit-learn compares ``n_features_in_``, which is the first axis alone.
    """
    if tuple(X.shape[1:]) != shape:
        raise DataError(
            f"X has samples of shape {tuple(X.shape[1:])}, but in fit they had shape {shape}."
        )


def output_names(
    estimator: Any, metric: str, labels: NDArray[Any], input_features: Any
) -> NDArray[Any]:
    """Name the columns of a transform, ``pearson_cat``, …; checks ``input_features``.

    Raises
    ------
    DataError
        ``input_features`` is not what ``fit`` saw.
    """
    if input_features is not None:
        given = np.asarray(input_features, dtype=object)
        seen = getattr(estimator, "feature_names_in_", None)
        if seen is not None and not np.array_equal(given, seen):
            raise DataError("input_features is not equal to feature_names_in_")
        if len(given) != estimator.n_features_in_:
            raise DataError(
                "input_features should have length equal to number of features "
                f"({estimator.n_features_in_}), got {len(given)}"
            )
    return np.array([f"{metric}_{label}" for label in labels.tolist()], dtype=object)


def resolve_seed(random_state: Any) -> int:
    """Turn a random state into one integer, which is recorded and can be given again.

    Parameters
    ----------
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        None draws a fresh seed.

    Examples
    --------
    >>> resolve_seed(7)
    7
    """
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, bool) or not isinstance(
        random_state, numbers.Integral | np.random.RandomState | None
    ):
        raise DataTypeError(
            f"`random_state` must be an integer, a RandomState, a Generator or None, got "
            f"{random_state!r}."
        )
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    if isinstance(random_state, numbers.Integral):
        if random_state < 0:
            raise DataError(f"`random_state` must not be negative, got {random_state}.")
        return int(random_state)
    return int(random_state.randint(2**31 - 1))
