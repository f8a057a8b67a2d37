"""Pictures: what is drawn where, and what hostile names do."""

import numpy as np
import pytest
import xarray as xr

from pncviz import (
    AdversarialPatternExtractor,
    ConvergenceDisplay,
    NullDisplay,
    PatternDisplay,
    PNCTransformer,
    SimilarityDisplay,
    SpectrumDisplay,
    compare,
    concat_patterns,
    extract_patterns,
    make_attack,
    positive_negative_contrast,
)
from pncviz.dataset import build_patterns, build_similarities, common_attrs
from pncviz.displays.common import save_png
from pncviz.exceptions import LabelError, ParameterError
from pncviz.inference import band_similarity, example_convergence


@pytest.fixture(scope="module")
def results(digits, digits_net):
    """Patterns by two strategies, contrasts, similarities."""
    patterns = concat_patterns(
        {
            name: extract_patterns(
                digits_net, image_shape=(8, 8), strategy=name, max_iter=60, random_state=0
            )
            for name in ("zero", "aai")
        }
    )
    contrasts = positive_negative_contrast(digits.X, digits.y)
    return patterns, contrasts, compare(patterns, contrasts, metrics=["pearson", "cosine"])


def test_rows_are_sources_columns_are_classes(results):
    """Contrast, then strategies down; classes across; images upright, scale centred at zero."""
    patterns, contrasts, _ = results
    display = PatternDisplay.from_dataset(contrasts, patterns).plot()
    assert display.axes_.shape == (3, 10)
    assert [row[0].get_ylabel() for row in display.axes_] == ["contrast", "zero", "aai"]
    assert [ax.get_title() for ax in display.axes_[0]] == [str(label) for label in range(10)]
    for row, source in zip(display.axes_, display.sources.values(), strict=True):
        for ax, image in zip(row, source.values, strict=True):
            drawn = ax.images[0]
            np.testing.assert_allclose(drawn.get_array(), image[0])
            assert drawn.norm.vmin == -drawn.norm.vmax == -np.abs(source.values).max()
            assert ax.yaxis_inverted()
            assert ax.get_aspect() == 1


def test_scale_is_stated(results):
    """Each row's colour bar names its limits."""
    display = PatternDisplay.from_dataset(results[1]).plot()
    bars = [ax for ax in display.figure_.axes if ax not in display.axes_]
    limit = float(np.abs(results[1]["contrast"]).max())
    assert bars[0].get_yticklabels()[-1].get_text() == f"{limit:.3g}"


def test_failed_patterns_are_blank(results):
    """A pattern that did not reach its class is not drawn, but marked."""
    patterns = results[0].copy(deep=True)
    patterns["succeeded"][0, 4] = False
    display = PatternDisplay.from_dataset(patterns).plot()
    assert not display.axes_[0, 4].images
    assert "not reached" in display.axes_[0, 4].texts[0].get_text()
    assert display.axes_[1, 4].images


def test_colour_rule():
    """Three channels: 0.5 + value / (2 · limit), so zero is mid-grey; the rule is stated."""
    image = np.zeros((1, 3, 2, 2))
    image[0, 0, 0, 0], image[0, 2, 1, 1] = 2.0, -4.0
    array = xr.DataArray(image, dims=("label", "channel", "row", "column"), coords={"label": ["a"]})
    display = PatternDisplay({"contrast": array}).plot()
    drawn = display.axes_[0, 0].images[0].get_array()
    np.testing.assert_allclose(drawn[0, 0], [0.75, 0.5, 0.5])
    np.testing.assert_allclose(drawn[1, 1], [0.5, 0.5, 0.0])
    assert "÷ 8" in display.axes_[0, 0].texts[0].get_text()


def test_tables_are_bars():
    """A table's pattern is drawn as one bar per feature."""
    X, y = np.random.default_rng(0).random((30, 5)), np.arange(30) % 2
    contrasts = positive_negative_contrast(X, y)
    display = PatternDisplay.from_dataset(contrasts).plot()
    bars = display.axes_[0, 1].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], contrasts["contrast"][1])
    np.testing.assert_allclose([bar.get_y() + bar.get_height() / 2 for bar in bars], range(5))
    limit = float(np.abs(contrasts["contrast"]).max())
    assert display.axes_[0, 0].get_xlim() == (-limit, limit)
    assert f"±{limit:.3g}" in display.axes_[0, 1].texts[0].get_text()


