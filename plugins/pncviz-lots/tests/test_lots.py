"""LOTS against its equations, one image at a time and by hand."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from pncviz import (
    AdversarialExampleGenerator,
    Stop,
    Target,
    extract_patterns,
    load_dataset,
    make_attack,
    make_classifier,
)
from pncviz.exceptions import ModelError, ParameterError
from pncviz.models import TorchModel
from pncviz.testing import check_attack
from pncviz_lots import LOTS
from pncviz_lots.goals import learn_goals
from pncviz_lots.representation import backpropagated

QUIET = pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
SHAPE, N_UNITS = (2, 6, 6), 4


@pytest.fixture(scope="module")
def net():
    """Fit a small seeded network with a convolution and named layers to four blobs."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = OrderedDict(
            conv=nn.Conv2d(2, 5, 3),
            relu=nn.ReLU(inplace=True),
            flat=nn.Flatten(),
            ip1=nn.Linear(80, 12),
            act=nn.Tanh(),
            ip2=nn.Linear(12, N_UNITS),
        )
        module = nn.Sequential(layers)
        X, y = (torch.tensor(part) for part in _data())
        optimizer = torch.optim.Adam(module.parameters(), 0.02)
        for _ in range(40):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(X), y).backward()
            optimizer.step()
    return module.eval()


@pytest.fixture(scope="module")
def model(net):
    """Give the network as attacks see it, in batches smaller than the data."""
    return TorchModel(net, input_shape=SHAPE, batch_size=7)


def _data():
    """Draw 60 samples in 0..1 of four classes, unequally many."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(size=(N_UNITS, *SHAPE))
    y = np.sort(rng.choice(N_UNITS, size=60, p=[0.4, 0.3, 0.2, 0.1]))
    X = np.clip(centres[y] + 0.2 * rng.normal(size=(60, *SHAPE)), 0, 1)
    return X.astype(np.float32), y.astype(np.int64)


def _run(model, attack, start, codes, *, targeted=True, max_iter=1000, data=None):
    attack.validate()
    attack.prepare(*(_data() if data is None else data))
    target = Target(codes=torch.as_tensor(codes), targeted=targeted)
    with model.session():
        return attack.run(model, start, target, Stop(max_iter=max_iter), [None] * len(start))


def _calls(model, x):
    with model.session(), torch.no_grad():
        return model.labels(x).numpy()


# ------------------------------------------------------------------ slow and plain


def _representation(net, x, layer):
    """Give one image's representation, by hand through the layers."""
    for name, part in net.named_children():
        x = part(x[None])[0].clone()
        if name == layer:
            break
    return x


def _slope(net, x, layer, difference):
    """B_l(difference) of one image: the slope of <f(x), difference>, by autograd."""
    x = x.clone().requires_grad_()
    (_representation(net, x, layer) * difference).sum().backward()
    return x.grad


def _place(net, layer, target, unit):
    """Find the target of a class, sample by sample."""
    X, y = (torch.tensor(part) for part in _data())
    own = [x for x, code in zip(X, y, strict=True) if code == unit]
    rest = [x for x, code in zip(X, y, strict=True) if code != unit]

    def mean(images):
        return torch.stack([_representation(net, x, layer) for x in images]).mean(dim=0)

    with torch.no_grad():
        return {
            "class_mean": lambda: mean(own),
            "mean_image": lambda: _representation(net, torch.stack(own).mean(dim=0), layer),
            "image": lambda: _representation(net, own[0], layer),
            "contrast": lambda: mean(own) - mean(rest),
        }[target]()


# ------------------------------------------------------------------------ directions


def test_a_linear_layer_goes_back_by_its_transpose():
    """Analytic: B_l(d) = W^T d, to the bit for whole numbers."""
    net = nn.Linear(3, 2)
    net.weight.data = torch.tensor([[1.0, -2.0, 3.0], [4.0, 0.0, -5.0]])
    model = TorchModel(net, input_shape=(3,))
    d = torch.tensor([[2.0, 7.0], [-1.0, 1.0]])
    for layer in ("", None):
        with model.session():
            found = backpropagated(model, torch.ones(2, 3), layer, lambda _: d)
        assert torch.equal(found, d @ net.weight)


