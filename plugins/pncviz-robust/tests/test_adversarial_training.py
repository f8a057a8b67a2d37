"""Adversarial training against the plain way of writing it, and what must not leak into it."""

import copy
import pickle
from typing import ClassVar

import numpy as np
import pytest
import torch
from robust_reference import fgsm, mixed_steps
from sklearn.base import clone
from skorch.dataset import ValidSplit

from pncviz import (
    Attack,
    AttackSpec,
    hookimpl,
    load_classifier,
    load_dataset,
    make_attack,
    make_classifier,
    register,
    save_classifier,
)
from pncviz.exceptions import AdapterError, ParameterError, PluginError, UnknownNameError
from pncviz.registry import default_registry
from pncviz.synthesis import judged
from pncviz.testing import check_trainer
from pncviz.training import read_info
from pncviz_robust import AdversarialClassifier, Adversary
from pncviz_robust.learning import LearningModel

NETS = {
    "fc": ("fc", {"hidden": [20]}),
    "cnn": ("cnn", {"convolutions": [4, 8], "dense": [16]}),
    "normed": ("cnn", {"convolutions": [4, 8], "dense": [16], "batch_norm": True}),
}


@pytest.fixture(scope="module")
def digits():
    """Give the handwritten digits of scikit-learn, 8 by 8."""
    return load_dataset("digits")


def make(net="fc", *, optimizer="sgd", max_epochs=1, **trainer_params):
    """Make an adversarial net of a few layers."""
    architecture, params = NETS[net]
    return make_classifier(
        architecture,
        optimizer=optimizer,
        max_epochs=max_epochs,
        batch_size=32,
        trainer="adversarial",
        trainer_params=trainer_params,
        **params,
    )


def fitted(net, X, y, seed=0):
    """Fit by a seed, and leave the generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return net.fit(X, y)


def state(net):
    """Copy every weight and buffer."""
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


# ---------------------------------------------------------------------------- contract


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"attack": "pgd", "attack_params": {"epsilon": 0.1, "n_steps": 3}, "mixture": 0.0},
        {"attack": "gradient_descent", "max_iter": 2, "clip": [-5, 5]},
    ],
)
def test_contract(params):
    """Everything that pncviz asks of a trainer holds, with attacks of one step and of several."""
    check_trainer("adversarial", **params)


# ------------------------------------------------------------------------- the same weights


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("mixture", [0.0, 0.3])
def test_three_steps_are_those_written_by_hand(net, mixture, digits):
    """Weights and batch statistics after three FGSM steps are the plain implementation's."""
    ours = make(net, attack_params={"epsilon": 0.25}, mixture=mixture).set_params(
        iterator_train__shuffle=False
    )
    X, y = digits.X[:96], digits.y[:96]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours._look_at(X, y)
        ours.initialize()
        before = copy.deepcopy(ours.module_)
        ours.partial_fit(X, y)
    batches = [(torch.tensor(X[i : i + 32]), torch.tensor(y[i : i + 32])) for i in range(0, 96, 32)]
    theirs = mixed_steps(before, batches, lr=0.1, epsilon=0.25, mixture=mixture).state_dict()
    assert not torch.equal(before.state_dict()[next(iter(theirs))], theirs[next(iter(theirs))])
    for name, value in ours.module_.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("net", ["fc", "normed"])
def test_a_mixture_of_one_is_standard_training(net, digits):
    """Without adversarial weight every bit is that of the plain classifier."""
    X, y = digits.X[:200], digits.y[:200]
    architecture, params = NETS[net]
    plain = make_classifier(architecture, max_epochs=2, batch_size=32, **params)
    ours = state(fitted(make(net, mixture=1, max_epochs=2), X, y))
    theirs = state(fitted(plain, X, y))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_chance_follows_torchs_seed_alone(digits):
    """Random starts of an attack are the same by the same seed, and other ones by another."""
    X, y = digits.X[:100], digits.y[:100]
    nets = []
    for seed, other in [(0, 1), (0, 2), (3, 1)]:
        np.random.seed(other)  # noqa: NPY002 # must not matter
        pgd = make(attack="pgd", attack_params={"n_steps": 2, "epsilon": 0.2})
        nets.append(torch.cat([v.flatten() for v in state(fitted(pgd, X, y, seed)).values()]))
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])


def test_batches_differ_in_their_chance(digits):
    """Two batches of the same samples get other random starts; a new fit begins again."""
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    X, y = torch.tensor(digits.X[:8]), torch.tensor(digits.y[:8])
    attack = make_attack("pgd", epsilon=0.5, n_steps=1, step_size=1e-6)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one, other = (Adversary(attack, module, X, y, max_iter=1) for _ in range(2))
    first, second = one(X, y), one(X, y)
    assert not torch.allclose(first, second, atol=1e-3)
    assert torch.equal(first, other(X, y))


# ------------------------------------------------------------------------------ no leaks


