"""The boundary attack: against a plain loop, distances that are known, and foolbox."""

import blackbox_reference as plain
import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from pncviz import AdversarialExampleGenerator, extract_patterns, load_dataset
from pncviz.exceptions import ParameterError, PatternWarning
from pncviz.specs import Stop
from pncviz.testing import check_attack
from pncviz_blackbox import Boundary
from pncviz_blackbox.directions import make_source
from pncviz_blackbox.rates import Rates

WEIGHT = np.random.default_rng(0).normal(size=(2, 6))


@pytest.mark.parametrize(
    "attack",
    [Boundary(n_halvings=4), Boundary(beginning="noise", n_halvings=4, clip=(-9.0, 9.0))],
    ids=["samples", "noise"],
)
def test_contract(attack):
    """Everything that pncviz asks of an attack holds."""
    # Two of the steps ask for the sphere, too; long walks are compared with a plain loop below.
    check_attack(attack, max_iter=6)


def _prepared(X, y, **params):
    attack = Boundary(**params)
    attack.prepare(np.asarray(X, dtype=np.float32), np.asarray(y))
    return attack


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("clip", [None, (-1.0, 1.0)])
def test_plain_loop(clip, targeted):
    """Each row comes where a plain loop brings it, through changes of the steps' lengths."""
    net = plain.tanh_net(8)
    X = plain.images((8,), n=60, low=-1.0, seed=5).float().double()
    labels = net(X).argmax(dim=1)
    start, own = X[:2], labels[:2]
    codes = (own + 1) % 3 if targeted else own
    attack = _prepared(X, labels, clip=clip)
    result = plain.run(attack, net, start, codes, targeted=targeted, stop=Stop(max_iter=240))
    for row, rng in enumerate(plain.streams(2)):
        others = X[(labels == codes[row]) == targeted]
        first = others[((others - start[row]) ** 2).sum(dim=1).argmin()]
        want = plain.boundary_one(
            net, start[row], int(codes[row]), first, make_source("gaussian", rng), n_steps=240,
            targeted=targeted, clip=clip,
        )  # fmt: skip
        np.testing.assert_allclose(result.adversarial[row], want, rtol=0, atol=1e-8)
    assert (result.n_iter == 240).all()
    # The start, its sample, halvings, steps, spheres, and the last judgement.
    assert (result.n_queries == 1 + 1 + 10 + 240 + 48 + 1).all()


@pytest.mark.parametrize("targeted", [True, False])
def test_linear_model_ends_at_the_boundary(targeted):
    """Of two linear classes the walk ends at the foot of the perpendicular, just beyond."""
    net, start = plain.linear(WEIGHT), plain.images((6,), n=4, low=-1.0)
    labels = net(start).argmax(dim=1)
    codes = 1 - labels if targeted else labels
    result = plain.run(
        Boundary(beginning="noise", spherical_step=0.1, source_step=0.03), net, start, codes,
        targeted=targeted, stop=Stop(max_iter=300),
    )  # fmt: skip
    assert (net(result.adversarial).argmax(dim=1) != labels).all()
    normal = torch.tensor(WEIGHT[1] - WEIGHT[0])
    distance = (start @ normal).abs() / normal.norm()
    share = (result.adversarial - start).norm(dim=1) / distance
    assert (share > 1).all()
    assert (share < 1.02).all()


def test_it_needs_labels_alone():
    """A classifier without predict_proba is walked along, and so is one that knows neighbours."""
    data = load_dataset("digits")
    X, y = data.X.reshape(len(data.X), -1)[:500], data.y[:500]
    settings = {"image_shape": (8, 8), "labels": [0, 7], "max_queries": 150, "random_state": 0}
    for classifier in (LinearSVC(), KNeighborsClassifier(3)):
        classifier.fit(X, y)
        found = extract_patterns(
            classifier, attack=Boundary(), X=X, y=y, adapter="probabilities", **settings
        )
        assert found["succeeded"].all()
        assert found["n_queries"].max() > 140
        assert (found["n_queries"] <= 150).all()
        label = found.label.values
        np.testing.assert_array_equal(
            classifier.predict(found["pattern"].values.reshape(2, -1)), label
        )


def test_budget_is_never_exceeded():
    """With every limit, the last judgement included, at most so many questions are asked."""
    net, start = plain.linear(WEIGHT), plain.images((6,), n=4, low=-1.0)
    codes = 1 - net(start).argmax(dim=1)
    for most in (*range(1, 30), 77, 200):
        attack = Boundary(beginning="noise")
        result = plain.run(attack, net, start, codes, stop=Stop(max_queries=most))
        # A step that also asks for the sphere may be one too many.
        assert result.n_queries.min() >= most - 1
        found = net(result.adversarial).argmax(dim=1) == codes
        np.testing.assert_array_equal(result.stop_reason == "changed", found.numpy())
        assert torch.equal(result.adversarial[~found], start[~found])