def test_an_identity_layer_goes_straight_to_the_image():
    """Analytic: where the layer is the input, the direction is x_t - x_o."""
    net = nn.Sequential(OrderedDict(same=nn.Identity(), output=nn.Linear(5, 2)))
    rng = np.random.default_rng(0)
    images, start = rng.normal(size=(2, 5)), torch.tensor(rng.normal(size=(2, 5))).float()
    attack = LOTS(layer="same", target="image", targets=images, search="linf", epsilon=0.5)
    found = _run(TorchModel(net, input_shape=(5,)), attack, start, [1, 0], data=(None, None))
    way = torch.tensor(images[[1, 0]]).float() - start
    wanted = start + 0.5 * way / way.abs().amax(dim=1, keepdim=True)
    torch.testing.assert_close(found.adversarial, wanted)
    assert found.stop_reason.tolist() == ["max_iter"] * 2


@pytest.mark.parametrize("layer", ["conv", "ip1", "act", None])
@pytest.mark.parametrize("target", ["class_mean", "mean_image", "image", "contrast"])
def test_equation_3(net, model, layer, target):
    """Towards each kind of target at each layer: the plain gradient, one image at a time."""
    start, codes = torch.tensor(_data()[0][::13]), [3, 2, 1, 0, 3]
    attack = LOTS(layer=layer, target=target, search="linf", epsilon=0.1)
    found = _run(model, attack, start, codes).adversarial
    for x, code, moved in zip(start, codes, found, strict=True):
        place = _place(net, layer, target, code)
        origin = 0 if target == "contrast" else _representation(net, x, layer).detach()
        slope = _slope(net, x, layer, place - origin)
        wanted = x + 0.1 * slope / slope.abs().max()
        torch.testing.assert_close(moved, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mode, sign", [("magnify", 1), ("reduce", -1)])
def test_equation_4(net, model, mode, sign):
    """Magnified and reduced representations: the plain gradient of ±f(x_o); no data needed."""
    start = torch.tensor(_data()[0][::13])
    attack = LOTS(layer="conv", mode=mode, search="linf", epsilon=0.2)
    found = _run(model, attack, start, [0] * 5, targeted=False, data=(None, None)).adversarial
    for x, moved in zip(start, found, strict=True):
        slope = _slope(net, x, "conv", sign * _representation(net, x, "conv").detach())
        torch.testing.assert_close(moved, x + 0.2 * slope / slope.abs().max(), atol=1e-5, rtol=1e-4)


def test_magnified_grows_and_reduced_shrinks(model):
    """A small step along ±f(x_o) makes the representation longer, or shorter."""
    start = torch.tensor(_data()[0][::13])
    sizes = []
    for mode in ("reduce", "magnify"):
        attack = LOTS(layer="ip1", mode=mode, search="linf", epsilon=0.02)
        found = _run(model, attack, start, [0] * 5, targeted=False).adversarial
        with model.session(), torch.no_grad():
            sizes.append(model.activations(found, ["ip1"])["ip1"].norm(dim=1))
    with model.session(), torch.no_grad():
        before = model.activations(start, ["ip1"])["ip1"].norm(dim=1)
    assert (sizes[0] < before).all()
    assert (before < sizes[1]).all()


def test_untargeted_moves_to_the_nearest_other_class(net, model):
    """Untargeted, the target is the nearest class mean at the layer that is not the own one's."""
    X, y = _data()
    start, own = torch.tensor(X[::13]), y[::13]
    attack = LOTS(layer="act", search="linf", epsilon=0.1)
    found = _run(model, attack, start, own, targeted=False).adversarial
    places = [_place(net, "act", "class_mean", unit) for unit in range(N_UNITS)]
    for x, code, moved in zip(start, own, found, strict=True):
        origin = _representation(net, x, "act").detach()
        others = [unit for unit in range(N_UNITS) if unit != code]
        nearest = min(others, key=lambda unit: float((places[unit] - origin).norm()))
        slope = _slope(net, x, "act", places[nearest] - origin)
        torch.testing.assert_close(moved, x + 0.1 * slope / slope.abs().max(), atol=1e-5, rtol=1e-4)


# -------------------------------------------------------------------------- searches


def _hard(targeted):
    """Give starts, and units to reach that are not theirs, or to leave that are."""
    X, y = _data()
    start = torch.tensor(X[::5])
    return start, (y[::5] + targeted) % N_UNITS


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("options", [{}, {"clip": (0, 1), "pixel_step": 1 / 255}])
@pytest.mark.parametrize("n_adjustments", [1, 3])
def test_batched_search_is_the_search_of_each(model, targeted, options, n_adjustments):
    """A row among others comes out as it does alone."""
    start, codes = _hard(targeted)
    attack = LOTS(layer="ip1", n_adjustments=n_adjustments, **options)
    found = _run(model, attack, start, codes, targeted=targeted)
    for row in range(len(start)):
        alone = _run(model, attack, start[[row]], codes[[row]], targeted=targeted)
        torch.testing.assert_close(
            alone.adversarial[0], found.adversarial[row], atol=1e-5, rtol=1e-4
        )
        assert alone.n_iter[0] == found.n_iter[row]
        assert alone.stop_reason[0] == found.stop_reason[row]


@pytest.mark.parametrize("targeted", [True, False])
def test_changed_means_changed(model, targeted):
    """Every row that says so is called as asked, and no other; most are."""
    start, codes = _hard(targeted)
    found = _run(model, LOTS(layer="act"), start, codes, targeted=targeted)
    there = (_calls(model, found.adversarial) == codes) == targeted
    np.testing.assert_array_equal(found.stop_reason == "changed", there)
    assert there.mean() > 0.7


def test_the_smallest_change_is_on_the_edge(model):
    """A hundredth less far along the line, the label is not yet what was asked."""
    start, codes = _hard(True)
    found = _run(model, LOTS(layer="ip1"), start, codes)
    changed = (found.stop_reason == "changed") & (found.n_iter > 0)
    assert changed.sum() >= 5
    less = start + 0.99 * (found.adversarial - start)
    assert (_calls(model, less)[changed] != codes[changed]).all()


def test_what_is_as_asked_stays(model):
    """A start that the model already calls its target is kept, in 0 steps."""
    X, _ = _data()
    start = torch.tensor(X[::9])
    found = _run(model, LOTS(), start, _calls(model, start))
    assert torch.equal(found.adversarial, start)
    assert found.n_iter.tolist() == [0] * len(start)


def _search(net, start, direction, unit, limit=1024.0):
    """Search one line as the core says it does: growth by a root of 2, then eight halvings."""
    direction = direction / direction.abs().max()

    def called(magnitude):
        return int(net((start + magnitude * direction)[None]).argmax()) == unit

    low = 0.0
    if called(0.0):
        return 0.0
    for step in range(24, -1, -1):
        high = limit * 2 ** (-step / 2)
        if called(high):
            break
        low = high
    else:
        return None
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (low, middle) if called(middle) else (middle, high)
    return high


def test_step_and_adjust(net, model):
    """Three searches, each from a third, then half, of the way found before: the plain loop."""
    start, codes = _hard(True)
    found = _run(model, LOTS(layer="ip1", n_adjustments=3), start, codes)
    compared = 0
    for row, (x, code) in enumerate(zip(start, codes, strict=True)):
        place, origin, sizes = _place(net, "ip1", "class_mean", code), x, []
        for left in (3, 2, 1):
            slope = _slope(net, x, "ip1", place - _representation(net, x, "ip1").detach())
            far = _search(net, x, slope, code)
            if far is None:
                break
            slope = slope / slope.abs().max()
            sizes.append(float((x + far * slope - origin).abs().max()))
            x = x + far / left * slope
        else:
            size = float((found.adversarial[row] - origin).abs().max())
            assert size == pytest.approx(min(sizes), rel=1e-3, abs=1e-4)
            assert found.n_iter[row] == (int(np.argmin(sizes)) + 1 if min(sizes) else 0)
            compared += 1
    assert compared >= 6


def test_adjusted_changes_are_no_larger(model):
    """Step and adjust reaches what one direction reaches, with changes at most as large."""
    start, codes = _hard(True)
    once, thrice = (_run(model, LOTS(layer="conv", n_adjustments=n), start, codes) for n in (1, 3))
    reached = once.stop_reason == "changed"
    assert (thrice.stop_reason[reached] == "changed").all()
    sizes = [(run.adversarial - start).abs().flatten(1).amax(1).numpy() for run in (once, thrice)]
    assert (sizes[1][reached] <= sizes[0][reached]).all()
    assert (sizes[1][reached] < 0.99 * sizes[0][reached]).any()


def test_adjusting_a_straight_line_changes_nothing():
    """Analytic: of two classes, a linear model and a contrast, there is one line and one edge."""
    net = nn.Linear(6, 2)
    net.weight.data = torch.tensor([[1.0, -2, 0, 3, 1, -1], [0.0, 1, 2, -1, -3, 1]])
    net.bias.data = torch.tensor([0.5, -0.5])
    X = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    model = TorchModel(net, input_shape=(6,))
    start, y = torch.tensor(X[:8]), _calls(model, torch.tensor(X))
    runs = [
        _run(model, LOTS(target="contrast", n_adjustments=n), start, 1 - y[:8], data=(X, y))
        for n in (1, 4)
    ]
    way = net.weight[1] - net.weight[0]
    scores = (start @ way + net.bias[1] - net.bias[0]).detach().numpy()
    means = [X[y == unit].mean(axis=0) @ net.weight.detach().numpy().T for unit in (0, 1)]
    line = (means[1] - means[0]) @ net.weight.detach().numpy()
    line = line / np.abs(line).max()
    wanted = np.abs(scores / (line @ way.detach().numpy()))
    for run in runs:
        assert run.stop_reason.tolist() == ["changed"] * 8
        sizes = (run.adversarial - start).abs().amax(dim=1).numpy()
        np.testing.assert_allclose(sizes, wanted, rtol=0.003, atol=0.001)


def test_adjusted_steps_to_a_given_distance(net, model):
    """With "linf", n equal steps, each along the slope where it begins: the plain loop."""
    start, codes = torch.tensor(_data()[0][::13]), [3, 2, 1, 0, 3]
    attack = LOTS(layer="ip1", search="linf", epsilon=0.3, n_adjustments=3, clip=(0, 1))
    found = _run(model, attack, start, codes)
    for x, code, moved in zip(start, codes, found.adversarial, strict=True):
        place = _place(net, "ip1", "class_mean", code)
        for _ in range(3):
            slope = _slope(net, x, "ip1", place - _representation(net, x, "ip1").detach())
            x = (x + 0.1 * slope / slope.abs().max()).clamp(0, 1)
        torch.testing.assert_close(moved, x, atol=1e-5, rtol=1e-4)
    assert found.n_iter.tolist() == [3] * 5


def test_max_iter_bounds_the_adjustments(model):
    """No more directions are computed than ``max_iter`` allows."""
    start, codes = _hard(True)
    few = _run(model, LOTS(n_adjustments=5), start, codes, max_iter=2)
    same = _run(model, LOTS(n_adjustments=2), start, codes)
    assert torch.equal(few.adversarial, same.adversarial)
    assert few.n_iter.max() <= 2


@pytest.mark.parametrize("search", [{}, {"search": "linf", "epsilon": 0.3}])
def test_pixel_values_stay_valid(model, search):
    """With a clip range and a step, starts are clipped and results whole pixel values."""
    start, codes = _hard(True)
    attack = LOTS(clip=(0.0, 1.0), pixel_step=1 / 255, n_adjustments=2, **search)
    bad = start * 1.5 - 0.2
    found = _run(model, attack, bad, codes).adversarial
    assert torch.equal(found, _run(model, attack, bad.clamp(0, 1), codes).adversarial)
    assert found.min() >= 0
    assert found.max() <= 1
    pixels = (found * 255).numpy()
    np.testing.assert_allclose(pixels, np.rint(pixels), atol=1e-3)


def test_no_gradient_is_told():
    """Behind a dead unit there is no direction: the start is kept, and the reason says so."""
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    net[0].weight.data.abs_()
    net[0].bias.data = torch.full((3,), -100.0)
    model = TorchModel(net, input_shape=(4,))
    X, y = np.ones((4, 4), np.float32), np.array([0, 1, 0, 1])
    away = 1 - _calls(model, torch.ones(2, 4))
    for options in ({}, {"search": "linf", "epsilon": 1.0}):
        found = _run(model, LOTS(layer="1", **options), torch.ones(2, 4), away, data=(X, y))
        assert found.stop_reason.tolist() == ["vanished_gradient"] * 2
        assert torch.equal(found.adversarial, torch.ones(2, 4))


# --------------------------------------------------------------------------- targets


def test_targets_do_not_depend_on_batches():
    """Class means are the same to the bit in batches of any size."""
    goals = []
    for batch_size in (1, 60):
        model = TorchModel(nn.Flatten(), input_shape=SHAPE, batch_size=batch_size)
        with model.session():
            goals.append(learn_goals(model, None, "class_mean", _data()))
    assert torch.equal(goals[0].place, goals[1].place)


def test_targets_are_computed_once(net, model):
    """The data pass through the network in the first run alone, and again once prepared anew."""
    seen = []
    hook = net.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    attack, (X, y) = LOTS(layer="ip1", search="linf", epsilon=0.1), _data()
    attack.prepare(X, y)
    start, target = torch.tensor(X[:2]), Target(codes=torch.tensor([1, 2]))
    counts = []
    with model.session():
        for again in (False, False, True):
            if again:
                attack.prepare(X, y)
            seen.clear()
            attack.run(model, start, target, Stop(), [None, None])
            counts.append(sum(seen))
    hook.remove()
    assert min(counts[0], counts[2]) >= 60
    assert counts[1] < 10


def test_prepared_anew_forgets(model):
    """Targets are those of the data prepared last."""
    X, y = _data()
    start = torch.tensor(X[:1])
    attack = LOTS(search="linf", epsilon=0.1)
    first = _run(model, attack, start, [3]).adversarial
    swapped = _run(model, attack, start, [2], data=(X, np.where(y == 3, 2, np.where(y == 2, 3, y))))
    assert torch.equal(first, swapped.adversarial)


def test_another_model_has_its_own_targets(model):
    """What was learnt of one model is not used for another."""
    X, _ = _data()
    start = torch.tensor(X[:2])
    with torch.random.fork_rng():
        torch.manual_seed(5)
        other = TorchModel(nn.Sequential(nn.Flatten(), nn.Linear(72, N_UNITS)), input_shape=SHAPE)
    fresh = _run(other, LOTS(search="linf", epsilon=0.1), start, [1, 2]).adversarial
    attack = LOTS(search="linf", epsilon=0.1)
    _run(model, attack, start, [1, 2])
    with other.session():
        target = Target(codes=torch.tensor([1, 2]))
        again = attack.run(other, start, target, Stop(), [None, None]).adversarial
    assert torch.equal(fresh, again)


def test_without_targets(model):
    """No data, no sample of the class, no other class, or images that do not fit are refused."""
    X, y = _data()
    start = torch.tensor(X[:1])
    with pytest.raises(ParameterError, match="give X and y along with the attack"):
        _run(model, LOTS(), start, [0], data=(None, None))
    with pytest.raises(ParameterError, match="give X and y along with the attack"):
        _run(model, LOTS(), start, [0], data=(X, None))
    some = y != 2
    with pytest.raises(ParameterError, match=r"no target for the output units \[2\]"):
        _run(model, LOTS(), start, [2], data=(X[some], y[some]))
    with pytest.raises(ParameterError, match="no target of another class"):
        _run(model, LOTS(), start, [0], targeted=False, data=(X[y == 0], y[y == 0]))
    with pytest.raises(ParameterError, match=r"no target for the output units \[0\]"):
        _run(model, LOTS(target="contrast"), start, [0], data=(X[y == 0], y[y == 0]))
    with pytest.raises(ParameterError, match=r"`targets` must be finite numbers of shape \(4, 2"):
        _run(model, LOTS(target="image", targets=X[:3]), start, [0])
    with pytest.raises(ModelError, match='No layer "conv7"'):
        _run(model, LOTS(layer="conv7"), start, [0])


class Turned(nn.Module):
    """A layer that mixes rows, and one that the input does not reach."""

    def __init__(self):
        super().__init__()
        self.turned, self.apart, self.output = nn.Identity(), nn.Identity(), nn.Linear(4, 3)

    def forward(self, x):
        """Give logits."""
        self.turned(x.T)
        self.apart(x.detach())
        return self.output(x)


def test_layers_without_a_way_back():
    """A layer without a row for each input, or without a gradient, is refused by name."""
    model, start = TorchModel(Turned(), input_shape=(4,)), torch.zeros(1, 4)
    with pytest.raises(ModelError, match='Layer "turned" gives'):
        _run(model, LOTS(layer="turned", mode="reduce"), start, [0])
    with pytest.raises(ModelError, match='No gradient leads from the layer "apart"'):
        _run(model, LOTS(layer="apart", mode="reduce"), start, [0])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": 3}, "`layer` must be None or the name of a layer, got 3"),
        ({"target": "mean"}, "`target` must be one of class_mean, mean_image, contrast, image"),
        ({"mode": "grow"}, "`mode` must be one of target, magnify, reduce, got 'grow'"),
        ({"search": None}, "`search` must be one of smallest, linf, got None"),
        ({"search": "linf"}, '`epsilon` belongs to search="linf", which needs it'),
        ({"epsilon": 0.1}, '`epsilon` belongs to search="linf"'),
        ({"search": "linf", "epsilon": -1}, "`epsilon` must be None or a positive number, got -1"),
        ({"targets": [1]}, '`targets` are images, for target="image"'),
        ({"n_adjustments": 0}, "`n_adjustments` must be a positive integer, got 0"),
        ({"clip": (1, 0)}, r"`clip` must be None or \(low, high\)"),
        ({"pixel_step": 0}, "`pixel_step` must be None or a positive number, got 0"),
        ({"limit": 0}, "`limit` must be None or a positive number, got 0"),
    ],
)
def test_bad_parameters(options, message):
    """Each bad parameter is named with its value."""
    with pytest.raises(ParameterError, match=message):
        LOTS(**options).validate()


