"""All kinds of fooling images side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pncviz
from pncviz.exceptions import ParameterError
from pncviz_fooling.evolving import strategy_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["KINDS", "fooling_images"]

#: What :func:`fooling_images` can make.
KINDS = ("evolution_direct", "evolution_cppn", "gradient_ascent")


def fooling_images(
    estimator: Any,
    *,
    kinds: Sequence[str] = KINDS,
    n_generations: int = 200,
    population: int | None = None,
    n_steps: int = 1000,
    learning_rate: float = 1.0,
    bounds: tuple[float, float] = (0.0, 1.0),
    image_shape: tuple[int, ...] | None = None,
    min_confidence: float | None = 0.9999,
    random_state: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Make images of each class that the model is sure of, in several ways.

    Parameters
    ----------
    estimator : fitted classifier
    kinds : sequence of {"evolution_direct", "evolution_cppn", "gradient_ascent"}
        All by default. Gradient ascent climbs the class's score from a black image within the
        bounds; it needs a model with gradients, and the plugin pncviz-attacks.
    n_generations, population
        Of evolution.
    n_steps, learning_rate
        Of gradient ascent.
    bounds : (low, high), default=(0, 1)
    image_shape : (rows, columns) or (channels, rows, columns), optional
    min_confidence : float or None, default=0.9999
        Evolution stops once all classes reach it, gradient ascent once the class does.
    random_state : int, RandomState, Generator or None, default=None
    **options
        Of :func:`pncviz.extract_patterns`.

    Returns
    -------
    xarray.Dataset
        Patterns with a leading dimension ``strategy`` that has the names of ``kinds``.

    Raises
    ------
    ParameterError
        An unknown kind, or a bad parameter.
    UnknownNameError
        Gradient ascent without pncviz-attacks.
    AdapterError
        The model lacks what a kind needs.

    References
    ----------
    nguyen2015deep; simonyan2014deep.

    Examples
    --------
    >>> from pncviz import load_dataset
    >>> from sklearn.linear_model import LogisticRegression
    >>> data = load_dataset("tiling")
    >>> model = LogisticRegression(C=100).fit(data.X.reshape(4, 36), data.y)
    >>> images = fooling_images(
    ...     model, kinds=["evolution_direct", "evolution_cppn"], image_shape=(6, 6),
    ...     population=50, n_generations=30, min_confidence=0.9, random_state=0,
    ... )
    >>> images["pattern"].dims, bool(images["succeeded"].all())
    (('strategy', 'label', 'channel', 'row', 'column'), True)
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if isinstance(kinds, str) or unknown or not kinds or len(set(kinds)) < len(kinds):
        raise ParameterError(
            f"`kinds` must be a sequence of {', '.join(KINDS)}, each once, got {kinds!r:.80}."
        )
    from pncviz.data import resolve_seed

    # One seed for all, so that each kind is the same alone and among others.
    seed = resolve_seed(random_state)
    made = {}
    for kind in kinds:
        parts: dict[str, Any] = {"max_iter": n_generations}
        if kind == "gradient_ascent":
            attack = pncviz.make_attack(kind, learning_rate=learning_rate, clip=bounds)
            parts = {"strategy": "zero", "attack": attack, "max_iter": n_steps}
        else:
            name = kind.removeprefix("evolution_")
            parts["strategy"] = strategy_of(name, population, bounds, image_shape)
        made[kind] = pncviz.extract_patterns(
            estimator,
            image_shape=image_shape,
            min_confidence=min_confidence,
            random_state=seed,
            **parts,
            **options,
        )
    return pncviz.concat_patterns(made)
