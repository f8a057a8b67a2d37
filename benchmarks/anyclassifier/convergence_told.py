"""The text, the figure and the verdicts of what questions find of a gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.page_parts import Verdict, number, share, table

__all__ = ["ATTACKS", "METHODS", "section", "slope", "verdicts"]

#: By the name of the page: what `estimate_gradient` is told.
METHODS: dict[str, dict[str, Any]] = {
    "nes": {"kind": "gaussian", "antithetic": True},
    "nes, one side": {"kind": "gaussian", "antithetic": False},
    "spsa": {"kind": "signs", "antithetic": True},
}
ATTACKS = ("nes", "spsa", "square", "boundary")

_SLOW, _SLOPE = 1.2, 0.05
_TITLES = {"logistic regression": "logistic regression", "net": "LeNet"}


def theory(method: str, n: float, d: int) -> float:
    """Give the relative error of a linear loss's gradient from n questions."""
    if method == "nes, one side":
        return float(np.sqrt((d + 1) / (n - 1)))
    return float(np.sqrt((d + (1 if method == "nes" else -1)) / (n / 2)))


def slope(by_count: dict[str, Any]) -> tuple[float, float, float]:
    """Give the log-log slope of error by questions: mean and 95 % interval over classes."""
    counts = [int(n) for n in by_count]
    slopes = []
    for row in range(max(len(one["errors"]) for one in by_count.values())):
        known = [n for n in counts if row < len(by_count[str(n)]["errors"])]
        errors = [by_count[str(n)]["errors"][row] for n in known]
        slopes.append(np.polyfit(np.log(known), np.log(errors), 1)[0])
    mean, spread = float(np.mean(slopes)), float(stats.sem(slopes))
    reach = float(stats.t.ppf(0.975, len(slopes) - 1)) * spread
    return mean, mean - reach, mean + reach


def section(result: dict[str, Any], folder: Path) -> str:
    """Tell all, and draw the figure."""
    _draw(result, folder / "any-classifier-convergence.png")
    d = result["n_features"]
    return "\n\n".join(
        [
            "A gradient can be had from probabilities alone: the loss is asked for on both sides "
            "along random directions, and the differences, times the directions, are on average "
            f"the gradient. In {d} dimensions and from n questions, theory gives a relative error "
            f"of √(2({d} ± 1)/n) for a linear loss. The gradients here are those of the "
            "cross-entropy, at normal noise as the strategy `noise` starts from, for each class; "
            f"`sigma` is .01. Errors are root mean squares over the classes ({3} of them for the "
            "largest numbers), r their mean correlation with the exact gradient.",
            _gradient_table(result),
            "![errors by questions](any-classifier-convergence.png)",
            "Slopes of the logarithms, with 95 % intervals over the classes: "
            + _slopes(result)
            + ".",
            "So it is with whole patterns. Those of the logistic regression, from zero in 20 steps "
            "of length 1, beside the patterns that `gradient_descent` finds with the exact "
            "gradient:",
            _pattern_table(result),
            _attack_text(result),
            _attack_table(result),
            "How fast questions are asked: per second of the processor by `nes` and `spsa` (800 a "
            "step for each of ten patterns), beside the classifier's own `predict_proba` with "
            "batches of as many rows, one thread each, best of three in turn. What is over 1 goes "
            "into drawing the directions, making the points and checking the answers, which takes "
            "longer than a linear classifier's answer.",
            _speed_table(result),
        ]
    )


def _gradient_table(result: dict[str, Any]) -> str:
    rows = []
    for name, title in _TITLES.items():
        for method, by_count in result["gradients"][name].items():
            for n, one in by_count.items():
                rows.append(
                    [
                        title,
                        f"`{method}`" if "," not in method else "`nes`, one side",
                        f"{int(n):,}".replace(",", " "),
                        number(_rms(one["errors"]), 3),
                        number(theory(method, int(n), result["n_features"]), 3),
                        number(float(np.mean(one["r"])), 3),
                    ]
                )
    return table(("model", "method", "questions", "relative error", "linear theory", "r"), rows)


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _slopes(result: dict[str, Any]) -> str:
    told = []
    for name, title in _TITLES.items():
        for method, by_count in result["gradients"][name].items():
            mean, low, high = slope(by_count)
            told.append(
                f"{title}, {method}: {number(mean, 3)} ({number(low, 3)} to {number(high, 3)})"
            )
    return "; ".join(told)


