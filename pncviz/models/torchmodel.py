"""A torch module as a model."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from pncviz.exceptions import ModelError, ParameterError, PncvizWarning
from pncviz.models.memory import fitting_batch, pass_bytes
from pncviz.models.probe import (
    OUTPUTS,
    gradient_problem,
    layer_problem,
    output_kind,
    probe_inputs,
    probed,
)
from pncviz.models.recording import record_chain
from pncviz.models.weights import check_weights, weight_sums
from pncviz.specs import NEEDS
from pncviz.synthesis.chain import Chain

__all__ = ["TorchModel"]


class TorchModel:
    r"""A torch module, reached without leaving a trace in it.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (n, \*input_shape) to (n, n_units); one unit means two classes, with logits (0, z).
    input_shape : tuple of int
        One input, without the batch axis.
    classes : array-like of shape (n_classes,), optional
        Labels of the output units, if the estimator knows them.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What the module gives. "auto" is logits, unless its rows sum to 1 (or their exponentials
        do).
    batch_size : int, optional
        The most rows at once; by default as many as :func:`~pncviz.models.memory.fitting_batch`
        says.

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

    #: Whether :meth:`labels` are the likeliest units; a subclass whose are not says False.
    labels_by_logits = True

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
        reference = next((p for p in module.parameters() if p.is_floating_point()), None)
        self.device = torch.device("cpu") if reference is None else reference.device
        self.dtype = torch.float32 if reference is None else reference.dtype
        self.capabilities = NEEDS
        #: Why a capability is missing, by its name.
        self.problems: dict[str, str] = {}
        check_weights(module)
        self._chain: Chain | Literal["unknown"] | None = "unknown"
        with self.session():
            self._probe(output)
            weight_bytes = sum(p.nbytes for p in module.parameters())
            fitting = fitting_batch(pass_bytes(self), self.device, weight_bytes)
            self.batch_size = batch_size or fitting

    def _probe(self, output: str) -> None:
        """Run a few inputs once, and learn from what comes out."""
        x = probe_inputs(self)
        with torch.no_grad():
            out = probed(self.module, x)
            self._single = out.ndim == 1 or out.shape[1] == 1
            self.n_units = 2 if self._single else out.shape[1]
            self.output = output_kind(output, self.module, x, out)
        if problem := gradient_problem(self, x):
            self.capabilities = NEEDS - {"gradients"}
            self.problems["gradients"] = problem

    # -------------------------------------------------------------------- the model

    def tensor(self, array: ArrayLike) -> Tensor:
        """Copy an array to where the model's inputs lie, in its precision and shape."""
        values = np.asarray(array)
        # torch takes no reversed or foreign-endian arrays, and warns of read-only ones.
        narrow = values.dtype.kind == "f" and values.dtype.itemsize <= 4
        own = np.array(values, dtype=np.float32 if narrow else np.float64, order="C")
        try:
            own = own.reshape(-1, *self.input_shape)
        except ValueError as error:
            raise ModelError(
                f"The model takes inputs of shape (n, {', '.join(map(str, self.input_shape))}), "
                f"got {values.shape}."
            ) from error
        return torch.from_numpy(own).to(self.device, self.dtype)

    def logits(self, x: Tensor) -> Tensor:
        """Map inputs to logits (n, n_units)."""
        out: Tensor = self.module(x)
        if self._single:
            return self._two_units(out.reshape(len(x), 1))
        if self.output == "probabilities":
            return out.clamp_min(torch.finfo(out.dtype).tiny).log()
        return out

    def _two_units(self, out: Tensor) -> Tensor:
        """Make logits of the absent and the present class of one unit."""
        if self.output == "logits":
            return torch.cat([torch.zeros_like(out), out], dim=1)
        p = out.exp() if self.output == "log_probabilities" else out
        below_1 = 1 - torch.finfo(p.dtype).eps
        log_p = p.clamp_min(torch.finfo(p.dtype).tiny).log()
        return torch.cat([torch.log1p(-p.clamp_max(below_1)), log_p], dim=1)

    def probabilities(self, x: Tensor) -> Tensor:
        """Map inputs to probabilities (n, n_units)."""
        return self.logits(x).softmax(dim=1)

    def labels(self, x: Tensor) -> Tensor:
        """Map inputs to the likeliest unit (n,)."""
        return self.logits(x).argmax(dim=1)

    @property
    def chain(self) -> Chain | None:
        """The logits as a chain of layers, if they are one; to be asked for within a session."""
        if self._chain == "unknown":
            self._chain = record_chain(self)
        return self._chain

    def activations(self, x: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """Map inputs to the outputs of the named layers, by ``module.named_modules()``.

        Of a layer that runs several times, the last output.

        Raises
        ------
        ModelError
            No such layer, or one that does not run or gives no tensor.
        """
        if problem := layer_problem(self.module, layers):
            raise ModelError(problem)
        named = dict(self.module.named_modules())
        found: dict[str, Any] = {}
        with ExitStack() as hooks:
            for layer in layers:
                hooks.callback(named[layer].register_forward_hook(_keeper(found, layer)).remove)
            self.module(x)
        for layer in layers:
            if not isinstance(found.get(layer), Tensor):
                gave = (
                    f"gives a {type(found[layer]).__name__}" if layer in found else "does not run"
                )
                raise ModelError(
                    f'Layer "{layer}" {gave}, so it has no activation; choose another.'
                )
        return {layer: found[layer] for layer in layers}

    @contextmanager
    def session(self) -> Iterator[None]:
        """Evaluate with frozen parameters inside; put everything back on the way out."""
        parts = list(self.module.modules())
        training = [(part, part.training) for part in parts]
        frozen = [(p, p.requires_grad) for p in self.module.parameters()]
        buffers = [
            (part, name, buffer, buffer.clone())
            for part in parts
            for name, buffer in part.named_buffers(recurse=False)
        ]
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(self.device.type, enabled=False),
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
                _put_back(buffers)
                self._chain = "unknown"  # weights may be others the next time

    def fingerprint(self) -> list[float]:
        """Sum up each parameter, and the training flags, to notice a change."""
        flags = [float(part.training) for part in self.module.modules()]
        return [*(n for p in self.module.parameters() for n in weight_sums(p)), *flags]

    def astype(self, dtype: torch.dtype) -> TorchModel:
        """Copy the model in another precision; the module itself stays as it is."""
        with torch.inference_mode(False), warnings.catch_warnings():
            warnings.simplefilter("ignore", PncvizWarning)  # said once, of the original
            return TorchModel(
                copy.deepcopy(self.module).to(dtype),
                input_shape=self.input_shape,
                classes=self.classes,
                output=self.output,
                batch_size=self.batch_size,
            )


def _put_back(buffers: Sequence[tuple[nn.Module, str, Tensor, Tensor]]) -> None:
    """Restore each buffer's values, and the tensor itself where the module holds another."""
    with torch.no_grad():
        for part, name, buffer, before in buffers:
            if getattr(part, name) is not buffer:
                setattr(part, name, buffer)
            if not torch.equal(buffer, before):
                buffer.copy_(before)


def _keeper(found: dict[str, Any], layer: str) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001 # torch calls it so
        # A copy, since the next layer may work in place.
        found[layer] = output.clone() if isinstance(output, Tensor) else output

    return keep
