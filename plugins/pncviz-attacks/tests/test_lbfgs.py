"""L-BFGS: against closed forms, a one-dimensional search, and scipy alone, row by row.

No other library of attacks has this one any more, so there is none to agree with.
"""

import copy

import attacks_reference as plain
import numpy as np
import pytest
import search_reference as slow
import torch
from sklearn.frozen import FrozenEstimator

from pncviz import AdversarialExampleGenerator, load_dataset, make_classifier
from pncviz.exceptions import ParameterError
from pncviz.models import TorchModel
from pncviz.models.tiled import TiledModel
from pncviz.specs import Stop, Target
from pncviz.testing import check_attack
from pncviz_attacks.lbfgs import LBFGS

WEIGHT = torch.tensor([[0.5, -1.0, 0.0, 0.2], [-0.5, 0.5, 1.0, 0.0]])
START = torch.tensor([[1.0, -1.0, -0.5, 0.3], [0.2, -0.4, 0.1, 2.0]])


@pytest.mark.parametrize("attack", ["lbfgs", LBFGS(clip=(-0.5, 0.5), n_searches=4)])
def test_contract(attack):
    """Everything that pncviz asks of an attack holds."""
    check_attack(attack)


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("c", [0.001, 0.03])
def test_linear_softmax_with_one_c(targeted, c):
    """Of two linear classes, the minimiser for one c is that of a fine search along the normal."""
    net, start = plain.linear(WEIGHT).double(), START.double()
    attack = LBFGS(c=c, n_searches=1, tolerance=1e-12)
    codes = [1, 1] if targeted else [0, 0]
    result = plain.run(attack, net, start, codes, targeted=targeted)
    normal = (WEIGHT[1] - WEIGHT[0]).double()
    for row in range(2):
        s = torch.linspace(0, 200, 2_000_001, dtype=torch.float64)
        lead = start[row] @ normal + s * normal.norm()
        least = s[(c * s**2 + torch.nn.functional.softplus(-lead)).argmin()]
        want = start[row] + least * normal / normal.norm()
        assert least > 1
        torch.testing.assert_close(result.adversarial[row], want, rtol=0, atol=2e-4)


@pytest.mark.parametrize("targeted", [True, False])
def test_many_searches_reach_the_boundary(targeted):
    """Of two linear classes, the search for c ends at the distance to the boundary, just beyond."""
    net, start = plain.linear(WEIGHT).double(), START.double()
    attack = LBFGS(n_searches=25, tolerance=1e-10)
    result = plain.run(attack, net, start, [1, 1] if targeted else [0, 0], targeted=targeted)
    normal = (WEIGHT[1] - WEIGHT[0]).double()
    share = (result.adversarial - start).norm(dim=1) * normal.norm() / -(start @ normal)
    assert ((share > 1) & (share < 1.0001)).all()


