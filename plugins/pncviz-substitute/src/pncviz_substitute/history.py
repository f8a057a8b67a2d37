"""What is known of each round, as a labelled dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pncviz.dataset import common_attrs

__all__ = ["Round", "attrs_of", "history_of"]

#: Variable: (type, long name).
_FIELDS: dict[str, tuple[type, str]] = {
    "n_queries": (int, "inputs shown to the target so far"),
    "step": (float, "step of the augmentation that made the round's inputs"),
    "learnt": (float, "share of all inputs asked that the substitute calls as the target does"),
    "foreseen": (float, "share of the round's new inputs that the substitute before called so"),
    "agreement": (float, "share of held-out inputs that it calls as the target does"),
    "n_seen": (int, "classes that the target has named so far"),
}
_UNITS = {"step": "input"}

#: One round: a number for each of the fields.
Round = Mapping[str, float]


def history_of(rounds: Sequence[Round], attrs: Mapping[str, Any]) -> xr.Dataset:
    """Label the rounds, from 0: the starts."""
    variables: dict[str, Any] = {
        name: (
            "round",
            np.array([one[name] for one in rounds], dtype=kind),
            {"long_name": told, "units": _UNITS.get(name, "1")},
        )
        for name, (kind, told) in _FIELDS.items()
    }
    place = ("round", np.arange(len(rounds)), {"long_name": "augmentations made", "units": "1"})
    return xr.Dataset(variables, {"round": place}, dict(attrs))


def attrs_of(kind: str, parameters: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    """Give what every result of pncviz carries, for a kind that is this plugin's own."""
    attrs = common_attrs("transfer", parameters=parameters, random_state=seed)
    return attrs | {"kind": kind}
