"""What core gives to attacks that are no descent: gradients, line search, results, checks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference import plain_smallest_change
from torch import nn

from pncviz.exceptions import ParameterError
from pncviz.models import TiledModel, TorchModel
from pncviz.specs import Stop, Target
from pncviz.synthesis import (
    check_clip,
    check_count,
    check_number,
    descend,
    hits,
    judged,
    loss_gradient,
    smallest_change,
)


def line(slope=1.0, edge=3.0):
    """A model of one number that changes its mind at ``edge``."""
    net = nn.Linear(1, 2)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.0], [slope]]))
        net.bias.copy_(torch.tensor([slope * edge, 0.0]))
    return TorchModel(net, input_shape=(1,))


def net_of(shape=(1, 6, 6), n_classes=4, kind=nn.Tanh, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        n = int(np.prod(shape))
        net = nn.Sequential(nn.Flatten(), nn.Linear(n, 12), kind(), nn.Linear(12, n_classes))
    return TorchModel(net.double(), input_shape=shape)


def samples(model, n=12, seed=0):
    rng = np.random.default_rng(seed)
    return model.tensor(rng.uniform(size=(n, *model.input_shape)))


class Odd(nn.Module):
    """Something that no chain of layers is."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 3)

    def forward(self, x):
        return self.inner(x) * x.sum(1, keepdim=True)


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("tiled", [False, True])
def test_gradient_is_autograds(targeted, loss, tiled):
    """Written out or not, the gradient is that of the summed loss, negative when untargeted."""
    odd = TorchModel(Odd().double(), input_shape=(5,))
    for model in (net_of(), odd):
        x = samples(model)
        codes = torch.arange(len(x)) % 3
        leaf = x.clone().requires_grad_()
        logits = model.module(leaf)
        share = logits.softmax(1)[torch.arange(len(x)), codes]
        wanted = nn.functional.one_hot(codes, logits.shape[1])
        each = (
            -share.log() if loss == "cross_entropy" else ((logits.softmax(1) - wanted) ** 2).sum(1)
        )
        each = each if targeted else -each
        (expected,) = torch.autograd.grad(each.sum(), leaf)
        asked = TiledModel(model) if tiled else model
        with asked.session():
            value, confidence, gradient = loss_gradient(
                asked, x, Target(codes=codes, targeted=targeted), loss=loss
            )
        torch.testing.assert_close(gradient, expected)
        torch.testing.assert_close(value, each.detach())
        torch.testing.assert_close(confidence, (share if targeted else 1 - share).detach())


def test_gradient_of_an_unknown_loss():
    """A loss that there is not is told by its name."""
    model = net_of()
    with model.session(), pytest.raises(ParameterError, match="`loss` must be one of"):
        loss_gradient(model, samples(model), Target(codes=torch.zeros(12).long()), loss="hinge")


def test_gradient_does_not_change_later():
    """A gradient keeps its numbers when the next one is asked for."""
    model = net_of(kind=nn.ReLU)
    target = Target(codes=torch.zeros(12, dtype=torch.int64))
    with model.session():
        first = loss_gradient(model, samples(model), target)[2]
        kept = first.clone()
        loss_gradient(model, samples(model, seed=1), target)
    assert torch.equal(first, kept)


def test_edge_of_a_line():
    """On a line the smallest change is where the model changes its mind."""
    model = line(edge=3.0)
    with model.session():
        found = smallest_change(
            model, torch.zeros(1, 1), torch.full((1, 1), 7.0), Target(codes=torch.tensor([1]))
        )
    assert found.found.item()
    assert 3.0 < found.adversarial.item() < 3.0 * (1 + 2**-8)
    assert found.magnitude.item() == pytest.approx(found.adversarial.item())


def test_untargeted_edge():
    """Untargeted, any other unit will do."""
    model = line(edge=-2.0)
    with model.session():
        found = smallest_change(
            model,
            torch.zeros(1, 1),
            -torch.ones(1, 1),
            Target(codes=torch.tensor([1]), targeted=False),
        )
    assert found.found.item()
    assert -2.02 < found.adversarial.item() <= -2.0


def test_what_is_there_stays():
    """A row that is as asked from the start keeps it, to the bit."""
    model = line(edge=-2.0)
    start = torch.full((1, 1), 0.1)
    with model.session():
        found = smallest_change(model, start, torch.ones(1, 1), Target(codes=torch.tensor([1])))
    assert torch.equal(found.adversarial, start)
    assert (found.magnitude.item(), found.found.item()) == (0.0, True)


