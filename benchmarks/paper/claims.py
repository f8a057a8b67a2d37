"""The claims of the paper: what each says, what is measured of it, and how it is judged."""

from __future__ import annotations

from functools import partial

from benchmarks.paper import beside, between, verdicts
from benchmarks.paper.beside import CLOSE, SIGNIFICANT
from benchmarks.paper.between import SHARED
from benchmarks.paper.verdicts import HALF, IDENTICAL, SURE, TENTH, Claim, level

_BESIDE = (
    "r {mean:.2f} in the mean, {least:.2f} at least; of different classes {other:.2f} in the mean"
)

_STOPS = (
    "loosest against strictest r {first:.2f} (at least {first_least:.2f}), the middle one "
    "{second:.2f} ({second_least:.2f}); different classes {other:.2f}"
)
_CONTRASTS = "r {mean:.3f} in the mean, {least:.3f} at least, {most:.3f} at most"
_PATCHES = (
    "r with the class image {image:.3f} in the mean ({least_image:.3f} at least), with the "
    "contrast {contrast:.3f} ({least_contrast:.3f}); {closer:.0%} of {n:.0f} patterns are more "
    "like the contrast"
)
#: Beyond rounding.
EQUAL = 1 - 1e-6

CLAIMS = (
    Claim(
        "table1",
        "§ 2.4",
        "The six models reach the accuracies of Table 1.",
        beside.table1,
        "{close:.0f} of {n:.0f} models within " + f"{CLOSE}" + ", the farthest off by {most:.3f}",
        f"Holds if every accuracy is within {CLOSE} of the paper's; in part if half of them are.",
        lambda n: level(n["close"] == n["n"], n["close"] >= n["n"] / 2),
    ),
    Claim(
        "methods",
        "§ 3, Figure 1",
        "Zero feed, noise feed and AAI give almost identical patterns.",
        between.methods,
        _BESIDE + ", {most_other:.2f} at most",
        f"Pearson's r between the patterns of two methods, same class and model. Holds if the mean "
        f"is at least {IDENTICAL}; in part if it is at least {HALF} and above that of any two "
        "classes.",
        verdicts.same,
    ),
    Claim(
        "confidence",
        "§ 3, Figure 1",
        "The network puts all of them into the target class, with a high confidence.",
        between.confidence,
        "{reached:.0%} of {n:.0f} examples reach their class, least confidence {least:.3f}; of the "
        "patterns alone {right:.0%}, least {itself:.3f}",
        f"Holds if all examples and all patterns by themselves are called the target with "
        f"{SURE} or more; in part if the examples are.",
        verdicts.confident,
    ),
    Claim(
        "pace",
        "§ 2.2",
        "For some classes the attack arrives dramatically faster than for others.",
        between.pace,
        "{ratio:.1f} times",
        "Updates of the slowest class by those of the fastest, to the same stop, median over "
        "seeds. Holds if at least 5; in part if at least 2.",
        lambda n: level(n["ratio"] >= 5, n["ratio"] >= 2),
    ),
    Claim(
        "stops",
        "§§ 2.3 and 3, Figure 2",
        "Once they emerge, patterns do not depend on where the attack stops.",
        partial(between.stops, which=("zero", "noise")),
        _STOPS + "; blank at the loosest {blank:.0f}",
        f"r with the pattern of the strictest stop. Holds if both means are at least {IDENTICAL}; "
        "in part if one is. Left out are blank patterns: of starts that are at the stop at once, "
        "or never get there.",
        verdicts.indifferent,
    ),
    Claim(
        "examples",
        "§§ 2.3 and 3, Figure 2",
        "Nor do they depend on the number of examples that an AAI adds up.",
        partial(between.stops, which=("AAI",)),
        _STOPS + "; what the patterns' split-half reliability allows: {first_expected:.2f} and "
        "{second_expected:.2f}",
        "The same, beside the pattern of the most examples, which include the fewer: so r can be "
        "above what the reliability allows.",
        verdicts.indifferent,
    ),
    Claim(
        "models",
        "§§ 2.4 and 3, Figures 3 and 4",
        "Patterns persist over architectures and ways of training.",
        between.models,
        _BESIDE + "; nearest is the same class for {nearest:.0%}, among {done:.0f} models",
        f"r between patterns of two models, same class and method, seed 0. Holds if for {SURE:.0%} "
        f"or more the most alike pattern of the other model is that of the same class; in part if "
        f"for {HALF:.0%}.",
        verdicts.persistent,
    ),
    Claim(
        "clarity",
        "§ 3, Figures 3 and 4",
        "The more complex architecture and optimizer are, the less clear is the pattern.",
        beside.clarity,
        "own-class r of FC by SGD {fc_sgd:.2f}, FC by Adam {fc_adam:.2f}, CNN {cnn:.2f}, with "
        "batch normalization {norm:.2f}",
        "Clarity is taken to be the similarity with the own class's contrast. Holds if it falls at "
        "every step; in part if it is lower at the last than at the first.",
        verdicts.falling,
    ),
    Claim(
        "resemblance",
        "§ 3, Figures 3 and 4",
        "Patterns approximate the positive-negative contrasts of their classes.",
        beside.resemblance,
        "identified (p < .05) in {identified:.0f} of {n:.0f} sets of patterns, {hits:.1f} of "
        "{classes:.0f} hits in the mean, {least_hits:.0f} at least; similarity beyond contrasts of "
        "shuffled labels (q < .05): {beyond:.0%}",
        f"Holds if each model's patterns are identified with p < {SIGNIFICANT} and half of the "
        "similarities are beyond chance (where that was drawn); in part if half of the sets are "
        "identified.",
        verdicts.resembling,
    ),
    Claim(
        "striking",
        "§ 3, Figures 3 and 4",
        "In simple models they do so with striking accuracy.",
        beside.striking,
        "FC by SGD has an own-class r of {mean:.2f}, {ceiling:.2f} of the noise ceiling, and "
        "{hits:.1f} of {classes:.0f} hits",
        f"Holds if the mean r is at least {HALF} (half of the variance); in part if {TENTH}.",
        verdicts.striking,
    ),
    Claim(
        "unique",
        "§ 4.1",
        "Each class has a pattern of its own.",
        between.unique,
        "r of two classes in the same model {mean:.2f} in the mean, {most:.2f} at most; "
        "{shared:.1%} of {n:.0f} pairs at " + f"{SHARED}" + " or more",
        f"Holds if no two classes of a model have patterns with an r of {SHARED} or more; in part "
        "if less than 5 % of the pairs do.",
        verdicts.unique,
    ),
    Claim(
        "blanks",
        "captions of Figures 3 and 4",
        "For some models and classes the attack does not succeed.",
        beside.blanks,
        "{failed:.0f} of {n:.0f} patterns, {simplest:.0f} of them of FC by SGD",
        "Holds if there is at least one such pattern.",
        lambda n: level(n["failed"] > 0, False),
    ),
    Claim(
        "contrasts of tiling",
        "§ 2.6, Figure 5",
        "On tiling the contrasts are the classes themselves.",
        partial(beside.contrasts, names=("tiling",)),
        _CONTRASTS,
        "r between contrast and class image. Holds if it is 1 for every class, up to rounding.",
        lambda n: level(n["least"] > EQUAL, False),
    ),
    Claim(
        "contrasts of overlapping",
        "§ 2.6, Figure 6",
        "On overlapping the contrasts are not the classes.",
        partial(beside.contrasts, names=("overlapping", "overlapping corners")),
        _CONTRASTS,
        "Holds if it is less than 1 for every class.",
        lambda n: level(n["most"] <= EQUAL, n["least"] <= EQUAL),
    ),
    Claim(
        "tiling",
        "§ 4.2, Figure 5",
        "On tiling the attack only makes the classes themselves again.",
        partial(beside.patches, name="tiling"),
        _PATCHES,
        f"r between pattern and class image. Holds if the mean is at least {IDENTICAL}; in part if "
        f"at least {HALF}.",
        verdicts.replica,
    ),
    *(
        Claim(
            name,
            "§ 4.2, Figure 6",
            text,
            partial(beside.patches, name=name),
            _PATCHES,
            f"Holds if the mean r with the class image is below {IDENTICAL} and {SURE:.0%} of the "
            "patterns are more like the contrast; in part if one of the two.",
            verdicts.something_else,
        )
        for name, text in (
            ("overlapping", "On overlapping it makes something else."),
            ("overlapping corners", "So it does with 4 × 4 patches in the corners (our variant)."),
        )
    ),
)
