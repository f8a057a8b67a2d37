"""Batches for skorch, each taken from the data in one piece."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.dataset import Dataset as SkorchDataset
from torch.utils.data import DataLoader, Dataset, Subset

__all__ = ["batch_loader"]


def batch_loader(dataset: Any, **options: Any) -> DataLoader[Any]:
    """Make a torch DataLoader that takes each batch of arrays with one indexing.

    The DataLoader itself fetches sample by sample and then stacks, which for small nets takes a
    fifth of the training. For ``iterator_train`` and ``iterator_valid`` of a skorch net. Order and
    content of the batches are to the bit those of the DataLoader itself, which does the drawing;
    for anything but dense arrays or tensors with integer labels it also does the fetching.

    Parameters
    ----------
    dataset : torch dataset
        As skorch hands it over: its own around X and y, parts of that, or one of the user's.
    **options
        Of the DataLoader, such as ``batch_size``, ``shuffle`` or ``num_workers``.

    Returns
    -------
    DataLoader

    Examples
    --------
    >>> import numpy as np
    >>> from skorch.dataset import Dataset
    >>> data = Dataset(np.arange(10.0).reshape(5, 2), np.arange(5))
    >>> X, y = next(iter(batch_loader(data, batch_size=3)))
    >>> X.tolist(), y.tolist()
    ([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [0, 1, 2])
    """
    # One that collates, or wants no batches, is to have the single samples.
    singly = "collate_fn" in options or options.get("batch_size", 1) is None
    batches = None if singly else _batches(dataset)
    if batches is None:
        return DataLoader(dataset, **options)
    return DataLoader(batches, collate_fn=_as_is, **options)


def _as_is(batch: Any) -> Any:
    return batch


class _Batches(Dataset[Any]):
    """A skorch dataset or some rows of it, from which a DataLoader takes whole batches."""

    def __init__(self, data: Any, rows: NDArray[np.int64] | None) -> None:
        self.data, self.rows = data, rows

    def __len__(self) -> int:
        return len(self.data if self.rows is None else self.rows)

    def __getitems__(self, places: list[int]) -> list[torch.Tensor]:
        """Give a batch; torch looks for this method before it asks for single samples."""
        index = np.array(places)
        if self.rows is not None:
            index = self.rows[index]
        X, y = self.data.X, self.data.y
        # Without labels, what skorch's dataset gives.
        labels = torch.zeros(len(index), 1) if y is None else torch.as_tensor(y[index])
        if isinstance(X, torch.Tensor):
            return [X.index_select(0, torch.as_tensor(index, device=X.device)), labels]
        # As stacking would leave it: another memory order may give other last bits.
        return [torch.as_tensor(np.ascontiguousarray(X[index])), labels]


def _batches(dataset: Any) -> _Batches | None:
    """Look into the dataset; None if fetching from its arrays might not be what it does itself."""
    rows = None
    while type(dataset) is Subset:  # what skorch's ValidSplit and torch's random_split give
        inner = np.asarray(dataset.indices)
        if inner.dtype.kind not in "iu" or inner.min(initial=0) < 0:
            return None
        inner = inner.astype(np.int64)  # torch takes no shorter ones
        rows = inner if rows is None else inner[rows]
        dataset = dataset.dataset
    # No subclasses, of data or of arrays: they may have their own idea of a sample.
    if type(dataset) is not SkorchDataset or not _is_plain(dataset.X):
        return None
    y, whole = dataset.y, len(dataset) == len(dataset.X)
    units = y is None or (type(y) is np.ndarray and y.dtype == np.int64 and y.ndim == 1)
    return _Batches(dataset, rows) if units and whole else None


def _is_plain(X: Any) -> bool:
    if type(X) is torch.Tensor:
        return X.layout is torch.strided
    # Rows, since torch may make other types of single numbers than of arrays.
    return type(X) in (np.ndarray, np.memmap) and X.ndim > 1
