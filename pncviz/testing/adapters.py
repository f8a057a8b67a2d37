"""What an adapter must keep to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from pncviz.models import resolve_units
from pncviz.specs import NEEDS, AdapterSpec, Model
from pncviz.testing.probes import close
from pncviz.testing.subject import Subject, find

__all__ = ["check_adapter"]


def check_adapter(adapter: str | AdapterSpec, estimator: Any, *, X: ArrayLike) -> None:
    r"""Hold an adapter to its contract, with an estimator of its kind.

    It must match the estimator and nothing foreign, without raising; give a
    :class:`~pncviz.Model` whose units, classes, logits, probabilities and labels agree with each
    other and with the estimator; put back in ``session`` whatever it touches, also after an
    exception; and, where it offers gradients, give those of finite differences.

    Parameters
    ----------
    adapter : name or AdapterSpec
    estimator : object
        Fitted, and one that the adapter is for.
    X : array-like of shape (n_samples, \*input_shape)
        A few samples (more than one) as the estimator takes them.

    Raises
    ------
    AssertionError
        A rule is broken; names the adapter, its distribution, the rule and what came.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from pncviz.testing import check_adapter
    >>> check_adapter("torch", torch.nn.Linear(5, 3), X=np.random.default_rng(0).random((4, 5)))
    """
    subject, spec = find("adapter", adapter)
    subject.require(isinstance(spec, AdapterSpec), "be an AdapterSpec or a name", spec)
    samples = np.asarray(X, dtype=np.float32)
    _check_matches(subject, spec, estimator)
    modules = _modules(estimator)
    before = _flags(modules)
    with subject.trying(f"adapt({type(estimator).__name__}, input_shape={samples.shape[1:]})"):
        model = spec.adapt(estimator, input_shape=samples.shape[1:])
    subject.require(isinstance(model, Model), "give a Model", type(model).__name__)
    subject.require(
        _flags(modules) == before, "leave the estimator as it is in adapt()", "a change"
    )
    _check_session(subject, model, modules)
    with model.session():
        with subject.trying("tensor(X)"):
            x = model.tensor(samples)
        _check_answers(subject, model, x, samples.shape)
        _check_units(subject, model, x, estimator, samples)
        if "gradients" in model.capabilities:
            _check_gradient(subject, model, samples)


def _check_matches(subject: Subject, spec: AdapterSpec, estimator: Any) -> None:
    for other in (None, 7, "text", object(), np.zeros(3)):
        with subject.trying(f"matches({other!r:.40}), where it must not raise"):
            matched = bool(spec.matches(other))
        subject.require(not matched, "match estimators of its own kind alone", repr(other)[:40])
    with subject.trying(f"matches({type(estimator).__name__})"):
        matched = bool(spec.matches(estimator))
    subject.require(matched, f"match the estimator {type(estimator).__name__}", matched)


def _modules(estimator: Any) -> list[nn.Module]:
    """Find the torch modules of an estimator: itself, or its attributes."""
    values = [estimator, *getattr(estimator, "__dict__", {}).values()]
    return [value for value in values if isinstance(value, nn.Module)]


def _flags(modules: list[nn.Module]) -> list[bool]:
    """Training mode of every part, and whether every parameter takes gradients."""
    parts = [part.training for module in modules for part in module.modules()]
    return parts + [p.requires_grad for module in modules for p in module.parameters()]


class _LeaveError(Exception):
    """What a session is left by."""


def _set_flags(modules: list[nn.Module], flags: list[bool]) -> None:
    """Put flags back in the order in which :func:`_flags` lists them."""
    values = iter(flags)
    for part in (part for module in modules for part in module.modules()):
        part.training = next(values)
    for parameter in (p for module in modules for p in module.parameters()):
        parameter.requires_grad_(next(values))


def _check_session(subject: Subject, model: Model, modules: list[nn.Module]) -> None:
    """Check sessions that end well and badly, from training mode, where all takes gradients."""
    rule, was = "put back in session() what it touched", _flags(modules)
    _set_flags(modules, [True] * len(was))
    try:
        with subject.trying("session()"), model.session():
            pass
        subject.require(all(_flags(modules)), rule, "a change")
        left = False
        try:
            with subject.trying("session()", _LeaveError), model.session():
                raise _LeaveError
        except _LeaveError:
            left = True
        subject.require(left, "let exceptions through session()", "silence")
        subject.require(all(_flags(modules)), f"{rule}, also after an exception", "a change")
    finally:
        _set_flags(modules, was)


def _check_answers(subject: Subject, model: Model, x: Tensor, shape: tuple[int, ...]) -> None:
    """Check that the model's answers agree with each other."""
    require = subject.require
    require(tuple(x.shape) == shape, f"give from tensor(X) the shape {shape}", tuple(x.shape))
    same = x.dtype == model.dtype and x.device.type == torch.device(model.device).type
    require(same, f"give from tensor(X) {model.dtype} on {model.device}", (x.dtype, x.device))
    came = model.capabilities
    require(came and frozenset(came) <= NEEDS, f"offer capabilities of {sorted(NEEDS)}", came)
    with torch.no_grad(), subject.trying("logits, probabilities or labels"):
        logits, shares, labels = model.logits(x), model.probabilities(x), model.labels(x)
    wanted = len(x), model.n_units
    for name, out in (("logits", logits), ("probabilities", shares)):
        require(
            tuple(out.shape) == wanted,
            f"give {name} of shape {wanted} (n, n_units)",
            tuple(out.shape),
        )
        require(bool(torch.isfinite(out).all()), f"give finite {name}", "NaN or infinity")
    require(
        close(logits.softmax(dim=1), shares),
        "give probabilities that are the softmax of its logits",
        f"{shares[0].tolist()} for logits {logits[0].tolist()}",
    )
    positions = labels.dtype == torch.int64 and tuple(labels.shape) == (len(x),)
    positions = positions and bool(((labels >= 0) & (labels < model.n_units)).all())
    require(positions, f"give labels as int64 positions below {model.n_units}", labels)


