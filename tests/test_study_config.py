"""Study files: what is accepted, what is refused and how, and the keys that come of them."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_small import FC, raw, study

from pncviz.exceptions import StudyError, UnknownNameError
from pncviz.registry import Registry, normalize
from pncviz.study import load_study, parse_study
from pncviz.study.identity import _OWN, canonical, differences, key_of, versions_of
from pncviz.study.plan import make_plan

ZERO = {"name": "zero", "params": {}}


def test_defaults_and_names():
    """A string is a part; parameters are in its label; `as` names it; names fold."""
    parts = ["noise", {"name": "NOISE", "params": {"scale": 2}}, {"name": "noise", "as": "mine"}]
    grid = study({"strategy": parts}).grid[0]
    assert [part.label for part in grid.strategy] == ["noise", "NOISE(scale=2)", "mine"]
    assert {part.name for part in grid.strategy} == {"noise"}
    assert grid.seed == [0]
    assert grid.attack[0].config == {"name": "gradient-descent", "params": {}}


def test_tables_of_the_file_hold_for_every_grid_except_what_it_says_itself():
    """A grid's own key wins over the file's, and leaves the file's other keys alone."""
    found = study({"training": {"batch_size": 7}}, {"seed": [1]}, training={"max_epochs": 3})
    assert [(g.training.max_epochs, g.training.batch_size) for g in found.grid] == [(3, 7), (3, 64)]


@pytest.mark.parametrize(
    "table, key, value",
    [
        ("training", "stop_loss", 1),
        ("training", "stop_accuracy", 1),
        ("extraction", "max_loss", 2),
        ("comparison", "n_resamples", 0),
        ("extraction", "n_blocks", 0),
    ],
)
def test_whole_numbers_may_stand_for_floats(table, key, value):
    """TOML's 1 is 1.0, so that the key of the work is the same."""
    one, other = (study(**{table: {key: kind(value)}}) for kind in (int, type(value)))
    assert getattr(one.grid[0], table) == getattr(other.grid[0], table)
    assert getattr(getattr(one.grid[0], table), key) == value


def test_the_largest_seed():
    """Seeds reach to 2**32 - 1, as torch and numpy take them."""
    assert study({"seed": [2**32 - 1]}).grid[0].seed == [4294967295]


