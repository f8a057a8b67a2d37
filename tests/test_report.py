"""The report: what is on the page, where its numbers come from, and that names stay text."""

import base64
import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sklearn.exceptions import NotFittedError

from pncviz import (
    AdversarialPatternExtractor,
    PNCTransformer,
    compare,
    concat_patterns,
    load,
    save,
)
from pncviz.dataset import (
    build_contrasts,
    build_patterns,
    build_similarities,
    common_attrs,
)
from pncviz.exceptions import LabelError, ParameterError, ResultError
from pncviz.report import Report, generate_report
from pncviz.report import page as page_module
from pncviz.report.content import OWN, PATTERN
from pncviz.report.numbers import interval, number, probability, script_json

ROOT = Path(__file__).parent.parent

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    r"$\frac{$",
    "</script>",
    "\x1b[31mred\x1b[0m",
    "\u202eabc\u2069",
    "=1+1",
    "plain & simple",
]


def make_patterns(labels, shape=(1, 6, 6), strategy="Zero", failed=(), seed=0, names=None):
    """Patterns with made-up numbers."""
    n, rng = len(labels), np.random.default_rng([seed, 1])
    confidence = rng.uniform(0.5, 1, n)
    return build_patterns(
        pattern=rng.normal(size=(n, *shape)),
        labels=labels,
        image_shape=shape,
        confidence=confidence,
        loss=-np.log(confidence),
        n_iter=rng.integers(1, 1000, n),
        prediction=labels,
        stop_reason=["diverged" if i in failed else "max_iter" for i in range(n)],
        success_rate=[0.0 if i in failed else 1.0 for i in range(n)],
        pattern_prediction=labels,
        pattern_confidence=confidence / 2,
        feature_names=names,
        attrs=common_attrs(
            "patterns", parameters={"strategy": {"class": strategy}}, random_state=seed
        ),
    )


def make_contrasts(labels, shape=(1, 6, 6), names=None):
    """Contrasts with made-up numbers."""
    n, rng = len(labels), np.random.default_rng(2)
    images = {
        name: rng.normal(size=(n, *shape))
        for name in ("contrast", "positive_mean", "negative_mean")
    }
    return build_contrasts(
        **images,
        n_positive=rng.integers(5, 50, n),
        n_negative=rng.integers(50, 90, n),
        labels=labels,
        image_shape=shape,
        feature_names=names,
        attrs=common_attrs("contrasts", parameters={"normalize": "minmax"}),
    )


def make_similarities(labels, strategies=None, **extra):
    """Similarities by two metrics, with everything that a comparison can give."""
    n, rng = len(labels), np.random.default_rng(3)
    front = () if strategies is None else (len(strategies),)
    own = ("lower", "upper", "p", "q", "ceiling", "pattern_reliability")
    statistics = {name: rng.uniform(0.001, 1, (*front, 2, n)) for name in own}
    statistics["contrast_reliability"] = rng.uniform(0, 1, (*front, 2, n))
    statistics["rank"] = rng.integers(1, n + 1, (*front, 2, n))
    statistics["hits"] = rng.integers(0, n, (*front, 2))
    statistics["identification_p"] = rng.uniform(0, 1, (*front, 2))
    statistics["hits_p"] = rng.uniform(0, 1, (*front, 2))
    statistics["interval_over"] = np.full((*front, 2), "rows")
    statistics["succeeded"] = np.ones((*front, n), dtype=bool)
    return build_similarities(
        similarity=rng.uniform(-1, 1, (*front, 2, n, n)),
        metrics=["pearson", "angle"],
        metric_units=["1", "degree"],
        higher_is_better=[True, False],
        pattern_labels=labels,
        contrast_labels=labels,
        leading=None if strategies is None else {"strategy": strategies},
        statistics=statistics | extra,
        attrs=common_attrs("similarities", parameters={}, confidence_level=0.9, null="shuffled"),
    )


class Page(html.parser.HTMLParser):
    """The elements of a page, their attributes and their text."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def data_of(report):
    """The JSON that the page's script reads."""
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', report.html, re.DOTALL
    )
    return json.loads(text)


def small(n=3, **kwargs):
    """A report of patterns and contrasts of n classes."""
    labels = np.arange(n)
    return generate_report(make_patterns(labels, **kwargs), make_contrasts(labels))


