"""Small models, and slow, plain re-implementations that the attacks are compared with."""

import functools
import math
import warnings

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from pncviz import load_dataset
from pncviz.models import ProbabilityModel, QueriedModel, TorchModel
from pncviz.specs import Stop, Target
from pncviz_blackbox.directions import make_source

N_UNITS = 3
BLOCK = 128


def seeded(make):
    """Give a module with the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def tanh_net(n_inputs=16):
    """Give a smooth net of float64, for images or tables of so many values."""
    return seeded(
        lambda: torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(n_inputs, 12),
            torch.nn.Tanh(),
            torch.nn.Linear(12, N_UNITS),
        )
    ).double()


def linear(weight, bias=None):
    """Give a linear model of float64 with these weights."""
    weight = torch.as_tensor(weight, dtype=torch.float64)
    net = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    net.weight.data = weight
    net.bias.data = torch.as_tensor(
        np.zeros(len(weight)) if bias is None else bias, dtype=torch.float64
    )
    return torch.nn.Sequential(torch.nn.Flatten(), net)


def unlikely(weight):
    """Give a linear model whose first unit is so unlikely that its cross-entropy is linear, too.

    Of two units, the loss is their difference of scores, and its gradient that of their weights.
    """
    return linear(weight, [-20.0, 0.0])


def streams(n, seed=0):
    """Give one generator per row."""
    return [np.random.default_rng([seed, row]) for row in range(n)]


def images(shape, n=6, low=0.0, high=1.0, seed=1):
    """Give uniform noise between two bounds."""
    values = np.random.default_rng(seed).uniform(low, high, (n, *shape))
    return torch.tensor(values)


def asked(net, shape, **options):
    """Give a model of which every question is counted."""
    if isinstance(net, torch.nn.Module):
        return QueriedModel(TorchModel(net, input_shape=shape, output="logits", **options))
    return QueriedModel(ProbabilityModel(net, input_shape=shape, **options))


def run(attack, net, start, codes, *, targeted=True, rngs=None, stop=None, **options):
    """Give an attack's result, its parameters and its count of questions checked."""
    attack.validate()
    model = asked(net, tuple(start.shape[1:]), **options)
    rngs = streams(len(start)) if rngs is None else rngs
    target, stop = Target(codes=torch.as_tensor(codes), targeted=targeted), stop or Stop()
    with model.session():
        result = attack.run(model, start.to(model.dtype), target, stop, rngs)
    assert result.n_queries.sum() == model.n_queries
    if stop.max_queries is not None:
        assert result.n_queries.max() <= stop.max_queries
    assert result.n_iter.max() <= stop.max_iter
    return result


