"""A torch module as a model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from pncviz.exceptions import ModelError, ParameterError, PncvizWarning
from pncviz.specs import NEEDS

__all__ = ["OUTPUTS", "TorchModel", "default_batch_size"]

OUTPUTS = ("auto", "logits", "probabilities", "log_probabilities")

#: Bytes of input per batch when no batch size is given; activations take a multiple of it.
_BATCH_BYTES = 2**23
_SUM_TOLERANCE = 1e-4


def default_batch_size(input_shape: Sequence[int]) -> int:
    """Give a batch that fits a small machine: at most 256 rows, fewer for large inputs.

    Examples
    --------
    >>> default_batch_size((784,)), default_batch_size((3, 224, 224))
    (256, 13)
    """
    row = 4 * int(np.prod(input_shape))
    return int(max(1, min(256, _BATCH_BYTES // row)))


class TorchModel:
    """A torch module, reached without leaving a trace in it.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (n, \\*input_shape) to (n, n_units); one unit means two classes, with logits (0, z).
    input_shape : tuple of int
        One input, without the batch axis.
    classes : array-like of shape (n_classes,), optional
        Labels of the output units, if the estimator knows them.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What the module gives. "auto" is logits, unless its rows sum to 1 (or their exponentials
        do).
    batch_size : int, optional
        The most rows at once.

    Raises
    ------
    ModelError
        Weights that are NaN or made in inference mode; output that is no tensor, not (n, units),
        not what ``output`` says, or whose rows depend on each other.

    Examples
    --------
    >>> import torch
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> with model.session():
    ...     model.logits(model.tensor([[0.0, 0.0, 0.0, 1.0]])).shape
    torch.Size([1, 3])
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        input_shape: Sequence[int],
        classes: ArrayLike | None = None,
        output: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        if output not in OUTPUTS:
            raise ParameterError(f"`output` must be one of {', '.join(OUTPUTS)}, got {output!r}.")
        self.module = module
        self.input_shape = tuple(input_shape)
        self.classes: NDArray[Any] | None = None if classes is None else np.asarray(classes)
        self.batch_size = batch_size or default_batch_size(self.input_shape)
        reference = next((p for p in module.parameters() if p.is_floating_point()), None)
        self.device = torch.device("cpu") if reference is None else reference.device
        self.dtype = torch.float32 if reference is None else reference.dtype
        self.capabilities = NEEDS
        #: Why a capability is missing, by its name.
        self.problems: dict[str, str] = {}
        _check_weights(module)
        with self.session():
            self._probe(output)

    # -------------------------------------------------------------------- the model

    def tensor(self, array: ArrayLike) -> Tensor:
        """Put an array where the model's inputs lie, in its precision and shape."""
        tensor = torch.as_tensor(np.asarray(array), dtype=self.dtype, device=self.device)
        return tensor.reshape(-1, *self.input_shape)

    def logits(self, x: Tensor) -> Tensor:
        """Inputs to logits (n, n_units)."""
        out: Tensor = self.module(x)
        if self.output == "probabilities":
            out = out.clamp_min(torch.finfo(out.dtype).tiny)
            if self._single:
                p = out.reshape(len(x), 1)
                return torch.cat([torch.log1p(-p.clamp_max(1 - 2**-24)), p.log()], dim=1)
            return out.log()
        if self._single:
            z = out.reshape(len(x), 1)
            return torch.cat([torch.zeros_like(z), z], dim=1)
        return out

    def probabilities(self, x: Tensor) -> Tensor:
        """Inputs to probabilities (n, n_units)."""
        return self.logits(x).softmax(dim=1)

    def labels(self, x: Tensor) -> Tensor:
        """Inputs to the likeliest unit (n,)."""
        return self.logits(x).argmax(dim=1)

    def activations(self, x: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """Inputs to the outputs of the named layers, by ``module.named_modules()``."""
        named = dict(self.module.named_modules())
        found: dict[str, Tensor] = {}
        with ExitStack() as hooks:
            for layer in layers:
                if layer not in named:
                    names = ", ".join(name for name in named if name)
                    raise ModelError(f'No layer "{layer}" in the module; layers: {names}.')
                keep = _keeper(found, layer)
                hooks.callback(named[layer].register_forward_hook(keep).remove)
            self.module(x)
        return {layer: found[layer] for layer in layers}

    @contextmanager
    def session(self) -> Iterator[None]:
        """Evaluation mode and frozen parameters inside; everything put back on the way out."""
        training = [(part, part.training) for part in self.module.modules()]
        frozen = [(p, p.requires_grad) for p in self.module.parameters()]
        buffers = [(buffer, buffer.clone()) for buffer in self.module.buffers()]
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            try:
                self.module.eval()
                for parameter, _ in frozen:
                    parameter.requires_grad_(False)
                yield
            finally:
                for part, was in training:
                    part.training = was
                for parameter, needed in frozen:
                    parameter.requires_grad_(needed)
                with torch.no_grad():
                    for buffer, before in buffers:
                        if not torch.equal(buffer, before):
                            buffer.copy_(before)

    def fingerprint(self) -> list[float]:
        """Sum each parameter, to notice an attack that changes weights."""
        return [float(p.detach().sum(dtype=torch.float64)) for p in self.module.parameters()]

    def astype(self, dtype: torch.dtype) -> TorchModel:
        """Copy the model in another precision; the module itself stays as it is."""
        import copy

        module = copy.deepcopy(self.module).to(dtype)
        return TorchModel(
            module,
            input_shape=self.input_shape,
            classes=self.classes,
            output=self.output,
            batch_size=self.batch_size,
        )

    # ------------------------------------------------------------------ what it gives

    def _probe(self, output: str) -> None:
        """Run two inputs once, and learn from what comes out."""
        rng = np.random.default_rng(0)
        x = self.tensor(rng.random((2, *self.input_shape)))
        with torch.no_grad():
            out = self._checked_output(x)
            twin = self._checked_output(x[[0, 0]])
        if not torch.allclose(out[0], twin[0], rtol=1e-2, atol=1e-3):
            raise ModelError(
                "The module's answer to one input depends on the others in the batch (batch "
                "statistics in evaluation mode?), so it has no pattern of its own. Use BatchNorm "
                "with track_running_stats=True."
            )
        self._single = out.ndim == 1 or out.shape[1] == 1
        self.n_units = 2 if self._single else out.shape[1]
        self.output = self._output_kind(output, out.detach())
        problem = self._gradient_problem(x)
        if problem:
            self.capabilities = NEEDS - {"gradients"}
            self.problems["gradients"] = problem

    def _checked_output(self, x: Tensor) -> Tensor:
        try:
            out = self.module(x)
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
        if out.ndim not in (1, 2) or len(out) != len(x) or not out.is_floating_point():
            raise ModelError(
                f"The module must return floats of shape ({len(x)}, n_units), got "
                f"{out.dtype} of shape {tuple(out.shape)}."
            )
        if not torch.isfinite(out).all():
            raise ModelError("The module gives NaN or infinity for inputs between 0 and 1.")
        return out

    def _output_kind(self, output: str, out: Tensor) -> str:
        last = list(self.module.modules())[-1]
        if self._single:
            looks = bool(((out >= 0) & (out <= 1)).all()) and isinstance(last, nn.Sigmoid)
            return "probabilities" if output == "probabilities" or looks else "logits"
        sums_to_1 = bool((out >= 0).all()) and _sums_to_1(out)
        logs_to_1 = bool((out <= 0).all()) and _sums_to_1(out.exp())
        if output == "probabilities" and not sums_to_1:
            kind = "log-probabilities" if logs_to_1 else "logits"
            raise ModelError(
                f"The module should give probabilities (NLLLoss in skorch takes their logarithm "
                f"itself), but its rows look like {kind}. Use CrossEntropyLoss for logits, or end "
                "the module with softmax."
            )
        if output == "log_probabilities" and not logs_to_1:
            raise ModelError(
                "The module should give log-probabilities, but their exponentials do not sum to 1."
            )
        if output == "logits" and sums_to_1:
            warnings.warn(
                "The module gives probabilities where logits are expected, so softmax is applied "
                "twice, in training as here. Drop the softmax, or use NLLLoss.",
                PncvizWarning,
                stacklevel=2,
            )
        if output == "auto" and (sums_to_1 or logs_to_1):
            kind = "probabilities" if sums_to_1 else "log_probabilities"
            if not isinstance(last, nn.Softmax | nn.LogSoftmax):
                warnings.warn(
                    f'The module\'s rows sum to 1, so they are taken for {kind}; say output="logits"'
                    " if they are not.",
                    PncvizWarning,
                    stacklevel=2,
                )
            return kind
        return "logits" if output == "auto" else output

    def _gradient_problem(self, x: Tensor) -> str | None:
        """Say why no gradient reaches the input, or None."""
        x = x.clone().requires_grad_()
        try:
            out = self.logits(x)
        except Exception as error:
            return f"the forward pass fails once gradients are asked for: {error}"
        if not out.requires_grad:
            return (
                "no gradient reaches the input: the forward pass is not differentiable (detach, "
                "argmax, numpy or no_grad inside?)"
            )
        (gradient,) = torch.autograd.grad(out.sum(), x, allow_unused=True)
        return "no gradient reaches the input: its values are not used" if gradient is None else None


def _keeper(found: dict[str, Tensor], layer: str) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ARG001 # torch calls it so
        found[layer] = output

    return keep


def _sums_to_1(rows: Tensor) -> bool:
    return bool(((rows.sum(dim=1) - 1).abs() < _SUM_TOLERANCE).all())


def _check_weights(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter.is_inference():
            raise ModelError(
                f'Parameter "{name}" was made in inference mode, so no gradient can pass it; make '
                "the module outside torch.inference_mode()."
            )
        if parameter.is_floating_point() and not torch.isfinite(parameter).all():
            raise ModelError(
                f'Parameter "{name}" contains NaN or infinity; the model was not trained well.'
            )