@pytest.mark.parametrize(
    "table, key, value, told",
    [
        ("training", "max_epochs", True, "must be a valid integer, got True"),
        ("training", "max_epochs", 2.0, "must be a valid integer, got 2.0"),
        ("training", "max_epochs", 0, "must be greater than or equal to 1, got 0"),
        ("training", "stop_loss", True, "must be a valid number, got True"),
        ("training", "stop_loss", math.inf, "must be a finite number, got inf"),
        ("training", "stop_accuracy", 1.5, "must be less than or equal to 1, got 1.5"),
        ("training", "device", 0, "must be a valid string, got 0"),
        ("extraction", "max_queries", 0, "must be greater than or equal to 1, got 0"),
        ("extraction", "max_loss", math.nan, "must be a finite number, got nan"),
        ("extraction", "min_confidence", math.nan, "must be less than or equal to 1, got nan"),
        ("extraction", "precision", "float23", "got 'float23'; did you mean 'float32'?"),
        ("comparison", "normalize", "minmx", "got 'minmx'; did you mean 'minmax'?"),
        ("comparison", "null", "label_shufled", "did you mean 'label_shuffled'?"),
        ("comparison", "metrics", [], "must not be empty, got []"),
        ("comparison", "metrics", "pearson", "must be a list, in [ ], got 'pearson'"),
        ("comparison", "metrics", ["pearson", "Pearson"], "pearson stands there twice"),
        ("comparison", "confidence_level", 1, "must be less than 1, got 1"),
    ],
)
def test_values_that_may_not_be(table, key, value, told):
    """The message names the place once, although the table holds for two grids, and the value."""
    with pytest.raises(StudyError, match="study: ") as caught:
        study({}, {"seed": [1]}, **{table: {key: value}})
    assert str(caught.value).count(f"`{table}.{key}`") == 1
    assert "grid[" not in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "grid, told",
    [
        ({"seed": [2**32]}, "`grid[0].seed[0]` must be less than 4294967296"),
        ({"seed": [2**70]}, "`grid[0].seed[0]` must be less than 4294967296"),
        ({"seed": [-1]}, "`grid[0].seed[0]` must be greater than or equal to 0, got -1"),
        ({"seed": [True]}, "`grid[0].seed[0]` must be a valid integer, got True"),
        ({"seed": [0.0]}, "`grid[0].seed[0]` must be a valid integer, got 0.0"),
        ({"seed": []}, "`grid[0].seed` must not be empty"),
        ({"seed": [0, 0]}, "`grid[0].seed`: 0 stands there twice, got [0, 0]"),
        ({"dataset": []}, "`grid[0].dataset` must not be empty"),
        ({"dataset": "tiling"}, "`grid[0].dataset` must be a list, in [ ], got 'tiling'"),
        ({"strategy": [3]}, "`grid[0].strategy[0]` must be a name or a table, got 3"),
        ({"strategy": [""]}, "`grid[0].strategy[0].name` must not be empty"),
        ({"strategy": [{"params": {}}]}, "`grid[0].strategy[0].name` is missing"),
        ({"strategy": [ZERO | {"params": [1]}]}, "`grid[0].strategy[0].params` must be a table"),
        ({"strategy": ["zero", "zero"]}, "zero stands there twice; tell them apart by `as`"),
        ({"strategy": ["zero", {"name": "noise", "as": "zero"}]}, "zero stands there twice"),
        ({"strategy": [{"name": "zero", "as": "a/b"}]}, "a label must be printable, without /"),
        ({"strategy": [{"name": "zero", "as": "\x1b[31mred"}]}, "a label must be printable"),
        ({"strategy": [{"name": "zero", "as": "a\0"}]}, "a label must be printable"),
        ({"dataset": [{"name": "tiling", "as": "<script>"}]}, "must begin with a letter or digit"),
        ({"dataset": [{"name": "tiling", "as": "x" * 300}]}, "have at most 200 bytes"),
        ({"strategy": [ZERO | {"param": {}}]}, "Did you mean `params`? Choices: name, as, params"),
        ({"strategy": [{"name": "zero", "label": "z"}]}, "Choices: name, as, params"),
        ({"stratgy": ["zero"]}, "there is no key `grid[0].stratgy`. Did you mean `strategy`?"),
        ({"training": {"max_epoch": 2}}, "`grid[0].training.max_epoch`. Did you mean `max_epochs`"),
        ({"training": [1]}, "`grid[0].training` must be a table, got [1]"),
    ],
)
def test_grids_that_may_not_be(grid, told):
    """The message names the place in the grid, what is wrong, and what was likely meant."""
    with pytest.raises(StudyError, match="study: ") as caught:
        study(grid)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "file, told",
    [
        ({"traning": {}}, "there is no key `traning`. Did you mean `training`?"),
        ({"grid": []}, "`grid` must not be empty"),
        ({"grid": {"dataset": ["tiling"]}}, "write [[grid]]"),
        ({"grid": [{}]}, "`grid[0].dataset` is missing"),
        ({"name": "A b"}, "`name` must be lower-case letters, digits, - and _"),
        ({"name": "../up"}, "`name` must be lower-case letters"),
        ({"name": "x\n"}, "`name` must be lower-case letters"),
        ({"training": {"max_epoch": 1}}, "`training.max_epoch`. Did you mean `max_epochs`?"),
        ({"extraction": None}, "`extraction` must be a table"),
        ({"description": 3}, "`description` must be a valid string"),
    ],
)
def test_files_that_may_not_be(file, told):
    """Unknown keys and wrong values of the file itself are named, with what was likely meant."""
    with pytest.raises(StudyError, match="mine: ") as caught:
        parse_study({**raw(), **file}, source="mine")
    assert told in str(caught.value)


def test_several_faults_are_told_at_once_but_not_all_of_them():
    """Three faults are written out, and the others counted."""
    wrong = {"max_epochs": 0, "batch_size": 0, "stop_loss": 0, "stop_accuracy": 2}
    with pytest.raises(StudyError, match=r"max_epochs.*batch_size.*stop_loss.*\(and 1 more\)"):
        study(training=wrong)


def test_files_are_read_with_a_byte_order_mark(tmp_path):
    """What some editors put in front of a file is not a fault."""
    path = tmp_path / "a.toml"
    path.write_text('\ufeffname = "bom"\n[[grid]]\ndataset = ["tiling"]\n', encoding="utf-8")
    assert load_study(path).name == "bom"