def test_box():
    """Within bounds the result is a minimum: no slope inside, and outward slopes at the bounds."""
    net, start, c = plain.tanh_net().double(), plain.images((16,)).double(), 0.01
    codes = [(label + 1) % 3 for label in net(start).argmax(dim=1).tolist()]
    result = plain.run(LBFGS(c=c, n_searches=1, tolerance=1e-9, clip=(0, 1)), net, start, codes)
    at_low = at_high = 0
    for row, unit in enumerate(codes):
        x = result.adversarial[row]
        slope = plain.gradient_one(net, x, unit, True) + 2 * c * (x - start[row])
        assert slope[(x > 0) & (x < 1)].abs().max() < 1e-5
        assert (slope[x == 0] > -1e-6).all()
        assert (slope[x == 1] < 1e-6).all()
        at_low, at_high = at_low + int((x == 0).sum()), at_high + int((x == 1).sum())
    assert at_low > 10
    assert at_high > 10


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_scipy_alone(targeted, clip):
    """Rows at once come where scipy brings each alone, by the same values of c."""
    net, X, _ = slow.digits()
    net, start = copy.deepcopy(net).double(), X[:6].double()
    labels = net(start).argmax(dim=1)
    codes = (labels + 3) % 10 if targeted else labels
    settings = {"c": 0.1, "n_searches": 6, "tolerance": 1e-8}
    result = plain.run(LBFGS(clip=clip, **settings), net, start, codes, targeted=targeted)
    assert (result.stop_reason == "changed").all()
    for row, unit in enumerate(codes.tolist()):
        want = slow.lbfgs_one(net, start[row], unit, targeted=targeted, clip=clip, **settings)
        torch.testing.assert_close(result.adversarial[row], want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("targeted", [True, False])
def test_digits(targeted):
    """What is claimed of digits is what the net says, and all but a few are changed."""
    attack = LBFGS(clip=(0, 1), n_searches=6)
    assert slow.successes(attack, targeted=targeted).mean() > 0.9


def test_iterations_are_bounded():
    """Neither `n_steps` nor `max_iter` is exceeded."""
    net, start = plain.tanh_net(), plain.images((16,))
    codes = (net(start).argmax(dim=1) + 1) % 3
    free = plain.run(LBFGS(), net, start, codes)
    assert free.n_iter.max() > 3
    for attack, stop in ((LBFGS(n_steps=3), Stop()), (LBFGS(), Stop(max_iter=3))):
        assert plain.run(attack, net, start, codes, stop=stop).n_iter.max() == 3


def test_start_that_is_there_already():
    """What the model calls the target at once is left as it is, but for the bounds."""
    net = plain.linear([[1.0, 0.0], [0.0, 1.0]])
    result = plain.run(LBFGS(clip=(0, 1)), net, torch.tensor([[7.0, 0.0]]), [0])
    assert result.adversarial.tolist() == [[1.0, 0.0]]
    assert (result.n_iter.item(), result.stop_reason.item()) == (0, "changed")


def test_no_gradient_and_no_way():
    """Rows that cannot leave the start say so, and so do rows that cannot arrive."""
    flat = plain.linear(torch.zeros(2, 2), [2.0, 0.0])
    result = plain.run(LBFGS(n_searches=2), flat, torch.ones(1, 2), [1])
    assert (result.n_iter.item(), result.stop_reason.item()) == (0, "vanished_gradient")
    assert torch.equal(result.adversarial, torch.ones(1, 2))
    shut = plain.linear([[0.0, 0.0], [1.0, 1.0]], [5.0, 0.0])
    result = plain.run(LBFGS(n_searches=3, clip=(0, 1)), shut, torch.zeros(1, 2), [1])
    assert result.stop_reason.item() == "not_found"
    # The greatest confidence within the box is in its corner.
    assert result.adversarial.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("wrap", [TorchModel, lambda *a, **k: TiledModel(TorchModel(*a, **k))])
def test_batches_share_their_bits(wrap):
    """A row alone comes where it comes among others, to the bit, in deterministic mode or not."""
    net, start = plain.tanh_net(), plain.images((16,))
    codes = (net(start).argmax(dim=1) + 1) % 3
    model, attack = wrap(net, input_shape=(16,)), LBFGS(n_searches=5)

    def attacked(rows):
        target = Target(codes=codes[rows])
        with model.session():
            return attack.run(model, start[rows], target, Stop(), []).adversarial

    together = attacked(slice(None))
    for row in range(len(start)):
        assert torch.equal(attacked(slice(row, row + 1))[0], together[row])


class _Cliff(torch.nn.Module):
    """Two classes by the first input, and NaN where it passes 3."""

    def forward(self, x):
        lead = torch.where(x[:, 0] > 3, x[:, 0] * torch.nan, x[:, 0])
        return torch.stack([torch.full_like(lead, 20.0), 3 * lead], dim=1)


class _Halves(torch.nn.Module):
    """The cliff right of 2; left of it, a class that grows to the left."""

    def forward(self, x):
        left = torch.stack([x[:, 0], -x[:, 0]], dim=1)
        return torch.where(x[:, :1] > 2, _Cliff()(x.clamp_min(2)), left)


def test_what_is_not_finite_stops_its_row_alone():
    """A row that comes upon NaN keeps its last finite point; the others are as without it."""
    start = torch.tensor([[2.5, 0.0]])
    result = plain.run(LBFGS(), _Cliff(), start, [1])
    assert result.stop_reason.item() == "diverged"
    assert torch.isfinite(result.adversarial).all()
    assert np.isfinite(result.loss).all()

    rows = torch.tensor([[2.5, 0.0], [1.0, 0.0]])
    both = plain.run(LBFGS(), _Halves(), rows, [1, 1])
    alone = plain.run(LBFGS(), _Halves(), rows[1:], [1])
    assert both.stop_reason.tolist() == ["diverged", "changed"]
    torch.testing.assert_close(both.adversarial[1:], alone.adversarial, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"c": 0}, "`c` must be a positive number, got 0"),
        ({"n_searches": 0}, "`n_searches` must be a positive integer, got 0"),
        ({"n_steps": 1.5}, "`n_steps` must be a positive integer, got 1.5"),
        ({"tolerance": -1}, "`tolerance` must be a positive number, got -1"),
        ({"clip": (1, 0)}, "`clip` must be None or .low, high."),
    ],
)
def test_parameters(params, message):
    """A bad parameter is named, with its value."""
    with pytest.raises(ParameterError, match=message):
        LBFGS(**params).validate()


def test_bits_do_not_depend_on_batches():
    """With deterministic=True examples are the same to the bit in batches of any size."""
    data = load_dataset("digits")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = make_classifier("fc", hidden=[32], max_epochs=5).fit(data.X, data.y)
    made = [
        AdversarialExampleGenerator(
            FrozenEstimator(net),
            attack=LBFGS(),
            max_iter=30,
            deterministic=True,
            batch_size=batch_size,
            random_state=0,
        ).fit_transform(data.X_test[:40], data.y_test[:40])
        for batch_size in (None, 7)
    ]
    np.testing.assert_array_equal(*made)
