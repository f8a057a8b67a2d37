"""The Square attack: against the paper's algorithm, a corner that is known, and torchattacks."""

import blackbox_reference as plain
import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator

from pncviz import AdversarialExampleGenerator, load_dataset
from pncviz.exceptions import ParameterError
from pncviz.specs import Stop
from pncviz.testing import check_attack
from pncviz_blackbox import Square
from pncviz_blackbox.windows import window_share, window_size


@pytest.mark.parametrize("attack", [Square(), Square(loss="margin", p=0.3, epsilon=0.5)])
def test_contract(attack):
    """Everything that pncviz asks of an attack holds."""
    check_attack(attack)


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 4, 5)])
def test_plain_loop(shape, clip, targeted):
    """Each row is searched as the paper's algorithms do, value by value, to the last question."""
    net, start = plain.tanh_net(int(np.prod(shape))), plain.images(shape, n=4, low=-0.2, high=1.2)
    codes = net(start).argmax(dim=1)
    codes = (codes + 1) % 3 if targeted else codes
    # As strong as changes some rows soon, and others not at all.
    attack = Square(epsilon=0.12, p=0.7, clip=clip)
    result = plain.run(attack, net, start, codes, targeted=targeted, stop=Stop(max_iter=60))
    for row, rng in enumerate(plain.streams(4)):
        want, n_queries = plain.square_one(
            net, start[row], int(codes[row]), rng, epsilon=0.12, p=0.7, n_steps=60, clip=clip,
            targeted=targeted, loss="cross_entropy" if targeted else "margin",
        )  # fmt: skip
        np.testing.assert_allclose(result.adversarial[row], want, rtol=0, atol=1e-12)
        assert result.n_queries[row] == n_queries
        assert result.n_iter[row] == n_queries - 1
        there = plain.lead_one(net, want.ravel(), int(codes[row]), targeted) < 0
        assert result.stop_reason[row] == ("changed" if there else "not_found")
    assert result.n_queries.max() > 5


