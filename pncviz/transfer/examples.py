"""Adversarial examples of one model, put to others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.data import check_labels, resolve_seed
from pncviz.dataset import build_table, common_attrs
from pncviz.examples import AdversarialExampleGenerator
from pncviz.examples.checks import checked_pieces, checked_values
from pncviz.examples.pixels import returned_dtype
from pncviz.exceptions import ParameterError
from pncviz.inference import proportion_interval
from pncviz.models import only_asks
from pncviz.patterns.outcome import described
from pncviz.patterns.setting import checked_attack
from pncviz.registry import distribution_of
from pncviz.specs import Attack
from pncviz.transfer.checks import check_level
from pncviz.transfer.panel import Panel, check_models, frozen

__all__ = ["transfer_matrix"]


def transfer_matrix(
    models: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    attack: str | Attack | Mapping[str, str | Attack] = "gradient_descent",
    target: Any = None,
    max_iter: int = 100,
    max_loss: float | None = None,
    min_confidence: float | None = None,
    classes: Any = None,
    batch_size: int | None = None,
    deterministic: bool = False,
    max_queries: int | None = None,
    n_jobs: int | None = None,
    confidence_level: float = 0.95,
    random_state: Any = None,
    verbose: int = 0,
) -> xr.Dataset:
    """Make adversarial examples of each model, and ask every model about them.

    Parameters
    ----------
    models : mapping of str to fitted estimator or torch.nn.Module
        Used as they are. All take samples in X's shape and have the classes in y.
    X : array-like of shape (n_samples, ...)
        Dask and memory-mapped arrays are not held whole.
    y : array-like of shape (n_samples,)
    attack : str, Attack, or a mapping of each model's name to one
        With a mapping every source has its own, as models of different techniques need; a source
        that is not in it is only asked, as a target.
    target, max_iter, max_loss, min_confidence, batch_size, deterministic, max_queries, n_jobs, \
            verbose
        As of :class:`~pncviz.AdversarialExampleGenerator`; each model is the source in turn. A
        limit of queries holds for the attacks that only ask.
    classes : array-like of shape (n_classes,), optional
        Labels of the output units, in order, of all models.
    confidence_level : float, default=0.95
        Of Wilson's intervals.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    xarray.Dataset
        On (source, target): ``error_rate``, the share of the source's examples that the target
        model gets wrong, and ``transfer_rate``: of the samples that both get right, and whose
        example fools the source, the share whose example fools the target model too. An example
        fools a model that does not give it the true class or, with ``target``, that gives it the
        class aimed at; samples of that class do not count. With intervals ``error_lower``,
        ``error_upper``, ``transfer_lower``, ``transfer_upper`` and the counts ``n_examples``,
        ``n_errors``, ``n_fooled``, ``n_transferred``. On (target,): ``clean_error`` with
        ``clean_lower`` and ``clean_upper``. A rate of nothing is NaN.

    Raises
    ------
    ValueError
        X, y, ``models`` or a parameter cannot be used.
    ModelError
        A model cannot be reached, or cannot serve the attack.
    PluginError
        The attack broke its contract.

    References
    ----------
    szegedy2013intriguing, goodfellow2015explaining, papernot2016transferability,
    wilson1927probable.

    Examples
    --------
    >>> from pncviz import load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> nets = {n: make_classifier("fc", max_epochs=100, hidden=[k]).fit(data.X, data.y)
    ...         for n, k in {"narrow": 20, "wide": 40}.items()}
    >>> found = transfer_matrix(nets, data.X, data.y, min_confidence=0.9)
    >>> found["error_rate"].sel(source="wide", target="wide").item()
    1.0
    """
    check_models(models)
    check_level(confidence_level)
    means, seed = _each_attack(attack, models, max_queries), resolve_seed(random_state)
    source = checked_values(X, estimator=None)
    labels = check_labels(y, len(source), X=X)
    panel = Panel.of(
        models, tuple(source.shape[1:]), labels=labels, classes=classes, batch_size=batch_size
    )
    stop: dict[str, Any] = {"max_iter": max_iter, "max_loss": max_loss}
    stop |= {"min_confidence": min_confidence, "max_queries": max_queries}
    generators = {
        name: AdversarialExampleGenerator(
            frozen(models[name]),
            attack=own,
            target=target,
            classes=classes,
            batch_size=batch_size,
            deterministic=deterministic,
            **stop if only_asks(own) else stop | {"max_queries": None},
            n_jobs=n_jobs,
            random_state=seed,
            verbose=verbose,
        ).fit(source, labels)
        for name, own in means.items()
    }
    with panel.session():
        clean = _Answers(panel, source)
        for first, piece in checked_pieces(source):
            clean[first : first + len(piece)] = piece
        found = {
            name: _put_to_all(panel, generator, source, labels)
            for name, generator in generators.items()
        }
    one = {"attack": next(iter(means.values()))}
    parameters = {
        **described(means if isinstance(attack, Mapping) else one),
        "target": target if np.ndim(target) == 0 else "one for each sample",
        **stop,
        "confidence_level": confidence_level,
    }
    plugins = dict(map(distribution_of, means.values()))
    plugins.pop("pncviz", None)
    attrs = common_attrs("transfer", parameters=parameters, random_state=seed, plugins=plugins)
    return _labelled(panel.code(labels), clean.codes, found, confidence_level, attrs)


def _each_attack(
    attack: Any, models: Mapping[str, Any], max_queries: int | None
) -> dict[str, Attack]:
    """Give the attack of each source, checked."""
    given = attack if isinstance(attack, Mapping) else dict.fromkeys(models, attack)
    unknown = [name for name in given if name not in models]
    if unknown or not given:
        raise ParameterError(
            f"`attack` must name some of the models {list(models)}, got {list(given)}."
        )
    means = {name: checked_attack(own) for name, own in given.items()}
    if max_queries is not None and not any(map(only_asks, means.values())):
        raise ParameterError(
            "`max_queries` is for attacks that ask for probabilities or labels, which none of "
            f"these does, got {max_queries!r:.80}."
        )
    return means


class _Answers:
    """Takes inputs as an array would, and keeps only what the models call them."""

    def __init__(self, panel: Panel, X: Any) -> None:
        self.panel, self.shape, self.dtype = panel, tuple(X.shape), returned_dtype(X.dtype)
        self.codes = {name: np.empty(len(X), dtype=np.int64) for name in panel.models}

    def __setitem__(self, rows: slice, x: NDArray[Any]) -> None:
        for name, codes in self.codes.items():
            codes[rows] = self.panel.ask(name, x)


def _put_to_all(
    panel: Panel, generator: AdversarialExampleGenerator, X: Any, labels: NDArray[Any]
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64] | None]:
    """Make one model's examples; gives what each calls them, and the classes aimed at."""
    answers = _Answers(panel, X)
    generator.generate(X, labels, out=answers)
    made = generator.examples_
    return answers.codes, panel.code(made["target"].values) if "target" in made else None


