"""The same things, slower and plainer: what the tests compare with."""

import colorsys
from types import SimpleNamespace

import neat
import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin

from pncviz.synthesis import make_streams


def plain_polynomial(x, rng, *, rate, eta, low, high):
    """Mutate value by value, from the same draws."""
    chosen = rng.random(x.shape) < rate
    draws = iter(rng.random(int(chosen.sum())).tolist())
    mutated = x.copy()
    for i in range(len(x)):
        for j in range(x.shape[1]):
            if chosen[i, j]:
                u = next(draws)
                if u < 0.5:
                    step = (2 * u) ** (1 / (eta + 1)) - 1
                else:
                    step = 1 - (2 * (1 - u)) ** (1 / (eta + 1))
                mutated[i, j] = min(max(x[i, j] + step * (high - low), low), high)
    return mutated


def plain_map_elites(predict, n_classes, n_pixels, *, population, generations, draw):
    """Give (elites, confidences) after each generation; one child after the other."""
    elites, best, course = [None] * n_classes, [-1.0] * n_classes, []
    for generation in range(generations + 1):
        rng = draw(generation)
        if generation == 0:
            children = rng.uniform(0.0, 1.0, size=(population, n_pixels))
        else:
            parents = np.array([elites[c] for c in rng.integers(n_classes, size=population)])
            rate = 0.1 * 0.5 ** (generation // 1000)
            children = plain_polynomial(parents, rng, rate=rate, eta=15, low=0.0, high=1.0)
        for child in children:
            shares = predict(child[None])[0]
            for c in range(n_classes):
                if shares[c] > best[c]:
                    elites[c], best[c] = child, shares[c]
        course.append((np.array(elites), np.array(best)))
    return course


def plain_drawing(genome, config, inputs):
    """Draw pixel by pixel with neat-python's own network."""
    network = neat.nn.FeedForwardNetwork.create(genome, SimpleNamespace(genome_config=config))
    return np.array([network.activate(pixel) for pixel in inputs.T.tolist()]).T


def plain_rgb(hsv):
    """Turn (3, n) hue, saturation, value into red, green, blue with the standard library."""
    return np.array([colorsys.hsv_to_rgb(*pixel) for pixel in hsv.T.tolist()]).T


class ByMean(ClassifierMixin, BaseEstimator):
    """Two classes by the mean of the pixels, and one that it never says."""

    classes_ = np.array(["dark", "light", "never"])

    n_features_in_ = 4

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        self.asked = [*getattr(self, "asked", []), len(X)]
        X = np.asarray(X, dtype=np.float64)
        mean, never = X.mean(axis=1), 0.1 * X[:, 0]
        return np.stack([(1 - never) * (1 - mean), (1 - never) * mean, never], axis=1)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def model_of(predict, n_units, n_pixels):
    """Make the little of a model that a search needs."""
    return SimpleNamespace(
        n_units=n_units,
        input_shape=(n_pixels,),
        tensor=lambda images: torch.as_tensor(np.asarray(images)).reshape(-1, n_pixels),
        probabilities=lambda x: torch.from_numpy(predict(x.numpy())),
    )


def draws(seed):
    """Give the generator of each generation, as the core does."""
    return make_streams(seed, [0]).shared


def softmax_net(n_pixels, n_classes, seed=0):
    """Make seeded random classes that are not easy: softmax of a small quadratic form."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(n_pixels, n_classes))
    square = rng.normal(size=(n_pixels, n_classes))

    def predict(x):
        z = x @ weight + (x - 0.5) ** 2 @ square
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    return predict
