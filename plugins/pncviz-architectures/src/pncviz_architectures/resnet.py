"""Residual networks with pre-activation, for small images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from pncviz.exceptions import ParameterError
from pncviz_architectures.checks import check_counts, check_image_shape

__all__ = ["PRESETS", "PreActivationBlock", "ResNet"]

#: Name -> (blocks, widths) of each stage.
PRESETS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "resnet20": ((3, 3, 3), (16, 32, 64)),
    "resnet56": ((9, 9, 9), (16, 32, 64)),
    "wide14": ((2, 2, 2), (64, 128, 256)),
    "resnet18": ((2, 2, 2, 2), (64, 128, 256, 512)),
}


class _Convolution(nn.Conv2d):
    """A convolution without bias that begins as He's; a method, so that a model null begins so."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1) -> None:
        super().__init__(before, after, kernel, stride, padding=kernel // 2, bias=False)

    def reset_parameters(self) -> None:
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")


class PreActivationBlock(nn.Module):
    """Two convolutions of 3×3, each after batch normalisation and ReLU, added to what came in.

    Parameters
    ----------
    before, after : int
        Channels.
    stride : int, default=1
        Of the first convolution.
    shared : bool, default=False
        Whether the first activation is of both paths, as in the first block of a net and of every
        stage; otherwise the shortcut takes what came in as it is.

    References
    ----------
    he2016identity, figure 4 (e) and appendix.

    Examples
    --------
    >>> import torch
    >>> PreActivationBlock(4, 8, stride=2, shared=True)(torch.zeros(2, 4, 6, 6)).shape
    torch.Size([2, 8, 3, 3])
    """

    def __init__(self, before: int, after: int, *, stride: int = 1, shared: bool = False) -> None:
        super().__init__()
        self.shared = shared
        self.norm1 = nn.BatchNorm2d(before)
        self.relu1 = nn.ReLU()
        self.conv1 = _Convolution(before, after, 3, stride)
        self.norm2 = nn.BatchNorm2d(after)
        self.relu2 = nn.ReLU()
        self.conv2 = _Convolution(after, after, 3)
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else _Convolution(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, rows, columns) to (n, after, rows / stride, columns / stride)."""
        active = self.relu1(self.norm1(x))
        kept: Tensor = self.shortcut(active if self.shared else x)
        changed: Tensor = self.conv2(self.relu2(self.norm2(self.conv1(active))))
        return kept + changed


class ResNet(nn.Module):
    """Residual network with pre-activation, for images of 32×32 or about that size; logits.

    A convolution of 3×3, stages of blocks, of which each but the first halves the image, then batch
    normalisation, ReLU, the mean over the image, and a linear layer. Shortcuts that change shape
    are convolutions of 1×1. Layers, by name: ``stem``, ``stage1``, ``stage1.0`` (a block), …,
    ``norm``, ``relu``, ``output``.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns) or (rows, columns); at least 2 pixels a side must be left for the
        last stage: 8×8 with three stages, 16×16 with four.
    n_classes : int
    preset : {"resnet20", "resnet56", "wide14", "resnet18"}, default="resnet20"
        .27, .86, 2.8 or 11.2 million parameters for ten classes of colour images.
    blocks, widths : sequence of int, optional
        Number of blocks of each stage, and its channels, in place of the preset's.

    Raises
    ------
    ModelError
        A flat input shape, or an image too small for the stages.
    ParameterError
        No such preset; counts that are not positive; blocks and widths of different length.

    References
    ----------
    he2016identity, section 3 and appendix.

    Examples
    --------
    >>> import torch
    >>> net = ResNet(input_shape=(3, 32, 32), n_classes=10)
    >>> net(torch.zeros(2, 3, 32, 32)).shape, sum(p.numel() for p in net.parameters())
    (torch.Size([2, 10]), 272282)
    """

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        n_classes: int,
        preset: str = "resnet20",
        blocks: Sequence[int] | None = None,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        counts, channels = _stages(preset, blocks, widths)
        self.image_shape = check_image_shape("This ResNet", input_shape, 2 ** len(counts))
        self.stem = _Convolution(self.image_shape[0], channels[0], 3)
        self._stage_names = [f"stage{number}" for number in range(1, len(counts) + 1)]
        before = (channels[0], *channels)
        for place, (count, (first, width)) in enumerate(zip(counts, pairwise(before), strict=True)):
            stage = [PreActivationBlock(first, width, stride=2 if place else 1, shared=True)]
            stage += [PreActivationBlock(width, width) for _ in range(count - 1)]
            self.add_module(self._stage_names[place], nn.Sequential(*stage))
        self.norm = nn.BatchNorm2d(channels[-1])
        self.relu = nn.ReLU()
        self.output = nn.Linear(channels[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Flat or image input (n, …) to logits (n, n_classes)."""
        found = self.stem(x.reshape(-1, *self.image_shape).to(self.stem.weight.dtype))
        for name in self._stage_names:
            found = self.get_submodule(name)(found)
        logits: Tensor = self.output(self.relu(self.norm(found)).mean(dim=(2, 3)))
        return logits


def _stages(
    preset: str, blocks: Sequence[int] | None, widths: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give blocks and widths of each stage."""
    if preset not in PRESETS:
        raise ParameterError(f"`preset` must be one of {', '.join(PRESETS)}, got {preset!r}.")
    usual = PRESETS[preset]
    counts = usual[0] if blocks is None else check_counts("blocks", blocks)
    channels = usual[1] if widths is None else check_counts("widths", widths)
    if len(counts) != len(channels):
        raise ParameterError(
            f"`blocks` and `widths` must have one number per stage each, got {counts} and "
            f"{channels}; give both to change the number of stages."
        )
    return counts, channels
