"""How much is computed: all of MNIST, or a minute's worth of small digits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pncviz import Dataset, load_dataset

__all__ = ["FULL", "QUICK", "Size", "load_data"]


@dataclass(frozen=True)
class Size:
    """Of everything that the page shows.

    Attributes
    ----------
    dataset : str
    n_test : int
        Test images that single gradients are tried on, and transfer.
    n_measured : int
        Test images of the LOTS table: each takes 1 + 1 + 9 + 36 examples per model.
    n_tuned : int
        Examples that each kind of fine-tuning begins with, made of training images.
    tuned_epochs : int
    n_noise : int
        Of rubbish-class inputs.
    epochs : float
        Share of the recipes' epochs that nets are trained for.
    n_examples, n_layer_examples : int
        Of each noise-started pattern; of those of LeNet's layers.
    """

    dataset: str
    n_test: int
    n_measured: int
    n_tuned: int
    tuned_epochs: int
    n_noise: int
    epochs: float
    n_examples: int
    n_layer_examples: int

    def config(self, *names: str) -> dict[str, Any]:
        """Give the parts of the size that some work depends on."""
        return {name: value for name, value in asdict(self).items() if name in names}


FULL = Size(
    dataset="mnist",
    n_test=10_000,
    n_measured=300,
    n_tuned=54_000,
    tuned_epochs=2,
    n_noise=10_000,
    epochs=1.0,
    n_examples=100,
    n_layer_examples=30,
)
QUICK = Size(
    dataset="digits",
    n_test=100,
    n_measured=12,
    n_tuned=72,
    tuned_epochs=1,
    n_noise=200,
    epochs=0.2,
    n_examples=10,
    n_layer_examples=10,
)


def load_data(size: Size) -> Dataset:
    """Load the images; small ones enlarged threefold, so that convolutions have something to do."""
    data = load_dataset(size.dataset)
    assert data.image_shape is not None  # both are of images
    if data.image_shape[-1] >= 20:
        return data
    block = np.ones((1, 1, 3, 3), dtype=np.float32)
    channels, rows, columns = data.image_shape
    return Dataset(
        X=np.kron(data.X.reshape(-1, *data.image_shape), block),
        y=data.y,
        X_test=np.kron(data.X_test.reshape(-1, *data.image_shape), block),
        y_test=data.y_test,
        class_names=data.class_names,
        image_shape=(channels, 3 * rows, 3 * columns),
    )
