"""A skorch net from an architecture's name."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EpochScoring

from pncviz.exceptions import ParameterError
from pncviz.registry import check_params, default_registry
from pncviz.specs import ArchitectureSpec

__all__ = ["OPTIMIZERS", "Classifier", "StopAt", "make_classifier"]

#: Name -> (optimiser, its usual learning rate).
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], float]] = {
    "sgd": (torch.optim.SGD, 0.1),
    "adam": (torch.optim.Adam, 1e-3),
}


class Classifier(NeuralNetClassifier):  # type: ignore[misc] # skorch is untyped
    """A skorch classifier that takes ``input_shape`` and ``n_classes`` from the data.

    Whatever of the two is given as ``module__…`` stays as given. ``architecture`` is the name by
    which the classifier's file finds the module again.
    """

    def __init__(self, *args: Any, architecture: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.architecture = architecture

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Classifier:
        """Initialise the module for the shape of X and the classes of y, and train it."""
        shape, labels = np.shape(X)[1:], np.unique(np.asarray(y))
        n_classes = len(labels)
        if labels.dtype.kind in "iu" and n_classes:  # the label is the unit
            n_classes = max(n_classes, int(labels.max()) + 1)
        self.data_params_ = {"input_shape": tuple(shape), "n_classes": n_classes}
        return super().fit(X, y, **fit_params)  # type: ignore[no-any-return] # skorch is untyped

    def get_params_for(self, prefix: str) -> dict[str, Any]:
        """Fill in, for the module, what the data say and the user did not."""
        params: dict[str, Any] = super().get_params_for(prefix)
        if prefix == "module" and hasattr(self, "data_params_"):
            known = inspect.signature(self.module).parameters
            data = {name: value for name, value in self.data_params_.items() if name in known}
            params = data | params
        return params


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

    Raises
    ------
    UnknownNameError
        No such architecture.
    ParameterError
        An unknown optimizer, or a parameter that the architecture does not have.

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
        lr=usual if lr is None else lr,
        max_epochs=max_epochs,
        batch_size=batch_size,
        train_split=train_split,
        iterator_train__shuffle=True,
        callbacks=callbacks,
        device=device,
        verbose=verbose,
        **{f"module__{name}": value for name, value in params.items()},
    )
