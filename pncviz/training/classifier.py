"""The skorch net behind every ready classifier."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback

from pncviz.data import check_labels
from pncviz.exceptions import LabelError, ModelError

__all__ = ["Classifier", "StopAt"]

#: More output units than this are taken for a mistake.
_MOST = 2**20


class Classifier(NeuralNetClassifier):  # type: ignore[misc] # skorch is untyped
    """A skorch classifier that takes ``input_shape`` and ``n_classes`` from the data.

    Whatever of the two is given as ``module__…`` stays as given. ``architecture`` and ``trainer``
    are the names by which the classifier's file finds module and class again.

    Other ways to train are subclasses, handed over with a :class:`~pncviz.TrainerSpec`. Most need
    no more than ``train_step_single(batch, **fit_params)``, which skorch calls for each batch. The
    subclass's own parameters are named in its ``__init__`` and stored under their names;
    :meth:`validate` checks them.

    Examples
    --------
    >>> class Flipped(Classifier):
    ...     def __init__(self, *args, share=0.1, **kwargs):
    ...         super().__init__(*args, **kwargs)
    ...         self.share = share
    ...     def train_step_single(self, batch, **fit_params):
    ...         X, y = batch
    ...         other = torch.rand(len(y)) < self.share
    ...         return super().train_step_single((X, y.where(~other, y.roll(1))), **fit_params)
    >>> Flipped(torch.nn.Linear, share=0.2).share
    0.2
    """

    def __init__(
        self, *args: Any, architecture: str = "", trainer: str = "standard", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.architecture = architecture
        self.trainer = trainer

    def validate(self) -> None:
        """Raise :class:`~pncviz.exceptions.ParameterError` for a bad parameter of the trainer.

        Called before any training; by default there is nothing to check.
        """

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Classifier:
        """Initialise the module for the shape of X and the classes of y, and train it.

        Parameters
        ----------
        X : array-like of shape (n_samples, …)
        y : array-like of shape (n_samples,)
            Integers from 0: the label is the output unit.

        Raises
        ------
        LabelError
            Labels that are strings or negative, or too large to be units.
        ModelError
            The device is not there.
        ParameterError
            The trainer cannot work with its parameters.
        """
        codes = _units(y, X)
        self.validate()
        if not (self.warm_start and self.initialized_):
            self._look_at(X, codes)
        return super().fit(X, codes, **fit_params)  # type: ignore[no-any-return] # skorch is untyped

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any) -> Any:
        """Train on; the first time, as :meth:`fit`."""
        codes = _units(y, X)
        self.validate()
        if not self.initialized_:
            self._look_at(X, codes if classes is None else _units(classes, classes))
        return super().partial_fit(X, codes, classes=classes, **fit_params)

    def _look_at(self, X: Any, codes: NDArray[np.int64]) -> None:
        self.data_params_ = {
            "input_shape": tuple(np.shape(X)[1:]),
            "n_classes": int(codes.max(initial=-1)) + 1,
        }

    def initialize(self) -> Classifier:
        """Make the module, the criterion and the optimizer, on a device that is there."""
        try:
            torch.empty(0, device=self.device or "cpu")
        except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
            raise ModelError(
                f'`device` "{self.device}" is not there; use "cpu": {error!s:.100}'
            ) from error
        return super().initialize()  # type: ignore[no-any-return] # skorch is untyped

    def get_params_for(self, prefix: str) -> dict[str, Any]:
        """Fill in, for the module, what the data say and the user did not."""
        params: dict[str, Any] = super().get_params_for(prefix)
        if prefix == "module" and hasattr(self, "data_params_"):
            known = inspect.signature(self.module).parameters
            data = {name: value for name, value in self.data_params_.items() if name in known}
            params = data | params
        return params


def _units(y: Any, X: Any) -> NDArray[np.int64]:
    """Check labels that are to be output units."""
    labels = check_labels(y, len(X), X=X)
    if (
        labels.dtype.kind not in "iu"
        or not len(labels)
        or not 0 <= labels.min() <= labels.max() < _MOST
    ):
        raise LabelError(
            f"A net's labels are its output units, so y must hold integers from 0 to {_MOST - 1}, "
            f"got {labels[:3].tolist()}. Encode them first: np.unique(y, return_inverse=True); "
            "AdversarialPatternExtractor does so by itself."
        )
    return labels


class StopAt(Callback):  # type: ignore[misc] # skorch is untyped
    """Stop training at the first epoch that meets a loss or an accuracy.

    Both are of the validation part if there is one, else of the training data as seen in the epoch.

    Parameters
    ----------
    loss : float, optional
    accuracy : float, optional
        A share between 0 and 1.
    """

    def __init__(self, loss: float | None = None, accuracy: float | None = None) -> None:
        self.loss = loss
        self.accuracy = accuracy

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002 # skorch's signature
        """Look at the epoch's row of the history."""
        row = net.history[-1]
        part = "valid" if "valid_loss" in row else "train"
        if self.loss is not None and row[f"{part}_loss"] <= self.loss:
            raise KeyboardInterrupt  # how skorch's own EarlyStopping ends the loop
        if self.accuracy is not None and row[f"{part}_acc"] >= self.accuracy:
            raise KeyboardInterrupt