def test_from_estimator(digits, digits_net, results):
    """Fitted estimators give rows, named on request."""
    extractor = AdversarialPatternExtractor(digits_net.module_, max_iter=60)
    extractor.fit(digits.X, digits.y)
    pnc = PNCTransformer().fit(digits.X, digits.y)
    display = PatternDisplay.from_estimator(pnc, extractor, names=["PNC", "AP"]).plot()
    assert [row[0].get_ylabel() for row in display.axes_] == ["PNC", "AP"]
    matrix = SimilarityDisplay.from_estimator(extractor, pnc).plot()
    assert matrix.ax_.images[0].get_array().shape == (10, 10)
    with pytest.raises(ParameterError, match="fit it first"):
        PatternDisplay.from_estimator(AdversarialPatternExtractor(digits_net))


def test_labels_are_chosen_and_checked(results):
    """Labels picks columns; one that a source lacks is an error."""
    display = PatternDisplay.from_dataset(results[1], labels=[3, 1]).plot()
    assert [ax.get_title() for ax in display.axes_[0]] == ["3", "1"]
    with pytest.raises(LabelError, match=r"contrast has no \[77\]"):
        PatternDisplay.from_dataset(results[1], labels=[77])


def test_similarity_panels(results):
    """One panel per strategy; the own class is outlined; metric is chosen by name."""
    display = SimilarityDisplay.from_dataset(results[2], metric="cosine").plot()
    assert [ax.get_title() for ax in display.axes_] == ["zero", "aai"]
    outlines = display.ax_.patches
    assert [(p.get_x(), p.get_y()) for p in outlines] == [(i - 0.5, i - 0.5) for i in range(10)]
    with pytest.raises(ParameterError, match="`metric` must be one of pearson, cosine"):
        SimilarityDisplay.from_dataset(results[2], metric="ssim")


HOSTILE = [r"$\frac{$", "<script>alert(1)</script>", '"><img onerror=x>', "\x1b[31mred\x1b[0m"]


