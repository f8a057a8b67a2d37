"""Slow, plain versions of what the plugin does fast, and models whose answers are known."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn


def augmented(module, X, codes, step, clip=None):
    """Move one input after another along the sign of its own class's probability."""
    rows = []
    for x, code in zip(X, codes, strict=True):
        leaf = torch.tensor(x, dtype=torch.float64)[None].requires_grad_()
        share = module.double()(leaf).softmax(dim=1)[0, code]
        (gradient,) = torch.autograd.grad(share, leaf)
        new = x + step * np.sign(gradient[0].numpy())
        rows.append(new if clip is None else np.clip(new, *clip))
    return np.array(rows)


def soft_votes(x, X, codes, n_neighbors, temperature, n_classes):
    """Give each class's share of the soft vote, sample by sample."""
    squared = [float(((x - z) ** 2).sum()) for z in X]
    if n_neighbors == 1:
        votes = [np.exp(-d / temperature) for d in squared]
    else:
        order = sorted(squared)
        middle = (order[n_neighbors - 1] + order[n_neighbors]) / 2
        votes = [1 / (1 + np.exp((d - middle) / temperature)) for d in squared]
    total = np.zeros(n_classes)
    for vote, code in zip(votes, codes, strict=True):
        total[code] += vote
    return total / total.sum()


def cells(tree, low=-1.0, high=2.0):
    """Give a value of each feature on either side of every threshold: (feature -> values)."""
    values = {}
    for feature in range(tree.n_features):
        cuts = tree.threshold[(tree.feature == feature) & (tree.children_left >= 0)]
        edges = []
        for cut in cuts:
            below = np.float32(cut)
            if below > cut:
                below = np.nextafter(below, np.float32(low))
            edges += [below, np.nextafter(below, np.float32(high))]
        values[feature] = sorted({float(edge) for edge in edges})
    return values


def nearest_change(classifier, x, accept, norm):
    """Try every combination of own value and threshold neighbours; give the least length."""
    values = cells(classifier.tree_)
    choices = [[float(x[f]), *values[f]] for f in range(len(x))]
    grid = np.array(list(itertools.product(*choices)), dtype=np.float32)
    told = classifier.predict(grid)
    change = grid.astype(np.float64) - x
    length = {
        "l0": (change != 0).sum(axis=1),
        "l1": np.abs(change).sum(axis=1),
        "l2": np.sqrt((change**2).sum(axis=1)),
        "linf": np.abs(change).max(axis=1),
    }[norm]
    return float(length[accept(told)].min())


def linear(weights, bias=None):
    """Make a linear layer of given weights (n_classes, n_features)."""
    weights = torch.as_tensor(np.asarray(weights), dtype=torch.float32)
    layer = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.copy_(torch.zeros(len(weights)) if bias is None else torch.as_tensor(bias))
    return layer
