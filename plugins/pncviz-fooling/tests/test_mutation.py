"""Polynomial mutation: against the published density, plain loops, and DEAP."""

import random

import fooling_reference as plain
import numpy as np
import pytest
from scipy import stats

from pncviz.exceptions import ParameterError
from pncviz_fooling import polynomial_mutation


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("eta", [0.0, 2.0, 15.0])
def test_steps_have_debs_density(eta):
    """Upward steps from the low bound, and downward ones from the high, are never cut."""
    n, rest = 20000, {"rate": 1.0, "eta": eta}
    up = polynomial_mutation(np.zeros((1, n)), rng(1), **rest)[0]
    down = 1 - polynomial_mutation(np.ones((1, n)), rng(2), **rest)[0]
    for steps in (up[up > 0], down[down > 0]):
        assert len(steps) == pytest.approx(n / 2, abs=4 * np.sqrt(n / 4))
        assert stats.kstest(steps, lambda d: 1 - (1 - d) ** (eta + 1)).pvalue > 1e-3
        assert steps.mean() == pytest.approx(1 / (eta + 2), rel=0.05)


def test_step_scales_with_the_range():
    """A range ten times as wide makes steps ten times as long."""
    narrow = polynomial_mutation(np.full((3, 50), 0.5), rng(), rate=0.5) - 0.5
    wide = polynomial_mutation(np.full((3, 50), 5.0), rng(), rate=0.5, bounds=(0, 10)) - 5
    assert wide == pytest.approx(10 * narrow)


def test_rate_is_the_share_of_changed_values():
    """Each value is chosen independently with the probability given."""
    moved = polynomial_mutation(np.full((200, 500), 0.5), rng(), rate=0.1) != 0.5
    assert moved.mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / moved.size))
    assert moved.sum(axis=1).var() == pytest.approx(45, rel=0.3)


def test_equals_plain_loops():
    """The same draws give the same values as one loop per value."""
    x = rng(1).random((7, 30))
    fast = polynomial_mutation(x, rng(2), rate=0.4, eta=3.0)
    slow = plain.plain_polynomial(x, rng(2), rate=0.4, eta=3.0, low=0.0, high=1.0)
    assert fast == pytest.approx(slow, abs=1e-14)
    assert (fast != x).any()


def test_equals_deap_far_from_the_bounds():
    """DEAP's bounded variant is the same where bounds are far, draw for draw."""
    tools = pytest.importorskip("deap.tools")
    state = random.getstate()
    random.seed(3)
    numbers = np.array([random.random() for _ in range(400)])
    random.seed(3)
    deap = tools.mutPolynomialBounded([0.0] * 200, eta=40.0, low=-1.0, up=1.0, indpb=1.0)[0]
    random.setstate(state)

    class Given:
        """Gives what DEAP drew: for each value whether, and how far."""

        def random(self, shape):
            return np.zeros(shape) if isinstance(shape, tuple) else numbers[1::2]

    ours = polynomial_mutation(np.zeros((1, 200)), Given(), rate=1.0, eta=40.0, bounds=(-1, 1))
    # The bounded variant differs by the density beyond the bound: 0.5 ** 41.
    assert ours[0] == pytest.approx(np.array(deap), abs=1e-8)


def test_stays_within_bounds_and_leaves_its_input():
    """Steps over a bound end on it; the array given is not written to."""
    x = np.tile([0.0, 1.0], (50, 50))
    x.flags.writeable = False
    moved = polynomial_mutation(x, rng(), rate=1.0, eta=1.0)
    assert moved.min() == 0
    assert moved.max() == 1
    assert (moved[x == 0] == 0).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("params, told", [({"rate": 1.5}, "rate"), ({"eta": -1}, "eta")])
def test_bad_parameters(params, told):
    """A rate that is no share, and an eta without a density, are refused."""
    with pytest.raises(ParameterError, match=f"`{told}` must be"):
        polynomial_mutation(np.zeros((1, 2)), rng(), **params)
