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


class TiledModel:
    """A torch model whose answers do not depend on batch size, order or threads, to the bit.

    Libraries for matrix products choose their way of adding by the shape of the call and the
    number of threads. So each call here has the same shape (`rows`, padded) and one thread; what
    is left, that a row's place in the tile does not matter, is tried out on entry.

    Parameters
    ----------
    model : TorchModel
    rows : int, default=16
        Rows per call. Results for different values differ by rounding.
    """

    def __init__(self, model: TorchModel, rows: int = 16) -> None:
        self._model = model
        self.rows = rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def logits(self, x: Tensor) -> Tensor:
        """Inputs to logits, `rows` at a time."""
        parts = [self._tile(part) for part in x.split(self.rows)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _tile(self, part: Tensor) -> Tensor:
        missing = self.rows - len(part)
        if missing:
            part = torch.cat([part, part.new_zeros(missing, *part.shape[1:])])
        out = self._model.logits(part)
        return out[: self.rows - missing] if missing else out

    def probabilities(self, x: Tensor) -> Tensor:
        """Inputs to probabilities, `rows` at a time."""
        return self.logits(x).softmax(dim=1)

    def labels(self, x: Tensor) -> Tensor:
        """Inputs to the likeliest unit, `rows` at a time."""
        return self.logits(x).argmax(dim=1)

    def activations(self, x: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """Inputs to layer outputs, `rows` at a time."""
        parts = []
        for part in x.split(self.rows):
            padded = torch.cat([part, part.new_zeros(self.rows - len(part), *part.shape[1:])])
            found = self._model.activations(padded, layers)
            parts.append({layer: out[: len(part)] for layer, out in found.items()})
        return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}

    @contextmanager
    def session(self) -> Iterator[None]:
        """One thread and deterministic kernels inside; both put back on the way out."""
        threads = torch.get_num_threads()
        cudnn = torch.backends.cudnn.deterministic
        with self._model.session():
            try:
                torch.set_num_threads(1)
                torch.backends.cudnn.deterministic = True
                self._check_places()
                yield
            finally:
                torch.set_num_threads(threads)
                torch.backends.cudnn.deterministic = cudnn

    def _check_places(self) -> None:
        """Raise if a row's place in the tile changes its bits."""
        if "gradients" not in self._model.capabilities:
            return
        generator = torch.Generator().manual_seed(0)
        x = torch.rand((self.rows, *self.input_shape), generator=generator, dtype=torch.float64)
        x = x.to(self.device, self.dtype)
        straight = self._gradient(x)
        for shift in (1, self.rows // 2 + 1):
            if not torch.equal(self._gradient(x.roll(shift, 0)), straight.roll(shift, 0)):
                raise ModelError(
                    "deterministic=True cannot be kept here: on this device the model's answer to "
                    "a row depends on the row's place in the batch. Use deterministic=False."
                )

    def _gradient(self, x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        loss = self._model.logits(x).logsumexp(dim=1).sum()
        (gradient,) = torch.autograd.grad(loss, x)
        return gradient
