"""DeepFool: against closed forms, a plain loop and foolbox."""

import copy

import attacks_reference as plain
import numpy as np
import pytest
import search_reference as slow
import torch

from pncviz.exceptions import ParameterError
from pncviz.specs import Stop
from pncviz.testing import check_attack
from pncviz_attacks.deepfool import DeepFool


@pytest.mark.parametrize("attack", ["deepfool", DeepFool(candidates=2, clip=(-0.5, 0.5))])
def test_contract(attack):
    """Everything that pncviz asks of an attack holds."""
    check_attack(attack)


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("overshoot", [0.02, 0.5])
def test_linear_model_takes_one_step(targeted, overshoot):
    """Of linear classes, one step is the exact distance to the nearest boundary, and overshoot."""
    weight = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    start = torch.tensor([[3.0, 1.0], [-1.0, -3.0]])
    net = plain.linear(weight)
    scores = start @ weight.T
    labels = scores.argmax(dim=1)
    normals = weight - weight[labels][:, None]
    far = (scores - scores.gather(1, labels[:, None])).abs() / normals.norm(dim=2)
    far[range(2), labels] = torch.inf
    nearest = far.argmin(dim=1)
    attack = DeepFool(overshoot=overshoot, margin=0)
    result = plain.run(attack, net, start, nearest if targeted else labels, targeted=targeted)
    normal = normals[range(2), nearest]
    step = far[range(2), nearest][:, None] * normal / normal.norm(dim=1, keepdim=True)
    torch.testing.assert_close(result.adversarial, start + (1 + overshoot) * step)
    assert result.n_iter.tolist() == [1, 1]
    assert result.stop_reason.tolist() == ["changed", "changed"]


