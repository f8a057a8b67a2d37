"""What can be wrong with a plugin's hooks, with a spec, and with a factory's parameters."""

from __future__ import annotations

import difflib
import inspect
import math
import re
import reprlib
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import pluggy

from pncviz.exceptions import ParameterError
from pncviz.hookspecs import HOOKS
from pncviz.specs import KINDS, AdapterSpec, MetricSpec, Spec

__all__ = [
    "check_params",
    "check_required",
    "close_match",
    "describe",
    "hook_problem",
    "show",
    "spec_problem",
]

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def show(value: object) -> str:
    """Give a short ``repr``, also of an object whose own raises."""
    try:
        return _SHORT.repr(value)
    except Exception:  # reprlib trusts the elements of containers
        return f"<{type(value).__name__}>"


def describe(error: BaseException) -> str:
    """Give an exception's type and message, also when it cannot be printed."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def close_match(name: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Give the choice that a misspelt name most likely means."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=cutoff)
    return close[0] if close else None


# -------------------------------------------------------------------------------- hooks


def hook_problem(manager: pluggy.PluginManager, plugin: object) -> str | None:
    """Say what is wrong with a plugin's hooks, more plainly than pluggy would, or at all."""
    hooks = 0
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is None:
            problem = _unmarked_problem(attribute, inspect.getattr_static(plugin, attribute, None))
        else:
            problem = _marked_problem(plugin, attribute, dict(options))
            hooks += 1
        if problem is not None:
            return problem
    return None if hooks else f"has no hook; it needs one of {', '.join(HOOKS.values())}"


def _unmarked_problem(attribute: str, value: object) -> str | None:
    """Find hooks that were forgotten to be marked: pluggy passes them over in silence."""
    if attribute in HOOKS.values():
        if inspect.isroutine(value):
            return f"{attribute} lacks the decorator @pncviz.hookimpl"
        return f"{attribute} must be a function with @pncviz.hookimpl, got {show(value)}"
    if attribute.startswith("pncviz_") and inspect.isroutine(value):
        close = close_match(attribute, HOOKS.values(), cutoff=0.8)
        if close:
            return f'{attribute} lacks the decorator @pncviz.hookimpl; did you mean "{close}"?'
    return None


def _marked_problem(plugin: object, attribute: str, options: dict[str, Any]) -> str | None:
    name = options.get("specname") or attribute
    if name not in HOOKS.values():
        if options.get("optionalhook"):
            return None
        close = close_match(name, HOOKS.values())
        return f'unknown hook "{name}"' + (f'; did you mean "{close}"?' if close else "")
    if options.get("wrapper") or options.get("hookwrapper"):
        return f"{name} is a wrapper; no plugin may change what another one gives"
    signature = inspect.signature(getattr(plugin, attribute))
    try:
        signature.bind()
    except TypeError:
        hint = "; give an instance, not the class" if inspect.isclass(plugin) else ""
        return f"{name} must take no argument, but it is {attribute}{signature}{hint}"
    return None


# -------------------------------------------------------------------------------- specs


def spec_problem(kind: str, spec: object) -> str | None:
    """Say what is wrong with one spec, or None."""
    expected = KINDS[kind]
    if not isinstance(spec, expected):
        return f"{show(spec)}, not a {expected.__name__}"
    if not isinstance(spec.name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", spec.name):
        return f"the name {show(spec.name)}; use letters, digits, '_', '-' and '.'"
    for text in ("summary", "reference"):
        if not isinstance(getattr(spec, text), str):
            return f'"{spec.name}" whose {text} is not a string: {show(getattr(spec, text))}'
    for part in _callables(spec):
        if not callable(getattr(spec, part)):
            return f'"{spec.name}" whose {part} is not callable: {show(getattr(spec, part))}'
    if isinstance(spec, AdapterSpec) and not _is_integer(spec.priority):
        return f'"{spec.name}" whose priority is not an integer: {show(spec.priority)}'
    if isinstance(spec, MetricSpec):
        return _metric_problem(spec)
    return None


def _callables(spec: Spec) -> tuple[str, ...]:
    if isinstance(spec, AdapterSpec):
        return "matches", "adapt"
    if isinstance(spec, MetricSpec):
        stacked = [name for name in ("pairwise", "paired") if getattr(spec, name) is not None]
        return ("function", *stacked)
    return ("factory",)


def _metric_problem(spec: MetricSpec) -> str | None:
    if not isinstance(spec.units, str):
        return f'"{spec.name}" whose units are not a string: {show(spec.units)}'
    if not isinstance(spec.higher_is_better, bool):
        return f'"{spec.name}" whose higher_is_better is not a bool: {show(spec.higher_is_better)}'
    if not isinstance(spec.constant, Real) or math.isnan(spec.constant):
        return f'"{spec.name}" whose constant is not a number: {show(spec.constant)}'
    bounds: object = spec.range
    pair = isinstance(bounds, tuple | list) and len(bounds) == 2
    if not pair or not all(isinstance(b, Real) for b in spec.range) or not _ascending(spec.range):
        return f'"{spec.name}" whose range is not (smallest, largest): {show(bounds)}'
    return None


def _ascending(bounds: tuple[float, float]) -> bool:
    return bounds[0] < bounds[1]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# --------------------------------------------------------------------------- parameters


def check_params(kind: str, name: str, factory: Callable[..., Any], params: dict[str, Any]) -> None:
    """Refuse parameters that the factory does not have, and name those it has.

    Raises
    ------
    ParameterError
        With the choices, and the likeliest one.

    Examples
    --------
    >>> check_params("strategy", "noise", lambda scale=1.0: scale, {"scale": 2.0})
    """
    named = _named_params(factory)
    if named is None or any(p.kind is p.VAR_KEYWORD for p in named.values()):
        return
    known = [p.name for p in named.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for given in params:
        if given not in known:
            close = close_match(given, known)
            hint = f" Did you mean `{close}`?" if close else ""
            raise ParameterError(
                f'{kind} "{name}" has no parameter `{given}`.{hint} '
                f"Choices: {', '.join(known) or 'none'}."
            )


def check_required(
    kind: str, name: str, factory: Callable[..., Any], params: dict[str, Any]
) -> None:
    """Say which parameters without a default were not given; the fault is not the plugin's."""
    usual = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    missing = [
        f"`{p.name}`"
        for p in (_named_params(factory) or {}).values()
        if p.kind in usual and p.default is p.empty and p.name not in params
    ]
    if missing:
        raise ParameterError(f'{kind} "{name}" needs {", ".join(missing)}; got {show(params)}.')


def _named_params(factory: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """Give the factory's parameters, or None where Python cannot tell them (some C functions)."""
    try:
        return dict(inspect.signature(factory).parameters)
    except (TypeError, ValueError):
        return None
