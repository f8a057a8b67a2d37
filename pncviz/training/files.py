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
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from pncviz._version import __version__
from pncviz.dataset.atomic import check_folder, interrupts_deferred, replacing, sweep
from pncviz.exceptions import ModelError, ParameterError
from pncviz.training.making import OPTIMIZERS, remake_classifier
from pncviz.training.trainers import kept_params

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
        The net was not made by :func:`make_classifier`, or is not fitted; ``labels`` that do not
        name each unit; ``info`` that JSON does not take.
    ResultError
        The folder cannot be written to.
    """
    known = _labels(net, labels)
    target = Path(os.path.realpath(path))
    check_folder(target)
    sweep(target.parent)
    weights = net.module_.state_dict()
    state = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    header: dict[str, Any] = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "architecture": net.architecture,
        "params": net.get_params_for("module"),
        "trainer": net.trainer,
        "trainer_params": kept_params(net),
        "classes": known.tolist(),
        "optimizer": _optimizer(net),
        "max_epochs": net.max_epochs,
        "lr": net.lr,
        "weight_decay": net.get_params_for("optimizer").get("weight_decay", 0.0),
        "batch_size": net.batch_size,
        "epochs": len(net.history),
        "history": _last_row(net.history),
        "versions": {
            "pncviz": __version__,
            "torch": torch.__version__,
            "skorch": version("skorch"),
        },
    }
    if taken := sorted({*header, "sha256"} & set(info)):
        raise ParameterError(
            f"`info` may not have {', '.join(taken)}, which the file itself keeps."
        )
    try:
        # Once to and fro, so that the sum is of what a reader will have.
        header = json.loads(json.dumps({**header, **info}, default=_plain))
    except TypeError as error:
        raise ParameterError(f"`info` and the net's parameters must fit JSON: {error}.") from error
    header["sha256"] = _digest(header, state)
    blob = to_bytes(state, {"pncviz": json.dumps(header, sort_keys=True)})
    with interrupts_deferred(), replacing(target) as temporary:
        temporary.write_bytes(blob)
    return Path(path)


def _optimizer(net: Any) -> str:
    """Name the optimizer; one that the file could not bring back is refused."""
    for name, (kind, _) in OPTIMIZERS.items():
        if kind is net.optimizer:
            return name
    raise ParameterError(
        f"`net` was trained with {getattr(net.optimizer, '__name__', net.optimizer)}, which its "
        f"file could not bring back; use one of {', '.join(OPTIMIZERS)}, or net.save_params."
    )


def _last_row(history: Any) -> dict[str, float]:
    row = history[-1] if len(history) else {}
    return {key: float(row[key]) for key in row if key.split("_")[-1] in ("loss", "acc")}


def _labels(net: Any, labels: Any) -> NDArray[Any]:
    """Give what the output units stand for; raises unless the net can be kept."""
    known = getattr(net, "classes_", None) if labels is None else np.asarray(labels)
    fitted = getattr(net, "architecture", "") and getattr(net, "initialized_", False)
    if not fitted or known is None:
        raise ParameterError(
            "`net` must be a fitted classifier made by make_classifier; other skorch nets keep "
            "themselves with net.save_params(use_safetensors=True)."
        )
    if labels is not None:
        n_units = net.get_params_for("module").get("n_classes", len(known))
        if known.ndim != 1 or len(np.unique(known)) != len(known) or len(known) != n_units:
            raise ParameterError(
                f"`labels` must name each of the {n_units} output units once, got "
                f"{known.tolist()!s:.200}."
            )
    return np.asarray(known)


def _plain(value: Any) -> Any:
    """Turn what numpy made of a number back into one."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(
        f"{value!r:.80} is a {type(value).__name__}; give parts by name, with their parameters"
    )


def _digest(header: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> str:
    """Sum up everything but the sum itself."""
    rest = {key: value for key, value in header.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        # As bytes, since numpy lacks some of torch's types.
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
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
        raise ModelError(f"{path}: no such file. save_classifier makes one.")
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            info = json.loads((file.metadata() or {}).get("pncviz", "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # no mapping
    except (SafetensorError, ValueError, OSError, RecursionError) as error:
        raise ModelError(f"{path}: damaged, or not a pncviz classifier ({error}).") from error
    if not isinstance(info, dict) or info.get("format") != _FORMAT:
        raise ModelError(f"{path}: a safetensors file, but not of a pncviz classifier.")
    if info.get("format_version") != _FORMAT_VERSION:
        raise ModelError(
            f"{path}: written in format {info.get('format_version')!r:.20} by pncviz "
            f"{_version(info)}, perhaps a newer one; this one ({__version__}) reads format "
            f"{_FORMAT_VERSION}."
        )
    if _digest(info, state) != info.get("sha256"):
        raise ModelError(f"{path}: damaged; its content does not fit its sum.")
    return info, state


def _version(info: Mapping[str, Any]) -> str:
    versions = info.get("versions")
    return str(versions.get("pncviz", "?"))[:40] if isinstance(versions, dict) else "?"


def load_classifier(path: str | os.PathLike[str], *, device: str = "cpu") -> Any:
    """Read a classifier that :func:`save_classifier` kept, ready to predict and to extract from.

    Parameters
    ----------
    path : path-like
    device : str, default="cpu"

    Returns
    -------
    Classifier
        ``classes_`` are the labels; ``info_`` is what the file says of it. If the plugin that
        trained it is not here, a plain one that predicts the same.

    Raises
    ------
    ModelError
        See :func:`read_info`; or the weights do not fit the architecture, or the device is not
        there.
    UnknownNameError
        The plugin that brought the architecture is not installed.

    Warns
    -----
    PluginWarning
        The trainer is not here, so that training on would be plain.
    """
    info, state = _open(path)
    try:
        net = remake_classifier(path, info, device)
        net.set_params(classes=np.array(info["classes"]))
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
            net.initialize()
        net.module_.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError, ParameterError) as error:
        raise ModelError(
            f'{path}: its weights do not fit the architecture "{info.get("architecture")}": {error}'
        ) from error
    net.info_ = info
    return net
