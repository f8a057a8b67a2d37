"""What came of the samples, in the user's words."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.dataset import build_table
from pncviz.examples.aims import Aim
from pncviz.examples.making import Maker, Record
from pncviz.patterns.outcome import Names, described, made_by

__all__ = ["labelled"]


def labelled(
    record: Record,
    maker: Maker,
    aim: Aim,
    target: Any,
    labels: NDArray[Any] | None,
    classes: NDArray[Any],
    units: NDArray[np.int64],
) -> xr.Dataset:
    """Label a record.

    Parameters
    ----------
    record : Record
    maker : Maker
        What made it, for the attributes.
    aim : Aim
    target : object
        As the user gave it.
    labels : ndarray of shape (n_samples,) or None
        True classes.
    classes, units : the model's labels, and the output unit of each
    """
    names = Names(classes, units)
    already, succeeded = record.hits(aim.targeted)
    parts = {"attack": maker.attack}
    told = target if np.ndim(target) == 0 else "one for each sample"
    return build_table(
        "examples",
        {
            "label": labels,
            "original_prediction": names.of(record.original),
            "target": names.of(record.code) if aim.targeted else None,
            "prediction": names.of(record.unit),
            "succeeded": succeeded,
            "already": already,
            "confidence": record.confidence,
            "loss": record.loss,
            "n_iter": record.n_iter,
            "stop_reason": record.stop_reason.astype(str),
            "l2": record.l2,
            "linf": record.linf,
            "n_queries": record.n_queries if (record.n_queries >= 0).all() else None,
        },
        coords={"sample": np.arange(len(record.unit))},
        attrs=made_by(
            "examples",
            parts,
            {**described(parts), "target": told},
            model=maker.model,
            stop=maker.stop,
            seed=maker.seed,
            deterministic=maker.deterministic,
        ),
    )
