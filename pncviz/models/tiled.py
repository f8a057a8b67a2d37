"""The same bits, whatever the batch: a model that is only ever called with one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pncviz.exceptions import ModelError
from pncviz.models.torchmodel import TorchModel
from pncviz.synthesis.chain import Chain

__all__ = ["TiledModel", "Tiles"]

#: Inputs per call.
SLOTS = 16
_STRIDES = (1, 2, 4, 8)


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

    @property
    def chain(self) -> Chain | None:
        """The logits as a chain of layers, if they are one."""
        return self._model.chain

    def logits(self, x: Tensor) -> Tensor:
        """Map inputs to logits, one full tile after another."""
        logits: Tensor = Tiles(self._model.logits, self.stride)(x)
        return logits

    def probabilities(self, x: Tensor) -> Tensor:
        """Map inputs to probabilities."""
        return self.logits(x).softmax(dim=1)

    def labels(self, x: Tensor) -> Tensor:
        """Map inputs to the unit that each is taken for."""
        if self.labels_by_logits:
            return self.logits(x).argmax(dim=1)
        units: Tensor = Tiles(self._model.labels, self.stride)(x)
        return units

    def activations(self, x: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """Map inputs to layer outputs, one full tile after another."""

        def answer(tile: Tensor) -> tuple[Tensor, ...]:
            return tuple(self._model.activations(tile, layers).values())

        return dict(zip(layers, Tiles(answer, self.stride)(x), strict=True))

    def tiled(self, function: Callable[..., Any], *likes: Tensor) -> Tiles:
        """Keep the rows of a function apart to the bit.

        Parameters
        ----------
        function : callable
            From tensors of n rows each to a tensor, or a tuple of them, of n rows each.
        likes : tensors
            As it takes them, of any number of rows.

        Raises
        ------
        ModelError
            The place of a row in a tile matters whatever the stride.
        """
        generator = torch.Generator().manual_seed(0)
        rows = [
            torch.rand((SLOTS, *like.shape[1:]), generator=generator, dtype=torch.float64)
            for like in likes
        ]
        rows = [row.to(like) for row, like in zip(rows, likes, strict=True)]
        for stride in _STRIDES:
            tiles = Tiles(function, stride)
            if _places_agree(tiles, rows):
                return tiles
        raise ModelError(
            "deterministic=True cannot be kept here: on this device the model's answer to a row "
            "depends on the row's place in the batch. Use deterministic=False."
        )

    @contextmanager
    def session(self) -> Iterator[None]:
        """Use one thread and deterministic kernels inside; put both back on the way out."""
        threads = torch.get_num_threads()
        cudnn = torch.backends.cudnn.deterministic
        with self._model.session():
            try:
                torch.set_num_threads(1)
                torch.backends.cudnn.deterministic = True
                like = torch.empty(1, *self.input_shape, device=self.device, dtype=self.dtype)
                self.stride = self.tiled(self._answer, like).stride
                yield
            finally:
                torch.set_num_threads(threads)
                torch.backends.cudnn.deterministic = cudnn

    def _answer(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits and, where there are any, gradients."""
        if "gradients" not in self.capabilities:
            return (self._model.logits(x),)
        x = x.clone().requires_grad_()
        logits = self._model.logits(x)
        codes = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        loss = torch.nn.functional.cross_entropy(logits, codes, reduction="sum")
        return (logits.detach(), *torch.autograd.grad(loss, x))


class Tiles:
    """A function that is only ever called with one number of rows.

    Parameters
    ----------
    function : callable
        From tensors of n rows each to a tensor, or a tuple of them, of n rows each.
    stride : int
        An input in every so many rows, zeros between.
    """

    def __init__(self, function: Callable[..., Any], stride: int) -> None:
        self.function, self.stride = function, stride
        self._tiles: dict[tuple[int, int], Tensor] = {}

    def __call__(self, *rows: Tensor) -> Any:
        """Give what the function gives, one full tile after another."""
        parts = []
        for tile in zip(*(torch.split(part, SLOTS) for part in rows), strict=True):
            out = self.function(*(self._spread(*numbered) for numbered in enumerate(tile)))
            single, n = isinstance(out, Tensor), len(tile[0])
            # Copies: what the function gives may be overwritten by its next call.
            parts.append([part[:: self.stride][:n].clone() for part in ((out,) if single else out)])
        joined = parts[0] if len(parts) == 1 else [torch.cat(p) for p in zip(*parts, strict=True)]
        return joined[0] if single else tuple(joined)

    def _spread(self, place: int, part: Tensor) -> Tensor:
        """Spread up to SLOTS rows, the ``place``-th argument, over a tile of SLOTS * stride."""
        tile = self._tiles.get((place, len(part)))
        if tile is None or torch.is_grad_enabled():  # autograd keeps what it was given
            tile = part.new_zeros(SLOTS, self.stride, *part.shape[1:])
            self._tiles[place, len(part)] = tile
        tile[: len(part), 0] = part
        return tile.flatten(0, 1)


def _places_agree(tiles: Tiles, rows: Sequence[Tensor]) -> bool:
    """Whether answers move with their rows and are otherwise the same."""

    def answer(shift: int) -> tuple[Tensor, ...]:
        # A copy of each: what a function gives may be a buffer that it uses again.
        out = tiles(*(row.roll(shift, 0) for row in rows))
        out = out if isinstance(out, tuple) else (out,)
        return tuple(part.roll(-shift, 0) for part in out)

    straight = answer(0)
    return all(
        torch.equal(there, here)
        for shift in (1, SLOTS // 2 - 1)
        for there, here in zip(answer(shift), straight, strict=True)
    )
