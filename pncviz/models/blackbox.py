"""Any scikit-learn classifier as a model that answers, but gives no gradients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.exceptions import ModelError

__all__ = ["ProbabilityModel"]

#: What a batch of inputs may take, and the most rows of it.
_BATCH_BYTES, _MOST_ROWS = 2**26, 8192


class ProbabilityModel:
    """A fitted classifier, reached through ``predict_proba`` or, failing that, ``predict``.

    Parameters
    ----------
    estimator : fitted scikit-learn classifier
        Or whatever has ``classes_`` and ``predict_proba`` or ``predict``, such as a few lines that
        ask a service.
    input_shape : tuple of int
        One sample as the classifier takes it, mostly (n_features,).
    batch_size : int, optional

    Raises
    ------
    ModelError
        No ``classes_``; an answer that is not finite, not of shape (n, n_classes), or an
        exception.
    """

    device = torch.device("cpu")
    dtype = torch.float64

    def __init__(
        self, estimator: Any, *, input_shape: Sequence[int], batch_size: int | None = None
    ) -> None:
        classes = getattr(estimator, "classes_", None)
        if classes is None or np.ndim(classes[0]) > 0:  # several outputs have a list of arrays
            raise ModelError(
                f"{type(estimator).__name__} is no single-output classifier: its `classes_` must "
                f"be one array of labels, got {classes!r:.100}. Give one of its outputs by itself."
            )
        self.estimator = estimator
        self.classes: NDArray[Any] | None = np.asarray(classes)
        self.n_units = len(self.classes)
        self.input_shape = tuple(input_shape)
        # Classifiers answer many rows at once far faster than few.
        fitting = max(1, min(_MOST_ROWS, _BATCH_BYTES // (8 * math.prod(self.input_shape))))
        self.batch_size = batch_size or fitting
        has_probabilities = hasattr(estimator, "predict_proba")
        self.capabilities = frozenset(
            {"probabilities", "labels"} if has_probabilities else {"labels"}
        )
        reason = f"{type(estimator).__name__} gives no gradients; no adapter knows its inside"
        self.problems = {"gradients": reason, "layers": reason}
        if not has_probabilities:
            self.problems["probabilities"] = f"{type(estimator).__name__} has no predict_proba"

    def tensor(self, array: Any) -> Tensor:
        """Put an array into the model's shape."""
        return torch.as_tensor(np.asarray(array), dtype=self.dtype).reshape(-1, *self.input_shape)

    def logits(self, x: Tensor) -> Tensor:
        """Give logarithms of probabilities; not differentiable."""
        return self.probabilities(x).clamp_min(torch.finfo(self.dtype).tiny).log()

    def probabilities(self, x: Tensor) -> Tensor:
        """Map inputs to probabilities (n, n_units); 0 and 1 where there is only ``predict``."""
        if "probabilities" not in self.capabilities:
            return torch.nn.functional.one_hot(self.labels(x), self.n_units).to(self.dtype)
        answer = np.array(self._ask("predict_proba", x), dtype=np.float64, order="C")
        if answer.shape != (len(x), self.n_units) or not np.isfinite(answer).all():
            raise ModelError(
                f"{type(self.estimator).__name__}.predict_proba must give finite numbers of shape "
                f"{(len(x), self.n_units)}, got shape {answer.shape}"
                f"{'' if np.isfinite(answer).all() else ' with NaN or infinity'}."
            )
        if answer.min(initial=0) < 0 or answer.max(initial=0) > 1 + 1e-6:
            raise ModelError(
                f"{type(self.estimator).__name__}.predict_proba must give numbers between 0 and 1, "
                f"got {answer.min():.3g} to {answer.max():.3g}."
            )
        return torch.from_numpy(answer)

    def labels(self, x: Tensor) -> Tensor:
        """Map inputs to the position of the predicted class (n,)."""
        if not hasattr(self.estimator, "predict"):
            return self.probabilities(x).argmax(dim=1)
        answer = np.asarray(self._ask("predict", x))
        answer = answer[:, 0] if answer.ndim == 2 and answer.shape[1] == 1 else answer
        assert self.classes is not None  # set in __init__; the protocol allows None
        places = {label: place for place, label in enumerate(self.classes.tolist())}
        try:
            codes = [places[label] for label in answer.tolist()]
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"{type(self.estimator).__name__}.predict must give one of "
                f"{self.classes.tolist()[:10]} per row, got {answer.ravel()[:3].tolist()} of shape "
                f"{answer.shape}."
            ) from error
        if len(codes) != len(x):
            raise ModelError(
                f"{type(self.estimator).__name__}.predict must give {len(x)} labels, got "
                f"{len(codes)}."
            )
        return torch.tensor(codes, dtype=torch.int64)

    def activations(
        self,
        x: Tensor,  # noqa: ARG002 # part of the protocol
        layers: Sequence[str],
    ) -> Mapping[str, Tensor]:
        """Raise: there are no layers."""
        raise ModelError(self.problems["layers"] + f" (layers {', '.join(layers)}).")

    def _ask(self, method: str, x: Tensor) -> Any:
        rows: Any = x.detach().cpu().numpy()
        if getattr(self.estimator, "n_features_in_", None) == math.prod(self.input_shape):
            rows = rows.reshape(len(rows), -1)  # images, to one that was fitted on flat rows
        rows = _named(rows, self.estimator)
        try:
            with warnings.catch_warnings():
                # Names are of no use to arrays that an attack makes.
                warnings.filterwarnings("ignore", "X does not have valid feature names")
                return getattr(self.estimator, method)(rows)
        except Exception as error:
            raise ModelError(
                f"{type(self.estimator).__name__}.{method} failed on inputs of shape "
                f"{tuple(x.shape)}, values from {x.min():.3g} to {x.max():.3g}: "
                f"{type(error).__name__}: {error}"
            ) from error

    @contextmanager
    def session(self) -> Iterator[None]:
        """Nothing to put back."""
        yield

    def fingerprint(self) -> list[float]:
        """Nothing that an attack could change."""
        return []


def _named(rows: NDArray[Any], estimator: Any) -> Any:
    """Give columns the names that the estimator was fitted on, which its steps may choose by."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or rows.ndim != 2:
        return rows
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows, columns=names)
