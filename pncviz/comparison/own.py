"""Each pattern's own class, read off a comparison."""

from __future__ import annotations

import numpy as np
import xarray as xr

from pncviz.dataset import validate

__all__ = ["own_class"]


def own_class(similarities: xr.Dataset) -> xr.Dataset:
    """Read off each pattern's similarity to its own class, and all that is known of it.

    Parameters
    ----------
    similarities : xarray.Dataset
        Of :func:`~pncviz.compare`.

    Returns
    -------
    xarray.Dataset
        On (…, metric, label): ``similarity``, ``nearest`` (bool: the own class alone has rank 1)
        and, as far as they were computed, ``rank``, ``lower``, ``upper``, ``p``, ``q``,
        ``pattern_reliability``, ``contrast_reliability`` (of the own class), ``ceiling`` and
        ``share_of_ceiling``; ``succeeded`` on (…, label).

    Raises
    ------
    ResultError
        Not similarities.

    Examples
    --------
    >>> from pncviz.dataset import build_similarities, common_attrs
    >>> similarities = build_similarities(
    ...     similarity=[[[0.5, 0.75], [0.0, 1.0]]], metrics=["pearson"],
    ...     pattern_labels=["cat", "dog"], contrast_labels=["cat", "dog"],
    ...     attrs=common_attrs("similarities", parameters={}),
    ... )
    >>> own_class(similarities)["nearest"].values.tolist()
    [[False, True]]
    """
    validate(similarities, "similarities")
    values = similarities["similarity"]
    labels = values["pattern_label"]
    known = values["contrast_label"].values.tolist()
    # A label may be missing among the contrasts of a hand-made file; its place is then no matter.
    there = np.array([label in known for label in labels.values.tolist()])
    places = [known.index(label) if label in known else 0 for label in labels.values.tolist()]
    at = xr.DataArray(places, dims="pattern_label", coords={"pattern_label": labels})
    own = values.isel(contrast_label=at).drop_vars("contrast_label").where(there)
    better = similarities.coords.get("higher_is_better", xr.ones_like(values["metric"], dtype=bool))
    sign = better * 2.0 - 1.0
    signed, mine = values * sign, own * sign
    # A tie with another class is no identification, so it counts.
    nearest = (signed >= mine).sum("contrast_label") == 1
    table = xr.Dataset({"similarity": own, "nearest": nearest.transpose(*own.dims)})
    for name, variable in similarities.data_vars.items():
        if variable.dims[-1:] == ("pattern_label",) and "draw" not in variable.dims:
            table[name] = variable
    if "contrast_reliability" in similarities:
        reliability = similarities["contrast_reliability"].isel(contrast_label=at)
        table["contrast_reliability"] = reliability.drop_vars("contrast_label").where(there)
    if "ceiling" in table:
        ceiling = table["ceiling"]
        table["share_of_ceiling"] = (own / ceiling.where(ceiling > 0)).assign_attrs(
            long_name="own-class similarity as a share of its ceiling", units="1"
        )
    return table.rename(pattern_label="label").drop_attrs(deep=False)
