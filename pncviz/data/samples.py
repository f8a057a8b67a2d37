"""X: samples as scikit-learn checks them, and as models take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_array, validate_data

from pncviz.exceptions import DataError, DataTypeError

__all__ = [
    "as_float32",
    "check_same_shape",
    "check_samples",
    "refuse_overflow",
]

#: Kind of dtype -> what it is, and what to do about it. Complex has scikit-learn's own words.
_REFUSED = {
    "c": "Complex data not supported: X is {dtype}; use X.real, or abs(X).",
    "U": "X holds strings, which cannot be used as numbers; convert it first: X.astype(float).",
    "M": "X holds dates ({dtype}), which cannot be used as numbers; convert them first.",
    "m": "X holds time spans ({dtype}); convert them first: X / numpy.timedelta64(1, 's').",
    "V": "X has named fields ({dtype}); stack them first: "
    "numpy.lib.recfunctions.structured_to_unstructured(X).",
}
_REFUSED["S"] = _REFUSED["T"] = _REFUSED["U"]


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
        Strings, dates, complex numbers, masked arrays, or too many dimensions.
    ValueError, TypeError
        scikit-learn's own, for empty, non-finite, one-dimensional or sparse X.

    Examples
    --------
    >>> check_samples([["1", "2"]])
    Traceback (most recent call last):
    ...
    pncviz.exceptions.DataError: X holds strings, which cannot be used as numbers; ...
    """
    _refuse_types(X)
    options: dict[str, Any] = {
        "dtype": "numeric" if _kind(X) == "O" else None,
        "allow_nd": True,
        "ensure_all_finite": finite,
    }
    try:
        with np.errstate(invalid="ignore"):  # infinities of both signs cancel to NaN in its sum
            if estimator is None:
                checked = check_array(X, input_name="X", **options)
            else:
                checked = validate_data(estimator, X, reset=reset, **options)
    except OverflowError as error:  # Python integers have no bound
        raise DataError(f"X contains a number too large for floats ({error}).") from error
    if checked.ndim > 4:
        raise DataError(
            "X must be (n, features), (n, rows, columns) or (n, channels, rows, columns), got "
            f"shape {checked.shape}."
        )
    if 0 in checked.shape[1:]:
        raise DataError(f"X has 0 features: its shape is {checked.shape}.")
    return checked  # type: ignore[no-any-return] # sklearn is untyped


def _kind(X: Any) -> str:
    return getattr(getattr(X, "dtype", None), "kind", "O")


def _refuse_types(X: Any) -> None:
    """Refuse what would be turned into numbers that no one meant."""
    rows = X if isinstance(X, list | tuple) else ()
    if any(isinstance(part, np.ma.MaskedArray) for part in (X, *rows)):
        raise DataTypeError("X is a masked array; fill it first: X.filled(value).")
    for part in _parts(X):
        if part.dtype.kind in _REFUSED:
            raise DataError(_REFUSED[part.dtype.kind].format(dtype=part.dtype))
        if part.dtype.kind == "O":
            _refuse_objects(part)


def _parts(X: Any) -> list[Any]:
    """Give X as arrays, one for each dtype in it."""
    if hasattr(X, "dtypes") and hasattr(X, "columns"):  # pandas and its like
        return [_column(X.iloc[:, i]) for i in range(X.shape[1])] if hasattr(X, "iloc") else []
    if isinstance(X, list | tuple):
        try:
            return [np.asarray(X)]
        except ValueError:
            return []  # ragged: scikit-learn says so
    return [X] if isinstance(X, np.ndarray) else []


def _column(column: Any) -> Any:
    """Give a column whose dtype tells numbers from the rest; categories hide what they are."""
    if getattr(column.dtype, "kind", "O") in "biuf":
        return column
    if hasattr(column, "cat"):
        column = column.cat.categories
    return np.asarray(column)


def _refuse_objects(X: NDArray[Any]) -> None:
    for value in X.ravel():
        if isinstance(value, str | bytes):
            raise DataError(_REFUSED["U"])
        if isinstance(value, complex | np.complexfloating):
            raise DataError(_REFUSED["c"].format(dtype="complex"))


def as_float32(X: NDArray[Any]) -> NDArray[np.float32]:
    """Cast to contiguous float32, refusing values that do not fit, NaN and infinity.

    Raises
    ------
    DataError
        A finite value overflows float32.
    ValueError
        scikit-learn's own, for NaN and infinity.

    Examples
    --------
    >>> as_float32(np.array([[1e40]]))
    Traceback (most recent call last):
    ...
    pncviz.exceptions.DataError: X contains 1e+40, which float64 holds and float32 does not; ...
    """
    with np.errstate(over="ignore", invalid="ignore"):
        cast = np.ascontiguousarray(X, dtype=np.float32)
        total = cast.sum(dtype=np.float64)  # which float32 values cannot overflow
    if X.dtype.kind != "f" or np.isfinite(total):
        return cast
    with np.errstate(invalid="ignore"):  # infinities of both signs cancel to NaN
        assert_all_finite(X, input_name="X")
    worst = X[~np.isfinite(cast)].ravel()[0]
    raise DataError(
        f"X contains {worst:g}, which {X.dtype} holds and float32 does not; scale X first."
    )


def refuse_overflow(X: NDArray[Any]) -> None:
    """Raise DataError for finite values past float32, without a copy of X.

    NaN and infinity are somebody else's to find.

    Examples
    --------
    >>> refuse_overflow(np.array([[1e40]]))
    Traceback (most recent call last):
    ...
    pncviz.exceptions.DataError: X contains 1e+40, which float64 holds and float32 does not; ...
    """
    largest = float(np.finfo(np.float32).max)
    for worst in (X.max(initial=0), X.min(initial=0)):
        if np.isfinite(worst) and abs(float(worst)) > largest:
            raise DataError(
                f"X contains {worst:g}, which {X.dtype} holds and float32 does not; scale X first."
            )


def check_same_shape(X: Any, shape: tuple[int, ...]) -> None:
    """Raise DataError unless samples have the shape seen in fit.

    scikit-learn compares ``n_features_in_``, which is the first axis alone.
    """
    if tuple(X.shape[1:]) != shape:
        raise DataError(
            f"X has samples of shape {tuple(X.shape[1:])}, but in fit they had shape {shape}."
        )
