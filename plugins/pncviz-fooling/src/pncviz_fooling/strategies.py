"""Evolution as strategies of pncviz: patterns without gradients, starts or attacks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pncviz.exceptions import ParameterError
from pncviz.specs import Attack, Extraction, Model, Stop, Strategy, Streams
from pncviz_fooling.elites import Archive, Encoding, search
from pncviz_fooling.pixels import Pixels

__all__ = ["EvolutionCPPN", "EvolutionDirect"]


class _Evolution(Strategy):
    """What both encodings share."""

    needs = frozenset({"probabilities"})
    population: int
    bounds: tuple[float, float]

    def validate(self) -> None:
        """Raise for a bad parameter."""
        # Here and below: this loads torch, which no one needs who only looks at the plugin.
        from pncviz.synthesis import check_clip, check_count

        check_count("population", self.population)
        if self.bounds is None:
            raise ParameterError("`bounds` must be (low, high), got None.")
        try:
            check_clip(self.bounds)
        except ParameterError as error:
            raise ParameterError(f"`bounds` must be (low, high), got {self.bounds!r}.") from error

    def extract(
        self,
        model: Model,
        attack: Attack | None,  # noqa: ARG002 # part of the contract
        targets: Any,
        stop: Stop,
        streams: Streams,
    ) -> Extraction:
        """Evolve an elite for every unit, and give those of the targets."""
        encoding = self._encoding(model)
        archive: Archive[Any] = search(encoding, model, stop, streams.shared, self.population)
        return _extraction(archive, np.asarray(targets))

    def _encoding(self, model: Model) -> Encoding[Any]:
        raise NotImplementedError


class EvolutionDirect(_Evolution):
    """Evolve pixels: the direct encoding.

    Images begin as uniform noise. In each generation, ``population`` elites are drawn with
    repetition, and a changed copy of each is judged for every class; where it is better than the
    class's elite, it takes its place. The pattern of a class is its elite itself, an image within
    ``bounds``: nothing is subtracted.

    Parameters
    ----------
    population : int, default=200
        Images in each generation, the first included.
    bounds : (low, high), default=(0, 1)
        Of the input.
    mutation_rate : float, default=0.1
        Share of the pixels that change, at first.
    halve_every : int or None, default=1000
        Generations in which the rate drops by half; None keeps it.
    eta : float, default=15.0
        Strength of :func:`~pncviz_fooling.polynomial_mutation`; a larger one makes smaller steps.

    Notes
    -----
    ``max_iter`` counts generations; ``min_confidence`` and ``max_loss`` end the search once every
    class of the model reaches them; ``max_queries`` counts all images. ``n_queries`` is that of the
    search, which serves all classes, so it is the same for each. Defaults are nguyen2015deep's.

    Whether a child is better hangs on comparisons, so float32 rounding may decide one, and all that
    follows: ``deterministic=True`` gives the same bits for every batch size.

    References
    ----------
    nguyen2015deep; mouret2015illuminating.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset
    >>> from sklearn.linear_model import LogisticRegression
    >>> data = load_dataset("tiling")
    >>> model = LogisticRegression().fit(data.X.reshape(4, 36), data.y)
    >>> patterns = extract_patterns(
    ...     model, image_shape=(6, 6), strategy=EvolutionDirect(50), max_iter=20, random_state=0
    ... )
    >>> bool(patterns["succeeded"].all()), int(patterns["n_queries"][0])
    (True, 1050)
    """

    def __init__(
        self,
        population: int = 200,
        bounds: tuple[float, float] = (0.0, 1.0),
        mutation_rate: float = 0.1,
        halve_every: int | None = 1000,
        eta: float = 15.0,
    ) -> None:
        self.population = population
        self.bounds = bounds
        self.mutation_rate = mutation_rate
        self.halve_every = halve_every
        self.eta = eta

    def validate(self) -> None:
        """Raise for a bad parameter."""
        from pncviz.synthesis import check_count, check_number

        super().validate()
        check_number("mutation_rate", self.mutation_rate, low=0, high=1, open_low=True)
        check_count("halve_every", self.halve_every, none=True)
        check_number("eta", self.eta, low=0)

    def _encoding(self, model: Model) -> Pixels:
        return Pixels(
            n_pixels=math.prod(model.input_shape),
            bounds=self.bounds,
            rate=self.mutation_rate,
            halve_every=self.halve_every,
            eta=self.eta,
        )


class EvolutionCPPN(_Evolution):
    """Evolve networks that draw images: the indirect encoding.

    A compositional pattern-producing network takes the place of a pixel (column, row, distance to
    the centre) and gives its grey value, so images are regular: smooth, symmetric, repetitive.
    Networks begin without hidden nodes and grow by NEAT's mutations. The search is that of
    :class:`EvolutionDirect`, and so are patterns, stop rule and notes.

    Parameters
    ----------
    population : int, default=200
        Images in each generation, the first included.
    bounds : (low, high), default=(0, 1)
        Of the input.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        Needed for models that take flat rows.
    colour : {"hsv", "channels"}, default="hsv"
        What the outputs stand for where there are three channels: hue, saturation and value, or the
        channels. Other numbers of channels have one output each.
    weight_power : float, default=1.6
        Standard deviation of a change of a weight, which lies in -10..10.

    References
    ----------
    nguyen2015deep; stanley2007compositional.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset
    >>> from sklearn.linear_model import LogisticRegression
    >>> data = load_dataset("tiling")
    >>> model = LogisticRegression().fit(data.X.reshape(4, 36), data.y)
    >>> evolution = EvolutionCPPN(50, image_shape=(6, 6))
    >>> patterns = extract_patterns(
    ...     model, image_shape=(6, 6), strategy=evolution, max_iter=20, random_state=0
    ... )
    >>> bool(patterns["succeeded"].all())
    True
    """

    def __init__(
        self,
        population: int = 200,
        bounds: tuple[float, float] = (0.0, 1.0),
        image_shape: tuple[int, ...] | None = None,
        colour: str = "hsv",
        weight_power: float = 1.6,
    ) -> None:
        self.population = population
        self.bounds = bounds
        self.image_shape = image_shape
        self.colour = colour
        self.weight_power = weight_power

    def validate(self) -> None:
        """Raise for a bad parameter."""
        from pncviz.synthesis import check_count, check_number

        super().validate()
        check_number("weight_power", self.weight_power, low=0, open_low=True)
        if self.colour not in ("hsv", "channels"):
            raise ParameterError(f'`colour` must be "hsv" or "channels", got {self.colour!r:.80}.')
        if self.image_shape is not None:
            sides = self.image_shape if isinstance(self.image_shape, tuple | list) else ()
            if len(sides) not in (2, 3):
                raise ParameterError(
                    "`image_shape` must be (rows, columns) or (channels, rows, columns), got "
                    f"{self.image_shape!r:.80}."
                )
            for side in sides:
                check_count("image_shape", side)

    def _encoding(self, model: Model) -> Any:
        from pncviz_fooling.cppn import Networks

        shape = self.image_shape or model.input_shape
        if len(shape) not in (2, 3) or math.prod(shape) != math.prod(model.input_shape):
            raise ParameterError(
                "`image_shape` must be (rows, columns) or (channels, rows, columns) of the input: "
                f"a CPPN draws images. The model takes {model.input_shape}, got "
                f"{self.image_shape!r}."
            )
        shape = (1, *shape) if len(shape) == 2 else tuple(shape)
        return Networks(
            image_shape=shape,
            bounds=self.bounds,
            weight_power=self.weight_power,
            hsv=self.colour == "hsv" and shape[0] == 3,
        )


def _extraction(archive: Archive[Any], targets: Any) -> Extraction:
    """Give the elites of the targets, whatever else was evolved."""
    k, trace = len(targets), archive.trace
    return Extraction(
        pattern=np.stack([archive.image[unit] for unit in targets]),
        loss=archive.loss[targets],
        confidence=archive.confidence[targets],
        n_iter=np.full(k, len(trace.iteration) - 1),
        unit=archive.unit[targets],
        stop_reason=archive.stop_reason[targets],
        success_rate=(archive.unit[targets] == targets).astype(np.float64),
        trace=type(trace)(
            iteration=trace.iteration,
            loss=trace.loss[targets],
            confidence=trace.confidence[targets],
        ),
        n_queries=np.full(k, archive.n_queries),
    )
