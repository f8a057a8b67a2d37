"""Every speed, in one run; writes docs/performance.md, its picture and its figures.

``python -m benchmarks.speed`` (extra ``bench``; about half an hour on two cores, and nothing else
should run meanwhile). ``python -m benchmarks.speed growth memory`` measures these parts again, and
takes the others from docs/performance.json. The part ``attacks`` needs ``plugins/pncviz-attacks``,
installed or on the path; without it, its last figures stay.
"""

import json
import os
import platform
import statistics
import sys
import warnings
from pathlib import Path

import torch

from benchmarks.speed import (
    anatomy,
    attacks,
    contrast,
    growth,
    larger,
    memory,
    patterns,
    training,
)
from benchmarks.speed.patterns import ATTACK, BEST, LIMIT, OURS, verdicts
from benchmarks.speed.rivals import available
from benchmarks.speed.timing import in_turn, quotient
from pncviz import __version__, extract_patterns
from pncviz.displays.common import save_png
from pncviz.exceptions import PatternWarning

DOCS = Path(__file__).parents[2] / "docs"


def deterministic(repeats=5):
    """How many times longer the deterministic mode takes."""
    net, shape = patterns.network(patterns.Work("", "fc", 10))
    found = {}
    for strategy in ("zero", "aai"):

        def extract(mode, strategy=strategy):
            extract_patterns(
                net, input_shape=shape, strategy=strategy, random_state=0, deterministic=mode
            )

        works = {"same bits": lambda: extract(True), "default": lambda: extract(False)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PatternWarning)  # the net is not trained
            seconds = in_turn(works, repeats)
        found[strategy] = {
            "seconds": {name: statistics.median(values) for name, values in seconds.items()},
            "ratio": quotient(seconds, "same bits", "default"),
        }
    return found


def measure(names, found):
    """Run these parts, or all; a line as each begins."""
    parts = {
        "patterns": lambda: [patterns.row(work, patterns.measure(work)) for work in patterns.WORKS],
        "contrast": contrast.measure,
        "memory": memory.measure,
        "larger": larger.measure,
        "training": lambda: training.measure(7),
        "deterministic": deterministic,
        "growth": growth.measure_all,
        "anatomy": anatomy.measure_all,
        "attacks": lambda: attacks.measure() if attacks.present() else found.get("attacks", []),
    }
    for name in names or parts:
        print(f"{name} ...", flush=True)
        found[name] = parts[name]()
    return found