def _check_units(
    subject: Subject, model: Model, x: Tensor, estimator: Any, samples: np.ndarray[Any, Any]
) -> None:
    """Check that units carry the labels that the estimator itself would give."""
    known = getattr(estimator, "classes_", None)
    if known is not None:
        same = model.classes is not None and np.array_equal(np.asarray(known), model.classes)
        subject.require(same, f"know the estimator's classes {np.asarray(known)}", model.classes)
    with subject.trying("naming its units"):
        names, units = resolve_units(model)
    if known is None or not hasattr(estimator, "predict"):
        return
    name = dict(zip(units.tolist(), names.tolist(), strict=True))
    with torch.no_grad():
        told = [name.get(unit, unit) for unit in model.labels(x).tolist()]
    answer = np.asarray(estimator.predict(samples)).tolist()
    subject.require(told == answer, f"call the samples what the estimator does ({answer})", told)


def _check_gradient(subject: Subject, model: Model, samples: np.ndarray[Any, Any]) -> None:
    """Compare the gradient along one direction with central differences."""
    if hasattr(model, "astype"):
        model = model.astype(torch.float64)
    exact = model.dtype == torch.float64
    step, tolerance = (1e-6, 1e-4) if exact else (1e-2, 5e-2)
    x = model.tensor(samples)
    along = model.tensor(np.random.default_rng(0).normal(size=samples.shape))
    along = along / along.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))
    with model.session(), subject.trying("a gradient"):
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model.logits(leaf)[:, 0].sum(), leaf)
        with torch.no_grad():
            ahead, behind = (model.logits(x + sign * step * along)[:, 0] for sign in (1, -1))
    told = (gradient * along).flatten(1).sum(dim=1)
    # The median: a row may sit on a kink of a ReLU.
    apart = float(((ahead - behind) / (2 * step) - told).abs().median())
    size = float(gradient.flatten(1).norm(dim=1).median())
    subject.require(
        apart <= tolerance * (size + 1e-3),
        "give the gradient of its logits (as finite differences have it)",
        f"{apart:.3g} off a gradient of size {size:.3g}",
    )
