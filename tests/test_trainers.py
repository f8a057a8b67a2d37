"""Trainers: by name, with parameters of their own, in files, in studies and under check."""

import functools

import numpy as np
import pytest
import torch
from sklearn.base import clone
from typer.testing import CliRunner

from pncviz import (
    AttackSpec,
    TrainerSpec,
    hookimpl,
    load_classifier,
    make_classifier,
    register,
    save_classifier,
)
from pncviz.builtin.attacks import GradientDescent
from pncviz.cli.app import app
from pncviz.exceptions import (
    ParameterError,
    PluginError,
    PluginWarning,
    StudyError,
    UnknownNameError,
)
from pncviz.registry import default_registry
from pncviz.study import collect_study, run_study, summarize_study
from pncviz.study.account import made, places
from pncviz.study.config import AXES, parse_study
from pncviz.study.folder import Folder
from pncviz.study.identity import versions_of
from pncviz.study.plan import Plan, make_plan
from pncviz.study.report import study_report
from pncviz.study.tables import rows_of
from pncviz.testing import check_trainer
from pncviz.training import Classifier, read_info
from pncviz.training.trainers import own_params


class Noisy(Classifier):
    """Learns from samples with noise."""

    def __init__(self, *args, scale=0.1, attack="gradient_descent", **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = scale
        self.attack = attack

    def validate(self):
        if not self.scale >= 0:
            raise ParameterError(f"`scale` must be 0 or a positive number, got {self.scale!r}.")

    def train_step_single(self, batch, **fit_params):
        X, y = batch
        return super().train_step_single((X + self.scale * torch.randn_like(X), y), **fit_params)


class Noisier(Noisy):
    """Has a parameter more than what it inherits."""

    def __init__(self, *args, offset=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.offset = offset


class Loose(Classifier):
    """Takes a parameter and does not keep it."""

    def __init__(self, *args, lost=1, **kwargs):  # that is the fault
        super().__init__(*args, **kwargs)


def broken(*args, **kwargs):
    raise OSError("no such thing")


def _plugin(*specs):
    class Plugin:
        @hookimpl
        def pncviz_trainers(self):
            return list(specs)

    return Plugin()


@pytest.fixture
def noisy():
    """Register some trainers, for one test."""
    default_registry.cache_clear()
    register(
        _plugin(
            TrainerSpec(name="noisy", factory=Noisy, summary="noise in every batch"),
            TrainerSpec(name="noisier", factory=Noisier),
            TrainerSpec(name="fixed", factory=functools.partial(Noisy, scale=0.5)),
            TrainerSpec(name="loose", factory=Loose),
            TrainerSpec(name="broken", factory=broken),
            TrainerSpec(name="other", factory=lambda *a, **k: 3),
        )
    )
    yield
    default_registry.cache_clear()


def corners():
    """Four samples, one for each class."""
    return np.eye(4, dtype=np.float32), np.arange(4)


def fitted(**settings):
    X, y = corners()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_classifier("fc", hidden=[8], max_epochs=5, **settings).fit(X, y)


# ------------------------------------------------------------------------------ by name


def test_the_standard_trainer_is_the_plain_classifier():
    """Who says nothing gets the class itself, without further parameters."""
    net = make_classifier("fc")
    assert type(net) is Classifier
    assert net.trainer == "standard"
    assert own_params(Classifier) == {}


@pytest.mark.usefixtures("noisy")
def test_a_trainer_by_name():
    """The named class is made with its own parameters, and what is shared stays shared."""
    net = make_classifier("fc", trainer="noisier", trainer_params={"scale": 0.3, "offset": 2}, lr=3)
    assert type(net) is Noisier
    assert (net.scale, net.offset, net.lr, net.trainer) == (0.3, 2, 3, "noisier")
    twin = clone(net)
    assert (type(twin), twin.scale, twin.offset, twin.trainer) == (Noisier, 0.3, 2, "noisier")
    assert make_classifier("fc", trainer="fixed").scale == 0.5


def test_own_parameters():
    """Named ones of every class down to Classifier; what every classifier has is no one's own."""
    assert list(own_params(Noisy)) == ["scale", "attack"]
    assert sorted(own_params(Noisier)) == ["attack", "offset", "scale"]
    assert list(own_params(functools.partial(Noisy, scale=1))) == ["scale", "attack"]

    class Patient(Noisy):
        def __init__(self, *args, max_epochs=100, **kwargs):
            super().__init__(*args, max_epochs=max_epochs, **kwargs)

    assert list(own_params(Patient)) == ["scale", "attack"]


@pytest.mark.usefixtures("noisy")
@pytest.mark.parametrize(
    "name, params, error, match",
    [
        ("standrd", {}, UnknownNameError, 'Unknown trainer "standrd". Did you mean "standard"'),
        ("standard", {"scale": 1}, ParameterError, '"standard" has no parameter `scale`'),
        ("noisy", {"scales": 1}, ParameterError, "no parameter `scales`. Did you mean `scale`"),
        ("noisy", {"max_epochs": 1}, ParameterError, "no parameter `max_epochs`"),
        ("loose", {}, PluginError, "must keep its parameter `lost` under that name"),
        ("broken", {}, PluginError, r'"broken" \(registered.*\) could not be made: OSError: no'),
        ("other", {}, PluginError, "must give a pncviz.training.Classifier, got int"),
    ],
)
def test_trainers_that_cannot_be_made(name, params, error, match):
    """Names, parameters and factories that do not work are told by name."""
    with pytest.raises(error, match=match):
        make_classifier("fc", trainer=name, trainer_params=params)


@pytest.mark.usefixtures("noisy")
def test_parameters_are_checked_before_training():
    """A bad value is the trainer's own error, before any module is made."""
    net = make_classifier("fc", trainer="noisy", trainer_params={"scale": -1})
    for fit in (net.fit, net.partial_fit):
        with pytest.raises(ParameterError, match="`scale` must be 0 or a positive number, got -1"):
            fit(*corners())
    assert not net.initialized_


@pytest.mark.usefixtures("noisy")
def test_a_trainer_without_effect_is_the_standard_one():
    """Noise of size 0 changes no weight: all samples are one batch, whatever was drawn."""
    plain, same = fitted(), fitted(trainer="noisy", trainer_params={"scale": 0.0})
    other = fitted(trainer="noisy", trainer_params={"scale": 1.0})
    weights = [net.module_.layers[0].weight for net in (plain, same, other)]
    assert torch.allclose(weights[0], weights[1], atol=1e-6)
    assert not torch.allclose(weights[0], weights[2], atol=1e-3)


# --------------------------------------------------------------------------------- files


@pytest.mark.usefixtures("noisy")
def test_files_keep_the_trainer(tmp_path):
    """The file says who trained it and how, as it was at the end."""
    net = fitted(trainer="noisier", trainer_params={"scale": 0.3}).set_params(offset=1.5)
    path = save_classifier(net, tmp_path / "net.safetensors")
    info = read_info(path)
    kept = {"scale": 0.3, "attack": "gradient_descent", "offset": 1.5}
    assert (info["trainer"], info["trainer_params"]) == ("noisier", kept)
    loaded = load_classifier(path)
    assert type(loaded) is Noisier
    assert (loaded.scale, loaded.offset) == (0.3, 1.5)


def test_files_without_the_trainers_plugin(noisy, tmp_path):
    """A file loads without the plugin, predicts the same, warns, and is kept as what it was."""
    net = fitted(trainer="noisy", trainer_params={"scale": 0.3})
    path = save_classifier(net, tmp_path / "net.safetensors")
    default_registry.cache_clear()
    with pytest.warns(PluginWarning, match='its trainer "noisy" is not to be had.*Unknown trainer'):
        loaded = load_classifier(path)
    assert type(loaded) is Classifier
    X, y = corners()
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))
    again = save_classifier(loaded, tmp_path / "again.safetensors")
    for name in ("trainer", "trainer_params"):
        assert read_info(again)[name] == read_info(path)[name]
    assert loaded.partial_fit(X, y).predict(X).shape == (4,)


