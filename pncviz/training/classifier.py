"""A skorch net from an architecture's name."""

from __future__ import annotations

import inspect
import math
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EpochScoring

from pncviz.data import check_labels
from pncviz.exceptions import LabelError, ModelError, ParameterError
from pncviz.registry import check_params, default_registry
from pncviz.specs import ArchitectureSpec
from pncviz.training.batches import batch_loader

__all__ = ["OPTIMIZERS", "Classifier", "StopAt", "make_classifier"]

#: Name -> (optimiser, its usual learning rate).
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], float]] = {
    "sgd": (torch.optim.SGD, 0.1),
    "adam": (torch.optim.Adam, 1e-3),
}

#: More output units than this are taken for a mistake.
_MOST = 2**20


class Classifier(NeuralNetClassifier):  # type: ignore[misc] # skorch is untyped
    """A skorch classifier that takes ``input_shape`` and ``n_classes`` from the data.

    Whatever of the two is given as ``module__…`` stays as given. ``architecture`` is the name by
    which the classifier's file finds the module again.
    """

    def __init__(self, *args: Any, architecture: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.architecture = architecture

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
        """
        codes = _units(y, X)
        if not (self.warm_start and self.initialized_):
            self._look_at(X, codes)
        return super().fit(X, codes, **fit_params)  # type: ignore[no-any-return] # skorch is untyped

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any) -> Any:
        """Train on; the first time, as :meth:`fit`."""
        codes = _units(y, X)
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


def make_classifier(
    architecture: str,
    *,
    optimizer: str = "sgd",
    lr: float | None = None,
    weight_decay: float = 0.0,
    max_epochs: int = 20,
    batch_size: int = 64,
    train_split: Any = None,
    stop_loss: float | None = None,
    stop_accuracy: float | None = None,
    device: str = "cpu",
    verbose: int = 0,
    **params: Any,
) -> Classifier:
    """Make an unfitted skorch net of a named architecture, with cross-entropy on logits.

    Parameters
    ----------
    architecture : str
        Such as "fc" or "cnn"; ``pncviz plugins list`` shows all.
    optimizer : {"sgd", "adam"}, default="sgd"
    lr : float, optional
        By default 0.1 for SGD, 0.001 for Adam.
    weight_decay : float, default=0.0
        L2 penalty: each parameter times this is added to its gradient, biases included.
    max_epochs : int, default=20
    batch_size : int, default=64
    train_split : skorch split or None, default=None
        None trains on all of the data; ``skorch.dataset.ValidSplit(5)`` keeps a fifth apart.
    stop_loss, stop_accuracy : float, optional
        Stop at the epoch that meets either: nats, and a share between 0 and 1.
    device : str, default="cpu"
    verbose : int, default=0
    **params
        Of the architecture, such as ``hidden=[100]``.

    Returns
    -------
    Classifier
        ``fit(X, y)`` takes integer labels; ``input_shape`` and ``n_classes`` follow from the data.
        Its ``iterator_train`` and ``iterator_valid`` take each batch from an array in one piece;
        ``set_params`` gives others.

    Raises
    ------
    UnknownNameError
        No such architecture.
    ParameterError
        An unknown optimizer, a parameter that the architecture does not have, a weight decay that
        is negative or not finite, or a stop rule that nothing could meet.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.eye(4, dtype=np.float32), np.arange(4)
    >>> net = make_classifier("fc", hidden=[8], max_epochs=200, stop_accuracy=1.0).fit(X, y)
    >>> net.predict(X)
    array([0, 1, 2, 3])
    """
    spec = default_registry().get("architecture", architecture)
    assert isinstance(spec, ArchitectureSpec)  # the registry checked it
    if optimizer not in OPTIMIZERS:
        raise ParameterError(
            f"`optimizer` must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}."
        )
    check_params("architecture", architecture, spec.factory, params)
    _check_decay(weight_decay)
    _check_stop(stop_loss, stop_accuracy)
    kind, usual = OPTIMIZERS[optimizer]
    callbacks: list[tuple[str, Callback]] = []
    if train_split is None:
        score = EpochScoring("accuracy", lower_is_better=False, on_train=True, name="train_acc")
        callbacks.append(("train_acc", score))
    if stop_loss is not None or stop_accuracy is not None:
        callbacks.append(("stop_at", StopAt(stop_loss, stop_accuracy)))
    return Classifier(
        spec.factory,
        architecture=spec.name,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=kind,
        optimizer__weight_decay=float(weight_decay),
        lr=usual if lr is None else lr,
        max_epochs=max_epochs,
        batch_size=batch_size,
        train_split=train_split,
        iterator_train=batch_loader,
        iterator_train__shuffle=True,
        iterator_valid=batch_loader,
        callbacks=callbacks,
        device=device,
        verbose=verbose,
        **{f"module__{name}": value for name, value in params.items()},
    )


def _check_decay(value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < math.inf:
        raise ParameterError(
            f"`weight_decay` must be 0 or a positive finite number, got {value!r}."
        )


def _check_stop(loss: float | None, accuracy: float | None) -> None:
    if loss is not None and not loss > 0:
        raise ParameterError(f"`stop_loss` must be None or a positive number, got {loss!r}.")
    if accuracy is not None and not 0 < accuracy <= 1:
        raise ParameterError(
            f"`stop_accuracy` must be None or a share in (0, 1], got {accuracy!r}."
        )
