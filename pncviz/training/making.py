"""A skorch net from an architecture's name, and a trainer's."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch
from skorch.callbacks import Callback, EpochScoring

from pncviz.exceptions import ParameterError, PluginWarning, PncvizError
from pncviz.registry import check_params, default_registry
from pncviz.specs import ArchitectureSpec
from pncviz.training.batches import batch_loader
from pncviz.training.classifier import Classifier, StopAt
from pncviz.training.trainers import STANDARD, call_trainer, find_trainer

__all__ = ["OPTIMIZERS", "make_classifier", "remake_classifier"]

#: Name -> (optimiser, its usual learning rate).
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], float]] = {
    "sgd": (torch.optim.SGD, 0.1),
    "adam": (torch.optim.Adam, 1e-3),
}


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
    trainer: str = "standard",
    trainer_params: Mapping[str, Any] | None = None,
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
    trainer : str, default="standard"
        How it learns: "standard", or a plugin's such as "adversarial" of pncviz-robust.
    trainer_params : mapping, optional
        Of the trainer, such as ``{"mixture": 0.5}``.
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
        No such architecture, or no such trainer.
    ParameterError
        An unknown optimizer, a parameter that the architecture or the trainer does not have, a
        weight decay that is negative or not finite, or a stop rule that nothing could meet.
    PluginError
        The trainer's factory raised, or gave no Classifier that keeps its parameters.

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
    learner = find_trainer(trainer, trainer_params or {})
    kind, usual = OPTIMIZERS[optimizer]
    return call_trainer(
        learner,
        spec.factory,
        architecture=spec.name,
        trainer=learner.spec.name,
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
        callbacks=_callbacks(train_split, stop_loss, stop_accuracy),
        device=device,
        verbose=verbose,
        **{f"module__{name}": value for name, value in params.items()},
        **(trainer_params or {}),
    )


def remake_classifier(
    path: str | os.PathLike[str], info: Mapping[str, Any], device: str
) -> Classifier:
    """Make the unfitted net that a file is of, or a plain one where its trainer is not here."""
    settings: dict[str, Any] = {
        "optimizer": info["optimizer"],
        "lr": info["lr"],
        "weight_decay": info.get("weight_decay", 0.0),  # older files do not say
        "batch_size": info["batch_size"],
        "max_epochs": info["max_epochs"],
        "device": device,
        **info["params"],
    }
    plain = make_classifier(info["architecture"], **settings)
    trainer, params = info.get("trainer", STANDARD), info.get("trainer_params", {})
    if trainer == STANDARD:
        return plain
    try:
        return make_classifier(
            info["architecture"], trainer=trainer, trainer_params=params, **settings
        )
    except PncvizError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        warnings.warn(
            f'{path}: its trainer "{trainer}" is not to be had, so it predicts as ever, but would '
            f"train on without it. {reason}.",
            PluginWarning,
            stacklevel=3,  # of load_classifier
        )
        plain.trainer = trainer  # kept, for a file made of this one
        return plain


def _callbacks(
    train_split: Any, stop_loss: float | None, stop_accuracy: float | None
) -> list[tuple[str, Callback]]:
    callbacks: list[tuple[str, Callback]] = []
    if train_split is None:
        score = EpochScoring("accuracy", lower_is_better=False, on_train=True, name="train_acc")
        callbacks.append(("train_acc", score))
    if stop_loss is not None or stop_accuracy is not None:
        callbacks.append(("stop_at", StopAt(stop_loss, stop_accuracy)))
    return callbacks


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
