"""Gradient ascent: against formulas and automatic differentiation of the whole objective."""

import attacks_reference as plain
import numpy as np
import pytest
import torch

from pncviz.exceptions import ParameterError
from pncviz.specs import Stop
from pncviz.testing import check_attack
from pncviz_attacks.ascent import GradientAscent

CODES = [0, 1, 2, 0]
SHAPE = (1, 4, 5)
STEPS = Stop(max_iter=12)
WEIGHT = [[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, 0.25, -1.0]]


def closeness(a, b):
    """Give the largest difference of two tensors."""
    return float((a - b).abs().max())


@pytest.mark.parametrize(
    "attack",
    ["gradient_ascent", GradientAscent(0.1, l2=0.1), GradientAscent(clip=(-0.5, 0.5))],
)
def test_contract(attack):
    """Everything that pncviz asks of an attack holds."""
    check_attack(attack)


@pytest.mark.parametrize("targeted", [True, False])
def test_linear_model_in_closed_form(targeted):
    """Each step adds the unit's weights, or takes them away; the score is the loss."""
    attack, start = GradientAscent(learning_rate=0.5), plain.images((4,), n=2)
    result = plain.run(
        attack, plain.linear(WEIGHT), start, [0, 1], targeted=targeted, stop=Stop(max_iter=3)
    )
    sign, weight = 1 if targeted else -1, torch.tensor(WEIGHT)
    assert closeness(result.adversarial, start + sign * 1.5 * weight) < 1e-6
    assert result.loss == pytest.approx(-sign * (result.adversarial * weight).sum(1).numpy())
    assert result.n_iter.tolist() == [3, 3]


def test_l2_penalty_has_a_fixed_point():
    """With a penalty on the squared length, a linear score is highest at w / (2 * l2)."""
    attack = GradientAscent(learning_rate=0.5, l2=0.25)
    result = plain.run(
        attack, plain.linear(WEIGHT), torch.ones(2, 4), [0, 1], stop=Stop(max_iter=100)
    )
    assert closeness(result.adversarial, torch.tensor(WEIGHT) * 2) < 1e-5


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize(
    "params",
    [{}, {"l2": 0.05}, {"total_variation": 0.02}, {"jitter": 2}, {"jitter": 1, "l2": 0.1}],
)
def test_is_the_ascent_of_the_whole_objective(params, targeted):
    """The same as differentiating score and penalties together, image by image."""
    net, start = plain.tanh_net(20), plain.images(SHAPE, n=4)
    attack = GradientAscent(learning_rate=0.3, **params)
    result = plain.run(attack, net, start, CODES, targeted=targeted, stop=STEPS)
    for row, rng in enumerate(plain.streams(4)):
        known = plain.ascent_one(
            net,
            start[row],
            CODES[row],
            learning_rate=0.3,
            n_steps=12,
            targeted=targeted,
            rng=rng,
            **params,
        )
        assert closeness(known, result.adversarial[row]) < 1e-5


def test_jitter_takes_colours_together():
    """All channels of an image are rolled by the same numbers."""
    net, start = plain.tanh_net(60), plain.images((3, 4, 5), n=2)
    result = plain.run(GradientAscent(0.3, jitter=3), net, start, [0, 1], stop=STEPS)
    rng = plain.streams(2)[1]
    known = plain.ascent_one(net, start[1], 1, learning_rate=0.3, n_steps=12, jitter=3, rng=rng)
    assert closeness(known, result.adversarial[1]) < 1e-5


def test_total_variation_makes_images_smoother():
    """A penalty leaves less variation than none."""
    net, start = plain.tanh_net(20), torch.zeros(3, *SHAPE)
    rough, smooth = (
        plain.run(GradientAscent(0.1, total_variation=weight), net, start, [0, 1, 2], stop=STEPS)
        for weight in (0.0, 0.05)
    )
    variation = [
        sum(result.adversarial.diff(dim=dim).abs().sum() for dim in (-2, -1))
        for result in (rough, smooth)
    ]
    assert variation[1] < 0.7 * variation[0]


@pytest.mark.parametrize("params", [{}, {"jitter": 2}, {"total_variation": 0.1, "l2": 0.1}])
def test_clip_is_never_left(params):
    """No value passes a bound by a single bit, though start and steps do."""
    start, low_high = plain.images(SHAPE, n=4, low=-1, high=2), torch.tensor([0.1, 0.7])
    attack = GradientAscent(5.0, clip=(0.1, 0.7), **params)
    found = plain.run(attack, plain.tanh_net(20), start, CODES, stop=STEPS).adversarial
    assert found.min() == low_high[0]
    assert found.max() == low_high[1]


