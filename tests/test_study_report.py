"""The page about a study: its numbers are the files', what is not there is said, names are text."""

import base64
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from test_report import Page

from pncviz import load
from pncviz.exceptions import ParameterError, ResultError, StudyError
from pncviz.report.numbers import interval, number, probability
from pncviz.study import parse_study, run_study, sections
from pncviz.study.account import failures, missing, state_of
from pncviz.study.folder import Folder
from pncviz.study.plan import make_plan
from pncviz.study.report import StudyReport, study_report

IMAGE, SCRIPT = '"><img src=x onerror=alert(1)>', "<script>alert(1)</script>"
TILES = "tiles <script>alert(1)<b>"  # a dataset's label has no slash
BLANK = "\N{EN DASH}"
FC = {"name": "fc", "as": IMAGE, "params": {"hidden": [8]}}


def study_of(*grids, name="small"):
    """A study of nets that are trained too little, so that some patterns fail."""
    return parse_study(
        {
            "name": name,
            "training": {"max_epochs": 2},
            "extraction": {"max_iter": 2},
            "comparison": {"metrics": ["pearson", "angle"], "n_permutations": 50},
            "grid": [{"architecture": [FC], **grid} for grid in grids],
        }
    )


DATASET = [{"name": "tiling", "as": TILES}]
DONE = (
    {"dataset": DATASET, "seed": [0, 1]},
    {"dataset": DATASET, "strategy": ["noise"], "seed": [1]},
)
ALL = (
    *DONE,
    {"dataset": DATASET, "strategy": ["noise"], "seed": [0, 1, 2]},
    {"dataset": DATASET, "optimizer": ["adam"], "strategy": ["zero", "noise"], "seed": [5]},
    {"dataset": ["overlapping"], "seed": [0, 7]},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three finished cells; a model and a cell that failed; three cells that are missing."""
    out = tmp_path_factory.mktemp("study") / "re sults"
    assert not run_study(study_of(*DONE), out).failed
    plan = make_plan(study_of(*ALL))
    found = Folder(out).existing()
    found.keep_plan(plan)
    noise = cell_of(plan, dataset=DATASET[0]["as"], strategy="noise", optimizer="sgd", seed=0)
    found.fail(plan.items[noise.key], f"ValueError: {SCRIPT}\n\x1b[31m{IMAGE}", f"Trace\n {SCRIPT}")
    model = cell_of(plan, optimizer="adam", strategy="zero").needs["model"]
    found.fail(plan.items[model], "ModelError: it diverged.", "Traceback of the model")
    waits = cell_of(plan, optimizer="adam", strategy="zero")
    found.fail(plan.items[waits.key], "StudyError: its model could not be made.", "Another")
    return out


@pytest.fixture(scope="module")
def report(folder):
    """The page of that folder."""
    return study_report(folder)


def cell_of(plan, **at):
    """The one cell at these labels."""
    (cell,) = [c for c in plan.cells if all(c.at[axis] == label for axis, label in at.items())]
    return cell


def done_cells(folder, **at):
    """The finished cells' files at these labels, in the order of the seeds."""
    found = Folder(folder).existing()
    cells = [c for c in found.plan().cells if state_of(found, c) == "done"]
    chosen = [c for c in cells if all(c.at[axis] == label for axis, label in at.items())]
    return [load(found.path("cell", cell.key)) for cell in chosen]


def table_of(page, name):
    """The rows of the table with this id, each a list of texts."""
    (body,) = re.findall(rf'<table class="numbers" id="{name}">(.*?)</table>', page, re.DOTALL)
    rows = re.findall(r"<tr.*?>(.*?)</tr>", body, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [["".join(Page(cell).texts) for cell in row] for row in cells]


# ------------------------------------------------------------------------------ numbers


def test_counts_are_the_folders(report):
    """Each dataset's cells are counted by what became of them, and all in the headline."""
    head, *rows = table_of(report.html, "counts")
    assert head == ["dataset", "cells", "done", "failed", "missing"]
    assert rows == [
        [TILES, "7", "3", "2", "2"],
        ["overlapping", "2", "0", "0", "2"],
    ]
    assert "3 of 9 cells are finished; 2 failed and 4 missing." in Page(report.html).texts


@pytest.mark.parametrize("place", [1, 2])
def test_table_is_what_the_files_say(report, folder, place):
    """Averages over classes and seeds, worked out here from the cells' files by hand."""
    head, zero, noise, *_ = table_of(report.html, f"t-1-{place}")
    zero, noise = (dict(zip(head, row, strict=True)) for row in (zero, noise))
    files = done_cells(folder, strategy="zero")
    assert len(files) == 2
    metric = ["pearson", "angle"][place - 1]
    own = np.array([np.diag(f["similarity"].sel(metric=metric).values) for f in files])
    assert zero["similarity"] == number(float(own.mean()))
    assert zero["test accuracy"] == number(float(np.mean([f["test_accuracy"] for f in files])))
    assert zero["reached"] == number(float(np.mean([f["succeeded"] for f in files])))
    assert zero["iterations"] == f"{np.median([f['n_iter'] for f in files]):g}"
    hits = [f["hits"].sel(metric=metric).item() for f in files]
    assert zero["hits"] == f"{number(np.mean(hits), 1).removesuffix('.0')} of 4"
    p = max(f["identification_p"].sel(metric=metric).item() for f in files)
    assert zero["p"] == probability(p)
    assert (zero["over"], zero["seeds"]) == ("2 seeds", "2 of 2")
    assert (noise["over"], noise["seeds"]) == ("4 classes", "1 of 3")
    row = report.summary.children[TILES].to_dataset()
    row = row.sel(metric=metric, strategy="noise", optimizer="sgd").squeeze()
    assert noise["95 % interval"] == interval(row["lower"].item(), row["upper"].item(), 3)


def test_direction_of_each_metric_is_stated(report):
    """Of angles the lower are the more alike, and they have units."""
    told = [text.strip() for text in Page(report.html).texts]
    assert told.index("Higher is more alike.") < told.index("Lower is more alike.")
    assert "in degree" in told


def test_nothing_is_zero_where_nothing_was_computed(report):
    """A row of which every cell failed has dashes, and so has a ceiling that cannot be known."""
    head, *rows = table_of(report.html, "t-1-1")
    (row,) = [row for row in rows if row[2] == "adam" and row[3] == "zero"]
    assert row[0] == "× 3"
    assert row[5:] == [BLANK] * (len(head) - 6) + ["0 of 1"]
    # One example, and no rows to split: no noise ceiling.
    assert [r[head.index("share of ceiling")] for r in rows] == [BLANK] * len(rows)
    assert len(rows) == 3  # a combination that is missing is listed as missing
    assert "Nothing of this dataset is finished." in report.html


# ------------------------------------------------------------------------------ what is not there


def test_failures_are_told_once_with_all_that_waits_for_them(report, folder):
    """A model's failure stands for its cells, with message and traceback; another for itself."""
    found = Folder(folder).existing()
    told = failures(found, found.plan())
    assert [one["title"].partition(":")[0] for one in told] == ["cell", "model"]
    waiting = [place["strategy"] for place in told[1]["cells"]]
    assert waiting == ["zero", "noise"]
    page = Page(report.html)
    assert "ModelError: it diverged." in page.texts
    assert "Traceback of the model" in page.texts
    assert not any("its model could not be made" in text for text in page.texts)
    assert f"ValueError: {SCRIPT} \\x1b[31m{IMAGE}" in page.texts
    assert f"Trace\n {SCRIPT}" in page.texts


def test_a_failure_without_details_is_still_told(folder, tmp_path):
    """A failure is told even if its record has lost its title, message and traceback."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    for path in (copy / "failures").iterdir():
        path.write_text('{"at": 1}')
    page = study_report(copy).html
    assert page.count("what it was is not on record") == 2
    assert "<details><summary>traceback" not in page


def test_missing_cells_are_listed(report, folder):
    """Each missing combination stands there once, with its seeds."""
    found = Folder(folder).existing()
    rows = table_of(report.html, "missing")[1:]
    places = [[row[0], row[3], row[5]] for row in rows]
    assert places == [
        [TILES, "noise", "2"],
        [TILES, "noise", "5"],
        ["overlapping", "zero", "0, 7"],
    ]
    assert len(rows) == len(missing(found, found.plan()))


def test_long_lists_say_what_they_leave_out(folder, monkeypatch):
    """Lists are cut, and the page says by how much."""
    from pncviz.study import report as module

    monkeypatch.setattr(module, "MOST_LISTED", {"failures": 1, "missing": 1, "files": 1})
    page = study_report(folder).html
    assert len(table_of(page, "missing")) == len(table_of(page, "files")) == 2
    assert "1 more are not listed here; the folder" in page
    assert page.count("2 more rows are not listed here.") == 1
    assert "2 more are not listed here." in page


def test_a_study_of_which_nothing_is_finished(folder, tmp_path):
    """There is a page even then: it has the failures, but no table, picture or parameters."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "manifest.jsonl").unlink()
    report = study_report(copy)
    assert "0 of 9 cells are finished; 2 failed and 7 missing." in report.html
    assert not report.tree.children
    assert not report.summary.children
    assert "<img" not in report.html
    assert 'id="t-1-1"' not in report.html
    assert "ModelError: it diverged." in report.html


# ------------------------------------------------------------------------------ pictures


class Recorder(sections.PatternDisplay):
    """A display that remembers what it was given."""

    made: list = []  # noqa: RUF012 # emptied by each test

    def __init__(self, sources, **kwargs):
        super().__init__(sources, **kwargs)
        self.made.append(self)


@pytest.fixture
def drawn(monkeypatch):
    """What is given to PatternDisplay, picture by picture."""
    Recorder.made.clear()
    monkeypatch.setattr(sections, "PatternDisplay", Recorder)
    return Recorder.made


def test_picture_has_the_contrasts_and_each_rows_first_finished_seed(folder, drawn):
    """Rows are numbered as in the table; what did not reach its class is marked as such."""
    report = study_report(folder)
    (display,) = drawn  # nothing of the other dataset is finished
    assert list(display.sources) == ["contrast", "1 zero", "2 noise"]
    found = Folder(folder).existing()
    (key,) = [key for key, line in found.manifest.lines.items() if line.kind == "contrast"]
    contrast = load(found.path("contrast", key))["contrast"]
    np.testing.assert_array_equal(display.sources["contrast"], contrast)
    reached = []
    for title, strategy in (("1 zero", "zero"), ("2 noise", "noise")):
        cell = done_cells(folder, strategy=strategy)[0]
        assert cell.attrs["random_state"] == {"zero": 0, "noise": 1}[strategy]
        np.testing.assert_array_equal(display.sources[title], cell["pattern"])
        np.testing.assert_array_equal(display.succeeded[title], cell["succeeded"])
        reached += cell["succeeded"].values.tolist()
    assert {True, False} == set(reached)
    assert "A pattern that did not reach its class is left blank." in report.html
    assert "left out" not in report.html


def test_pictures_are_cut_and_say_so(folder, drawn, monkeypatch):
    """Rows and classes beyond the most are counted."""
    monkeypatch.setattr(sections, "MOST_ROWS", 1)
    monkeypatch.setattr(sections, "MOST_CLASSES", 3)
    page = study_report(folder).html
    assert list(drawn[0].sources) == ["contrast", "1 zero"]
    assert [len(images) for images in drawn[0].sources.values()] == [3, 3]
    assert "1 more row is left out. 1 more class is left out." in page


def test_picture_is_a_png_of_the_stated_shape(report):
    """It stands in the page, with an alternative text that names what its rows are."""
    (image,) = Page(report.html).all("img")
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/png;base64"
    opened = Image.open(io.BytesIO(base64.b64decode(data)))
    shape = int(image["width"]) / int(image["height"])
    assert opened.width / opened.height == pytest.approx(shape, rel=0.02)
    wanted = f"rows: contrast, 1 ({IMAGE}, sgd, zero, gradient_descent), 2 ("
    assert image["alt"].startswith(f"Images of 4 classes of {TILES}, a column each; ")
    assert wanted in image["alt"]


def test_rows_are_named_by_what_differs_if_it_fits():
    """Axes that are the same in all rows are left out, and the longest if there is no room."""
    rows = [
        {"architecture": "fc", "optimizer": o, "strategy": s, "attack": "gradient_descent"}
        for o in ("sgd", "adam")
        for s in ("zero", "noise")
    ]
    assert sections._names(rows) == ["sgd zero", "sgd noise", "adam zero", "adam noise"]
    assert sections._names(rows[:1]) == ["zero"]
    rows[0]["optimizer"] = "a very long name of sgd"
    assert sections._names(rows) == ["zero", "noise", "zero", "noise"]
    assert sections._names([rows[0] | {"strategy": "x" * 40}]) == [""]


# ------------------------------------------------------------------------------ the page itself


def test_hostile_names_are_text(report):
    """Labels and messages with markup make no element, no attribute, and can be read."""
    page = Page(report.html)
    assert not page.all("script")
    assert len(page.all("img")) == 1
    for _, attrs in page.elements:
        assert not any(name.startswith("on") for name in attrs)
    for name in (TILES, IMAGE):
        assert sum(name in text for text in page.texts) > 3
    assert any(SCRIPT in text for text in page.texts)
    assert "\x1b" not in report.html


def test_hostile_title_is_text(folder):
    """So is the title; and it stands both in the tab and on the page."""
    page = study_report(folder, title=f"</title>{IMAGE}").html
    assert len(Page(page).all("img")) == 1
    assert page.count("&lt;/title&gt;&#34;&gt;&lt;img") == 2


def test_page_has_its_structure(report):
    """A language, one h1, headed tables, named boxes that scroll, images in words, unique ids."""
    page = Page(report.html)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("title")) == 1
    assert len(page.all("table")) == 7
    assert {attrs["scope"] for attrs in page.all("th")} == {"row", "col"}
    assert all(attrs["alt"] for attrs in page.all("img"))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {name for _, a in page.elements for name in a.get("aria-labelledby", "").split()}
    assert named <= set(ids)
    links = [attrs["href"] for attrs in page.all("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    for attrs in (a for _, a in page.elements if "scroll" in a.get("class", "").split()):
        assert attrs["tabindex"] == "0"
        assert attrs.get("aria-label") or attrs.get("aria-labelledby")


def test_page_loads_nothing_and_runs_nothing(report):
    """Its policy allows its own style by its sum, its own images, and no script at all."""
    (policy,) = [
        attrs["content"]
        for attrs in Page(report.html).all("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = re.findall(r"<style>(.*?)</style>", report.html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'; img-src data:;" in policy
    assert "script-src 'none'" in policy
    for _, attrs in Page(report.html).elements:
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(("#", "data:"))


def test_how_it_was_made_is_told(report, folder):
    """Versions, seeds, what names stand for, parameters, files and the command."""
    page = Page(report.html)
    found = Folder(folder).existing()
    lines = [line for line in found.manifest.lines.values() if line.kind == "cell"]
    for name, version in lines[0].identity["versions"].items():
        assert page.texts[page.texts.index(name) + 1] == version, name
    assert "0, 1, 2, 5, 7" in page.texts
    assert "pncviz study run small.toml --out 're sults'" in page.texts
    parts = [row[:3] for row in table_of(report.html, "parts")[1:]]
    assert ["architecture", IMAGE, "fc with hidden = [8]"] in parts
    assert ["optimizer", "sgd", "sgd"] in parts
    assert any('"max_epochs": 2' in text for text in page.texts)
    files = [row[0] for row in table_of(report.html, "files")[1:]]
    assert sorted(files) == sorted(line.file for line in lines)


def test_saving_is_whole_or_not_at_all(report, tmp_path):
    """The page is written as it is, to .html only."""
    assert isinstance(report, StudyReport)
    path = report.save(tmp_path / "page.html")
    assert path.read_text(encoding="utf-8") == report.html
    with pytest.raises(ParameterError, match=r"must end in \.html"):
        report.save(tmp_path / "page.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_refusals(folder, tmp_path):
    """No study, another study, a title that is no text: each is said."""
    with pytest.raises(StudyError, match="is not the folder of a study"):
        study_report(tmp_path)
    with pytest.raises(StudyError, match='holds no study "other"; name one of small'):
        study_report(folder, "other")
    with pytest.raises(ParameterError, match="`title` must be a string, got int"):
        study_report(folder, title=3)


def test_damaged_results_make_no_page(folder, tmp_path):
    """Numbers of a file that is not as it was written are not shown."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = next((copy / "cells").glob("*.nc"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ResultError, match="is damaged"):
        study_report(copy)


def test_needs_no_torch(folder, tmp_path):
    """With torch and skorch blocked, a finished folder becomes a page."""
    script = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'skorch'):\n"
        "            raise ImportError(f'{name} is blocked')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from pncviz.study.report import study_report\n"
        "report = study_report(sys.argv[1])\n"
        "print(report.save('r.html'), '3 of 9 cells' in report.html, len(report.tree.children))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["r.html", "True", "2"], done.stderr


@pytest.mark.parametrize("width", [400, 1280])
def test_in_a_browser(report, tmp_path, width):
    """Nothing is loaded, run or complained of, and only boxes in the page scroll sideways."""
    driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    program = next(found, None)
    if program is None:
        pytest.skip("no Chromium here")
    path = report.save(tmp_path / "page.html")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with driver.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=program, args=["--no-sandbox"] if root else []
        )
        page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        told = []
        page.on("request", lambda request: told.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.on("dialog", lambda dialog: (told.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        for summary in page.locator("summary").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("#t-1-1 tbody tr").count() == 3
        browser.close()
    assert [one for one in told if not one.startswith("data:")] == [path.as_uri()]


def test_what_collecting_gives_is_in_the_report(report):
    """The tree holds every dataset, the summary those with something finished."""
    assert isinstance(report.tree, xr.DataTree)
    assert list(report.tree.children)[1] == "overlapping"
    assert list(report.summary.children) == list(report.tree.children)[:1]
