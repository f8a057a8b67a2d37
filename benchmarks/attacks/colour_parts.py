"""What the page says and shows of images in colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.page_parts import Verdict, number, share, table
from pncviz import PatternDisplay, load
from pncviz.displays.common import plain, save_png

__all__ = ["STRATEGIES", "TITLES", "shown", "verdict"]

CLAIM = (
    "Beyond the paper (its section 4.3 doubts it): patterns approximate contrasts also for images "
    "in colour with objects at random places, and for a residual net"
)
#: Architecture -> title.
TITLES = {"fc": "FC [200, 30]", "cnn": "CNN [32, 64]", "resnet": "ResNet-20"}
#: Strategy -> how it starts.
STRATEGIES = {"zero": "zero", "aai": "noise (AAI)"}
#: Largest p of what is not taken for chance.
LEVEL = 0.05
#: r from which on a tenth of the variance is in common (likewise in benchmarks/paper).
TENTH = 0.3
HEAD = (
    *("net", "seed", "test accuracy", "start", "own-class r (95 %)", "hits", "p of identification"),
    *("of the ceiling", "r of untrained nets", "p against them", "reached class"),
)


def verdict(found: dict[str, Any]) -> Verdict:
    """Judge whether patterns approximate contrasts, from what was computed.

    A net counts if it learned: if its test accuracy is more than twice that of guessing. An
    architecture shows its contrasts if, in every seed and from both starts, patterns find their own
    class beyond chance (p of identification at most .05) with a mean r of .3 or more, and
    zero-started ones are nearer to the contrasts than those of untrained nets (p likewise); in
    part, if from one start they find their class beyond chance in every seed. The claim agrees if
    all architectures that learned show them, and holds in part if one does so at least in part.
    """
    chance = 1 / len(found["classes"])
    learned: dict[str, list[dict[str, Any]]] = {}
    for case in found["cases"]:
        if case["accuracy"] > 2 * chance:
            learned.setdefault(case["architecture"], []).append(case)
    told = "; ".join(_told(name, cases, len(found["classes"])) for name, cases in learned.items())
    untaught = [TITLES[name] for name in TITLES if name not in learned]
    if untaught:
        told = "; ".join(filter(None, [told, f"{', '.join(untaught)} did not learn the classes"]))
    if not learned:
        return Verdict(CLAIM, "not known", told)
    whole = [all(map(_whole, cases)) for cases in learned.values()]
    partly = [
        any(all(_found(case[start]) for case in cases) for start in STRATEGIES)
        for cases in learned.values()
    ]
    return Verdict.of(CLAIM, all(whole), any(partly), told)


def _found(one: dict[str, Any]) -> bool:
    """Say whether patterns find their own class beyond chance."""
    return bool(one["identification_p"] <= LEVEL)


def _whole(case: dict[str, Any]) -> bool:
    near = all(_found(case[start]) and case[start]["r"] >= TENTH for start in STRATEGIES)
    return bool(near and case["zero"]["null_p"] <= LEVEL)


def _told(name: str, cases: list[dict[str, Any]], n: int) -> str:
    parts = []
    for start, title in STRATEGIES.items():
        r = np.mean([case[start]["r"] for case in cases])
        hits = np.mean([case[start]["hits"] for case in cases])
        parts.append(f"r {number(float(r))}, {hits:.1f} of {n} ({title})")
    least = max(case["zero"]["null_p"] for case in cases)
    accuracy = share(float(np.mean([case["accuracy"] for case in cases])))
    text = f"{TITLES[name]}, {accuracy} right: {', '.join(parts)}"
    return f"{text}; against untrained nets p ≤ {number(least, 3)}"


def shown(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Draw the figure into a folder, and give the section's text and verdict.

    Parameters
    ----------
    found : dict
        Of :func:`benchmarks.attacks.colour.compute`.
    folder : path
    """
    name = "attacks-colour.png" if found["data"] == "generated" else f"{_stem(found)}.png"
    picture = _draw(found, folder / name)
    judged = verdict(found)
    text = "\n\n".join(
        (
            _about(found),
            table(HEAD, [row for case in found["cases"] for row in _rows(found, case)]),
            f"**{judged.word.capitalize()}.** {_words(judged)}",
            f"![an image of each class, contrasts, and patterns of three nets]({picture.name})",
        )
    )
    return {"text": text, "verdicts": [judged]}


def _stem(found: dict[str, Any]) -> str:
    return f"attacks-colour-{found['data']}"


def _about(found: dict[str, Any]) -> str:
    n = len(found["classes"])
    if found["data"] == "generated":
        what = (
            f"Generated images of 32×32 in colour, {n} classes: each a shape and a texture, at a "
            "random place, of random size, angle and colours, on random clouds. Only a slight tint "
            "and a slightly preferred side make class means differ."
        )
    else:
        what = f"Images of {n} classes from a folder of the user's, as 32×32 in colour."
    return (
        f"{what} {found['n_train']} to train and {found['n_test']} to test on. With the "
        f"contrasts as templates {share(found['templates'])} of the test images are recognised, "
        f"where guessing gives {share(1 / n)} (on MNIST they recognise 74%); "
        "two halves of the images agree on the contrasts to "
        f"{number(found['contrast_reliability'])} (mean split-half reliability)."
    )


def _rows(found: dict[str, Any], case: dict[str, Any]) -> list[list[str]]:
    rows = []
    for start, title in STRATEGIES.items():
        one, n = case[start], len(found["classes"])
        null = [number(one.get("null_r")), number(one.get("null_p"), 3)]
        rows.append(
            [
                f"{TITLES[case['architecture']]}, {case['n_parameters'] / 1e6:.2f} M",
                str(case["seed"]),
                share(case["accuracy"], 1),
                title,
                f"**{number(one['r'])}** ({number(one['lower'])} to {number(one['upper'])})",
                f"{one['hits']} of {n}",
                number(one["identification_p"], 4),
                number(one["share_of_ceiling"]),
                *null,
                f"{one['succeeded']} of {n}",
            ]
        )
    return rows


def _words(judged: Verdict) -> str:
    meanings = {
        "agrees": "Patterns still approximate contrasts here, with every net that learned",
        "in part": "Patterns still resemble contrasts here beyond chance, but not with every net "
        f"from every start, or not to r = {TENTH}",
        "does not agree": "With no net do patterns find their own contrasts beyond chance",
        "not known": "No net learned the classes, so their patterns say nothing of them",
    }
    return f"{meanings[judged.word]}: {judged.told}."


def _draw(found: dict[str, Any], target: Path) -> Path:
    """Draw an image of each class, the contrasts, and the patterns of the first nets below."""
    root = Path(found["root"])
    contrasts = load(root / found["files"]["contrasts"])
    images = np.load(root / found["files"]["images"])
    like = contrasts["contrast"]
    # Mid-grey is drawn as zero, so that an image looks as it is.
    sources: dict[str, xr.DataArray] = {
        "an image": like.copy(data=images - 0.5),
        "contrast": like,
    }
    reached = {}
    for case in found["cases"]:
        if case["seed"]:
            continue
        for start, title in STRATEGIES.items():
            patterns = load(root / case[start]["file"])
            name = plain(f"{TITLES[case['architecture']].split()[0]}, {title.split()[0]}")
            sources[name], reached[name] = patterns["pattern"], patterns["succeeded"]
    display = PatternDisplay(sources, succeeded=reached).plot()
    return save_png(display.figure_, target, dpi=110)