def test_one_feature():
    """Of one feature nothing lies across the way: the walk nears the boundary, and asks no NaN."""
    net, asked = plain.linear([[0.0], [1.0]], [0.7, 0.0]), []
    net.register_forward_hook(lambda _, args, __: asked.append(args[0].detach().clone()))
    for clip in (None, (-50.0, 50.0)):
        start = torch.tensor([[0.0], [-3.3]])
        attack = Boundary(beginning="noise", clip=clip, n_halvings=4, source_step=0.05)
        result = plain.run(attack, net, start, [1, 1], stop=Stop(max_iter=200))
        assert result.stop_reason.tolist() == ["changed", "changed"]
        np.testing.assert_allclose(result.adversarial, 0.7, rtol=0.15)
        assert (result.adversarial > 0.7).all()
    assert torch.cat(asked).isfinite().all()


class _Outside(torch.nn.Module):
    """Calls all that is farther from zero than 1 the second unit."""

    def forward(self, x):
        far = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return torch.cat([torch.ones_like(far), far], dim=1)


def test_far_side_is_no_success():
    """Where the far side is as asked, too, steps do not grow past the start, and the walk ends."""
    attack = Boundary(
        beginning="noise", source_step=0.5, adaptation=100.0, n_halvings=0, clip=(-9, 9)
    )
    start = torch.zeros(3, 4, dtype=torch.float64)
    result = plain.run(attack, _Outside(), start, [1] * 3, stop=Stop(max_iter=300))
    np.testing.assert_allclose(result.adversarial.norm(dim=1), 1, rtol=0.02)
    assert (result.stop_reason == "changed").all()


def test_lengths_have_an_end():
    """However often all succeeds, a step ends at the start, and lengths stay finite."""
    rates, rows = Rates(2, 1e200), np.array([0, 1])
    spherical, source = torch.full((2, 2), 0.01, dtype=torch.float64)
    for _ in range(3):
        for _ in range(Rates.N_SPHERES):
            rates.note_sphere(rows, np.array([True, False]))
        rates.adapt(rows, spherical, source)
    assert source.tolist() == [1.0, 0.0]
    assert spherical.tolist() == [1e6, 0.0]


def test_start_that_is_there_already():
    """What is as asked at once is left as it is, but for the bounds, for two questions."""
    net = plain.linear(WEIGHT)
    start = plain.images((6,), n=3, low=-3.0, high=3.0)
    codes = net(start.clamp(-1, 1)).argmax(dim=1)
    result = plain.run(Boundary(clip=(-1.0, 1.0)), net, start, codes)
    assert torch.equal(result.adversarial, start.clamp(-1, 1))
    assert (result.n_queries == 2).all()
    assert (result.n_iter == 0).all()
    assert (result.stop_reason == "changed").all()


def test_nothing_is_found():
    """A class that no sample and no noise belongs to gives the start back, and says so."""
    net = plain.linear(np.zeros((2, 6)), [4.0, 3.0])
    start = plain.images((6,), n=2)
    result = plain.run(_prepared(start, [0, 1], n_tries=7), net, start, [1, 1])
    assert result.stop_reason.tolist() == ["not_found", "not_found"]
    assert torch.equal(result.adversarial, start)
    assert result.n_queries.tolist() == [1 + 1 + 7 + 1] * 2
    assert result.confidence.max() < 0.5


def test_samples_are_tried_before_noise():
    """The nearest samples that are called so are taken; ten that are not give way to noise."""
    net = plain.linear([[1.0, 0.0], [0.0, 1.0]])
    X = [[0.0, far] for far in (9.0, 5.0, 7.0)] + [[8.0, 0.0]]
    near = plain.run(
        _prepared(X, [1, 1, 1, 1], n_halvings=0), net, torch.tensor([[1.0, 0.0]]), [1],
        stop=Stop(max_queries=3),
    )  # fmt: skip
    assert near.adversarial.tolist() == [[0.0, 5.0]]
    wrong = [[2.0 + n, 0.0] for n in range(12)]
    noisy = plain.run(
        _prepared(wrong, [1] * 12), net, torch.tensor([[1.0, 0.0]]), [1], stop=Stop(max_iter=1)
    )
    assert noisy.stop_reason.tolist() == ["changed"]
    assert noisy.n_queries.item() > 1 + 10 + 1 + 10 + 2
    kept = _prepared(np.zeros((50, 2)), [0] * 20 + [1] * 30, n_kept=5)
    assert [len(found) for found in kept._kept.values()] == [5, 5]
    kept.prepare(None, None)
    assert kept._kept == {}


def test_untargeted_begins_anywhere_else():
    """To get away from a class, samples of every other one will do, the nearest first."""
    net = plain.linear(np.eye(3))
    X = [[9.0, 0.0, 0.0], [0.0, 6.0, 0.0], [0.0, 0.0, 4.0]]
    result = plain.run(
        _prepared(X, [0, 1, 2], n_halvings=0), net, torch.tensor([[1.0, 0.0, 0.0]]), [0],
        targeted=False, stop=Stop(max_queries=3),
    )  # fmt: skip
    assert result.adversarial.tolist() == [[0.0, 0.0, 4.0]]