# ------------------------------------------------------------------------------ numbers


def test_every_number_of_the_page_is_the_datasets():
    """The page's JSON holds the values of the datasets, to the last digit."""
    labels = ["cat", "dog", "eel"]
    patterns = concat_patterns(
        {name: make_patterns(labels, seed=i) for i, name in enumerate(["zero", "noise"])}
    )
    similarities = make_similarities(labels, ["noise", "zero"])
    report = generate_report(similarities, make_contrasts(labels), patterns)
    data, found = data_of(report), report.datasets
    assert data["classes"] == labels
    assert data["sources"] == ["zero", "noise"]
    for s, strategy in enumerate(data["sources"]):
        one = found["patterns"].sel(strategy=strategy)
        assert data["patterns"][s] == {name: one[name].values.tolist() for name in PATTERN}
        for m, metric in enumerate(["pearson", "angle"]):
            same = found["similarities"].sel(strategy=strategy, metric=metric)
            own = data["own"][s][m]
            assert data["matrix"][s][m] == same["similarity"].values.tolist()
            assert own["similarity"] == np.diag(same["similarity"].values).tolist()
            for name in set(OWN) - {"similarity", "share_of_ceiling"}:
                assert own[name] == same[name].values.tolist(), name
            share = np.diag(same["similarity"].values) / same["ceiling"].values
            np.testing.assert_allclose(own["share_of_ceiling"], share)
            for name in ("hits", "hits_p", "identification_p", "interval_over"):
                assert data["summary"][s][m][name] == same[name].item()
    for name in ("n_positive", "n_negative"):
        assert data["contrasts"][name] == found["contrasts"][name].values.tolist()


def test_table_cells_are_the_rounded_values():
    """What stands in the table and the matrix is the JSON's number, rounded."""
    report = generate_report(make_similarities(["a", "b", "c"]))
    own, matrix = data_of(report)["own"][0][0], data_of(report)["matrix"][0][0]
    rows = re.findall(r'<table class="numbers" id="t-0-0">.*?</table>', report.html, re.DOTALL)
    cells = [re.findall(r"<bdi>(.*?)</bdi>", row) for row in rows[0].split("<tr class")[1:]]
    for i, row in enumerate(cells):
        assert row[1] == number(own["similarity"][i])
        assert row[2] == interval(own["lower"][i], own["upper"][i], 3)
        assert row[3] == f"{own['rank'][i]} of 3"
        assert [row[4], row[5]] == [probability(own[n][i]).replace("<", "&lt;") for n in ("p", "q")]
    (table,) = re.findall(
        r'<table class="matrix [^>]*id="m-0-0">.*?</table>', report.html, re.DOTALL
    )
    written = re.findall(r'<td class="k\d+( own)?">(.*?)</td>', table)
    for (is_own, text), (i, j) in zip(written, np.ndindex(3, 3), strict=True):
        assert bool(is_own) == (i == j)
        star = "*" if i == j and own["q"][i] < 0.05 else ""
        assert text == number(matrix[i][j], 2, fixed=True) + star


def test_significance_is_marked_only_with_a_null():
    """A star marks q below .05 at the own class; without q there is neither star nor legend."""
    q = [[0.01, 0.2, np.nan], [0.5, 0.5, 0.5]]
    report = generate_report(make_similarities(["a", "b", "c"], q=q))
    assert len(re.findall(r" own\">[^<]*\*</td>", report.html)) == 1
    assert "* marks q &lt; .05" in report.html
    assert "under the null: <bdi>shuffled</bdi>" in report.html
    without = make_similarities(["a", "b", "c"]).drop_vars(["p", "q"])
    plain = generate_report(without).html
    assert "* marks" not in plain
    assert "*</td>" not in plain
    assert "under the null" not in plain


