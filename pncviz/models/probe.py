"""What a module gives: found out by running a few inputs through it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pncviz.exceptions import ModelError, PncvizWarning

if TYPE_CHECKING:
    from pncviz.models.torchmodel import TorchModel

__all__ = [
    "OUTPUTS",
    "gradient_problem",
    "layer_problem",
    "output_kind",
    "probe_inputs",
    "probed",
]

OUTPUTS = ("auto", "logits", "probabilities", "log_probabilities")

_SUM_TOLERANCE = 1e-4
#: Inputs this large drive logits out of 0..1, and leave probabilities in it.
_FAR = 1e3


def probe_inputs(model: TorchModel) -> Tensor:
    """Give two different inputs between 0 and 1, always the same."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((2, *model.input_shape), generator=generator, dtype=torch.float64)
    return x.to(model.device, model.dtype)


def probed(module: nn.Module, x: Tensor) -> Tensor:
    """Give the output for two inputs, having checked that each row has its own answer.

    Raises
    ------
    ModelError
        No tensor, not (n, units), not finite, or rows that depend on each other.
    """
    out, twin = _checked(module, x), _checked(module, x[[0, 0]])
    size = float(torch.maximum(out[0].abs().max(), twin[0].abs().max()))
    tolerance = max(1e-3, 8 * torch.finfo(out.dtype).eps) * size
    if not torch.allclose(out[0], twin[0], rtol=0, atol=tolerance):
        raise ModelError(
            "The module's answer to one input depends on the others in the batch, or on chance "
            "(batch statistics or dropout in evaluation mode?), so it has no pattern of its own. "
            "Use BatchNorm with track_running_stats=True, and dropout that heeds module.eval()."
        )
    return out


def _checked(module: nn.Module, x: Tensor) -> Tensor:
    try:
        out = module(x)
    except Exception as error:
        raise ModelError(
            f"The module cannot take inputs of shape {tuple(x.shape)} (n, *input_shape): "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(out, Tensor):
        raise ModelError(
            f"The module must return one tensor of shape (n, n_units), got a "
            f"{type(out).__name__}; wrap it in a module that returns the class scores alone."
        )
    if (
        out.ndim not in (1, 2)
        or len(out) != len(x)
        or not out.is_floating_point()
        or not out.numel()
    ):
        raise ModelError(
            f"The module must return floats of shape ({len(x)}, n_units), got "
            f"{out.dtype} of shape {tuple(out.shape)}."
        )
    if not torch.isfinite(out).all():
        raise ModelError("The module gives NaN or infinity for inputs between 0 and 1.")
    return out


def output_kind(asked: str, module: nn.Module, x: Tensor, out: Tensor) -> str:
    """Say what the module gives: "logits", "probabilities" or "log_probabilities".

    Parameters
    ----------
    asked : one of :data:`OUTPUTS`
        What the criterion or the user says.
    module : torch.nn.Module
    x, out : tensors
        Inputs, and what the module made of them.

    Raises
    ------
    ModelError
        Probabilities were promised, and the output is something else.
    """
    single = out.ndim == 1 or out.shape[1] == 1
    shares, logs = _single_ranges(module, x, out) if single else (_sums(out), _sums(out.exp()))
    shares, logs = shares and bool((out >= 0).all()), logs and bool((out <= 0).all())
    if asked == "probabilities" and not shares:
        looks = "log-probabilities" if logs else "logits"
        instead, end = (
            ("BCEWithLogitsLoss", "sigmoid") if single else ("CrossEntropyLoss", "softmax")
        )
        raise ModelError(
            f"The module should give probabilities (BCELoss takes them, and so does NLLLoss in "
            f"skorch, which takes their logarithm itself), but its rows look like {looks}. Use "
            f"{instead} for logits, or end the module with {end}."
        )
    if asked == "log_probabilities" and not logs:
        raise ModelError(
            "The module should give log-probabilities, but their exponentials "
            f"{'exceed' if single else 'do not sum to'} 1."
        )
    if asked == "logits" and shares:
        end = "sigmoid" if single else "softmax"
        _warn(
            f"The module gives probabilities where logits are expected, so {end} is applied "
            f"twice, in training as here. Drop the {end}, or use "
            f"{'BCELoss' if single else 'NLLLoss'}."
        )
    return asked if asked != "auto" else _guessed(module, shares, logs, single=single)


def _guessed(module: nn.Module, shares: bool, logs: bool, *, single: bool) -> str:
    # Alone, a logit may well be negative everywhere, so only a module can tell a logarithm.
    last = list(module.modules())[-1]
    if single and not isinstance(last, nn.LogSigmoid):
        logs = False
    if not (shares or logs):
        return "logits"
    kind = "probabilities" if shares else "log_probabilities"
    if not isinstance(last, nn.Softmax | nn.LogSoftmax | nn.Sigmoid | nn.LogSigmoid):
        _warn(
            f"The module's rows {'lie in 0..1' if single else 'sum to 1'}, so they are taken for "
            f'{kind}; say output="logits" if they are not.'
        )
    return kind


def _single_ranges(module: nn.Module, x: Tensor, out: Tensor) -> tuple[bool, bool]:
    """Say whether one unit stays in 0..1, and below 0, for inputs of any size and sign."""
    answers = [out]
    for factor in (_FAR, -_FAR):
        try:
            far = module(factor * x)
        except Exception:  # probably out of the module's domain, which decides nothing
            continue
        answers.append(far[torch.isfinite(far)])
    every = torch.cat([answer.reshape(-1) for answer in answers])
    return bool(((every >= 0) & (every <= 1)).all()), bool((every <= 0).all())


def _sums(rows: Tensor) -> bool:
    """Whether each row sums to 1, as near as its precision lets it."""
    tolerance = max(_SUM_TOLERANCE, math.sqrt(rows.shape[1]) * torch.finfo(rows.dtype).eps)
    return bool(((rows.sum(dim=1, dtype=torch.float64) - 1).abs() < tolerance).all())


def _warn(message: str) -> None:
    warnings.warn(message, PncvizWarning, stacklevel=4)


def gradient_problem(model: TorchModel, x: Tensor) -> str | None:
    """Say why no gradient reaches the input, or None."""
    x = x.clone().requires_grad_()
    hints = "(detach, argmax, numpy or no_grad inside?)"
    try:
        out = model.logits(x)
    except Exception as error:
        return (
            f"no gradient reaches the input: the forward pass is not differentiable {hints}; it "
            f"fails with {type(error).__name__}: {error}"
        )
    if not out.requires_grad:
        return f"no gradient reaches the input: the forward pass is not differentiable {hints}"
    (gradient,) = torch.autograd.grad(out.sum(), x, allow_unused=True)
    return "no gradient reaches the input: its values are not used" if gradient is None else None


def layer_problem(module: nn.Module, layers: Sequence[str]) -> str | None:
    """Say which layer the module does not have, or None."""
    named = [name for name, _ in module.named_modules()]
    missing = [layer for layer in layers if layer not in named]
    if not missing:
        return None
    names = ", ".join(name for name in named if name) or 'only "", the module itself'
    return f'No layer "{missing[0]}" in the module; layers: {names}.'