def test_hostile_names_are_drawn_as_they_stand(tmp_path):
    """Class names with markup, mathtext or terminal codes neither break nor style a picture."""
    X, y = np.random.default_rng(0).random((40, 3, 3)), np.array(HOSTILE * 10)
    contrasts = positive_negative_contrast(X, y)
    figure = PatternDisplay.from_dataset(contrasts).plot().figure_
    assert save_png(figure, tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    titles = [ax.get_title() for ax in figure.axes]
    assert any("$" in title for title in titles)
    assert not any("\x1b" in title for title in titles)


@pytest.mark.parametrize("n", [2, 100])
def test_few_and_many_classes(tmp_path, n):
    """Two and a hundred classes can be drawn."""
    X, y = np.random.default_rng(0).random((2 * n, 4, 4)), np.arange(2 * n) % n
    display = PatternDisplay.from_dataset(positive_negative_contrast(X, y)).plot()
    save_png(display.figure_, tmp_path / "p.png", dpi=50)
    assert display.axes_.shape == (1, n)


def test_subsets_are_drawn_by_their_common_classes(results):
    """Contrasts of all classes above patterns of some: the common ones are drawn."""
    display = PatternDisplay.from_dataset(results[1], results[0].sel(label=[4, 2])).plot()
    assert [ax.get_title() for ax in display.axes_[0]] == ["2", "4"]


@pytest.mark.parametrize("labels", [[], range(1000)])
def test_too_few_or_many_classes_are_refused(results, labels):
    """No picture of nothing, and none too large for a PNG."""
    with pytest.raises(LabelError, match="A picture takes 1 to 200 classes"):
        PatternDisplay.from_dataset(results[1], labels=list(labels))


def similarities_of(n, *, strategies=None, names=None, drop=(), metrics=("pearson",), **given):
    """Similarities by hand: q is small for even classes, classes 1 and n − 1 were not reached."""
    lead = (len(strategies),) if strategies else ()
    rng = np.random.default_rng(n)
    labels = list(range(n)) if names is None else names
    values = rng.normal(0, 0.2, (*lead, len(metrics), n, n))
    own = values[..., range(n), range(n)]
    reached = ~np.isin(np.arange(n), [1, n - 1])
    statistics = {
        "succeeded": np.broadcast_to(reached, (*lead, n)),
        "q": np.broadcast_to(np.where(np.arange(n) % 2, 0.2, 0.01), own.shape),
        "lower": own - 0.1,
        "upper": own + 0.05,
        "interval_over": np.full((*lead, len(metrics)), "rows"),
        "null_similarity": rng.normal(0, 0.1, (*lead, 200, len(metrics), n)),
    }
    return build_similarities(
        similarity=given.pop("similarity", values),
        metrics=list(metrics),
        pattern_labels=labels,
        contrast_labels=labels,
        leading={"strategy": strategies} if strategies else None,
        statistics={name: array for name, array in statistics.items() if name not in drop},
        attrs=common_attrs(
            "similarities", parameters={}, null="shuffled labels", confidence_level=0.9
        ),
        **given,
    )


def own_of(similarities):
    """Own-class similarities of square, equally ordered ones."""
    return np.diagonal(similarities["similarity"].values, axis1=-2, axis2=-1)


@pytest.mark.parametrize("n", [2, 10])
def test_significant_cells_have_a_star(n):
    """Every cell holds its number; a star follows it where q < alpha and the class is the own."""
    similarities = similarities_of(n)
    display = SimilarityDisplay.from_dataset(similarities).plot()
    written = {text.get_position()[::-1]: text.get_text() for text in display.ax_.texts}
    for (i, j), value in np.ndenumerate(similarities["similarity"].values[0]):
        star = "*" if i == j and i % 2 == 0 else ""
        assert written[i, j].replace("−", "-") == f"{value:z.2f}{star}"
    label = display.figure_.axes[-1].get_ylabel()
    assert label == "pearson\n* q < 0.05 under shuffled labels"


def test_many_significant_cells_have_a_dot():
    """With a hundred classes numbers give way to dots, on the own class where q < alpha."""
    display = SimilarityDisplay.from_dataset(similarities_of(100)).plot()
    assert not display.ax_.texts
    dots = display.ax_.collections[0].get_offsets()
    np.testing.assert_array_equal(dots, np.repeat(np.arange(0, 100, 2)[:, None], 2, axis=1))
    assert "dot: q < 0.05" in display.figure_.axes[-1].get_ylabel()


def test_marks_follow_alpha_and_need_q():
    """A larger alpha marks all; without q, or with q unknown, nothing is marked or said."""

    def stars(similarities, alpha=0.05):
        display = SimilarityDisplay.from_dataset(similarities).plot(alpha=alpha)
        return sum("*" in text.get_text() for text in display.ax_.texts), display

    assert stars(similarities_of(10), 0.5)[0] == 10
    unknown = similarities_of(10).copy(deep=True)
    unknown["q"][:] = np.nan
    assert stars(unknown)[0] == 0
    count, display = stars(similarities_of(10, drop=["q"]))
    assert (count, display.figure_.axes[-1].get_ylabel()) == (0, "pearson")


def test_stars_stand_at_the_own_class_whatever_the_order():
    """Contrasts in another order: outline and star are where the labels agree."""
    turned = similarities_of(4).isel(contrast_label=[3, 2, 1, 0])
    display = SimilarityDisplay.from_dataset(turned).plot()
    starred = {t.get_position() for t in display.ax_.texts if t.get_text().endswith("*")}
    assert starred == {(3, 0), (1, 2)}
    outlined = [(p.get_x() + 0.5, p.get_y() + 0.5) for p in display.ax_.patches]
    assert outlined == [(3, 0), (2, 1), (1, 2), (0, 3)]


@pytest.mark.parametrize("n", [2, 10, 100])
def test_failed_patterns_are_marked_in_the_matrix(n):
    """The rows of failed patterns have a cross, also where most names are left out."""
    display = SimilarityDisplay.from_dataset(similarities_of(n)).plot()
    names = [text.get_text() for text in display.ax_.get_yticklabels()]
    crossed = [name for name in names if name.startswith("×")]
    assert crossed == list(dict.fromkeys(["× 1", f"× {n - 1}"]))
    places = dict(zip(names, display.ax_.get_yticks(), strict=True))
    assert all(place == int(name.removeprefix("× ")) for name, place in places.items())
    assert f"× did not reach its class: {len(crossed)} of {n}" in display.ax_.get_ylabel()


def test_panels_mark_their_own_strategy():
    """Each strategy's panel shows that strategy's q and failures, on one scale."""
    similarities = similarities_of(4, strategies=["zero", "aai"])
    similarities["q"].values = np.array([[[0.01, 0.2, 0.2, 0.2]], [[0.2, 0.2, 0.01, 0.01]]])
    similarities["succeeded"].values = np.array([[True] * 4, [False] + [True] * 3])
    display = SimilarityDisplay.from_dataset(similarities).plot()
    assert [ax.get_title() for ax in display.axes_] == ["zero", "aai"]
    stars = [[t.get_position()[0] for t in ax.texts if "*" in t.get_text()] for ax in display.axes_]
    assert stars == [[0], [2, 3]]
    assert ["×" in ax.get_ylabel() for ax in display.axes_] == [False, True]
    limit = float(np.abs(similarities["similarity"]).max())
    assert {ax.images[0].get_clim() for ax in display.axes_} == {(-limit, limit)}


@pytest.mark.parametrize(
    ("metric", "values", "clim", "cmap", "label"),
    [
        ("pearson", [[0.1, 0.5], [0.2, 0.3]], (-0.5, 0.5), "RdBu_r", "pearson"),
        ("angle", [[60, 90], [100, 95]], (60, 120), "RdBu", "angle (degree), less is more alike"),
        ("nmi", [[1.1, 1.0], [1.2, 1.3]], (1.0, 1.3), "Reds", "nmi"),
        ("of a lost plugin", [[-2, 1], [0, 1]], (-2, 2), "RdBu_r", "of a lost plugin"),
    ],
)
def test_scale_is_centred_at_no_similarity(metric, values, clim, cmap, label):
    """Zero, 90 degrees, or the floor of a metric is white; alike is red; both are stated."""
    given = {} if metric != "angle" else {"metric_units": ["degree"], "higher_is_better": [False]}
    similarities = similarities_of(2, similarity=[values], metrics=[metric], drop=["q"], **given)
    display = SimilarityDisplay.from_dataset(similarities).plot()
    image, bar = display.ax_.images[0], display.figure_.axes[-1]
    assert image.get_clim() == pytest.approx(clim)
    assert image.cmap.name == cmap
    assert bar.get_ylabel() == label
    ticks = [text.get_text().replace("−", "-") for text in bar.get_yticklabels()]
    assert {f"{end:.3g}" for end in clim} <= set(ticks)
    assert metric == "nmi" or f"{sum(clim) / 2:.3g}" in ticks


def test_undrawable_similarities_are_refused():
    """A seed dimension, a second panel in one axes, and a senseless alpha are errors that help."""
    one = similarities_of(3)
    seeds = xr.concat([one, one], dim="seed", data_vars="all", coords="minimal")
    for display in (SimilarityDisplay, NullDisplay):
        with pytest.raises(ParameterError, match=r"`seed` \(2\); select one first.*isel\(seed=0\)"):
            display.from_dataset(seeds)
        assert display.from_dataset(seeds.isel(seed=0)).plot().figure_
        with pytest.raises(ParameterError, match=r"`alpha` must be a number in \(0, 1\], got 5"):
            display.from_dataset(one).plot(alpha=5)
    ax = SimilarityDisplay.from_dataset(one).plot().ax_
    assert SimilarityDisplay.from_dataset(one).plot(ax=ax).ax_ is ax
    with pytest.raises(ParameterError, match="`ax` is one panel, but there are 2 strategies"):
        SimilarityDisplay.from_dataset(similarities_of(3, strategies=["a", "b"])).plot(ax=ax)


@pytest.mark.parametrize("n", [2, 10, 100])
def test_null_strips_are_quantiles(n):
    """Strips run from 2.5 to 97.5 % and from 25 to 75 % of the draws, with the median between."""
    similarities = similarities_of(n)
    ax = NullDisplay.from_dataset(similarities).plot().ax_
    draws = similarities["null_similarity"].values[:, 0]
    for bars, (low, high) in zip(ax.containers, ((2.5, 97.5), (25, 75)), strict=True):
        bottoms = np.array([bar.get_y() for bar in bars])
        tops = bottoms + [bar.get_height() for bar in bars]
        np.testing.assert_allclose(bottoms, np.percentile(draws, low, axis=0))
        np.testing.assert_allclose(tops, np.percentile(draws, high, axis=0))
        centres = [bar.get_x() + bar.get_width() / 2 for bar in bars]
        np.testing.assert_allclose(centres, range(n))
    medians = [segment[:, 1] for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(medians, np.repeat(np.median(draws, axis=0)[:, None], 2, axis=1))
    assert ax.get_title() == "pearson with the own class\nnull: shuffled labels, 200 draws"


@pytest.mark.parametrize("n", [2, 10, 100])
def test_observed_dots_are_filled_where_significant(n):
    """Filled dots are the classes with q < alpha, open ones the rest, each at its similarity."""
    similarities = similarities_of(n)
    ax = NullDisplay.from_dataset(similarities).plot().ax_
    own = own_of(similarities)[0]
    _, filled, hollow = ax.lines  # the first is the line at zero
    for dots, first in ((filled, 0), (hollow, 1)):
        np.testing.assert_array_equal(dots.get_xdata(), np.arange(first, n, 2))
        np.testing.assert_allclose(dots.get_ydata(), own[first::2])
    assert filled.get_markerfacecolor() != hollow.get_markerfacecolor() == "white"
    intervals = np.array([segment[:, 1] for segment in ax.collections[1].get_segments()])
    np.testing.assert_allclose(intervals, np.transpose([own - 0.1, own + 0.05]))
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[:2] == ["observed, q < 0.05", "observed, q ≥ 0.05"]
    assert "90 % interval\nover rows" in texts


def test_null_display_without_statistics():
    """No q: nothing is filled. No intervals, or unknown ones: none drawn. No draws: an error."""
    bare = similarities_of(5, drop=["q", "lower", "upper"])
    ax = NullDisplay.from_dataset(bare).plot().ax_
    assert [line.get_label() for line in ax.lines[1:]] == ["observed"]
    assert len(ax.collections) == 1
    part = similarities_of(5)
    part["lower"][0, 2] = np.nan
    part["null_similarity"][:, 0, 3] = np.nan
    ax = NullDisplay.from_dataset(part).plot().ax_
    assert len(ax.collections[1].get_segments()) == 4
    assert [round(bar.get_x() + 0.35) for bar in ax.containers[0]] == [0, 1, 2, 4]
    with pytest.raises(ParameterError, match=r"make them by compare\(\.\.\., null=\.\.\.\)"):
        NullDisplay.from_dataset(similarities_of(5, drop=["null_similarity"]))


def test_null_display_chooses_metric_and_strategy():
    """One metric of one strategy is drawn, the first by default, and named."""
    both = similarities_of(
        4,
        strategies=["zero", "aai"],
        metrics=["pearson", "angle"],
        metric_units=["1", "degree"],
        higher_is_better=[True, False],
    )
    own = own_of(both)
    for chosen, (strategy, metric) in (
        ({}, (0, 0)),
        ({"strategy": "aai", "metric": "angle"}, (1, 1)),
    ):
        ax = NullDisplay.from_dataset(both, **chosen).plot().ax_
        np.testing.assert_allclose(ax.lines[1].get_ydata(), own[strategy, metric, ::2])
    assert ax.get_title().startswith("angle with the own class, aai\n")
    assert ax.get_ylabel() == "angle (degree), less is more alike"
    assert ax.lines[0].get_ydata()[0] == 90
    with pytest.raises(ParameterError, match="`strategy` must be one of zero, aai, got 'noise'"):
        NullDisplay.from_dataset(both, strategy="noise")
    with pytest.raises(ParameterError, match="has none to choose"):
        NullDisplay.from_dataset(similarities_of(4), strategy="zero")


def test_null_of_a_real_comparison(results):
    """What compare gives under a null can be drawn, every strategy of it."""
    patterns, contrasts, _ = results
    found = compare(patterns, contrasts, null="phase", n_permutations=50, random_state=0)
    for strategy in ("zero", "aai"):
        ax = NullDisplay.from_dataset(found, strategy=strategy).plot().ax_
        shown = sorted(np.concatenate([line.get_ydata() for line in ax.lines[1:]]))
        np.testing.assert_allclose(shown, sorted(own_of(found.sel(strategy=strategy))[0]))
        assert f", {found.sizes['draw']} draws" in ax.get_title()


def patterns_of(n, *, labels=None, d=4, features=None, failed=()):
    """Patterns of a table by hand, with traces; class 1 stopped after the second of six."""
    labels = list(range(n)) if labels is None else labels
    reached = 1.0 * ~np.isin(np.arange(n), failed)
    rng = np.random.default_rng(n)
    patterns = build_patterns(
        pattern=rng.normal(size=(n, d)),
        labels=labels,
        image_shape=(d,),
        feature_names=features,
        **dict.fromkeys(["confidence", "loss", "success_rate", "pattern_confidence"], reached),
        **dict.fromkeys(["prediction", "pattern_prediction"], labels),
        n_iter=[50] * n,
        stop_reason=["max_iter"] * n,
        attrs=common_attrs("patterns", parameters={}),
    )
    iteration = np.arange(0, 60, 10)
    loss = rng.uniform(1, 3, (n, 1)) * np.exp(-iteration / 50)
    loss[1, 2:] = np.nan
    dims = ("label", "trace_iteration")
    traces = {
        "trace_loss": (dims, loss, {"units": "nat", "long_name": "loss"}),
        "trace_confidence": (dims, np.exp(-loss), {"units": "1", "long_name": "confidence"}),
    }
    return patterns.assign(traces).assign_coords(trace_iteration=iteration)


@pytest.mark.parametrize("n", [2, 10])
def test_convergence_lines_are_traces(n):
    """One line per class and panel, equal to its trace, named; failed ones dashed and crossed."""
    patterns = patterns_of(n, failed=[0])
    display = ConvergenceDisplay.from_dataset(patterns).plot()
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss (nat)", "confidence"]
    for ax, name in zip(display.axes_, ("trace_loss", "trace_confidence"), strict=True):
        assert len(ax.lines) == n
        for line, trace in zip(ax.lines, patterns[name].values, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), range(0, 60, 10))
            np.testing.assert_array_equal(line.get_ydata(), trace)
        assert [line.get_linestyle() for line in ax.lines] == ["--"] + ["-"] * (n - 1)
        assert [line.get_markevery() for line in ax.lines[:2]] == [None, [1]]  # where it stopped
        assert len({line.get_color() for line in ax.lines}) == n
    legend = display.axes_[-1].get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["× 0", *map(str, range(1, n))]
    assert legend.get_title().get_text() == "× class not reached"


def test_convergence_of_many_classes_has_a_median():
    """A hundred classes are grey, failed ones red, under a median that keeps stopped ones."""
    patterns = patterns_of(100, failed=[5, 7])
    ax = ConvergenceDisplay.from_dataset(patterns).plot().ax_
    assert len(ax.lines) == 101
    losses = patterns["trace_loss"].values.copy()
    losses[1, 2:] = losses[1, 1]
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), np.median(losses, axis=0))
    assert ax.lines[-1].get_linewidth() > 3 * ax.lines[0].get_linewidth()
    other = [i for i in range(100) if ax.lines[i].get_color() != ax.lines[0].get_color()]
    assert other == [5, 7]
    display = ConvergenceDisplay.from_dataset(patterns).plot()
    names = [text.get_text() for text in display.axes_[-1].get_legend().get_texts()]
    assert names == ["a class (98)", "× not reached (2)", "median of classes"]


