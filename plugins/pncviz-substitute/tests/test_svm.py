"""The step along the normal: of a linear model by hand, and the contract."""

import numpy as np
import pytest
import torch
from substitute_reference import linear

from pncviz import Stop, Target
from pncviz.exceptions import ParameterError
from pncviz.models import TorchModel
from pncviz.testing import check_attack
from pncviz_substitute import SVMNormal

WEIGHTS = np.random.default_rng(0).normal(size=(4, 6))


def _run(weights, start, codes, *, targeted=False, **params):
    model = TorchModel(linear(weights), input_shape=(start.shape[1],))
    target = Target(codes=torch.as_tensor(codes), targeted=targeted)
    attack = SVMNormal(**params)
    attack.validate()
    with model.session():
        return attack.run(model, torch.as_tensor(start, dtype=torch.float32), target, Stop(), [])


@pytest.mark.parametrize("targeted", [False, True])
def test_the_step_is_the_unit_normal(targeted):
    """X - epsilon w / |w| for the class to leave, + for the one to reach, row by row."""
    start = np.random.default_rng(1).normal(size=(5, 6))
    codes = np.array([0, 3, 1, 1, 2])
    found = _run(WEIGHTS, start, codes, targeted=targeted, epsilon=2.5).adversarial.numpy()
    sign = 1 if targeted else -1
    expected = [
        x + sign * 2.5 * WEIGHTS[c] / np.linalg.norm(WEIGHTS[c])
        for x, c in zip(start, codes, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_search_stops_at_the_hyperplane():
    """Of two opposite classes, the least step is the distance to the boundary."""
    w = np.array([3.0, 4.0])
    start = np.array([[1.0, 2.0]])
    result = _run([w, -w], start, [0], epsilon=None)
    length = np.linalg.norm(result.adversarial.numpy() - start)
    assert length == pytest.approx(11 / 5, rel=2e-3)
    assert length >= 11 / 5 - 1e-5
    assert result.stop_reason.tolist() == ["changed"]


def test_without_a_normal_it_stays():
    """A class whose score is flat: nothing moves, nothing is NaN, and it says so."""
    weights = np.array([[0.0, 0.0], [1e-30, 0.0]])
    result = _run(weights, np.ones((2, 2)), [0, 1], epsilon=1.0)
    assert result.adversarial[0].tolist() == [1, 1]
    assert result.adversarial[1].tolist() == pytest.approx([0, 1])
    assert result.stop_reason.tolist() == ["vanished_gradient", "max_iter"]
    assert result.n_iter.tolist() == [0, 1]
    searched = _run(weights[:1].repeat(2, 0), np.ones((1, 2)), [0], epsilon=None)
    assert searched.stop_reason.tolist() == ["vanished_gradient"]


def test_the_contract_is_kept():
    """Everything that pncviz asks of an attack holds, for a step and for a search."""
    check_attack("svm_normal")
    check_attack(SVMNormal(epsilon=None))


def test_bad_parameters():
    """A length that is none is named."""
    with pytest.raises(ParameterError, match="`epsilon` must be None or a positive number, got 0"):
        SVMNormal(epsilon=0).validate()
    with pytest.raises(ParameterError, match="`clip` must be None or"):
        SVMNormal(clip=3).validate()
