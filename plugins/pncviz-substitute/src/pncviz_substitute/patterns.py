"""How close a substitute's patterns come to those of what it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from pncviz import compare, extract_patterns, pattern_agreement
from pncviz.data import resolve_seed
from pncviz.exceptions import ParameterError
from pncviz_substitute.history import attrs_of
from pncviz_substitute.substitute import SubstituteClassifier

__all__ = ["substitute_patterns"]


def substitute_patterns(
    substitute: SubstituteClassifier,
    *,
    target_patterns: xr.Dataset | None = None,
    contrasts: xr.Dataset | None = None,
    metric: str = "pearson",
    random_state: Any = None,
    **extraction: Any,
) -> xr.Dataset:
    """Extract the patterns of each round's substitute, and compare them by queries spent.

    Parameters
    ----------
    substitute : fitted SubstituteClassifier
        With ``keep_rounds=True`` all of its rounds are looked at, else the last.
    target_patterns : xarray.Dataset, optional
        The target's own patterns, of :func:`pncviz.extract_patterns`.
    contrasts : xarray.Dataset, optional
        Of :func:`pncviz.positive_negative_contrast`; of the patterns' classes or more of them, in
        any order.
    metric : str, default="pearson"
    random_state : int, RandomState, Generator or None, default=None
    **extraction
        Of :func:`pncviz.extract_patterns`, such as ``strategy`` and ``max_iter``; the same for
        every round.

    Returns
    -------
    xarray.Dataset
        ``pattern`` on (round, label, …) and ``n_queries`` on (round,). With ``target_patterns``
        on (round, label): ``target_similarity``, and on (round,): ``target_hits`` (patterns
        nearest to the target's own of their class). With ``contrasts`` likewise
        ``contrast_similarity`` and ``contrast_hits``. ``agreement`` is the substitute's.

    Raises
    ------
    ParameterError
        There is neither ``target_patterns`` nor ``contrasts``.
    NotFittedError
    LabelError, ResultError
        What is compared differs in labels or shape.

    References
    ----------
    papernot2017practical, dough2020.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from pncviz import load_dataset, positive_negative_contrast
    >>> data = load_dataset("tiling")
    >>> X = data.X.reshape(4, -1)
    >>> box = LogisticRegression().fit(X, data.y)
    >>> contrasts = positive_negative_contrast(X, data.y, image_shape=(6, 6))
    >>> substitute = SubstituteClassifier(
    ...     box, n_rounds=1, keep_rounds=True, random_state=0).fit(X)
    >>> found = substitute_patterns(
    ...     substitute, contrasts=contrasts, image_shape=(6, 6), max_iter=50)
    >>> found["n_queries"].values.tolist(), found["contrast_similarity"].shape
    ([4, 8], (2, 4))
    """
    check_is_fitted(substitute, "substitute_")
    if target_patterns is None and contrasts is None:
        raise ParameterError("Give `target_patterns`, `contrasts` or both to compare with.")
    seed = resolve_seed(random_state)
    nets = getattr(substitute, "rounds_", [substitute.substitute_])
    history = substitute.history_.isel({"round": slice(-len(nets), None)})
    shape = substitute._input_shape
    patterns = [
        extract_patterns(
            net, input_shape=shape, classes=substitute.classes_, random_state=seed, **extraction
        )
        for net in nets
    ]
    found = [_compared(one, target_patterns, contrasts, metric, seed) for one in patterns]
    rounds = xr.concat(found, dim="round", combine_attrs="drop").assign_coords(
        {"round": history["round"]}
    )
    rounds["pattern"] = xr.concat([one["pattern"] for one in patterns], dim="round")
    for name in ("n_queries", "agreement"):
        rounds[name] = history[name]
    told = {"metric": metric, "extraction": {name: repr(v) for name, v in extraction.items()}}
    return rounds.assign_attrs(attrs_of("substitute_patterns", told, seed))


def _compared(
    patterns: xr.Dataset,
    target: xr.Dataset | None,
    contrasts: xr.Dataset | None,
    metric: str,
    seed: int,
) -> xr.Dataset:
    """Compare one round's patterns with whatever there is."""
    found: dict[str, Any] = {}
    if target is not None:
        both: Mapping[str, xr.Dataset] = {"substitute": patterns, "target": target}
        alike = pattern_agreement(both, metric=metric, random_state=seed)
        pair = alike.sel(source="substitute", target="target", drop=True)
        found["target_similarity"] = pair["similarity"]
        found["target_hits"] = pair["hits"]
    if contrasts is not None:
        similar = compare(patterns, contrasts, metrics=[metric]).isel(metric=0, drop=True)
        # `compare` made sure that each label is there; the contrasts may have more, in any order.
        places = {label: place for place, label in enumerate(contrasts["label"].values.tolist())}
        own = [places[label] for label in patterns["label"].values.tolist()]
        values = similar["similarity"].values[np.arange(len(own)), own]
        found["contrast_similarity"] = xr.DataArray(
            values, {"label": patterns["label"]}, ("label",), attrs={"units": "1"}
        )
        found["contrast_hits"] = similar["hits"]
    return xr.Dataset(found)
