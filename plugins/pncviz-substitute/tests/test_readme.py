"""What the README shows works as it stands."""

import re
from pathlib import Path

from pncviz_substitute import pncviz_adapters, pncviz_attacks

README = Path(__file__).resolve().parents[1] / "README.md"


def test_blocks_run():
    """The example runs, asks as often as it says, and finds the classes."""
    text = README.read_text(encoding="utf-8")
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, str(README), "exec"), namespace)
    assert namespace["substitute"].n_queries_ == 400
    assert namespace["substitute"].history_["agreement"][-1] > 0.6
    assert namespace["found"]["contrast_hits"][-1] == 10


def test_names():
    """The table names every part that the plugin hands over."""
    text = README.read_text(encoding="utf-8")
    assert [
        s.name for s in [*pncviz_attacks(), *pncviz_adapters()] if f"`{s.name}`" not in text
    ] == []