@pytest.mark.parametrize("direction", [0.0, float("nan"), float("inf")])
def test_no_direction(direction):
    """Without a direction nothing moves and nothing is found."""
    model = line()
    with model.session():
        found = smallest_change(
            model, torch.zeros(1, 1), torch.full((1, 1), direction), Target(codes=torch.tensor([1]))
        )
    assert (found.adversarial.item(), found.found.item()) == (0.0, False)


def test_never_found_is_the_most_confident():
    """What is never found gives the candidate that came nearest, and says so."""
    model = line(edge=3.0)
    with model.session():
        found = smallest_change(
            model, torch.zeros(1, 1), torch.ones(1, 1), Target(codes=torch.tensor([1])), limit=2.0
        )
    assert (found.adversarial.item(), found.found.item()) == (2.0, False)


def test_bounds_and_pixels():
    """Candidates stay in bounds and on the grid of pixel values."""
    model = net_of()
    x = torch.round(samples(model) * 255) / 255
    target = Target(codes=torch.arange(12) % 4)
    with model.session():
        gradient = loss_gradient(model, x, target)[2]
        found = smallest_change(model, x, -gradient, target, clip=(0.0, 1.0), pixel_step=1 / 255)
        again = hits(model, found.adversarial, target)
    assert torch.equal(found.found, again)
    assert found.found.float().mean() > 0.5
    assert found.adversarial.min() >= 0.0
    assert found.adversarial.max() <= 1.0
    grid = found.adversarial * 255
    torch.testing.assert_close(grid, grid.round(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_search_as_plain_as_can_be(targeted, clip):
    """The batched search gives what a search of each row by itself gives."""
    model = net_of(seed=3)
    x = samples(model, 20)
    codes = (torch.arange(20) % 4) if targeted else model.labels(x)
    target = Target(codes=codes, targeted=targeted)
    with model.session():
        direction = -loss_gradient(model, x, target)[2]
        found = smallest_change(model, x, direction, target, clip=clip)
        for row in range(20):
            expected, there = plain_smallest_change(
                model, x[row], direction[row], int(codes[row]), targeted, clip
            )
            assert there == found.found[row].item()
            torch.testing.assert_close(found.adversarial[row], expected, rtol=0, atol=1e-12)


def test_hits_and_results():
    """A result tells the loss and the confidence at its examples, in either mode."""
    model = net_of()
    x = samples(model)
    codes = torch.arange(12) % 4
    with model.session():
        labels = model.labels(x)
        for targeted in (True, False):
            target = Target(codes=codes, targeted=targeted)
            result = judged(model, x, target, n_iter=torch.arange(12), stop_reason="changed")
            still = descend(model, x, lambda x, g, s: (x, s), target, Stop(max_iter=1))
            np.testing.assert_allclose(result.loss, still.loss)
            np.testing.assert_allclose(result.confidence, still.confidence)
            assert torch.equal(hits(model, x, target), (labels == codes) == targeted)
    assert result.n_iter.tolist() == list(range(12))
    assert set(result.stop_reason) == {"changed"}


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1", True, None])
def test_numbers_that_are_none(value):
    """What is no positive number is refused by name."""
    with pytest.raises(ParameterError, match="`epsilon` must be a positive number, got"):
        check_number("epsilon", value, low=0, open_low=True)


def test_ranges_in_words():
    """A range is told as it is checked."""
    with pytest.raises(ParameterError, match=r"`a` must be None or a number in \(0, 1\], got 0"):
        check_number("a", 0, low=0, high=1, open_low=True, none=True)
    with pytest.raises(ParameterError, match="`a` must be 0 or a positive number, got -1"):
        check_number("a", -1, low=0)
    check_number("a", None, none=True)
    check_number("a", np.float32(0.5), low=0, high=1)


@pytest.mark.parametrize("value", [0, 1.5, True, "3"])
def test_counts_that_are_none(value):
    """What is no positive integer is refused by name."""
    with pytest.raises(ParameterError, match="`n` must be a positive integer, got"):
        check_count("n", value)


@pytest.mark.parametrize("clip", [1, (1, 0), (0, 0), (0,), ("a", "b"), (0, float("nan"))])
def test_bounds_that_are_none(clip):
    """What are no bounds is refused."""
    with pytest.raises(ParameterError, match=r"`clip` must be None or \(low, high\)"):
        check_clip(clip)
    check_clip((0, 1))


def test_each_row_its_own_limit():
    """A limit may differ from row to row."""
    model = line(edge=3.0)
    target = Target(codes=torch.tensor([1, 1]))
    with model.session():
        found = smallest_change(
            model, torch.zeros(2, 1), torch.ones(2, 1), target, limit=torch.tensor([2.0, 8.0])
        )
    assert found.found.tolist() == [False, True]
    assert found.adversarial[0].item() == 2.0