def test_loss_is_logarithmic_only_where_that_is_possible():
    """Losses over decades are drawn by factors; one that is zero keeps the scale linear."""
    patterns = patterns_of(3)
    assert ConvergenceDisplay.from_dataset(patterns).plot().ax_.get_yscale() == "linear"
    patterns["trace_loss"][0, 5] = 1e-6
    assert ConvergenceDisplay.from_dataset(patterns).plot().ax_.get_yscale() == "log"
    patterns["trace_loss"][0, 5] = 0
    assert ConvergenceDisplay.from_dataset(patterns).plot().ax_.get_yscale() == "linear"


@pytest.fixture(scope="module")
def many(digits_net):
    """Patterns of thirty examples in ten blocks, traced."""
    return extract_patterns(
        digits_net,
        image_shape=(8, 8),
        strategy="aai",
        attack=make_attack("gradient_descent", trace_every=20),
        max_iter=60,
        n_blocks=10,
        random_state=0,
    )


def test_convergence_by_examples(results, many):
    """With blocks a panel shows the partial sums against the contrast, or else the whole."""
    contrasts = results[1]
    found = example_convergence(many, contrasts)
    for given, name in (((), "whole pattern"), ((contrasts,), "contrast")):
        display = ConvergenceDisplay.from_dataset(many, *given).plot()
        ax = display.axes_[2]
        assert ax.get_ylabel() == f"pearson with the {name}"
        wanted = found[f"similarity_to_{name.split()[0]}"].transpose("label", ...).values
        for line, values in zip(ax.lines, wanted, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), range(3, 31, 3))
            np.testing.assert_array_equal(line.get_ydata(), values)


