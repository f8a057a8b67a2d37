"""Hot/cold: against the Jacobian and a finely spaced walk along its direction."""

import attacks_reference as plain
import pytest
import search_reference as slow
import torch

from pncviz.exceptions import ParameterError
from pncviz.testing import check_attack
from pncviz_attacks.hot_cold import HotCold


@pytest.mark.parametrize("attack", ["hot_cold", HotCold(clip=(-0.5, 0.5), pixel_step=0.05)])
def test_contract(attack):
    """Everything that pncviz asks of an attack holds."""
    check_attack(attack)


def test_linear_model():
    """Of linear classes the change goes along |z_hot| w_hot - |z_cold| w_cold, to the boundary."""
    weight = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    start = torch.tensor([[4.0, -2.0, 1.0]])
    result = plain.run(HotCold(), plain.linear(weight), start, [1])
    # 4 - 4m = -2 + 2m at m = 1, where class 2 holds until class 1 passes its score of 1.
    torch.testing.assert_close(
        result.adversarial, torch.tensor([[-2.0, 1.0, 1.0]]), rtol=0, atol=0.02
    )
    assert result.adversarial[0, 1] > 1
    result = plain.run(HotCold(), plain.linear(weight), start, [0], targeted=False)
    # Untargeted, class 2 is hot: 4 - 4m = 1 + m at m = 0.6.
    torch.testing.assert_close(
        result.adversarial, torch.tensor([[1.6, -2.0, 1.6]]), rtol=0, atol=0.02
    )


@pytest.mark.parametrize("targeted", [True, False])
def test_direction_and_first_change(targeted):
    """On a curved net, the direction is that of the Jacobian and the change the first along it."""
    net, start = plain.tanh_net(), plain.images((16,), n=12, low=-1.0)
    scores = net(start).detach()
    labels, codes = scores.argmax(dim=1), scores.topk(2).indices[:, 1]
    result = plain.run(
        HotCold(limit=16), net, start, codes if targeted else labels, targeted=targeted
    )
    found = (result.stop_reason == "changed").nonzero()[0]
    assert len(found) >= 8
    for row in found:
        direction = slow.hot_cold_one(net, start[row], codes[row], labels[row])
        change = result.adversarial[row] - start[row]
        cosine = torch.nn.functional.cosine_similarity(change, direction, dim=0)
        assert cosine.item() == pytest.approx(1, abs=1e-5)
        unit = int(codes[row] if targeted else labels[row])
        first = slow.first_change(net, start[row], direction, unit, targeted)
        assert float(change.abs().max()) == pytest.approx(first, rel=3e-3)


@pytest.mark.parametrize("targeted", [True, False])
def test_digits(targeted):
    """What is claimed of digits is what the net says, and most are changed."""
    there = slow.successes(HotCold(clip=(0, 1)), targeted=targeted)
    # On the way to a target given at random, a third class often comes first.
    assert there.mean() > (0.5 if targeted else 0.9)


def test_no_direction():
    """Scores of 0 give no direction, and the row says so."""
    result = plain.run(HotCold(), plain.linear(torch.eye(3)), torch.zeros(2, 3), [0, 1])
    assert result.stop_reason.tolist() == ["changed", "vanished_gradient"]
    assert result.adversarial.abs().max() == 0


def test_negative_scores():
    """Where both scores are negative the direction still leads from cold to hot."""
    start = torch.tensor([[-1.0, -3.0]])
    result = plain.run(HotCold(), plain.linear(torch.eye(2)), start, [1])
    change = result.adversarial - start
    assert change[0, 1] > 0 > change[0, 0]
    assert change[0, 1] / change[0, 0] == pytest.approx(-3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"clip": 1}, "`clip` must be None or .low, high."),
        ({"pixel_step": -1}, "`pixel_step` must be None or a positive number, got -1"),
        ({"limit": 0}, "`limit` must be None or a positive number, got 0"),
    ],
)
def test_parameters(params, message):
    """A bad parameter is named, with its value."""
    with pytest.raises(ParameterError, match=message):
        HotCold(**params).validate()