def test_targets_boundary_is_not_the_nearest():
    """Targeted, only the boundary to the target counts, however near another is."""
    net = plain.linear([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    net[1].bias.data = torch.tensor([0.0, -1.0, -0.1])
    result = plain.run(DeepFool(margin=0), net, torch.zeros(1, 2), [1])
    torch.testing.assert_close(result.adversarial, torch.tensor([[1.02, 0.0]]))


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("make", [plain.tanh_net, lambda: slow.digits()[0]])
def test_plain_loop(targeted, make):
    """Rows at once come where each comes in a plain loop, in as many steps, on curved nets."""
    net, n = make(), 64 if make is not plain.tanh_net else 16
    start = 4 * plain.images((n,), n=12, low=-1.0).double()
    net = copy.deepcopy(net).double()
    labels = net(start).argmax(dim=1)
    codes = (labels + 1) % 3 if targeted else labels
    result = plain.run(DeepFool(candidates=None), net, start, codes, targeted=targeted)
    for row, unit in enumerate(codes.tolist()):
        x, n_iter = slow.deepfool_one(net, start[row], unit, targeted=targeted)
        assert result.n_iter[row] == n_iter
        torch.testing.assert_close(result.adversarial[row], x, rtol=0, atol=1e-8)
    assert result.n_iter.max() > 1


@pytest.mark.parametrize("candidates", [2, 4, 10])
def test_foolbox(candidates):
    """Foolbox gets the same examples to 1e-5, for inputs that the net gets right.

    Of others it leaves the class that the net gives, and this the class that is asked for. It adds
    1e-8 to the length of each gradient.
    """
    foolbox = plain.quietly(lambda: pytest.importorskip("foolbox"))
    net, X, y = slow.digits()
    theirs = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=candidates, overshoot=0.02)
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    want = plain.quietly(lambda: theirs.run(model, X, foolbox.criteria.Misclassification(y)))
    attack = DeepFool(overshoot=0.02, n_steps=50, candidates=candidates, clip=(0, 1))
    result = plain.run(attack, net, X, y, targeted=False)
    torch.testing.assert_close(result.adversarial, want, rtol=0, atol=1e-5)
    assert float((want - X).abs().max()) > 0.1


def test_candidates():
    """With candidates, classes that are unlikely at the start are not looked at."""
    net = plain.linear([[0.0, 0.0], [1.0, 0.0], [0.0, 100.0]])
    net[1].bias.data = torch.tensor([0.0, -1.0, -2.0])
    start = torch.zeros(1, 2)
    few = plain.run(DeepFool(candidates=2), net, start, [0], targeted=False)
    every = plain.run(DeepFool(candidates=None), net, start, [0], targeted=False)
    assert net(few.adversarial).argmax() == 1
    assert net(every.adversarial).argmax() == 2


@pytest.mark.parametrize("targeted", [True, False])
def test_digits(targeted):
    """What is claimed of digits is what the net says, and nearly all are changed."""
    assert slow.successes(DeepFool(clip=(0, 1)), targeted=targeted).mean() > 0.9


def test_rows_stop_by_themselves():
    """Each row takes its own steps: none where nothing is to be done, and never too many."""
    net, start = plain.tanh_net(), plain.images((16,), n=12, low=-1.0)
    labels = net(start).argmax(dim=1)
    codes = torch.cat([(labels[:6] + 1) % 3, labels[6:]])
    result = plain.run(DeepFool(), net, start, codes, targeted=False)
    assert (result.n_iter[:6] == 0).all()
    assert torch.equal(result.adversarial[:6], start[:6])
    assert (result.n_iter[6:] > 0).all()
    few = plain.run(DeepFool(n_steps=9), net, start, codes, targeted=False, stop=Stop(max_iter=1))
    assert few.n_iter.max() == 1
    few = plain.run(DeepFool(n_steps=1), net, start, labels, targeted=False)
    assert few.n_iter.max() == 1


def test_start_on_the_boundary():
    """A start on the boundary itself is moved across by the margin alone."""
    net = plain.linear([[1.0, 0.0], [0.0, 1.0]])
    result = plain.run(DeepFool(), net, torch.zeros(1, 2), [0], targeted=False)
    assert result.stop_reason.item() == "changed"
    assert float(result.adversarial.norm()) == pytest.approx(1.02e-4)


def test_zero_and_strange_gradients():
    """Rows without a gradient, or led to where nothing is finite, stop alone and stay finite."""
    flat = plain.linear(torch.zeros(2, 2), [2.0, 0.0])
    result = plain.run(DeepFool(), flat, torch.ones(1, 2), [1])
    assert result.stop_reason.item() == "vanished_gradient"
    assert torch.equal(result.adversarial, torch.ones(1, 2))
    steep = plain.linear([[0.0, 0.0], [1e-9, 1e-9]], [2.0, 0.0])
    result = plain.run(DeepFool(), steep, torch.ones(1, 2), [1])
    assert result.stop_reason.item() == "diverged"
    assert torch.equal(result.adversarial, torch.ones(1, 2))
    result = plain.run(DeepFool(clip=(0, 1)), steep, torch.zeros(1, 2), [1])
    assert torch.equal(result.adversarial, torch.ones(1, 2))
    assert result.stop_reason.item() == "max_iter"


def test_batch_is_of_no_account_among_strange_rows():
    """A row that never arrives changes nothing for the others."""
    net = plain.linear([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    net[1].bias.data = torch.tensor([0.0, -1.0, -5.0])
    start = torch.tensor([[0.0, 0.0], [0.5, 1.0]])
    both = plain.run(DeepFool(), net, start, [2, 1])
    alone = plain.run(DeepFool(), net, start[1:], [1])
    assert both.stop_reason.tolist() == ["vanished_gradient", "changed"]
    np.testing.assert_array_equal(both.adversarial[1], alone.adversarial[0])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"overshoot": -0.1}, "`overshoot` must be 0 or a positive number, got -0.1"),
        ({"n_steps": 0}, "`n_steps` must be a positive integer, got 0"),
        ({"candidates": 1}, "`candidates` must be None or an integer from 2 on, got 1"),
        ({"margin": float("nan")}, "`margin` must be 0 or a positive number, got nan"),
        ({"clip": (0, 0)}, "`clip` must be None or .low, high."),
    ],
)
def test_parameters(params, message):
    """A bad parameter is named, with its value."""
    with pytest.raises(ParameterError, match=message):
        DeepFool(**params).validate()