def test_schedule():
    """Windows shrink as the paper's section 5.1 says, from p to p / 512, whatever the budget."""
    for n in (10_000, 100_000):
        for first, part in plain.SCHEDULE:
            at = first * n // 10_000
            assert window_share(0.8, at, n) == 0.8 / part
            assert at == 0 or window_share(0.8, at - n // 10_000, n) == 0.8 / part * 2
    assert window_size(1.0, 6, 6) == (5, 5)
    assert window_size(0.25, 6, 6) == (3, 3)
    assert window_size(0.001, 6, 6) == (1, 1)
    assert window_size(0.5, 4, 100) == (3, 3)
    assert window_size(0.25, 1, 40) == (1, 10)
    assert window_size(0.9, 1, 1) == (1, 1)


def test_stripes_come_first():
    """The first proposal is vertical stripes of one sign each, in each channel for itself."""
    net = plain.linear(np.zeros((2, 60)), [4.0, 3.0])
    result = plain.run(
        Square(epsilon=0.3), net, torch.zeros(5, 3, 4, 5, dtype=torch.float64), [1] * 5,
        stop=Stop(max_iter=1),
    )  # fmt: skip
    change = result.adversarial
    assert (change.abs() == 0.3).all()
    assert (change == change[:, :, :1]).all()
    assert (change[:, :, 0] > 0).double().mean() == pytest.approx(0.5, abs=0.2)
    assert not torch.equal(change[:, 0], change[:, 1])


def test_square_of_one_sign_within_the_box():
    """One proposal later, one square window at most has changed, and to one sign per channel."""
    net = plain.tanh_net(2 * 8 * 8)
    start = plain.images((2, 8, 8), n=20)
    codes = (net(start).argmax(dim=1) + 1) % 3
    attack = Square(epsilon=0.05, p=0.15)
    runs = [
        plain.run(attack, net, start, codes, stop=Stop(max_iter=n, max_loss=-1)) for n in (1, 2)
    ]
    before, after = (found.adversarial - start for found in runs)
    assert (after.abs() - 0.05).abs().max() < 1e-12
    seen = 0
    for old, new in zip(before, after, strict=True):
        rows, columns = np.nonzero(((old - new).abs() > 1e-9).any(dim=0).numpy())
        if len(rows):
            top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
            assert max(bottom - top, right - left) <= 3
            window = new[:, top:bottom, left:right]
            assert (window - window[:, :1, :1]).abs().max() < 1e-12
            seen += 1
    assert seen > 5


def test_linear_model_ends_in_the_corner():
    """Of a linear loss the best corner of the box is known, and a long search finds it."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(2, 16))
    start = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    result = plain.run(
        Square(epsilon=0.1), plain.linear(weight), start, [0, 0],
        stop=Stop(max_iter=400, min_confidence=1.0),
    )  # fmt: skip
    want = 0.1 * np.sign(weight[0] - weight[1]).reshape(1, 4, 4)
    np.testing.assert_allclose(result.adversarial[0], want)
    np.testing.assert_allclose(result.adversarial[1], want)
    assert (result.n_queries == 401).all()


def test_windows_reach_every_place():
    """Single pixels are drawn from all of the image, the last row and column among them."""
    net = plain.linear(np.outer([0.0, 1.0], np.ones(12)), [1e3, 0.0])
    result = plain.run(
        Square(epsilon=0.1, p=1e-9), net, torch.zeros(1, 1, 3, 4, dtype=torch.float64), [1],
        stop=Stop(max_iter=300),
    )  # fmt: skip
    np.testing.assert_allclose(result.adversarial, 0.1)
    assert result.stop_reason.tolist() == ["not_found"]


def test_table_has_runs_of_features():
    """A table begins with a sign for each feature, and changes consecutive ones."""
    net = plain.linear(np.zeros((2, 30)), [4.0, 3.0])
    start = torch.zeros(3, 30, dtype=torch.float64)
    first = plain.run(Square(p=0.2), net, start, [1] * 3, stop=Stop(max_iter=1)).adversarial
    assert 0.2 < float((first > 0).double().mean()) < 0.8
    net = plain.linear(np.random.default_rng(0).normal(size=(2, 30)), [5.0, 0.0])
    one, two = (
        plain.run(Square(p=0.2), net, start, [1] * 3, stop=Stop(max_iter=n)).adversarial
        for n in (1, 2)
    )
    for old, new in zip(one, two, strict=True):
        places = np.flatnonzero(old != new)
        if len(places):
            assert np.ptp(places) < 6
            assert len(set(new[places.min() : places.max() + 1].tolist())) == 1


def test_flat_images_are_told():
    """With `image_shape`, flat rows are searched as images are."""
    net, start = plain.tanh_net(36), plain.images((1, 6, 6), n=3)
    codes = [(label + 1) % 3 for label in net(start).argmax(dim=1).tolist()]
    stop = Stop(max_iter=40, max_loss=-1)
    images = plain.run(Square(), net, start, codes, stop=stop).adversarial
    flat = plain.run(Square(image_shape=(6, 6)), net, start.flatten(1), codes, stop=stop)
    assert torch.equal(flat.adversarial, images.flatten(1))
    table = plain.run(Square(), net, start.flatten(1), codes, stop=stop)
    assert not torch.equal(table.adversarial, flat.adversarial)
    with pytest.raises(ParameterError, match="`image_shape` must have 36 values"):
        plain.run(Square(image_shape=(5, 6)), net, start.flatten(1), codes)


def test_stop_rules():
    """Without a rule the first success ends a row; with one, the rule does."""
    net, start = plain.tanh_net(36), plain.images((1, 6, 6), n=6)
    codes = (net(start).argmax(dim=1) + 1) % 3
    attack = Square(epsilon=0.5)
    free = plain.run(attack, net, start, codes, stop=Stop(max_iter=200))
    sure = plain.run(attack, net, start, codes, stop=Stop(max_iter=200, min_confidence=0.5))
    near = plain.run(attack, net, start, codes, stop=Stop(max_iter=200, max_loss=0.6))
    assert (free.stop_reason == "changed").all()
    met = sure.stop_reason == "min_confidence"
    assert met.any()
    assert (sure.confidence[met] >= 0.5).all()
    assert (sure.n_queries[met] >= free.n_queries[met]).all()
    assert (sure.n_queries[met] > free.n_queries[met]).any()
    assert (near.loss[near.stop_reason == "max_loss"] <= 0.6).all()
    few = plain.run(attack, net, start, codes, stop=Stop(max_queries=1))
    assert (few.n_queries == 1).all()
    assert torch.equal(few.adversarial, start)
    there = plain.run(attack, net, start, net(start).argmax(dim=1))
    assert (there.n_queries == 1).all()
    assert (there.stop_reason == "changed").all()


def test_schedule_follows_the_budget():
    """What `max_queries` allows counts as the length of the search, as `max_iter` does."""
    net, start = plain.tanh_net(36), plain.images((1, 6, 6), n=2)
    codes = (net(start).argmax(dim=1) + 1) % 3
    by_queries = Stop(max_iter=1000, max_queries=51, max_loss=-1)
    a = plain.run(Square(), net, start, codes, stop=by_queries)
    b = plain.run(Square(), net, start, codes, stop=Stop(max_iter=50, max_loss=-1))
    assert torch.equal(a.adversarial, b.adversarial)
    assert a.n_queries.tolist() == [51, 51]


@pytest.mark.parametrize("loss", ["margin", "cross_entropy"])
def test_torchattacks(loss):
    """On digits, no fewer are changed within as many questions than by torchattacks."""
    torchattacks = plain.quietly(lambda: pytest.importorskip("torchattacks"))
    net, X, y = plain.digits()
    X = X.reshape(-1, 1, 8, 8)
    theirs = torchattacks.Square(
        net, norm="Linf", eps=0.15, n_queries=300, p_init=0.5, seed=0,
        loss="margin" if loss == "margin" else "ce",
    )  # fmt: skip
    found = plain.quietly(lambda: theirs(X, y))
    fooled = float((net(found).argmax(dim=1) != y).double().mean())
    ours = plain.run(
        Square(epsilon=0.15, p=0.5, loss=loss, clip=(0, 1)), net, X, y, targeted=False,
        stop=Stop(max_iter=299),
    )  # fmt: skip
    assert 0.3 < fooled < 1
    # It proposes one window to all images at once, and half of the windows change nothing.
    assert fooled - 0.1 < (ours.stop_reason == "changed").mean()


def test_art():
    """On digits, as many are changed within as many questions as by ART."""
    art = plain.quietly(lambda: pytest.importorskip("art.attacks.evasion"))
    wrappers = plain.quietly(lambda: pytest.importorskip("art.estimators.classification"))
    net, X, y = plain.digits()
    X = X.reshape(-1, 1, 8, 8)
    model = wrappers.PyTorchClassifier(
        net, loss=torch.nn.CrossEntropyLoss(), input_shape=(1, 8, 8), nb_classes=10,
        clip_values=(0, 1), device_type="cpu",
    )  # fmt: skip
    theirs = art.SquareAttack(
        model, eps=0.15, max_iter=300, p_init=0.5, nb_restarts=1, verbose=False
    )
    state = np.random.get_state()  # noqa: NPY002 # ART draws from it
    np.random.seed(0)  # noqa: NPY002
    found = plain.quietly(lambda: theirs.generate(X.numpy(), y.numpy()))
    np.random.set_state(state)  # noqa: NPY002
    fooled = float((net(torch.tensor(found)).argmax(dim=1) != y).double().mean())
    ours = plain.run(
        Square(epsilon=0.15, p=0.5, clip=(0, 1)), net, X, y, targeted=False,
        stop=Stop(max_iter=300),
    )  # fmt: skip
    assert (ours.stop_reason == "changed").mean() == pytest.approx(fooled, abs=0.15)


def test_classifier_that_is_no_network():
    """Flat digits of a logistic regression are changed within the box, and judged alike."""
    data, classifier = load_dataset("digits"), plain.digits_classifier()
    X, y = data.X_test.reshape(len(data.X_test), -1)[:20], data.y_test[:20]
    maker = AdversarialExampleGenerator(
        FrozenEstimator(classifier), attack=Square(0.3, image_shape=(8, 8), clip=(0, 1)),
        max_queries=200, random_state=0,
    ).fit(X, y)  # fmt: skip
    found = maker.generate(X, y)
    assert maker.examples_["succeeded"].mean() > 0.9
    done = maker.examples_["stop_reason"].values == "changed"
    np.testing.assert_array_equal(maker.examples_["succeeded"], done)
    assert np.abs(found - X).max() <= 0.3 + 1e-6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"epsilon": 0}, "`epsilon` must be a positive number, got 0"),
        ({"p": 0}, r"`p` must be a number in \(0, 1\], got 0"),
        ({"p": 1.5}, r"`p` must be a number in \(0, 1\], got 1.5"),
        ({"loss": "hinge"}, "`loss` must be one of auto, margin, cross_entropy, got 'hinge'"),
        ({"image_shape": (8,)}, r"`image_shape` must be None, .rows, columns. or"),
        ({"image_shape": (0, 8)}, r"`image_shape` must be None, .rows, columns. or"),
        ({"clip": (1, 0)}, "`clip` must be None or .low, high."),
    ],
)
def test_parameters(params, message):
    """A bad parameter is named, with its value."""
    with pytest.raises(ParameterError, match=message):
        Square(**params).validate()
