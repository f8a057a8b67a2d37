"""Estimated gradients: against theory, a plain loop, and the gradient itself."""

import blackbox_reference as plain
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pncviz.exceptions import ParameterError
from pncviz.models import TiledModel, TorchModel
from pncviz.specs import Target
from pncviz.synthesis import loss_gradient
from pncviz_blackbox import estimate_gradient

N_ROWS = 80


def _relative_errors(weight, n_samples, **options):
    """Estimate the gradient of a linear loss in many rows, and give the error of each."""
    model = TorchModel(plain.unlikely(weight), input_shape=(weight.shape[1],), output="logits")
    x = torch.zeros(N_ROWS, weight.shape[1], dtype=torch.float64)
    target = Target(codes=torch.zeros(N_ROWS, dtype=torch.int64))
    with model.session():
        found = estimate_gradient(
            model, x, target, plain.streams(N_ROWS, seed=n_samples), n_samples=n_samples, **options
        )
    true = torch.as_tensor(weight[1] - weight[0])
    return ((found.gradient - true).norm(dim=1) / true.norm()).numpy(), found, true


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize(("kind", "more"), [("gaussian", 1), ("signs", -1)])
@pytest.mark.parametrize("d", [2, 12, 60])
def test_error_is_what_theory_says(d, kind, more, antithetic):
    """Of a linear loss the relative error is sqrt((d +- 1) / m): its size, not its slope alone."""
    weight = np.random.default_rng(d).normal(size=(2, d))
    for m in (40, 640):
        n_samples = 2 * m if antithetic else m + 1
        errors, found, _ = _relative_errors(
            weight, n_samples, kind=kind, antithetic=antithetic, sigma=0.1
        )
        assert np.sqrt((errors**2).mean()) == pytest.approx(np.sqrt((d + more) / m), rel=0.2)
        assert found.n_queries == n_samples


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    d=st.integers(3, 40),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["gaussian", "signs"]),
    antithetic=st.booleans(),
)
def test_error_falls_with_the_root_of_the_queries(d, seed, kind, antithetic):
    """For linear models of any size, the log-log slope of error by queries is -1/2."""
    weight = np.random.default_rng(seed).normal(size=(2, d))
    counts = np.array([32, 128, 512])
    errors = [
        np.sqrt((_relative_errors(weight, n, kind=kind, antithetic=antithetic)[0] ** 2).mean())
        for n in counts
    ]
    # Of 80 rows, each root mean square is known to some 5 %; over a factor of 16, .02 of slope.
    assert np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(-0.5, abs=0.07)


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("kind", ["gaussian", "signs"])
def test_mean_is_the_gradient(kind, antithetic):
    """Estimates are not biased: the mean of many lies as near the gradient as their spread says."""
    weight = np.random.default_rng(0).normal(size=(2, 7))
    _, found, true = _relative_errors(weight, 64, kind=kind, antithetic=antithetic)
    spread = found.gradient.std(dim=0) / np.sqrt(N_ROWS)
    assert float(((found.gradient.mean(dim=0) - true) / spread).abs().max()) < 4


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("kind", ["gaussian", "signs"])
def test_many_samples_give_the_gradient_of_a_curved_loss(kind, loss, targeted):
    """On a net with a hidden layer, either loss's estimate nears what autograd gives."""
    model = TorchModel(plain.tanh_net(5), input_shape=(5,), output="logits")
    x, target = plain.images((5,)), Target(codes=torch.arange(6) % 3, targeted=targeted)
    with model.session():
        _, _, true = loss_gradient(model, x, target, loss=loss)
        found = estimate_gradient(
            model, x, target, plain.streams(6), n_samples=10_000, kind=kind, loss=loss
        ).gradient
    errors = (found - true).norm(dim=1) / true.norm(dim=1)
    assert float(errors.max()) < 4 * np.sqrt(6 / 5_000)


