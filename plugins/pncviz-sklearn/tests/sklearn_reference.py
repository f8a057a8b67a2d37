"""Data, queries, and slow plain versions of what the plugin does."""

import math
import warnings
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits

from pncviz_sklearn import adapt_exactly

NAMES = np.array(["owl", "cat", "fox", "bee"])


@cache
def digits(n_classes):
    """Give digits 0 to n_classes - 1, 64 values in 0..1, and names of animals for labels."""
    X, y = load_digits(return_X_y=True)
    kept = np.flatnonzero(y < n_classes)[:300]
    return X[kept] / 16, NAMES[y[kept]]


def fitted(make, n_classes):
    """Make and fit an estimator on digits.

    Quietly: some are deprecated, some would have liked more iterations, and some features are
    constant.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make().fit(*digits(n_classes))


def queries(n=1000, n_features=64):
    """Give uniform noise in 0..1 and normal noise, half and half."""
    rng = np.random.default_rng(0)
    return np.vstack([rng.random((n // 2, n_features)), rng.normal(size=(n - n // 2, n_features))])


def answers(estimator, X):
    """Give the adapter's logits, probabilities and labels as arrays, and the model."""
    model = adapt_exactly(estimator, input_shape=X.shape[1:])
    with model.session(), torch.no_grad():
        x = model.tensor(X)
        logits, shares, labels = model.logits(x), model.probabilities(x), model.labels(x)
    return logits.numpy(), shares.numpy(), model.classes[labels.numpy()], model


def gradient_error(model, X, step=1e-6):
    """Compare gradients with central differences along chance directions.

    Gives the largest difference of any row and unit, and the largest derivative.
    """
    rng = np.random.default_rng(1)
    along = model.tensor(rng.normal(size=X.shape) / math.sqrt(X.shape[1]))
    x = model.tensor(X)
    worst = size = 0.0
    with model.session():
        with torch.no_grad():
            ahead, behind = model.logits(x + step * along), model.logits(x - step * along)
        differences = (ahead - behind) / (2 * step)
        leaf = x.clone().requires_grad_()
        logits = model.logits(leaf)
        for unit in range(model.n_units):
            if not logits[:, unit].requires_grad:
                continue
            (gradient,) = torch.autograd.grad(logits[:, unit].sum(), leaf, retain_graph=True)
            told = (gradient * along).flatten(1).sum(dim=1)
            worst = max(worst, float((told - differences[:, unit]).abs().max()))
            size = max(size, float(told.abs().max()))
    return worst, size


def kernel(name, x, s, *, gamma, coef0, degree):
    """Give one kernel value, with Python's own arithmetic."""
    if name == "rbf":
        return math.exp(-gamma * math.fsum((a - b) ** 2 for a, b in zip(x, s, strict=True)))
    inner = gamma * math.fsum(a * b for a, b in zip(x, s, strict=True)) + coef0
    return math.tanh(inner) if name == "sigmoid" else inner**degree


def class_sums(X, vectors, coefficients, counts, name, **parameters):
    """Sum up kernel values by three loops, (n, n_classes, m)."""
    owner = np.repeat(np.arange(len(counts)), counts)
    out = np.zeros((len(X), len(counts), len(coefficients)))
    for row, x in enumerate(X):
        for place, s in enumerate(vectors):
            value = kernel(name, x.tolist(), s.tolist(), **parameters)
            out[row, owner[place]] += value * coefficients[:, place]
    return out
