"""What the leak table, its pictures and its verdicts say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.anyclassifier.leak_figures import draw_means, draw_queries
from benchmarks.page_parts import Verdict, number, table

__all__ = ["section", "verdicts"]

HALF, DEFENDED = "other data", ("smoothing", "smoothing-heavy", "adversarial")
Found = dict[str, Any]


def section(result: Found, folder: Path) -> str:
    """Write the text with its tables, and draw the pictures."""
    parts = [_INTRO]
    for dataset, found in result.items():
        draw_means(found, folder / f"any-classifier-leak-{dataset}.png")
        parts += [
            f"### {dataset}",
            _routes_table(found),
            f"![class means of {dataset}](any-classifier-leak-{dataset}.png)",
            f"*Class means of {dataset}: true ones, those of other data of the same classes, and "
            "what was put together by each route.*",
        ]
    draw_queries(result, folder / "any-classifier-leak.png")
    parts += [
        "![leak against inputs asked](any-classifier-leak.png)",
        "*What leaks about the class against the inputs asked, for noise fields; dotted: with "
        "gradients; bars are 95 % intervals over classes.*",
        "### What this means for someone who publishes a model, and what lowers it",
        *(_meaning(dataset, found) for dataset, found in result.items()),
        _ADVICE,
    ]
    return "\n\n".join(parts)


_INTRO = """\
A pattern estimates the contrast of its class, up to its size. A class mean is the mean of all
images plus the contrast times one minus the class's frequency. So patterns, which need nothing but
zeros or noise, may give the class means of the training set away (dough2020, section 4.2, last
paragraph; not tested there). `reconstruct_class_means` puts them together. Whoever asks is taken to
have unlabelled images of the same kind, none of them trained on: their mean stands for the mean of
all, where they never vary all is taken for noise, and the range of pixels fixes the size.