@pytest.mark.parametrize(
    "content, told",
    [
        (None, "no such file"),
        (b"", "`name` is missing; `grid` is missing"),
        (b"name = ", "is not TOML: Invalid value"),
        (b"name = 'x'\nname = 'y'", "is not TOML: Cannot overwrite"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, told):
    """The message names the file and what is wrong with it."""
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StudyError, match=told) as caught:
        load_study(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_study_file(tmp_path):
    """A folder where a file should be is told as such."""
    with pytest.raises(StudyError, match=r"cannot be read.*directory"):
        load_study(tmp_path)


# -------------------------------------------------------------------------------- keys

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _reversed(value):
    """Give the same with the keys of every mapping in the other order, and lists as tuples."""
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return tuple(map(_reversed, value)) if isinstance(value, list) else value


@given(st.dictionaries(st.text(), _JSON, max_size=5))
def test_equal_configurations_have_equal_keys(config):
    """The order of keys does not count, lists and tuples are one, and a file changes nothing."""
    other = _reversed(config)
    assert canonical(other) == canonical(config) == canonical(json.loads(canonical(config)))
    assert key_of(other) == key_of(config)
    assert differences(config, other) == []


@given(st.dictionaries(st.text(), _JSON, max_size=4), st.text())
def test_other_configurations_have_other_keys(config, name):
    """One more part is another key, and the difference is told."""
    more = {**config, name: "something that was not there"}
    assert key_of(more) != key_of(config)
    assert len(differences(config, more)) >= 1


def test_our_own_names_are_those_that_the_registry_has():
    """The names that are taken for ours without asking are exactly the built-in ones."""
    registry = Registry(discover=False)
    for kind, names in _OWN.items():
        assert {normalize(name) for name in registry.names(kind)} == set(names)


def test_versions_of_plugins_are_in_the_key(monkeypatch):
    """A plugin's distribution and version stand in the identity of what it makes, ours does not."""
    import pncviz.study.identity as module
    from pncviz.specs import StrategySpec

    class Fake:
        def entry(self, kind, name):
            spec = StrategySpec(name=name, factory=object)
            return type("Entry", (), {"distribution": "pncviz-mine", "version": "7", "spec": spec})

    monkeypatch.setattr(module, "default_registry", Fake)
    config = {"strategy": {"name": "mine"}, "attack": {"name": "gradient-descent"}}
    found = versions_of("cell", config)
    assert found["pncviz-mine"] == "7"
    assert {"pncviz", "numpy", "torch"} <= set(found)
    assert "pncviz-mine" not in versions_of("cell", {"strategy": {"name": "zero"}})


# -------------------------------------------------------------------------------- plans


def test_cells_share_models_and_contrasts():
    """Two strategies of one model: two cells, one model, one contrast; no null was asked for."""
    plan = make_plan(study({"strategy": ["zero", "noise"], "seed": [0, 1]}))
    kinds = [item.kind for item in plan.items.values()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "cell": 4,
        "model": 2,
        "contrast": 1,
    }
    assert all(set(cell.needs) == {"contrast", "model"} for cell in plan.cells)


def test_a_null_is_drawn_once_per_seed():
    """A null is shared by the strategies of a seed."""
    plan = make_plan(
        study(
            {"strategy": ["zero", "noise"], "seed": [0, 1]}, comparison={"null": "label_shuffled"}
        )
    )
    assert [item.kind for item in plan.items.values()].count("null") == 2


@pytest.mark.parametrize(
    "grid, more, changes",
    [
        ({"architecture": [FC | {"as": "other"}]}, {}, set()),
        ({}, {"extraction": {"max_iter": 6}}, {"cell"}),
        ({}, {"training": {"batch_size": 3}}, {"cell", "model"}),
        ({"seed": [9]}, {}, {"cell", "model"}),
        ({}, {"comparison": {"normalize": "none"}}, {"cell", "contrast"}),
        ({"dataset": ["overlapping"]}, {}, {"cell", "contrast", "model"}),
    ],
)
def test_a_change_reaches_what_depends_on_it_and_no_more(grid, more, changes):
    """Names change no key; a setting changes those of what is made by it, and of the cells."""
    before = {item.kind: key for key, item in make_plan(study()).items.items()}
    after = {item.kind: key for key, item in make_plan(study(grid, **more)).items.items()}
    assert {kind for kind in before if before[kind] != after[kind]} == changes


def test_different_work_in_one_place_is_refused():
    """Two grids that mean different things by the same labels would overwrite each other."""
    with pytest.raises(StudyError, match=r"different work at dataset tiling.*by `as`"):
        make_plan(study({}, {"extraction": {"max_iter": 9}}))


def test_grids_that_overlap_are_one():
    """The same cell in two grids is one cell."""
    assert len(make_plan(study({"seed": [0, 1]}, {"seed": [1, 2]})).cells) == 3


def test_one_dataset_has_one_set_of_metrics():
    """Grids that compare one dataset by different metrics would not fit into one table."""
    other = {"seed": [1], "comparison": {"metrics": ["cosine"]}}
    with pytest.raises(StudyError, match="compare tiling by pearson and by cosine"):
        make_plan(study({}, other))
    assert len(make_plan(study({}, other | {"dataset": ["overlapping"]})).cells) == 2


@pytest.mark.parametrize(
    "axis, name, told",
    [
        ("dataset", "tilng", 'Unknown dataset "tilng". Did you mean "tiling"?'),
        ("architecture", "fcc", 'Unknown architecture "fcc". Did you mean "fc"?'),
        ("strategy", "zreo", 'Did you mean "zero"?'),
        ("attack", "gradient_decent", 'Did you mean "gradient_descent"?'),
    ],
)
def test_unknown_parts_are_found_when_planning(axis, name, told):
    """A misspelt part is named, with the likeliest one."""
    with pytest.raises(UnknownNameError, match=re.escape(told)):
        make_plan(study({axis: [name]}))


def test_a_limit_of_queries_is_part_of_the_key_only_if_it_is_given():
    """Cells that were computed before there was one keep their keys; each limit has its own."""
    keys = {}
    for limit in (None, 5, 6):
        extraction = {} if limit is None else {"max_queries": limit}
        items = make_plan(study({"dataset": ["tiling"], "seed": [0]}, extraction=extraction)).items
        (cell,) = [item for item in items.values() if item.kind == "cell"]
        keys[limit] = cell.key
        assert ("max_queries" in cell.identity["extraction"]) == (limit is not None)
    assert len(set(keys.values())) == 3