def test_an_attack_leaves_no_trace(digits):
    """Gradients, batch statistics, flags and torch's random state are as they were before it."""
    net = fitted(make("normed"), digits.X[:64], digits.y[:64])
    X, y = torch.tensor(digits.X[:32]), torch.tensor(digits.y[:32])
    adversary = Adversary(make_attack("pgd", n_steps=3), net.module_, X, y, max_iter=3)
    net.module_.train()
    net.module_.zero_grad()
    net.module_(X).sum().backward()
    gradients = [weight.grad.clone() for weight in net.module_.parameters()]
    before, random_state = state(net), torch.get_rng_state()
    moved = adversary(X, y)
    assert not torch.equal(moved, X)
    assert not moved.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in state(net).items())
    assert all(
        torch.equal(weight.grad, was)
        for weight, was in zip(net.module_.parameters(), gradients, strict=True)
    )
    assert all(weight.requires_grad for weight in net.module_.parameters())
    assert all(part.training for part in net.module_.modules())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_recorded_layers_follow_the_weights(digits):
    """What an attack sees of dense layers is true after every step, and after new tensors."""
    net = fitted(make(), digits.X[:64], digits.y[:64])
    X = torch.tensor(digits.X[:5])
    model = LearningModel(net.module_, input_shape=(1, 8, 8))
    for change in (0.0, 1.0, None):
        with torch.no_grad():
            for weight in net.module_.parameters():
                if change is None:
                    weight.data = weight.data.clone() * 2
                else:
                    weight += change * torch.rand_like(weight)
        with model.session(), torch.no_grad():
            assert model.chain is not None
            torch.testing.assert_close(model.chain.forward(X), model.logits(X))


@pytest.mark.parametrize("net", ["cnn", "normed"])
def test_layers_that_keep_copies_are_not_recorded(net, digits):
    """Convolutions and batch norms are recorded with copies of their weights: autograd then."""
    module = fitted(make(net), digits.X[:64], digits.y[:64]).module_
    model = LearningModel(module, input_shape=(1, 8, 8))
    with model.session():
        assert model.chain is None


# ------------------------------------------------------------------------- robustness


@pytest.mark.parametrize(
    "params",
    [
        {"attack": "fgsm", "attack_params": {"epsilon": 0.2}, "mixture": 0.5},
        {"attack": "pgd", "attack_params": {"epsilon": 0.2, "n_steps": 5}, "mixture": 0.0},
    ],
)
def test_robust_accuracy_rises(params, digits):
    """Trained on them, a net withstands FGSM examples that fool one trained as usual."""
    y = torch.tensor(digits.y_test)
    shares = []
    for given in ({"mixture": 1}, params):
        net = make(optimizer="adam", max_epochs=15, clip=(0, 1), **given).set_params(lr=0.005)
        fitted(net, digits.X, digits.y)
        module = net.module_.eval()
        moved = fgsm(module, torch.tensor(digits.X_test), y, 0.2, 0.0, 1.0)
        assert net.score(digits.X_test, digits.y_test) > 0.85
        shares.append(float((module(moved).argmax(1) == y).double().mean()))
    assert shares[1] > shares[0] + 0.2


def test_bounds_are_kept(digits):
    """With `clip`, an attack never leaves the range of the data."""
    seen = []

    class Watched(AdversarialClassifier):
        def infer(self, x, **fit_params):
            seen.append((float(x.min()), float(x.max())))
            return super().infer(x, **fit_params)

    options = make().get_params(deep=False)
    for clip in ((0, 1), None):
        seen.clear()
        fitted(Watched(**options | {"mixture": 0.0, "clip": clip}), digits.X[:64], digits.y[:64])
        low, high = min(pair[0] for pair in seen), max(pair[1] for pair in seen)
        assert (low >= 0 and high <= 1) == (clip is not None)


# ---------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    "params, error, match",
    [
        ({"mixture": 1.5}, ParameterError, r"`mixture` must be a number in \[0, 1\], got 1.5"),
        ({"max_iter": 0}, ParameterError, "`max_iter` must be a positive integer, got 0"),
        ({"clip": (1, 0)}, ParameterError, r"`clip` must be None or \(low, high\)"),
        ({"attack": "fgms"}, UnknownNameError, 'Unknown attack "fgms". Did you mean "fgsm"'),
        ({"attack_params": {"eps": 1}}, ParameterError, "has no parameter `eps`"),
        ({"attack_params": {"epsilon": -1}}, ParameterError, "`epsilon` must be"),
        ({"attack": 3}, ParameterError, "`attack` must be the name of an attack"),
    ],
)
def test_bad_parameters_are_told_before_training(params, error, match, digits):
    """Whatever cannot work is an error at `validate`, and so before any module is made."""
    net = make(**params)
    with pytest.raises(error, match=match):
        net.validate()
    with pytest.raises(error, match=match):
        net.fit(digits.X[:20], digits.y[:20])
    assert not net.initialized_


def test_parameters_of_no_one():
    """A misspelt parameter of the trainer is told with the likeliest one."""
    with pytest.raises(ParameterError, match=r"has no parameter `mixtur`.*`mixture`"):
        make(mixtur=0.5)


