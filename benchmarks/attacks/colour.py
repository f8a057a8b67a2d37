"""Beyond the paper's limit (its section 4.3): images in colour, objects at random places, a ResNet.

``python -m benchmarks.attacks.colour --out build/attacks`` computes what is missing and writes
``colour.md`` and its figure there; ``--folder`` takes a folder of your own images in place of the
generated ones, and ``--quick`` is a minute's worth.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.attacks.colour_parts import TITLES, shown, verdict
from benchmarks.attacks.colour_work import ColourSize, Work
from benchmarks.attacks.sizes import FULL, QUICK, Size
from benchmarks.attacks.textures import write_folder
from benchmarks.store import Store
from pncviz import Dataset, load_dataset
from pncviz.dataset.atomic import replacing

__all__ = ["LARGE", "SMALL", "ColourSize", "compute", "main", "shown", "verdict", "write_folder"]

SIDE = 32
LARGE = ColourSize(
    per_class=400,
    test_per_class=100,
    epochs={"fc": 30, "cnn": 10, "resnet": 6},
    seeds=2,
    max_iter=100,
    n_examples=20,
    scale=0.3,
    n_draws=39,
    n_permutations=10_000,
    n_resamples=1000,
)
SMALL = ColourSize(
    per_class=6,
    test_per_class=3,
    epochs={"fc": 1, "cnn": 1, "resnet": 1},
    seeds=1,
    max_iter=3,
    n_examples=2,
    scale=0.3,
    n_draws=2,
    n_permutations=100,
    n_resamples=20,
)


def compute(store: Store, size: Size | ColourSize, folder: Path | None = None) -> dict[str, Any]:
    """Give what was found with every net; computes what is missing.

    Parameters
    ----------
    store : Store
    size : Size or ColourSize
        Of the page (:data:`LARGE` for the full one, else :data:`SMALL`), or of this section.
    folder : path, optional
        Of images, a folder per class or ``train`` and ``test``, in place of the generated ones.

    Returns
    -------
    dict
        ``classes``, ``n_train``, ``n_test``; ``templates``, the accuracy of contrasts as templates;
        ``contrast_reliability``; ``files``; ``cases``, one per net, with ``accuracy`` and, for each
        start, what :meth:`Work.compared` says; ``data``, which images; ``root``, where files lie.
    """
    amount = size if isinstance(size, ColourSize) else LARGE if size is FULL else SMALL
    data, stamp = _source(store, amount, folder)
    work = Work(store, amount, data, stamp)
    cases = [work.case(name, seed) for name in TITLES for seed in range(amount.seeds)]
    found = store.json(work.name(), work.config(), lambda: work.about() | {"cases": cases})
    return found | {"data": stamp, "root": str(store.root)}  # type: ignore[no-any-return]


def _source(
    store: Store, amount: ColourSize, folder: Path | None
) -> tuple[Callable[[], Dataset], str]:
    """Give what loads the images, generated before if need be, and say which they are."""
    if folder is not None:
        own = _split(load_dataset("image_folder", folder=folder, size=(SIDE, SIDE), mode="RGB"))
        return lambda: own, _digest(own)

    @cache
    def generated() -> Dataset:
        counts = {"per_class": amount.per_class, "test_per_class": amount.test_per_class}
        home = store.root / f"colour-images-{amount.per_class}-{amount.test_per_class}"
        return load_dataset("image_folder", folder=write_folder(home, **counts))

    return generated, "generated"


def _digest(data: Dataset) -> str:
    """Sum up pixels and labels, so that results of other images are not taken for these."""
    digest = hashlib.sha256(data.X.tobytes() + data.X_test.tobytes())
    digest.update("\n".join([*data.y.tolist(), *data.y_test.tolist()]).encode())
    return digest.hexdigest()[:8]


def _split(data: Dataset) -> Dataset:
    """Keep a fifth of each class to test on, if nothing is kept yet."""
    if len(data.X_test):
        return data
    rng, tested = np.random.default_rng(0), np.zeros(len(data.y), dtype=bool)
    for label in np.unique(data.y):
        places = rng.permutation(np.flatnonzero(data.y == label))
        tested[places[: -(-len(places) // 5)]] = True
    return Dataset(
        X=data.X[~tested],
        y=data.y[~tested],
        X_test=data.X[tested],
        y_test=data.y[tested],
        class_names=data.class_names,
        image_shape=data.image_shape,
    )


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, and do it."""
    parser = argparse.ArgumentParser("python -m benchmarks.attacks.colour", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/attacks"), help="of the results")
    parser.add_argument("--folder", type=Path, help="of your own images, a folder per class")
    parser.add_argument("--quick", action="store_true", help="a minute's worth")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)  # nets are small; and rounding is then the same on any machine
    found = compute(Store(given.out), QUICK if given.quick else FULL, given.folder)
    told = shown(found, given.out)
    with replacing(given.out / "colour.md") as temporary:
        temporary.write_text(told["text"] + "\n", encoding="utf-8")
    print(f"{told['verdicts'][0].word}: {told['verdicts'][0].told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
