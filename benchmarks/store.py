"""What has been computed: JSON, arrays and models in one folder, each kept as it is finished."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from pncviz import load_classifier, save_classifier
from pncviz.dataset.atomic import replacing

__all__ = ["Store"]


class Store:
    """A folder of finished work, by name and by what it was made from.

    Parameters
    ----------
    root : path
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)

    def json(self, name: str, config: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """Give what ``compute`` gave once for this configuration; else compute and keep it."""
        path, key = self.root / f"{name}.json", _sum(config)
        if (found := self.read(name)) is not None and found["key"] == key:
            return found["result"]
        begin = time.monotonic()
        result = compute()
        seconds = time.monotonic() - begin
        text = json.dumps(
            {"key": key, "config": config, "seconds": seconds, "result": result}, default=str
        )
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"{name}: {seconds:.0f} s", flush=True)
        # As a reader will have it.
        return json.loads(text)["result"]

    def read(self, name: str) -> dict[str, Any] | None:
        """Give what is kept under a name, whatever it was made from; None if nothing is."""
        path = self.root / f"{name}.json"
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def model(self, name: str, config: Mapping[str, Any], train: Callable[[], Any]) -> Any:
        """Give the classifier that ``train`` gave once for this configuration."""
        path, key = self.root / f"{name}.safetensors", _sum(config)
        if path.exists():
            net = load_classifier(path)
            if net.info_.get("made_from") == key:
                return net
        begin = time.monotonic()
        with torch.random.fork_rng(devices=[]):
            net = train()
        save_classifier(net, path, made_from=key)
        print(f"{name}: trained in {time.monotonic() - begin:.0f} s", flush=True)
        return load_classifier(path)


def _sum(config: Mapping[str, Any]) -> str:
    text = json.dumps(config, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
