"""Several models that are asked about the same inputs, in labels that they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pncviz.exceptions import LabelError, ParameterError
from pncviz.models import adapt, is_frozen, resolve_units
from pncviz.specs import Model
from pncviz.synthesis import check_count, in_batches

__all__ = ["Panel", "check_models"]

#: What a unit is called that no class has.
NOBODY = -1


def check_models(models: Any) -> None:
    """Raise ParameterError unless models are a mapping of at least one name."""
    if not isinstance(models, Mapping) or not models:
        raise ParameterError(f"`models` must be a mapping of name to model, got {models!r:.80}.")
    if odd := [name for name in models if not isinstance(name, str) or not name]:
        raise ParameterError(f"`models` must have names, got {odd[0]!r}.")


@dataclass(frozen=True)
class Panel:
    """Models by name, their common classes, and what each unit of each stands for."""

    models: dict[str, Model]
    classes: NDArray[Any]
    codes: dict[str, NDArray[np.int64]]

    @classmethod
    def of(
        cls,
        estimators: Mapping[str, Any],
        input_shape: tuple[int, ...],
        *,
        labels: NDArray[Any] | None = None,
        classes: Any = None,
        batch_size: int | None = None,
    ) -> Panel:
        """Reach every model, and give one code to each class that any of them has.

        Parameters
        ----------
        estimators : mapping of str to fitted estimator or torch.nn.Module
        input_shape : tuple of int
        labels : ndarray, optional
            Classes in the data, which all models must have.
        classes : array-like, optional
            Labels of the output units, in order.
        batch_size : int, optional

        Raises
        ------
        LabelError
            A model does not have the labels, or models have labels of different kinds.
        """
        check_count("batch_size", batch_size, none=True)
        models, units_of = {}, {}
        for name, estimator in estimators.items():
            model = models[name] = adapt(estimator, input_shape=input_shape)
            if batch_size is not None:
                model.batch_size = int(batch_size)
            try:
                units_of[name] = resolve_units(model, classes=classes, y=labels)
            except LabelError as error:
                raise LabelError(f'Model "{name}": {error}') from error
        kinds = {known.dtype.kind == "U" for known, _ in units_of.values()}
        if len(kinds) > 1:
            told = "; ".join(f"{name}: {k.tolist()[:3]}" for name, (k, _) in units_of.items())
            raise LabelError(f"Some models have strings as labels and others integers ({told}).")
        every = np.unique(np.concatenate([known for known, _ in units_of.values()]))
        codes = {}
        for name, (known, units) in units_of.items():
            codes[name] = np.full(models[name].n_units, NOBODY)
            codes[name][units] = np.searchsorted(every, known)
        return cls(models, every, codes)

    def code(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Give the code of each label."""
        return np.searchsorted(self.classes, labels)

    def ask(self, name: str, x: NDArray[Any]) -> NDArray[np.int64]:
        """Give the code of the class that a model takes each input for; within a session."""
        model, parts = self.models[name], []

        def work(rows: range) -> None:
            # A copy: models may share memory with what they are given.
            inputs = model.tensor(np.array(x[rows.start : rows.stop]))
            parts.append((rows, model.labels(inputs).cpu().numpy()))

        with torch.no_grad():
            in_batches(model, len(x), work)
        found = np.empty(len(x), dtype=np.int64)
        for rows, units in parts:
            found[rows.start : rows.stop] = units
        return self.codes[name][found]

    @contextmanager
    def session(self) -> Iterator[None]:
        """Enter the sessions of all models."""
        with ExitStack() as stack:
            for model in self.models.values():
                stack.enter_context(model.session())
            yield


def frozen(estimator: Any) -> Any:
    """Give an estimator such that it is used as it is."""
    from sklearn.frozen import FrozenEstimator

    return estimator if is_frozen(estimator) else FrozenEstimator(estimator)
