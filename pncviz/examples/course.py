"""From an estimator and samples to labelled examples: everything but scikit-learn's ceremony."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.contrast.lazy import is_lazy
from pncviz.data import as_float32, encode_labels, resolve_seed
from pncviz.examples.aims import Aim
from pncviz.examples.making import Maker
from pncviz.examples.outcome import labelled
from pncviz.examples.pixels import attack_on, returned_dtype
from pncviz.exceptions import LabelError, ParameterError, PncvizWarning
from pncviz.models import adapt, as_prepared, check_queries, is_frozen, require
from pncviz.patterns.limits import check_stop
from pncviz.patterns.setting import (
    check_form,
    checked_attack,
    fitted_model,
    fitted_out,
    progress_bar,
    reached,
)
from pncviz.specs import Attack, Model, Part, Stop
from pncviz.synthesis import blame

__all__ = ["Course", "Fitted"]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted estimator, its classes, and the output unit of each."""

    estimator: Any
    classes: NDArray[Any]
    units: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How examples are made, of whatever model: attack, stop rule, seed, limits."""

    attack: Attack
    stop: Stop
    seed: int
    precision: str | None = None
    batch_size: int | None = None
    deterministic: bool = False
    output: str = "auto"
    adapter: str | None = None
    memory: Any = None
    n_jobs: int | None = None
    verbose: int = 0

    @classmethod
    def checked(
        cls,
        *,
        attack: str | Attack,
        max_iter: int,
        max_loss: float | None,
        min_confidence: float | None,
        random_state: Any,
        max_queries: int | None = None,
        **options: Any,
    ) -> Course:
        """Check every parameter before any work, and make an attack of a name."""
        means = checked_attack(attack)
        check_stop(max_iter, max_loss, min_confidence)
        check_form(options.get("precision"), batch_size=options.get("batch_size"))
        check_queries(max_queries, options.get("memory"), options.get("n_jobs"))
        stop = Stop(
            max_iter=int(max_iter),
            max_loss=max_loss,
            min_confidence=min_confidence,
            max_queries=max_queries,
        )
        return cls(attack=means, stop=stop, seed=resolve_seed(random_state), **options)

    def fit(
        self,
        estimator: Any,
        X: Any,
        labels: NDArray[Any] | None,
        *,
        image_shape: tuple[int, ...],
        classes: Any,
        target: Any,
    ) -> Fitted:
        """Fit a clone of the estimator, unless it is frozen, and prepare the attack.

        Raises
        ------
        LabelError
            One class, or a target that the model does not have.
        ParameterError
            A dask X and an estimator that is not frozen; an attack that cannot be targeted.
        AdapterError
            The model cannot serve the attack.
        """
        attack_on(self.attack, returned_dtype(X.dtype))  # told before any training
        frozen = is_frozen(estimator)
        if not frozen and len(np.unique(np.asarray(labels))) < 2:
            raise LabelError("y has only one class; examples need two.")
        if is_lazy(X) and not frozen:
            raise ParameterError(
                "`estimator` must be in FrozenEstimator when X is a dask array, since training "
                f"would hold X whole, got {type(estimator).__name__}; fit it first."
            )
        prepares = type(self.attack).prepare is not Part.prepare
        samples = as_float32(np.asarray(X)) if prepares or not frozen else X
        estimator, model, known, units = fitted_model(
            estimator,
            samples,
            labels,
            image_shape=image_shape,
            classes=classes,
            output=self.output,
            adapter=self.adapter,
            seed=self.seed,
        )
        if len(known) < 2:
            raise LabelError(f"The model has only one class, {known.tolist()}; examples need two.")
        require(model, self.attack)
        if target is not None:
            one = target if np.ndim(target) == 0 else known[0]
            Aim.of(one, 1, known, units).check(self.attack, model)
        if prepares:
            with blame(self.attack, "prepare"):
                self.attack.prepare(*as_prepared(samples, labels, known, units))
        return Fitted(estimator=estimator, classes=known, units=units)

    def run(
        self, fitted: Fitted, X: Any, labels: NDArray[Any] | None, target: Any, out: Any
    ) -> xr.Dataset:
        """Make an example of each sample, write it to ``out``, and say what became of it.

        Raises
        ------
        LabelError
            Labels or a target that the model does not have.
        ParameterError, AdapterError
            An attack that cannot do what is asked, or a model that cannot tell what it takes.
        PluginError
            The attack broke its contract.
        """
        classes, units = fitted.classes, fitted.units
        own = None if labels is None else units[encode_labels(labels, classes)[1]]
        aim = Aim.of(target, len(X), classes, units)
        if not aim.targeted and self.stop.max_loss is not None:
            raise ParameterError(
                f"`max_loss` needs a target, got {self.stop.max_loss!r}: without one the loss is "
                "negative, so every sample is below it from the start. Use `min_confidence`."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PncvizWarning)  # said when it was fitted
            shape = tuple(X.shape[1:])
            model = adapt(
                fitted.estimator, input_shape=shape, output=self.output, adapter=self.adapter
            )
        aim.check(self.attack, model)
        with progress_bar("examples", len(X), bool(self.verbose)) as progress:
            maker = self._maker(model, returned_dtype(X.dtype), progress)
            record = maker.make(X, own, aim, out)
        return labelled(record, maker, aim, target, labels, classes, units)

    def _maker(self, model: Model, dtype: np.dtype[Any], progress: Any) -> Maker:
        def form(precision: str | None) -> Model:
            formed = fitted_out(
                model,
                precision=precision,
                batch_size=self.batch_size,
                deterministic=self.deterministic,
            )
            return reached(formed, self.attack, self)

        judge = form(None)
        return Maker(
            attack=attack_on(self.attack, dtype),
            model=form(self.precision) if self.precision else judge,
            judge=judge,
            stop=self.stop,
            seed=self.seed,
            deterministic=self.deterministic,
            progress=progress,
        )