def _labelled(
    own: NDArray[np.int64],
    clean: Mapping[str, NDArray[np.int64]],
    found: Mapping[str, tuple[dict[str, NDArray[np.int64]], NDArray[np.int64] | None]],
    level: float,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Count, and label the counts; ``own`` are the codes of the true classes."""
    names = list(clean)
    counts = np.zeros((3, len(found), len(names)), dtype=np.int64)
    for i, source in enumerate(found):
        codes, aim = found[source]
        # Who is aimed at its own class cannot be fooled.
        fooled = {
            name: code != own if aim is None else (code == aim) & (aim != own)
            for name, code in codes.items()
        }
        for j, target in enumerate(names):
            right = (clean[source] == own) & (clean[target] == own)
            both = right & fooled[source]
            counts[:, i, j] = (
                np.count_nonzero(codes[target] != own),
                np.count_nonzero(both),
                np.count_nonzero(both & fooled[target]),
            )
    errors, n_fooled, moved = counts
    n = np.full_like(errors, len(own))
    wrong = np.array([np.count_nonzero(clean[name] != own) for name in names])
    variables: dict[str, Any] = {"n_examples": n, "n_errors": errors}
    variables |= {"n_fooled": n_fooled, "n_transferred": moved}
    rates = {"error": (errors, n), "transfer": (moved, n_fooled), "clean": (wrong, n[0])}
    for name, (hits, of) in rates.items():
        share = np.divide(hits, of, out=np.full(hits.shape, np.nan), where=of > 0)
        variables["clean_error" if name == "clean" else f"{name}_rate"] = share
        ends = proportion_interval(hits, of, confidence_level=level)
        variables[f"{name}_lower"], variables[f"{name}_upper"] = ends
    return build_table(
        "transfer", variables, coords={"source": list(found), "target": names}, attrs=attrs
    )
