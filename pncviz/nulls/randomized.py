"""A trained net with layers initialised again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from pncviz.data import as_float32, encode_labels, resolve_image_shape
from pncviz.exceptions import ModelError
from pncviz.models import fit_estimator, is_frozen

__all__ = ["Randomized", "can_start_anew", "thawed", "trained_estimator"]


def thawed(estimator: Any) -> Any:
    """Take an estimator out of its FrozenEstimator."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator


def can_start_anew(estimator: Any) -> bool:
    """Say whether a skorch net makes its module from a class, so that it can be made again."""
    module = getattr(thawed(estimator), "module", None)
    return module is not None and not isinstance(module, torch.nn.Module)


def trained_estimator(
    extractor: Any, fitted: Any, samples: NDArray[Any], labels: NDArray[Any], seed: int, kind: str
) -> tuple[Any, Any]:
    """Give the trained net of an extractor, training one only if need be, and its classes.

    Raises
    ------
    ModelError
        There is no torch module in it.
    """
    classes = extractor.classes
    given = thawed(extractor.estimator if fitted is None else fitted)
    if not isinstance(given, torch.nn.Module) and not hasattr(given, "module"):
        raise ModelError(
            f'kind="{kind}" re-initialises a torch net, and {type(given).__name__} is none; use '
            'kind="shuffled_labels".'
        )
    if fitted is not None and not is_frozen(extractor.estimator):
        classes = np.unique(labels)  # the extractor's own fit was on codes
    if not isinstance(given, torch.nn.Module) and not getattr(given, "initialized_", False):
        classes, codes = encode_labels(labels, None)
        shape = resolve_image_shape(samples.shape[1:], extractor.image_shape)
        given = fit_estimator(
            clone(given), as_float32(samples), codes, shape=shape, n_classes=len(classes), seed=seed
        )
    return given, classes


class Randomized:
    """A copy of a trained net whose layers are initialised again, from the top down.

    Layers are the modules that have weights of their own and ``reset_parameters``, as all of
    torch's have; their order is that in which they were registered.

    Parameters
    ----------
    net : torch.nn.Module or fitted skorch net
        Not touched.

    Attributes
    ----------
    names : list of str
        Of the layers, from the top down.

    Raises
    ------
    ModelError
        A weight that no ``reset_parameters`` initialises.

    References
    ----------
    adebayo2018sanity.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> copied = Randomized(net)
    >>> copied.names, [torch.equal(part[0].weight, net[0].weight) for part in copied.stages(0)]
    (['2', '0'], [True, False])
    """

    def __init__(self, net: Any) -> None:
        self._net = copy.deepcopy(net)
        bare = isinstance(net, torch.nn.Module)
        self._module: torch.nn.Module = self._net if bare else self._net.module_
        self._state = copy.deepcopy(self._module.state_dict())
        layers = [
            (name, module)
            for name, module in self._module.named_modules()
            if next(module.parameters(recurse=False), None) is not None
        ]
        for name, module in layers:
            if not hasattr(module, "reset_parameters"):
                raise ModelError(
                    f"The weights of {name or 'the module'} ({type(module).__name__}) cannot be "
                    "initialised again; give it a method reset_parameters()."
                )
        if not layers:
            raise ModelError(f"{type(self._module).__name__} has no weights to initialise again.")
        self._layers = layers[::-1]
        self.names = [name for name, _ in self._layers]

    def stages(self, seed: int, *, whole: bool = False) -> Iterator[Any]:
        """Give the net after each layer more, the same object every time; or only the last stage.

        A net to be frozen is given frozen.
        """
        self._module.load_state_dict(self._state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for place, (_, layer) in enumerate(self._layers):
                with torch.no_grad():
                    layer.reset_parameters()
                if not whole or place == len(self._layers) - 1:
                    bare = self._net is self._module
                    yield self._net if bare else FrozenEstimator(self._net)
