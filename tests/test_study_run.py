"""Running a study, collecting it, averaging it."""

import re

import numpy as np
import pytest
import xarray as xr
from study_small import FC, Plugin, moody, study

from pncviz import compare, load, load_dataset, positive_negative_contrast, register
from pncviz.exceptions import ParameterError, PncvizError, ResultError, StudyError
from pncviz.registry import default_registry
from pncviz.study import (
    collect_study,
    run_study,
    save_tree,
    similarities_of,
    study_status,
    summarize_study,
    verify_study,
)
from pncviz.study.engine import Engine, ProcessDiedError
from pncviz.study.folder import Folder
from pncviz.study.identity import forget_data
from pncviz.study.plan import make_plan
from pncviz.study.runner import Runner
from pncviz.study.tables import grouped, rows_of
from pncviz.study.work import Answer, work

WITHIN = ("architecture", "optimizer", "strategy", "attack", "seed")
#: Two datasets; tiling has two strategies, of which noise has one seed only.
GRIDS = (
    {"dataset": ["tiling", "overlapping"], "seed": [0, 1]},
    {"dataset": ["tiling"], "strategy": ["noise"], "seed": [1]},
    {
        "dataset": ["tiling"],
        "strategy": [{"name": "aai", "as": "aai", "params": {"n_examples": 4}}],
        "seed": [0],
    },
)
MORE = {"comparison": {"metrics": ["pearson", "psnr"], "null": "label_shuffled", "n_draws": 30}}


@pytest.fixture
def plugins():
    """Strategies and architectures of the tests, in a registry that ends with the test."""
    default_registry.cache_clear()
    register(Plugin(), "tests")
    yield
    default_registry.cache_clear()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Six cells on two datasets, done; not to be changed."""
    out = tmp_path_factory.mktemp("run") / "out"
    assert not run_study(study(*GRIDS, **MORE), out).failed
    return out


@pytest.fixture(scope="module")
def tree(finished):
    """The six cells, collected."""
    return collect_study(finished)


# ------------------------------------------------------------------------------- running


def test_a_second_run_does_nothing(finished):
    """What is finished is reused, and its files stay as they are."""
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.nc")}
    seen = []
    outcome = run_study(study(*GRIDS, **MORE), finished, progress=seen.append)
    assert (outcome.n_cells, outcome.reused, outcome.done, outcome.computed) == (6, 6, 6, 0)
    assert outcome.reasons == outcome.failed == {}
    assert seen == []
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*.nc")} == before


def test_progress_counts_to_the_end(tmp_path):
    """Every item is told once, models and contrasts before cells; the time left ends at nothing."""
    seen = []
    run_study(study({"strategy": ["zero", "noise"]}), tmp_path / "out", progress=seen.append)
    assert [p.done for p in seen] == [1, 2, 3, 4]
    assert {p.total for p in seen} == {4}
    assert [p.item.kind == "cell" for p in seen] == [False, False, True, True]
    assert {p.state for p in seen} == {"done"}
    assert seen[0].seconds_left is None
    assert seen[2].seconds_left > seen[3].seconds_left == 0


def test_more_of_the_same_computes_only_what_is_new(tmp_path):
    """A longer grid reuses its old cells, whose settings did not change, and says "new" of others.

    That another cell of the same parts with other parameters is finished is no reason for a cell.
    """
    out = tmp_path / "out"
    run_study(study(), out)
    scaled = {"name": "zero", "as": "again"}
    noisy = {"name": "noise", "params": {"scale": 0.5}}
    run_study(study({"strategy": ["zero", "noise"]}), out)
    outcome = run_study(study({"strategy": ["zero", "noise", noisy, scaled]}), out)
    assert (outcome.n_cells, outcome.reused, outcome.computed, outcome.done) == (4, 3, 1, 4)
    assert list(outcome.reasons.values()) == ["new"]


def test_another_study_of_the_folder_is_no_reason(tmp_path):
    """Settings of another study in the same folder are not "changed" ones; what fits is shared."""
    out = tmp_path / "out"
    run_study(study(), out)
    outcome = run_study(study(extraction={"max_iter": 4}, name="second"), out)
    assert (outcome.computed, outcome.reused) == (1, 0)
    assert list(outcome.reasons.values()) == ["new"]
    assert [status.study for status in study_status(out)] == ["second", "small"]


@pytest.mark.parametrize(
    "more, why",
    [
        ({"extraction": {"max_iter": 4}}, "changed: extraction.max_iter 5 → 4"),
        ({"training": {"max_epochs": 3}}, "changed: training.max_epochs 2 → 3"),
        (
            {"comparison": {"n_permutations": 9, "n_resamples": 9, "confidence_level": 0.9}},
            "changed: comparison.confidence_level 0.95 → 0.9, comparison.n_permutations 50 → 9, "
            "comparison.n_resamples 20 → 9",
        ),
    ],
)
def test_changed_settings_are_the_reason(tmp_path, more, why):
    """A cell whose settings changed is done again, and each setting is named."""
    out = tmp_path / "out"
    run_study(study(), out)
    changed = study(**more)
    folder = Folder(out).existing()
    folder.keep_plan(make_plan(changed))  # as if a run with them had been interrupted
    outcome = run_study(changed, out)
    assert list(outcome.reasons.values()) == [why]
    assert outcome.done == 1


def test_changed_data_are_the_reason(tmp_path):
    """Data that change under the same name are noticed, also by a process that has read them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 5)).astype(np.float32)
    y = np.repeat(["cat", "dog", "eel"], 4)
    file, out = tmp_path / "data.npz", tmp_path / "out"
    np.savez(file, X=X, y=y)
    table = {"dataset": [{"name": "npz", "as": "mine", "params": {"file": str(file)}}]}
    assert run_study(study(table), out).computed == 3
    assert run_study(study(table), out).reused == 1
    X[0, 0] += 1
    np.savez(file, X=X, y=y)
    outcome = run_study(study(table), out)
    assert list(outcome.reasons.values()) == ["changed: the data"]
    assert outcome.computed == 3


