"""FGSM, BIM and PGD: against formulas, plain loops and other libraries."""

import contextlib
import io

import attacks_reference as plain
import numpy as np
import pytest
import torch

from pncviz import extract_patterns
from pncviz.exceptions import ParameterError
from pncviz.models import TorchModel
from pncviz.specs import Stop, Target
from pncviz.testing import check_attack
from pncviz_attacks.fgsm import FGSM
from pncviz_attacks.pgd import BIM, PGD
from pncviz_attacks.steps import noise_in_ball, noise_in_box, unit_rows

CODES = [0, 1, 2, 0, 1, 2]
SHAPE = (1, 8, 8)


def closeness(a, b):
    """Give the largest difference of two tensors."""
    return float((a - b).abs().max())


# ---------------------------------------------------------------------- the contract


@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd"])
def test_named_attacks_keep_the_contract(name):
    """Everything that pncviz asks of an attack holds under the names that users write."""
    check_attack(name)


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(epsilon=None),
        FGSM(epsilon=None, clip=(-0.5, 0.5), pixel_step=0.05),
        FGSM(clip=(-0.5, 0.5), pixel_step=0.05),
        BIM(clip=(-0.5, 0.5), pixel_step=0.05),
        PGD(norm="l2", epsilon=1.0),
        PGD(norm="l2", epsilon=1.0, clip=(-0.5, 0.5), random_start=False),
    ],
)
def test_variants_keep_the_contract(attack):
    """So they do with the parameters that choose another course."""
    check_attack(attack)


# -------------------------------------------------------------------- plain loops


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_fgsm_is_one_sign_step(targeted, clip):
    """FGSM is one step as long as the radius, on a net with convolutions."""
    net, start = plain.small_cnn(), plain.images(SHAPE)
    result = plain.run(FGSM(epsilon=0.1, clip=clip), net, start, CODES, targeted=targeted)
    for x, unit, found in zip(start, CODES, result.adversarial, strict=True):
        known = plain.box_one(
            net, x, unit, epsilon=0.1, step_size=0.1, n_steps=1, targeted=targeted, clip=clip
        )
        assert closeness(known, found) < 1e-6


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_bim_is_the_plain_loop(targeted, clip):
    """BIM gives what a loop over values gives."""
    net, start = plain.small_cnn(), plain.images(SHAPE)
    attack = BIM(epsilon=0.2, step_size=0.03, n_steps=9, clip=clip)
    result = plain.run(attack, net, start, CODES, targeted=targeted)
    for x, unit, found in zip(start, CODES, result.adversarial, strict=True):
        known = plain.box_one(
            net, x, unit, epsilon=0.2, step_size=0.03, n_steps=9, targeted=targeted, clip=clip
        )
        assert closeness(known, found) < 1e-6


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_pgd_in_a_ball_is_the_plain_loop(targeted, clip):
    """PGD in the L2 ball gives what the same steps in float64 give."""
    net, start = plain.tanh_net(), plain.images((1, 4, 4))
    attack = PGD(1.0, "l2", step_size=0.3, n_steps=9, random_start=False, clip=clip)
    result = plain.run(attack, net, start, CODES, targeted=targeted)
    for x, unit, found in zip(start, CODES, result.adversarial, strict=True):
        known = plain.ball_one(
            net, x, unit, epsilon=1.0, step_size=0.3, n_steps=9, targeted=targeted, clip=clip
        )
        assert closeness(known, found) < 1e-5


def test_loss_and_confidence_are_of_the_adversarial_example():
    """The result's numbers are the net's own at the end, negated and inverted untargeted."""
    net, start = plain.small_cnn(), plain.images(SHAPE)
    for attack in (FGSM(0.1), BIM(0.1), PGD(0.1)):
        for targeted in (True, False):
            result = plain.run(attack, net, start, CODES, targeted=targeted)
            for row, unit in enumerate(CODES):
                loss = plain.cross_entropy_one(net, result.adversarial[row], unit).item()
                share = np.exp(-loss)
                assert result.loss[row] == pytest.approx(loss if targeted else -loss, abs=1e-5)
                wanted = share if targeted else 1 - share
                assert result.confidence[row] == pytest.approx(wanted, abs=1e-5)