def test_labels_in_another_order_are_matched_by_name():
    """Results whose classes stand in another order, or lack some, are matched by label."""
    contrasts = make_contrasts([5, 3, 9])
    patterns = make_patterns([9, 5])
    report = generate_report(patterns, contrasts)
    data, similarities = data_of(report), report.datasets["similarities"]
    assert data["classes"] == ["5", "3", "9"]
    assert data["rows"] == [0, 2]
    assert data["columns"] == [0, 1, 2]
    for row, label in zip(data["matrix"][0][0], [5, 9], strict=True):
        for value, other in zip(row, [5, 3, 9], strict=True):
            place = {"metric": "pearson", "pattern_label": label, "contrast_label": other}
            assert value == similarities["similarity"].sel(place).item()
    n_iter = patterns["n_iter"]
    wanted = [n_iter.sel(label=5).item(), None, n_iter.sel(label=9).item()]
    assert data["patterns"][0]["n_iter"] == wanted


def test_similarities_are_computed_with_the_given_metrics_and_seed():
    """Without similarities the page compares by itself, and hands over what it used."""
    patterns, contrasts = make_patterns([0, 1, 2]), make_contrasts([0, 1, 2])
    report = generate_report(contrasts, patterns, metrics=["cosine", "pearson"], random_state=4)
    alone = compare(patterns, contrasts, metrics=["cosine", "pearson"], random_state=4)
    ours = report.datasets["similarities"]
    assert ours.drop_attrs().identical(alone.drop_attrs())
    assert ours.attrs["random_state"] == 4
    assert [m["name"] for m in data_of(report)["metrics"]] == ["cosine", "pearson"]


def test_infinite_and_unknown_numbers_are_json():
    """NaN becomes null, infinity a string: the JSON stays valid, the page says ∞ and -."""
    similarities = make_similarities(["a", "b"])
    similarities["similarity"][0, 0, 0] = np.inf
    similarities["similarity"][0, 1, 1] = np.nan
    report = generate_report(similarities)
    assert data_of(report)["matrix"][0][0][0][0] == "Infinity"
    assert data_of(report)["matrix"][0][0][1][1] is None
    assert ">∞</bdi>" in report.html
    assert 'class="kx own">-' in report.html


# ------------------------------------------------------------------------------ words


def test_headline_says_hits_and_p():
    """The first sentence: how many patterns are nearest to their own class's contrast, and p."""
    hits, p = [[2, 1]], [[9.999e-5, 2e-7]]
    similarities = make_similarities(["a", "b", "c"], ["zero"], hits=hits, identification_p=p)
    texts = " ".join(Page(generate_report(similarities).html).texts)
    own = "patterns are nearest to their own class's contrast"
    assert f"zero: 2 of 3 {own} (identification p = .0001); mean pearson" in texts
    assert f"zero: 1 of 3 {own} (identification p < .0001); mean angle" in texts


def test_headline_counts_what_is_beyond_the_null():
    """With a null, the headline counts q below .05 and names the null; without, it is silent."""
    labels = ["a", "b", "c"]
    similarities = make_similarities(labels).assign_attrs(null="contrasts of shuffled labels")
    similarities["q"] = similarities["q"].copy(data=[[0.01, 0.04, 0.05], [0.5, 0.6, 0.7]])
    page = generate_report(similarities).html
    assert "2 of 3 beyond contrasts of shuffled labels (q &lt; .05)." in page
    assert "0 of 3 beyond contrasts of shuffled labels" in page
    assert "beyond" not in generate_report(similarities.drop_vars(["p", "q"])).html


def test_warnings_name_the_failures():
    """Failed patterns are counted and listed with their stop reason, ten at most."""
    texts = " ".join(Page(small(4, failed=(1, 3)).html).texts)
    assert "zero: 2 of 4 patterns did not reach their class: 1 (diverged), 3 (diverged)." in texts
    many = " ".join(Page(small(15, failed=range(12)).html).texts)
    assert "12 of 15 patterns did not reach" in many
    assert "9 (diverged) and 2 more." in many
    calm = small(4).html
    assert "patterns did not reach" not in calm
    assert "left blank" not in calm


def test_warnings_name_what_inference_lacked():
    """No interval where nothing could be resampled, and what to do about it."""
    texts = " ".join(Page(small().html).texts)
    assert "zero: no interval for pearson, because neither examples nor data rows" in texts
    over = generate_report(make_similarities(["a", "b"], interval_over=["examples, rows"] * 2))
    assert "no interval" not in over.html
    assert over.html.count("The interval resamples adversarial examples and data rows.") == 2