**r of what leaks** is the correlation of the recovered class mean minus the mean of all with the
true one; the mean of all itself has 0. **Gain** is in PSNR (dB, peak 1) over the mean of all,
paired by class. Intervals are 95 %, by a bootstrap over classes: they say nothing of other training
runs."""

_ADVICE = """\
Class means are averages over thousands of images, so no single image is in them. They matter where
a class is one person or one place, as in model inversion (fredrikson2015model): then the mean of
the class is a picture of it. Nothing here is a bound: another way to ask, or a better prior, may
find more."""


def _interval(values: list[float], digits: int = 2) -> str:
    mean, low, high = (number(value, digits) for value in values)
    return f"{mean} ({low} to {high})"


def _queries(count: int | None) -> str:
    return "" if count is None else f"{count:,}".replace(",", " ")


def _routes_table(found: Found) -> str:
    head = (
        *("route", "needs", "inputs asked", "r of what leaks", "r of the mean", "gain, dB"),
        *("PSNR, dB", "own class nearest", "test accuracy"),
    )
    rows = []
    for name, one in found["known"].items():
        cells = [_interval(one[k], 1 if k == "psnr" else 2) for k in ("deviation_correlation",
                 "correlation", "psnr")]  # fmt: skip
        if name == "mean of public images":
            cells[0] = "0.00"
        hits = "" if "mean" in name else f"{one['hits']} of {one['n_labels']}"
        rows.append([f"*{name}*", "", "", *cells[:2], "", cells[2], hits, ""])
    for key in found["order"]:
        route = found["routes"][key]
        for prior, title in (("images", ""), ("mean", "; only the mean known"),
                             ("nothing", "; nothing known")):  # fmt: skip
            if prior in route:
                rows.append(_cells(route, route[prior], title))
    return table(head, rows)


def _cells(route: Found, one: Found, more: str) -> list[str]:
    return [
        route["title"] + more,
        route["access"],
        _queries(one["queries"]),
        _interval(one["deviation_correlation"]),
        _interval(one["correlation"]),
        _interval(one["psnr_gain"], 1),
        number(one["psnr"][0], 1),
        f"{one['hits']} of {one['n_labels']}",
        f"{route['accuracy']:.1%}",
    ]


def _best(found: Found, access: str, model: str | None = None) -> Found:
    """Give the route of one kind of access that tells most of the undefended nets."""
    routes = [
        route
        for route in found["routes"].values()
        if route["access"] == access
        and route["model"] not in DEFENDED
        and (model is None or route["model"] == model)
    ]
    return max(routes, key=lambda route: route["images"]["deviation_correlation"][0])


def _told(route: Found) -> str:
    one = route["images"]
    asked = f", {_queries(one['queries'])} inputs asked" if one["queries"] else ""
    return (
        f"r {_interval(one['deviation_correlation'])} and {_interval(one['psnr_gain'], 1)} dB over "
        f"the mean of all ({route['title']}{asked})"
    )


def _meaning(dataset: str, found: Found) -> str:
    half, access = found["known"][HALF], ("gradients", "probabilities", "labels")
    best = max(_best(found, a)["images"]["psnr"][0] for a in access)
    beyond = "more than any route told" if half["psnr"][0] > best else "less than the best route"
    lines = [
        f"On {dataset}, the most that leaked by any of the routes above, chosen afterwards, was:",
        "",
        *(f"- with {a}: {_told(_best(found, a))};" for a in access),
        "",
        f"Other data of the same classes give r {_interval(half['deviation_correlation'])} and "
        f"{number(half['psnr'][0], 1)} dB, {beyond}. Beside the same fully connected net trained "
        "as usual, what was done to it changed the r of what leaks as follows.",
        "",
        _defence_table(found),
    ]
    return "\n".join(lines)


def _defence_table(found: Found) -> str:
    routes = found["routes"]
    plain = {
        "aai": routes["fc-aai"],
        "fields-probabilities": routes["fc-fields-probabilities-100000"],
        "fields-labels": routes["fc-fields-labels-100000"],
    }
    rows = [["none", *(_leak(one) for one in plain.values()), f"{plain['aai']['accuracy']:.1%}"]]
    for name in DEFENDED:
        ones = [routes[f"{name}-{key}"] for key in plain]
        title = ones[0]["title"].removeprefix("FC, ")
        rows.append([title, *(_leak(one) for one in ones), f"{ones[0]['accuracy']:.1%}"])
    head = ("done to the net", "gradients", "probabilities asked", "labels asked", "test accuracy")
    return table(head, rows)


def _leak(route: Found) -> str:
    return _interval(route["images"]["deviation_correlation"])


def _lower(found: Found, name: str) -> list[bool]:
    """Say of each kind of access whether a defence lowers what leaks, beyond both intervals."""
    routes, answers = found["routes"], []
    for key, plain in (
        ("aai", "fc-aai"),
        ("fields-probabilities", "fc-fields-probabilities-100000"),
        ("fields-labels", "fc-fields-labels-100000"),
    ):
        own = routes[f"{name}-{key}"]["images"]["deviation_correlation"]
        answers.append(own[2] < routes[plain]["images"]["deviation_correlation"][1])
    return answers


def verdicts(result: Found) -> list[Verdict]:
    """Judge whether class means leak, without gradients too, and what lowers it."""
    made = []
    for claim, access in (
        (
            "patterns give class means of the training set away (dough2020, section 4.2)",
            "gradients",
        ),
        ("so do answers alone", "probabilities"),
        ("so do labels alone", "labels"),
    ):
        best = {dataset: _best(found, access) for dataset, found in result.items()}
        ones = [route["images"] for route in best.values()]
        leaks = [one["deviation_correlation"][1] > 0 and one["p"] < 0.05 for one in ones]
        nearer = [one["psnr_gain"][1] > 0 for one in ones]
        told = "the best route, chosen afterwards: " + "; ".join(
            f"{dataset} {_told(route)}" for dataset, route in best.items()
        )
        made.append(Verdict.of(claim, all(leaks) and all(nearer), any(leaks), told))
    lowered = {
        title: [answer for found in result.values() for answer in _lower(found, name)]
        for name, title in (
            ("smoothing", "label smoothing"),
            ("adversarial", "adversarial training"),
        )
    }
    for title, answers in lowered.items():
        made.append(
            Verdict.of(
                f"{title} lowers what leaks",
                all(answers),
                any(answers),
                f"lower beyond both intervals in {sum(answers)} of {len(answers)} cases",
            )
        )
    return made
