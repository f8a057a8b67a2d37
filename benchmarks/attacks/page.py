"""The page: the template filled in with what was found."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from benchmarks.attacks import colour, gallery, goodfellow, layers, lots_table, robust, transfer
from benchmarks.attacks.sizes import FULL, Size, load_data
from benchmarks.page_parts import Verdict, share, table
from benchmarks.store import Store
from pncviz import __version__
from pncviz.dataset.atomic import replacing

__all__ = ["write_page"]

TEMPLATE = Path(__file__).with_name("attacks.md.in")


def write_page(store: Store, size: Size, target: Path) -> Path:
    """Draw the figures beside the page, and write it; computes what is still missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = page(store, size, target.parent)
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


def page(store: Store, size: Size, folder: Path) -> str:
    """Give the page's text."""
    at_layers = layers.compute(store, size)
    sections = {
        "goodfellow": goodfellow.shown(goodfellow.compute(store, size)),
        "lots": lots_table.shown(lots_table.compute(store, size)),
        "robust": robust.shown(robust.compute(store, size)),
        "layers": layers.shown(at_layers),
        "transfer": transfer.shown(transfer.compute(store, size)),
        "colour": colour.shown(colour.compute(store, size), folder),
    }
    pictures = {
        "attacks": gallery.draw_attacks(store, size, folder / "attacks-gallery.png").name,
        "represented": gallery.draw_lots(store, size, folder / "attacks-lots.png").name,
        "layers": gallery.draw_layers(store, at_layers, folder / "attacks-layers.png").name,
        "robust": robust.draw(store, folder / "attacks-robust.png").name,
    }
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        **sections,
        pictures=pictures,
        verdicts=_verdicts(sections),
        size=size,
        full=size is FULL,
        n_train=len(load_data(size).X),
        versions=_versions(),
        share=share,
    )


def _verdicts(sections: dict[str, Any]) -> str:
    every: list[Verdict] = [v for section in sections.values() for v in section["verdicts"]]
    rows = [[v.claim, f"**{v.word}**", v.told] for v in every]
    return table(("claim", "verdict", "measured"), rows)


def _versions() -> str:
    names = ("torch", "scikit-learn", "scikit-image", "opencv-python-headless", "numpy")
    return ", ".join([f"pncviz {__version__}", *(f"{name} {version(name)}" for name in names)])
