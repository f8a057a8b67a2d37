"""Pictures: what is drawn where, and what hostile names do."""

import numpy as np
import pytest
import xarray as xr

from pncviz import (
    AdversarialPatternExtractor,
    PatternDisplay,
    PNCTransformer,
    SimilarityDisplay,
    compare,
    concat_patterns,
    extract_patterns,
    positive_negative_contrast,
)
from pncviz.displays.common import save_png
from pncviz.exceptions import LabelError, ParameterError


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
    display = PatternDisplay.from_dataset(positive_negative_contrast(X, y)).plot()
    assert len(display.axes_[0, 0].patches) == 5


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