# ------------------------------------------------------------------ other libraries


def _torchattacks(name, net, start, codes, *, targeted, **params):
    """Give the examples of an attack of torchattacks, bounds 0 and 1."""
    library = plain.quietly(lambda: pytest.importorskip("torchattacks"))
    attack = getattr(library, name)(net, **params)
    if targeted:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a line
            attack.set_mode_targeted_by_function(lambda _, wanted: wanted)
    return plain.quietly(lambda: attack(start, torch.tensor(codes)))


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize(
    "attack, name, params",
    [
        (FGSM(0.1, clip=(0, 1)), "FGSM", {"eps": 0.1}),
        (BIM(0.1, 0.02, 8, clip=(0, 1)), "BIM", {"eps": 0.1, "alpha": 0.02, "steps": 8}),
        (
            PGD(0.1, step_size=0.02, n_steps=8, random_start=False, clip=(0, 1)),
            "PGD",
            {"eps": 0.1, "alpha": 0.02, "steps": 8, "random_start": False},
        ),
        (
            PGD(1.0, "l2", step_size=0.3, n_steps=8, random_start=False, clip=(0, 1)),
            "PGDL2",
            {"eps": 1.0, "alpha": 0.3, "steps": 8, "random_start": False},
        ),
    ],
    ids=["fgsm", "bim", "pgd", "pgd_l2"],
)
def test_agrees_with_torchattacks(attack, name, params, targeted):
    """The same examples as torchattacks gives, to 1e-5."""
    net, start = plain.small_cnn(), plain.images(SHAPE)
    theirs = _torchattacks(name, net, start, CODES, targeted=targeted, **params)
    ours = plain.run(attack, net, start, CODES, targeted=targeted).adversarial
    assert closeness(ours, theirs) < 1e-5
    assert closeness(ours, start) > 0.05


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("norm, name", [("linf", "LinfPGD"), ("l2", "L2PGD")])
def test_agrees_with_foolbox(norm, name, targeted):
    """The same examples as foolbox gives, to 1e-5."""
    foolbox = plain.quietly(lambda: pytest.importorskip("foolbox"))
    net, start = plain.small_cnn(), plain.images(SHAPE)
    codes = torch.tensor(CODES)

    def attacked():
        model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        kind = foolbox.criteria.TargetedMisclassification if targeted else foolbox.Misclassification
        attack = getattr(foolbox.attacks, name)(steps=8, abs_stepsize=0.1, random_start=False)
        # Its `__call__` would give successes back as they were.
        return attack.run(model, start, kind(codes), epsilon=0.4)

    attack = PGD(0.4, norm, step_size=0.1, n_steps=8, random_start=False, clip=(0, 1))
    ours = plain.run(attack, net, start, CODES, targeted=targeted).adversarial
    assert closeness(ours, plain.quietly(attacked)) < 1e-5


@pytest.mark.parametrize("targeted", [True, False])
def test_agrees_with_art(targeted):
    """The same examples as the fast gradient method and the descent of ART give, to 1e-5."""
    evasion = plain.quietly(lambda: pytest.importorskip("art.attacks.evasion"))
    estimators = plain.quietly(lambda: pytest.importorskip("art.estimators.classification"))
    net, start = plain.small_cnn(), plain.images(SHAPE)

    def attacked(make):
        criterion = torch.nn.CrossEntropyLoss()
        classifier = estimators.PyTorchClassifier(
            net, criterion, SHAPE, plain.N_UNITS, clip_values=(0, 1), device_type="cpu"
        )
        wanted = np.eye(plain.N_UNITS, dtype=np.float32)[CODES]
        return torch.tensor(make(classifier).generate(start.numpy(), wanted))

    def sign(classifier):
        return evasion.FastGradientMethod(classifier, eps=0.1, targeted=targeted)

    def descent(classifier):
        return evasion.ProjectedGradientDescentPyTorch(
            classifier, eps=0.1, eps_step=0.02, max_iter=8, targeted=targeted, verbose=False
        )

    pairs = [
        (FGSM(0.1, clip=(0, 1)), sign),
        (PGD(0.1, step_size=0.02, n_steps=8, random_start=False, clip=(0, 1)), descent),
    ]
    for attack, make in pairs:
        ours = plain.run(attack, net, start, CODES, targeted=targeted).adversarial
        assert closeness(ours, plain.quietly(lambda make=make: attacked(make))) < 1e-5


