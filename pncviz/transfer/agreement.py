"""Whether models have the same patterns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from pncviz.data import resolve_seed
from pncviz.dataset import build_table, common_attrs
from pncviz.inference import identification_test, own_ranks
from pncviz.metrics import find_metric, similarity_matrix
from pncviz.synthesis import check_count
from pncviz.transfer.checks import checked_patterns

__all__ = ["pattern_agreement"]


def pattern_agreement(
    patterns: Mapping[str, xr.Dataset],
    *,
    metric: str = "pearson",
    n_permutations: int = 10_000,
    random_state: Any = None,
) -> xr.Dataset:
    """Compare the patterns of every two models, class by class.

    Parameters
    ----------
    patterns : mapping of str to xarray.Dataset
        Of :func:`~pncviz.extract_patterns`, by the model's name; all of the same classes.
    metric : str, default="pearson"
    n_permutations : int, default=10_000
        Of labels, where there are more than 8.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    xarray.Dataset
        On (source, target, label): ``similarity`` of the source's pattern to the target's of the
        same class, and its ``rank`` among the target's patterns (1 is best, ties count against
        it). On (source, target): ``mean_similarity``, ``hits`` (patterns of rank 1), and the
        permutation p of both, ``identification_p`` and ``hits_p``. The diagonal is each model
        with itself.

    Raises
    ------
    ParameterError, UnknownNameError
        A parameter is wrong.
    LabelError
        Patterns differ in their labels.
    ResultError
        Patterns are not what they should be, or differ in shape.

    References
    ----------
    hubert1976quadratic, phipson2010permutation.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> nets = [make_classifier("fc", max_epochs=200, lr=0.5).fit(data.X, data.y) for _ in "ab"]
    >>> patterns = {n: extract_patterns(net, image_shape=(6, 6), max_iter=100)
    ...             for n, net in zip("ab", nets)}
    >>> pattern_agreement(patterns)["hits"].values.tolist()
    [[4, 4], [4, 4]]
    """
    spec = find_metric(metric)
    check_count("n_permutations", n_permutations)
    seed = resolve_seed(random_state)
    parts = checked_patterns(patterns)
    images = {name: one["pattern"].values for name, one in parts.items()}
    labels = next(iter(parts.values()))["label"].values
    own, sign = np.arange(len(labels)), 1 if spec.higher_is_better else -1
    similarity = np.array(
        [[similarity_matrix(a, b, metric) for b in images.values()] for a in images.values()]
    )
    p, hits_p = identification_test(
        similarity * sign, own, n_permutations=n_permutations, rng=np.random.default_rng(seed)
    )
    rank = own_ranks(similarity * sign, own)
    mine = similarity[..., own, own]
    found = build_table(
        "pattern_agreement",
        {
            "similarity": mine,
            "mean_similarity": mine.mean(-1),
            "rank": rank,
            "hits": np.count_nonzero(rank == 1, axis=-1),
            "identification_p": p,
            "hits_p": hits_p,
        },
        coords={"source": list(images), "target": list(images), "label": labels},
        attrs=common_attrs(
            "pattern_agreement",
            parameters={"metric": spec.name, "n_permutations": n_permutations},
            random_state=seed,
        ),
    )
    for name in ("similarity", "mean_similarity"):
        found[name].attrs["units"] = spec.units
    return found
