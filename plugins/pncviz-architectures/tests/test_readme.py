"""What the README shows works as it stands."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from pncviz_architectures import PRESETS, ResNet, pncviz_architectures

README = Path(__file__).resolve().parents[1] / "README.md"


def small(n_outputs, channels=3):
    """Give a stand-in for a library's model."""
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, n_outputs)
    )


@pytest.fixture
def libraries(monkeypatch):
    """Stand-ins for timm and torchvision."""
    timm, torchvision = ModuleType("timm"), ModuleType("torchvision")
    timm.create_model = lambda _, **asked: small(asked["num_classes"], asked["in_chans"])
    torchvision.models = ModuleType("torchvision.models")
    torchvision.models.resnet18 = lambda **_: small(1000)
    for module in (timm, torchvision, torchvision.models):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("libraries")
@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_blocks_run():
    """Every block of Python runs, one after the other, and gives the numbers it says."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    namespace = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), namespace)
        if "own_confidence" in block:
            module, noise = namespace["net"].module_, namespace["noise"]
            with torch.no_grad():
                assert 0.8 < module(noise).softmax(1).amax(1).mean() < 0.9
                assert module.own_confidence(noise).mean() < 0.001
    assert namespace["patterns"]["pattern"].shape == (2, 3, 224, 224)


def test_tables():
    """The tables name every architecture, and every preset with its parameters."""
    text = README.read_text(encoding="utf-8")
    assert [s.name for s in pncviz_architectures() if f"`{s.name}`" not in text] == []
    for preset, (blocks, widths) in PRESETS.items():
        net = ResNet(input_shape=(3, 32, 32), n_classes=10, preset=preset)
        count = f"{sum(p.numel() for p in net.parameters()):,}".replace(",", " ")
        stages = (", ".join(map(str, stage)) for stage in (blocks, widths))
        assert f"| `{preset}` | {' | '.join(stages)} | {count} |" in text