def test_failed_patterns_are_blank_and_marked():
    """A pattern that did not reach its class is not drawn, has no say in the scale, is marked."""
    patterns = make_patterns([0, 1, 2], failed=(1,))
    patterns["pattern"][1] = 1000.0
    report = generate_report(patterns)
    cell = re.search(r'<td id="p-0-1">(.*?)</td>', report.html, re.DOTALL).group(1)
    assert "not reached" in cell
    assert "diverged" in cell
    assert "<img" not in cell
    limit = np.abs(patterns["pattern"].values[[0, 2]]).max()
    assert f"±{number(limit)}<" in report.html
    assert '<tr class="failed"><th scope="row">× <bdi>1</bdi>' in report.html


def test_parameters_versions_and_citations_are_there():
    """Parameters are pretty-printed, versions and seeds listed, BibTeX as in docs/ and CITATION."""
    texts = "\n".join(Page(small().html).texts)
    assert '"strategy": {\n    "class": "Zero"\n  }' in texts
    for name in ("pncviz_version", "numpy_version", "random_state", "created_at"):
        assert name in texts
    bib = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
    entry = re.search(r"@misc\{dough2020,.*?\n\}", bib, re.DOTALL).group(0)
    assert entry in texts
    version = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert f"version = {{{version.group(1)}}}" in texts


def test_title_is_given_or_made():
    """The title is the user's, or says what the page holds."""
    assert Page(small().html).texts.count("Patterns, contrasts and similarities of 3 classes") == 2
    report = generate_report(make_contrasts([0, 1]), title="<b>Mine</b>")
    assert "<title>&lt;b&gt;Mine&lt;/b&gt;</title>" in report.html
    with pytest.raises(ParameterError, match="`title` must be a string, got int"):
        generate_report(make_contrasts([0, 1]), title=3)


@pytest.mark.parametrize(
    "value, text",
    [
        (0.12345, ".123"),
        (-0.5, "−.500"),
        (0.0, "0"),
        (1.0, "1.000"),
        (12.345, "12.35"),
        (1e5, "1e+05"),
    ],
)
def test_numbers_are_short(value, text):
    """Three decimals, no zero in front, a true minus sign."""
    assert number(value) == text


def test_p_is_never_zero():
    """Small p-values are written as a bound."""
    assert [probability(p) for p in (1e-9, 0.0004, 0.04, None)] == ["< .0001", ".0004", ".040", "-"]


# ------------------------------------------------------------------------------ escaping


def hostile_report():
    """Class names, source, metric, feature names and title, all hostile."""
    names = HOSTILE[:3]
    parts = [
        make_patterns(HOSTILE, (3,), strategy=HOSTILE[1], failed=(0, 3), names=names),
        make_patterns(HOSTILE, (3,), strategy=HOSTILE[0], seed=1, names=names),
        make_contrasts(HOSTILE, (3,), names=names),
    ]
    return generate_report(*parts, title=HOSTILE[0])


def test_hostile_names_are_text():
    """Names with markup make no element and no attribute, and are readable as they stand."""
    page = Page(hostile_report().html)
    calm = Page(generate_report(*_calm()).html)
    assert len(page.all("script")) == len(calm.all("script")) == 2
    assert len(page.all("img")) == 0
    known = {name for _, attrs in calm.elements for name in attrs}
    for _, attrs in page.elements:
        assert set(attrs) <= known
        assert not any(name.startswith("on") for name in attrs)
    for name in HOSTILE[:4]:
        assert page.texts.count(name) > 5, name


def _calm():
    labels, names = [f"class {i}" for i in range(len(HOSTILE))], ["a", "b", "c"]
    return [
        make_patterns(labels, (3,), failed=(0, 3), names=names),
        make_patterns(labels, (3,), seed=1, names=names),
        make_contrasts(labels, (3,), names=names),
    ]


def test_control_characters_are_shown_not_obeyed():
    """Terminal codes and text-direction marks come as backslash escapes."""
    page = hostile_report().html
    assert not {"\x1b", "\u202e", "\u2069"} & set(page)
    texts = Page(page).texts
    assert "\\x1b[31mred\\x1b[0m" in texts
    assert "\\u202eabc\\u2069" in texts


