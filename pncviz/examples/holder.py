"""What an estimator of examples shows of its last call."""

from __future__ import annotations

from typing import Any

import xarray as xr
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from pncviz.exceptions import DataError
from pncviz.models import is_frozen

__all__ = ["ExampleHolder", "Last"]


class Last:
    """Holds what the last call made, so that ``transform`` leaves the estimator as it is."""

    examples: xr.Dataset | None = None


class ExampleHolder(
    OneToOneFeatureMixin,  # type: ignore[misc] # sklearn is untyped
    TransformerMixin,  # type: ignore[misc] # likewise
    BaseEstimator,  # type: ignore[misc] # likewise
):
    """Base of the estimator: ``fit`` sets ``_last`` and ``_sample_shape``, calls fill ``_last``."""

    estimator: Any
    max_iter: int
    _last: Last
    _sample_shape: tuple[int, ...]

    @property
    def examples_(self) -> xr.Dataset:
        """What became of each sample in the last call."""
        last = self.__dict__.get("_last")
        if last is None or last.examples is None:
            raise AttributeError(
                "There are no `examples_` yet; call transform, fit_transform or generate first."
            )
        found: xr.Dataset = last.examples
        return found

    @property
    def n_iter_(self) -> int:
        """The most updates that an example took in the last call; before one, ``max_iter``."""
        check_is_fitted(self, "estimator_")
        last = self._last.examples
        return int(self.max_iter) if last is None else int(last["n_iter"].max())

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Name the features, which are those of X; images have none."""
        check_is_fitted(self, "estimator_")
        if len(self._sample_shape) != 1:
            raise DataError(
                f"Samples of shape {self._sample_shape} have no feature names; flatten X."
            )
        names: NDArray[Any] = super().get_feature_names_out(input_features)
        return names

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = not is_frozen(self.estimator)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
