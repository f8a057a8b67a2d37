"""Truths that no tuning can fake (DESIGN section 9)."""

import numpy as np
import pytest
import torch

from pncviz import (
    PNCTransformer,
    class_means_from_contrasts,
    extract_patterns,
    load_dataset,
    make_attack,
    positive_negative_contrast,
    similarity_matrix,
)
from pncviz.means import minmax


def _one_step_softmax(X, y, n_classes):
    """A linear softmax model from zero after one full-batch gradient step."""
    X, y = torch.as_tensor(X.reshape(len(X), -1)), torch.as_tensor(y)
    module = torch.nn.Linear(X.shape[1], n_classes)
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    torch.nn.functional.cross_entropy(module(X), y).backward()
    optimizer.step()
    return module


def _balanced(X, y, n):
    rows = np.concatenate([np.flatnonzero(y == label)[:n] for label in np.unique(y)])
    return X[rows], y[rows]


def _one_step_pattern(module, shape):
    attack = make_attack("gradient_descent", learning_rate=1.0)
    return extract_patterns(module, input_shape=shape, attack=attack, max_iter=1)["pattern"].values


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_linear_oracle_on_digits(digits):
    """Truth 1: after one step from zero, the one-step pattern is the raw contrast up to scale."""
    X, y = _balanced(digits.X, digits.y, 120)
    module = _one_step_softmax(X, y, 10)
    raw = positive_negative_contrast(X, y, normalize=None)["contrast"].values.reshape(10, -1)
    r = np.diag(similarity_matrix(_one_step_pattern(module, (64,)), raw))
    assert r.min() > 0.9999


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_linear_oracle_on_fashion_mnist(mnist_folder):
    """Truth 1 on Fashion-MNIST, whose classes have equal counts: r > .9999 for all ten."""
    data = load_dataset("fashion_mnist", folder=mnist_folder / "fashion-mnist")
    module = _one_step_softmax(data.X, data.y, 10)
    raw = positive_negative_contrast(data.X, data.y, normalize=None)["contrast"].values
    r = np.diag(similarity_matrix(_one_step_pattern(module, (784,)), raw.reshape(10, -1)))
    assert r.min() > 0.9999


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
def test_unbalanced_linear_oracle(digits):
    """Truth 1, unbalanced and without bias: W_c is p_c mean_c - mean_all / K."""
    keep = (digits.y != 3) | (np.arange(len(digits.y)) % 4 == 0)
    X, y = digits.X[keep].reshape(keep.sum(), -1), digits.y[keep]
    module = _one_step_softmax(X, y, 10)
    p = np.bincount(y) / len(y)
    means = np.stack([X[y == label].mean(axis=0) for label in range(10)])
    expected = p[:, None] * means - X.mean(axis=0) / 10
    r = np.diag(similarity_matrix(module.weight.detach().numpy(), expected))
    assert r.min() > 0.9999
    # With nothing else in the model, the gradient at zero is W_c - mean_k W_k, and W sums to 0.
    with torch.no_grad():
        module.bias.zero_()
    pattern = _one_step_pattern(module, (64,))
    assert np.diag(similarity_matrix(pattern, expected)).min() > 0.9999


def test_tiling_contrasts_are_the_classes():
    """Truth 2: tiling's min-max contrasts, min-max scaled, equal the classes themselves."""
    data = load_dataset("tiling")
    contrasts = positive_negative_contrast(data.X, data.y)["contrast"].values
    np.testing.assert_allclose(minmax(contrasts.reshape(4, -1)), data.X.reshape(4, -1), atol=1e-12)


def test_overlapping_contrasts_are_not_the_classes():
    """Truth 2: overlapping's contrasts differ from their classes."""
    data = load_dataset("overlapping")
    contrasts = positive_negative_contrast(data.X, data.y)["contrast"].values
    difference = np.abs(minmax(contrasts.reshape(4, -1)) - data.X.reshape(4, -1)).max(axis=1)
    assert difference.min() > 0.2


def test_class_means_come_back(digits):
    """Truth 3: raw contrasts, the overall mean and the frequencies give the class means to 1e-6."""
    keep = (digits.y != 3) | (np.arange(len(digits.y)) % 4 == 0)
    X, y = digits.X[keep], digits.y[keep]
    raw = positive_negative_contrast(X, y, normalize=None)
    means = class_means_from_contrasts(
        raw, X.astype(np.float64).mean(axis=0), np.bincount(y) / len(y)
    )
    expected = np.stack([X[y == c].astype(np.float64).mean(axis=0) for c in range(10)])
    np.testing.assert_allclose(means.values, expected, atol=1e-6)
    np.testing.assert_allclose(PNCTransformer().fit(X, y).class_means().values, expected, atol=1e-6)


def test_template_accuracies_on_mnist(mnist):
    """Truth 5: nearest centroid 82.03 %, contrast templates 73.7 % (min-max) and 69.7 % (raw)."""
    means = PNCTransformer().fit(mnist.X, mnist.y).class_means().values.reshape(10, -1)
    test = mnist.X_test.reshape(len(mnist.X_test), -1)
    distance = (means**2).sum(axis=1) - 2 * test @ means.T
    assert np.mean(distance.argmin(axis=1) == mnist.y_test) == pytest.approx(0.8203, abs=5e-5)
    for normalize, expected in (("minmax", 0.737), (None, 0.697)):
        pnc = PNCTransformer(normalize=normalize).fit(mnist.X, mnist.y)
        hits = pnc.transform(mnist.X_test).argmax(axis=1) == mnist.y_test
        assert np.mean(hits) == pytest.approx(expected, abs=5e-4)
