"""The paper's page: its study files, the rules of its verdicts, and that its numbers are found."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.paper import __main__ as command
from benchmarks.paper import between, left_open, page, tables, verdicts
from benchmarks.paper.beside import CLOSE, PAPER, accuracies
from benchmarks.paper.claims import CLAIMS
from benchmarks.paper.results import FULL, MODELS, QUICK, flat, read_results
from benchmarks.paper.verdicts import HOLDS, NOT, PART
from pncviz import load_dataset
from pncviz.study import load_study, run_study
from pncviz.study.config import parse_study

FILES = sorted(path.stem for path in command.STUDIES.glob("*.toml"))
DIGITS = ("quick", "digits")

#: The quick study, smaller still: no pattern is good, but every place of the page has its numbers.
TINY = {
    "name": "quick",
    "comparison": {"metrics": ["pearson", "ssim"], "n_permutations": 200, "n_resamples": 20},
    "grid": [
        {
            "dataset": ["digits"],
            "optimizer": ["sgd", "adam"],
            "architecture": [
                "fc",
                {"name": "cnn", "as": "cnn", "params": {"convolutions": [4], "dense": [8]}},
            ],
            "strategy": ["zero", "noise"],
            "training": {"max_epochs": 3},
            "extraction": {"max_iter": 20},
        },
        {
            "dataset": ["digits"],
            "strategy": [{"name": "aai", "as": "aai", "params": {"n_examples": 4}}],
            "training": {"max_epochs": 3},
            "extraction": {"max_iter": 20},
        },
        {
            "dataset": ["tiling", "overlapping"],
            "architecture": [{"name": "fc", "as": "fc", "params": {"hidden": [20]}}],
            "strategy": ["zero", "noise"],
            "training": {"max_epochs": 60},
            "extraction": {"max_iter": 20},
        },
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished tiny study."""
    out = tmp_path_factory.mktemp("paper") / "results"
    outcome = run_study(parse_study(TINY), out)
    assert not outcome.failed
    return out


@pytest.fixture(scope="module")
def results(folder):
    return read_results(folder, QUICK)