def table(head, rows):
    """The lines of a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


def reached(found):
    """What the issue of speed asks for, and what was seen."""
    rows = []
    for part in found["patterns"]:
        for against, wanted, mine, good in verdicts(part):
            seen = f"**{mine[ATTACK]:.2f}** ({mine[OURS]:.2f})"
            rows.append([part["work"], against, wanted, seen, "yes" if good else "**no**"])
    memories = found["memory"]
    share = memories["batches"] / memories["at once"]
    good = "yes" if share < 0.1 else "**no**"
    work = "peak memory, AAI of 1000 × 10 classes, FC"
    rows.append([work, "the whole batch held at once", "under a tenth", f"**{share:.3f}**", good])
    first = found["contrast"][0]
    good = "yes" if first["ratio"] <= first["at_most"] else "**no**"
    work = f"contrast, {first['work']}"
    rows.append([work, "`X.sum()`", "at most 3 ×", f"**{first['ratio']:.2f}**", good])
    return table(["work", "against", "wanted", "seen (the whole call)", "reached"], rows)


def seconds(found):
    """Medians of every rival."""
    names = [OURS, ATTACK, LIMIT, "plain batched", "one at a time", "torchattacks", "foolbox"]
    names.append("ART")
    rows = [
        [part["work"], *(_number(part["seconds"].get(name)) for name in names)]
        for part in found["patterns"]
    ]
    return table(["work", *names], rows)


def _number(value):
    return "" if value is None else f"{value:.3g}"


def growths(found):
    """The power of each size that the cost of an iteration grows with."""
    rows = [
        [what, *(f"{growth.exponent(curves[name]):.2f}" for name in growth.LABELS)]
        for what, curves in found["growth"].items()
    ]
    return table(["what grows", *growth.LABELS.values()], rows)


def anatomies(found):
    """Shares of the time by group."""
    groups = next(iter(found["anatomy"].values()))
    rows = [
        [group, *(f"{shares[group]:.0%}" for shares in found["anatomy"].values())]
        for group in groups
    ]
    return table(["share of the time", *found["anatomy"]], rows)


def largers(found):
    """Peak memory of contrasts of data larger than it."""
    rows = [
        [
            row["source"],
            *(f"{row[name]:.0f}" for name in ("size", "before", "peak")),
            f"{max(row['workers']):.0f}" if row["workers"] else "",
        ]
        for row in found["larger"]
    ]
    return table(larger.HEAD, rows)


def trainings(found):
    """Seconds per epoch, and the share that is not arithmetic."""
    rows = [
        [
            row["work"],
            f"{row['bare_s']:.3f}",
            f"{row['skorch_s']:.3f} ({row['share_before']:.0%})",
            f"{row['ours_s']:.3f} ({row['share_now']:.0%})",
        ]
        for row in found["training"]
    ]
    return table(["net", "bare loop", "skorch with torch's DataLoader", "`make_classifier`"], rows)


def attacked(found):
    """Attacks of a whole test set against bare passes and torchattacks."""
    lines = attacks.rows(found.get("attacks", []))
    return table(attacks.HEAD, lines) if lines else ["Not measured: the plugin was not there."]


def contrasts(found):
    """Contrasts against one pass over the bytes."""
    rows = [
        [row["work"], f"{row['ours_s']:.4f}", f"{row['limit_s']:.4f}", f"{row['ratio']:.2f}"]
        for row in found["contrast"]
    ]
    return table(["samples", "`PNCTransformer.fit`, s", "`X.sum()`, s", "ratio"], rows)


def page(found):
    """The text of docs/performance.md."""
    best = {part["work"]: part["seconds"].get(BEST) for part in found["patterns"]}
    assert any(best.values()) or not available()  # a library that runs is in the table
    modes = ", ".join(
        f"{part['ratio']:.1f} × the time of the default for `{name}`"
        for name, part in found["deterministic"].items()
    )
    memories = found["memory"]
    libraries = ", ".join(f"{name} {version}" for name, version in available().items()) or "none"
    template = Path(__file__).with_name("performance.md.in").read_text()
    return template.format(
        version=__version__,
        machine=f"{os.cpu_count()} cores ({torch.backends.cpu.get_cpu_capability()}), "
        f"Python {platform.python_version()}, torch {torch.__version__}",
        libraries=libraries,
        reached="\n".join(reached(found)),
        seconds="\n".join(seconds(found)),
        growths="\n".join(growths(found)),
        anatomies="\n".join(anatomies(found)),
        trainings="\n".join(trainings(found)),
        attacks="\n".join(attacked(found)),
        contrasts="\n".join(contrasts(found)),
        largers="\n".join(largers(found)),
        features=larger.FEATURES,
        deterministic=modes,
        batches=f"{memories['batches']:.0f}",
        at_once=f"{memories['at once']:.0f}",
        file=f"{memories['file']:.0f}",
        streamed=f"{memories['streamed']:.0f}",
    )


def main():
    file, names = DOCS / "performance.json", sys.argv[1:]
    found = measure(names, json.loads(file.read_text()) if names else {})
    file.write_text(json.dumps(found, indent=1) + "\n")
    (DOCS / "performance.md").write_text(page(found))
    save_png(growth.draw(found["growth"]), DOCS / "performance.png", dpi=110)
    print("\n".join([*reached(found), "", *seconds(found)]))


if __name__ == "__main__":
    main()
