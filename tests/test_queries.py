"""Models that are only asked: counted, limited, remembered, shared by processes."""

from __future__ import annotations

import logging
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from pncviz import (
    AdversarialExampleGenerator,
    AdversarialPatternExtractor,
    Attack,
    Extraction,
    Strategy,
    extract_patterns,
    load,
    save,
    transfer_matrix,
)
from pncviz.exceptions import AdapterError, ModelError, ParameterError, PatternWarning, PluginError
from pncviz.models import ProbabilityModel, QueriedModel, TorchModel, check_queries
from pncviz.synthesis import judged, make_streams


class Guess(Attack):
    """Keep the likelier of two, a few times; tells what it asked."""

    needs = frozenset({"probabilities"})

    def __init__(self, tells=True):
        self.tells = tells

    def run(self, model, start, target, stop, rngs):
        rounds = 3 if stop.max_queries is None else min(3, (stop.max_queries - 1) // 2)
        x, rows = start.clone(), torch.arange(len(start))
        for _ in range(rounds):
            moves = np.stack([rng.normal(size=model.input_shape) for rng in rngs])
            tried = x + torch.as_tensor(moves).to(x)
            now, then = (model.probabilities(v)[rows, target.codes] for v in (x, tried))
            x = torch.where((then > now).reshape(-1, *[1] * (x.ndim - 1)), tried, x)
        spent = 2 * rounds if self.tells else None
        return judged(model, x, target, n_iter=rounds, stop_reason="max_iter", n_queries=spent)


class Sums(Strategy):
    """Sum the noise that the model calls each class; does without an attack."""

    needs = frozenset({"labels"})

    def __init__(self, n_fields=64):
        self.n_fields = n_fields

    def extract(self, model, attack, targets, stop, streams):
        n = min(self.n_fields, stop.max_queries or self.n_fields)
        x = model.tensor(streams.shared(0).normal(size=(n, *model.input_shape)))
        called = model.labels(x)
        k = len(targets)
        return Extraction(
            pattern=np.stack([x[called == t].sum(0).numpy() for t in targets.tolist()]),
            loss=np.zeros(k),
            confidence=np.zeros(k),
            n_iter=np.zeros(k, dtype=np.int64),
            unit=targets,
            stop_reason=np.full(k, "n_fields"),
            success_rate=np.ones(k),
            n_queries=np.full(k, n),
        )


class Counting:
    """A classifier that writes down how many rows it was asked about."""

    def __init__(self, inner):
        self.inner, self.rows = inner, 0
        self.classes_, self.n_features_in_ = inner.classes_, inner.n_features_in_

    def predict_proba(self, X):
        self.rows += len(X)
        return self.inner.predict_proba(X)

    def predict(self, X):
        self.rows += len(X)
        return self.inner.predict(X)


@pytest.fixture(scope="module")
def table():
    """Three classes of five features."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    return rng.normal(size=(90, 5)) + 2 * np.eye(3, 5)[y], y


@pytest.fixture(scope="module")
def forest(table):
    return RandomForestClassifier(10, random_state=0).fit(*table)


def _quiet(*args, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)
        return extract_patterns(*args, random_state=0, **params)


# ------------------------------------------------------------------------- counting


def test_patterns_say_what_they_cost(table, forest, tmp_path):
    """Each pattern has its own queries, the attribute all of them, as the classifier counts."""
    box = Counting(forest)
    found = _quiet(box, attack=Guess())
    assert found["n_queries"].values.tolist() == [7, 7, 7]
    # Besides the attack: what the examples, and the patterns, are taken for.
    assert found.attrs["n_queries"] == box.rows == 3 * 7 + 3 + 3
    save(found, tmp_path / "patterns.nc")
    assert load(tmp_path / "patterns.nc")["n_queries"].equals(found["n_queries"])


def test_a_sum_of_examples_costs_the_sum(forest):
    """Of several examples the queries are added."""
    found = _quiet(forest, strategy="aai", attack=Guess())
    assert found["n_queries"].values.tolist() == [30 * 7] * 3


def test_gradients_are_not_queries(table):
    """Who takes gradients is not counted, and cannot be limited by a count."""
    net = torch.nn.Linear(5, 3)
    assert "n_queries" not in _quiet(net, input_shape=(5,), max_iter=2)
    for name, value in (("max_queries", 10), ("memory", "folder")):
        with pytest.raises(ParameterError, match=f"`{name}` is for attacks that ask.*gradients"):
            _quiet(net, input_shape=(5,), max_iter=2, **{name: value})


def test_a_torch_net_can_be_asked_only():
    """A net with gradients serves a black-box attack, which gets no gradients from it."""
    net = torch.nn.Linear(5, 3)
    assert _quiet(net, input_shape=(5,), attack=Guess())["n_queries"].values.tolist() == [7] * 3
    model = QueriedModel(TorchModel(net, input_shape=(5,)))
    assert model.capabilities == {"probabilities", "labels"}
    x = torch.zeros(2, 5, requires_grad=True)
    assert not model.logits(x).requires_grad
    with pytest.raises(ModelError, match="may only be asked"):
        model.activations(x, ["0"])
    assert model.n_queries == 2


# ------------------------------------------------------------------------- limiting


@pytest.mark.parametrize("limit, spent", [(1, 1), (4, 3), (6, 5), (100, 7)])
def test_the_limit_is_kept(forest, limit, spent):
    """An example costs no more than the limit; a limit that is not reached changes nothing."""
    found = _quiet(forest, attack=Guess(), max_queries=limit)
    assert found["n_queries"].values.tolist() == [spent] * 3


def test_the_limit_of_a_strategy_that_asks_is_of_all(forest):
    """A strategy with its own course asks at most so often in all."""
    found = _quiet(forest, strategy=Sums(), max_queries=20)
    assert found["n_queries"].values.tolist() == [20] * 3
    assert found.attrs["n_queries"] == 20 + 3


def test_who_does_not_count_cannot_be_limited(forest):
    """An attack that keeps its queries to itself works, but not under a limit."""
    found = _quiet(forest, attack=Guess(tells=False))
    assert "n_queries" not in found
    assert found.attrs["n_queries"] > 0
    with pytest.raises(PluginError, match=r"Guess.*`n_queries`.*max_queries=9"):
        _quiet(forest, attack=Guess(tells=False), max_queries=9)


class _Greedy(Guess):
    def run(self, model, start, target, stop, rngs):
        stop = type(stop)(max_iter=stop.max_iter)
        return super().run(model, start, target, stop, rngs)


def test_who_breaks_the_limit_is_named(forest):
    """An attack that asks more often is a PluginError with both numbers."""
    with pytest.raises(PluginError, match=r"_Greedy.*asked 7 times, more than max_queries=3"):
        _quiet(forest, attack=_Greedy(), max_queries=3)


@pytest.mark.parametrize(
    "params, match",
    [
        ({"max_queries": 0}, "`max_queries` must be None or a positive integer, got 0"),
        ({"max_queries": 2.5}, r"`max_queries` must be .*got 2\.5"),
        ({"max_queries": True}, "`max_queries` must be .*got True"),
        ({"n_jobs": 0}, "`n_jobs` must be None or an integer other than 0, got 0"),
        ({"memory": 3}, "`memory` must be None, a path or a joblib.Memory, got 3"),
    ],
)
def test_limits_that_cannot_be(forest, params, match):
    """A bad limit, memory or number of jobs is told before any work."""
    with pytest.raises(ParameterError, match=match):
        _quiet(forest, attack=Guess(), **params)


def test_jobs_may_be_negative():
    """As joblib counts, -1 is all processors."""
    check_queries(None, None, -1)


# ---------------------------------------------------------------------- remembering


def test_memory_answers_what_was_asked(forest, tmp_path):
    """A second run asks nothing and gives the same bits; another model is asked again."""
    box = Counting(forest)
    first = _quiet(box.inner, attack=Guess(), memory=tmp_path)
    second = _quiet(box.inner, attack=Guess(), memory=joblib.Memory(tmp_path, verbose=0))
    assert second.attrs["n_queries"] == 0 < first.attrs["n_queries"]
    assert second["pattern"].equals(first["pattern"])
    rng = np.random.default_rng(1)
    other = RandomForestClassifier(10, random_state=1).fit(
        rng.normal(size=(30, 5)), np.arange(30) % 3
    )
    assert _quiet(other, attack=Guess(), memory=tmp_path).attrs["n_queries"] > 0


def test_memory_goes_on_where_an_interruption_was(table, forest, tmp_path):
    """What was answered before a fault is not asked again after it."""

    class Breaking(Counting):
        left = 12

        def predict_proba(self, X):
            if self.rows >= self.left:
                raise ConnectionError("gone")
            return super().predict_proba(X)

    model = Breaking(forest)
    wrapped = QueriedModel(ProbabilityModel(model, input_shape=(5,)), memory=tmp_path)
    wrapped._name = "one"  # what it counts is part of it, else
    batches = torch.arange(100.0, dtype=torch.float64).reshape(4, 5, 5)
    for x in batches[:3]:
        wrapped.probabilities(x)
    with pytest.raises(ModelError, match="ConnectionError: gone"):
        wrapped.probabilities(batches[3])
    again = QueriedModel(ProbabilityModel(Counting(forest), input_shape=(5,)), memory=tmp_path)
    again._name = "one"
    answers = torch.cat([again.probabilities(x) for x in batches]).numpy()
    assert (again.n_remembered, again.n_queries) == (15, 5)
    assert np.allclose(answers, forest.predict_proba(batches.reshape(20, 5).numpy()))


def test_memory_tells_torch_models_apart(tmp_path):
    """Two nets of one shape and other weights have answers of their own."""
    x, answers = torch.ones(2, 5), []
    for weight in (0.0, 1.0):
        net = torch.nn.Linear(5, 3)
        torch.nn.init.constant_(net.weight, weight)
        torch.nn.init.zeros_(net.bias)
        with torch.no_grad():
            net.weight[0] *= 2
        model = QueriedModel(TorchModel(net, input_shape=(5,)), memory=tmp_path)
        answers.append(model.probabilities(x))
    assert not torch.equal(*answers)


def test_a_memory_without_a_place_remembers_nothing(forest):
    """joblib.Memory(None) is as none."""
    box = Counting(forest)
    for _ in range(2):
        _quiet(box, attack=Guess(), memory=joblib.Memory(None))
    assert box.rows == 2 * 27


# ---------------------------------------------------------------------------- jobs


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_jobs_give_the_same_bits(forest, backend):
    """Blocks have one size, whatever the number of processes."""
    alone = _quiet(forest, attack=Guess(), batch_size=8)
    with joblib.parallel_config(backend=backend):
        shared = _quiet(forest, attack=Guess(), batch_size=4, n_jobs=2)
    assert shared["pattern"].equals(alone["pattern"])
    assert shared.attrs["n_queries"] == alone.attrs["n_queries"]


def test_jobs_take_a_batch_each(forest):
    """Two processes are handed two batches at once; answers come back in order."""
    model = QueriedModel(ProbabilityModel(forest, input_shape=(5,), batch_size=3), n_jobs=2)
    assert model.batch_size == 6
    model.batch_size = 4
    x = model.tensor(np.random.default_rng(0).normal(size=(7, 5)))
    with model.session(), joblib.parallel_config(backend="threading"):
        answer = model.probabilities(x)
    assert np.allclose(answer, forest.predict_proba(x.numpy()))


# ------------------------------------------------------------------ strategies alone


def test_a_strategy_that_does_without_an_attack(forest):
    """The attack is neither needed nor recorded; the label of a subset has the same bits."""
    found = _quiet(forest, strategy=Sums())
    assert '"attack": {"class": "none"}' in found.attrs["parameters"]
    assert "GradientDescent" not in found.attrs["parameters"]
    part = _quiet(forest, strategy=Sums(), labels=[2])
    assert np.array_equal(part["pattern"].values[0], found["pattern"].values[2])


def test_its_needs_are_checked(table):
    """What the strategy itself needs of the model is asked for, by its name."""

    class Sure(Sums):
        needs = frozenset({"probabilities"})

    svm = LinearSVC().fit(*table)
    assert len(_quiet(svm, strategy=Sums())["label"]) == 3
    with pytest.raises(AdapterError, match=r"strategy Sure.*needs probabilities.*no predict_proba"):
        _quiet(svm, strategy=Sure())


def test_blocks_that_a_strategy_does_not_keep(forest):
    """n_blocks is not silently ignored."""
    with pytest.raises(ParameterError, match="Sums keeps no blocks, got n_blocks=2"):
        _quiet(forest, strategy=Sums(), n_blocks=2)


def test_shared_streams_are_their_own():
    """They depend on seed and index alone, and meet no stream of an example."""
    few, many = make_streams(0, [2]), make_streams(0, [0, 1, 2])
    drawn = [s.shared(3).normal() for s in (few, many, make_streams(1, [2]))]
    assert drawn[0] == drawn[1] != drawn[2]
    examples = {many(row, i).normal() for row in range(3) for i in range(5)}
    assert len(examples | {many.shared(i).normal() for i in range(5)}) == 20


# ------------------------------------------------------------------------- elsewhere


def test_examples_say_what_they_cost(table, forest):
    """Each example of data has its queries, under the limit."""
    X, y = (part[:6] for part in table)
    maker = AdversarialExampleGenerator(
        FrozenEstimator(forest), attack=Guess(), max_queries=5, random_state=0
    )
    maker.fit_transform(X.astype(np.float32), y)
    assert maker.examples_["n_queries"].values.tolist() == [5] * 6
    assert maker.examples_.attrs["n_queries"] >= 30


def test_the_extractor_takes_the_same(table):
    """Limits are parameters of the estimator as well."""
    extractor = AdversarialPatternExtractor(
        LogisticRegression(), attack=Guess(), max_queries=3, n_jobs=1, random_state=0
    )
    with pytest.warns(PatternWarning, match="did not reach"):
        extractor.fit(*table)
    assert extractor.patterns_["n_queries"].values.tolist() == [3] * 3


def test_an_attack_for_each_source(table, forest):
    """Sources of different techniques have attacks of their own; others are targets alone."""
    X, y = table[0].astype(np.float32), table[1]
    linear = LogisticRegression().fit(X, y)
    net = torch.nn.Linear(5, 3)
    models = {"forest": forest, "linear": linear, "net": net}
    attacks = {"forest": Guess(), "net": "gradient_descent"}
    found = transfer_matrix(
        models, X, y, attack=attacks, max_iter=5, max_queries=7, n_jobs=1, random_state=0
    )
    assert found["error_rate"].dims == ("source", "target")
    assert found["source"].values.tolist() == ["forest", "net"]
    assert found["target"].values.tolist() == list(models)
    same = transfer_matrix(models, X, y, attack={"forest": Guess()}, max_iter=5, random_state=0)
    rate = found["error_rate"].sel(source="forest").values
    assert np.array_equal(rate, same["error_rate"].sel(source="forest").values)
    with pytest.raises(ParameterError, match=r"`attack` must name some of the models.*oak"):
        transfer_matrix(models, X, y, attack={"oak": Guess()})


def test_who_can_serve_is_named(forest):
    """The message of an unmet need names what needs less, or where to find it."""
    with pytest.raises(AdapterError, match=r"needs gradients.*pncviz-blackbox|It can serve"):
        extract_patterns(forest)


def test_a_slow_model_is_told_of(forest, caplog, monkeypatch):
    """The log says now and then how many inputs were asked about."""
    import pncviz.models.queries as queries

    monkeypatch.setattr(queries, "_TELL_EVERY", 0.0)
    with caplog.at_level(logging.INFO, logger="pncviz"):
        _quiet(forest, attack=Guess())
    assert "Asked about 27 inputs so far" in caplog.text


def test_a_service_that_only_answers():
    """No fit, no predict, no scikit-learn: classes_ and predict_proba are enough."""

    class Service:
        classes_ = np.array(["cat", "owl"])

        def predict_proba(self, X):
            p = 1 / (1 + np.exp(-X.sum(axis=1)))
            return np.stack([1 - p, p], axis=1)

    found = _quiet(Service(), input_shape=(3,), attack=Guess())
    assert found["label"].values.tolist() == ["cat", "owl"]
    assert found["pattern"].sel(label="owl").sum() > 0 > found["pattern"].sel(label="cat").sum()
    assert found.attrs["n_queries"] == 2 * (7 + 1 + 1)


# --------------------------------------------------------------- what a review found


class _Scaled(torch.nn.Module):
    """A plain attribute, no weight, decides what it answers."""

    def __init__(self, temperature):
        super().__init__()
        self.temperature, self.linear = temperature, torch.nn.Linear(5, 3)
        with torch.no_grad():
            self.linear.weight.copy_(torch.arange(15.0).reshape(3, 5) / 15)

    def forward(self, x):
        return self.linear(x) / self.temperature


def test_memory_tells_apart_what_differs_in_a_plain_attribute(tmp_path):
    """Not only weights make a model: no answer of another temperature is taken."""
    x, answers, names = torch.ones(2, 5), [], set()
    for temperature in (1.0, 0.01):
        inner = TorchModel(_Scaled(temperature), input_shape=(5,))
        model = QueriedModel(inner, memory=tmp_path)
        answers.append(model.probabilities(x))
        names.add(model._identity())
        assert model.n_queries == 2
        assert torch.equal(answers[-1], QueriedModel(inner).probabilities(x))
    assert len(names) == 2


def test_a_model_has_the_same_name_in_another_process(forest, tmp_path):
    """Answers are found again after a restart: names do not depend on addresses."""
    import subprocess
    import sys

    net = torch.nn.Sequential(torch.nn.Linear(5, 3))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    joblib.dump(forest, tmp_path / "forest")
    code = f"""
import joblib, torch
from pncviz.models import ProbabilityModel, TorchModel
from pncviz.models.naming import identity_of
net = torch.nn.Sequential(torch.nn.Linear(5, 3))
net.load_state_dict(torch.load(r"{tmp_path}/net.pt"))
forest = joblib.load(r"{tmp_path}/forest")
print(identity_of(TorchModel(net, input_shape=(5,))))
print(identity_of(ProbabilityModel(forest, input_shape=(5,))))
"""
    run = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)]
    from pncviz.models.naming import identity_of

    mine = [
        identity_of(TorchModel(net, input_shape=(5,))),
        identity_of(ProbabilityModel(joblib.load(tmp_path / "forest"), input_shape=(5,))),
    ]
    assert run[0].stdout.split() == mine


class _Locked(Counting):
    """Cannot be pickled."""

    def __init__(self, inner):
        import threading

        super().__init__(inner)
        self.lock = threading.Lock()


def test_what_cannot_be_pickled_is_told(forest, tmp_path):
    """Neither memory nor processes take it; the model is blamed, not the attack; threads do."""
    with pytest.raises(ModelError, match=r"_Locked cannot be told from others.*`memory`"):
        _quiet(_Locked(forest), attack=Guess(), memory=tmp_path)
    with pytest.raises(ModelError, match=r"_Locked cannot be sent to other processes.*`n_jobs`"):
        _quiet(_Locked(forest), attack=Guess(), n_jobs=2, batch_size=2)
    with joblib.parallel_config(backend="threading"):
        found = _quiet(_Locked(forest), attack=Guess(), n_jobs=2, batch_size=2)
    assert found["pattern"].shape == (3, 5)


def test_a_strategy_that_breaks_the_limit_is_named(forest):
    """What it was shown is counted by the model, whatever the strategy says."""

    class Hungry(Sums):
        def extract(self, model, attack, targets, stop, streams):
            free = type(stop)(max_iter=stop.max_iter)
            return super().extract(model, attack, targets, free, streams)

    with pytest.raises(PluginError, match=r"Hungry\.extract asked 64 times.*max_queries=50"):
        _quiet(forest, strategy=Hungry(), max_queries=50)


def test_columns_keep_their_names(table):
    """A pipeline that chooses columns by name is asked with those names."""
    pandas = pytest.importorskip("pandas")
    from sklearn.compose import ColumnTransformer
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = pandas.DataFrame(table[0], columns=list("abcde"))
    chosen = ColumnTransformer([("some", StandardScaler(), ["b", "d"])], remainder="passthrough")
    model = make_pipeline(chosen, KNeighborsClassifier()).fit(X, table[1])
    box = ProbabilityModel(model, input_shape=(5,))
    np.testing.assert_allclose(box.probabilities(box.tensor(table[0])), model.predict_proba(X))


def test_images_for_classifiers_of_flat_rows(table):
    """An unfitted scikit-learn classifier takes images too, as rows."""
    X, y = table[0][:, :4].reshape(-1, 1, 2, 2), table[1]
    extractor = AdversarialPatternExtractor(LogisticRegression(), attack=Guess(), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)
        extractor.fit(X, y)
    assert extractor.patterns_["pattern"].shape == (3, 1, 2, 2)
    assert extractor.estimator_.n_features_in_ == 4


def test_inputs_are_asked_in_full_precision():
    """Differences that float32 does not hold reach the classifier."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) + 1.7e9
    y = np.arange(60) % 2
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(1)).fit(X, y)
    box = ProbabilityModel(model, input_shape=(2,))
    assert box.labels(box.tensor(X)).tolist() == y.tolist()


def test_classifiers_of_other_makers():
    """With fit but no scikit-learn; labels in a column; probabilities as a reversed view."""

    class Other:
        classes_ = np.array([0, 1])

        def fit(self, X, y):
            return self

        def predict(self, X):
            return (X.sum(axis=1, keepdims=True) > 0).astype(int)

        def predict_proba(self, X):
            p = 1 / (1 + np.exp(-X.sum(axis=1)))
            return np.stack([p, 1 - p], axis=1)[:, ::-1]

    found = _quiet(Other(), input_shape=(3,), attack=Guess())
    assert found["pattern"].values[1].sum() > 0 > found["pattern"].values[0].sum()


def test_a_limit_that_no_attack_obeys(table, forest):
    """transfer_matrix refuses it as well; an attack without any need is told by its name."""
    X, y = table[0].astype(np.float32), table[1]
    nets = {"net": torch.nn.Linear(5, 3)}
    with pytest.raises(ParameterError, match=r"`max_queries` is for attacks that ask.*got 3"):
        transfer_matrix(nets, X, y, max_queries=3)

    class Blind(Guess):
        needs = frozenset()

    with pytest.raises(ParameterError, match="Blind needs nothing, got 5"):
        _quiet(forest, attack=Blind(), max_queries=5)