def test_convergence_takes_estimators_and_refuses_the_rest(digits, digits_net, results):
    """Fitted estimators work; neither traces nor blocks, or several strategies, are errors."""
    attack = make_attack("gradient_descent", trace_every=20)
    extractor = AdversarialPatternExtractor(digits_net.module_, attack=attack, max_iter=60)
    extractor.fit(digits.X, digits.y)
    display = ConvergenceDisplay.from_estimator(extractor).plot()
    np.testing.assert_array_equal(display.ax_.lines[0].get_xdata(), [0, 20, 40, 60])
    one = ConvergenceDisplay({"loss": extractor.patterns_["trace_loss"]})
    assert one.plot(ax=display.ax_).ax_ is display.ax_
    with pytest.raises(ParameterError, match="`ax` is one panel, but there are 2: loss"):
        display.plot(ax=display.ax_)
    with pytest.raises(ParameterError, match=r"`strategy` \(2\); select one first"):
        ConvergenceDisplay.from_dataset(results[0])
    with pytest.raises(ParameterError, match=r"neither traces nor blocks; .*trace_every=10"):
        ConvergenceDisplay.from_dataset(results[0].sel(strategy="zero"))


def test_spectrum_shows_bands(results):
    """Above each class's similarity by band and their mean; below shares of power and means."""
    patterns, contrasts, _ = results
    bands = band_similarity(patterns, contrasts)
    display = SpectrumDisplay.from_dataset(patterns, contrasts).plot()
    assert display.axes_.shape == (2, 2)
    for (upper, lower), strategy in zip(display.axes_.T, ("zero", "aai"), strict=True):
        assert upper.get_title() == strategy
        one = bands.sel(strategy=strategy)
        _, *classes, mean = upper.lines  # the first is the line at zero
        np.testing.assert_array_equal([line.get_ydata() for line in classes], one["similarity"])
        np.testing.assert_allclose(mean.get_ydata(), one["similarity"].mean("label"))
        np.testing.assert_array_equal(mean.get_xdata(), bands["frequency"])
        for lines, name in ((lower.lines[:11], "pattern"), (lower.lines[11:], "contrast")):
            power = one[f"{name}_power"].values
            np.testing.assert_array_equal([line.get_ydata() for line in lines[:10]], power)
            np.testing.assert_allclose(lines[10].get_ydata(), power.mean(axis=0))
            assert lines[10].get_ydata().sum() == pytest.approx(1)