# -------------------------------------------------------------------- linear models

WEIGHT = [[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, 0.25, -1.0]]
APART = torch.tensor(WEIGHT[0]) - torch.tensor(WEIGHT[1])


@pytest.mark.parametrize("attack", [FGSM(0.25), BIM(0.25), PGD(0.25, random_start=False)])
def test_sign_steps_on_a_linear_model(attack):
    """Between two units, the best point of the box is epsilon * sign(w - w')."""
    start = plain.images((4,), n=2)
    result = plain.run(attack, plain.linear(WEIGHT), start, [0, 1])
    signs = torch.stack([APART.sign(), -APART.sign()])
    assert closeness(result.adversarial, start + 0.25 * signs) < 1e-6
    away = plain.run(attack, plain.linear(WEIGHT), start, [1, 0], targeted=False)
    assert closeness(away.adversarial, result.adversarial) < 1e-6


def test_random_start_does_not_matter_to_a_box_on_a_linear_model():
    """From wherever it begins, PGD ends in the best corner."""
    start = plain.images((4,), n=2)
    result = plain.run(PGD(0.25), plain.linear(WEIGHT), start, [0, 0])
    assert closeness(result.adversarial, start + 0.25 * APART.sign()) < 1e-6


def test_ball_on_a_linear_model():
    """PGD in the ball ends at epsilon * (w - w') / |w - w'| from the start."""
    start = plain.images((4,), n=2)
    best = start + 1.5 * APART / APART.norm()
    attack = PGD(1.5, "l2", random_start=False)
    found = plain.run(attack, plain.linear(WEIGHT), start, [0, 0])
    # At a confidence of 0.9998, differences to 1 have four digits left in float32.
    assert closeness(found.adversarial, best) < 1e-4
    long = PGD(1.5, "l2", step_size=1.5)
    noisy = plain.run(long, plain.linear(WEIGHT), start, [0, 0])
    assert closeness(noisy.adversarial, best) < 1e-3


def test_smallest_change_on_a_linear_model():
    """Where the lead of one unit is b, the other wins from a step of b / |w - w'| in L1 on."""
    start, least = torch.zeros(1, 4), 3.0 / float(APART.abs().sum())
    net = plain.linear(WEIGHT, [0.0, 3.0])
    result = plain.run(FGSM(epsilon=None), net, start, [1], targeted=False)
    size = float(result.adversarial.abs().max())
    assert least <= size <= least * 1.005
    assert result.stop_reason.tolist() == ["changed"]
    assert result.n_iter.tolist() == [1]


def test_search_says_what_it_did_not_find():
    """Rows that are right at once, out of reach, or without a gradient keep their own word."""
    dead = torch.nn.Sequential(torch.nn.ReLU(), plain.linear(WEIGHT, [0.0, 0.5]))
    start = torch.tensor([[1.0, 0, 0, 1], [-1, -1, -1, -1], [0.01, 0.5, 0.01, 0.01]])
    attack = FGSM(epsilon=None, clip=(-1, 0.5))
    result = plain.run(attack, dead, start, [0, 0, 0])
    assert result.stop_reason.tolist() == ["changed", "vanished_gradient", "changed"]
    assert result.n_iter.tolist() == [0, 0, 1]
    assert torch.equal(result.adversarial[:2], start[:2].clamp(-1, 0.5))
    far = plain.linear(WEIGHT, [0.0, 100.0])
    result = plain.run(attack, far, start, [0, 0, 0])
    assert result.stop_reason.tolist() == ["not_found"] * 3


