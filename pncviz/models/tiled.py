"""The same bits, whatever the batch: a model that is only ever called with one shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pncviz.exceptions import ModelError
from pncviz.models.torchmodel import TorchModel

__all__ = ["TiledModel"]

#: Inputs per call.
SLOTS = 16


class TiledModel:
    """A torch model whose answers do not depend on batch size, order or threads, to the bit.

    Libraries for matrix products choose their way of adding by the shape of the call, by the
    number of threads, and in some kernels by the row's place. So each call here has one thread,
    the same number of rows, and an input only in every ``stride``-th row, zeros between. The
    smallest stride at which places do not matter is found by trial when a session begins; it
    depends on the module and the processor alone.

    Parameters
    ----------
    model : TorchModel

    Attributes
    ----------
    stride : int
        Known inside a session.
    """

    stride = 1

    def __init__(self, model: TorchModel) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        if name == "_model":  # while unpickled or copied, before there is one
            raise AttributeError(name)
        return getattr(self._model, name)

    def logits(self, x: Tensor) -> Tensor:
        """Map inputs to logits, one full tile after another."""
        parts = [self._out(self._model.logits(self._tile(part)), part) for part in _tiles(x)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def probabilities(self, x: Tensor) -> Tensor:
        """Map inputs to probabilities."""
        return self.logits(x).softmax(dim=1)

    def labels(self, x: Tensor) -> Tensor:
        """Map inputs to the likeliest unit."""
        return self.logits(x).argmax(dim=1)

    def activations(self, x: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """Map inputs to layer outputs, one full tile after another."""
        parts = []
        for part in _tiles(x):
            found = self._model.activations(self._tile(part), layers)
            parts.append({layer: self._out(out, part) for layer, out in found.items()})
        return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}

    def _tile(self, part: Tensor) -> Tensor:
        """Spread up to SLOTS rows over a tile of SLOTS * stride."""
        missing = SLOTS - len(part)
        if missing:
            part = torch.cat([part, part.new_zeros(missing, *part.shape[1:])])
        if self.stride == 1:
            return part
        spread = part.new_zeros(SLOTS, self.stride - 1, *part.shape[1:])
        return torch.cat([part[:, None], spread], dim=1).flatten(0, 1)

    def _out(self, out: Tensor, part: Tensor) -> Tensor:
        return out[:: self.stride][: len(part)]

    @contextmanager
    def session(self) -> Iterator[None]:
        """Use one thread and deterministic kernels inside; put both back on the way out."""
        threads = torch.get_num_threads()
        cudnn = torch.backends.cudnn.deterministic
        with self._model.session():
            try:
                torch.set_num_threads(1)
                torch.backends.cudnn.deterministic = True
                self._find_stride()
                yield
            finally:
                torch.set_num_threads(threads)
                torch.backends.cudnn.deterministic = cudnn

    def _find_stride(self) -> None:
        """Take the smallest stride at which a row's place does not change its bits."""
        generator = torch.Generator().manual_seed(0)
        x = torch.rand((SLOTS, *self.input_shape), generator=generator, dtype=torch.float64)
        x = x.to(self.device, self.dtype)
        for self.stride in (1, 2, 4, 8):
            if self._places_agree(x):
                return
        raise ModelError(
            "deterministic=True cannot be kept here: on this device the model's answer to a row "
            "depends on the row's place in the batch. Use deterministic=False."
        )

    def _places_agree(self, x: Tensor) -> bool:
        straight = self._answer(x)
        for shift in (1, SLOTS // 2 - 1):
            moved = self._answer(x.roll(shift, 0))
            if not all(
                torch.equal(there, here.roll(shift, 0))
                for there, here in zip(moved, straight, strict=True)
            ):
                return False
        return True

    def _answer(self, x: Tensor) -> list[Tensor]:
        """Logits and, where there are any, gradients."""
        if "gradients" not in self.capabilities:
            return [self.logits(x)]
        x = x.clone().requires_grad_()
        logits = self.logits(x)
        codes = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        loss = torch.nn.functional.cross_entropy(logits, codes, reduction="sum")
        return [logits.detach(), *torch.autograd.grad(loss, x)]


def _tiles(x: Tensor) -> Sequence[Tensor]:
    return torch.split(x, SLOTS)
