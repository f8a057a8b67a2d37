"""The rivals and the limits of benchmarks/speed: do they do the work they are timed for?"""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import limits, rivals

SHAPE, N_CLASSES = (1, 4, 4), 3
EVERYONE = {**rivals.PLAIN, **rivals.RIVALS}


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, N_CLASSES))


def _cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding="same"),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2, 4, 2, padding="valid"),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(4, N_CLASSES),
    )


def _work(n=6):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, *SHAPE, generator=generator), torch.arange(n) % N_CLASSES


def _library(rival):
    """Skip where the rival's library is not installed."""
    if rival in rivals.PACKAGES:
        pytest.importorskip(rivals.PACKAGES[rival][0], exc_type=ImportError)


@pytest.mark.parametrize("make", [_net, _cnn])
def test_the_batch_does_what_each_row_does_by_itself(make):
    """plain_batched and one_at_a_time agree, and go somewhere."""
    start, codes = _work()
    batched = rivals.plain_batched(make(), start, codes, n_iter=20)
    alone = rivals.one_at_a_time(make(), start, codes, n_iter=20)
    assert batched.shape == start.shape
    assert (batched - start).abs().max() > 0.1
    torch.testing.assert_close(batched, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("plain", [rivals.plain_batched, rivals.one_at_a_time])
def test_one_step_of_softmax_regression_is_the_weights_difference(plain):
    """From zero, with no bias, the softmax is uniform: x = lr · (w_wanted − mean of all w)."""
    regression = nn.Sequential(nn.Flatten(), nn.Linear(16, N_CLASSES, bias=False))
    weights = regression[1].weight.detach()
    codes = torch.tensor([2, 0, 1, 1])
    found = plain(regression, torch.zeros(4, *SHAPE), codes, n_iter=1, learning_rate=0.5)
    expected = 0.5 * (weights[codes] - weights.mean(dim=0))
    torch.testing.assert_close(found.flatten(1), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [SHAPE, (16,)])
@pytest.mark.parametrize("rival", EVERYONE)
def test_every_rival_moves_each_row_towards_its_class(rival, shape):
    """A few steps lower each row's loss, for images and for flat input."""
    _library(rival)
    net, (start, codes) = _net(), _work()
    start = start.reshape(-1, *shape)
    found = EVERYONE[rival](net, 10, shape, N_CLASSES)(start, codes)
    assert found.shape == start.shape
    assert found.dtype == torch.float32

    def losses(x):
        return nn.functional.cross_entropy(net(x), codes, reduction="none").detach()

    assert (losses(found) < losses(start) - 0.01).all()


@pytest.mark.parametrize("rival", EVERYONE)
def test_every_rival_takes_colour_images_and_channels_last(rival):
    """The layout of a module's weights changes nothing in what a rival finds."""
    _library(rival)
    shape, codes = (2, 4, 4), torch.arange(4) % N_CLASSES
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, N_CLASSES))
    start = torch.rand(4, *shape)
    expected = EVERYONE[rival](net, 3, shape, N_CLASSES)(start, codes)
    turned = net.to(memory_format=torch.channels_last)
    found = EVERYONE[rival](turned, 3, shape, N_CLASSES)(start, codes)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("rival", ["ART", "foolbox"])
def test_a_library_takes_unit_steps_along_the_gradient(rival):
    """One step of ART or foolbox is the plain step, divided by its L2 norm: nothing is clipped."""
    _library(rival)
    net, (start, codes) = _net(), _work()
    step = (rivals.plain_batched(net, start, codes, n_iter=1) - start).flatten(1)
    found = rivals.RIVALS[rival](net, 1, SHAPE, N_CLASSES)(start, codes)
    unit = step / step.norm(dim=1, keepdim=True)
    torch.testing.assert_close((found - start).flatten(1), unit, atol=1e-4, rtol=0)


