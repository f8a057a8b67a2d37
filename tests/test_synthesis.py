"""The loop: each pattern by itself, stopped by its own rule."""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pncviz import Attack, AttackResult, Stop, Strategy, Target, make_attack, make_strategy
from pncviz.exceptions import ModelError, ParameterError, PluginError
from pncviz.models import TorchModel
from pncviz.synthesis import descend, extract, in_batches, make_streams


@pytest.fixture(scope="module")
def model():
    """A small smooth net in float64, so that comparisons are to rounding."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    with torch.no_grad():
        net[2].weight *= 8  # every class can be reached with confidence
    return TorchModel(net.double(), input_shape=(6,))


def _descend(model, start=None, codes=None, stop=None, **params):
    start = torch.zeros(4, 6, dtype=torch.float64) if start is None else start
    codes = torch.arange(len(start)) % 4 if codes is None else codes
    attack = make_attack("gradient_descent", **params)
    with model.session():
        return attack.run(model, start, Target(codes=codes), stop or Stop(max_iter=50), [])


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_descent_equals_the_plain_loop(model, momentum):
    """A batch of patterns equals each made alone by the formula."""
    result = _descend(model, learning_rate=0.3, momentum=momentum)
    for code in range(4):
        alone = reference.descend_one(
            model.module,
            torch.zeros(6, dtype=torch.float64),
            code,
            learning_rate=0.3,
            max_iter=50,
            momentum=momentum,
        )
        np.testing.assert_allclose(result.adversarial[code], alone, atol=1e-12)


def test_analytic_first_step(model):
    """One step from zero is minus the rate times the gradient of the cross-entropy, by hand."""
    linear = TorchModel(torch.nn.Linear(3, 2, bias=False).double(), input_shape=(3,))
    start = torch.zeros(1, 3, dtype=torch.float64)
    result = _descend(linear, start, torch.tensor([1]), Stop(max_iter=1), learning_rate=2.0)
    weight = linear.module.weight.detach()
    np.testing.assert_allclose(
        result.adversarial[0], 2.0 * (0.5 * weight[1] - 0.5 * weight[0]), atol=1e-12
    )


def test_squared_error_is_the_other_distance(model):
    """The squared-error loss is the sum over units of (p - one-hot)²."""
    result = _descend(model, loss="squared_error", stop=Stop(max_iter=3))
    with torch.no_grad():
        p = model.probabilities(result.adversarial).numpy()
    np.testing.assert_allclose(result.loss, ((p - np.eye(4)) ** 2).sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(result.confidence, np.diag(p), atol=1e-12)


def test_every_pattern_stops_by_its_own_rule(model):
    """Each row is frozen at the first iterate that meets its rule, whatever the others do."""
    stop = Stop(max_iter=400, min_confidence=0.9)
    together = _descend(model, learning_rate=0.1, stop=stop)
    assert len(set(together.n_iter.tolist())) > 1
    for code in range(4):
        alone = _descend(
            model,
            torch.zeros(1, 6, dtype=torch.float64),
            torch.tensor([code]),
            stop,
            learning_rate=0.1,
        )
        assert alone.n_iter[0] == together.n_iter[code]
        np.testing.assert_allclose(alone.adversarial[0], together.adversarial[code], atol=1e-12)
        assert together.confidence[code] >= 0.9
        before = _descend(
            model, learning_rate=0.1, stop=Stop(max_iter=int(together.n_iter[code]) - 1)
        )
        assert before.confidence[code] < 0.9


@pytest.mark.parametrize(
    "stop, reason",
    [
        (Stop(max_iter=5), "max_iter"),
        (Stop(max_iter=500, max_loss=0.5), "max_loss"),
        (Stop(max_iter=500, min_confidence=0.6), "min_confidence"),
        (Stop(max_iter=500, max_loss=0.5, min_confidence=0.999), "max_loss"),
    ],
)
def test_the_rule_that_came_first_is_recorded(model, stop, reason):
    """The stop rule is a disjunction, and the part that was met is named."""
    assert set(_descend(model, stop=stop).stop_reason.tolist()) == {reason}


def test_rule_is_tried_on_the_start(model):
    """A start that meets the rule takes no update."""
    start = torch.randn(4, 6, dtype=torch.float64)
    result = _descend(model, start, stop=Stop(max_iter=9, max_loss=100.0))
    assert result.n_iter.tolist() == [0] * 4
    assert torch.equal(result.adversarial, start)


def test_last_iterate_is_tried_too(model):
    """A rule met by the very last update is named rather than max_iter."""
    found = _descend(model, learning_rate=0.1, stop=Stop(max_iter=400, min_confidence=0.9))
    n = int(found.n_iter.max())
    stop = Stop(max_iter=n, min_confidence=0.9)
    last = _descend(model, learning_rate=0.1, stop=stop)
    assert set(last.stop_reason.tolist()) == {"min_confidence"}


def test_dead_start_is_named_vanished():
    """A bias-free ReLU net has no gradient at zero: the row stops at once and says so."""
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 5, bias=False), torch.nn.ReLU(), torch.nn.Linear(5, 2, bias=False)
    )
    model = TorchModel(net, input_shape=(3,))
    result = _descend(model, torch.zeros(2, 3), torch.tensor([0, 1]))
    assert result.stop_reason.tolist() == ["vanished_gradient"] * 2
    assert result.n_iter.tolist() == [0, 0]


def test_diverged_rows_leave_the_others_alone(model):
    """A row that grows past every bound stops, finite; the others go on as if alone."""

    def step(x, gradient, state):
        new = x - gradient
        new[codes_of(x) == 0] *= 1e4
        return new, state

    def codes_of(x):
        return torch.arange(len(x)) if len(x) == 4 else torch.full((len(x),), 9)

    start = torch.full((4, 6), 0.1, dtype=torch.float64)
    with model.session():
        target = Target(codes=torch.arange(4))
        result = descend(model, start, step, target, Stop(max_iter=30))
        rest = descend(
            model,
            start[1:],
            lambda x, g, s: (x - g, s),
            Target(codes=torch.arange(1, 4)),
            Stop(max_iter=30),
        )
    assert result.stop_reason.tolist() == ["diverged", "max_iter", "max_iter", "max_iter"]
    assert torch.isfinite(result.adversarial).all()
    np.testing.assert_allclose(result.adversarial[1:], rest.adversarial, atol=1e-12)


def test_nan_in_the_middle_is_diverged():
    """A loss that turns NaN stops its row at the last finite iterate."""

    class Fragile(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x) + torch.sqrt(2 - x.sum(1, keepdim=True))

    model = TorchModel(Fragile(), input_shape=(2,))
    with model.session():
        result = descend(
            model,
            torch.zeros(1, 2),
            lambda x, g, s: (x + 0.3, s),
            Target(codes=torch.tensor([0])),
            Stop(max_iter=30),
        )
    assert result.stop_reason.tolist() == ["diverged"]
    assert np.isfinite(result.loss).all()
    assert torch.isfinite(result.adversarial).all()


def test_clip_is_never_left(model):
    """With bounds, every iterate lies within them, the start too."""
    start = torch.randn(4, 6, dtype=torch.float64) * 3
    result = _descend(model, start, clip=(-0.2, 0.3), stop=Stop(max_iter=20))
    assert result.adversarial.min() >= -0.2
    assert result.adversarial.max() <= 0.3


def test_untargeted_moves_away(model):
    """targeted=False lowers the unit's probability."""
    start = torch.zeros(1, 6, dtype=torch.float64)
    with model.session():
        result = make_attack("gradient_descent").run(
            model, start, Target(codes=torch.tensor([2]), targeted=False), Stop(max_iter=20), []
        )
        with torch.no_grad():
            before, after = (model.probabilities(x)[0, 2] for x in (start, result.adversarial))
    assert after < before
    assert result.confidence[0] == pytest.approx(1 - float(after))