@pytest.mark.parametrize("n", [2, 100])
def test_spectrum_of_few_and_many_classes(tmp_path, n):
    """Bands may be chosen; the legend names two classes, but not a hundred."""
    X, y = np.random.default_rng(0).random((2 * n, 8, 8)), np.arange(2 * n) % n
    contrasts = positive_negative_contrast(X, y)
    pattern = patterns_of(n, d=64)
    images = build_patterns(
        pattern=pattern["pattern"].values,
        image_shape=(1, 8, 8),
        labels=pattern["label"].values,
        attrs=pattern.attrs,
        **{
            name: pattern[name].values
            for name in (
                *("confidence", "loss", "n_iter", "prediction", "stop_reason", "success_rate"),
                *("pattern_prediction", "pattern_confidence"),
            )
        },
    )
    display = SpectrumDisplay.from_dataset(images, contrasts, n_bands=3).plot()
    save_png(display.figure_, tmp_path / "p.png", dpi=50)
    assert {len(line.get_xdata()) for line in display.ax_.lines[1:]} == {3}
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == (["0", "1"] if n == 2 else ["a class (100)"]) + ["mean of classes"]


def test_spectrum_from_estimators(digits, digits_net):
    """Fitted estimators give the bands of their results; a seed dimension is refused."""
    extractor = AdversarialPatternExtractor(digits_net.module_, max_iter=30, image_shape=(8, 8))
    extractor.fit(digits.X, digits.y)
    pnc = PNCTransformer(image_shape=(8, 8)).fit(digits.X, digits.y)
    display = SpectrumDisplay.from_estimator(extractor, pnc, n_bands=2).plot()
    wanted = band_similarity(extractor.patterns_, pnc.contrasts_, n_bands=2)
    np.testing.assert_array_equal(display.ax_.lines[1].get_ydata(), wanted["similarity"][0])
    with pytest.raises(ParameterError, match=r"`seed` \(1\); select one first"):
        SpectrumDisplay(wanted.expand_dims("seed")).plot()


