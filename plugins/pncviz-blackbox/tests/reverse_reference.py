"""Reverse correlation again, slowly: every field by itself, in float64 and plain loops."""

import numpy as np
import torch


def classification_images(answer, blocks, targets, weights="labels"):
    """Give the images of all fields of some blocks; ``answer`` takes one field to probabilities.

    The difference of two means for labels, the mean weighted by standardised answers otherwise.
    """
    fields = np.concatenate(blocks).astype(np.float64)
    shares = np.array([answer(field) for field in fields])
    images = []
    for target in targets:
        if weights == "labels":
            called = shares.argmax(axis=1) == target
            images.append(fields[called].mean(axis=0) - fields[~called].mean(axis=0))
            continue
        w = shares[:, target]
        if weights == "log_probabilities":
            w = np.log(np.maximum(w, 1e-12))
        z = (w - w.mean()) / w.std()
        images.append(sum(z[i] * fields[i] for i in range(len(fields))) / len(fields))
    return np.array(images)


def random_observer_norms(fields, n_called, n_observers, rng):
    """Give norms of classification images of observers that deal out their answers at random."""
    norms, n = [], len(fields)
    for _ in range(n_observers):
        called = np.zeros(n, dtype=bool)
        called[rng.permutation(n)[:n_called]] = True
        image = fields[called].mean(axis=0) - fields[~called].mean(axis=0)
        norms.append(np.sqrt((image.astype(np.float64) ** 2).sum()))
    return np.array(norms)


def linear(weight, bias=None):
    """Give a linear net with these weights."""
    net = torch.nn.Linear(weight.shape[1], len(weight))
    with torch.no_grad():
        net.weight.copy_(torch.as_tensor(weight))
        net.bias.copy_(torch.zeros(len(weight)) if bias is None else torch.as_tensor(bias))
    return net


def pearson(a, b):
    """Correlate two images."""
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


def cosine(a, b):
    """Give the cosine between two images."""
    a, b = np.ravel(a).astype(np.float64), np.ravel(b).astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
