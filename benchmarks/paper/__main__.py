"""The paper again: its studies, then the page with every table and figure.

``python -m benchmarks.paper`` runs what is missing of ``benchmarks/paper/studies`` and writes
``docs/paper.md``; with ``--quick`` a small version on data that need no file, into
``build/paper-quick``. ``python -m benchmarks.paper page`` writes the page from what is finished.
MNIST and Fashion-MNIST are read from ``$PNCVIZ_DATA``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.paper.page import write_page
from benchmarks.paper.results import FULL, QUICK, Layout, read_results
from benchmarks.paper.work import add_run
from pncviz.study import Outcome, Progress, load_study, run_study

ROOT = Path(__file__).parents[2]
STUDIES = Path(__file__).with_name("studies")


def run(layout: Layout, out: Path, jobs: int) -> bool:
    """Run what is missing of a layout's studies; say whether all of it is there now."""
    good = True
    for name in layout.files:
        with _timed(out, jobs) as computed:
            study = load_study(STUDIES / f"{name}.toml")
            outcome = run_study(study, out, n_jobs=jobs, progress=tell)
            computed.append(outcome.computed)
        report(name, outcome)
        good = good and not outcome.failed
    return good


@contextmanager
def _timed(out: Path, jobs: int) -> Iterator[list[int]]:
    """Keep how long this took, also if it is interrupted; but not that nothing was to be done."""
    begin, computed = time.monotonic(), []
    try:
        yield computed
    finally:
        if computed != [0] and (out / "manifest.jsonl").exists():
            add_run(out, seconds=time.monotonic() - begin, jobs=jobs, computed=sum(computed))


def tell(progress: Progress) -> None:
    """Print a line for each item that ends."""
    left = progress.seconds_left
    more = "" if left is None else f", about {left / 60:.0f} min left"
    print(
        f"{progress.done}/{progress.total} {progress.item.title}: {progress.state}{more}",
        flush=True,
    )


def report(name: str, outcome: Outcome) -> None:
    """Print what became of a study."""
    print(
        f"{name}: {outcome.n_cells} cells, {outcome.reused} from before, {outcome.computed} items "
        f"computed, {len(outcome.failed)} failed",
        flush=True,
    )
    for title, message in outcome.failed.items():
        print(f"failed: {title}: {message}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, and do it."""
    parser = argparse.ArgumentParser("python -m benchmarks.paper", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "page"), default="all")
    parser.add_argument("--quick", action="store_true", help="the small version")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--page", type=Path, help="where the page is written")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args(argv)
    layout = QUICK if given.quick else FULL
    build, quick = ROOT / "build", ROOT / "build" / "paper-quick"
    out = given.out or (quick / "results" if given.quick else build / "paper")
    target = given.page or (quick / "paper.md" if given.quick else ROOT / "docs" / "paper.md")
    good = given.what == "page" or run(layout, out, given.jobs)
    print(write_page(read_results(out, layout), target))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