# ----------------------------------------------------------------- as its users use it


@QUIET
@pytest.mark.parametrize("strategy", ["zero", "noise", "aai"])
@pytest.mark.parametrize("layer", ["hidden", None])
def test_in_every_strategy(strategy, layer):
    """LOTS is an attack like any other, at a hidden layer as at the logits."""
    data = load_dataset("tiling")
    shape = data.X.shape[1:]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = int(np.prod(shape))
        net = nn.Sequential(
            OrderedDict(flat=nn.Flatten(), hidden=nn.Linear(size, 8), out=nn.Linear(8, 4))
        )
    attack = make_attack("lots", layer=layer)
    patterns = extract_patterns(
        net, strategy=strategy, attack=attack, X=data.X, y=data.y, random_state=0
    )
    assert patterns["pattern"].shape == (4, *shape)
    assert set(patterns["stop_reason"].values) <= {"changed", "not_found"}
    same = extract_patterns(
        net, strategy=strategy, attack=attack, X=data.X, y=data.y, random_state=0, labels=[2],
        batch_size=1,
    )  # fmt: skip
    np.testing.assert_allclose(
        same["pattern"].sel(label=2), patterns["pattern"].sel(label=2), atol=1e-4, rtol=1e-3
    )


@QUIET
def test_labels_are_units(net):
    """Targets belong to the labels whatever these are called, in whatever order."""
    X, y = _data()
    names = np.array(["owl", "cat", "emu", "bee"])
    attack = make_attack("lots", layer="ip1", target="contrast", search="linf", epsilon=1.0)
    plain = extract_patterns(net, attack=attack, X=X, y=y)
    named = extract_patterns(net, attack=attack, X=X, y=names[y], classes=names)
    for unit, name in enumerate(names):
        found = named["pattern"].sel(label=name).values
        np.testing.assert_array_equal(found, plain["pattern"].sel(label=unit).values)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layer": "hidden", "n_adjustments": 3},
        {"layer": "activation", "target": "contrast"},
        {"layer": "hidden", "target": "mean_image", "pixel_step": 1 / 255},
        {"layer": "flatten", "target": "image"},
        {"layer": "hidden", "mode": "reduce"},
        {"search": "linf", "epsilon": 0.5, "n_adjustments": 4},
    ],
)
def test_keeps_the_contract(options):
    """All that pncviz asks of attacks holds, with data whose classes the model can tell."""
    check_attack(make_attack("lots", **options))


def test_adjustments_keep_the_limit():
    """However often the direction is taken anew, no change is larger than the limit."""
    data = load_dataset("digits")
    net = make_classifier("fc", hidden=[16], max_epochs=3)
    torch.manual_seed(0)
    net.fit(data.X, data.y)
    X, y = data.X[:30], data.y[:30]
    for n in (1, 5):
        attack = LOTS(layer="layers.0", limit=0.15, n_adjustments=n)
        generator = AdversarialExampleGenerator(FrozenEstimator(net), attack=attack)
        generator.fit(data.X, data.y).generate(X, y)
        assert generator.examples_["linf"].max() <= 0.15 + 1e-6
