"""Classifiers as files: one safetensors file, with JSON in its header; never pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from pncviz._version import __version__
from pncviz.dataset.atomic import check_folder, interrupts_deferred, replacing, sweep
from pncviz.exceptions import ModelError, ParameterError
from pncviz.training.classifier import OPTIMIZERS, make_classifier

__all__ = ["load_classifier", "read_info", "save_classifier"]

_FORMAT = "pncviz-classifier"
_FORMAT_VERSION = 1


def save_classifier(
    net: Any, path: str | os.PathLike[str], *, labels: Any = None, **info: Any
) -> Path:
    """Keep a fitted classifier: weights as safetensors, everything else as JSON in its header.

    Parameters
    ----------
    net : Classifier
        Fitted, of :func:`make_classifier`.
    path : path-like
        The file; replaced in one step, never half written.
    labels : array-like of shape (n_classes,), optional
        What the output units stand for, if the net was fitted on codes.
    **info
        More to keep, such as ``dataset="mnist"``; anything that JSON takes.

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        The net was not made by :func:`make_classifier`, or is not fitted.
    ResultError
        The folder cannot be written to.
    """
    architecture = getattr(net, "architecture", "")
    if not architecture or not getattr(net, "initialized_", False):
        raise ParameterError(
            "`net` must be a fitted classifier made by make_classifier; other skorch nets keep "
            "themselves with net.save_params(use_safetensors=True)."
        )
    target = Path(os.path.realpath(path))
    check_folder(target)
    sweep(target.parent)
    state = {name: value.cpu().contiguous() for name, value in net.module_.state_dict().items()}
    known = net.classes_ if labels is None else np.asarray(labels)
    header = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "architecture": architecture,
        "params": net.get_params_for("module"),
        "classes": np.asarray(known).tolist(),
        "optimizer": next(
            (name for name, (kind, _) in OPTIMIZERS.items() if kind is net.optimizer), "sgd"
        ),
        "lr": net.lr,
        "batch_size": net.batch_size,
        "epochs": len(net.history),
        "history": _last_row(net.history),
        "versions": {"pncviz": __version__, "torch": torch.__version__, "skorch": version("skorch")},
        "sha256": _digest(state),
        **info,
    }
    blob = to_bytes(state, {"pncviz": json.dumps(header, sort_keys=True)})
    with interrupts_deferred(), replacing(target) as temporary:
        temporary.write_bytes(blob)
    return Path(path)


def _last_row(history: Any) -> dict[str, float]:
    row = history[-1] if len(history) else {}
    return {key: float(row[key]) for key in row if key.split("_")[-1] in ("loss", "acc")}


def _digest(state: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def read_info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a classifier's file says of it, without the weights.

    Raises
    ------
    ModelError
        No such file, not a pncviz classifier, or made by a newer pncviz.
    """
    return _open(path)[0]


def _open(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    if not os.path.isfile(path):
        raise ModelError(f"{path}: no such file.")
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            info = json.loads((file.metadata() or {}).get("pncviz", "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # no mapping
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelError(f"{path}: damaged, or not a pncviz classifier ({error}).") from error
    if not isinstance(info, dict) or info.get("format") != _FORMAT:
        raise ModelError(f"{path}: a safetensors file, but not of a pncviz classifier.")
    if info.get("format_version", 0) > _FORMAT_VERSION:
        raise ModelError(f"{path}: made by a newer pncviz ({info['versions']['pncviz']}).")
    if _digest(state) != info.get("sha256"):
        raise ModelError(f"{path}: damaged; its weights do not fit their sum.")
    return info, state


def load_classifier(path: str | os.PathLike[str], *, device: str = "cpu") -> Any:
    """Read a classifier that :func:`save_classifier` kept, ready to predict and to extract from.

    Parameters
    ----------
    path : path-like
    device : str, default="cpu"

    Returns
    -------
    Classifier
        ``classes_`` are the labels; ``info_`` is what the file says of it.

    Raises
    ------
    ModelError
        See :func:`read_info`; or the weights do not fit the architecture.
    UnknownNameError
        The plugin that brought the architecture is not installed.
    """
    info, state = _open(path)
    try:
        net = make_classifier(
            info["architecture"],
            optimizer=info["optimizer"],
            lr=info["lr"],
            batch_size=info["batch_size"],
            device=device,
            **info["params"],
        )
        net.set_params(classes=info["classes"]).initialize()
        net.module_.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise ModelError(
            f"{path}: its weights do not fit the architecture \"{info.get('architecture')}\": "
            f"{error}"
        ) from error
    net.info_ = info
    return net
