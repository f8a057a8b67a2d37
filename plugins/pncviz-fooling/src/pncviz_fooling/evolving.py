"""A whole run of evolution as a labelled dataset, with its course."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import pncviz
from pncviz.exceptions import ParameterError
from pncviz.specs import Strategy
from pncviz_fooling.strategies import EvolutionCPPN, EvolutionDirect

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ENCODINGS", "evolve", "strategy_of"]

#: Encodings by the name that :func:`evolve` takes.
ENCODINGS: dict[str, type[EvolutionDirect] | type[EvolutionCPPN]] = {
    "direct": EvolutionDirect,
    "cppn": EvolutionCPPN,
}

_QUARTILES = {
    "lower_confidence": (0.25, "lower quartile of the confidence over classes"),
    "median_confidence": (0.5, "median confidence over classes"),
    "upper_confidence": (0.75, "upper quartile of the confidence over classes"),
}


def evolve(
    estimator: Any,
    *,
    encoding: str | Strategy = "direct",
    n_generations: int = 200,
    population: int | None = None,
    bounds: tuple[float, float] | None = None,
    image_shape: tuple[int, ...] | None = None,
    random_state: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Evolve the image of each class that the model is surest of.

    Parameters
    ----------
    estimator : fitted skorch net, torch.nn.Module, or scikit-learn classifier with probabilities
    encoding : {"direct", "cppn"} or Strategy, default="direct"
        Pixels, networks that draw, or one of the strategies with parameters of its own.
    n_generations : int, default=200
    population : int, optional
        Images in each generation; 200 by default.
    bounds : (low, high), optional
        Of the input; 0 and 1 by default.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        Needed for flat inputs by "cppn", and to draw them.
    random_state : int, RandomState, Generator or None, default=None
    **options
        Of :func:`pncviz.extract_patterns`, such as ``labels``, ``min_confidence``, ``max_queries``,
        ``memory``, ``n_jobs``, ``deterministic``. The search is the same whichever labels are
        asked for.

    Returns
    -------
    xarray.Dataset
        Patterns as :func:`pncviz.extract_patterns` gives them: the elites. Besides, ``found_at``
        (label), the generation in which each elite was found, and per ``generation`` the quartiles
        of confidence over the labels (``lower_confidence``, ``median_confidence``,
        ``upper_confidence``) and ``generation_queries``, the images judged until then.
        ``trace_confidence`` has each label by itself.

    Raises
    ------
    ParameterError
        A parameter is wrong.
    AdapterError
        The model gives labels only: evolution needs probabilities.

    References
    ----------
    nguyen2015deep.

    Examples
    --------
    >>> from pncviz import load_dataset
    >>> from sklearn.linear_model import LogisticRegression
    >>> data = load_dataset("tiling")
    >>> model = LogisticRegression().fit(data.X.reshape(4, 36), data.y)
    >>> elites = evolve(
    ...     model, image_shape=(6, 6), n_generations=20, population=50, random_state=0
    ... )
    >>> elites["median_confidence"].sizes, int(elites["generation_queries"][-1])
    (Frozen({'generation': 21}), 1050)
    """
    strategy = strategy_of(encoding, population, bounds, image_shape)
    elites = pncviz.extract_patterns(
        estimator,
        strategy=strategy,
        image_shape=image_shape,
        max_iter=n_generations,
        random_state=random_state,
        **options,
    )
    return _with_generations(elites, strategy)


def strategy_of(
    encoding: str | Strategy,
    population: int | None,
    bounds: tuple[float, float] | None,
    image_shape: tuple[int, ...] | None,
) -> Strategy:
    """Make the strategy of an encoding; one that is given has its own parameters."""
    given = {"population": population, "bounds": bounds}
    params: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if isinstance(encoding, EvolutionDirect | EvolutionCPPN):
        if params:
            raise ParameterError(
                f"`{next(iter(params))}` is a parameter of the strategy given as `encoding`, "
                f"{encoding!r:.80}; set it there."
            )
        return encoding
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        raise ParameterError(
            '`encoding` must be "direct", "cppn", EvolutionDirect(...) or EvolutionCPPN(...), got '
            f"{encoding!r:.80}."
        )
    if encoding == "cppn" and image_shape is not None:
        params["image_shape"] = tuple(image_shape)
    return ENCODINGS[encoding](**params)


def _with_generations(elites: xr.Dataset, strategy: Any) -> xr.Dataset:
    """Add what the traces tell of each generation."""
    trace = elites["trace_confidence"].values
    # Elites change only for the better, so the last level was new when it was first reached.
    found = (trace == trace[:, -1:]).argmax(axis=1)
    generation = elites["trace_iteration"].values
    judged = (generation + 1) * strategy.population
    added: dict[str, Any] = {
        "found_at": (
            "label",
            found,
            {"long_name": "generation in which the elite was found", "units": "1"},
        ),
        "generation_queries": (
            "generation",
            np.minimum(judged, elites["n_queries"].values[0]),
            {"long_name": "images judged until then", "units": "1"},
        ),
    }
    for name, (share, long_name) in _QUARTILES.items():
        values = np.quantile(trace, share, axis=0)
        added[name] = ("generation", values, {"long_name": long_name, "units": "1"})
    index = ("generation", generation, {"long_name": "generation", "units": "1"})
    return elites.assign(added).assign_coords(generation=index)