# -------------------------------------------------------------------- bounds and grids

BOUNDED = [
    FGSM(0.3, clip=(0.1, 0.7)),
    FGSM(None, clip=(0.1, 0.7)),
    FGSM(0.3, clip=(0.1, 0.7), pixel_step=0.03),
    BIM(0.3, clip=(0.1, 0.7)),
    BIM(0.3, clip=(0.1, 0.7), pixel_step=0.03),
    PGD(0.3, clip=(0.1, 0.7)),
    PGD(2.0, "l2", clip=(0.1, 0.7)),
]


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("attack", BOUNDED)
def test_clip_is_never_left(attack, targeted):
    """No value passes a bound by a single bit, though the start does and the radius would."""
    start = plain.images(SHAPE, low=-1, high=2)
    result = plain.run(attack, plain.small_cnn(), start, CODES, targeted=targeted)
    low, high = torch.tensor([0.1, 0.7])
    assert result.adversarial.min() >= low
    assert result.adversarial.max() <= high
    assert result.adversarial.min() == low


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("attack", [FGSM(0.2), BIM(0.2), PGD(0.2), PGD(0.2, "l2")])
def test_radius_is_never_left(attack, targeted):
    """The change is as large as the radius, and larger by rounding alone."""
    start = plain.images(SHAPE)
    result = plain.run(attack, plain.small_cnn(), start, CODES, targeted=targeted)
    moved = (result.adversarial - start).flatten(1)
    order = 2 if getattr(attack, "norm", "") == "l2" else torch.inf
    sizes = torch.linalg.vector_norm(moved, order, dim=1)
    assert sizes.max() <= 0.2 + 2e-7
    assert sizes.min() >= 0.2 - 1e-3


@pytest.mark.parametrize("attack", [FGSM, BIM])
def test_values_are_whole_pixel_values(attack):
    """With a pixel step, values are whole pixel values and no farther away than epsilon."""
    pixels = torch.arange(64).reshape(1, *SHAPE) * 4
    start = (pixels / 255).repeat(6, 1, 1, 1)
    made = attack(epsilon=8 / 255, clip=(0, 1), pixel_step=1 / 255)
    result = plain.run(made, plain.small_cnn(), start, CODES)
    values = result.adversarial.double() * 255
    assert (values - values.round()).abs().max() < 1e-4
    assert ((values.round() - pixels).abs() <= 8).all()
    assert (values.round() - pixels).abs().max() == 8


def test_pixel_values_hold_between_the_grid():
    """A start between pixel values comes to one, within epsilon where it is one pixel value."""
    start = plain.images(SHAPE)
    for attack in (FGSM(0.1, pixel_step=0.1), BIM(0.1, pixel_step=0.1, n_steps=3)):
        found = plain.run(attack, plain.small_cnn(), start, CODES).adversarial
        assert closeness(found / 0.1, (found / 0.1).round()) < 1e-4
        assert closeness(found, start) <= 0.1 + 1e-3


# ------------------------------------------------------------------ random starts


def test_noise_in_the_box_is_uniform():
    """Every value is uniform within epsilon: its bounds, mean and variance."""
    noise = noise_in_box(torch.zeros(400, 5, 5), 2.0, plain.streams(400)).numpy()
    assert np.abs(noise).max() <= 2
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.var() == pytest.approx(4 / 3, rel=0.03)