def test_files_from_before_trainers(tmp_path, monkeypatch):
    """A header without a trainer is that of a plain classifier."""
    from pncviz.training import files

    path = save_classifier(fitted(), tmp_path / "net.safetensors")
    info, state = files._open(path)
    older = {key: value for key, value in info.items() if not key.startswith("trainer")}
    assert len(older) == len(info) - 2
    monkeypatch.setattr(files, "_open", lambda path: (older, state))
    assert type(load_classifier(path)) is Classifier


@pytest.mark.usefixtures("noisy")
def test_the_command_line_trains_by_a_trainer(tmp_path):
    """`pncviz train --trainer --trainer-param` ends in a file that says so."""
    out = tmp_path / "net.safetensors"
    arguments = ["train", "tiling", "--out", str(out), "--max-epochs", "1"]
    arguments += ["--trainer", "noisy", "--trainer-param", "scale=.25"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    info = read_info(out)
    assert (info["trainer"], info["trainer_params"]["scale"]) == ("noisy", 0.25)


def test_the_list_shows_trainers():
    """Trainers are rows of `pncviz plugins list`, built-in ones among them."""
    rows = default_registry().listing()
    assert ("pncviz", "trainer", "standard") in {(r.distribution, r.kind, r.name) for r in rows}


# ------------------------------------------------------------------------------- studies


TINY = {
    "name": "tiny",
    "training": {"max_epochs": 2},
    "extraction": {"max_iter": 2},
    "comparison": {"n_permutations": 20, "n_resamples": 0},
}
NOISES = ["standard", {"name": "noisy", "as": "strong", "params": {"scale": 0.5}}]


def study(**grid):
    return parse_study({**TINY, "grid": [{"dataset": ["tiling"], **grid}]})


@pytest.mark.usefixtures("noisy")
def test_a_study_of_trainers(tmp_path):
    """The axis reaches models, tree, table and page; each model is of its own trainer."""
    assert not run_study(study(trainer=NOISES), tmp_path).failed
    tree = collect_study(tmp_path)
    node = tree["tiling"].to_dataset()
    axes = ("architecture", "optimizer", "trainer", "strategy", "attack", "seed")
    assert node["pattern"].dims[:6] == axes
    assert node["trainer"].values.tolist() == ["standard", "strong"]
    first, second = node["pattern"].isel(trainer=0), node["pattern"].isel(trainer=1)
    assert not np.allclose(first, second)
    rows = list(rows_of(summarize_study(tree)))
    assert [row["trainer"] for row in rows] == ["standard", "strong"]
    infos = [read_info(path) for path in (tmp_path / "models").glob("*.safetensors")]
    assert sorted(info["trainer"] for info in infos) == ["noisy", "standard"]
    page = study_report(tmp_path)
    assert '<th scope="col" class="text">trainer</th>' in page.html
    assert "noisy with scale = 0.5" in page.html
    assert run_study(study(trainer=NOISES), tmp_path).computed == 0


def test_studies_without_trainers_stay_as_they_were(tmp_path):
    """With the standard trainer alone there is no axis, no column, and the keys do not know it."""
    plain, named = (make_plan(one) for one in (study(), study(trainer=["standard"])))
    assert list(plain.items) == list(named.items)
    assert all("trainer" not in item.identity for item in plain.items.values())
    out = tmp_path / "out"
    run_study(study(), out)
    node = collect_study(out)["tiling"].to_dataset()
    assert "trainer" not in node.variables
    page = study_report(out).html
    assert "trainer" not in page
    folder = Folder(out).existing()
    parts = made(folder, folder.plan(None))["parts"]
    assert [part["axis"] for part in parts] == [*AXES[:3], *AXES[4:-1]]


@pytest.mark.usefixtures("noisy")
def test_another_label_is_another_row_but_the_same_work():
    """What a study calls the standard trainer changes no key, and shows the axis."""
    plain = make_plan(study())
    called = make_plan(study(trainer=[{"name": "standard", "as": "plain"}]))
    assert list(plain.items) == list(called.items)
    assert (plain.axes, called.axes) == (tuple(a for a in AXES if a != "trainer"), AXES)
    other = make_plan(study(trainer=["noisy"]))
    kinds = {item.kind: item.key for item in plain.items.values()}
    for item in other.items.values():
        assert (item.key == kinds[item.kind]) == (item.kind == "contrast")


def test_plans_from_before_trainers():
    """A folder's plan without the axis is read as that of the standard trainer."""
    plan = make_plan(study())
    older = plan.to_json().replace('"trainer": "standard", ', "")
    assert older != plan.to_json()
    assert Plan.from_json(older).cells == Plan.from_json(plan.to_json()).cells
    assert places(Plan.from_json(older).cells)[0]["trainer"] == "standard"


@pytest.mark.usefixtures("noisy")
def test_bad_trainers_are_told_before_any_work(tmp_path):
    """A parameter that the trainer refuses is an error of the study, with nothing computed."""
    for trainer, match in (
        ({"name": "noisy", "params": {"scale": -1}}, "`scale` must be 0 or a positive number"),
        ({"name": "noisy", "params": {"scael": 1}}, "Did you mean `scale`"),
    ):
        with pytest.raises(StudyError, match=match):
            run_study(study(trainer=[trainer]), tmp_path)
    with pytest.raises(UnknownNameError, match='Did you mean "noisy"'):
        run_study(study(trainer=["nosy"]), tmp_path)


def test_the_attack_of_a_trainer_counts(noisy, monkeypatch):
    """The version of the distribution behind a trainer's attack, or its default, is kept."""

    class Plugin:
        @hookimpl
        def pncviz_attacks(self):
            return [AttackSpec(name="mine", factory=GradientDescent)]

    register(Plugin(), "mine")
    mine = {"name": "noisy", "params": {"attack": "mine"}}
    config = {"dataset": {"name": "tiling", "params": {}}, "trainer": mine}
    assert "registered in this process" in versions_of("model", config)
    seen = []
    registry = default_registry()
    entry = registry.entry
    monkeypatch.setattr(
        registry, "entry", lambda kind, name: (seen.append((kind, name)), entry(kind, name))[1]
    )
    versions_of("model", config)
    assert ("attack", "mine") in seen
    versions_of("model", config | {"trainer": {"name": "standard", "params": {}}})
    assert ("trainer", "standard") not in seen


# ---------------------------------------------------------------------------- the check


def test_the_standard_trainer_keeps_the_contract():
    """What is built in passes the check of everyone."""
    check_trainer("standard")


@pytest.mark.usefixtures("noisy")
@pytest.mark.parametrize("trainer", ["noisy", Noisy, TrainerSpec(name="noisy", factory=Noisy)])
def test_good_trainers(trainer):
    """A name, a class and a spec are checked alike."""
    check_trainer(trainer, scale=0.05)


class Vandal(Classifier):
    """Writes into the samples."""

    def fit(self, X, y=None, **fit_params):
        X += 1
        return super().fit(X, y, **fit_params)


class Gambler(Classifier):
    """Draws from numpy's global generator."""

    def train_step_single(self, batch, **fit_params):
        X, y = batch
        noise = torch.tensor(np.random.normal(size=X.shape), dtype=X.dtype)  # noqa: NPY002
        return super().train_step_single((X + 0.1 * noise, y), **fit_params)


class Stubborn(Classifier):
    """Sets torch's seed itself."""

    def initialize(self):
        torch.manual_seed(0)
        return super().initialize()


class Lazy(Classifier):
    """Learns nothing."""

    def train_step_single(self, batch, **fit_params):
        X, y = batch
        return super().train_step_single((X, torch.zeros_like(y)), **fit_params)


class Wild(Classifier):
    """Ends in weights that are no numbers."""

    def fit(self, X, y=None, **fit_params):
        super().fit(X, y, **fit_params)
        with torch.no_grad():
            next(self.module_.parameters()).fill_(torch.nan)
        return self


class Icy(Classifier):
    """Leaves its weights frozen."""

    def fit(self, X, y=None, **fit_params):
        super().fit(X, y, **fit_params)
        self.module_.requires_grad_(False)
        return self


class Forgetful(Classifier):
    """Loses its parameter in a clone."""

    def __init__(self, *args, scale=0.1, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = [scale]


class Locked(Classifier):
    """Cannot be pickled once it is trained."""

    def fit(self, X, y=None, **fit_params):
        super().fit(X, y, **fit_params)
        self.lock_ = lambda: None
        return self


@pytest.mark.parametrize(
    "trainer, match",
    [
        (Vandal, "must leave X and y alone"),
        (Gambler, "must (draw from torch's generator alone|train to the same weights)"),
        (Stubborn, "must take torch's seed, and set none of its own"),
        (Lazy, "must learn 3 well separated classes better than by chance; got an accuracy"),
        (Wild, "must leave finite weights"),
        (Icy, "must leave every weight free"),
        (Loose, "must keep each parameter under its name"),
        (Forgetful, "(must keep `scale` in a clone|failed in clone)"),
        (Locked, "failed in pickle"),
        (broken, "failed in making a classifier: OSError"),
        (lambda **k: 3, "must give a Classifier; got int"),
        (TrainerSpec(name="bad", factory=Lazy), r'trainer "bad" \('),
        ("nowhere", 'Unknown trainer "nowhere"'),
    ],
)
def test_broken_trainers(trainer, match):
    """Each broken rule is told, with the trainer's name."""
    with pytest.raises(AssertionError, match=match):
        check_trainer(trainer, max_epochs=10)
