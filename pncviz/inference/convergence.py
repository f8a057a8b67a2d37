"""How many examples a pattern needs: partial sums against the whole, and against the contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.dataset import validate
from pncviz.exceptions import ParameterError
from pncviz.inference.spectrum import leading_coords, own_contrasts
from pncviz.metrics import find_metric, paired_similarity

__all__ = ["example_convergence"]


def example_convergence(
    patterns: xr.Dataset, contrasts: xr.Dataset | None = None, *, metric: str = "pearson"
) -> xr.Dataset:
    """Follow a pattern as adversarial examples are added to it.

    The blocks of examples are added up in order. Each partial sum is compared with the sum of all
    of them, and with the contrast of its class.

    Parameters
    ----------
    patterns : xarray.Dataset
        Extracted with ``n_blocks``, so that they hold ``pattern_block`` and ``n_block``. Leading
        dimensions (such as ``strategy``) are kept.
    contrasts : xarray.Dataset, optional
        With the classes of the patterns, or more.
    metric : str, default="pearson"

    Returns
    -------
    xarray.Dataset
        ``similarity_to_whole`` and, with contrasts, ``similarity_to_contrast`` on
        (…, n_examples, label), in units of the metric. The coordinate ``n_examples`` is the
        number of examples added up. Where strategies differ in it, it holds the numbers of all,
        and each has NaN where a number is not its own; a strategy without blocks
        (``n_block`` 0 throughout) has NaN everywhere.

    Raises
    ------
    ParameterError
        The patterns hold no blocks of examples.
    LabelError
        Patterns have labels that the contrasts lack, or labels of another type.
    ResultError
        One of the two is not what it should be, or their images differ in shape.
    UnknownNameError
        No metric of that name.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", max_epochs=100).fit(data.X, data.y)
    >>> patterns = extract_patterns(
    ...     net, image_shape=(6, 6), max_iter=200, strategy="aai", n_blocks=10, random_state=0
    ... )
    >>> course = example_convergence(patterns)["similarity_to_whole"]
    >>> course["n_examples"].values.tolist()
    [3, 6, 9, 12, 15, 18, 21, 24, 27, 30]
    >>> course.isel(n_examples=-1).values.round(6).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    validate(patterns, "patterns")
    own = None if contrasts is None else own_contrasts(patterns, contrasts)
    units = find_metric(metric).units
    blocks, sizes = _blocks(patterns)
    leading = sizes.shape[:-1]
    courses = {
        place: _partial_sums(blocks[place], sizes[place])
        for place in np.ndindex(leading)
        if sizes[place].any()
    }
    grid = np.unique(np.concatenate([counts for counts, _ in courses.values()]))
    shape = (*leading, len(grid), patterns.sizes["label"])
    found = {"whole": np.full(shape, np.nan)}
    if own is not None:
        found["contrast"] = np.full(shape, np.nan)
    for place, (counts, sums) in courses.items():
        rows = np.searchsorted(grid, counts)
        found["whole"][(*place, rows)] = _similarities(sums, sums[-1], metric)
        if own is not None:
            found["contrast"][(*place, rows)] = _similarities(sums, own, metric)
    dims = (*patterns["pattern_block"].dims[: len(leading)], "n_examples", "label")
    n_examples = {"long_name": "examples added up", "units": "1"}
    return xr.Dataset(
        {
            f"similarity_to_{what}": (
                dims,
                values,
                {"long_name": f"{metric} similarity of the partial sum to the {what}"}
                | {"units": units},
            )
            for what, values in found.items()
        },
        coords={
            **leading_coords(patterns["pattern"], *dims[:-2], "label"),
            "n_examples": ("n_examples", grid, n_examples),
        },
    )


def _blocks(patterns: xr.Dataset) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Give the sums (…, block, label, image) and their sizes (…, block), leading dims equal."""
    if not {"pattern_block", "n_block"} <= set(patterns.data_vars):
        raise ParameterError(_NO_BLOCKS)
    block, n_block = patterns["pattern_block"], patterns["n_block"]
    place = block.dims.index("block")
    front, image = block.dims[:place], block.dims[place + 1 :]
    like = block.isel(dict.fromkeys(image, 0), drop=True)
    sizes = n_block.broadcast_like(like).transpose(*front, "block")
    counts = sizes.values.astype(np.int64)
    if not counts.any():
        raise ParameterError(_NO_BLOCKS)
    return block.values, counts


_NO_BLOCKS = (
    "The patterns hold no blocks of examples, so how they converge is not known; extract with "
    'n_blocks=20 and a strategy of several examples, such as "aai".'
)


def _partial_sums(
    block: NDArray[Any], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Add up the blocks that hold examples, in order."""
    held = sizes > 0  # concat_patterns may have filled the others with NaN
    return sizes[held].cumsum(), block[held].cumsum(axis=0, dtype=np.float64)


def _similarities(
    sums: NDArray[np.float64], images: NDArray[Any], metric: str
) -> NDArray[np.float64]:
    """Compare each partial sum (n, label, image) with the image of its label: (n, label)."""
    n, k = sums.shape[:2]
    pairs = np.broadcast_to(images, sums.shape).reshape(n * k, *images.shape[1:])
    flat = sums.reshape(n * k, *images.shape[1:])
    return paired_similarity(flat, pairs, metric).reshape(n, k)