def test_rows_of_several_models(results):
    """Names title the rows of several datasets; strategies are told apart behind the name."""
    patterns, contrasts, _ = results
    zero = patterns.sel(strategy="zero")
    display = PatternDisplay.from_dataset(
        contrasts, zero, patterns, names=["data", "$a$", "b"]
    ).plot()
    titles = ["data", "$a$", "b: zero", "b: aai"]
    assert [row[0].get_ylabel() for row in display.axes_] == titles
    np.testing.assert_array_equal(
        display.axes_[1, 3].images[0].get_array(), patterns["pattern"][0, 3, 0]
    )
    unnamed = PatternDisplay.from_dataset(zero, zero, patterns)
    assert list(unnamed.sources) == ["zero", "zero 2", "zero 3", "aai"]


def test_rows_are_checked(results):
    """Names that do not fit, other kinds, and dimensions without a place are errors."""
    patterns, contrasts, similarities = results
    with pytest.raises(ParameterError, match=r"one name per dataset \(1\), got 2"):
        PatternDisplay.from_dataset(contrasts, names=["a", "b"])
    with pytest.raises(ParameterError, match="`names` must differ, got 'a' twice"):
        PatternDisplay.from_dataset(contrasts, contrasts, names=["a", "a"])
    with pytest.raises(ParameterError, match=r"one name per estimator \(1\), got 2"):
        PatternDisplay.from_estimator(PNCTransformer(), names=["a", "b"])
    with pytest.raises(ParameterError, match="draws patterns and contrasts, got similarities"):
        PatternDisplay.from_dataset(similarities, labels=[0])
    with pytest.raises(ParameterError, match=r"`seed` \(1\); select one first"):
        PatternDisplay.from_dataset(patterns.expand_dims("seed"))
    with pytest.raises(ParameterError, match="at least one dataset"):
        PatternDisplay.from_dataset()