def test_noise_within_bounds_is_uniform():
    """With bounds noise is uniform within them; without, it becomes wider from try to try."""
    net = plain.linear(np.zeros((2, 400)), [4.0, 3.0])
    seen = []
    net.register_forward_hook(lambda _, args, __: seen.append(args[0].clone()))
    start = torch.zeros(1, 400, dtype=torch.float64)
    for clip, scales in (((-2.0, 4.0), [3**0.5] * 3), (None, [1.0, 32**0.5, 32.0])):
        seen.clear()
        plain.run(Boundary(beginning="noise", n_tries=3, clip=clip), net, start, [1])
        tried = [x[0] for x in seen if x.any() and len(x) == 1][-3:]
        assert [float(x.std()) for x in tried] == pytest.approx(scales, rel=0.15)
        if clip is not None:
            assert min(float(x.min()) for x in tried) >= -2
            assert max(float(x.max()) for x in tried) <= 4


@pytest.mark.parametrize("targeted", [True, False])
def test_foolbox(targeted):
    """On digits, from the same points and in as many steps, changes are about as small."""
    foolbox = plain.quietly(lambda: pytest.importorskip("foolbox"))
    net, X, y = plain.digits()
    X, y = X[:6], y[:6]
    codes = (y + 1) % 10 if targeted else y
    data = load_dataset("digits")
    pool = torch.tensor(data.X)
    called = net(pool).argmax(dim=1)
    attack = Boundary(clip=(0.0, 1.0))
    attack.prepare(data.X, called.numpy())
    firsts = []
    for x, code in zip(X, codes, strict=True):
        kept = torch.cat(
            [pool[called == k][:100] for k in range(10) if (k == int(code)) == targeted]
        )
        firsts.append(kept[((kept - x) ** 2).flatten(1).sum(dim=1).argmin()])
    result = plain.run(attack, net, X, codes, targeted=targeted, stop=Stop(max_iter=400))
    assert (result.stop_reason == "changed").all()
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    criteria = foolbox.criteria
    goal = criteria.TargetedMisclassification(codes) if targeted else criteria.Misclassification(y)
    theirs = plain.quietly(
        lambda: foolbox.attacks.BoundaryAttack(steps=400, tensorboard=False).run(
            model, X, goal, starting_points=torch.stack(firsts)
        )
    )
    ours, others = ((found - X).flatten(1).norm(dim=1) for found in (result.adversarial, theirs))
    assert 0.5 < float(ours.median() / others.median()) < 1.1
    assert float(ours.median()) < float((torch.stack(firsts) - X).flatten(1).norm(dim=1).median())


def test_examples_of_a_classifier():
    """Changes of digits are within three times the distance to a logistic regression's boundary."""
    data, classifier = load_dataset("digits"), plain.digits_classifier()
    X, y = data.X_test.reshape(len(data.X_test), -1)[:6].astype(np.float64), data.y_test[:6]
    maker = AdversarialExampleGenerator(
        FrozenEstimator(classifier), attack=Boundary(), max_iter=500, random_state=0
    ).fit(X, y)
    found = maker.generate(X, y)
    scores = classifier.decision_function(X)
    own = scores[np.arange(6), y]
    weight = classifier.coef_
    gaps = np.array(
        [
            min(
                (own[i] - scores[i, k]) / np.linalg.norm(weight[k] - weight[y[i]])
                for k in range(10)
                if k != y[i]
            )
            for i in range(6)
        ]
    )
    right = gaps > 0
    share = np.linalg.norm(found - X, axis=1)[right] / gaps[right]
    assert maker.examples_["succeeded"].all()
    assert share.min() > 1
    assert np.median(share) < 3


def test_pattern_without_samples_begins_with_noise():
    """From zero and without data, noise leads to the classes that noise is ever taken for."""
    net = plain.tanh_net(16)
    found = extract_patterns(net, input_shape=(16,), attack=Boundary(), max_iter=50, random_state=0)
    assert found["succeeded"].all()
    few = {"max_queries": 2, "random_state": 0}
    with pytest.warns(PatternWarning, match="not_found"):
        extract_patterns(net, input_shape=(16,), attack=Boundary(), **few)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"beginning": "zero"}, "`beginning` must be one of samples, noise, got 'zero'"),
        ({"n_tries": 0}, "`n_tries` must be a positive integer, got 0"),
        ({"n_halvings": -1}, "`n_halvings` must be 0 or a positive integer, got -1"),
        ({"spherical_step": 0}, "`spherical_step` must be a positive number, got 0"),
        ({"source_step": -1}, "`source_step` must be a positive number, got -1"),
        ({"source_step": 1}, r"`source_step` must be a number in \(0, 1\), got 1"),
        ({"adaptation": 1}, "`adaptation` must be a number above 1, got 1"),
        ({"n_kept": 0}, "`n_kept` must be a positive integer, got 0"),
        ({"clip": 1}, "`clip` must be None or .low, high."),
    ],
)
def test_parameters(params, message):
    """A bad parameter is named, with its value."""
    with pytest.raises(ParameterError, match=message):
        Boundary(**params).validate()
