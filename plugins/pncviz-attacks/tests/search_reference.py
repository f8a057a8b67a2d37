"""A small net for digits, and slow, plain re-implementations of the attacks that search."""

import functools

import numpy as np
import torch
from attacks_reference import run, seeded
from scipy.optimize import minimize

from pncviz import load_dataset


@functools.cache
def digits():
    """Give a small net, trained on digits in a second, and test images that it knows."""
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
    return net, X[known][:40], y[known][:40]


def successes(attack, *, targeted):
    """Attack digits, hold each row's claim to the net's own answer, and give who succeeded."""
    net, X, y = digits()
    codes = (y + 1) % 10 if targeted else y
    result = run(attack, net, X, codes, targeted=targeted)
    with torch.no_grad():
        labels = net(result.adversarial).argmax(dim=1)
    there = (labels == codes if targeted else labels != codes).numpy()
    np.testing.assert_array_equal(result.stop_reason == "changed", there)
    if attack.clip is not None:
        low, high = torch.tensor(attack.clip, dtype=X.dtype)
        assert result.adversarial.min() >= low
        assert result.adversarial.max() <= high
    return there


def first_change(net, start, direction, unit, targeted, *, n=20001):
    """Give the first of many finely spaced points of a line that the net calls as asked."""
    magnitudes = torch.tensor(np.geomspace(1e-2, 16, n), dtype=start.dtype)
    points = start + magnitudes[:, None] * (direction / direction.abs().max()).flatten()
    with torch.no_grad():
        there = (net(points).argmax(dim=1) == unit) == targeted
    assert there.any()
    return float(magnitudes[there.nonzero()[0, 0]])


def hot_cold_one(net, start, hot, cold):
    """Give the direction of one row, from the whole Jacobian."""
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x[None])[0], start)
    scores = net(start[None])[0].detach()
    return abs(scores[hot]) * jacobian[hot] - abs(scores[cold]) * jacobian[cold]


def deepfool_one(net, start, unit, *, targeted, n_steps=50, overshoot=0.02, margin=1e-4):
    """Step one row to its nearest boundary, class by class."""
    x, total, n_iter = start.clone(), torch.zeros_like(start), 0
    for _ in range(n_steps):
        scores = net(x[None])[0].detach()
        label = int(scores.argmax())
        if (label == unit) == targeted:
            break
        jacobian = torch.autograd.functional.jacobian(lambda x: net(x[None])[0], x)
        pairs = [(label, unit)]
        if not targeted:
            pairs = [(unit, other) for other in range(len(scores)) if other != unit]
        steps = []
        for away, towards in pairs:
            normal = jacobian[towards] - jacobian[away]
            distance = abs(scores[towards] - scores[away]) / normal.norm()
            steps.append((float(distance), normal / normal.norm()))
        distance, normal = min(steps, key=lambda step: step[0])
        total = total + (distance + margin) * normal
        x, n_iter = start + (1 + overshoot) * total, n_iter + 1
    return x, n_iter


def lbfgs_one(net, start, unit, *, targeted, c, n_searches, tolerance, clip=None):
    """Search c for one row with scipy alone; a net of float64."""
    begin = start.flatten().numpy()

    def objective(point, c):
        x = torch.tensor(point, requires_grad=True)
        p = net(x.reshape(1, *start.shape)).softmax(dim=1)[0, unit]
        loss = -torch.log(p if targeted else 1 - p)
        (slope,) = torch.autograd.grad(loss, x)
        change = point - begin
        return c * change @ change + loss.item(), 2 * c * change + slope.numpy()

    low, high, best = 0.0, np.inf, None
    for _ in range(n_searches):
        found = minimize(
            objective,
            begin,
            args=(c,),
            jac=True,
            method="L-BFGS-B",
            bounds=None if clip is None else [clip] * len(begin),
            options={"maxiter": 100, "ftol": tolerance, "gtol": tolerance},
        )
        with torch.no_grad():
            label = int(net(torch.tensor(found.x).reshape(1, *start.shape)).argmax())
        if (label == unit) == targeted:
            low, size = c, np.linalg.norm(found.x - begin)
            if best is None or size < best[0]:
                best = size, torch.tensor(found.x).reshape(start.shape)
        else:
            high = c
        c = np.sqrt(low * high) if low and high < np.inf else c * 10 if low else c / 10
    return None if best is None else best[1]
