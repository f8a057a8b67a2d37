"""Studies that take seconds, and plugins that fail on purpose; what several test files share."""

import copy
import json

import numpy as np
import torch

import pncviz

SMALL = {
    "training": {"max_epochs": 2},
    "extraction": {"max_iter": 5},
    "comparison": {"n_permutations": 50, "n_resamples": 20},
}
FC = {"name": "fc", "as": "fc", "params": {"hidden": [8]}}


def raw(*grids, name="small", **tables):
    """Give a study as its file says it; each grid on tiling with a small FC unless it says more."""
    usual = {"dataset": ["tiling"], "architecture": [FC]}
    found = copy.deepcopy(SMALL)
    for table, values in tables.items():
        found[table] = {**found.get(table, {}), **values}
    return {"name": name, **found, "grid": [{**usual, **grid} for grid in (grids or ({},))]}


def study(*grids, **more):
    """Give a checked study."""
    from pncviz.study import parse_study

    return parse_study(raw(*grids, **more))


def moody(file, **params):
    """A grid of one good strategy and one that fails while a file is there."""
    told = {"name": "moody", "as": "moody", "params": {"file": str(file), **params}}
    return {"strategy": [told, "zero"]}


def write(path, *grids, **more):
    """Write a study's file; strings and numbers are the same in JSON and in TOML."""
    told = raw(*grids, **more)
    lines = [f"name = {json.dumps(told['name'])}"]
    for table in ("training", "extraction", "comparison"):
        lines += [f"[{table}]", *(f"{key} = {_toml(v)}" for key, v in told[table].items())]
    for grid in told["grid"]:
        lines += ["[[grid]]", *(f"{key} = {_toml(value)}" for key, value in grid.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


class Moody(pncviz.Strategy):
    """A strategy that raises, or ends the process, while a file says so."""

    def __init__(self, file="", exits=False):
        self.file = file
        self.exits = exits

    def start(self, shape, rng):
        from pathlib import Path

        if Path(self.file).exists():
            if self.exits:
                raise SystemExit(3)
            raise OSError("\x1b[31mthe moon is full")
        return rng.normal(size=shape)


class Balky(torch.nn.Module):
    """A module that can be made, but not trained."""

    def __init__(self, *, input_shape, n_classes, exits=False):
        super().__init__()
        self.exits = exits
        self.layer = torch.nn.Linear(int(np.prod(input_shape)), n_classes)

    def forward(self, x):
        if self.exits:
            raise SystemExit("no training today")
        raise ArithmeticError("no training today")


class Plugin:
    """What the tests register."""

    @pncviz.hookimpl
    def pncviz_strategies(self):
        return [pncviz.StrategySpec(name="moody", factory=Moody)]

    @pncviz.hookimpl
    def pncviz_architectures(self):
        return [pncviz.ArchitectureSpec(name="balky", factory=Balky)]
