"""Who fools whom, where every source has an attack of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from sklearn.frozen import FrozenEstimator

from pncviz import AdversarialExampleGenerator, Attack
from pncviz.data import check_labels, check_samples, resolve_seed
from pncviz.exceptions import LabelError, ModelError, ParameterError
from pncviz.inference import proportion_interval
from pncviz.models import adapt, is_frozen, resolve_units
from pncviz.synthesis import check_count, in_batches
from pncviz_substitute.history import attrs_of

__all__ = ["Source", "technique_transfer"]


@dataclass(frozen=True)
class Source:
    """A model that examples are made of, and how; or one that is asked, and how to read it.

    Attributes
    ----------
    estimator : fitted estimator or torch.nn.Module
    attack : str or Attack, optional
        Needed among ``sources``, not looked at among ``targets``.
    adapter : str, optional
        Force the adapter of that name, such as "soft_knn".
    classes : array-like, optional
        Labels of a bare module's units, in order.
    """

    estimator: Any
    attack: str | Attack | None = None
    adapter: str | None = None
    classes: ArrayLike | None = None


def technique_transfer(
    sources: Mapping[str, Source],
    targets: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    max_iter: int = 100,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> xr.Dataset:
    """Make adversarial examples of each source by its own attack, and ask every target.

    :func:`pncviz.transfer_matrix` takes one attack for all; techniques that have no gradients need
    attacks of their own.

    Parameters
    ----------
    sources : mapping of str to Source
    targets : mapping of str to fitted estimator, torch.nn.Module or Source
        Any that answers; not all need to be sources. A :class:`Source` tells the adapter, or the
        ``classes`` of a bare module's units.
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,)
        True classes, which the examples lead away from.
    max_iter : int, default=100
    confidence_level : float, default=0.95
        Of Wilson's intervals; above 0 and below 1.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    xarray.Dataset
        On (source, target): ``error_rate``, the share of the source's examples that the target
        gets wrong (the papers' measure), with ``error_lower`` and ``error_upper``;
        ``transfer_rate``, that among the samples that the target gets right as they are, with
        ``transfer_lower`` and ``transfer_upper``. On (target,): ``clean_error`` with
        ``clean_lower`` and ``clean_upper``. On (source,): ``l2`` and ``linf``, means of the
        change in units of the input.

    Raises
    ------
    ParameterError, LabelError, ModelError
        A mapping, labels, or a model cannot be used.

    References
    ----------
    papernot2016transferability, wilson1927probable.

    Examples
    --------
    >>> from pncviz_substitute import SVMNormal
    >>> X, y = np.array([[-1.0, 0.0], [1.0, 0.0]], dtype=np.float32), np.array([0, 1])
    >>> net = torch.nn.Linear(2, 2, bias=False)
    >>> net.weight.data = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    >>> found = technique_transfer({"net": Source(net, SVMNormal(epsilon=2.0))}, {"net": net}, X, y)
    >>> found["error_rate"].item()
    1.0
    """
    _check(sources, "sources")
    _check(targets, "targets")
    check_count("max_iter", max_iter)
    _check_level(confidence_level)
    seed, samples = resolve_seed(random_state), check_samples(X)
    labels = check_labels(y, len(samples), X=X)
    asked = {name: _Asked(name, model, samples, labels) for name, model in targets.items()}
    clean = {name: one.wrong(samples) for name, one in asked.items()}
    wrong: dict[str, dict[str, NDArray[np.bool_]]] = {}
    length: list[tuple[float, float]] = []
    for name, source in sources.items():
        model = source.estimator
        generator = AdversarialExampleGenerator(
            model if is_frozen(model) else FrozenEstimator(model),
            attack=source.attack,  # type: ignore[arg-type] # `_check` saw to it
            adapter=source.adapter,
            classes=source.classes,
            max_iter=max_iter,
            random_state=seed,
        ).fit(samples, labels)
        made = generator.generate(samples, labels)
        wrong[name] = {target: one.wrong(made) for target, one in asked.items()}
        change = generator.examples_
        length.append((float(change["l2"].mean()), float(change["linf"].mean())))
    parameters: dict[str, Any] = {"max_iter": max_iter, "confidence_level": confidence_level}
    parameters["attacks"] = {name: repr(source.attack) for name, source in sources.items()}
    attrs = attrs_of("technique_transfer", parameters, seed)
    return _labelled(wrong, clean, np.array(length), confidence_level, attrs)


class _Asked:
    """One target, and what is right."""

    def __init__(self, name: str, estimator: Any, X: NDArray[Any], y: NDArray[Any]) -> None:
        given = estimator if isinstance(estimator, Source) else Source(estimator)
        try:
            self.model = adapt(given.estimator, input_shape=X.shape[1:], adapter=given.adapter)
            known, units = resolve_units(self.model, classes=given.classes, y=y)
        except (LabelError, ModelError) as error:
            raise type(error)(f'Target "{name}": {error}') from error
        # `classes` may come in any order.
        order = np.argsort(known)
        self.units = units[order[np.searchsorted(known, y, sorter=order)]]

    def wrong(self, X: NDArray[Any]) -> NDArray[np.bool_]:
        """Say which samples the target does not call what they are."""
        found = np.empty(len(X), dtype=np.int64)

        def work(rows: range) -> None:
            part = slice(rows.start, rows.stop)
            found[part] = self.model.labels(self.model.tensor(X[part].copy())).cpu().numpy()

        with self.model.session(), torch.no_grad():
            in_batches(self.model, len(X), work)
        same: NDArray[np.bool_] = found == self.units
        return ~same


def _check(models: Any, name: str) -> None:
    if not isinstance(models, Mapping) or not models:
        raise ParameterError(
            f"`{name}` must be a mapping of at least one name, got {models!r:.80}."
        )
    if name == "sources" and (odd := [k for k, v in models.items() if not isinstance(v, Source)]):
        raise ParameterError(
            f"`sources` must hold Source(estimator, attack), got "
            f"{type(models[odd[0]]).__name__} under {odd[0]!r}."
        )
    if name == "sources" and (bare := [k for k, v in models.items() if v.attack is None]):
        raise ParameterError(f"`sources` must each have an `attack`, got none under {bare[0]!r}.")


def _check_level(level: object) -> None:
    number = isinstance(level, Real) and not isinstance(level, bool)
    if not number or not 0 < float(level) < 1:  # type: ignore[arg-type] # checked
        raise ParameterError(f"`confidence_level` must be between 0 and 1, got {level!r:.80}.")


def _labelled(
    wrong: Mapping[str, Mapping[str, NDArray[np.bool_]]],
    clean: Mapping[str, NDArray[np.bool_]],
    length: NDArray[np.float64],
    level: float,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Count, and label the counts."""
    names, pair = list(clean), ("source", "target")
    each = np.array([[[*rows[t]] for t in names] for rows in wrong.values()], dtype=bool)
    before = np.array([clean[t] for t in names])
    right = np.broadcast_to((~before).sum(axis=-1), each.shape[:2])
    n = np.full(each.shape[:2], each.shape[-1])
    counts = {
        "error": (pair, each.sum(axis=-1), n),
        "transfer": (pair, (each & ~before).sum(axis=-1), right),
        "clean": (("target",), before.sum(axis=-1), n[0]),
    }
    variables: dict[str, Any] = {}
    for name, (dims, hits, of) in counts.items():
        share = np.divide(hits, of, out=np.full(hits.shape, np.nan), where=of > 0)
        low, high = proportion_interval(hits, of, confidence_level=level)
        key = "clean_error" if name == "clean" else f"{name}_rate"
        for word, values in {key: share, f"{name}_lower": low, f"{name}_upper": high}.items():
            variables[word] = (dims, values, {"units": "1"})
    for column, word in enumerate(("l2", "linf")):
        variables[word] = (("source",), length[:, column], {"units": "input"})
    return xr.Dataset(variables, {"source": list(wrong), "target": names}, dict(attrs))
