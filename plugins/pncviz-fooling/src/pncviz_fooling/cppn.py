"""The indirect encoding: an individual is a network that draws its image."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Networks", "draw_network", "grid"]

#: Rates of the authors' published settings for MNIST and ImageNet (nguyen2015deep).
RATES = {
    "conn_add_prob": 0.5,
    "conn_delete_prob": 0.3,
    "node_add_prob": 0.5,
    "node_delete_prob": 0.2,
    "weight_mutate_rate": 0.1,
    "bias_mutate_rate": 0.1,
    "activation_mutate_rate": 0.1,
}
ACTIVATIONS = ("sin", "sigmoid", "gauss", "identity")
LARGEST = 1e6
#: Columns, rows, distance to the centre.
N_INPUTS = 3

# neat-python draws from the global generator of `random`, which two searches must not share.
_LOCK = threading.Lock()


@contextmanager
def _seeded(rng: np.random.Generator) -> Iterator[None]:
    """Let the global generator of `random` follow ours, and put it back."""
    with _LOCK:
        before = random.getstate()
        random.seed(int(rng.integers(2**63)))
        try:
            yield
        finally:
            random.setstate(before)


class Networks:
    """Networks that grow by NEAT's mutations, from ones without hidden nodes.

    Parameters
    ----------
    image_shape : (channels, rows, columns)
    bounds : (low, high)
    weight_power : float
        Standard deviation of a change of a weight or bias.
    hsv : bool
        The three outputs are hue, saturation and value.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, ...],
        bounds: tuple[float, float],
        weight_power: float,
        hsv: bool,
    ) -> None:
        self.shape, self.bounds, self.hsv = image_shape, bounds, hsv
        self.grid = grid(*image_shape[1:])
        self.config = _config(image_shape[0], weight_power)

    def first(self, n: int, rng: np.random.Generator) -> list[Any]:
        """Make n networks in which each input leads to each output."""
        from neat.genome import DefaultGenome  # type: ignore[import-untyped] # ships no types

        genomes = [DefaultGenome(key) for key in range(n)]
        with _seeded(rng):
            for genome in genomes:
                genome.configure_new(self.config)
        return genomes

    def children(self, parents: list[Any], generation: int, rng: np.random.Generator) -> list[Any]:  # noqa: ARG002 # rates stay
        """Change a copy of each parent."""
        children = [_copied(parent) for parent in parents]
        # Numbers of innovations serve crossover, which this search has not; neat wants them anyway.
        self.config.innovation_tracker.reset_generation()
        with _seeded(rng):
            for child in children:
                child.mutate(self.config)
        return children

    def images(self, genomes: list[Any]) -> NDArray[np.float64]:
        """Draw the image of each network: (n, channels, rows, columns)."""
        low, high = self.bounds
        drawn = np.stack([draw_network(genome, self.config, self.grid) for genome in genomes])
        values = np.minimum(np.abs(drawn), 1).reshape(len(genomes), *self.shape)
        if self.hsv:
            from skimage.color import hsv2rgb

            values = hsv2rgb(values, channel_axis=1)
        image: NDArray[np.float64] = low + (high - low) * values
        return image


def grid(rows: int, columns: int) -> NDArray[np.float64]:
    """Give column and row in -1..1 and the distance to the centre of each pixel: (3, n_pixels).

    Examples
    --------
    >>> grid(1, 3)
    array([[-1.,  0.,  1.],
           [ 0.,  0.,  0.],
           [ 1.,  0.,  1.]])
    """
    y, x = np.meshgrid(_places(rows), _places(columns), indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.hypot(x, y).ravel()])


def _places(n: int) -> NDArray[np.float64]:
    # A line of one pixel lies in the middle. Mirrored places are exact opposites, to the bit.
    return (2 * np.arange(n) - (n - 1)) / max(n - 1, 1)


def draw_network(genome: Any, config: Any, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Run a network over all pixels at once.

    The same as ``neat.nn.FeedForwardNetwork``, which takes one pixel after the other.

    Parameters
    ----------
    genome : neat.genome.DefaultGenome
    config : neat.genome.DefaultGenomeConfig
    inputs : ndarray of shape (n_inputs, n_pixels)

    Returns
    -------
    ndarray of shape (n_outputs, n_pixels)
    """
    into: dict[int, list[Any]] = {key: [] for key in config.output_keys}
    for link in genome.connections.values():
        if link.enabled:
            into.setdefault(link.key[1], []).append(link)
    values = dict(zip(config.input_keys, inputs, strict=True))
    before = {node: [link.key[0] for link in links] for node, links in into.items()}
    for node in TopologicalSorter(before).static_order():
        if node in values:
            continue
        gene = genome.nodes[node]
        total = np.full(inputs.shape[1], float(gene.bias))
        for link in into.get(node, ()):
            total += link.weight * values[link.key[0]]
        values[node] = _activated(gene.activation, total)
    return np.stack([values[key] for key in config.output_keys])


def _activated(name: str, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply an activation of neat-python to an array."""
    found: NDArray[np.float64]
    if name == "sin":
        found = np.sin(np.clip(5 * z, -60, 60))
    elif name == "sigmoid":
        found = 1 / (1 + np.exp(-np.clip(5 * z, -60, 60)))
    elif name == "gauss":
        found = np.exp(-5 * np.clip(z, -3.4, 3.4) ** 2)
    else:
        # Neat's has no bound; a long chain of these would end in infinity, and that in NaN.
        found = np.clip(z, -LARGEST, LARGEST)
    return found


def _copied(genome: Any) -> Any:
    """Copy a genome gene by gene: a tenth of the time of `copy.deepcopy`."""
    from neat.genome import DefaultGenome

    twin = DefaultGenome(genome.key)
    twin.connections = {key: gene.copy() for key, gene in genome.connections.items()}
    twin.nodes = {key: gene.copy() for key, gene in genome.nodes.items()}
    return twin


def _config(n_outputs: int, weight_power: float) -> Any:
    """Tell neat-python how networks begin and change."""
    from neat.genome import DefaultGenome
    from neat.innovation import InnovationTracker  # type: ignore[import-untyped] # likewise

    numbers = {
        "init_mean": 0.0,
        "init_stdev": 1.0,
        "replace_rate": 0.0,
        "mutate_power": weight_power,
        "max_value": 10.0,
        "min_value": -10.0,
    }
    fixed = {"init_mean": 1.0, "init_stdev": 0.0, "mutate_rate": 0.0, "mutate_power": 0.0}
    params: dict[str, Any] = {
        "num_inputs": N_INPUTS,
        "num_outputs": n_outputs,
        "num_hidden": 0,
        "feed_forward": True,
        "initial_connection": "full_direct",
        # These two are of species, which this search has not.
        "compatibility_disjoint_coefficient": 1.0,
        "compatibility_weight_coefficient": 1.0,
        "activation_default": "random",
        "activation_options": " ".join(ACTIVATIONS),
        "aggregation_default": "sum",
        "aggregation_options": "sum",
        "aggregation_mutate_rate": 0.0,
        "enabled_default": "True",
        "enabled_mutate_rate": 0.0,
        **{f"weight_{name}": value for name, value in numbers.items()},
        **{f"bias_{name}": value for name, value in numbers.items()},
        **{f"response_{name}": value for name, value in (numbers | fixed).items()},
        **RATES,
    }
    config = DefaultGenome.parse_config({name: str(value) for name, value in params.items()})
    config.innovation_tracker = InnovationTracker()
    return config
