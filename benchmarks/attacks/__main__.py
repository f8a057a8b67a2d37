"""The white-box family on MNIST: every table and figure of ``docs/attacks.md``.

``python -m benchmarks.attacks`` computes what is missing, in two processes, and writes the page;
with ``--quick`` a small version on data that need no file, into ``build/attacks-quick``.
``python -m benchmarks.attacks page`` writes the page from what is finished. MNIST is read from
``$PNCVIZ_DATA``. The plugins of this repository must be installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import torch

from benchmarks.attacks import colour, goodfellow, layers, lots_table, robust, transfer
from benchmarks.attacks.nets import NETS, trained
from benchmarks.attacks.page import write_page
from benchmarks.attacks.sizes import FULL, QUICK, Size
from benchmarks.store import Store

ROOT = Path(__file__).parents[2]


def _train(root: Path, size: Size, name: str) -> None:
    trained(Store(root), name, size)


def _section(root: Path, size: Size, compute: Callable[..., Any], *args: Any) -> None:
    compute(Store(root), size, *args)


def _one_thread(work: Callable[..., None], *args: Any) -> None:
    torch.set_num_threads(1)
    work(*args)


def run(root: Path, size: Size, jobs: int) -> None:
    """Compute what is missing, the longest first."""
    parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, pre_dispatch="all")
    one = joblib.delayed(_one_thread)
    nets = ("lenet", "maxout_fgsm", "cnn", "maxout", "rbf", "fc", "softmax")
    assert set(nets) == set(NETS)
    parallel(one(_train, root, size, name) for name in nets)
    robust.compute(Store(root), size, jobs)  # a study has processes of its own
    work: list[tuple[Any, ...]] = [
        (lots_table.compute_model, name) for name in reversed(lots_table.MODELS)
    ]
    work = [(colour.compute,), (transfer.compute,), (goodfellow.compute,), *work]
    work += [(layers.compute,)]
    parallel(one(_section, root, size, compute, *args) for compute, *args in work)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, and do it."""
    parser = argparse.ArgumentParser("python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "page"), default="all")
    parser.add_argument("--quick", action="store_true", help="the small version")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--page", type=Path, help="where the page is written")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args(argv)
    size, name = (QUICK, "attacks-quick") if given.quick else (FULL, "attacks")
    out = given.out or ROOT / "build" / name
    quick = ROOT / "build" / name / "attacks.md"
    target = given.page or (quick if given.quick else ROOT / "docs" / "attacks.md")
    if given.what == "all":
        run(out, size, given.jobs)
    print(write_page(Store(out), size, target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