def _pattern_table(result: dict[str, Any]) -> str:
    rows = [
        [
            f"`{name}`",
            f"{one['n_queries']:,}".replace(",", " "),
            number(_rms(one["errors"]), 3),
            number(float(np.mean(one["r"])), 3),
            number(min(one["r"]), 3),
        ]
        for name, by_count in result["patterns"].items()
        for one in by_count.values()
    ]
    return table(("attack", "questions per pattern", "relative error", "mean r", "least r"), rows)


def _attack_text(result: dict[str, Any]) -> str:
    one = result["attacks"]["square"]
    return (
        f"The four attacks on {one['n']} test images that the net knows, untargeted, with at most "
        f"{one['max_queries']} questions for each: `nes` (steps of .02 by the sign, 100 questions "
        "each), `spsa` and `square` within .3 of the image in every pixel; `boundary`, which "
        "begins with noise, seeks the smallest change in L2 and uses all its questions. `nes` and "
        "`spsa` go on until another class is 60 % sure, `square` until it is first called so: "
        "their questions do not compare exactly. None was tuned. Medians are of the images that "
        "were changed. We found no figures for a net like this on MNIST in the text of these "
        "papers that we have access to, so none stand here."
    )


def _attack_table(result: dict[str, Any]) -> str:
    rows = [
        [
            f"`{name}`",
            share(one["success"]),
            number(one["n_queries"], 0),
            number(one["l2"]),
            number(one["linf"]),
        ]
        for name, one in result["attacks"].items()
    ]
    return table(("attack", "changed", "questions", "L2", "largest change"), rows)


def _speed_table(result: dict[str, Any]) -> str:
    rows = []
    for kind, one in result["speed"].items():
        if one is None:
            rows.append([kind, "no `predict_proba`", "", "", "", ""])
            continue
        asked = [f"{one[name]:,.0f}".replace(",", " ") for name in ("own", "nes", "spsa")]
        rows.append([kind, *asked, *(number(one["own"] / one[name]) for name in ("nes", "spsa"))])
    head = ("classifier", "its own", "`nes`", "`spsa`", "own / `nes`", "own / `spsa`")
    return table(head, rows)


def _draw(result: dict[str, Any], target: Path) -> None:
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    d = result["n_features"]
    for ax, (name, title) in zip(figure.subplots(1, 2, sharey=True), _TITLES.items(), strict=True):
        for place, (method, by_count) in enumerate(result["gradients"][name].items()):
            counts = np.array([int(n) for n in by_count])
            errors = [_rms(one["errors"]) for one in by_count.values()]
            ax.plot(counts, errors, "osv"[place], color=f"C{place}", label=method, ms=5)
            ax.plot(
                counts,
                [theory(method, n, d) for n in counts],
                color=f"C{place}",
                lw=0.8,
                ls=("-", "--", ":")[place],
            )
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_title(title, fontsize=10, parse_math=False)
        ax.set_xlabel("questions")
        ax.grid(alpha=0.3)
    figure.axes[0].set_ylabel("relative error of the gradient")
    figure.axes[0].legend(frameon=False, fontsize=8, title="lines: theory, slope -1/2")
    figure.savefig(target, dpi=110)


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    """Judge the slope, what a question costs, and who needs fewer."""
    found = {m: slope(one) for m, one in result["gradients"]["logistic regression"].items()}
    near = [abs(mean + 0.5) < _SLOPE for mean, _, _ in found.values()]
    ratios = {
        f"{kind}, {name}": one["own"] / one[name]
        for kind, one in result["speed"].items()
        if one is not None
        for name in ("nes", "spsa")
    }
    quick = [ratio <= _SLOW for ratio in ratios.values()]
    worst = max(ratios, key=lambda key: ratios[key])
    nes, square = (result["attacks"][name] for name in ("nes", "square"))
    fewer = (square["n_queries"] or np.inf) < (nes["n_queries"] or np.inf)
    return [
        Verdict.of(
            "For a linear model, what is estimated from questions nears the gradient with their "
            "square root (slope -1/2; Spall 1992)",
            all(near),
            any(near),
            "; ".join(f"{m}: {number(one[0], 3)}" for m, one in found.items()),
        ),
        Verdict.of(
            "The Square attack needs fewer questions than NES (Andriushchenko et al. 2020)",
            fewer and square["success"] >= nes["success"],
            fewer,
            f"medians {number(square['n_queries'], 0)} and {number(nes['n_queries'], 0)}, changed "
            f"{share(square['success'])} and {share(nes['success'])}",
        ),
        Verdict.of(
            "Questions are asked within 1.2 times the classifier's own time",
            all(quick),
            any(quick),
            f"{sum(quick)} of {len(quick)}; at worst {number(ratios[worst])} ({worst})",
        ),
    ]