def test_data_that_change_after_planning_are_not_used(tmp_path):
    """No result is filed under the sum of data that it was not made of."""
    file, out = tmp_path / "data.npz", tmp_path / "out"
    y = np.repeat([0, 1], 3)
    np.savez(file, X=np.eye(6), y=y)
    table = {"dataset": [{"name": "npz", "as": "mine", "params": {"file": str(file)}}]}
    plan = make_plan(study(table))
    np.savez(file, X=np.eye(6) * 2, y=y)
    forget_data()
    Folder(out).create()
    answers = [work(str(out), item) for item in plan.items.values() if not item.needs]
    assert {answer.state for answer in answers} == {"failed"}
    assert "npz changed while the study ran" in answers[0].message


def test_changed_versions_are_the_reason(tmp_path, monkeypatch):
    """Another numpy makes other cells, and says so."""
    import pncviz.study.identity as module

    out, usual = tmp_path / "out", module._version
    run_study(study(), out)
    monkeypatch.setattr(module, "_version", lambda name: "9.9" if name == "scipy" else usual(name))
    (why,) = run_study(study(), out).reasons.values()
    assert re.fullmatch(r"changed: versions\.scipy \S+ → 9\.9", why)


@pytest.mark.parametrize(
    "grid, error, told",
    [
        ({"dataset": ["tilng"]}, PncvizError, 'Did you mean "tiling"'),
        ({"architecture": ["fcc"]}, PncvizError, 'Did you mean "fc"'),
        ({"optimizer": ["sgdd"]}, StudyError, "`optimizer` must be one of sgd, adam, got 'sgdd'"),
        ({"strategy": ["zreo"]}, PncvizError, 'Did you mean "zero"'),
        ({"attack": ["gradient"]}, PncvizError, "gradient_descent"),
        ({"comparison": {"metrics": ["pearsn"]}}, PncvizError, 'Did you mean "pearson"'),
        ({"optimizer": [{"name": "sgd", "params": {"lr": -1}}]}, StudyError, "learning rate: -1"),
        ({"optimizer": [{"name": "sgd", "params": {"rl": 1}}]}, StudyError, "no parameter `rl`"),
        ({"architecture": [{"name": "fc", "params": {"hiden": [3]}}]}, StudyError, "`hidden`"),
        ({"architecture": [{"name": "fc", "params": {"hidden": 3}}]}, StudyError, "TypeError"),
        ({"strategy": [{"name": "noise", "params": {"scal": 1}}]}, StudyError, "mean `scale`"),
        ({"strategy": [{"name": "noise", "params": {"scale": -1}}]}, StudyError, "got -1"),
        ({"attack": [{"name": "gradient_descent", "params": {"loss": "x"}}]}, StudyError, "`loss`"),
        ({"training": {"device": "gpuu"}}, StudyError, "gpuu"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_made(tmp_path, grid, error, told):
    """A part or parameter that cannot be is told, with its cell or model, and no folder is left."""
    with pytest.raises(error, match=re.escape(told)):
        run_study(study(grid), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "more, told",
    [
        ({"n_jobs": 0}, "`n_jobs` must be a positive integer or -1, got 0"),
        ({"n_jobs": True}, "got True"),
        ({"backend": "daks"}, "`backend` must be one of loky, dask, got 'daks'"),
        ({"scheduler": "tcp://a:1"}, '`scheduler` is for backend="dask"'),
    ],
)
def test_what_is_wrong_with_the_engine_is_found_first(tmp_path, more, told):
    """Numbers of jobs, backends and schedulers are checked before the data are read."""
    with pytest.raises(ParameterError, match=re.escape(told)):
        run_study(study(), tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_settings_at_their_least_work(tmp_path):
    """One draw, one permutation, no resample and no block is still a study."""
    least = {"n_permutations": 1, "n_resamples": 0, "null": "label_shuffled", "n_draws": 1}
    found = study(comparison=least, extraction={"max_iter": 1, "n_blocks": 0})
    outcome = run_study(found, tmp_path / "out")
    assert (outcome.failed, outcome.done) == ({}, 1)


# ------------------------------------------------------------------------------- failing


@pytest.mark.parametrize("exits, kind", [(False, "OSError"), (True, "SystemExit")])
def test_a_failing_cell_stops_no_other(tmp_path, plugins, exits, kind):
    """It keeps its traceback, the others are done, and another run does it, and forgets."""
    file, out = tmp_path / "there", tmp_path / "out"
    file.write_text("")
    failing = study(moody(file, exits=exits))
    outcome = run_study(failing, out)
    assert (outcome.done, outcome.n_cells, outcome.computed) == (1, 2, 3)
    ((title, message),) = outcome.failed.items()
    assert re.match(r"cell: tiling, fc.*, sgd, moody.*, gradient-descent, seed 0 \(", title)
    assert kind in message
    folder = Folder(out).existing()
    key = re.search(r"\((\w+)\)$", title)[1]
    trace = folder.failure(key)["traceback"]
    assert "in start" in trace
    assert kind in trace
    status = study_status(out)[0]
    assert (status.done, status.failed, status.missing) == (1, 1, 0)
    assert verify_study(out) == []
    again = run_study(failing, out)
    assert list(again.reasons.values()) == [f"failed before: {message}"]
    assert len(again.failed) == 1
    file.unlink()
    last = run_study(failing, out)
    assert (last.done, last.computed, last.reused, last.failed) == (2, 1, 1, {})
    assert folder.failure(key) is None
    assert (study_status(out)[0].failures, study_status(out)[0].failed) == ({}, 0)


@pytest.mark.parametrize("exits, kind", [(False, "ArithmeticError"), (True, "SystemExit")])
def test_a_failing_model_is_named_by_its_cells(tmp_path, plugins, exits, kind):
    """Its cells fail with a message that names it and says why; those of other models are done."""
    balky = {"name": "balky", "params": {"exits": exits}}
    grid = {"architecture": [FC, balky], "strategy": ["zero", "noise"]}
    outcome = run_study(study(grid), tmp_path / "out")
    assert outcome.done == 2
    models = {t: m for t, m in outcome.failed.items() if t.startswith("model")}
    cells = {t: m for t, m in outcome.failed.items() if t.startswith("cell")}
    ((title, message),) = models.items()
    assert "balky" in title
    assert message == f"{kind}: no training today"
    key = re.search(r"\((\w+)\)$", title)[1]
    assert len(cells) == 2
    for told in cells.values():
        assert f"Its model {key} could not be made: {message}" in told


def test_training_that_diverges_fails(tmp_path):
    """Weights that are not finite are no model: the message says what to do."""
    grid = {"optimizer": [{"name": "sgd", "as": "sgd", "params": {"lr": 1e20}}]}
    outcome = run_study(study(grid), tmp_path / "out")
    assert outcome.done == 0
    told = " ".join(outcome.failed.values())
    assert re.search(r"Training diverged: \S+ is no longer finite; use a smaller lr", told)
    assert not list((tmp_path / "out" / "models").glob("*.safetensors"))


def test_a_process_that_dies_is_blamed_on_its_own_item(tmp_path):
    """Of items done apart, the one whose process died fails, not one that is busy elsewhere."""
    plan = make_plan(study({"seed": [0, 1, 2]}))
    models = [item for item in plan.items.values() if item.kind == "model"]
    busy, killer, _ = models
    looks = []

    class Fake:
        n_jobs = 1

        def answers(self, items, *, apart=False):
            looks.append(apart)
            for item in items:
                if item is busy and len(looks) < 4:
                    yield Answer(item.key, "busy")
                elif item is killer:
                    error = ProcessDiedError("killed")
                    error.item = item if apart else None
                    raise error
                else:
                    yield Answer(item.key, "done")

    runner = Runner(Folder(tmp_path / "out").create(), Fake(), models, None)
    runner.wave(models)
    assert runner.without == {killer.key}
    assert runner.computed == 2
    assert looks == [False, True, False, False]
    assert "killed" in next(iter(runner.failed.values()))


def test_an_item_apart_is_known_when_its_process_dies(tmp_path, monkeypatch):
    """With a process of its own, an item whose process is killed is known by name."""
    engine = Engine(tmp_path, n_jobs=2)
    items = [i for i in make_plan(study({"seed": [0, 1]})).items.values() if i.kind == "model"]

    def pool(self, some, width):
        assert (len(some), width) == (1, 2)
        if some[0] is items[1]:
            raise ProcessDiedError("killed")
        yield Answer(some[0].key, "done")

    monkeypatch.setattr(Engine, "_pool", pool)
    answers = engine.answers(items, apart=True)
    assert next(answers).key == items[0].key
    with pytest.raises(ProcessDiedError, match="killed") as caught:
        next(answers)
    assert caught.value.item is items[1]


def test_what_another_runner_is_at_is_waited_for(tmp_path):
    """A claimed item is left to its holder; once it is finished, it is there, and not redone."""
    plan = make_plan(study())
    (model,) = (item for item in plan.items.values() if item.kind == "model")
    folder = Folder(tmp_path / "out").create()
    with folder.claimed(model.key):
        assert work(str(folder.root), model).state == "busy"
    assert not folder.path("model", model.key).exists()
    assert work(str(folder.root), model).state == "done"
    assert work(str(folder.root), model).state == "there"
    looks = []

    class Slow:
        n_jobs = 1

        def answers(self, items, *, apart=False):
            looks.append(len(items))
            for item in items:
                yield Answer(item.key, "busy") if len(looks) < 3 else work(str(folder.root), item)

    runner = Runner(folder, Slow(), [model], None)
    runner.wave([model])
    assert (looks, runner.computed, runner.failed) == ([1, 1, 1], 0, {})


def test_equal_cells_by_two_names_are_one_piece_of_work(tmp_path):
    """Two labels of one thing are two cells of one file, and both count."""
    grid = {"strategy": ["zero", {"name": "zero", "as": "nought"}]}
    first = run_study(study(grid), tmp_path / "out")
    assert (first.n_cells, first.computed, first.reused, first.done) == (2, 3, 0, 2)
    again = run_study(study(grid), tmp_path / "out")
    assert (again.reused, again.done) == (2, 2)
    node = collect_study(tmp_path / "out")["tiling"]
    assert (node["pattern"].sel(strategy="zero") == node["pattern"].sel(strategy="nought")).all()


# ---------------------------------------------------------------------------- collecting


def cells_of(out):
    """Give (place, cell) of every finished cell."""
    folder = Folder(out).existing()
    for cell in folder.plan().cells:
        yield cell.at, load(folder.path("cell", cell.key))


def test_every_cell_stands_in_its_place(finished, tree):
    """Each number of each cell's file stands where its labels say, with its dimensions behind."""
    n = 0
    for at, cell in cells_of(finished):
        node = tree[at["dataset"]].to_dataset().sel({axis: at[axis] for axis in WITHIN})
        assert node["state"] == "done"
        for name in ("pattern", "n_iter", "succeeded", "similarity", "p", "test_accuracy"):
            if name in cell:
                n += 1
                np.testing.assert_array_equal(node[name].values, cell[name].values)
                assert node[name].dims == cell[name].dims
        assert (node["stop_reason"].values == cell["stop_reason"].values).all()
    assert n >= 30


def test_blanks_are_not_zero(tree):
    """Where there is no cell, numbers are NaN and texts empty; the kinds of numbers stay."""
    node = tree["tiling"].to_dataset()
    states = node["state"].squeeze(("architecture", "optimizer", "attack"))
    assert states.transpose("strategy", "seed").values.tolist() == [
        ["done", "done"],
        ["none", "done"],
        ["done", "none"],
    ]
    blank = node.sel(strategy="noise", seed=0)
    for name, array in blank.data_vars.items():
        if set(WITHIN) <= {*node[name].dims} and name != "state":
            values = array.values
            assert (values == "").all() if values.dtype.kind == "U" else np.isnan(values).all(), (
                name
            )
    assert node["pattern"].dtype == np.float32
    assert node["n_iter"].dtype == node["succeeded"].dtype == np.float64
    assert node["stop_reason"].dtype.kind == node["state"].dtype.kind == "U"
    assert node["seed"].dtype == np.int64
    assert node["label"].values.tolist() == [0, 1, 2, 3]


def test_the_contrasts_stand_beside(tree):
    """The contrast in a node is that of its dataset."""
    for name in ("tiling", "overlapping"):
        data = load_dataset(name)
        wanted = positive_negative_contrast(data.X, data.y, normalize="minmax")
        np.testing.assert_array_equal(tree[name]["contrast"], wanted["contrast"])


def test_own_similarities_are_the_diagonal(tree):
    """own_similarity is what similarity says of a pattern and its own class."""
    node = tree["tiling"].to_dataset()
    diagonal = np.einsum("...ii->...i", node["similarity"].values)
    np.testing.assert_array_equal(node["own_similarity"].values, diagonal)


def test_failed_and_missing_cells_are_told_apart(tmp_path, plugins):
    """A failed cell is not a missing one, and neither is a number."""
    file, out = tmp_path / "there", tmp_path / "out"
    file.write_text("")
    run_study(study(moody(file)), out)
    Folder(out).keep_plan(make_plan(study(moody(file) | {"seed": [0, 1]})))
    node = collect_study(out)["tiling"].to_dataset()
    states = node["state"].squeeze(("architecture", "optimizer", "attack"))
    wanted = {("zero", 0): "done", ("moody", 0): "failed", ("zero", 1): "missing"}
    for (strategy, seed), state in wanted.items():
        assert states.sel(strategy=strategy, seed=seed) == state
        assert np.isnan(node["confidence"].sel(strategy=strategy, seed=seed)).all() == (
            state != "done"
        )
    table = summarize_study(collect_study(out))["tiling"].to_dataset()
    assert table["n_failed"].sel(strategy="moody") == 1
    assert np.isnan(table["similarity"].sel(strategy="moody")).all()


def test_collected_studies_come_back_from_a_file(tree, tmp_path):
    """Xarray reads back the same tree, with its attributes and empty texts."""
    path = save_tree(tree, tmp_path / "all.nc")
    with xr.open_datatree(path) as found:
        assert found.attrs == tree.attrs
        assert set(found) == set(tree) == {"tiling", "overlapping"}
        for name in tree:
            xr.testing.assert_identical(found[name].to_dataset().load(), tree[name].to_dataset())


def test_odd_labels_come_back_from_a_file(tmp_path):
    """Labels that would hurt a page or a terminal survive the file."""
    labels = ["s<script>alert(1)<", "a$\\frac{$ = é漢", "1=1+1", "a.b [x]"]
    parts = [{"name": "tiling", "as": label} for label in labels]
    odd = study({"dataset": parts, "architecture": [FC | {"as": '"><img onerror=x>'}]})
    assert run_study(odd, tmp_path / "out").done == 4
    tree = collect_study(tmp_path / "out")
    with xr.open_datatree(save_tree(tree, tmp_path / "all.nc")) as found:
        assert list(found) == labels
        for name in labels:
            xr.testing.assert_identical(found[name].to_dataset().load(), tree[name].to_dataset())


@pytest.mark.parametrize("path, told", [("a.txt", "must end in .nc"), ("no/a.nc", "no folder")])
def test_trees_are_not_saved_just_anywhere(tree, tmp_path, path, told):
    """The file must be a .nc in a folder that is there."""
    with pytest.raises(ResultError, match=told):
        save_tree(tree, tmp_path / path)


def test_nothing_finished_is_nothing_to_collect(tmp_path):
    """A folder without results says to run first; a foreign one is refused."""
    folder = Folder(tmp_path / "out").create()
    folder.keep_plan(make_plan(study()))
    with pytest.raises(StudyError, match="Nothing of small is finished"):
        collect_study(tmp_path / "out")
    with pytest.raises(StudyError, match="is not the folder of a study"):
        collect_study(tmp_path)


@pytest.mark.parametrize("place", ["cells", "contrasts"])
def test_damage_is_told_when_collecting_and_healed_by_running(tmp_path, place):
    """No damaged number is collected; running the study again heals it."""
    out = tmp_path / "out"
    run_study(study(), out)
    (path,) = (out / place).glob("*.nc")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ResultError, match=path.name):
        collect_study(out)
    assert run_study(study(), out).computed == 1
    assert collect_study(out)["tiling"]["state"].item() == "done"


def test_datasets_with_other_classes_do_not_mix(tmp_path):
    """Under one label two datasets with other classes are refused when they are collected."""
    file = tmp_path / "data.npz"
    np.savez(file, X=np.eye(4, 36).reshape(4, 6, 6), y=[0, 1, 2, 7])
    other = {"dataset": [{"name": "npz", "as": "tiling", "params": {"file": str(file)}}]}
    out = tmp_path / "out"
    assert run_study(study({}, other | {"seed": [1]}), out).done == 2
    with pytest.raises(StudyError, match="differ in `label`"):
        collect_study(out)


def test_tables_with_string_labels_and_no_test_samples(tmp_path):
    """Rows without an image shape, names as labels, and nothing to test on: still a study."""
    rng = np.random.default_rng(1)
    y = np.repeat(["cat", "dog", "<b>"], 4)
    file, out = tmp_path / "data.npz", tmp_path / "out"
    np.savez(file, X=rng.normal(size=(12, 5)), y=y)
    mine = {"name": "npz", "as": "mine", "params": {"file": str(file)}}
    outcome = run_study(study({"dataset": [mine], "strategy": ["zero", "noise"]}), out)
    assert (outcome.failed, outcome.done) == ({}, 2)
    tree = collect_study(out)
    node = tree["mine"].to_dataset()
    assert node["label"].values.tolist() == ["<b>", "cat", "dog"]
    assert node["pattern"].dims == (*WITHIN, "label", "feature")
    assert "test_accuracy" not in node
    assert np.isfinite(node["train_loss"]).all()
    table = summarize_study(tree)["mine"].to_dataset()
    assert "test_accuracy" not in table
    with xr.open_datatree(save_tree(tree, tmp_path / "all.nc")) as found:
        xr.testing.assert_identical(found["mine"].to_dataset().load(), node)


# -------------------------------------------------------------------- cells and averages


def test_a_cell_holds_what_compare_gave(finished):
    """The similarities in a cell are those that compare gives for its patterns, attributes too."""
    folder = Folder(finished).existing()
    for at, cell in cells_of(finished):
        if at["dataset"] == "tiling":
            key = next(c for c in folder.plan().cells if c.at == at)
            null = load(folder.path("null", key.needs["null"]))
            contrasts = load(folder.path("contrast", key.needs["contrast"]))
            patterns = cell.drop_vars(
                [n for n, v in cell.variables.items() if {"metric", "contrast_label"} & {*v.dims}]
            )
            wanted = compare(
                patterns,
                contrasts,
                metrics=["pearson", "psnr"],
                null=null,
                n_permutations=50,
                n_resamples=20,
                random_state=at["seed"],
            )
            found = similarities_of(cell)
            for result in (found, wanted):
                result.attrs.pop("created_at")
            xr.testing.assert_identical(found[sorted(found)], wanted[sorted(wanted)])


def test_only_cells_have_similarities(finished):
    """Contrasts are no cell."""
    folder = Folder(finished).existing()
    path = next((folder.root / "contrasts").glob("*.nc"))
    with pytest.raises(ResultError, match="kind"):
        similarities_of(load(path))


def test_averages_are_the_plain_ones(finished, tree):
    """Each number of the table is what one loop over the cells' files gives."""
    summary = summarize_study(tree)
    n = 0
    groups = {}
    axes = grouped(tree["tiling"].to_dataset())
    assert axes == ("architecture", "optimizer", "strategy", "attack")
    for at, cell in cells_of(finished):
        place = (at["dataset"], *(at[axis] for axis in axes))
        groups.setdefault(place, []).append(cell)
    for (dataset, *place), cells in groups.items():
        row = summary[dataset].to_dataset().sel(dict(zip(axes, place, strict=True)))
        assert row["n_seeds"] == len(cells)
        assert row["n_failed"] == 0
        labels = range(cells[0].sizes["label"])
        for m, metric in enumerate(["pearson", "psnr"]):
            one = row.sel(metric=metric)
            own = [[float(c["similarity"][m, k, k]) for k in labels] for c in cells]
            assert float(one["similarity"]) == pytest.approx(np.mean(own), nan_ok=True)
            hits = [int(c["hits"][m]) for c in cells]
            assert (one["hits"], one["least_hits"]) == (sum(hits) / len(hits), min(hits))
            worst = max(float(c["identification_p"][m]) for c in cells)
            assert float(one["identification_p"]) == worst
            assert one["interval_over"] in ("seeds" if len(cells) > 1 else "classes", "none")
            if one["interval_over"] == "seeds":
                means = np.mean(own, axis=1)
                half = 12.706204736 * abs(means[0] - means[1]) / 2  # Student's t, 1 degree
                low = max(means.mean() - half, -1.0) if metric == "pearson" else None
                assert low is None or float(one["lower"]) == pytest.approx(low)
            n += 1
        assert float(row["n_iter"]) == np.median([c["n_iter"].values for c in cells])
        assert float(row["succeeded"]) == np.mean([c["succeeded"].values for c in cells])
        assert float(row["least_confidence"]) == np.min([c["confidence"].values for c in cells])
        if "test_loss" in cells[0]:
            wanted = np.mean([float(c["test_loss"]) for c in cells])
            assert float(row["test_loss"]) == pytest.approx(wanted)
    assert n == 8


def test_rows_are_those_with_something_in_them(tree):
    """A row per combination that has a cell, and an unknown metric is told."""
    summary = summarize_study(tree)
    rows = list(rows_of(summary, "psnr"))
    assert [(row["dataset"], row["strategy"]) for row in rows] == [
        ("tiling", "zero"),
        ("tiling", "noise"),
        ("tiling", "aai"),
        ("overlapping", "zero"),
    ]
    assert {row["metric"] for row in rows} == {"psnr"}
    with pytest.raises(StudyError, match='has no metric "ssim"; it has pearson, psnr'):
        list(rows_of(summary, "ssim"))
    with pytest.raises(StudyError, match="must be a study collected"):
        summarize_study(xr.DataTree())
