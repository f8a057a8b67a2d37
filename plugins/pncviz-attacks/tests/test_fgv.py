"""FGV: against closed forms and a finely spaced walk along the gradient."""

import attacks_reference as plain
import pytest
import search_reference as slow
import torch

from pncviz.exceptions import ParameterError
from pncviz.testing import check_attack
from pncviz_attacks.fgv import FGV


@pytest.mark.parametrize("attack", ["fgv", FGV(clip=(-0.5, 0.5), pixel_step=0.05), FGV(limit=3.0)])
def test_contract(attack):
    """Everything that pncviz asks of an attack holds."""
    check_attack(attack)


@pytest.mark.parametrize("targeted", [True, False])
def test_linear_model(targeted):
    """Of two linear classes, the change is along their difference and just beyond the boundary."""
    weight = torch.tensor([[1.0, -2.0, 0.5, 0.0], [-1.0, 0.5, 0.0, 2.0]])
    net, start = plain.linear(weight), torch.tensor([[2.0, -1.0, 1.0, -1.0], [3.0, 0.0, 0.0, 0.0]])
    result = plain.run(FGV(), net, start, [1, 1] if targeted else [0, 0], targeted=targeted)
    change, normal = result.adversarial - start, weight[1] - weight[0]
    distance = -(start @ normal) / normal.norm()
    cosine = torch.nn.functional.cosine_similarity(change, normal[None])
    torch.testing.assert_close(cosine, torch.ones(2))
    # A bracket of a root of 2, halved eight times.
    share = change.norm(dim=1) / distance
    assert ((share > 1) & (share < 1.003)).all()
    assert result.stop_reason.tolist() == ["changed", "changed"]
    assert result.n_iter.tolist() == [1, 1]


@pytest.mark.parametrize("targeted", [True, False])
def test_first_change_along_the_gradient(targeted):
    """On a curved net, the magnitude is that at which a finely spaced walk meets the change."""
    net, start = plain.tanh_net(), plain.images((16,), low=-1.0)
    labels = net(start).argmax(dim=1)
    codes = (labels + 1) % 3 if targeted else labels
    result = plain.run(FGV(limit=16), net, start, codes, targeted=targeted)
    found = result.stop_reason == "changed"
    assert found.sum() >= 4
    for row in found.nonzero()[0]:
        unit = int(codes[row])
        direction = -plain.gradient_one(net, start[row], unit, targeted)
        magnitude = float((result.adversarial[row] - start[row]).abs().max())
        first = slow.first_change(net, start[row], direction, unit, targeted)
        assert magnitude == pytest.approx(first, rel=3e-3)


@pytest.mark.parametrize("targeted", [True, False])
def test_digits(targeted):
    """What is claimed of digits is what the net says, and nearly all are changed."""
    there = slow.successes(FGV(clip=(0, 1)), targeted=targeted)
    assert there.mean() > (0.8 if targeted else 0.9)


def test_pixel_values():
    """With a pixel step all values are multiples of it, and the label is that of those values."""
    net, X, y = slow.digits()
    result = plain.run(FGV(clip=(0, 1), pixel_step=1 / 16), net, X, y, targeted=False)
    pixels = result.adversarial * 16
    torch.testing.assert_close(pixels, pixels.round())
    changed = (net(result.adversarial).argmax(dim=1) != y).numpy()
    assert (changed == (result.stop_reason == "changed")).all()


def test_start_that_is_there_already():
    """What the model calls the target at once is left as it is, but for the bounds."""
    net = plain.linear([[1.0, 0.0], [0.0, 1.0]])
    result = plain.run(FGV(clip=(0, 1)), net, torch.tensor([[7.0, 0.0]]), [0])
    assert result.adversarial.tolist() == [[1.0, 0.0]]
    assert (result.n_iter.item(), result.stop_reason.item()) == (0, "changed")


def test_tiny_and_absent_gradients():
    """A gradient whose square is 0 in float32 is a direction; one that is 0 is none."""
    net = torch.nn.Sequential(plain.linear([[0.0, 0.0], [1.0, 1.0]], [1e-25, 0.0]))
    start = torch.tensor([[-1e-26, 0.0], [0.0, 0.0]])
    net[0][1].weight.data[0] = 0
    net[0][1].weight.data[1] = torch.tensor([1e-24, 1e-24])
    result = plain.run(FGV(), net, start, [1, 1])
    assert result.stop_reason.tolist() == ["changed", "changed"]
    net[0][1].weight.data.zero_()
    result = plain.run(FGV(), net, start, [1, 1])
    assert result.stop_reason.tolist() == ["vanished_gradient"] * 2
    assert torch.equal(result.adversarial, start)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"clip": (1, 0)}, "`clip` must be None or .low, high."),
        ({"pixel_step": 0}, "`pixel_step` must be None or a positive number, got 0"),
        ({"limit": -1}, "`limit` must be None or a positive number, got -1"),
    ],
)
def test_parameters(params, message):
    """A bad parameter is named, with its value."""
    with pytest.raises(ParameterError, match=message):
        FGV(**params).validate()
