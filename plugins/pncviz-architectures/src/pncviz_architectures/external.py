"""Architectures of timm and torchvision, imported only when one is made."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pncviz.exceptions import ModelError
from pncviz_architectures.checks import check_image_shape

__all__ = ["External", "timm_model", "torchvision_model"]


class External(nn.Module):
    """A module of another library that takes flat input too; logits.

    Layers, by name: those of the library behind ``network.``, such as ``network.layer1``.

    Parameters
    ----------
    network : torch.nn.Module
        Takes (n, channels, rows, columns).
    image_shape : tuple of int
        (channels, rows, columns).
    channels : int, optional
        How many the network takes; a grey image is repeated for each.
    mean, std : sequence of float, optional
        Of each channel of inputs in 0..1, taken off and divided by before the network.

    Examples
    --------
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    >>> External(network, image_shape=(1, 2, 2), channels=3)(torch.zeros(5, 4)).shape
    torch.Size([5, 4])
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        *,
        image_shape: tuple[int, int, int],
        channels: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.network = network
        self.channels = image_shape[0] if channels is None else channels
        for name, values in (("mean", mean), ("std", std)):
            constant = None if values is None else torch.tensor(values).reshape(-1, 1, 1)
            self.register_buffer(name, constant, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Flat or image input (n, …) to logits (n, n_classes)."""
        images = x.reshape(-1, *self.image_shape).to(next(self.network.parameters()).dtype)
        if images.shape[1] != self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        if self.mean is not None and self.std is not None:
            images = (images - self.mean) / self.std
        out = self.network(images)
        # In training, Inception and GoogLeNet give the logits of side branches too.
        logits: Tensor = out if isinstance(out, Tensor) else out[0]
        return logits


def timm_model(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    model: str = "resnet18",
    pretrained: bool = False,
    **params: Any,
) -> External:
    """Make a model of timm.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns) or (rows, columns), of any number of channels.
    n_classes : int
    model : str, default="resnet18"
        As ``timm.list_models()`` has it.
    pretrained : bool, default=False
        Whether timm may download weights; inputs in 0..1 are then normalised as they expect, if
        they have as many channels.
    **params
        Of ``timm.create_model``, such as ``img_size=32``.

    Raises
    ------
    ModelError
        A flat input shape; timm is not installed, or has no such model or parameters.
    """
    timm = _library("timm")
    shape = check_image_shape("A model of timm", input_shape, 1)
    wanted = {"pretrained": pretrained, "num_classes": n_classes, "in_chans": shape[0]}
    network = _made("timm", model, timm.create_model, **wanted, **params)
    config = getattr(network, "pretrained_cfg", None) or {}
    usual = {name: config.get(name) for name in ("mean", "std")} if pretrained else {}
    fits = all(values is None or len(values) == shape[0] for values in usual.values())
    return External(network, image_shape=shape, **(usual if fits else {}))


def torchvision_model(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    model: str = "resnet18",
    pretrained: bool = False,
    **params: Any,
) -> External:
    """Make a classifier of torchvision.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns) or (rows, columns); grey images are repeated for three channels.
    n_classes : int
    model : str, default="resnet18"
        As ``torchvision.models.list_models()`` has it.
    pretrained : bool, default=False
        Whether torchvision may download weights; inputs in 0..1 are then normalised as they expect,
        and unless there are as many classes the last linear layer begins anew.
    **params
        Of the model.

    Raises
    ------
    ModelError
        A flat input shape, or other than one or three channels; torchvision is not installed, or
        has no such model or parameters.
    """
    models = _library("torchvision", "torchvision.models")
    shape = check_image_shape("A model of torchvision", input_shape, 1)
    if shape[0] not in (1, 3):
        raise ModelError(f"A model of torchvision takes 1 or 3 channels, got {shape[0]}.")
    if not pretrained:
        params = {"num_classes": n_classes} | params
        network = _made("torchvision", model, models.get_model, weights=None, **params)
        return External(network, image_shape=shape, channels=3)
    weights = _made("torchvision", model, lambda name: models.get_model_weights(name).DEFAULT)
    network = _made("torchvision", model, models.get_model, weights=weights, **params)
    _give_outputs(network, model, n_classes)
    usual = weights.transforms()
    return External(network, image_shape=shape, channels=3, mean=usual.mean, std=usual.std)


def _library(name: str, module: str | None = None) -> Any:
    """Import a library, or say how to get it."""
    try:
        library = importlib.import_module(name)
        return library if module is None else importlib.import_module(module)
    except Exception as error:  # a torchvision made for another torch raises RuntimeError
        absent = isinstance(error, ModuleNotFoundError) and error.name == name
        state = "is not installed" if absent else f"cannot be imported ({error})"
        raise ModelError(
            f'The architecture "{name}" needs the package {name}, which {state}: pip install '
            f'"pncviz-architectures[{name}]".'
        ) from error


def _made(library: str, model: str, factory: Any, **params: Any) -> Any:
    try:
        return factory(model, **params)
    except Exception as error:  # each library has its own ways to refuse
        raise ModelError(
            f'{library} cannot make "{model}" with {params}: {type(error).__name__}: {error}'
        ) from error


def _give_outputs(network: nn.Module, model: str, n_classes: int) -> None:
    """Put a new linear layer for these classes in place of the last one."""
    linear = [(n, part) for n, part in network.named_modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise ModelError(f'"{model}" has no linear layer to give other outputs; use another model.')
    name, last = linear[-1]
    if last.out_features != n_classes:
        home, _, own = name.rpartition(".")
        setattr(network.get_submodule(home), own, nn.Linear(last.in_features, n_classes))
