"""The ResNet is He's with pre-activation: block by block, count by count."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from pncviz.exceptions import ModelError
from pncviz.models import TorchModel
from pncviz_architectures import PRESETS, ResNet
from pncviz_architectures.resnet import PreActivationBlock


def normalised(norm, x):
    """Batch normalisation by hand, from running statistics or those of the batch."""
    if norm.training:
        mean, variance = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), unbiased=False)
    else:
        mean, variance = norm.running_mean, norm.running_var
    scale = norm.weight / (variance + norm.eps).sqrt()
    return (x - mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


def plain_block(block, x, stride):
    """A block by hand."""
    active = normalised(block.norm1, x).clamp_min(0)
    out = functional.conv2d(active, block.conv1.weight, stride=stride, padding=1)
    out = normalised(block.norm2, out).clamp_min(0)
    out = functional.conv2d(out, block.conv2.weight, padding=1)
    entry = active if block.shared else x
    if isinstance(block.shortcut, nn.Identity):
        return entry + out
    return functional.conv2d(entry, block.shortcut.weight, stride=stride) + out


def plain(net, x):
    """The net by hand: every stage but the first begins with a stride of 2."""
    x = functional.conv2d(x, net.stem.weight, padding=1)
    stages = [part for name, part in net.named_children() if name.startswith("stage")]
    for number, stage in enumerate(stages):
        for place, block in enumerate(stage):
            x = plain_block(block, x, 2 if number and not place else 1)
    x = normalised(net.norm, x).clamp_min(0)
    return x.sum(dim=(2, 3)) / (x.shape[2] * x.shape[3]) @ net.output.weight.T + net.output.bias


def unsettled(module):
    """Give statistics and scales of batch normalisation other values than at the beginning."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module


@pytest.mark.parametrize("before, after, stride", [(4, 4, 1), (4, 6, 1), (4, 6, 2)])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_block(before, after, stride, shared, training):
    """A block is what it is by hand, in training and evaluation, whatever its shortcut."""
    block = unsettled(PreActivationBlock(before, after, stride=stride, shared=shared))
    block.train(training)
    x = torch.randn(5, before, 6, 7)
    expected = plain_block(block, x, stride)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 16, 19)])
def test_plain(shape):
    """The logits are those of the net by hand; images of 32, 28 and 16 pixels, flat too."""
    net = unsettled(ResNet(input_shape=shape, n_classes=5, blocks=[1, 2, 1], widths=[4, 4, 6]))
    x = torch.randn(3, *shape)
    found = net.eval()(x)
    torch.testing.assert_close(found, plain(net, x), rtol=1e-3, atol=1e-3)
    assert torch.equal(net(x.flatten(1)), found)


@pytest.mark.parametrize("preset", PRESETS)
def test_number_of_parameters(preset):
    """Parameters are as many as convolutions, norms and the output have, counted by hand."""
    blocks, widths = PRESETS[preset]
    count, before = 9 * 3 * widths[0], widths[0]
    for stage, (n_blocks, width) in enumerate(zip(blocks, widths, strict=True)):
        for place in range(n_blocks):
            count += 2 * before + 9 * before * width + 2 * width + 9 * width * width
            if not place and (stage or before != width):
                count += before * width
            before = width
    count += 2 * before + before * 10 + 10
    net = ResNet(input_shape=(3, 32, 32), n_classes=10, preset=preset)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize(
    "preset, millions, layers",
    [("resnet20", 0.27, 20), ("resnet56", 0.86, 56), ("wide14", 2.78, 14), ("resnet18", 11.17, 18)],
)
def test_presets(preset, millions, layers):
    """Presets reach from .27 to 11.2 million parameters, with as many layers as their names say.

    Convolutions of 3×3 and the output count, those of shortcuts do not.
    """
    net = ResNet(input_shape=(3, 32, 32), n_classes=10, preset=preset)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    deep = [part for part in net.modules() if getattr(part, "kernel_size", None) == (3, 3)]
    assert len(deep) + 1 == layers


def test_first_activation_is_shared():
    """The first block of the net and of each stage activates both paths, and no other does."""
    net = ResNet(input_shape=(3, 32, 32), n_classes=10)
    shared = [part.shared for part in net.modules() if isinstance(part, PreActivationBlock)]
    assert shared == [True, False, False] * 3


def test_smallest():
    """Two pixels a side are left for the last stage, at least."""
    assert ResNet(input_shape=(3, 8, 9), n_classes=2)(torch.zeros(1, 3, 8, 9)).shape == (1, 2)
    with pytest.raises(ModelError, match=r"ResNet needs images of at least 8×8: .*\(3, 7, 8\)"):
        ResNet(input_shape=(3, 7, 8), n_classes=2)
    with pytest.raises(ModelError, match="at least 16×16"):
        ResNet(input_shape=(3, 15, 15), n_classes=2, preset="resnet18")


def test_layers_by_name():
    """Stages, blocks and parts of blocks are reached by their names, each half as large."""
    model = TorchModel(
        ResNet(input_shape=(1, 28, 28), n_classes=3, blocks=[1, 1, 1]), input_shape=(1, 28, 28)
    )
    names = ["stem", "stage1", "stage2.0", "stage2.0.conv1", "stage3", "norm", "relu", "output"]
    with model.session():
        found = model.activations(torch.rand(2, 1, 28, 28), names)
    assert [tuple(found[name].shape[1:]) for name in names] == [
        (16, 28, 28),
        (16, 28, 28),
        (32, 14, 14),
        (32, 14, 14),
        (64, 7, 7),
        (64, 7, 7),
        (64, 7, 7),
        (3,),
    ]


def test_beginning():
    """Convolutions begin normal with variance 2 / (9 · channels that come out); without bias."""
    net = ResNet(input_shape=(3, 32, 32), n_classes=10, preset="wide14")
    for name, part in net.named_modules():
        if isinstance(part, nn.Conv2d):
            outputs = part.kernel_size[0] ** 2 * part.out_channels
            assert part.weight.std().item() == pytest.approx(math.sqrt(2 / outputs), rel=0.1), name
            assert part.bias is None