def test_noise_in_the_ball_is_uniform():
    """The share of the volume within a row's radius is uniform in 0..1, and no side is favoured."""
    noise = noise_in_ball(torch.zeros(4000, 3), 2.0, plain.streams(4000)).numpy()
    share = (np.linalg.norm(noise, axis=1) / 2.0) ** 3
    assert share.max() <= 1 + 1e-6
    assert share.mean() == pytest.approx(1 / 2, abs=0.02)
    assert share.var() == pytest.approx(1 / 12, rel=0.06)
    assert np.abs(noise.mean(axis=0)).max() < 0.06


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_come_from_the_rows_own_generators(norm):
    """The same generators give the same bits, others others, and a row alone what it gave."""
    net, start = plain.tanh_net(), plain.images((1, 4, 4))
    attack = PGD(0.5, norm, step_size=0.01, n_steps=2)
    first = plain.run(attack, net, start, CODES).adversarial
    assert torch.equal(first, plain.run(attack, net, start, CODES).adversarial)
    other = plain.run(attack, net, start, CODES, rngs=plain.streams(6, seed=1)).adversarial
    assert all(closeness(a, b) > 1e-3 for a, b in zip(first, other, strict=True))
    for row in range(6):
        mine = plain.streams(6)[row : row + 1]
        alone = plain.run(attack, net, start[row : row + 1], CODES[row : row + 1], rngs=mine)
        assert closeness(alone.adversarial[0], first[row]) < 1e-6


# ------------------------------------------------------------- rows, stopping, NaN


@pytest.mark.parametrize(
    "attack",
    [FGSM(0.3), BIM(0.3), PGD(0.3, random_start=False), PGD(0.3, "l2", random_start=False)],
)
def test_zero_gradients_leave_their_rows_alone(attack):
    """A row without a gradient stays where it is, and the others go on as if alone."""
    dead = torch.nn.Sequential(torch.nn.ReLU(), plain.linear(WEIGHT))
    start = torch.tensor([[1.0, 2, 3, 4], [-1, -2, -3, -4], [4, 3, 2, 1]])
    result = plain.run(attack, dead, start, [1, 0, 1])
    assert torch.equal(result.adversarial[1], start[1])
    assert result.stop_reason.tolist() == ["max_iter", "vanished_gradient", "max_iter"]
    assert result.n_iter[1] == 0
    for row in (0, 2):
        alone = plain.run(attack, dead, start[row : row + 1], [1])
        assert closeness(alone.adversarial[0], result.adversarial[row]) < 1e-6


def test_unit_rows_are_safe():
    """Rows come to a length of 1 however short or long; zeros and infinities become zero."""
    rows = torch.tensor([[3e-38, 4e-38], [3e30, 4e30], [0.0, 0.0], [torch.inf, 1.0]])
    known = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.0, 0.0], [0.0, 0.0]])
    assert closeness(unit_rows(rows), known) < 1e-6


@pytest.mark.parametrize("attack", [FGSM(0.1), BIM(0.1), PGD(0.1), PGD(0.5, "l2")])
def test_rows_do_not_depend_on_their_batch(attack):
    """Each row's example is the same whatever its neighbours."""
    net, start = plain.small_cnn(), plain.images(SHAPE)
    together = plain.run(attack, net, start, CODES).adversarial
    backwards = plain.run(
        attack, net, start.flip(0), CODES[::-1], rngs=plain.streams(6)[::-1]
    ).adversarial.flip(0)
    assert closeness(together, backwards) < 1e-6


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")  # the net is not trained
@pytest.mark.parametrize("attack", [FGSM(), BIM(), PGD(n_steps=9), PGD(1.0, "l2", n_steps=9)])
def test_deterministic_mode_gives_the_same_bits(attack):
    """Patterns are the same to the bit for every batch size, norms and random starts included."""
    one, two = (
        extract_patterns(
            plain.small_cnn(),
            input_shape=SHAPE,
            strategy="noise",
            attack=attack,
            random_state=0,
            deterministic=True,
            batch_size=batch_size,
        )["pattern"].values
        for batch_size in (1, 3)
    )
    assert np.array_equal(one, two)


