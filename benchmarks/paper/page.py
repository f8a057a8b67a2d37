"""The page: the template filled in with what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from benchmarks.paper import left_open, tables
from benchmarks.paper.claims import CLAIMS
from benchmarks.paper.figures import SHOWN, save_figures
from benchmarks.paper.results import FULL, SIMPLEST, Results, name_of, title_of
from benchmarks.paper.tables import number, share, table
from benchmarks.paper.verdicts import told, verdict
from pncviz.dataset.atomic import replacing

TEMPLATE = Path(__file__).with_name("page.md.in")


def write_page(results: Results, target: Path) -> Path:
    """Draw the figures beside the page, and write it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = page(results, save_figures(results, target.parent))
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


def page(results: Results, files: dict[str, str]) -> str:
    """Give the page's text; ``files`` holds the pictures' names, "" for those that are missing."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    pictures = {name: _picture(name, file) for name, file in files.items()}
    return template.render(
        **_judged(results), **_measured(results, pictures), **_origin(results), pictures=pictures
    )


def _picture(name: str, file: str) -> str:
    return f"![{name.replace('-', ', ')}]({file})" if file else "Not run."


# ------------------------------------------------------------------------------ verdicts


def _judged(results: Results) -> dict[str, Any]:
    rows, verdicts = [], {}
    for i, claim in enumerate(CLAIMS, start=1):
        cases = claim.measure(results)
        verdicts[claim.key] = verdict(claim, cases)
        text = f"{claim.text} ({claim.section})"
        rows.append([str(i), text, f"**{verdicts[claim.key]}**", told(claim, cases)])
    return {
        "claims": CLAIMS,
        "verdicts": table(("", "claim", "verdict", "measured"), rows),
        "corners": _corners(verdicts["overlapping"], verdicts["overlapping corners"]),
    }


def _corners(overlapping: str, corners: str) -> str:
    if tables.NOT_RUN in (overlapping, corners):
        return ""
    same = "the verdict is the same" if overlapping == corners else "the verdict changes"
    return (
        "The paper does not say how its overlapping patches lie. With 4 × 4 patches in the corners "
        f"{same}: the claim {overlapping} for 3 × 3 patches around the middle, and {corners} for "
        "these."
    )


# ------------------------------------------------------------------------------ tables


def _measured(results: Results, pictures: dict[str, str]) -> dict[str, Any]:
    layout = results.layout
    models = [
        {
            "number": i,
            "name": name_of(place[1]),
            "table": tables.of_models(results, place),
            "zero": pictures[f"figure{i}-zero"],
            "noise": pictures[f"figure{i}-noise"],
        }
        for i, place in enumerate(layout.models, start=3)
    ]
    numbered = (("figure5", "tiling"), ("figure6", "overlapping"))
    numbered += (("figure6-corners", "overlapping corners"),)
    return {
        "accuracies": tables.of_accuracies(results),
        "methods": tables.of_methods(results),
        "shown": SHOWN,
        "stops": tables.of_stops(results),
        "models": models,
        "patches": tables.of_patches(results),
        "patches_model": "FC [36, 200, 50, 4] by SGD",
        "patch_pictures": [(name, pictures[key]) for key, name in numbered if key in pictures],
        "faint": f"{left_open.FAINT:.0%}",
        "facts": _facts(results),
        "pixels": tables.of_pixels(results),
        "knobs": _knobs(results),
        "open_name": name_of(layout.open[0][1]) if layout.open else "",
    }


def _facts(results: Results) -> list[str]:
    found = []
    for place in results.layout.models:
        fact = left_open.facts(results, place, SIMPLEST)
        if fact is None:
            found.append(f"{name_of(place[1])}: {tables.NOT_RUN}.")
            continue
        found.append(
            f"{name_of(place[1])}: {fact['n_never']} of {fact['n']} pixels never vary, and "
            f"{fact['n_hardly']} hardly do. Of patterns of {title_of(SIMPLEST)} they hold "
            f"{share(fact['energy_never'])} and {share(fact['energy_hardly'])} of the energy. "
            f"The r is {number(fact['all'])} over all pixels, {number(fact['without_never'])} over "
            f"those that vary and {number(fact['without_hardly'])} over those that vary clearly."
        )
    return found


def _knobs(results: Results) -> list[dict[str, Any]]:
    if not results.layout.open:
        return []
    return [
        {
            "title": title,
            "sentences": [_effect(results, place, axis, s) for place in results.layout.open],
            "table": tables.of_knob(results, axis, s),
        }
        for title, axis, s in left_open.KNOBS
    ]


def _effect(results: Results, place: tuple[str, str], axis: str, settings: dict[str, str]) -> str:
    told = left_open.extremes(results, place, axis, settings)
    name = name_of(place[1])
    if told is None:
        return f"{name}: {tables.NOT_RUN}."
    short = "" if told["complete"] else ", as far as run"
    return (
        f"{name}: the similarity is greatest with {told['best']} ({number(told['most'])}), least "
        f"with {told['worst']} ({number(told['least'])}); fewest hits {number(told['hits'], 1)}, "
        f"least share that reached its class {share(told['succeeded'])}{short}."
    )


# ------------------------------------------------------------------------------ origin


def _origin(results: Results) -> dict[str, Any]:
    work, quick = results.work, results.layout is not FULL
    command = "python -m benchmarks.paper" + (" --quick" if quick else "")
    total = sum(work.seconds.values())
    lines = []
    for name in results.layout.files:
        done, of = work.cells.get(name, (0, 0))
        part = share(work.seconds[name] / total) if total and name in work.seconds else ""
        lines.append([name, f"{done} of {of}" if of else tables.NOT_RUN, part])
    short = [f"{name} {done}" for name, done, _ in lines if not _complete(done)]
    seeds = {
        seed
        for tree in results.trees.values()
        for node in tree.children.values()
        for seed in node["seed"].values.tolist()
    }
    return {
        "command": f"make paper{'-quick' if quick else ''}",
        "command_run": command,
        "command_page": f"{command} page",
        "docs": "../../docs/" if quick else "",
        "missing": f"{', '.join(short)}." if short else "",
        "work": table(("study", "cells finished", "share of the work"), lines),
        "effort": effort(results),
        "seeds": ", ".join(map(str, sorted(seeds))),
        "versions": ", ".join(f"{k} {'/'.join(v)}" for k, v in work.versions.items()),
        "data": "; ".join(f"{k} `{v[:16]}`" for k, v in sorted(work.data.items())),
        "sums": "; ".join(f"{k} `{v[:16]}`" for k, v in work.sums.items()),
    }


def _complete(done: str) -> bool:
    first, _, last = done.partition(" of ")
    return bool(last) and first == last


def effort(results: Results) -> str:
    """Say what the work was, in parts; and how long it took where it was done."""
    work, total = results.work, sum(results.work.seconds.values())
    parts = [
        f"{plural} {share(work.kinds[kind] / total)}"
        for kind, plural in (
            ("model", "training"),
            ("cell", "patterns and comparisons"),
            ("null", "draws of shuffled labels"),
            ("contrast", "contrasts"),
        )
        if work.kinds.get(kind) and total
    ]
    text = f"Shares of the work: {', '.join(parts)}. " if parts else ""
    if work.runs:
        jobs = max(run["jobs"] for run in work.runs)
        wall = sum(run["seconds"] for run in work.runs)
        text += (
            f"Where this was made, all of it was {duration(total)} of one process, "
            f"{duration(total / jobs)} for each of {jobs}; the command took {duration(wall)} in "
            f"{len(work.runs)} run{'s' if len(work.runs) > 1 else ''}. "
        )
    return (
        text
        + "What several studies share counts for the first. Only the shares mean much elsewhere."
    )


def duration(seconds: float) -> str:
    """Give a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
