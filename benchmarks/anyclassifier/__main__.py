"""Any classifier: every table and figure of ``docs/any-classifier.md``.

``python -m benchmarks.anyclassifier`` computes what is missing, in two processes, and writes the
page; with ``--quick`` a small version on data that need no file, into
``build/any-classifier-quick``. ``python -m benchmarks.anyclassifier page`` writes the page from
what is finished, ``… kinds`` computes one section. MNIST and Fashion-MNIST are read from
``$PNCVIZ_DATA``. The plugins of this repository must be installed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import joblib
import torch

from benchmarks.anyclassifier.models import KINDS, classifier, net
from benchmarks.anyclassifier.page import SECTIONS, write_page
from benchmarks.anyclassifier.sizes import FULL, QUICK, Size
from benchmarks.store import Store

ROOT = Path(__file__).parents[2]


def _section(root: Path, size: Size, name: str) -> None:
    torch.set_num_threads(1)
    SECTIONS[name].compute(Store(root), size)
    print(f"{name}: done", flush=True)


def _train(root: Path, size: Size, dataset: str, kind: str) -> None:
    torch.set_num_threads(1)
    store = Store(root)
    if kind in KINDS:
        classifier(store, size, dataset, kind)
    else:
        net(store, size, kind, dataset)


def run(root: Path, size: Size, jobs: int, names: list[str]) -> None:
    """Compute what is missing: what all share first."""
    parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, pre_dispatch="all")
    shared = [(size.main, name) for name in ("lenet", "fc", "softmax")]
    shared += [(dataset, kind) for dataset in size.datasets for kind in KINDS]
    parallel(joblib.delayed(_train)(root, size, *what) for what in shared)
    parallel(joblib.delayed(_section)(root, size, name) for name in names)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, and do it."""
    parser = argparse.ArgumentParser("python -m benchmarks.anyclassifier", description=__doc__)
    parser.add_argument("what", nargs="*", default=["all"], metavar="SECTION")
    parser.add_argument("--quick", action="store_true", help="the small version")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--page", type=Path, help="where the page is written")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args(argv)
    if unknown := set(given.what) - {"all", "page", *SECTIONS}:
        parser.error(f"{', '.join(sorted(unknown))}: choose all, page, {', '.join(SECTIONS)}")
    size, name = (QUICK, "any-classifier-quick") if given.quick else (FULL, "any-classifier")
    out = given.out or ROOT / "build" / name
    every = "all" in given.what
    names = list(SECTIONS) if every else [n for n in given.what if n != "page"]
    if names:
        run(out, size, given.jobs, names)
    if every or "page" in given.what:
        quick = ROOT / "build" / name / "any-classifier.md"
        target = given.page or (quick if given.quick else ROOT / "docs" / "any-classifier.md")
        print(write_page(Store(out), size, target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
