"""The report in a real browser: what it loads, what it shows, and what names cannot do."""

import os
import shutil

import numpy as np
import pytest
from test_report import HOSTILE, data_of, make_contrasts, make_patterns

from pncviz.report import generate_report
from pncviz.report.numbers import number

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
if BROWSER is None:
    pytest.skip("no Chromium here", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, started once and closed."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox"] if root else []
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """Open a file in a fresh window; afterwards, nothing may have been loaded or complained of."""
    contexts, told = [], []

    def open_file(path, *, width=1280, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        address = path.as_uri()
        page.on("request", lambda request: told.append(("request", request.url)))
        page.on("console", lambda message: told.append((message.type, message.text)))
        page.on("pageerror", lambda error: told.append(("error", str(error))))
        page.on(
            "dialog", lambda dialog: (told.append(("dialog", dialog.message)), dialog.dismiss())
        )
        page.goto(address)
        allowed = ("request", address)
        open_file.told = lambda: [
            one for one in told if one != allowed and not one[1].startswith("data:")
        ]
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert open_file.told() == []


LABELS = ["ant", "bee", "cat", "dog", "eel"]


@pytest.fixture(scope="module")
def report():
    """Two sources and two metrics; the second source failed at one class."""
    return generate_report(
        make_patterns(LABELS),
        make_patterns(LABELS, strategy="Noise", seed=1, failed=(3,)),
        make_contrasts(LABELS),
        metrics=["pearson", "angle"],
    )


@pytest.fixture(scope="module")
def path(report, tmp_path_factory):
    """The file of that report."""
    return report.save(tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The file of a report whose class names, source, title and features are hostile."""
    parts = [
        make_patterns(HOSTILE, strategy=HOSTILE[1], failed=(0,)),
        make_patterns(HOSTILE, strategy=HOSTILE[0], seed=1),
        make_contrasts(HOSTILE),
    ]
    made = generate_report(*parts, title=HOSTILE[1], metrics=["pearson", "cosine"])
    return made.save(tmp_path_factory.mktemp("hostile") / "report.html")


def numbers(page):
    """The explorer's numbers by their names."""
    names, values = (page.locator(f"#numbers {tag}").all_text_contents() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def shown(page):
    """Which matrices are to be seen, as (source, metric)."""
    panels = page.locator(".panel:has(.matrix):visible")
    return [(p.get_attribute("data-source"), p.get_attribute("data-metric")) for p in panels.all()]


def test_clicking_a_class_shows_it(visit, path, report):
    """A click on a class shows its pictures and its numbers, and says so aloud."""
    page = visit(path)
    data = data_of(report)
    assert page.locator("#told").get_attribute("role") == "status"
    seen = set()
    for i, label in enumerate(LABELS):
        page.get_by_role("button", name=label).click()
        assert page.locator("#told").text_content().startswith(f"Class {label}, zero, pearson:")
        assert numbers(page)["similarity"] == number(data["own"][0][0]["similarity"][i])
        assert numbers(page)["iterations"] == str(data["patterns"][0]["n_iter"][i])
        assert page.locator("button[aria-pressed=true]").all_text_contents() == [label]
        images = page.locator("#large img").all()
        alts = [image.get_attribute("alt") for image in images]
        assert alts == [f"{row} of {label}" for row in ("contrast", "zero", "noise")][: len(alts)]
        seen.add(tuple(image.get_attribute("src") for image in images))
    assert len(seen) == len(LABELS)


def test_pictures_are_large_and_side_by_side(visit, path):
    """Contrast and patterns of a class stand beside each other, enlarged without blur."""
    page = visit(path)
    boxes = [image.bounding_box() for image in page.locator("#large img").all()]
    assert len(boxes) == 3
    assert len({box["y"] for box in boxes}) == 1
    assert all(box["width"] == pytest.approx(box["height"]) for box in boxes)
    assert min(box["width"] for box in boxes) > 120
    rendering = page.locator("#large img").first.evaluate("e => getComputedStyle(e).imageRendering")
    assert rendering == "pixelated"


def test_failed_patterns_are_said_to_have_failed(visit, path):
    """The failed pattern is blank in the explorer, and the sentence says so."""
    page = visit(path)
    page.get_by_role("button", name="dog").click()
    assert page.locator("#large img").count() == 2
    assert "not reached" in page.locator("#large .blank").text_content()
    assert "did not reach" not in page.locator("#told").text_content()
    page.get_by_label("Source").select_option(label="noise")
    assert "the pattern did not reach its class." in page.locator("#told").text_content()


def test_source_and_metric_change_everything(visit, path, report):
    """Source and metric change the explorer, the matrix, the table and the headline."""
    page = visit(path)
    data = data_of(report)
    assert shown(page) == [("0", "0")]
    page.get_by_label("Source").select_option(label="noise")
    page.get_by_label("Metric").select_option(label="angle")
    assert shown(page) == [("1", "1")]
    assert page.locator("table.numbers:visible").get_attribute("id") == "t-1-1"
    assert "mean angle" in page.locator(".headline:visible").inner_text()
    assert "mean pearson" not in page.locator(".headline:visible").inner_text()
    assert numbers(page)["similarity"] == number(data["own"][1][1]["similarity"][0])
    assert page.locator("figure.chosen figcaption").text_content() == "noise (chosen)"
    # Of angles the smallest is the most alike.
    row = data["matrix"][1][1][0]
    wanted = [LABELS[i] for i in np.argsort(row)]
    assert page.locator("#alike bdi").all_text_contents() == wanted
    page.get_by_label("Metric").select_option(label="pearson")
    wanted = [LABELS[i] for i in np.argsort(data["matrix"][1][0][0])[::-1]]
    assert page.locator("#alike bdi").all_text_contents() == wanted


def test_keyboard_alone_is_enough(visit, path):
    """Tab reaches class, source and metric in this order; arrows and Enter choose."""
    page = visit(path)
    for wanted in ("choose-class", "choose-source", "choose-metric"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == wanted
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("ArrowDown")
    assert page.locator("#told").text_content().startswith("Class bee, noise, angle:")
    assert shown(page) == [("1", "1")]
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "cat"
    page.keyboard.press("Enter")
    assert page.locator("#told").text_content().startswith("Class cat, noise, angle:")
    assert page.evaluate("document.activeElement.textContent") == "cat"  # the focus stays


def test_every_scrolling_box_can_be_reached(visit, path):
    """Boxes that scroll take the focus and have a name, so that keys can scroll them."""
    page = visit(path, width=400)
    boxes = page.locator(".scroll")
    assert boxes.count() >= 4
    for box in boxes.all():
        assert box.get_attribute("tabindex") == "0"
        assert box.get_attribute("role") == "region"
        assert box.get_attribute("aria-label") or box.get_attribute("aria-labelledby")


def test_hostile_names_do_nothing(visit, hostile):
    """No dialog, no new element, no handler, whatever is chosen; names are shown as they stand."""
    page = visit(hostile)
    count = "document.querySelectorAll('script, iframe, object, embed, link, form').length"
    before = page.evaluate(count)
    for button in page.locator(".picker button").all():
        button.click()
    for what in ("Source", "Metric"):
        page.get_by_label(what).select_option(index=1)
    for i, label in enumerate(HOSTILE[:4]):
        page.locator(".picker button").nth(i).click()
        assert page.locator(".picker button").nth(i).text_content() == label
        assert page.locator("#told").text_content().startswith(f"Class {label}, ")
    handlers = (
        "[...document.querySelectorAll('*')].filter("
        "e => [...e.attributes].some(a => a.name.startsWith('on'))).length"
    )
    assert page.evaluate(handlers) == 0
    assert page.evaluate(count) == before
    sources = page.evaluate("[...document.images].map(i => i.src.slice(0, 15))")
    assert set(sources) == {"data:image/png;"}
    assert page.title() == HOSTILE[1]


def test_policy_stops_what_escaping_would_miss(browser, path):
    """Were markup to slip in, the page's own policy would still neither load nor run it."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(path.as_uri())
    attempts = (
        "() => { const s = document.createElement('script'); s.text = 'window.ran = 1';"
        " document.body.append(s); }",
        "() => { document.body.innerHTML = '<img src=x onerror=\"window.ran = 1\">'; }",
        "() => { document.body.setAttribute('onclick', 'window.ran = 1'); }",
    )
    for attempt in attempts:
        with pytest.raises(playwright.Error, match=r"Trusted|blocked"):
            page.evaluate(attempt)
    page.locator("h1").click()
    assert page.evaluate("typeof window.ran") == "undefined"
    blocked = page.evaluate(
        "() => fetch('data:text/plain,x').then(() => 'loaded', () => 'blocked')"
    )
    assert blocked == "blocked"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("which", ["path", "hostile", "many", "table"])
def test_never_scrolls_sideways(visit, request, which, width, scheme):
    """At 400 and 1280 px, light and dark, only boxes inside the page scroll sideways."""
    page = visit(request.getfixturevalue(which), width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#choose-class").select_option(index=1)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    beyond = (
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, .strip, pre')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert page.evaluate(beyond) == []


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A hundred classes."""
    labels = np.arange(100)
    made = generate_report(make_patterns(labels), make_contrasts(labels))
    return made.save(tmp_path_factory.mktemp("many") / "report.html")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table with long feature names."""
    names = [f"a rather long name of feature {i}" for i in range(12)]
    made = generate_report(
        make_patterns(LABELS, (12,), names=names), make_contrasts(LABELS, (12,), names=names)
    )
    return made.save(tmp_path_factory.mktemp("table") / "report.html")


def test_small_cells_say_their_number_when_pointed_at(visit, many):
    """With a hundred classes cells have no room for numbers, but say them on request."""
    page = visit(many)
    cell = page.locator("#m-0-0 tbody tr").nth(3).locator("td").nth(5)
    cell.hover()
    assert cell.get_attribute("title") == f"pattern 3, contrast 5: {cell.text_content()}"


def test_bars_are_shown_in_the_explorer(visit, table):
    """Tables show their bars by feature name, side by side."""
    page = visit(table)
    assert page.locator("#large table.bars").count() == 2
    assert page.locator("#large rect").count() == 24
    widths = [rect.bounding_box()["width"] for rect in page.locator("#large rect").all()]
    assert max(widths) > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(visit, path, scheme):
    """Text has a contrast of at least 4.5 with what is behind it (WCAG 2, AA)."""
    page = visit(path, scheme=scheme)
    page.get_by_label("Source").select_option(label="noise")
    pairs = page.evaluate(
        """() => {
          const out = [];
          for (const e of document.querySelectorAll('body *')) {
            const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
            if (!own || !e.getClientRects().length || e.closest('svg')) continue;
            let back = e;
            while (back && getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)')
              back = back.parentElement;
            out.push([getComputedStyle(e).color, getComputedStyle(back).backgroundColor,
                      e.outerHTML.slice(0, 80)]);
          }
          return out;
        }"""
    )
    assert len(pairs) > 100
    for text, back, where in pairs:
        lights = sorted(_luminance(colour) for colour in (text, back))
        assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 4.5, (where, text, back)


def _luminance(colour):
    channels = [int(c) / 255 for c in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_dark_is_dark_and_print_is_light(visit, path):
    """The colour scheme is followed on the screen; paper is white, has no controls, all tables."""
    light, dark = visit(path), visit(path, scheme="dark")
    back = "getComputedStyle(document.body).backgroundColor"
    assert _luminance(light.evaluate(back)) > 0.9
    assert _luminance(dark.evaluate(back)) < 0.02
    dark.emulate_media(media="print")
    assert dark.evaluate(back) == "rgb(255, 255, 255)"
    assert not dark.locator("#bar").is_visible()
    assert not dark.locator(".picker").is_visible()
    assert dark.locator("table.numbers:visible").count() == 4
    assert dark.locator("table.matrix:visible").count() == 4


def test_without_javascript_everything_is_there(visit, path):
    """Without scripts there are no dead controls, and all tables can be read."""
    page = visit(path, java_script_enabled=False)
    assert not page.locator("#bar").is_visible()
    assert not page.locator("#explorer").is_visible()
    assert page.locator("table.numbers:visible").count() == 4
    assert page.locator("table.matrix:visible").count() == 4
    assert page.locator(".headline:visible").count() == 2
    assert page.locator(".gallery img:visible").count() == 14


def test_notebook_frame_works(visit, report, tmp_path):
    """In a notebook's frame the page works, and the notebook's styles do not reach it."""
    notebook = tmp_path / "notebook.html"
    style = "<style>* { color: rgb(0, 255, 0) !important }</style>"
    notebook.write_text(
        f"<!doctype html><meta charset=utf-8><link rel=icon href='data:,'>{style}"
        + report._repr_html_(),
        encoding="utf-8",
    )
    page = visit(notebook)
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="cat").click()
    assert frame.locator("#told").text_content().startswith("Class cat, zero, pearson:")
    colour = frame.locator("h1").evaluate("e => getComputedStyle(e).color")
    assert colour != "rgb(0, 255, 0)"
