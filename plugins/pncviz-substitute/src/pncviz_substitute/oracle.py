"""The black box: inputs in, answers out, every one of them counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError

from pncviz.data import check_labels
from pncviz.exceptions import AdapterError, LabelError, ModelError, ParameterError
from pncviz.models import adapt, resolve_units
from pncviz.synthesis import in_batches

__all__ = ["Answers", "Oracle"]

#: What is asked for.
KINDS = ("labels", "probabilities")


class Answers:
    """What the target said to some inputs.

    Attributes
    ----------
    codes : int64 ndarray of shape (n,)
        Place of each label among the classes.
    shares : float64 ndarray of shape (n, n_classes) or None
        Probabilities, if they were asked for.
    """

    def __init__(self, codes: NDArray[np.int64], shares: NDArray[np.float64] | None) -> None:
        self.codes, self.shares = codes, shares

    def __add__(self, other: Answers) -> Answers:
        shares = None
        if self.shares is not None and other.shares is not None:
            shares = np.concatenate([self.shares, other.shares])
        return Answers(np.concatenate([self.codes, other.codes]), shares)


class Oracle:
    """Asks a target that is not looked into, and counts.

    Parameters
    ----------
    target : fitted estimator, torch.nn.Module, or callable
        A callable takes an array of n inputs and gives n labels, or (n, n_classes) probabilities.
    kind : {"labels", "probabilities"}
    input_shape : tuple of int
    classes : array-like of shape (n_classes,), optional
        Needed of a callable.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
    n_queries : int
        Inputs shown to the target.

    Raises
    ------
    NotFittedError
        The target is not fitted.
    ModelError
        It is no classifier, or has no probabilities where they are wanted.

    Examples
    --------
    >>> oracle = Oracle(lambda X: X[:, 0] > 0, "labels", (2,), classes=[False, True])
    >>> oracle.ask(np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)).codes, oracle.n_queries
    (array([1, 0]), 2)
    """

    def __init__(
        self, target: Any, kind: str, input_shape: tuple[int, ...], classes: ArrayLike | None = None
    ) -> None:
        self.kind, self.n_queries = kind, 0
        self.input_shape = tuple(input_shape)
        if is_function(target):
            self.classes = _named(classes)
            self._reply = self._of_function(target)
        else:
            self._reply = self._of_model(target, classes)

    def ask(self, X: NDArray[np.float32]) -> Answers:
        r"""Show inputs (n, \*input_shape) to the target."""
        self.n_queries += len(X)
        return self._reply(X)

    def _of_model(self, target: Any, classes: ArrayLike | None) -> Callable[..., Answers]:
        try:
            model = adapt(target, input_shape=self.input_shape)
        except NotFittedError as error:
            raise NotFittedError(
                f"`target` must be fitted, got {type(target).__name__} that is not. A clone of a "
                "fitted target forgets what it learnt: give FrozenEstimator(target) where the "
                f"substitute is to be cloned. ({error})"
            ) from error
        if self.kind not in model.capabilities:
            raise AdapterError(
                f'answers="{self.kind}" asks for {self.kind}, and {type(target).__name__} offers '
                f"{', '.join(sorted(model.capabilities))}."
            )
        self.classes, units = resolve_units(model, classes=classes)
        place = np.full(model.n_units, -1)
        place[units] = np.arange(len(units))

        def reply(X: NDArray[np.float32]) -> Answers:
            codes = np.empty(len(X), dtype=np.int64)
            shares = np.empty((len(X), len(units))) if self.kind == "probabilities" else None

            def work(rows: range) -> None:
                part = slice(rows.start, rows.stop)
                x = model.tensor(X[part].copy())
                if shares is None:
                    codes[part] = place[model.labels(x).cpu().numpy()]
                    return
                found = model.probabilities(x).double().cpu().numpy()[:, units]
                shares[part] = found
                codes[part] = found.argmax(axis=1)

            with model.session(), torch.no_grad():
                in_batches(model, len(X), work)
            if (codes < 0).any():
                raise LabelError("`target` gave an output unit that none of `classes` stands for.")
            return Answers(codes, shares)

        return reply

    def _of_function(self, target: Callable[..., Any]) -> Callable[..., Answers]:
        codes_of = {label: code for code, label in enumerate(self.classes.tolist())}
        width = len(self.classes)

        def reply(X: NDArray[np.float32]) -> Answers:
            answer = np.asarray(target(X.copy()))
            if self.kind == "probabilities":
                if answer.shape != (len(X), width) or not _are_shares(answer):
                    raise ModelError(
                        f"`target` must give probabilities of shape {(len(X), width)}, whose rows "
                        f"sum to 1, got shape {answer.shape}: {answer.ravel()[:3].tolist()}."
                    )
                shares = answer.astype(np.float64)
                return Answers(shares.argmax(axis=1), shares)
            try:
                codes = np.array([codes_of[label] for label in answer.tolist()], dtype=np.int64)
            except (KeyError, TypeError) as error:
                raise LabelError(
                    f"`target` must give one of {self.classes.tolist()[:10]} for each input, got "
                    f"{answer.ravel()[:3].tolist()} of shape {answer.shape}."
                ) from error
            if codes.shape != (len(X),):
                raise LabelError(f"`target` must give {len(X)} labels, got {len(codes)}.")
            return Answers(codes, None)

        return reply


def is_function(target: Any) -> bool:
    """Say whether a target is a plain callable; torch modules are called too, but not plain."""
    return (
        callable(target)
        and not hasattr(target, "get_params")
        and not isinstance(target, torch.nn.Module)
    )


def _named(classes: ArrayLike | None) -> NDArray[Any]:
    if classes is None:
        raise ParameterError(
            "`classes` must be the labels that the target may give, where it is a function, got "
            "None."
        )
    named = check_labels(classes, len(np.atleast_1d(np.asarray(classes, dtype=object))))
    if len(named) < 2 or len(np.unique(named)) != len(named):
        raise LabelError(f"`classes` must be two or more distinct labels, got {named.tolist()!r}.")
    return named


def _are_shares(answer: NDArray[Any]) -> bool:
    if answer.dtype.kind not in "fiub" or not np.isfinite(answer).all():
        return False
    return bool((answer >= 0).all() and np.allclose(answer.sum(axis=1), 1, atol=1e-3))
