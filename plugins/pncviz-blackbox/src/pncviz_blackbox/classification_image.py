"""Reverse correlation: what the noise that a model calls a class has in common."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from pncviz.exceptions import ParameterError
from pncviz.specs import Extraction, Model, Stop, Strategy, Streams
from pncviz.synthesis.parameters import check_count, check_number
from pncviz_blackbox.images import images_of, whitened
from pncviz_blackbox.noise import Doubles, Noise
from pncviz_blackbox.offset import check_offset, offset_of
from pncviz_blackbox.spectra import noise_named
from pncviz_blackbox.sums import WEIGHTS, Sums, looked_at, tallied

__all__ = ["ClassificationImage"]


class _Needs:
    """What the model must offer: labels, unless the weights ask for more."""

    def __get__(self, part: ClassificationImage | None, owner: type) -> frozenset[str]:
        labels = part is None or part.weights == "labels"
        return frozenset({"labels" if labels else "probabilities"})


class ClassificationImage(Strategy):
    """Show the model noise, and average what it calls each class.

    The pattern of a class is the mean of the fields that the model calls the class, minus the mean
    of those that it does not. One set of fields serves every class; it is the same for every batch
    size and choice of labels, and none of it is kept but sums.

    Parameters
    ----------
    n_fields : int, default=10_000
        Noise fields to show; ``max_queries`` may allow fewer.
    noise : str or Noise, default="white"
        "white", "binary" (as white, and cheaper), "gabor_pca", "class_mean_spectrum" (needs
        samples), or a :class:`~pncviz_blackbox.noise.Noise`. For tables, white or binary.
    rms : float, default=0.2
        Root mean square of each field, in units of the input. Small noise around a black image
        reaches far more classes than large noise around grey does.
    offset : float, array-like of one input's size, or "mean", default=0.0
        What fields are added to, in units of the input; "mean" is the mean of the class means of
        the samples.
    weights : {"labels", "probabilities", "log_probabilities"}, default="labels"
        With labels the model need not give more than its predictions. With probabilities or their
        logarithms the pattern is the mean of the fields weighted by the standardised answer.
    antithetic : bool, default=False
        Show each field and its negative. That takes away what the answers to both have in common,
        and halves the number of independent fields; for a model that is nearly linear it costs half
        the queries.
    whiten : bool, default=False
        Divide the pattern by the noise's covariance, so that for a linear model it tends to the
        weights, whatever the noise, as far as the noise has them: see
        :func:`~pncviz_blackbox.images.whitened`.
    image_shape : tuple of int, optional
        What inputs laid flat are, if the core does not say; only noise of images needs it.

    Notes
    -----
    Of the result, ``n_iter`` is the number of fields that the model called the class, ``n_queries``
    the number of fields and one. ``confidence``, ``loss``, ``prediction`` and ``success_rate`` are
    the model's answer to the pattern itself, scaled to the root mean square of the noise and added
    to the offset; with labels, the confidence is 1 or 0. The stop reason is "n_fields",
    "max_queries", or "never_called" or "always_called", where there is nothing to tell apart and
    the pattern is zero.

    For a linear model and white noise, the correlation of pattern and weights is
    1 / sqrt(1 + (d - 1) / (c n)) for d values and n fields, where c is the squared correlation of
    the answer with the weighted sum that it is made from: 2/π for the labels of two equally
    frequent classes, 1 for answers that are the sum itself.

    References
    ----------
    ahumada1971stimulus, murray2011classification, borji2020white.

    Examples
    --------
    >>> import warnings
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from pncviz import extract_patterns, load_dataset
    >>> data = load_dataset("digits")
    >>> flat = data.X.reshape(len(data.X), -1)
    >>> model = FrozenEstimator(LogisticRegression(max_iter=200).fit(flat, data.y))
    >>> patterns = extract_patterns(
    ...     model, input_shape=(64,), image_shape=(1, 8, 8), random_state=0,
    ...     strategy=ClassificationImage(n_fields=5000, weights="probabilities"),
    ... )
    >>> patterns["pattern"].shape, int(patterns["n_iter"].sum()), bool(patterns["succeeded"].all())
    ((10, 1, 8, 8), 5000, True)
    """

    reduction = "mean"
    needs = _Needs()

    def __init__(
        self,
        n_fields: int = 10_000,
        *,
        noise: str | Noise = "white",
        rms: float = 0.2,
        offset: float | str | ArrayLike = 0.0,
        weights: str = "labels",
        antithetic: bool = False,
        whiten: bool = False,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.n_fields = n_fields
        self.noise = noise
        self.rms = rms
        self.offset = offset
        self.weights = weights
        self.antithetic = antithetic
        self.whiten = whiten
        self.image_shape = image_shape

    def validate(self) -> None:
        """Raise ParameterError for a bad parameter."""
        check_count("n_fields", self.n_fields, low=2)
        check_number("rms", self.rms, low=0, open_low=True)
        noise_named(self.noise).validate()
        if self.weights not in WEIGHTS:
            names = ", ".join(f'"{name}"' for name in WEIGHTS)
            raise ParameterError(f"`weights` must be one of {names}, got {self.weights!r:.80}.")
        for name in ("antithetic", "whiten"):
            if not isinstance(getattr(self, name), bool):
                raise ParameterError(
                    f"`{name}` must be True or False, got {getattr(self, name)!r:.80}."
                )
        check_offset(self.offset)

    def prepare(self, X: ArrayLike | None, y: ArrayLike | None) -> None:
        """Keep what the noise and the offset need of the samples."""
        # How they lie as images is not known before `extract`.
        self.samples_ = None if X is None or y is None else (np.asarray(X), np.asarray(y))

    def extract(
        self,
        model: Model,
        attack: Any,  # noqa: ARG002 # part of the protocol
        targets: NDArray[np.int64],
        stop: Stop,
        streams: Streams,
        n_blocks: int = 0,
        image_shape: tuple[int, ...] | None = None,
    ) -> Extraction:
        """Show the noise, and make the patterns; see :class:`pncviz.Strategy`."""
        n, reason = self._n_fields(model, stop)
        shape = self._shape(model.input_shape, image_shape)
        noise = clone(noise_named(self.noise))
        samples = getattr(self, "samples_", None)
        if samples is not None:
            noise.prepare(samples[0].reshape(-1, *shape), samples[1], shape)
        start = offset_of(self.offset, samples, math.prod(shape))
        (sums,) = tallied(
            model,
            noise,
            targets,
            n,
            shape=shape,
            stream=streams.shared,
            weights=(self.weights,),
            rms=self.rms,
            offset=start,
            antithetic=self.antithetic,
            n_blocks=max(1, min(n_blocks, n // 2 if self.antithetic else n)),  # none empty
        )
        blocks = self.rms * images_of(sums, self.weights)
        if self.whiten:
            blocks = whitened(blocks, noise, shape)
        pattern = blocks.sum(axis=0) / sums.n
        # Looked at once more, as the model sees noise.
        size = np.sqrt((pattern**2).mean(axis=1, keepdims=True))
        x = self.rms * pattern / np.where(size > 0, size, 1) + start
        found = looked_at(model, x, targets, labels_do=self.weights == "labels")
        return _extraction(
            model, targets, sums, pattern, found, blocks if n_blocks else None, reason
        )

    # ---------------------------------------------------------------------- inside

    def _n_fields(self, model: Model, stop: Stop) -> tuple[int, str]:
        """Give how many fields there may be, whichever classes are asked for, and what says so."""
        n, reason = self.n_fields, "n_fields"
        if stop.max_queries is not None and stop.max_queries - model.n_units < n:
            n, reason = stop.max_queries - model.n_units, "max_queries"
        if self.antithetic:
            n -= n % 2
        if n < 2:
            raise ParameterError(
                f"`max_queries` must be {model.n_units + 2} or more: one for each of "
                f"{model.n_units} patterns, and the others for noise; got {stop.max_queries}."
            )
        return n, reason

    def _shape(
        self, input_shape: tuple[int, ...], known: tuple[int, ...] | None
    ) -> tuple[int, ...]:
        shape = tuple(self.image_shape or known or input_shape)
        if math.prod(shape) != math.prod(input_shape):
            raise ParameterError(
                f"`image_shape` {shape} has {math.prod(shape)} values, but inputs of shape "
                f"{tuple(input_shape)} have {math.prod(input_shape)}."
            )
        return shape


def _extraction(
    model: Model,
    targets: NDArray[np.int64],
    sums: Sums,
    pattern: Doubles,
    found: tuple[NDArray[np.int64], Doubles],
    blocks: Doubles | None,
    reason: str,
) -> Extraction:
    """Put all together; ``found`` is the unit and the confidence of each pattern."""
    unit, confidence = found
    differs = sums.variance > 0
    flat = np.where(sums.called > 0, "always_called", "never_called")
    images = (len(targets), *model.input_shape)
    return Extraction(
        pattern=pattern.reshape(images),
        loss=-np.log(np.clip(confidence, np.finfo(np.float64).tiny, 1)),
        confidence=confidence,
        n_iter=sums.called,
        unit=unit,
        stop_reason=np.where(differs, reason, flat).astype(str),
        success_rate=((unit == targets) & differs).astype(np.float64),
        block=None if blocks is None else blocks.reshape(len(blocks), *images),
        n_block=None if blocks is None else sums.count,
        n_queries=np.full(len(targets), sums.n + 1),
    )
