"""A module's weights: that they can be used, and that they stay as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pncviz.exceptions import ModelError

__all__ = ["check_weights", "weight_sums"]


def check_weights(module: nn.Module) -> None:
    """Refuse weights that no gradient could pass, naming them.

    Raises
    ------
    ModelError
    """
    weights: list[tuple[str, str, Tensor]] = [
        *(("Parameter", *item) for item in module.named_parameters()),
        *(("Buffer", *item) for item in module.named_buffers()),
    ]
    for what, name, value in weights:
        if nn.parameter.is_lazy(value) or value.is_meta:
            raise ModelError(
                f'{what} "{name}" has no values yet; run the module once, or load its weights.'
            )
        if value.is_inference():
            raise ModelError(
                f'{what} "{name}" was made in inference mode, so no gradient can pass it; make '
                "the module outside torch.inference_mode()."
            )
        if torch.isfinite(value.sum()):  # a sum hides no NaN and no infinity
            continue
        # Buffers may hold infinity by design, as attention masks do.
        bad = torch.isnan(value) if what == "Buffer" else ~torch.isfinite(value)
        if bad.any():
            raise ModelError(
                f'{what} "{name}" contains NaN or infinity; the model was not trained well.'
            )


def weight_sums(parameter: Tensor) -> tuple[float, float]:
    """Give the sum of a tensor's bytes, eight by eight, and that of its values.

    The first notices the last bit of any weight, which no sum of values would, and takes a
    fortieth of what a sum in float64 takes. The second notices what cancels in the first, such
    as a change of all signs.
    """
    values = parameter.detach()
    raw = values.reshape(-1).view(torch.uint8)
    whole = raw.numel() // 8 * 8
    if raw.storage_offset() % 8:
        raw = raw.clone()
    bits = int(raw[:whole].view(torch.int64).sum()) + int(raw[whole:].sum())
    return bits, float(values.sum())