def test_trace_follows_loss_and_confidence(model):
    """The trace holds loss and confidence every k iterations, NaN once a row has stopped."""
    result = _descend(
        model, trace_every=5, learning_rate=0.1, stop=Stop(max_iter=200, min_confidence=0.9)
    )
    trace = result.trace
    assert trace.iteration.tolist() == list(range(0, 201, 5))
    for row, n in enumerate(result.n_iter):
        known = ~np.isnan(trace.loss[row])
        assert known.sum() == n // 5 + 1
        assert (np.diff(trace.loss[row, known]) < 0).all()
    np.testing.assert_allclose(trace.confidence[:, 0], np.exp(-trace.loss[:, 0]))


@pytest.mark.parametrize(
    "params, message",
    [
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": np.nan}, "learning_rate"),
        ({"momentum": 1.0}, "momentum"),
        ({"loss": "hinge"}, "cross_entropy, squared_error"),
        ({"clip": (1, 0)}, "low < high"),
        ({"trace_every": 0}, "trace_every"),
    ],
)
def test_bad_attack_parameters_are_named(params, message):
    """Each bad parameter is refused by name before any work."""
    with pytest.raises(ParameterError, match=message):
        make_attack("gradient_descent", **params).validate()


# ------------------------------------------------------------------------ extraction


