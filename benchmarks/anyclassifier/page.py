"""The page: the template filled in with what was found."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from benchmarks.anyclassifier import (
    adapters,
    convergence,
    detection,
    faults,
    fooling,
    kinds,
    leak,
    reverse,
    substitute,
    techniques,
)
from benchmarks.anyclassifier.sizes import Size
from benchmarks.page_parts import Verdict, table
from benchmarks.store import Store
from pncviz import __version__
from pncviz.dataset.atomic import replacing

__all__ = ["SECTIONS", "write_page"]

TEMPLATE = Path(__file__).with_name("any-classifier.md.in")

#: By name, in the order of the page.
SECTIONS: dict[str, Any] = {
    "kinds": kinds,
    "adapters": adapters,
    "convergence": convergence,
    "reverse": reverse,
    "fooling": fooling,
    "substitute": substitute,
    "techniques": techniques,
    "leak": leak,
    "detection": detection,
    "faults": faults,
}


def write_page(store: Store, size: Size, target: Path) -> Path:
    """Draw the figures beside the page, and write it; computes what is still missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = page(store, size, target.parent)
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


def page(store: Store, size: Size, folder: Path) -> str:
    """Give the page's text."""
    results = {name: module.compute(store, size) for name, module in SECTIONS.items()}
    texts = {
        name: SECTIONS[name].section(result, folder, *_more(name, store, size))
        for name, result in results.items()
    }
    every: list[Verdict] = [v for n, r in results.items() for v in SECTIONS[n].verdicts(r)]
    rows = [[v.claim, f"**{v.word}**", v.told] for v in every]
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        **texts,
        verdicts=table(("claim", "verdict", "measured"), rows),
        size=size,
        versions=_versions(),
    )


def _more(name: str, store: Store, size: Size) -> tuple[Any, ...]:
    """Give what a section needs beside its numbers: pictures of what was kept."""
    return (store, size) if name == "kinds" else ()


def _versions() -> str:
    names = ("torch", "scikit-learn", "numpy")
    return ", ".join([f"pncviz {__version__}", *(f"{name} {version(name)}" for name in names)])
