"""From a module to a chain of layers, by watching one forward pass."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode  # its documented place

from pncviz.models.layers import LAYERS, VIEWS, Call, Unlike
from pncviz.synthesis.chain import Chain
from pncviz.synthesis.links import Link, Reshape

if TYPE_CHECKING:
    from pncviz.models.torchmodel import TorchModel

__all__ = ["record_chain"]

logger = logging.getLogger("pncviz")

#: Rows while watching; another number when the chain is tried out.
_ROWS, _OTHER_ROWS = 2, 3
#: How far from 0 the large inputs are.
_FAR = 20


def record_chain(model: TorchModel) -> Chain | None:
    """Give a model's logits as a chain of layers, or None if they are none.

    The operations of one forward pass are watched; each must take the output of the one before.
    Then logits and gradients of other inputs, usual and large ones, are compared with autograd's.
    What neither can show is a path that a module takes for rare inputs only, chosen by numbers
    that it has taken out of torch.

    Parameters
    ----------
    model : TorchModel
        Within its session.

    Returns
    -------
    Chain or None
    """
    try:
        with torch.inference_mode(False):
            x = _inputs(model, _ROWS)
            with torch.no_grad(), _Recorder(x) as recorder:
                out = model.logits(x)
            chain = Chain(recorder.finished(out), model.input_shape)
            x = _inputs(model, _OTHER_ROWS)
            _compare(chain, x, *_differentiated(model, x))
            _compare_far(chain, model, _FAR * (x - 0.5))
    except Exception as reason:  # whatever it is: autograd shows it again, if it matters
        logger.debug("Gradients by autograd: %s: %s", type(reason).__name__, reason)
        return None
    logger.debug("Gradients of %d layers written out.", len(chain.links))
    return chain


def _inputs(model: TorchModel, n: int) -> Tensor:
    """Give inputs between 0 and 1, always the same."""
    generator = torch.Generator().manual_seed(n)
    x = torch.rand((n, *model.input_shape), generator=generator, dtype=torch.float64)
    return x.to(model.device, model.dtype)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Watches what becomes of the input, and keeps a link for each operation."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch leaves it untyped
        self._tip = x
        self._met = {id(x): x}  # kept alive, so that no other tensor gets the same id
        self._links: list[Link] = []
        self._problem = ""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,  # torch calls it so
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        met = [t for t in _tensors((args, kwargs or {})) if id(t) in self._met]
        if met and not self._problem:
            try:
                self._follow(func, args, dict(kwargs or {}), out, met)
            except Unlike as reason:
                self._problem = str(reason)
        return out

    def _follow(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, met: list[Tensor]
    ) -> None:
        outputs = list(_tensors(out))
        self._met |= {id(t): t for t in outputs}
        if len(met) != 1 or met[0] is not self._tip or not outputs:
            raise Unlike(f"{func} takes more than the output of the layer before")
        before, name = self._tip, func.overloadpacket.__name__
        if name in VIEWS:
            if len(outputs[0]) != len(before):
                raise Unlike(f"{func} mixes rows")
            self._links.append(Reshape(before.shape[1:], outputs[0].shape[1:]))
        elif name.removesuffix("_") in LAYERS:
            call = Call(before, args, kwargs, self._links)
            self._links.append(LAYERS[name.removesuffix("_")](call))
        else:
            raise Unlike(f"{func} is none of the layers with a written-out derivative")
        self._tip = outputs[0]

    def finished(self, out: Tensor) -> list[Link]:
        """Give the links, if they lead from the input to this output."""
        if self._problem or out is not self._tip:
            raise Unlike(self._problem or "the output does not come from the last layer")
        return self._links


def _tensors(tree: Any) -> Any:
    """Give the tensors in nested lists, tuples and dicts."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from _tensors(part)
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from _tensors(part)


def _differentiated(model: TorchModel, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give logits, some weights for them, and the gradient of their sum by autograd."""
    with torch.enable_grad():
        leaf = x.clone().requires_grad_()
        logits = model.logits(leaf)
        weights = torch.linspace(-1, 1, logits.numel(), device=x.device, dtype=x.dtype)
        weights = weights.reshape(logits.shape)
        (gradient,) = torch.autograd.grad(logits, leaf, weights)
    return logits.detach(), weights, gradient


def _compare(chain: Chain, x: Tensor, logits: Tensor, weights: Tensor, gradient: Tensor) -> None:
    """Raise Unlike unless the chain gives these logits and gradients."""
    with torch.no_grad():
        pairs = ((chain.forward(x), logits), (chain.backward(weights.clone()), gradient))
    for found, wanted in pairs:
        tolerance = max(1e-3, 8 * torch.finfo(x.dtype).eps) * float(wanted.abs().max())
        if found.shape != wanted.shape or not torch.allclose(found, wanted, rtol=0, atol=tolerance):
            raise Unlike("what the layers give is not what the module gives")


def _compare_far(chain: Chain, model: TorchModel, x: Tensor) -> None:
    """Compare at large inputs, if the module takes them."""
    try:
        found = _differentiated(model, x)
    except Exception:  # probably out of the module's domain, which decides nothing
        return
    if all(bool(torch.isfinite(part).all()) for part in found):
        _compare(chain, x, *found)
