"""MAP-Elites: against plain loops, and against a model whose optima are known."""

import fooling_reference as plain
import numpy as np
import pytest

from pncviz.exceptions import ModelError
from pncviz.specs import Stop
from pncviz_fooling.elites import Archive, search
from pncviz_fooling.pixels import Pixels

PIXELS = Pixels(n_pixels=9, bounds=(0.0, 1.0), rate=0.1, halve_every=1000, eta=15.0)


def run(predict, stop, *, n_units=3, pixels=PIXELS, population=12, seed=5):
    model = plain.model_of(predict, n_units, pixels.n_pixels)
    return search(pixels, model, stop, plain.draws(seed), population)


def test_equals_plain_loops_generation_by_generation():
    """The same draws give the elites of one-by-one loops after every generation."""
    predict = plain.softmax_net(9, 3)
    course = plain.plain_map_elites(
        predict, 3, 9, population=12, generations=25, draw=plain.draws(5)
    )
    for generation, (elites, best) in enumerate(course):
        archive = run(predict, Stop(max_iter=generation))
        assert np.stack(archive.genome) == pytest.approx(elites, abs=1e-12)
        assert archive.confidence == pytest.approx(best, abs=1e-12)
    wanted = np.array([best for _, best in course])
    assert np.abs(archive.trace.confidence.T - wanted).max() < 1e-12


def test_optimum_of_a_known_model():
    """Where the class is the mean pixel, its elites are all black and all white."""
    pixels = Pixels(n_pixels=4, bounds=(0.0, 1.0), rate=0.1, halve_every=1000, eta=15.0)
    archive = run(plain.ByMean().predict_proba, Stop(max_iter=300), pixels=pixels, population=50)
    # The first pixel of a light image lowers the class by as much as it lifts the third.
    assert archive.image[0].tolist() == [0, 0, 0, 0]
    assert archive.image[1][1:].tolist() == [1, 1, 1]
    assert archive.image[2][0] == 1
    assert archive.confidence[[0, 2]].tolist() == [1.0, 0.1]


def test_elites_only_get_better():
    """No cell ever falls back, and each elite has the confidence that is recorded for it."""
    predict = plain.softmax_net(9, 3, seed=1)
    archive = run(predict, Stop(max_iter=40))
    steps = np.diff(archive.trace.confidence, axis=1)
    assert (steps >= 0).all()
    assert (steps > 0).any(axis=1).all()
    shares = predict(np.stack(archive.image))
    assert np.diag(shares) == pytest.approx(archive.confidence)
    assert shares.argmax(axis=1).tolist() == archive.unit.tolist()


def test_one_child_may_take_several_cells():
    """An individual is judged for every class, the first of equals wins, and equals stay."""
    archive = Archive(3)
    shares = np.array([[0.5, 0.4, 0.1], [0.2, 0.4, 0.4], [0.5, 0.1, 0.4]])
    archive.add(["a", "b", "c"], np.arange(3.0)[:, None], shares)
    assert archive.genome == ["a", "a", "b"]
    archive.add(["d"], np.array([[9.0]]), np.array([[0.5, 0.5, 0.0]]))
    assert archive.genome == ["a", "d", "b"]
    assert [image.item() for image in archive.image] == [0.0, 9.0, 1.0]
    assert archive.unit.tolist() == [0, 0, 1]
    assert archive.n_queries == 4


def test_longer_search_begins_as_a_shorter_one():
    """Generations have generators of their own, so a search is the beginning of a longer one."""
    predict = plain.softmax_net(9, 3)
    short, long = (run(predict, Stop(max_iter=n)).trace.confidence for n in (7, 20))
    assert np.array_equal(short, long[:, :8])


def test_every_cell_is_a_parent():
    """Parents are drawn from all cells alike."""
    seen = []

    class Watched(Pixels):
        def children(self, parents, generation, rng):
            seen.extend(parent.tobytes() for parent in parents)
            return parents

    pixels = Watched(n_pixels=9, bounds=(0.0, 1.0), rate=0.1, halve_every=None, eta=15.0)
    archive = run(plain.softmax_net(9, 3), Stop(max_iter=1), pixels=pixels, population=300)
    counts = [seen.count(genome.tobytes()) for genome in archive.genome]
    assert sum(counts) == 300
    assert min(counts) > 70


@pytest.mark.parametrize("left, generations", [(5, 1), (12, 1), (30, 3), (36, 3)])
def test_queries_are_limited(left, generations):
    """The last generation is cut to what is left, and none follows."""
    asked = []

    def predict(x):
        asked.append(len(x))
        return plain.softmax_net(9, 3)(x)

    archive = run(predict, Stop(max_iter=50, max_queries=left))
    assert archive.n_queries == sum(asked) == left
    assert len(asked) == generations
    assert archive.stop_reason.tolist() == ["max_queries"] * 3


def test_stops_once_all_cells_are_content():
    """The search ends in the first generation in which every class reaches the confidence."""
    predict = plain.softmax_net(9, 3)
    free = run(predict, Stop(max_iter=60)).trace.confidence.min(axis=0)
    level = float(free[20])
    archive = run(predict, Stop(max_iter=60, min_confidence=level))
    assert len(archive.confidences) == int((free >= level).argmax()) + 1 < 61
    assert set(archive.stop_reason.tolist()) == {"min_confidence"}
    by_loss = run(predict, Stop(max_iter=60, max_loss=-np.log(level) + 1e-12))
    assert len(by_loss.confidences) == len(archive.confidences)
    assert set(by_loss.stop_reason.tolist()) == {"max_loss"}


def test_reasons_are_of_each_cell():
    """Cells that reached the rule say so, though others kept the search going."""
    pixels = Pixels(n_pixels=4, bounds=(0.0, 1.0), rate=0.1, halve_every=1000, eta=15.0)
    stop = Stop(max_iter=60, min_confidence=0.8)
    archive = run(plain.ByMean().predict_proba, stop, pixels=pixels, population=50)
    assert archive.stop_reason.tolist() == ["min_confidence", "min_confidence", "max_iter"]
    assert len(archive.confidences) == 61


def test_loss_is_the_logarithm():
    """Loss is -log of the confidence, and finite where that is zero."""
    archive = run(lambda x: np.tile([0.25, 0.75, 0.0], (len(x), 1)), Stop(max_iter=1))
    assert archive.loss[:2] == pytest.approx(-np.log([0.25, 0.75]))
    assert archive.trace.loss[2] == pytest.approx([708.4, 708.4], abs=0.1)


def test_probabilities_that_are_not_numbers():
    """NaN would win or lose every comparison; it is refused."""
    with pytest.raises(ModelError, match="NaN or infinite"):
        run(lambda x: np.full((len(x), 3), np.nan), Stop(max_iter=1))


def test_rate_falls_with_generations():
    """The share of changed pixels drops by half when it should."""
    pixels = Pixels(n_pixels=4000, bounds=(0.0, 1.0), rate=0.2, halve_every=10, eta=15.0)
    parent = np.full(4000, 0.5)
    for generation, rate in [(9, 0.2), (10, 0.1), (25, 0.05)]:
        (child,) = pixels.children([parent], generation, np.random.default_rng(0))
        assert (child != parent).mean() == pytest.approx(rate, abs=0.02)
    steady = Pixels(n_pixels=4, bounds=(0.0, 1.0), rate=0.2, halve_every=None, eta=15.0)
    assert steady.rate_at(10**6) == 0.2
