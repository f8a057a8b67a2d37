"""A module in training, as attacks see it: looked at once, however often its weights change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pncviz.models import TorchModel
from pncviz.models.recording import record_chain
from pncviz.synthesis.chain import Chain
from pncviz.synthesis.links import Linear, MaxPool, ReLU, Reshape

__all__ = ["LearningModel"]

#: Layers that keep no numbers of their own.
_PLAIN = (MaxPool, ReLU, Reshape)


class LearningModel(TorchModel):
    r"""A torch module that an attack visits for each batch, between two steps of its training.

    A :class:`~pncviz.models.TorchModel` records the module's layers anew in each session, since
    weights may have changed. Here that would be for each batch, and take longer than the attack.
    Dense layers read their weights where the module keeps them, so a record of these stays true;
    of other modules no record is made, and autograd gives their gradients.

    Parameters
    ----------
    module : torch.nn.Module
    \**settings
        Of :class:`~pncviz.models.TorchModel`.

    Examples
    --------
    >>> module = torch.nn.Linear(4, 3)
    >>> model = LearningModel(module, input_shape=(4,))
    >>> with model.session():
    ...     chain, before = model.chain, model.chain.forward(torch.ones(1, 4)).clone()
    >>> module.weight.data += 1
    >>> with model.session():
    ...     (model.chain.forward(torch.ones(1, 4)) - before).round()
    tensor([[4., 4., 4.]])
    """

    _live: Chain | None = None
    _tied: list[tuple[Tensor, Tensor]] | None = None

    def __init__(self, module: torch.nn.Module, **settings: Any) -> None:
        super().__init__(module, **settings)
        # Looked up once: for small networks each lookup counts.
        self._parts = list(module.modules())
        self._weights = list(module.parameters())
        self._buffers = list(module.buffers())

    @property
    def chain(self) -> Chain | None:
        """The logits as a chain of dense layers, if they are one; within a session."""
        if self._tied is None or any(a.data_ptr() != b.data_ptr() for a, b in self._tied):
            chain = record_chain(self)
            self._tied = [] if chain is None else _ties(chain, self._weights)
            self._live = chain if self._tied else None
        return self._live

    @contextmanager
    def session(self) -> Iterator[None]:
        """Evaluate with frozen weights inside; put everything back on the way out."""
        if not hasattr(self, "_parts") or self._buffers:
            with super().session():
                yield
            return
        training = [part.training for part in self._parts]
        frozen = [weight.requires_grad for weight in self._weights]
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(self.device.type, enabled=False),
        ):
            try:
                for part in self._parts:
                    part.training = False
                for weight in self._weights:
                    weight.requires_grad_(False)
                yield
            finally:
                for part, was in zip(self._parts, training, strict=True):
                    part.training = was
                for weight, needed in zip(self._weights, frozen, strict=True):
                    weight.requires_grad_(needed)


def _ties(chain: Chain, weights: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Pair what a chain reads with the weights that it is; nothing if it has numbers of its own."""
    places = {weight.data_ptr(): weight for weight in weights}
    ties = []
    for link in chain.links:
        if isinstance(link, _PLAIN):
            continue
        if not isinstance(link, Linear):
            return []
        for read in (link.weight, link.bias):
            if read.data_ptr() not in places:
                return []
            ties.append((read, places[read.data_ptr()]))
    return ties
