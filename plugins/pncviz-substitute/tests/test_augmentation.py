"""Where to ask next: against plain loops, and by the law of chance."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from substitute_reference import augmented, linear
from torch import nn

from pncviz.models import TorchModel
from pncviz_substitute import jacobian_step, reservoir, signed_step


@pytest.fixture(scope="module")
def module():
    """Make a small net with bends."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 4)).eval()


def _data(n=23):
    rng = np.random.default_rng(0)
    return rng.random((n, 7)).astype(np.float32), rng.integers(4, size=n)


@pytest.mark.parametrize("clip", [None, (0.2, 0.8)])
@pytest.mark.parametrize("step", [0.1, -0.3])
def test_steps_follow_the_jacobian(module, step, clip):
    """In batches it is what the sign of dp_c/dx gives input by input, within bounds."""
    X, codes = _data()
    found = jacobian_step(
        TorchModel(module.float(), input_shape=(7,), batch_size=5), X, codes, step, clip
    )
    expected = augmented(module.double(), X, codes, step, clip)
    module.float()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_sure_model_still_has_a_sign():
    """Where softmax leaves 0 or 1 in float32, the direction is that of the weights."""
    model = TorchModel(linear([[300.0, -200.0], [0.0, 0.0]]), input_shape=(2,))
    X = np.array([[1.0, 0.0]], dtype=np.float32)
    assert jacobian_step(model, X, np.array([1]), 0.5).tolist() == [[0.5, 0.5]]


def test_images_keep_their_shape():
    """Inputs of three dimensions come back as such."""
    model = TorchModel(nn.Sequential(nn.Flatten(), nn.Linear(8, 3)), input_shape=(2, 2, 2))
    X = np.zeros((4, 2, 2, 2), dtype=np.float32)
    found = jacobian_step(model, X, np.array([0, 1, 2, 0]), 0.1)
    assert found.shape == X.shape
    assert np.abs(found).max() == np.float32(0.1)


def test_the_sign_changes_by_period():
    """The step is lambda times (-1) to the power of floor(rho / tau), rho from 0."""
    for period in (1, 2, 3):
        found = [signed_step(0.2, number, period) for number in range(1, 12)]
        assert found == [0.2 * (-1) ** (rho // period) for rho in range(11)]
    assert signed_step(0.2, 9, None) == 0.2


def test_every_subset_is_alike():
    """Each of the ten pairs of five comes up as often as the others (chi-square)."""
    rng, counts = np.random.default_rng(0), {}
    for _ in range(4000):
        pair = tuple(reservoir(5, 2, rng).tolist())
        counts[pair] = counts.get(pair, 0) + 1
    assert len(counts) == 10
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_a_reservoir_holds_distinct_rows():
    """Rows are distinct, ascending and in range; a large one holds all, one of none nothing."""
    rng = np.random.default_rng(1)
    found = reservoir(100, 30, rng)
    assert len(set(found.tolist())) == 30
    assert (np.diff(found) > 0).all()
    assert found.min() >= 0
    assert found.max() < 100
    assert reservoir(4, 4, rng).tolist() == [0, 1, 2, 3]
    assert reservoir(4, 0, rng).tolist() == []
