"""What detectors found: the table, the curves, and the verdict on the literature's figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.page_parts import Verdict, number, share, table

__all__ = ["section", "verdicts"]

#: What the literature's detector looks at: a narrow layer's features of a layer's output.
LITERATURE, CLAIMED = "layer-autoencoder", 0.8
#: Changed natural images; the others begin with noise.
CHANGED = ("FGSM", "PGD", "gradient descent")
_COLOURS = {"pixels-pca": "#2166ac", "pixels-pca-rest": "#67a9cf", "pixels-autoencoder": "#1b7837",
            "pixels-autoencoder-rest": "#7fbf7b", "layer-pca": "#b2182b",
            "layer-autoencoder": "#ef8a62", "layer-class": "#762a83"}  # fmt: skip


def section(result: dict[str, Any], folder: Path) -> str:
    """Write the text with its table, and draw the curves."""
    _draw(result, folder / "any-classifier-detection.png")
    about, config = result["about"], result["config"]
    made = "; ".join(f"{name} {one['n']} of {one['of']}" for name, one in about.items())
    return "\n\n".join(
        [
            f"Detectors learn from {config['n_fit']} training images; {config['n']} test images "
            "are natural, and examples are made of other test images: those of which the model "
            f"gives another label than before ({made}). FGSM and PGD stay within "
            f"{config['epsilon']} of the image; gradient descent is not bounded and goes on "
            "until the model is 99 % sure; "
            "patterns grow from normal noise towards a random class; noise is uniform, and no "
            "attack. A detector is a Gaussian kernel density (Scott's bandwidth, at most 2000 "
            "images, 500 per class) in features that hold 70 % of the variance, as many units for "
            'the autoencoder; "the rest" adds what they leave out as one more feature. The layer '
            "is the last one before the logits. The attacks know nothing of the detectors.",
            _areas(result),
            "*Area under the ROC curve, with DeLong's 95 % interval; 0.5 is chance, below it "
            "adversarial images look more natural than natural ones.*",
            _shares(result),
            "*Share of examples detected with 1 % and 5 % false alarms, with Wilson's 95 % "
            f"interval; sure: only those of which the model is {share(result['sure'])} sure, "
            "with 5 % false alarms.*",
            "![ROC curves](any-classifier-detection.png)",
        ]
    )


def _areas(result: dict[str, Any]) -> str:
    kinds = list(result["about"])
    rows = []
    for key, way in result["ways"].items():
        cells = [_interval(way["kinds"][kind]["auc"]) if kind in way["kinds"] else ""
                 for kind in kinds]  # fmt: skip
        rows.append([f"{result['titles'][key]} ({way['dimensions']})", *cells])
    return table(("detector (dimensions)", *kinds), rows)


def _shares(result: dict[str, Any]) -> str:
    rows = []
    for key, way in result["ways"].items():
        for kind in CHANGED:
            one = way["kinds"].get(kind)
            if one is None:
                continue
            sure = one["sure"]
            rows.append(
                [
                    result["titles"][key],
                    kind,
                    *(_percent(one["detected"][rate]) for rate in ("0.01", "0.05")),
                    "" if sure is None else f"{_percent(sure['detected']['0.05'])}, n {sure['n']}",
                ]
            )
    return table(("detector", "examples", "at 1 %", "at 5 %", "sure"), rows)


def _interval(values: list[float]) -> str:
    mean, low, high = (number(value, 3) for value in values)
    return f"{mean} ({low} to {high})"


def _percent(values: list[float]) -> str:
    mean, low, high = (share(value) for value in values)
    return f"{mean} ({low} to {high})"


def _draw(result: dict[str, Any], target: Path) -> None:
    kinds = list(result["about"])
    figure = Figure(figsize=(2.5 * len(kinds), 3.5), layout="constrained")
    axes = figure.subplots(1, len(kinds), sharey=True)
    for ax, kind in zip(axes, kinds, strict=True):
        for key, way in result["ways"].items():
            if kind in way["kinds"]:
                false, true = way["kinds"][kind]["curve"]
                title = result["titles"][key]
                ax.plot(false, true, color=_COLOURS[key], linewidth=1.3, label=title)
        ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.7, linestyle=":")
        ax.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal", xlabel="false alarms")
        ax.set_title(kind, fontsize=9, parse_math=False)
    axes[0].set_ylabel("detected")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(target, dpi=110)


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """Judge the literature's figure by its kind of detector, at 5 % false alarms."""
    kinds = result["ways"][LITERATURE]["kinds"]
    sure = {kind: kinds[kind]["sure"] for kind in CHANGED if kind in kinds and kinds[kind]["sure"]}
    shares = {kind: one["detected"]["0.05"] for kind, one in sure.items()}
    told = "; ".join(f"{kind} {_percent(ends)}" for kind, ends in shares.items())
    best = {
        kind: max(way["kinds"][kind]["sure"]["detected"]["0.05"][0]
                  for way in result["ways"].values())
        for kind in shares
    }  # fmt: skip
    more = "; ".join(f"{kind} {share(value)}" for kind, value in best.items())
    return [
        Verdict.of(
            "a kernel density in an autoencoder's features of a layer takes care of 80 % of the "
            "adversarial images that the model is sure of (Possas, section 6, of a VGG net whose "
            "learning it helped; here it only detects)",
            bool(shares) and all(ends[0] >= CLAIMED for ends in shares.values()),
            any(ends[0] >= CLAIMED for ends in shares.values()),
            f"with 5 % false alarms: {told or 'no example that it is sure of'}; the best of "
            f"{len(result['ways'])} detectors, chosen afterwards: {more}",
        )
    ]