@pytest.fixture
def one_way():
    """Register an attack that only moves towards a label."""

    class OneWay(Attack):
        modes = frozenset({"targeted"})

        def run(self, model, start, target, stop, rngs):
            return judged(model, start, target, n_iter=0, stop_reason="max_iter")

    class Plugin:
        @hookimpl
        def pncviz_attacks(self):
            return [AttackSpec(name="one_way", factory=OneWay)]

    default_registry.cache_clear()
    register(Plugin())
    yield
    default_registry.cache_clear()


@pytest.mark.usefixtures("one_way")
def test_attacks_that_cannot_move_away(digits):
    """An attack that needs a target class cannot be trained against."""
    with pytest.raises(ParameterError, match="only moves towards one"):
        make(attack="one_way").fit(digits.X[:20], digits.y[:20])


def test_modules_without_gradients(digits):
    """What the attack needs and the module lacks is said, as everywhere."""

    class Rounded(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(64, 10)

        def forward(self, x):
            return self.linear(x.flatten(1).detach())

    X, y = digits.X[:20], digits.y[:20]
    with pytest.raises(AdapterError, match="needs gradients"):
        Adversary(make_attack("fgsm"), Rounded(), X, y, max_iter=1)


def test_an_attack_given_as_an_instance(digits):
    """An instance trains as its name with the same parameters does, and is not changed."""
    X, y = digits.X[:64], digits.y[:64]
    attack = make_attack("fgsm", epsilon=0.1)
    one = state(fitted(make(attack=attack, clip=(0, 1)), X, y))
    other = state(fitted(make(attack_params={"epsilon": 0.1}, clip=(0, 1)), X, y))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert attack.clip is None


# ------------------------------------------------------------------------------- the net


def test_files_keep_the_trainer(digits, tmp_path):
    """A file brings back class and parameters, and trains on as the net itself would."""
    X, y = digits.X[:64], digits.y[:64]
    net = fitted(make(attack_params={"epsilon": 0.1}, mixture=0.25, clip=(0, 1)), X, y)
    path = save_classifier(net, tmp_path / "net.safetensors")
    info = read_info(path)
    assert info["trainer"] == "adversarial"
    assert info["trainer_params"] == {
        "attack": "fgsm",
        "attack_params": {"epsilon": 0.1},
        "mixture": 0.25,
        "max_iter": 40,
        "clip": [0, 1],
    }
    loaded = load_classifier(path)
    assert type(loaded) is AdversarialClassifier
    assert (loaded.mixture, loaded.attack_params) == (0.25, {"epsilon": 0.1})
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))
    twins = []
    for one in (net, loaded):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            twins.append(state(one.partial_fit(X, y)))
    assert all(torch.equal(value, twins[1][name]) for name, value in twins[0].items())


def test_clones_and_pickles_in_the_middle_of_training(digits):
    """What the attack sees belongs to one fit: clones, copies and pickles do without it."""
    X, y = digits.X[:64], digits.y[:64]
    net = fitted(make(mixture=0.25), X, y)
    assert clone(net).mixture == 0.25
    copied = pickle.loads(pickle.dumps(net))
    assert "_adversary" not in vars(copied)
    step = net.train_step((torch.tensor(X), torch.tensor(y)))  # outside of any fit
    assert torch.isfinite(step["loss"])


def test_flat_samples_and_other_types(digits):
    """Flat float64 and integer samples train, too: perturbations are not rounded away."""
    X, y = digits.X[:64].reshape(64, -1), digits.y[:64]
    for dtype in (np.float64, np.uint8):
        samples = (X * 16).astype(dtype)
        net = fitted(make(attack_params={"epsilon": 0.4}, mixture=0.0), samples, y)
        assert np.isfinite(net.history[-1, "train_loss"])


class Learning(Attack):
    """Counts what it is given to learn from; breaks when asked to."""

    seen: ClassVar = []
    broken = False

    def prepare(self, X, y):
        self.seen.append(len(X))

    def run(self, model, start, target, stop, rngs):
        moved = start * float("nan") if self.broken and len(self.seen) > 2 else start
        return judged(model, moved, target, n_iter=0, stop_reason="max_iter")


def test_attacks_learn_anew_each_epoch(digits):
    """What is learnt from data is of the weights of the epoch, and of what is trained on."""
    Learning.seen = []
    make(attack=Learning(), max_epochs=2).set_params(train_split=ValidSplit(5)).fit(
        digits.X[:200], digits.y[:200]
    )
    assert Learning.seen[1:] == [160, 160]


def test_nothing_is_learnt_from_nan(digits, monkeypatch):
    """An attack that breaks later than in its first batch is named, and training ends."""
    monkeypatch.setattr(Learning, "seen", [])
    monkeypatch.setattr(Learning, "broken", True)
    with pytest.raises(PluginError, match=r"Learning\.run gave NaN or infinity"):
        make(attack=Learning(), max_epochs=2).fit(digits.X[:128], digits.y[:128])