def test_torchattacks_takes_unit_steps_and_clips():
    """One step of torchattacks is the plain step, divided by its L2 norm, cut to [0, 1]."""
    _library("torchattacks")
    net, (start, codes) = _net(), _work()
    step = (rivals.plain_batched(net, start, codes, n_iter=1) - start).flatten(1)
    found = rivals.RIVALS["torchattacks"](net, 1, SHAPE, N_CLASSES)(start, codes)
    expected = (start.flatten(1) + step / step.norm(dim=1, keepdim=True)).clamp(0, 1)
    torch.testing.assert_close(found.flatten(1), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("rival", EVERYONE)
def test_no_rival_takes_another_number_of_iterations(rival):
    """Each does n_iter passes with a gradient, on all rows; some do a few without one on top."""
    _library(rival)
    passes = []

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = _net()

        def forward(self, x):
            if x.requires_grad:
                passes.append(len(x))
            return self.net(x)

    start, codes = _work(40)
    EVERYONE[rival](Counting(), 7, SHAPE, N_CLASSES)(start, codes)
    assert passes == ([1] * 280 if rival == "one at a time" else [40] * 7)


@pytest.mark.parametrize("rival", EVERYONE)
def test_the_module_and_the_start_are_left_as_they_were(rival):
    """Weights, buffers, requires_grad, gradients and the training flags stay; so do the inputs."""
    _library(rival)
    net = _cnn().train()
    net[1].eval()
    net[4].weight.requires_grad_(False)
    start, codes = _work()
    before = copy.deepcopy(net.state_dict()), start.clone(), codes.clone()
    EVERYONE[rival](net, 3, SHAPE, N_CLASSES)(start, codes)
    torch.testing.assert_close((net.state_dict(), start, codes), before, atol=0, rtol=0)
    assert not start.requires_grad
    frozen = [name for name, p in net.named_parameters() if not p.requires_grad]
    assert frozen == ["4.weight"]
    assert all(p.grad is None for p in net.parameters())
    assert [name for name, part in net.named_modules() if not part.training] == ["1"]


def test_available_names_versions_of_what_imports(monkeypatch):
    """A library that does not import is left out; the others come with their version."""
    real = rivals._import

    def without_foolbox(package):
        if package == "foolbox":
            raise ModuleNotFoundError(package)
        return real(package)

    found = rivals.available()
    assert set(found) <= set(rivals.RIVALS)
    assert all(version[0].isdigit() for version in found.values())
    monkeypatch.setattr(rivals, "_import", without_foolbox)
    assert rivals.available() == {name: found[name] for name in found if name != "foolbox"}


def _flops(run):
    counter = FlopCounterMode(display=False)
    with counter:
        run()
    return counter.get_total_flops()


def _fc():
    sizes = [(784, 200), (200, 30), (30, 10)]
    return nn.Sequential(nn.Flatten(), *(nn.Linear(*size) for size in sizes))


def test_the_direct_products_of_an_fc():
    """Each layer's product forward and backward: 2 · rows · inputs · outputs operations each."""
    run = limits.bare(_fc(), 5, 3, "direct", (1, 28, 28))
    assert _flops(run) == 3 * 2 * 5 * 2 * (784 * 200 + 200 * 30 + 30 * 10)


def test_the_first_layer_forms_products_of_an_fc():
    """The first layer's two products become one of its width squared."""
    run = limits.bare(_fc(), 5, 3, "first_layer", (1, 28, 28))
    assert _flops(run) == 3 * 2 * 5 * (2 * (200 * 30 + 30 * 10) + 200 * 200)


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_the_products_of_a_small_cnn(memory_format):
    """Each convolution forward and backward to its input, and the linear layer's two products."""
    first = 4 * 4 * 2 * (1 * 3 * 3)  # pixels out · channels out · (channels in · kernel)
    second = 1 * 1 * 4 * (2 * 2 * 2)
    run = limits.bare(_cnn(), 5, 3, "direct", SHAPE, memory_format)
    assert _flops(run) == 3 * 2 * 5 * 2 * (first + second + 4 * N_CLASSES)


class _Products(TorchDispatchMode):
    """Note each matrix product's and convolution's operands, as shapes."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("mm", "addmm", "convolution", "convolution_backward"):
            operands = args[1:] if name == "addmm" else args  # the bias is added to the product
            shapes = [
                tuple(a.shape) for a in operands if isinstance(a, torch.Tensor) and a.ndim > 1
            ]
            self.seen.append(
                (name.replace("add", ""), *shapes, name[-8:] == "backward" and args[-1])
            )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("make, shape", [(_fc, (784,)), (_cnn, SHAPE)])
def test_the_direct_products_are_those_of_the_plain_loop(make, shape):
    """The plain loop does the same products, in the same order, and no other."""
    loop = rivals.prepare_plain_batched(make(), 2, shape, N_CLASSES)
    run = limits.bare(make(), 5, 2, "direct", shape)
    start, codes = torch.rand(5, *shape), torch.arange(5) % N_CLASSES
    with _Products() as plain:
        loop(start, codes)
    with _Products() as bare:
        run()
    assert len(bare.seen) == 2 * 2 * 3
    assert bare.seen == plain.seen


def test_the_products_take_strides_groups_and_rows_before_the_features():
    """A strided grouped convolution, and a linear layer on (n, 4, 9) input: four rows a sample."""
    convolution = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
    net = nn.Sequential(convolution, nn.Flatten(2), nn.Linear(9, 5))
    run = limits.bare(net, 2, 1, "direct", (2, 5, 5))
    assert _flops(run) == 2 * 2 * 2 * (3 * 3 * 4 * (1 * 3 * 3) + 4 * 9 * 5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_what_cannot_be_counted_is_refused():
    """An unknown form, other layers with weights, a wrong beginning, uneven padding, no layer."""
    with pytest.raises(ValueError, match="`form` must be one of"):
        limits.bare(_net(), 2, 1, "second_layer", SHAPE)
    with pytest.raises(ValueError, match="begins with Linear"):
        limits.bare(_cnn(), 2, 1, "first_layer", SHAPE)
    with pytest.raises(ValueError, match="Only Linear and Conv2d are counted"):
        limits.bare(nn.Sequential(nn.ConvTranspose2d(1, 2, 3)), 2, 1, "direct", SHAPE)
    uneven = nn.Sequential(nn.Conv2d(1, 2, 2, padding="same"))
    with pytest.raises(ValueError, match="even kernel pads unevenly"):
        limits.bare(uneven, 2, 1, "direct", SHAPE)
    with pytest.raises(ValueError, match="neither Linear nor Conv2d"):
        limits.bare(nn.Sequential(nn.PReLU()), 2, 1, "direct", SHAPE)
