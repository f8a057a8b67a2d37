"""Small nets, and slow, plain re-implementations that the attacks are compared with."""

import warnings

import numpy as np
import torch

from pncviz.models import TorchModel
from pncviz.specs import Stop, Target

N_UNITS = 3


def seeded(make):
    """Give a module with the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def tanh_net(n_inputs=16):
    """Give a smooth net without zero gradients, for images or tables of so many values."""
    return seeded(
        lambda: torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(n_inputs, 12),
            torch.nn.Tanh(),
            torch.nn.Linear(12, N_UNITS),
        )
    )


def small_cnn():
    """Give a convolutional net for images of shape (1, 8, 8)."""
    return seeded(
        lambda: torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(36, N_UNITS),
        )
    )


def linear(weight, bias=None):
    """Give a linear model with these weights."""
    weight = torch.as_tensor(weight, dtype=torch.float32)
    net = torch.nn.Linear(weight.shape[1], weight.shape[0])
    net.weight.data = weight
    net.bias.data = torch.zeros(len(weight)) if bias is None else torch.as_tensor(bias)
    return torch.nn.Sequential(torch.nn.Flatten(), net)


def streams(n, seed=0):
    """Give one generator per row."""
    return [np.random.default_rng([seed, row]) for row in range(n)]


def images(shape, n=6, low=0.0, high=1.0, seed=1):
    """Give uniform noise between two bounds."""
    values = np.random.default_rng(seed).uniform(low, high, (n, *shape))
    return torch.tensor(values, dtype=torch.float32)


def run(attack, net, start, codes, *, targeted=True, rngs=None, stop=None):
    """Give an attack's result on a bare net, its parameters checked as pncviz does."""
    attack.validate()
    model = TorchModel(net, input_shape=tuple(start.shape[1:]), output="logits")
    rngs = streams(len(start)) if rngs is None else rngs
    target = Target(codes=torch.as_tensor(codes), targeted=targeted)
    with model.session():
        return attack.run(model, start, target, stop or Stop(), rngs)


def quietly(action):
    """Do something with a library whose own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return action()


# ------------------------------------------------------------------- plain and slow


def cross_entropy_one(net, x, unit):
    """Give the loss of one input, straight from the formula."""
    logits = net(x[None])[0]
    return torch.logsumexp(logits, 0) - logits[unit]


def gradient_one(net, x, unit, targeted):
    """Give the gradient of one input's loss, or of minus it to get away from the unit."""
    x = x.detach().clone().requires_grad_()
    loss = cross_entropy_one(net, x, unit)
    return torch.autograd.grad(loss if targeted else -loss, x)[0]


def box_one(net, start, unit, *, epsilon, step_size, n_steps, targeted=True, clip=None):
    """Take sign steps within a box, value by value."""
    x = start.clone()
    for _ in range(n_steps):
        gradient = gradient_one(net, x, unit, targeted)
        moved = []
        for value, slope, centre in zip(
            x.flatten(), gradient.flatten(), start.flatten(), strict=True
        ):
            sign = (slope > 0).float() - (slope < 0).float()
            new = value - step_size * sign
            new = min(max(new, centre - epsilon), centre + epsilon)
            moved.append(new if clip is None else min(max(float(new), clip[0]), clip[1]))
        x = torch.tensor([float(value) for value in moved]).reshape(start.shape)
    return x


def ball_one(net, start, unit, *, epsilon, step_size, n_steps, targeted=True, clip=None):
    """Step along the normalised gradient within a Euclidean ball, in float64."""
    centre = start.double().numpy()
    x = centre.copy()
    for _ in range(n_steps):
        gradient = gradient_one(net, torch.tensor(x).float(), unit, targeted).double().numpy()
        x = x - step_size * gradient / np.sqrt((gradient**2).sum())
        moved = x - centre
        length = np.sqrt((moved**2).sum())
        x = centre + moved * (epsilon / length if length > epsilon else 1)
        x = x if clip is None else np.minimum(np.maximum(x, clip[0]), clip[1])
    return torch.tensor(x).float()


def ascent_one(
    net, start, unit, *, learning_rate, n_steps, l2=0.0, total_variation=0.0, jitter=0,
    targeted=True, rng=None,
):  # fmt: skip
    """Climb one score by automatic differentiation of the whole objective."""
    x = start.clone()
    for _ in range(n_steps):
        x.requires_grad_()
        down, right = rng.integers(-jitter, jitter + 1, 2).tolist() if jitter else (0, 0)
        score = net(torch.roll(x, (down, right), (-2, -1))[None])[0, unit]
        rough = sum((x.diff(dim=dim).abs()).sum() for dim in (-2, -1)) if total_variation else 0
        objective = (score if targeted else -score) - l2 * (x**2).sum() - total_variation * rough
        (gradient,) = torch.autograd.grad(objective, x)
        x = (x + learning_rate * gradient).detach()
    return x