def _extract(model, strategy, *, positions=(0, 1, 2, 3), seed=0, attack=None, **options):
    targets = np.array(positions)
    with model.session():
        return extract(
            strategy,
            model,
            attack or make_attack("gradient_descent", learning_rate=0.1),
            targets,
            Stop(max_iter=options.pop("max_iter", 20)),
            make_streams(seed, positions),
            image_shape=model.input_shape,
            **options,
        )


@pytest.fixture
def batch(model):
    """Set the model's batch size for one test."""
    before = model.batch_size

    def set_to(n):
        model.batch_size = n
        return model

    yield set_to
    model.batch_size = before


@settings(deadline=None, max_examples=15)
@given(size=st.integers(1, 40), seed=st.integers(0, 5))
def test_batch_size_changes_nothing(model, size, seed):
    """Truth 4: patterns do not depend on how examples are batched, beyond rounding."""
    strategy = make_strategy("aai", n_examples=5)
    before = model.batch_size
    whole = _extract(model, strategy, seed=seed)
    try:
        model.batch_size = size
        parts = _extract(model, strategy, seed=seed)
    finally:
        model.batch_size = before
    np.testing.assert_allclose(parts.pattern, whole.pattern, atol=1e-10)


@settings(deadline=None, max_examples=15)
@given(order=st.permutations([0, 1, 2, 3]), n=st.integers(1, 4))
def test_other_classes_change_nothing(model, order, n):
    """Truth 4: a pattern does not depend on which classes are asked for, or in which order."""
    strategy = make_strategy("noise")
    whole = _extract(model, strategy)
    some = _extract(model, strategy, positions=tuple(order[:n]))
    np.testing.assert_allclose(some.pattern, whole.pattern[order[:n]], atol=1e-10)


def test_aai_is_the_plain_sum(model):
    """AAI adds up the adversarial examples of its noise starts, starts not subtracted."""
    found = _extract(model, make_strategy("aai", n_examples=3, scale=0.5))
    streams = make_streams(0, range(4))
    for code in range(4):
        total = 0.0
        for example in range(3):
            start = torch.from_numpy(streams(code, example).normal(scale=0.5, size=6))
            total = total + reference.descend_one(
                model.module, start, code, learning_rate=0.1, max_iter=20
            )
        np.testing.assert_allclose(found.pattern[code], total, atol=1e-10)


def test_blocks_add_up_to_the_pattern(model):
    """Sums over interleaved blocks of examples add up to the whole."""
    found = _extract(model, make_strategy("aai", n_examples=7), n_blocks=3)
    assert found.n_block.tolist() == [3, 2, 2]
    np.testing.assert_allclose(found.block.sum(axis=0), found.pattern, atol=1e-10)


def test_out_of_memory_halves_the_batch(model, batch, caplog):
    """Out of memory: the batch is halved, which is logged, and the result is the same."""

    class Hungry(Attack):
        def run(self, model, start, target, stop, rngs):
            if len(start) > 3:
                raise torch.OutOfMemoryError
            return make_attack("gradient_descent", learning_rate=0.1).run(
                model, start, target, stop, rngs
            )

    whole = _extract(model, make_strategy("noise"))
    with caplog.at_level("WARNING", logger="pncviz"):
        found = _extract(batch(64), make_strategy("noise"), attack=Hungry())
    assert "batch_size=2" in caplog.text
    np.testing.assert_allclose(found.pattern, whole.pattern, atol=1e-10)


