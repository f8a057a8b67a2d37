"""Who is being checked, and how a broken rule is told."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from pncviz.exceptions import ConflictError, UnknownNameError
from pncviz.registry import default_registry, distribution_of
from pncviz.specs import KINDS, AdapterSpec, MetricSpec, Part, Spec

__all__ = ["Subject", "check_part", "find", "global_seed", "make", "shown"]


@dataclass(frozen=True)
class Subject:
    """A part under check; ``title`` names it and its distribution.

    Examples
    --------
    >>> Subject('metric "dot" (pncviz-dot 1.0)').require(False, "never give NaN", "nan")
    Traceback (most recent call last):
        ...
    AssertionError: metric "dot" (pncviz-dot 1.0) must never give NaN; got nan.
    """

    title: str

    def require(self, holds: object, rule: str, came: object = None) -> None:
        """Raise AssertionError, naming part, rule and what came, unless the rule holds."""
        if not holds:  # no assert statement: it must hold under python -O too
            got = "" if came is None else f"; got {shown(came)}"
            raise AssertionError(f"{self.title} must {rule}{got}.")

    @contextmanager
    def trying(self, what: str, *passing: type[Exception]) -> Iterator[None]:
        """Turn whatever the part raises, except ``passing``, into an AssertionError."""
        try:
            yield
        except BaseException as error:  # a plugin may even call sys.exit
            if isinstance(error, (KeyboardInterrupt, *passing)):
                raise
            raise AssertionError(
                f"{self.title} failed in {what}: {type(error).__name__}: {error}"
            ) from error


def shown(value: object) -> str:
    """Write a value for a message, cut to a line."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def find(kind: str, part: object) -> tuple[Subject, Any]:
    """Give who is checked, and its spec (for a name or a spec) or the object itself."""
    if isinstance(part, str):
        try:
            entry = default_registry().entry(kind, part)
        except (UnknownNameError, ConflictError) as error:
            raise AssertionError(str(error)) from error
        return Subject(f'{kind} "{entry.spec.name}" ({entry.origin})'), entry.spec
    if isinstance(part, Spec):
        subject = Subject(f'{kind} "{part.name}" ({_origin(_heart(part))})')
        subject.require(isinstance(part, KINDS[kind]), f"be a {KINDS[kind].__name__}", part)
        return subject, part
    named = part if hasattr(part, "__name__") else type(part)
    return Subject(f"{kind} {getattr(named, '__name__', named)} ({_origin(part)})"), part


def make(kind: str, part: object, **params: Any) -> tuple[Subject, Any]:
    """Find a part, and call its factory if it is not made yet."""
    subject, found = find(kind, part)
    factory = found.factory if isinstance(found, Spec) else found  # type: ignore[attr-defined] # find checked the kind
    if not callable(factory):
        return subject, found
    with subject.trying(f"its factory with {params}"):
        return subject, factory(**params)


def _heart(spec: Spec) -> object:
    """Give the function by which a spec's distribution is known."""
    if isinstance(spec, MetricSpec):
        return spec.function
    return spec.adapt if isinstance(spec, AdapterSpec) else getattr(spec, "factory", spec)


def _origin(part: object) -> str:
    module = getattr(part, "__module__", None)
    if isinstance(part, type) or not isinstance(module, str) or hasattr(part, "__name__"):
        # distribution_of looks at an object's class, and a factory is one of builtins.
        part = type("Stand-in", (), {"__module__": str(module)})()
    return " ".join(distribution_of(part)).strip()


def check_part(subject: Subject, part: Part) -> None:
    """Hold a strategy or attack to scikit-learn's ways: clone, parameters, repr, pickle."""
    with subject.trying("clone (`__init__` must store each parameter under its name, no more)"):
        twin = clone(part)
    with subject.trying("validate() of its own parameters"):
        twin.validate()
    with subject.trying("repr"):
        text = repr(twin)
    with subject.trying("get_params and set_params"):
        twin.set_params(**twin.get_params())
    with subject.trying("pickle"):
        copy = pickle.loads(pickle.dumps(part))
    subject.require(
        type(copy) is type(part) and repr(copy) == text, f"come back from pickle as {text}", copy
    )


# ----------------------------------------------------------------- global random state


def _global_state() -> tuple[object, bytes, bytes]:
    numpy_state = np.random.get_state()  # noqa: NPY002 # the legacy state is what is watched
    return random.getstate(), pickle.dumps(numpy_state), torch.get_rng_state().numpy().tobytes()


@contextmanager
def global_seed(seed: int, subject: Subject | None = None) -> Iterator[None]:
    """Seed every global generator inside and put all back; a subject must not draw from them."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 # see above
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 # see above
    torch.manual_seed(seed)
    start = _global_state()
    try:
        yield
        after = _global_state()
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002 # see above
        torch.set_rng_state(before[2])
    if subject is not None:
        names = ("random", "np.random", "torch")
        used = [name for name, a, b in zip(names, start, after, strict=True) if a != b]
        subject.require(
            not used, "draw from the generators that it is given alone", f"global {used}"
        )