def test_labels_are_in_no_id_class_or_address():
    """Ids, classes and addresses are made from places, never from labels."""
    page = generate_report(make_patterns(["zyzzyva", "b"]), make_contrasts(["zyzzyva", "b"])).html
    allowed = {"alt", "aria-label"}
    seen = 0
    for _, attrs in Page(page).elements:
        for name, value in attrs.items():
            if "zyzzyva" in (value or ""):
                assert name in allowed
                seen += 1
    assert seen


def test_json_cannot_end_its_element():
    """The data for the script hold no <, >, &, U+2028 or U+2029, and read back the same."""
    value = {"a": ["</script><!--", "&amp;", "\u2028\u2029", 1.5, None]}
    text = script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_autoescape_is_on_for_the_template_in_use():
    """The environment and the template that make the page escape, whatever its name."""
    environment = page_module._environment()
    assert environment.autoescape is True
    assert environment.from_string("{{ x }}").render(x="<") == "&lt;"
    seen = []
    original = environment.get_template

    class Spy:
        def get_template(self, name):
            seen.append(original(name))
            return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "_environment", Spy)
        small()
    assert [template.name for template in seen] == ["page.html"]
    context = seen[0].new_context({})
    assert context.eval_ctx.autoescape is True


def test_policy_allows_this_style_and_script_only():
    """The page's own policy names the sums of its style and script, and no address."""
    page = small().html
    (policy,) = [m["content"] for m in Page(page).all("meta") if "http-equiv" in m]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL).group(1)
    for text, name in ((style, "style-src"), (script, "script-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert "default-src 'none'; img-src data:;" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
    assert "innerHTML" not in script
    for tag, attrs in Page(page).elements:
        assert "style" not in attrs, tag
        for name in ("src", "href"):
            assert attrs.get(name, "data:").startswith("data:")


# ------------------------------------------------------------------------------ pictures


def pixels(source):
    """The pixels of a PNG in a data address."""
    import io

    from matplotlib.image import imread

    raw = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.round(255 * imread(io.BytesIO(raw))).astype(int)


def test_images_are_native_and_coloured_as_in_the_displays():
    """One PNG per class and source, a pixel per pixel, coloured about zero by the row's limit."""
    import matplotlib

    contrasts = make_contrasts([0, 1])
    images = Page(generate_report(contrasts).html).all("img")
    assert len(images) == 2
    values = contrasts["contrast"].values
    limit = np.abs(values).max()
    for attrs, image in zip(images, values, strict=True):
        assert (attrs["width"], attrs["height"]) == ("6", "6")
        colours = matplotlib.colormaps["RdBu_r"](0.5 + image[0] / (2 * limit), bytes=True)
        np.testing.assert_array_equal(pixels(attrs["src"]), colours)


def test_colour_images_are_half_plus_value():
    """Three channels: 0.5 + value / (2 · limit)."""
    contrasts = make_contrasts([0, 1], (3, 4, 5))
    image = Page(generate_report(contrasts).html).all("img")[1]
    values = contrasts["contrast"].values
    wanted = 255 * (0.5 + np.moveaxis(values[1], 0, -1) / (2 * np.abs(values).max()))
    assert np.abs(pixels(image["src"])[..., :3] - wanted).max() <= 0.5001


def test_large_images_are_shrunk_by_averages_and_the_page_says_so(monkeypatch):
    """Too many pixels: squares are averaged, and the page says at which resolution it draws."""
    monkeypatch.setattr("pncviz.report.pictures._MOST_PIXELS", 20)
    contrasts = make_contrasts([0, 1], (1, 5, 4))
    report = generate_report(contrasts)
    image = Page(report.html).all("img")[0]
    assert (image["width"], image["height"]) == ("2", "3")
    assert "drawn at 1/2 of the resolution" in report.html
    monkeypatch.undo()
    from pncviz.report.pictures import _shrunk

    array = contrasts["contrast"].values[0]
    small_one = _shrunk(array, 2)
    assert small_one.shape == (1, 3, 2)
    np.testing.assert_allclose(small_one[0, 0, 1], array[0, :2, 2:].mean())
    np.testing.assert_allclose(small_one[0, 2, 0], array[0, 4, :2].mean())


def test_tables_are_bars_by_feature_name():
    """Tables get bars with the names and values of the largest features, the same per class."""
    names = [f"feature no {i}" for i in range(30)]
    patterns = make_patterns(["a", "b"], (30,), names=names)
    contrasts = make_contrasts(["a", "b"], (30,), names=names)
    report = generate_report(patterns, contrasts)
    assert not Page(report.html).all("img")
    cells = re.findall(r'<td id="p-(\d)-(\d)">(.*?</table>)', report.html, re.DOTALL)
    shown = {
        (row, place): re.findall(r"<bdi>(.*?)</bdi>.*?class=\"n\">(.*?)</td>", cell)
        for row, place, cell in cells
    }
    values = contrasts["contrast"].sel(label="a").values
    for name, text in shown["0", "0"]:
        assert text == number(values[names.index(name)])
    assert len(shown["0", "0"]) == 20
    assert [name for name, _ in shown["0", "0"]] == [name for name, _ in shown["1", "0"]]
    sizes = [
        np.abs(d.values) / np.abs(d.values).max()
        for d in (contrasts["contrast"], patterns["pattern"])
    ]
    largest = np.argsort(-np.maximum(*sizes)[0])[:20]
    assert {name for name, _ in shown["0", "0"]} == {names[i] for i in largest}
    assert "the 20 largest of 30 features" in report.html


def test_feature_names_of_one_are_names_for_all():
    """A bare net knows no feature names; those of the contrasts are written at its bars too."""
    names = ["width <cm>", "length"]
    contrasts = make_contrasts(["a", "b"], (2,), names=names)
    page = generate_report(make_patterns(["a", "b"], (2,)), contrasts).html
    assert page.count("<bdi>width &lt;cm&gt;</bdi>") == 4
    assert "feature 0" not in page
    assert "<bdi>feature 0</bdi>" in generate_report(make_patterns(["a", "b"], (2,))).html


# ------------------------------------------------------------------------------ what is given


@pytest.mark.parametrize("n", [2, 10, 100])
def test_few_and_many_classes(n):
    """Two, ten and a hundred classes make a page; numbers stay in it even where cells are small."""
    report = small(n)
    page = Page(report.html)
    assert len(page.all("img")) == 2 * n
    assert len(data_of(report)["matrix"][0][0]) == n
    assert len(page.all("option")) == n + 2
    assert len(page.all("button")) == (n if n <= 20 else 0)
    assert len(re.findall(r'<td class="k\d+(?: own)?">[−.\d]', report.html)) == n * n


def test_ten_classes_by_four_sources_stay_small():
    """Ten classes of 28 by 28 pixels and four sources: far below 5 MB."""
    sources = [make_patterns(np.arange(10), (1, 28, 28), seed=i) for i in range(4)]
    report = generate_report(*sources, make_contrasts(np.arange(10), (1, 28, 28)))
    assert data_of(report)["sources"] == ["zero", "zero 2", "zero 3", "zero 4"]
    assert len(report.html.encode()) < 1_000_000


def test_large_images_stay_under_five_megabytes():
    """Ten classes of 3 by 128 by 128 noise and four sources: below 5 MB all the same."""
    shape = (3, 128, 128)
    sources = [make_patterns(np.arange(10), shape, seed=i) for i in range(4)]
    assert len(generate_report(*sources).html.encode()) < 5_000_000


@pytest.mark.parametrize("kind", ["patterns", "contrasts", "similarities"])
def test_one_kind_alone(kind):
    """Each kind alone makes a page with what there is."""
    make = {
        "patterns": make_patterns,
        "contrasts": make_contrasts,
        "similarities": make_similarities,
    }[kind]
    report = generate_report(make(["a", "b"]))
    assert list(report.datasets) == [kind]
    page = Page(report.html)
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert ("choose-source" in ids) == (kind != "contrasts")
    assert ("choose-metric" in ids) == (kind == "similarities")
    assert ("p-0-0" in ids) == (kind != "similarities")
    assert "choose-class" in ids


def test_patterns_are_joined_under_unique_names():
    """Patterns with and without strategies stand side by side; parameters follow their source."""
    first = concat_patterns(
        {"zero": make_patterns(["a", "b"]), "aai": make_patterns(["a", "b"], strategy="AAI")}
    )
    second = make_patterns(["b", "a"], strategy="Zero", seed=5)
    report = generate_report(first, second)
    joined = report.datasets["patterns"]
    assert joined["strategy"].values.tolist() == ["zero", "aai", "zero 2"]
    parameters = json.loads(joined.attrs["parameters"])
    assert parameters["aai"] == {"strategy": {"class": "AAI"}}
    assert parameters["zero 2"] == {"strategy": {"class": "Zero"}}
    xr.testing.assert_equal(
        joined["pattern"].sel(strategy="zero 2", label="b").drop_vars("strategy"),
        second["pattern"].sel(label="b"),
    )


def test_one_strategy_selected_from_several_keeps_its_name():
    """Patterns of one strategy, selected by label, are called by it, alone and beside others."""
    both = concat_patterns({name: make_patterns(["a", "b"]) for name in ("one", "two")})
    picked = both.sel(strategy="two")
    contrasts = make_contrasts(["a", "b"])
    report = generate_report(picked, contrasts)
    assert data_of(report)["sources"] == ["two"]
    assert data_of(generate_report(make_patterns(["a", "b"]), picked))["sources"] == ["zero", "two"]
    again = generate_report(picked, contrasts, report.datasets["similarities"])
    assert data_of(again) == data_of(report)


def test_inputs_are_left_alone():
    """The datasets given are not changed, and single ones are handed back as they are."""
    patterns, contrasts = make_patterns([0, 1]), make_contrasts([0, 1])
    before = patterns.copy(deep=True), contrasts.copy(deep=True)
    report = generate_report(patterns, contrasts)
    assert patterns.identical(before[0])
    assert contrasts.identical(before[1])
    assert report.datasets["patterns"] is patterns


@pytest.mark.parametrize(
    "given, error, message",
    [
        ([], ParameterError, "needs at least one dataset"),
        ([make_contrasts([0, 1])] * 2, ParameterError, "one dataset of contrasts, got 2"),
        ([make_similarities([0, 1])] * 2, ParameterError, "one dataset of similarities, got 2"),
        ([make_patterns([0, 1]), make_contrasts(["0", "1"])], LabelError, "labels of patterns are"),
        ([make_patterns([0, 7]), make_contrasts([0, 1])], LabelError, "contrasts lack 7"),
        ([make_patterns([0, 1]), make_similarities([0, 2])], LabelError, r"\(pattern_label\)"),
        ([make_contrasts([0, 1]), make_similarities([0, 2])], LabelError, r"\(contrast_label\)"),
        (
            [make_patterns([0, 1]), make_similarities([0, 1], ["a"])],
            ParameterError,
            "strategies: a",
        ),
        (
            [make_patterns([0, 1]).expand_dims(seed=2)],
            ParameterError,
            "cannot show patterns along seed",
        ),
        ([make_contrasts([0, 1]).expand_dims(draw=2)], ParameterError, "contrasts along draw"),
        ([3], ResultError, "must be an xarray.Dataset, got int"),
        ([xr.Dataset()], ResultError, "not a pncviz result"),
    ],
)
def test_what_does_not_fit_is_refused(given, error, message):
    """Nothing, two of a kind, other labels, strategies or dimensions: an error that says so."""
    with pytest.raises(error, match=message):
        generate_report(*given)


# ------------------------------------------------------------------------------ the object


def test_save_replaces_whole(tmp_path, monkeypatch):
    """The file is the page; if writing fails, the old file stays and nothing else is left."""
    report, path = small(2), tmp_path / "r.html"
    assert report.save(path) == path
    assert path.read_bytes().decode("utf-8") == report.html
    path.write_text("old")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        report.save(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["r.html"]


def test_save_says_where_it_cannot(tmp_path):
    """A missing folder and a wrong ending are named."""
    with pytest.raises(ResultError, match="no folder"):
        small(2).save(tmp_path / "no" / "r.html")
    with pytest.raises(ParameterError, match=r"must end in \.html"):
        small(2).save(tmp_path / "r.nc")


def test_notebooks_get_a_frame():
    """In a notebook the page is in a frame that may run its script and nothing more."""
    report = hostile_report()
    page = Page(report._repr_html_())
    ((tag, attrs),) = page.elements
    assert tag == "iframe"
    assert attrs["sandbox"] == "allow-scripts"
    assert attrs["srcdoc"] == report.html
    assert isinstance(report, Report)
    assert "<" not in repr(report)


def test_estimators_make_reports(digits, digits_net):
    """Both estimators report on themselves, beside datasets and other fitted estimators."""
    extractor = AdversarialPatternExtractor(digits_net.module_, max_iter=30)
    with pytest.raises(NotFittedError, match="not fitted"):
        extractor.generate_report()
    extractor.fit(digits.X, digits.y)
    pnc = PNCTransformer().fit(digits.X, digits.y)
    with pytest.raises(NotFittedError, match="not fitted"):
        pnc.generate_report(PNCTransformer())
    report = pnc.generate_report(extractor, title="Digits", metrics="cosine")
    assert report.datasets["patterns"] is extractor.patterns_
    assert report.datasets["contrasts"].identical(pnc.contrasts_)
    assert data_of(report)["metrics"][0]["name"] == "cosine"
    assert "<title>Digits</title>" in report.html
    other = extractor.generate_report(pnc.contrasts_)
    assert set(other.datasets) == {"patterns", "contrasts", "similarities"}


def test_needs_no_torch(tmp_path):
    """With torch and skorch blocked, saved results become a page."""
    save(make_patterns(["a", "b"]), tmp_path / "p.nc")
    save(make_contrasts(["a", "b"]), tmp_path / "c.nc")
    script = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'skorch'):\n"
        "            raise ImportError(f'{name} is blocked')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from pncviz import load\n"
        "from pncviz.report import generate_report\n"
        "report = generate_report(load('p.nc'), load('c.nc'))\n"
        "print(report.save('r.html'), 'similarities' in report.datasets)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["r.html", "True"], done.stderr


# ------------------------------------------------------------------------------ the command


def run(*args, cwd, code=0):
    """Run `pncviz report`; give stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "pncviz", "report", *map(str, args)],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with patterns and contrasts."""
    folder = tmp_path_factory.mktemp("report")
    save(make_patterns(["a", "b"]), folder / "p.nc")
    save(make_contrasts(["a", "b"]), folder / "c.nc")
    return folder


def test_command_saves_what_it_computed(folder):
    """`pncviz report` writes the page and, beside it, the similarities that the page shows."""
    out, _ = run(
        "c.nc", "p.nc", "-o", "page.html", "--title", "T", "--metric", "cosine", "--metric",
        "pearson", cwd=folder,
    )  # fmt: skip
    assert "page-similarities.nc" in out
    saved = load(folder / "page-similarities.nc")
    report = Report((folder / "page.html").read_text(encoding="utf-8"), {})
    data = data_of(report)
    assert data["matrix"][0] == saved["similarity"].values.tolist()
    assert "<title>T</title>" in report.html
    run("p.nc", "c.nc", "page-similarities.nc", "-o", "again.html", cwd=folder)
    assert not (folder / "again-similarities.nc").exists()
    again = Report((folder / "again.html").read_text(encoding="utf-8"), {})
    assert data_of(again) == data


@pytest.mark.parametrize(
    "args, code, message",
    [
        (["p.nc"], 2, "Missing option"),
        (["p.nc", "-o", "x.pdf"], 2, "must end in .html"),
        (["p.nc", "-o", "no/x.html"], 1, "cannot be written"),
        (["p.nc", "-o", "x.html", "--metric", "cosine"], 2, "nothing is compared here"),
        (["p.nc", "c.nc", "-o", "x.html", "--metric", "cosin"], 2, "cosine"),
        (["c.nc", "c.nc", "-o", "x.html"], 2, "one dataset of contrasts, got 2"),
        (["gone.nc", "-o", "x.html"], 1, "gone.nc: no such file"),
    ],
)
def test_command_tells_failures_in_one_line(folder, args, code, message):
    """Wrong usage exits with 2, failures with 1; one line, and no file is left."""
    _, err = run(*args, cwd=folder, code=code)
    assert message in err
    assert "Traceback" not in err
    assert not list(folder.glob("x*"))