def test_halved_batches_leave_no_row_out(model):
    """However often memory runs out, every row is done once and in order; one at least must fit."""
    model.batch_size, done = 8, []

    def work(rows, most):
        if len(rows) > most:
            raise torch.OutOfMemoryError
        done.extend(rows)

    in_batches(model, 21, lambda rows: work(rows, 3 if len(done) < 10 else 1))
    assert done == list(range(21))
    assert model.batch_size == 1
    with pytest.raises(ModelError, match="no memory for even one input"):
        in_batches(model, 1, lambda rows: work(rows, 0))


def test_memory_does_not_grow_with_examples(model, batch):
    """Ten times the examples, the same peak: they are accumulated, never held."""
    import tracemalloc

    class Wide(Strategy):
        def __init__(self, n_examples=10):
            self.n_examples = n_examples

        def start(self, shape, rng):
            return np.zeros(shape)

    peaks = []
    for n in (200, 2000):
        tracemalloc.start()
        _extract(batch(20), Wide(n), max_iter=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # What grows is the record of outcomes: loss, confidence, iterations, unit, reason.
    assert peaks[1] - peaks[0] < 4 * 1800 * 250


class _Bad(Strategy):
    def __init__(self, what="shape"):
        self.what = what

    def start(self, shape, rng):
        made = {
            "shape": np.zeros(99),
            "complex": np.zeros(shape) + 1j,
            "text": np.full(shape, "a"),
            "nan": np.full(shape, np.nan),
            "none": None,
        }
        if self.what == "raise":
            raise KeyError("oh")
        if self.what == "exit":
            raise SystemExit(3)
        return made[self.what]


@pytest.mark.parametrize(
    "what, message",
    [
        ("shape", r"_Bad.*must give real numbers of shape \(6,\), got dtype float64 of shape"),
        ("complex", "got dtype complex128"),
        ("text", "got dtype <U1"),
        ("nan", "NaN or infinity"),
        ("none", "got dtype object"),
        ("raise", "failed in start: KeyError"),
        ("exit", "failed in start: SystemExit"),
    ],
)
def test_broken_strategies_are_named(model, what, message):
    """A strategy's fault names the strategy, what was expected and what came."""
    with pytest.raises(PluginError, match=message):
        _extract(model, _Bad(what))


class _BadAttack(Attack):
    def __init__(self, what="none"):
        self.what = what

    def run(self, model, start, target, stop, rngs):
        result = make_attack("gradient_descent").run(model, start, target, stop, rngs)
        fields = vars(result)
        if self.what == "none":
            return None
        if self.what == "start":
            start += 1
        if self.what == "shape":
            fields = fields | {"adversarial": result.adversarial[:, :2]}
        if self.what == "nan":
            fields = fields | {"adversarial": result.adversarial * torch.nan}
        if self.what == "rows":
            fields = fields | {"loss": result.loss[:1]}
        if self.what == "weights":
            next(model.module.parameters()).data.add_(1.0)
        if self.what == "raise":
            raise ZeroDivisionError("oh")
        return AttackResult(**fields)


@pytest.mark.parametrize(
    "what, message",
    [
        ("none", "must give an AttackResult, got NoneType"),
        ("start", "changed its start in place"),
        ("shape", r"adversarial examples of shape \(4, 6\) and torch.float32, got \(4, 2\)"),
        ("nan", "gave NaN or infinity"),
        ("rows", r"`loss` of shape \(4,\), got \(1,\)"),
        ("raise", "failed in run: ZeroDivisionError"),
        ("weights", "changed the model's weights"),
    ],
)
def test_broken_attacks_are_named(what, message):
    """An attack's fault names the attack, what was expected and what came."""
    torch.manual_seed(1)
    model = TorchModel(torch.nn.Linear(6, 4), input_shape=(6,))
    with pytest.raises(PluginError, match=rf"_BadAttack.*{message}"):
        _extract(model, make_strategy("zero"), attack=_BadAttack(what))


@pytest.mark.parametrize("n", [0, -1, 2.5, True])
def test_bad_example_counts_are_refused(model, n):
    """`n_examples` must be a positive integer."""
    with pytest.raises(ParameterError, match="n_examples"):
        _extract(model, make_strategy("aai", n_examples=n))