@pytest.mark.parametrize("attack", [BIM(n_steps=7), PGD(n_steps=7), PGD(norm="l2", n_steps=7)])
def test_steps_are_the_fewer_of_both(attack):
    """An attack takes its own number of steps, or `max_iter` where that is less."""
    net, start = plain.tanh_net(), plain.images((1, 4, 4))
    for max_iter, expected in ((1000, 7), (7, 7), (3, 3)):
        result = plain.run(attack, net, start, CODES, stop=Stop(max_iter=max_iter))
        assert result.n_iter.tolist() == [expected] * 6
        assert set(result.stop_reason) == {"max_iter"}


def test_stop_rule_is_asked():
    """A row whose start is good stays there; another stops at the step that made it good."""
    start = torch.tensor([[3.0, 0, 0, 3], [0, 0, 0, 0.0]])
    net, stop = plain.linear(WEIGHT), Stop(min_confidence=0.9)
    result = plain.run(FGSM(1.0), net, start, [0, 0], stop=stop)
    assert result.stop_reason.tolist() == ["min_confidence", "max_iter"]
    assert result.n_iter.tolist() == [0, 1]
    assert torch.equal(result.adversarial[0], start[0])
    result = plain.run(BIM(2.0, 0.1, 20), net, start, [0, 0], stop=stop)
    assert result.stop_reason.tolist() == ["min_confidence", "min_confidence"]
    # The logits part by 0.1 * |w - w'| per step, and must by log(9).
    assert result.n_iter.tolist() == [0, int(np.ceil(np.log(9) / (0.1 * APART.abs().sum().item())))]
    result = plain.run(FGSM(1.0), net, start, [0, 0], stop=Stop(max_loss=0.1))
    assert result.stop_reason.tolist() == ["max_loss", "max_iter"]


# ---------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    "attack, message",
    [
        (FGSM(0), "`epsilon` must be None or a positive number, got 0"),
        (FGSM(clip=(1, 0)), r"`clip` must be None or \(low, high\)"),
        (FGSM(pixel_step=-1), "`pixel_step` must be None or a positive number, got -1"),
        (FGSM(0.1, pixel_step=0.5), r"`epsilon` must be at least `pixel_step` \(0.5\)"),
        (BIM(None), "`epsilon` must be a positive number, got None"),
        (BIM(step_size=0), "`step_size` must be None or a positive number, got 0"),
        (BIM(n_steps=0), "`n_steps` must be a positive integer, got 0"),
        (BIM(1.0, 0.1, pixel_step=0.5), r"`step_size` must be at least `pixel_step`"),
        (PGD(float("nan")), "`epsilon` must be a positive number, got nan"),
        (PGD(norm="l1"), "`norm` must be one of linf, l2, got 'l1'"),
        (PGD(n_steps=2.5), "`n_steps` must be a positive integer, got 2.5"),
        (PGD(random_start=2), "`random_start` must be True or False, got 2"),
    ],
)
def test_bad_parameters_are_told(attack, message):
    """Each bad parameter is named with its value."""
    with pytest.raises(ParameterError, match=message):
        attack.validate()


def test_pgd_keeps_to_pixel_values():
    """Within a box every value is a whole multiple, and a radius below one is refused."""
    model = TorchModel(torch.nn.Linear(6, 3), input_shape=(6,))
    start = torch.arange(12.0).reshape(2, 6)
    target = Target(codes=torch.tensor([0, 1]), targeted=False)
    attack = PGD(epsilon=3, n_steps=10, pixel_step=1)
    rngs = [np.random.default_rng(row) for row in range(2)]
    with model.session():
        found = attack.run(model, start, target, Stop(), rngs).adversarial
    assert torch.equal(found, found.round())
    assert 0 < (found - start).abs().max() <= 3
    with pytest.raises(ParameterError, match="`epsilon` must be at least `pixel_step`"):
        PGD(epsilon=0.3, pixel_step=1).validate()
