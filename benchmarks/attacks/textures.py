"""Images in colour whose class means are weak: textured objects at random places, generated.

Shape and texture say surely what the class is. Its mean is weak but not nothing, as with
photographs: each class has a tint and a side of the image that it is a little more often on, so
that there is a contrast to be found, and something for a net without convolutions to learn.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["class_names", "draw", "write_folder"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SIDE = 32
#: Each pixel is the mean of so many points a side.
_POINTS = 2

#: Name -> where the object is, in its own coordinates, about -1 to 1.
SHAPES: dict[str, Callable[[Floats, Floats], Bools]] = {
    "disc": lambda u, v: u**2 + v**2 <= 1,
    "box": lambda u, v: np.maximum(abs(u), abs(v)) <= 0.85,
    "tri": lambda u, v: (v >= -0.6) & (math.sqrt(3) * abs(u) + v <= 1.2),
    "cross": lambda u, v: (np.minimum(abs(u), abs(v)) <= 0.36) & (np.maximum(abs(u), abs(v)) <= 1),
    "ring": lambda u, v: (u**2 + v**2 <= 1) & (u**2 + v**2 >= 0.3),
}

#: Name -> where its first colour is: coordinates in periods, distance from the centre likewise.
TEXTURES: dict[str, Callable[[Floats, Floats, Floats, Bools], Bools]] = {
    "lines": lambda a, b, d, s: a % 1 < 0.5,  # noqa: ARG005 # every texture is given all
    "checks": lambda a, b, d, s: (a % 1 < 0.5) ^ (b % 1 < 0.5),  # noqa: ARG005 # likewise
    "dots": lambda a, b, d, s: (a % 1 - 0.5) ** 2 + (b % 1 - 0.5) ** 2 < 0.1,  # noqa: ARG005 # likewise
    "ripple": lambda a, b, d, s: d % 1 < 0.5,  # noqa: ARG005 # likewise
    "flecks": lambda a, b, d, s: s,  # noqa: ARG005 # likewise
}

#: How far a class's usual place is from the middle, in pixels, and its tint from grey.
_ASIDE, _TINT = 2.5, 0.12

#: Classes that are possible: every shape with every texture.
_MOST = len(SHAPES) * len(TEXTURES)


def class_names(n_classes: int) -> list[str]:
    """Name the classes: a shape and a texture each.

    With ten, every shape and every texture belongs to two classes, so neither tells the class.
    """
    if not 2 <= n_classes <= _MOST:
        raise ValueError(f"`n_classes` must be 2 to {_MOST}, got {n_classes}.")
    shapes, textures = list(SHAPES), list(TEXTURES)
    n = len(shapes)
    return [f"{shapes[i % n]}-{textures[(i + i // n) % n]}" for i in range(n_classes)]


def draw(name: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw an image of a class.

    Parameters
    ----------
    name : str
        Of :func:`class_names`.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (32, 32, 3)
    """
    shape, texture = name.split("-")
    n = SIDE * _POINTS
    rows, columns = np.indices((n, n)) / _POINTS
    radius = rng.uniform(6.5, 9.5)
    aside, tint = _usual(class_names(_MOST).index(name))
    row, column = np.clip(rng.uniform(radius, SIDE - radius, size=2) + aside, radius, SIDE - radius)
    y, x = rows - row, columns - column
    inside = SHAPES[shape](*(axis / radius for axis in _turned(x, y, rng.uniform(-0.4, 0.4))))
    period = rng.uniform(3.5, 5)
    a, b = (axis / period for axis in _turned(x, y, rng.uniform(0, math.pi)))
    blocks = np.kron(rng.random((SIDE // 2, SIDE // 2)) < 0.5, np.ones((2 * _POINTS,) * 2, bool))
    shift = rng.random(2)
    distance = np.sqrt(x**2 + y**2) / period
    first = TEXTURES[texture](a + shift[0], b + shift[1], distance, blocks)
    # Dark on light or light on dark, so that no colour is any class's.
    colours = np.stack([rng.uniform(0, 0.35, 3), rng.uniform(0.65, 1, 3)])[rng.permutation(2)]
    textured = np.where(first[..., None], colours[0], colours[1]) + tint
    fine = np.where(inside[..., None], textured, _background(n, rng))
    image = fine.reshape(SIDE, _POINTS, SIDE, _POINTS, 3).mean(axis=(1, 3))
    image = image + rng.normal(scale=0.04, size=image.shape)
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _usual(code: int) -> tuple[Floats, Floats]:
    """Give a class's usual shift from the middle (row, column), and its tint, no lighter than grey.

    By the golden angle, so that few classes are as far from each other as many.
    """
    angle = code * math.pi * (3 - math.sqrt(5))
    shift = _ASIDE * np.array([math.sin(2 * angle), math.cos(2 * angle)])
    thirds = [angle + turn * 2 * math.pi / 3 for turn in range(3)]
    return shift, _TINT * np.array([math.cos(third) for third in thirds])


def _turned(x: Floats, y: Floats, angle: float) -> tuple[Floats, Floats]:
    c, s = math.cos(angle), math.sin(angle)
    return c * x + s * y, c * y - s * x


def _background(n: int, rng: np.random.Generator) -> Floats:
    """Give clouds: colours on a coarse grid, linear between its points."""
    coarse = rng.uniform(0.25, 0.75, size=(6, 6, 3))
    place = np.linspace(0, 5, n, endpoint=False)
    low, share = place.astype(int), (place % 1)[:, None, None]
    rows = coarse[low] * (1 - share) + coarse[low + 1] * share
    turned = rows.swapaxes(0, 1)
    return (turned[low] * (1 - share) + turned[low + 1] * share).swapaxes(0, 1)


def write_folder(
    folder: str | os.PathLike[str],
    *,
    n_classes: int = 10,
    per_class: int = 400,
    test_per_class: int = 100,
    seed: int = 0,
) -> Path:
    """Write PNGs of 32×32 in colour, in ``train`` and ``test``, a folder per class.

    The same pixels for the same numbers, whatever was written before: an image depends on the
    seed, its part, class and place alone. A folder that is there is left as it is; it is put in
    place when it is whole.

    Parameters
    ----------
    folder : path-like
    n_classes : int, default=10
    per_class, test_per_class : int
        Images of each class to train and to test on.
    seed : int, default=0

    Returns
    -------
    Path
        The folder, for ``load_dataset("image_folder", folder=...)``.
    """
    target = Path(folder)
    if target.exists():
        return target
    making = target.with_name(f"{target.name}.making-{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    for part, (title, count) in enumerate({"train": per_class, "test": test_per_class}.items()):
        for code, name in enumerate(class_names(n_classes)):
            home = making / title / name
            home.mkdir(parents=True)
            for place in range(count):
                rng = np.random.default_rng([seed, part, code, place])
                Image.fromarray(draw(name, rng)).save(home / f"{place:05d}.png")
    return _put(making, target)


def _put(making: Path, target: Path) -> Path:
    try:
        making.rename(target)
    except OSError:  # another process was faster, with the same images
        if not target.is_dir():
            raise
        shutil.rmtree(making)
    return target


def sheet(names: list[str], n: int, seed: int) -> NDArray[Any]:
    """Give n images of each class side by side, to look at."""
    rows = [
        np.hstack([draw(name, np.random.default_rng([seed, code, k])) for k in range(n)])
        for code, name in enumerate(names)
    ]
    return np.vstack(rows)
