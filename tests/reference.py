"""Slow, plain re-implementations that numerical methods are compared with."""

import math

import numpy as np
import torch


def descend_one(module, start, unit, *, learning_rate, max_iter, momentum=0.0):
    """One pattern, one update after the other, straight from the formula."""
    x, velocity = start.clone(), torch.zeros_like(start)
    for _ in range(max_iter):
        x.requires_grad_()
        logits = module(x[None])[0]
        loss = torch.logsumexp(logits, 0) - logits[unit]
        (gradient,) = torch.autograd.grad(loss, x)
        velocity = momentum * velocity + gradient
        x = (x - learning_rate * velocity).detach()
    return x


def contrast(X, y, label, *, minmax):
    """Positive mean minus negative mean, sample by sample."""
    positive = np.mean([x for x, target in zip(X, y, strict=True) if target == label], axis=0)
    negative = np.mean([x for x, target in zip(X, y, strict=True) if target != label], axis=0)
    if minmax:
        positive = (positive - positive.min()) / (positive.max() - positive.min())
        negative = (negative - negative.min()) / (negative.max() - negative.min())
    return positive - negative


def pearson(a, b):
    """Pearson's r, term by term."""
    a, b = list(np.ravel(a)), list(np.ravel(b))
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    top = sum((p - mean_a) * (q - mean_b) for p, q in zip(a, b, strict=True))
    left = math.sqrt(sum((p - mean_a) ** 2 for p in a))
    right = math.sqrt(sum((q - mean_b) ** 2 for q in b))
    return top / (left * right)


def cosine(a, b):
    """Cosine of the angle, term by term."""
    a, b = list(np.ravel(a)), list(np.ravel(b))
    top = sum(p * q for p, q in zip(a, b, strict=True))
    return top / math.sqrt(sum(p * p for p in a) * sum(q * q for q in b))


def spearman(a, b):
    """Pearson's r of ranks, for values without ties."""
    ranks = [[sorted(np.ravel(v)).index(value) for value in np.ravel(v)] for v in (a, b)]
    return pearson(*ranks)


def ssim(a, b, window=7):
    """Mean structural similarity of one-channel images in 0..1, window by window (Wang 2004)."""
    c1, c2, values = 0.01**2, 0.03**2, []
    for i in range(a.shape[0] - window + 1):
        for j in range(a.shape[1] - window + 1):
            p, q = (v[i : i + window, j : j + window].ravel() for v in (a, b))
            cov = np.cov(p, q)
            top = (2 * p.mean() * q.mean() + c1) * (2 * cov[0, 1] + c2)
            bottom = (p.mean() ** 2 + q.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2)
            values.append(top / bottom)
    return float(np.mean(values))
