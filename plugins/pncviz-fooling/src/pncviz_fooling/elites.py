"""MAP-Elites over classes: one search that keeps the best individual of each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pncviz.exceptions import ModelError
from pncviz.specs import Model, Stop, Trace

__all__ = ["Archive", "Encoding", "search"]

Genome = TypeVar("Genome")


class Encoding(Protocol[Genome]):
    """How an individual is made, changed, and shown to the model."""

    def first(self, n: int, rng: np.random.Generator) -> list[Genome]:
        """Make n individuals that know nothing."""

    def children(
        self, parents: list[Genome], generation: int, rng: np.random.Generator
    ) -> list[Genome]:
        """Make one changed copy of each; generations count from 1."""

    def images(self, genomes: list[Genome]) -> NDArray[np.float64]:
        """Draw individuals: (n, ...), in the units of the model's input."""


class Archive(Generic[Genome]):
    """The best individual of each unit so far, and the course of the search.

    Attributes
    ----------
    genome : list of n_units
    image : list of arrays
        Each elite as the model was shown it.
    confidence : ndarray of shape (n_units,)
        The unit's probability for its elite.
    unit : int64 ndarray of shape (n_units,)
        What the model takes each elite for.
    confidences : list of arrays of shape (n_units,)
        After each generation, the first being the start.
    n_queries : int
    stop_reason : ndarray of str of shape (n_units,)
    """

    def __init__(self, n_units: int) -> None:
        self.genome: list[Any] = [None] * n_units
        self.image: list[Any] = [None] * n_units
        self.confidence = np.full(n_units, -np.inf)
        self.unit = np.zeros(n_units, dtype=np.int64)
        self.confidences: list[NDArray[np.float64]] = []
        self.n_queries = 0
        self.stop_reason: NDArray[np.str_] = np.full(n_units, "max_iter", dtype="U16")

    def add(self, genomes: list[Genome], images: NDArray[Any], shares: NDArray[np.float64]) -> None:
        """Let each individual take over every cell in which it is better than the elite.

        Of equally good newcomers the first takes it; an equally good elite stays.
        """
        best = shares.argmax(axis=0)
        for cell in np.flatnonzero(shares.max(axis=0) > self.confidence).tolist():
            one = int(best[cell])
            self.genome[cell], self.image[cell] = genomes[one], images[one].copy()
            self.confidence[cell], self.unit[cell] = shares[one, cell], shares[one].argmax()
        self.confidences.append(self.confidence.copy())
        self.n_queries += len(genomes)

    @property
    def loss(self) -> NDArray[np.float64]:
        """Cross-entropy of each elite, in nats."""
        return _loss(self.confidence)

    @property
    def trace(self) -> Trace:
        """Confidence and loss of each cell after each generation."""
        confidence = np.stack(self.confidences, axis=1)
        return Trace(
            iteration=np.arange(len(self.confidences)),
            loss=_loss(confidence),
            confidence=confidence,
        )


def search(
    encoding: Encoding[Genome],
    model: Model,
    stop: Stop,
    draw: Callable[[int], np.random.Generator],
    population: int,
) -> Archive[Genome]:
    """Evolve one elite for each unit of the model.

    In each generation ``population`` elites are drawn, with repetition, and each gets one changed
    child; all children are judged at once, and each for every unit.

    Parameters
    ----------
    encoding : Encoding
    model : Model
        Asked for probabilities.
    stop : Stop
        ``max_iter`` counts generations after the start; confidence or loss end the search once
        all units reach them; the last generation is cut to what ``max_queries`` leaves.
    draw : callable
        ``draw(generation)`` gives the generator of one generation, so that a longer search begins
        as a shorter one does.
    population : int

    Raises
    ------
    ModelError
        Probabilities that are not finite.
    """
    archive: Archive[Genome] = Archive(model.n_units)
    end = "max_iter"
    for generation in range(stop.max_iter + 1):
        n = population
        if stop.max_queries is not None:
            n = min(n, stop.max_queries - archive.n_queries)
        if n <= 0:
            end = "max_queries"
            break
        rng = draw(generation)
        if generation == 0:
            genomes = encoding.first(n, rng)
        else:
            # All are drawn, so that a cut generation begins as a whole one does.
            chosen = rng.integers(model.n_units, size=population)[:n]
            genomes = encoding.children([archive.genome[c] for c in chosen], generation, rng)
        archive.add(genomes, *_judged(model, encoding.images(genomes)))
        if _reached(archive, stop).all():
            break
    archive.stop_reason[:] = _reasons(archive, stop, end)
    return archive


def _judged(model: Model, images: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Ask for the probabilities of all at once; gives the images as the model saw them."""
    x = model.tensor(images)
    shares = np.asarray(model.probabilities(x).detach().cpu().double(), dtype=np.float64)
    if not np.isfinite(shares).all():
        raise ModelError(
            "The model gives probabilities that are NaN or infinite for images in its range; "
            "evolution cannot rank them."
        )
    seen = x.detach().cpu()
    # numpy has no bfloat16.
    return (seen if seen.element_size() > 2 else seen.float()).numpy(), shares


def _reached(archive: Archive[Any], stop: Stop) -> NDArray[np.bool_]:
    """Say which cells the stop rule is content with."""
    done = np.zeros(len(archive.confidence), dtype=bool)
    if stop.min_confidence is not None:
        done |= archive.confidence >= stop.min_confidence
    if stop.max_loss is not None:
        done |= archive.loss <= stop.max_loss
    return done


def _reasons(archive: Archive[Any], stop: Stop, end: str) -> NDArray[np.str_]:
    """Say of each cell that reached the rule which it was, and of others what ended the search."""
    reasons = np.full(len(archive.confidence), end, dtype="U16")
    if stop.max_loss is not None:
        reasons[archive.loss <= stop.max_loss] = "max_loss"
    if stop.min_confidence is not None:
        reasons[archive.confidence >= stop.min_confidence] = "min_confidence"
    return reasons


def _loss(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the negative logarithm; finite where the model says zero."""
    loss: NDArray[np.float64] = -np.log(np.maximum(confidence, np.finfo(np.float64).tiny))
    return loss