@pytest.fixture(scope="module")
def files(results, tmp_path_factory):
    return page.save_figures(results, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def text(results, files):
    """The tiny study's page."""
    return page.page(results, files)


def _changed(results, dataset, **variables):
    """The same results, but for some variables of one dataset."""
    tree = results.trees["quick"].copy(deep=True)
    tree[dataset] = tree[dataset].to_dataset().assign(variables)
    return dataclasses.replace(results, trees={"quick": tree}, _rows={})


def _part(text, title):
    """What stands below a heading."""
    return re.split(r"^## ", text.split(f"## {title}", 1)[1], maxsplit=1, flags=re.M)[0]


# ------------------------------------------------------------------------------ study files


def _labels(study, axis, dataset=None):
    return {
        getattr(part, "label", part)
        for grid in study.grid
        if dataset is None or dataset in [one.label for one in grid.dataset]
        for part in getattr(grid, axis)
    }


@pytest.mark.parametrize("name", FILES)
def test_study_files_are_valid(name):
    """Every file loads, is named as it says, and a page asks for it."""
    assert load_study(command.STUDIES / f"{name}.toml").name == name
    assert name in FULL.files + QUICK.files


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_table1_trains_all_six_models(dataset):
    """Each of the paper's models is in the grids of each dataset, with both methods."""
    study = load_study(command.STUDIES / "table1.toml")
    found = set()
    for grid in study.grid:
        if dataset in [part.label for part in grid.dataset]:
            assert {part.label for part in grid.strategy} == {"zero", "noise"}
            found |= {(a.label, o.label) for a in grid.architecture for o in grid.optimizer}
    assert found == set(MODELS)


def test_studies_have_the_labels_that_the_page_asks_for():
    """Stops, settings and dummy datasets are called the same in the files and on the page."""
    stops = {label for labels in between.STOPS.values() for label in labels}
    assert _labels(load_study(command.STUDIES / "figure2.toml"), "strategy") == stops
    study = load_study(command.STUDIES / "open.toml")
    for axis in ("attack", "optimizer"):
        asked = {key for _, of, settings in left_open.KNOBS if of == axis for key in settings}
        assert _labels(study, axis) == asked
    study = load_study(command.STUDIES / "figure5.toml")
    assert _labels(study, "dataset") == {place[1] for place in FULL.patches}


def test_the_quick_study_has_what_its_page_asks_for():
    """Models and datasets of the quick page are those of the quick study."""
    study = load_study(command.STUDIES / "quick.toml")
    models = {
        (architecture, optimizer)
        for architecture in _labels(study, "architecture", "digits")
        for optimizer in _labels(study, "optimizer", "digits")
    }
    assert models == set(QUICK.expected)
    assert _labels(study, "dataset") == {"digits", *(place[1] for place in QUICK.patches)}


def test_table1_holds_the_numbers_of_the_paper():
    """Twelve models, as printed: (accuracy, loss)."""
    printed = """.95 .19 .85 .42  .98 .07 .88 .33  .93 .24 .84 .45
                 .99 .05 .92 .24  .99 .03 .92 .22  .98 .06 .92 .25"""
    numbers = np.array(printed.split(), dtype=float).reshape(6, 2, 2)
    for model, row in zip(MODELS, numbers.tolist(), strict=True):
        for dataset, (accuracy, loss) in zip(("mnist", "fashion_mnist"), row, strict=True):
            assert PAPER[(dataset, *model)] == (accuracy, loss)
    assert len(PAPER) == 12


# ------------------------------------------------------------------------------ verdicts

STEPS = ("fc_sgd", "fc_adam", "cnn", "norm")
RULES = {
    "table1": [
        ({"close": 6, "n": 6}, HOLDS),
        ({"close": 5, "n": 6}, PART),
        ({"close": 3, "n": 6}, PART),
        ({"close": 2, "n": 6}, NOT),
    ],
    "methods": [
        ({"mean": 0.90, "most_other": 0.5}, HOLDS),
        ({"mean": 0.89, "most_other": 0.5}, PART),
        ({"mean": 0.70, "most_other": 0.5}, PART),
        ({"mean": 0.69, "most_other": 0.5}, NOT),
        ({"mean": 0.89, "most_other": 0.89}, NOT),
    ],
    "confidence": [
        ({"reached": 1, "least": 0.9, "right": 1, "itself": 0.9}, HOLDS),
        ({"reached": 1, "least": 0.9, "right": 1, "itself": 0.89}, PART),
        ({"reached": 1, "least": 0.9, "right": 0.9, "itself": 0.9}, PART),
        ({"reached": 1, "least": 0.89, "right": 1, "itself": 0.9}, NOT),
        ({"reached": 0.9, "least": 0.9, "right": 1, "itself": 0.9}, NOT),
    ],
    "pace": [({"ratio": 5}, HOLDS), ({"ratio": 4.9}, PART), ({"ratio": 1.9}, NOT)],
    "stops": [
        ({"first": 0.9, "second": 0.9}, HOLDS),
        ({"first": 0.89, "second": 0.9}, PART),
        ({"first": 0.89, "second": 0.89}, NOT),
    ],
    "examples": [
        ({"first": 0.9, "second": 0.9}, HOLDS),
        ({"first": 0.2, "second": 0.9}, PART),
        ({"first": 0.2, "second": 0.89}, NOT),
    ],
    "models": [({"nearest": 0.9}, HOLDS), ({"nearest": 0.89}, PART), ({"nearest": 0.69}, NOT)],
    "clarity": [
        (dict(zip(STEPS, (0.4, 0.3, 0.2, 0.1), strict=True)), HOLDS),
        (dict(zip(STEPS, (0.4, 0.3, np.nan, 0.1), strict=True)), HOLDS),
        (dict(zip(STEPS, (0.4, 0.3, 0.3, 0.1), strict=True)), PART),
        (dict(zip(STEPS, (0.4, 0.3, 0.2, 0.4), strict=True)), NOT),
    ],
    "resemblance": [
        ({"identified": 12, "n": 12, "beyond": 0.5}, HOLDS),
        ({"identified": 12, "n": 12, "beyond": np.nan}, HOLDS),
        ({"identified": 12, "n": 12, "beyond": 0.49}, PART),
        ({"identified": 11, "n": 12, "beyond": 0.5}, PART),
        ({"identified": 6, "n": 12, "beyond": 0.5}, PART),
        ({"identified": 5, "n": 12, "beyond": 0.5}, NOT),
    ],
    "striking": [({"mean": 0.7}, HOLDS), ({"mean": 0.69}, PART), ({"mean": 0.29}, NOT)],
    "unique": [({"shared": 0}, HOLDS), ({"shared": 0.049}, PART), ({"shared": 0.05}, NOT)],
    "blanks": [({"failed": 1}, HOLDS), ({"failed": 0}, NOT)],
    "contrasts of tiling": [({"least": 1.0}, HOLDS), ({"least": 0.9999}, NOT)],
    "contrasts of overlapping": [
        ({"least": 0.6, "most": 0.9}, HOLDS),
        ({"least": 0.6, "most": 1.0}, PART),
        ({"least": 1.0, "most": 1.0}, NOT),
    ],
    "tiling": [({"image": 0.9}, HOLDS), ({"image": 0.89}, PART), ({"image": 0.69}, NOT)],
    "overlapping": [
        ({"image": 0.89, "closer": 0.9}, HOLDS),
        ({"image": 0.90, "closer": 0.9}, PART),
        ({"image": 0.89, "closer": 0.89}, PART),
        ({"image": 0.90, "closer": 0.89}, NOT),
    ],
}
RULES["overlapping corners"] = RULES["overlapping"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_rules_judge_both_sides_of_each_threshold(claim):
    """A verdict follows from numbers by the threshold that the page states."""
    for numbers, level in RULES[claim.key]:
        assert claim.judge(numbers) == level, numbers


def test_a_claim_of_several_cases():
    """All hold, none does, or in part; what was not run is told apart."""
    claim = next(claim for claim in CLAIMS if claim.key == "striking")
    good, bad = {"mean": 0.8}, {"mean": 0.1}
    assert verdicts.verdict(claim, {"a": good, "b": good}) == "holds"
    assert verdicts.verdict(claim, {"a": good, "b": bad}) == "holds in part"
    assert verdicts.verdict(claim, {"a": bad, "b": bad}) == "does not hold"
    assert verdicts.verdict(claim, {"a": good, "b": None}) == "holds (as far as run)"
    short = {**good, "done": 2, "of": 6}
    assert verdicts.verdict(claim, {"a": short}) == "holds (as far as run)"
    assert verdicts.verdict(claim, {"a": None, "b": None}) == "not run"


def test_the_tolerance_of_table1(results):
    """An accuracy counts as the paper's within the tolerance, and not beyond."""
    claim = CLAIMS[0]
    node = results.trees["quick"]["digits"].to_dataset()
    place = ("quick", "mnist")
    layout = dataclasses.replace(QUICK, models=(place,), expected=(("fc", "sgd"),))
    for off, close in ((CLOSE - 0.001, 1), (CLOSE + 0.001, 0)):
        changed = _changed(results, "digits", test_accuracy=node["test_accuracy"] * 0 + 0.95 - off)
        changed.trees["quick"]["mnist"] = changed.trees["quick"]["digits"].to_dataset()
        cases = claim.measure(dataclasses.replace(changed, layout=layout))
        assert cases["MNIST"]["close"] == close


# ------------------------------------------------------------------------------ the numbers


def test_alike_is_one_for_the_same_patterns_and_knows_blanks(results):
    """A cell beside itself has r = 1; a blank pattern is left out, not counted as zero."""
    cell = results.cell(DIGITS, architecture="fc", optimizer="adam")
    cell = cell.assign(succeeded=cell["succeeded"] * 0 + 1)
    told = between.alike([(cell, cell)])
    assert told["mean"] == pytest.approx(1)
    assert told["nearest"] == 1
    assert told["n"] == 10
    r = between.correlations(cell, cell)
    assert told["most_other"] == pytest.approx(r[~np.eye(10, dtype=bool)].max())
    blank = cell.assign(succeeded=cell["succeeded"].where(cell["label"] != 3, 0))
    assert between.alike([(cell, blank)])["n"] == 9
    assert between.alike([]) is None


def test_pixels_that_never_vary_are_those_of_the_samples(results):
    """They are found from the contrasts alone."""
    X = load_dataset("digits").X
    constant = (X.min(axis=0) == X.max(axis=0)).ravel()
    assert constant.any()
    np.testing.assert_array_equal(left_open.masks(results.node(DIGITS))["never"], constant)


def test_noise_in_constant_pixels_is_told_from_the_rest(results):
    """Contrasts plus noise where nothing varies: r = 1 elsewhere, and the energy is the noise's."""
    node = results.node(DIGITS)
    never = left_open.masks(node)["never"].reshape(1, 8, 8)
    noise = np.where(never, 3.0, 0.0)
    pattern = node["pattern"] * 0 + node["contrast"] + noise
    changed = _changed(results, "digits", pattern=pattern)
    told = left_open.pixels(changed, DIGITS, architecture="fc", optimizer="adam")
    assert told["without_never"] == pytest.approx(1)
    assert told["all"] < 0.9
    energy = (noise**2).sum() / ((noise**2).sum() + (flat(node["contrast"]) ** 2).sum(axis=1))
    assert told["energy_never"] == pytest.approx(energy.mean())


def test_tiling_contrasts_equal_their_classes_and_overlapping_ones_do_not(results):
    """What the page says of the contrasts is true of the data."""
    judged = {claim.key: verdicts.verdict(claim, claim.measure(results)) for claim in CLAIMS}
    assert judged["contrasts of tiling"] == "holds"
    assert judged["contrasts of overlapping"] == "holds"
    assert judged["overlapping corners"] == "not run"


# ------------------------------------------------------------------------------ the page


def test_the_page_has_every_part(text):
    """Verdicts first, then each table and each picture; nothing is left to fill in."""
    assert text.index("## Verdicts") < text.index("## Table 1")
    assert text.count("\n| ") > 40
    for claim in CLAIMS:
        assert claim.text in text
        assert claim.rule in text
    for name in ("figure1", "figure3-zero", "figure3-noise", "figure5", "figure6"):
        assert f"(paper-{name}.png)" in text
    assert not re.search(r"\bnan\b|None|\{\{|\{%|—", text)
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    ("variable", "title"),
    [
        ("own_similarity", "Figure 3"),
        ("hits", "Figure 3"),
        ("identification_p", "Figure 3"),
        ("succeeded", "Figure 3"),
        ("confidence", "Figure 1"),
        ("n_iter", "Figure 1"),
        ("test_accuracy", "Table 1"),
        ("test_loss", "Table 1"),
        ("pattern", "What the paper leaves open"),
        ("pattern_confidence", "Verdicts"),
        ("contrast", "What the paper leaves open"),
    ],
)
def test_numbers_on_the_page_are_those_of_the_results(results, files, text, variable, title):
    """Another value in the tree is another page, there where it belongs."""
    node = results.node(DIGITS)
    turned = (
        node[variable][..., ::-1] if variable in ("pattern", "contrast") else node[variable] / 3
    )
    changed = _changed(results, "digits", **{variable: (node[variable].dims, turned.values)})
    assert _part(text, title) != _part(page.page(changed, files), title)


def test_a_number_stands_where_it_was_found(results, text):
    """The row of a model holds its own mean similarity and accuracy."""
    node = results.node(DIGITS).sel(architecture="fc", optimizer="adam", strategy="noise")
    r = float(node["own_similarity"].sel(metric="pearson").mean())
    assert f"| FC, Adam | noise | **{r:.2f}** |" in _part(text, "Figure 3")
    accuracy = float(node["test_accuracy"].squeeze())
    assert f"| digits | FC, Adam | {accuracy:.3f} |" in _part(text, "Table 1")


def test_what_was_not_run_is_told_so_and_never_zero(folder, tmp_path):
    """Without the lines of Adam's cells the page says "not run" there, and which study is short."""
    out = tmp_path / "results"
    shutil.copytree(folder, out)
    manifest = out / "manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"name": "adam"' not in line]
    assert 0 < len(kept) < len(lines)
    manifest.write_text("".join(kept))
    target = tmp_path / "paper.md"
    page.write_page(read_results(out, QUICK), target)
    text = target.read_text()
    assert "**Not all was run;** cells finished: quick " in text
    rows = [line for line in text.splitlines() if line.startswith("| FC, Adam |")]
    assert rows
    for row in rows:
        assert "not run" in row
        assert "0" not in row
    assert "(as far as run)" in _part(text, "Verdicts")


def test_nothing_at_all_is_an_error_not_an_empty_page(tmp_path):
    """A folder without results is refused."""
    with pytest.raises(ValueError, match="is not the folder of a study"):
        read_results(tmp_path, QUICK)


def test_the_command_writes_the_page_and_keeps_how_long_it_took(folder, tmp_path, monkeypatch):
    """The quick command runs what is missing and never writes into docs/."""
    out = tmp_path / "results"
    studies = tmp_path / "studies"
    studies.mkdir()
    (studies / "quick.toml").write_text(
        'name = "quick"\n[training]\nmax_epochs = 1\n[extraction]\nmax_iter = 5\n'
        '[comparison]\nmetrics = ["pearson", "ssim"]\n'
        '[[grid]]\ndataset = ["tiling"]\n'
    )
    monkeypatch.setattr(command, "STUDIES", studies)
    docs = Path(command.ROOT / "docs")
    before = {path: path.stat().st_mtime_ns for path in docs.glob("paper*")}
    given = ["--quick", "--jobs", "1", "--out", str(out), "--page", str(tmp_path / "paper.md")]
    assert command.main(given) == 0
    first = (tmp_path / "paper.md").read_text()
    assert "1 of 1" in first
    assert "the command took" in first
    assert command.main([given[0], *given[3:], "page"]) == 0
    assert (tmp_path / "paper.md").read_text() == first
    assert {path: path.stat().st_mtime_ns for path in docs.glob("paper*")} == before


def test_accuracies_have_a_row_for_each_model(results):
    """Also for those that were not run."""
    full = dataclasses.replace(results, layout=FULL)
    rows = accuracies(full)
    assert [(row["dataset"], *row["model"]) for row in rows] == list(PAPER)
    assert all(row["accuracy"] is None for row in rows)
    assert tables.of_accuracies(full).count("not run") == 12