def test_rows_stop_by_themselves():
    """Each row stops at the first iterate that meets its rule, and stays there."""
    start = torch.tensor([[3.0, 0, 0, 3], [0, 0, 0, 0]])
    attack, net = GradientAscent(0.01), plain.linear(WEIGHT)
    result = plain.run(attack, net, start, [0, 0], stop=Stop(min_confidence=0.9))
    apart = torch.tensor(WEIGHT[0]) @ (torch.tensor(WEIGHT[0]) - torch.tensor(WEIGHT[1]))
    needed = int(np.ceil(np.log(9) / (0.01 * float(apart))))
    assert result.n_iter.tolist() == [0, needed]
    assert result.stop_reason.tolist() == ["min_confidence"] * 2
    assert torch.equal(result.adversarial[0], start[0])
    assert 0.9 <= result.confidence[1] < 0.91
    square = float(torch.tensor(WEIGHT[0]).square().sum())
    result = plain.run(attack, net, start, [0, 0], stop=Stop(max_loss=-1.0))
    assert result.stop_reason.tolist() == ["max_loss"] * 2
    assert result.n_iter.tolist() == [0, int(np.ceil(1 / (0.01 * square)))]


def test_what_cannot_move_is_left_alone():
    """Without a gradient a row stops at once; past all bounds it stays at its last value."""
    dead = torch.nn.Sequential(torch.nn.ReLU(), plain.linear(WEIGHT))
    start = torch.tensor([[-1.0, -1, -1, -1], [1, 1, 1, 1]])
    result = plain.run(GradientAscent(4e5), dead, start, [0, 0], stop=Stop(max_iter=9))
    assert result.stop_reason.tolist() == ["vanished_gradient", "diverged"]
    assert result.n_iter.tolist() == [0, 0]
    assert torch.equal(result.adversarial, start)


class Root(torch.nn.Module):
    """A net whose gradient is not finite at 0."""

    def forward(self, x):
        """Give logits that are opposite sums of roots."""
        root = x.clamp_min(0).sqrt()
        return torch.stack([root.sum(1), -root.sum(1)], dim=1)


def test_gradients_that_are_no_numbers_move_nothing():
    """A NaN or infinite gradient ends its own row alone."""
    start = torch.tensor([[0.0, 1.0], [4.0, 1.0]])
    result = plain.run(GradientAscent(0.1), Root(), start, [0, 0], stop=Stop(max_iter=2))
    assert result.stop_reason.tolist() == ["diverged", "max_iter"]
    assert torch.equal(result.adversarial[0], start[0])
    assert torch.isfinite(result.adversarial).all()


def test_rows_do_not_depend_on_their_batch():
    """A row alone, with its own generator, gives what it gave among others."""
    net, start = plain.tanh_net(20), plain.images(SHAPE, n=4)
    attack, stop = GradientAscent(0.3, jitter=2), Stop(max_iter=20, min_confidence=0.4)
    together = plain.run(attack, net, start, CODES, stop=stop)
    assert len(set(together.n_iter.tolist())) > 1  # rows left at different times
    for row in range(4):
        mine, here = plain.streams(4)[row : row + 1], slice(row, row + 1)
        alone = plain.run(attack, net, start[here], CODES[here], rngs=mine, stop=stop)
        assert alone.n_iter[0] == together.n_iter[row]
        assert closeness(alone.adversarial[0], together.adversarial[row]) < 1e-5


@pytest.mark.parametrize(
    "attack, message",
    [
        (GradientAscent(0), "`learning_rate` must be a positive number, got 0"),
        (GradientAscent(l2=-1), "`l2` must be 0 or a positive number, got -1"),
        (GradientAscent(total_variation=None), "`total_variation` must be 0 or a positive"),
        (GradientAscent(jitter=0.5), "`jitter` must be 0 or a positive integer, got 0.5"),
        (GradientAscent(clip=3), "`clip` must be None or"),
    ],
)
def test_bad_parameters_are_told(attack, message):
    """Each bad parameter is named with its value."""
    with pytest.raises(ParameterError, match=message):
        attack.validate()


@pytest.mark.parametrize("name", ["jitter", "total_variation"])
def test_tables_have_no_neighbours(name):
    """What needs rows and columns is refused for a table, by name."""
    attack = GradientAscent(**{name: 1})
    with pytest.raises(ParameterError, match=f"`{name}` must be 0 for inputs without rows"):
        plain.run(attack, plain.linear(WEIGHT), torch.zeros(1, 4), [0])