def quietly(action):
    """Do something with a library whose own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return action()


@functools.cache
def digits():
    """Give a small net of float32, trained on digits in a second, and test images it knows."""
    data = load_dataset("digits")
    X, y = torch.tensor(data.X), torch.tensor(data.y)
    net = seeded(
        lambda: torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 40), torch.nn.ReLU(), torch.nn.Linear(40, 10)
        )
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
    X, y = torch.tensor(data.X_test), torch.tensor(data.y_test)
    known = net(X).argmax(dim=1) == y
    return net, X[known][:30], y[known][:30]


@functools.cache
def digits_classifier():
    """Give a fitted logistic regression on flat digits."""
    data = load_dataset("digits")
    return LogisticRegression(max_iter=500).fit(data.X.reshape(len(data.X), -1), data.y)


# ------------------------------------------------------------------- plain and slow


def loss_one(net, x, unit, *, targeted=True, loss="cross_entropy"):
    """Give the loss of one flat input, straight from the formula."""
    with torch.no_grad():
        p = net(torch.as_tensor(x, dtype=torch.float64)[None])[0].softmax(0).numpy()
    if loss == "squared_error":
        value = sum((p[i] - (i == unit)) ** 2 for i in range(len(p)))
    else:
        value = -math.log(p[unit])
    return value if targeted else -value


def lead_one(net, x, unit, targeted):
    """Give the lead of the likeliest other unit, or of the unit itself, as scores."""
    with torch.no_grad():
        scores = net(torch.as_tensor(x, dtype=torch.float64)[None])[0].tolist()
    other = max(score for i, score in enumerate(scores) if i != unit)
    return other - scores[unit] if targeted else scores[unit] - other


def directions(kind, rng, n, d):
    """Draw all directions as the attacks do: in blocks."""
    source = make_source(kind, rng)
    return lambda: np.concatenate(
        [source(min(BLOCK, n - first), d).double().numpy() for first in range(0, n, BLOCK)]
    )


def estimate_one(net, x, unit, drawn, *, sigma, antithetic=True, **options):
    """Estimate one gradient, direction by direction."""
    x, total = np.asarray(x, dtype=np.float64), 0.0
    if antithetic:
        for u in drawn:
            ahead = loss_one(net, x + sigma * u, unit, **options)
            behind = loss_one(net, x - sigma * u, unit, **options)
            total = total + (ahead - behind) / (2 * sigma) * u
        return total / len(drawn)
    losses = np.array([loss_one(net, x + sigma * u, unit, **options) for u in drawn])
    for value, u in zip(losses, drawn, strict=True):
        total = total + (value - losses.mean()) / sigma * u
    return total / (len(drawn) - 1)


def descent_one(
    net, start, unit, draw, *, n_steps, rate, width, momentum=0.0, sign=False, epsilon=None,
    clip=None, **options,
):  # fmt: skip
    """Descend one estimated gradient, value by value."""
    centre = np.asarray(start, dtype=np.float64)
    centre = centre if clip is None else np.clip(centre, *clip)
    x, velocity = centre.copy(), np.zeros_like(centre)
    for k in range(n_steps):
        velocity = momentum * velocity + estimate_one(
            net, x, unit, draw(), sigma=width(k), **options
        )
        for i in range(len(x)):
            step = np.sign(velocity[i]) if sign else velocity[i]
            x[i] = x[i] - rate(k) * step
            if epsilon is not None:
                x[i] = min(max(x[i], centre[i] - epsilon), centre[i] + epsilon)
            if clip is not None:
                x[i] = min(max(x[i], clip[0]), clip[1])
    return x


#: (first proposal out of 10 000 from which on it holds, share of p): Andriushchenko et al., 5.1.
SCHEDULE = (
    *((0, 1), (11, 2), (51, 4), (201, 8), (501, 16), (1001, 32), (2001, 64), (4001, 128)),
    *((6001, 256), (8001, 512)),
)


def square_one(net, start, unit, rng, *, epsilon, p, n_steps, targeted, loss, clip=None):
    """Search one image (channels, rows, columns) by squares, as the paper's algorithm 1 and 2."""

    def bounded(value):
        return value if clip is None else min(max(value, clip[0]), clip[1])

    def ask(image):
        lead = lead_one(net, image.ravel(), unit, targeted)
        nats = loss_one(net, image.ravel(), unit, targeted=targeted)
        return (lead if loss == "margin" else nats), lead

    start = np.vectorize(bounded)(np.asarray(start, dtype=np.float64))
    channels, rows, columns = start.shape
    best, n_queries = start.copy(), 1
    goal, lead = ask(start)
    for k in range(n_steps):
        if lead < 0:
            break
        new = best.copy()
        if k == 0:
            signs = rng.choice((-1.0, 1.0), (channels, 1, columns))
            for c, i, j in np.ndindex(*start.shape):
                new[c, i, j] = bounded(start[c, i, j] + epsilon * signs[c, 0, j])
        else:
            progress = int((k - 1) / n_steps * 10_000)
            divisor = [part for first, part in SCHEDULE if progress >= first][-1]
            side = round(math.sqrt(p / divisor * rows * columns))
            side = min(max(side, 1), max(min(rows, columns) - 1, 1))
            top, left = rng.integers(0, rows - side + 1), rng.integers(0, columns - side + 1)
            while True:
                signs = rng.choice((-1.0, 1.0), (channels, 1, 1))
                for c in range(channels):
                    for i in range(top, top + side):
                        for j in range(left, left + side):
                            new[c, i, j] = bounded(start[c, i, j] + epsilon * signs[c, 0, 0])
                if np.abs(new - best).max() >= 1e-7:
                    break
        found, found_lead = ask(new)
        n_queries += 1
        if k == 0 or found < goal:
            best, goal, lead = new, found, found_lead
    return best, n_queries


def boundary_one(net, start, unit, first, source, *, n_steps, targeted, n_halvings=10, clip=None):
    """Walk one row along the boundary, from a first point that is as asked."""

    def bounded(x):
        return x if clip is None else np.minimum(np.maximum(x, clip[0]), clip[1])

    def there(x):
        return lead_one(net, x, unit, targeted) < 0

    start, x = np.asarray(start, dtype=np.float64), np.asarray(first, dtype=np.float64)
    outside = start
    for _ in range(n_halvings):
        middle = (outside + x) / 2
        if there(middle):
            x = middle
        else:
            outside = middle
    spherical = towards = 0.01
    spheres, steps = [], []
    for k in range(n_steps):
        way = start - x
        distance = math.sqrt(way @ way)
        unit_way = way / distance
        eta = source(1, len(x))[0].double().numpy()
        eta = eta - (eta @ unit_way) * unit_way
        eta = eta / math.sqrt(eta @ eta) * spherical * distance
        on_sphere = bounded(start + (eta - way) / math.sqrt(1 + spherical**2))
        rest = start - on_sphere
        length = math.sqrt(rest @ rest)
        new = bounded(on_sphere + rest / length * max(towards * distance + length - distance, 0))
        if k % 5 == 0:
            spheres.append(there(on_sphere))
        steps.append(there(new) and (start - new) @ (start - new) < way @ way)
        if steps[-1]:
            x = new
        if len(spheres) == 20:
            factor = 1.5 if sum(spheres) > 10 else 1 / 1.5 if sum(spheres) < 4 else 1
            spherical, towards, spheres = spherical * factor, towards * factor, []
        if len(steps) == 30:
            towards *= 1.5 if sum(steps) > 7.5 else 1 / 1.5 if sum(steps) < 3 else 1
            steps = []
        towards = min(towards, 1.0)
    return x