def test_wide_differences_see_the_blurred_loss():
    """Of a step between two plains, a wide difference sees the slope of the blurred step."""
    step = torch.nn.Module()
    step.forward = lambda x: torch.cat([4 + 0 * x, torch.where(x > 0, 5.0, 3.0)], dim=1)
    model = TorchModel(step, input_shape=(1,), output="logits")
    at, sigma = 0.3, 0.5
    x, target = torch.full((20, 1), at), Target(codes=torch.ones(20, dtype=torch.int64))
    with model.session():
        found = estimate_gradient(
            model, x, target, plain.streams(20), n_samples=20_000, sigma=sigma
        ).gradient
    # The loss falls by 1 nat in all: log(1 + e) - log(1 + 1 / e) = 1.
    want = -np.exp(-0.5 * (at / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    assert float(found.mean()) == pytest.approx(want, rel=0.02)


@pytest.mark.parametrize("n_samples", [10, 11, 300])
@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("kind", ["gaussian", "signs"])
def test_plain_loop(kind, antithetic, n_samples):
    """The estimate is that of a loop over directions, within a block and over several."""
    net, x = plain.tanh_net(7), plain.images((7,), n=3)
    model, codes = TorchModel(net, input_shape=(7,), output="logits"), [0, 2, 1]
    with model.session():
        found = estimate_gradient(
            model, x, Target(codes=torch.tensor(codes), targeted=False), plain.streams(3),
            n_samples=n_samples, sigma=0.3, kind=kind, antithetic=antithetic,
        )  # fmt: skip
    m = n_samples // 2 if antithetic else n_samples
    for row, rng in enumerate(plain.streams(3)):
        drawn = plain.directions(kind, rng, m, 7)()
        want = plain.estimate_one(
            net, x[row], codes[row], drawn, sigma=0.3, antithetic=antithetic, targeted=False
        )
        # Products of weights and directions are added up in float32.
        np.testing.assert_allclose(found.gradient[row], want, rtol=0, atol=3e-6)


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("wrap", [TorchModel, lambda *a, **k: TiledModel(TorchModel(*a, **k))])
def test_batches_are_of_no_account(wrap, antithetic):
    """Estimates are the same in calls of any size, alone or not: to the bit where the model is."""
    net, x = plain.tanh_net(7).float(), plain.images((7,), n=4).float()
    codes, found = torch.tensor([0, 1, 2, 0]), []
    for batch_size in (1, 300, 10_000):
        model = wrap(net, input_shape=(7,), output="logits", batch_size=batch_size)
        with model.session():
            found.append(
                estimate_gradient(
                    model, x, Target(codes=codes), plain.streams(4), n_samples=400,
                    antithetic=antithetic,
                ).gradient
            )  # fmt: skip
    with model.session():
        alone = estimate_gradient(
            model, x[2:3], Target(codes=codes[2:3]), plain.streams(4)[2:3], n_samples=400,
            antithetic=antithetic,
        ).gradient  # fmt: skip
    found.append(torch.cat([found[0][:2], alone, found[0][3:]]))
    for other in found[1:]:
        if wrap is TorchModel:
            torch.testing.assert_close(found[0], other, rtol=0, atol=3e-5)
        else:
            assert torch.equal(found[0], other)


def test_calls_are_about_a_batch():
    """No call is larger than a batch or one block of a row, however many samples there are."""
    sizes = []
    net = plain.tanh_net(7)
    net.register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    for batch_size, n_samples, most in ((50, 1000, 256), (600, 1000, 600), (600, 20, 600)):
        model = TorchModel(net, input_shape=(7,), output="logits", batch_size=batch_size)
        sizes.clear()
        with model.session():
            estimate_gradient(
                model, plain.images((7,), n=40), Target(codes=torch.zeros(40, dtype=torch.int64)),
                plain.streams(40), n_samples=n_samples,
            )  # fmt: skip
        assert max(sizes) <= most
        assert sum(sizes) == 40 * n_samples
        assert min(sizes[:-1]) > most / 3


@pytest.mark.parametrize("antithetic", [True, False])
def test_flat_answers_give_zero_exactly(antithetic):
    """Where no answer differs from another the estimate is zero, not a remainder of rounding."""
    net = plain.linear(np.zeros((3, 6)), [0.1, 0.2, 0.3])
    model = TorchModel(net, input_shape=(6,), output="logits")
    with model.session():
        found = estimate_gradient(
            model, plain.images((6,)), Target(codes=torch.arange(6) % 3), plain.streams(6),
            n_samples=301, antithetic=antithetic,
        )  # fmt: skip
    assert not found.gradient.any()
    assert found.n_queries == (300 if antithetic else 301)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_samples": 1}, "`n_samples` must be an integer from 2 on, got 1"),
        ({"sigma": 0}, "`sigma` must be a positive number, got 0"),
        ({"loss": "margin"}, "`loss` must be one of cross_entropy, squared_error, got 'margin'"),
        ({"kind": "normal"}, "`kind` must be one of gaussian, signs, got 'normal'"),
    ],
)
def test_parameters(params, message):
    """A bad parameter is named, with its value."""
    model = TorchModel(plain.tanh_net(5), input_shape=(5,), output="logits")
    with pytest.raises(ParameterError, match=message):
        estimate_gradient(
            model, plain.images((5,), n=1), Target(codes=torch.tensor([0])), plain.streams(1),
            **params,
        )  # fmt: skip
