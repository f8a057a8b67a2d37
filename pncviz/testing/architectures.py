"""What an architecture must keep to."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pncviz.exceptions import ModelError
from pncviz.specs import ArchitectureSpec, Spec
from pncviz.testing.probes import N_CLASSES, close, samples
from pncviz.testing.subject import Subject, find, global_seed

__all__ = ["check_architecture"]

#: Tried in turn: some architectures take no small images, and some none but colour.
_SHAPES: tuple[tuple[int, ...], ...] = ((1, 8, 8), (1, 28, 28), (3, 32, 32))


def check_architecture(
    architecture: str | ArchitectureSpec | Callable[..., nn.Module],
    *,
    input_shape: tuple[int, ...] | None = None,
    **params: Any,
) -> None:
    """Hold an architecture to its contract.

    The factory must make, for ``input_shape`` and for the same input flat (or refuse one of the two
    with a ``ModelError``), a module that takes flat and shaped input alike and gives finite logits,
    no probabilities; lets gradients reach the input; keeps rows apart in evaluation mode; copies;
    and brings its weights back from a state dict. A registered name is also trained for one epoch
    through :func:`~pncviz.make_classifier`, and must come back from its file.

    Parameters
    ----------
    architecture : name, ArchitectureSpec, or factory
    input_shape : tuple of int, optional
        One input. By default the first of (1, 8, 8), (1, 28, 28) and (3, 32, 32) that the
        architecture takes, as it is or flat.
    **params
        Of the architecture.

    Raises
    ------
    AssertionError
        A rule is broken; names the architecture, its distribution, the rule and what came.

    Examples
    --------
    >>> from pncviz.testing import check_architecture
    >>> check_architecture("fc", hidden=[8])
    """
    subject, found = find("architecture", architecture)
    factory = found.factory if isinstance(found, Spec) else found  # type: ignore[attr-defined] # find checked the kind
    subject.require(callable(factory), "be a factory", factory)
    shapes = _SHAPES if input_shape is None else (tuple(input_shape),)
    taken = _taken(subject, factory, shapes, params)
    if isinstance(architecture, str):
        for shape in taken:
            _check_training(subject, architecture, shape, params)


def _taken(
    subject: Subject,
    factory: Callable[..., nn.Module],
    shapes: Sequence[tuple[int, ...]],
    params: Any,
) -> list[tuple[int, ...]]:
    """Give the first of the shapes that is taken, as it is and flat or one of the two; checked."""
    refusals: dict[tuple[int, ...], str] = {}
    for shape in shapes:
        ways = dict.fromkeys([shape, (math.prod(shape),)])
        refused = {way: _check_shape(subject, factory, way, params) for way in ways}
        if taken := [way for way, reason in refused.items() if reason is None]:
            return taken
        refusals |= {way: str(reason) for way, reason in refused.items()}
    # Each reason once: that a package is missing is no matter of shapes.
    reasons = "; ".join(dict.fromkeys(reason.rstrip(".") for reason in refusals.values()))
    subject.require(False, f"take one of the shapes {[*refusals]}", f"ModelError: {reasons}")
    return []


def _made(
    subject: Subject,
    factory: Callable[..., nn.Module],
    shape: tuple[int, ...],
    params: Any,
    seed: int,
) -> nn.Module:
    call = f"factory(input_shape={shape}, n_classes={N_CLASSES})"
    with global_seed(seed), subject.trying(call, ModelError):
        module = factory(input_shape=shape, n_classes=N_CLASSES, **params)
    subject.require(isinstance(module, nn.Module), "give a torch.nn.Module", type(module).__name__)
    return module.eval()


def _answer(subject: Subject, module: nn.Module, x: Tensor, what: str = "") -> Tensor:
    with subject.trying(f"a forward pass of {what or f'input of shape {tuple(x.shape)}'}"):
        out: Tensor = module(x)
    kind = type(out).__name__
    subject.require(isinstance(out, Tensor), "give one tensor of logits", kind)
    wanted, came = (len(x), N_CLASSES), tuple(out.shape)
    subject.require(came == wanted, f"give logits of shape {wanted}", came)
    finite = out.is_floating_point() and bool(torch.isfinite(out).all())
    subject.require(finite, "give finite floats as logits", out)
    return out


def _check_shape(
    subject: Subject, factory: Callable[..., nn.Module], shape: tuple[int, ...], params: Any
) -> str | None:
    """Check modules for one input shape; if the architecture refuses it, say what it says."""
    try:
        module = _made(subject, factory, shape, params, 0)
    except ModelError as error:
        return str(error)
    x = torch.tensor(samples(shape, 5)[0]).requires_grad_()
    out = _answer(subject, module, x)
    flat = _answer(subject, module, x.detach().flatten(1), "flat input")
    subject.require(_same(out, flat), "give one answer for flat and shaped input", "two")
    _check_logits(subject, module, x, out)
    with subject.trying("copy.deepcopy"):
        twin = copy.deepcopy(module)
    subject.require(
        _same(out, _answer(subject, twin, x.detach())), "answer alike after a deep copy", "another"
    )
    other = _made(subject, factory, shape, params, 1)
    with subject.trying("load_state_dict(state_dict())"):
        other.load_state_dict(module.state_dict())
    loaded = _answer(subject, other.eval(), x.detach())
    subject.require(
        _same(out, loaded),
        "keep in its state_dict all that its answers depend on",
        "another answer from a module with the same state",
    )
    return None


def _check_logits(subject: Subject, module: nn.Module, x: Tensor, out: Tensor) -> None:
    """Check what comes out: gradients, rows apart, and not normalised."""
    gradient = None
    if out.requires_grad:
        weights = torch.arange(1.0, len(x) + 1)  # unlike ones, not annulled by centred rows
        (gradient,) = torch.autograd.grad((weights * out[:, 0]).sum(), x, allow_unused=True)
    reached = gradient is not None and bool(gradient.any())
    subject.require(reached, "let gradients reach the input", "none, or zeros")
    alone = torch.cat(
        [_answer(subject, module, x[row : row + 1].detach()) for row in range(len(x))]
    )
    subject.require(
        _same(out, alone), "answer each row alone as in a batch, in evaluation mode", "another"
    )
    shares = out.detach().double()
    for name, total in (("probabilities", shares), ("log-probabilities", shares.exp())):
        sums = total.sum(dim=1)
        one = torch.allclose(sums, torch.ones_like(sums), atol=1e-4)
        subject.require(not one, f"give logits, not {name}", "rows that sum to 1")


def _check_training(subject: Subject, name: str, shape: tuple[int, ...], params: Any) -> None:
    from pncviz.training import load_classifier, make_classifier, save_classifier

    X, y = samples(shape)
    with global_seed(0), subject.trying(f"training on inputs of shape {shape} for one epoch"):
        net = make_classifier(name, max_epochs=1, **params).fit(X.copy(), y.copy())
        answer = net.predict(X.copy())
    known = np.shape(answer) == y.shape and set(answer.tolist()) <= set(y.tolist())
    subject.require(known, "predict labels once trained", answer)
    keeping = subject.trying("keeping it in a file")
    with tempfile.TemporaryDirectory() as folder, global_seed(0), keeping:
        again = load_classifier(save_classifier(net, Path(folder) / "net.safetensors"))
        logits = [made.forward(torch.tensor(X)) for made in (net, again)]
    subject.require(_same(*logits), "answer alike once read from its file", "another answer")


def _same(a: Tensor, b: Tensor) -> bool:
    return close(a, b)
