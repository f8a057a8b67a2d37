"""How many inputs fit: batches small enough for the caches, large enough for the processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode  # its documented place

from pncviz.models.probe import probe_inputs

if TYPE_CHECKING:
    from pncviz.models.torchmodel import TorchModel

__all__ = ["fitting_batch", "pass_bytes"]

#: What one pass over a batch may write on a CPU. More than twice as much took a convolutional net
#: a tenth longer, five times as much a quarter (2 cores, 32 MB of shared cache).
_BUDGET = 2**25
#: The most rows: more gain nothing on a CPU, and would hold all of many examples at once.
_MOST = 512


def fitting_batch(row_bytes: int, device: torch.device, weight_bytes: int = 0) -> int:
    """Give how many rows to take at once, from what one row writes on its way.

    On a GPU, a quarter of the memory that is free. On a CPU, what stays near the processor; but
    each batch reads the weights again, so it may write as much as they have.

    Examples
    --------
    >>> fitting_batch(4_000, torch.device("cpu")), fitting_batch(2**24, torch.device("cpu"))
    (512, 2)
    """
    if device.type == "cuda":
        return int(max(1, min(2**14, torch.cuda.mem_get_info(device)[0] // 4 // max(1, row_bytes))))
    return int(max(1, min(_MOST, max(_BUDGET, weight_bytes) // max(1, row_bytes))))


def pass_bytes(model: TorchModel) -> int:
    """Give the bytes that a forward pass writes for one input more, the input included."""
    x = probe_inputs(model)
    own = x.nbytes // len(x)
    try:
        more, less = (_written(model, part) for part in (torch.cat([x, x]), x))
    except Exception:  # some operations cannot be watched
        return own
    return own + max(0, more - less) // len(x)


def _written(model: TorchModel, x: Tensor) -> int:
    with torch.no_grad(), _Scale() as scale:
        model.logits(x)
    total: int = scale.total
    return total


class _Scale(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Adds up what operations write, not what they only look at."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch leaves it untyped
        self.total: int = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            made = out if isinstance(out, list | tuple) else [out]
            self.total += sum(t.nbytes for t in made if isinstance(t, Tensor))
        return out