def test_features_are_named():
    """Few features are all named, from the top, by the coordinate or else by number."""
    names = ["petal length (cm)", r"$\frac{$", "<b>", "_hidden"]
    display = PatternDisplay.from_dataset(patterns_of(2, features=names)).plot()
    left, right = display.axes_[0]
    assert [text.get_text() for text in left.get_yticklabels()] == names
    assert left.get_yticks().tolist() == [0, 1, 2, 3]
    assert left.yaxis_inverted()
    assert not right.get_yticklabels()
    unnamed = PatternDisplay.from_dataset(patterns_of(2)).plot().axes_[0, 0]
    assert [text.get_text() for text in unnamed.get_yticklabels()] == ["0", "1", "2", "3"]


def test_many_features_are_thinned():
    """Hundreds of features are an outline that equals the values, with every n-th name."""
    patterns = patterns_of(10, d=300)
    ax = PatternDisplay.from_dataset(patterns).plot().axes_[0, 0]
    values = patterns["pattern"].values[0]
    assert not ax.patches
    negative, positive = (c.get_paths()[0].vertices for c in ax.collections)
    for i in (0, 7, 299):
        outline = negative if values[i] < 0 else positive
        reached = outline[(outline[:, 1] == i - 0.5) | (outline[:, 1] == i + 0.5), 0]
        assert np.isclose(reached, values[i]).any()
    for outline, side in ((negative, np.minimum(values, 0)), (positive, np.maximum(values, 0))):
        np.testing.assert_allclose(np.unique(outline[:, 0]), np.unique(np.append(side, 0)))
    places = ax.get_yticks()
    assert 5 < len(places) < 30
    assert [text.get_text() for text in ax.get_yticklabels()] == [str(int(p)) for p in places]


@pytest.mark.parametrize("n", [2, 10, 100])
def test_tables_with_few_and_many_classes(tmp_path, n):
    """Bars of every class equal its pattern; the figure stays within a page's width."""
    patterns = patterns_of(n, failed=[1])
    display = PatternDisplay.from_dataset(patterns).plot()
    save_png(display.figure_, tmp_path / "p.png", dpi=50)
    for i, ax in enumerate(display.axes_[0]):
        widths = [bar.get_width() for bar in ax.patches]
        np.testing.assert_allclose(widths, patterns["pattern"][i] if i != 1 else [])
    assert display.figure_.get_size_inches()[0] < 14


def test_many_classes_go_into_blocks():
    """A hundred classes stand in five blocks of twenty, none upon another, each row titled."""
    X, y = np.random.default_rng(0).random((200, 4, 4)), np.arange(200) % 100
    contrasts = positive_negative_contrast(X, y)
    display = PatternDisplay.from_dataset(contrasts, contrasts, names=["a", "b"]).plot()
    boxes = np.array([[ax.get_position().bounds for ax in row] for row in display.axes_])
    assert len(np.unique(boxes[0, :, 0].round(6))) == 20
    assert len(np.unique(boxes[..., 1].round(6))) == 10
    places = boxes[..., :2].reshape(-1, 2).round(6)
    assert len(np.unique(places, axis=0)) == 200
    assert boxes[..., :2].min() > 0
    assert (boxes[..., :2] + boxes[..., 2:]).max() < 1
    titled = [i for i, ax in enumerate(display.axes_[1]) if ax.get_ylabel() == "b"]
    assert titled == [0, 20, 40, 60, 80]


def test_hostile_names_in_every_picture(tmp_path):
    """Markup, mathtext, terminal codes and a leading underscore are drawn as they stand."""
    names = [*HOSTILE[:2], HOSTILE[3], "_hidden"]
    similarities = similarities_of(4, names=names)
    patterns = patterns_of(4, labels=names)
    share = (("label", "frequency"), np.full((4, 2), 0.5))
    bands = xr.Dataset(
        dict.fromkeys(["similarity", "pattern_power", "contrast_power"], share),
        coords={"label": names, "frequency": [0.1, 0.4]},
    )
    displays = [
        SimilarityDisplay.from_dataset(similarities).plot(),
        NullDisplay.from_dataset(similarities).plot(),
        ConvergenceDisplay.from_dataset(patterns).plot(),
        SpectrumDisplay(bands).plot(),
        PatternDisplay.from_dataset(patterns, names=[names[0]]).plot(),
    ]
    for display in displays:
        save_png(display.figure_, tmp_path / "p.png", dpi=50)
        texts = {
            text.get_text() for text in display.figure_.findobj(lambda o: hasattr(o, "get_text"))
        }
        texts = {text.removeprefix("× ") for text in texts}
        assert {r"$\frac{$", "_hidden"} <= texts
        assert any(text.startswith("<script") for text in texts)
        assert any(text.startswith(r"\x1b[31m") for text in texts)
