"""What a trainer must keep to."""

from __future__ import annotations

import copy
import itertools
import pickle
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from pncviz.specs import Spec, TrainerSpec
from pncviz.testing.probes import N_CLASSES, SHAPES
from pncviz.testing.subject import Subject, find, global_seed
from pncviz.training import Classifier, load_classifier, make_classifier, save_classifier
from pncviz.training.trainers import own_params

__all__ = ["check_trainer"]

#: Samples of the data that are trained on.
N_SAMPLES = 90

#: Seeds for random and numpy, another each time: weights must not depend on them.
_elsewhere = itertools.count()

#: A small net for tables and images, and one whose layers keep statistics of their batches.
_PLAIN: dict[str, Any] = {"architecture": "fc", "hidden": [16], "batch_size": 15}
_NORMED: dict[str, Any] = {
    "architecture": "cnn",
    "convolutions": [4],
    "dense": [8],
    "batch_norm": True,
    "max_epochs": 1,
}


def check_trainer(
    trainer: str | TrainerSpec | Callable[..., Classifier], *, max_epochs: int = 15, **params: Any
) -> None:
    """Hold a trainer to its contract.

    It must give a :class:`~pncviz.training.Classifier` that keeps its parameters, clones, copies
    and pickles; leave samples and labels as they are; draw from torch's generator alone, so that
    one seed gives one set of weights and another seed another; leave finite weights that can be
    trained on; and tell three well separated classes apart better than by chance. It is tried on
    images and tables with "fc", and for an epoch on a "cnn" with batch normalisation. A registered
    name is also saved and loaded.

    Parameters
    ----------
    trainer : name, TrainerSpec, or factory
    max_epochs : int, default=15
        Epochs of 90 samples that suffice to learn a little.
    **params
        Of the trainer.

    Raises
    ------
    AssertionError
        A rule is broken; names the trainer, its distribution, the rule and what came.

    Examples
    --------
    >>> from pncviz.testing import check_trainer
    >>> check_trainer("standard")
    """
    subject, found = find("trainer", trainer)
    factory = found.factory if isinstance(found, Spec) else found  # type: ignore[attr-defined] # find checked the kind
    subject.require(callable(factory), "be a factory", factory)

    def make(architecture: str, **settings: Any) -> Classifier:
        if isinstance(trainer, str):
            return make_classifier(architecture, trainer=trainer, trainer_params=params, **settings)
        plain = make_classifier(architecture, **settings)
        net: Classifier = factory(**plain.get_params(deep=False), **params)
        return net

    for shape in SHAPES:
        _check_on(subject, lambda: make(max_epochs=max_epochs, **_PLAIN), factory, shape)
    with subject.trying("an epoch with batch normalisation"):
        net = _trained(subject, make(**_NORMED), *_separate(SHAPES[0]), seed=0)
    _check_weights(subject, net)
    if isinstance(trainer, str):
        _check_file(subject, net)


def _separate(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw samples of three classes around centres that are far apart."""
    rng = np.random.default_rng(0)
    centres = 2 * rng.normal(size=(N_CLASSES, *shape))
    y = np.arange(N_SAMPLES) % N_CLASSES
    X = centres[y] + 0.3 * rng.normal(size=(N_SAMPLES, *shape))
    return X.astype(np.float32), y


def _check_on(
    subject: Subject, make: Callable[[], Classifier], factory: Any, shape: tuple[int, ...]
) -> None:
    with subject.trying("making a classifier"):
        net = make()
    subject.require(isinstance(net, Classifier), "give a Classifier", type(net).__name__)
    own = own_params(factory)
    lost = [name for name in own if not hasattr(net, name)]
    subject.require(not lost, "keep each parameter under its name", f"no attribute {lost}")
    with subject.trying("clone"):
        twin = clone(net)
    for name in own:
        kept = repr(getattr(twin, name)) == repr(getattr(net, name))
        subject.require(kept, f"keep `{name}` in a clone", getattr(twin, name))
    X, y = _separate(shape)
    first, second = (_trained(subject, one, X, y, seed=0) for one in (net, twin))
    _check_weights(subject, first)
    other = _trained(subject, make(), X, y, seed=1)
    weights = _weights(first)
    subject.require(
        torch.equal(weights, _weights(second)), "train to the same weights by the same seed", "two"
    )
    subject.require(
        not torch.equal(weights, _weights(other)),
        "take torch's seed, and set none of its own",
        "the same weights by two seeds",
    )
    share = float(np.mean(first.predict(X) == y))
    subject.require(
        share > 1.5 / N_CLASSES,
        f"learn {N_CLASSES} well separated classes better than by chance",
        f"an accuracy of {share:.2f}",
    )
    _check_copies(subject, first, X)


def _trained(
    subject: Subject, net: Classifier, X: NDArray[Any], y: NDArray[Any], *, seed: int
) -> Classifier:
    """Train on copies of the data, and see that nothing else is touched."""
    samples, labels = X.copy(), y.copy()
    with global_seed(next(_elsewhere)):
        torch.manual_seed(seed)
        before = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002 # is watched
        with subject.trying("fit"):
            net.fit(samples, labels)
        after = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002 # likewise
    subject.require(
        np.array_equal(samples, X) and np.array_equal(labels, y), "leave X and y alone", "a change"
    )
    names = ("random", "np.random")
    used = [name for name, a, b in zip(names, before, after, strict=True) if a != b]
    subject.require(not used, "draw from torch's generator alone", f"global {used}")
    return net


def _weights(net: Classifier) -> torch.Tensor:
    state = net.module_.state_dict().values()
    return torch.cat([value.detach().double().flatten() for value in state])


def _check_weights(subject: Subject, net: Classifier) -> None:
    weights = _weights(net)
    subject.require(bool(torch.isfinite(weights).all()), "leave finite weights", "NaN or infinity")
    free = all(weight.requires_grad for weight in net.module_.parameters())
    subject.require(free, "leave every weight free to be trained on", "a frozen one")


def _check_copies(subject: Subject, net: Classifier, X: NDArray[Any]) -> None:
    answer = net.predict_proba(X)
    with subject.trying("pickle"):
        loaded = pickle.loads(pickle.dumps(net))
    with subject.trying("copy.deepcopy"):
        twin = copy.deepcopy(net)
    for way, one in (("pickle", loaded), ("a deep copy", twin)):
        subject.require(
            np.array_equal(one.predict_proba(X), answer), f"answer alike after {way}", "another"
        )


def _check_file(subject: Subject, net: Classifier) -> None:
    """Check that the file brings back the class, its parameters and its answers."""
    X, _ = _separate(SHAPES[0])
    with tempfile.TemporaryDirectory() as folder, subject.trying("saving and loading"):
        file = Path(folder) / "net.safetensors"
        save_classifier(net, file)
        loaded = load_classifier(file)
    subject.require(type(loaded) is type(net), "come back from its file", type(loaded).__name__)
    same = np.array_equal(loaded.predict_proba(X), net.predict_proba(X))
    subject.require(same, "answer alike after saving and loading", "another")
