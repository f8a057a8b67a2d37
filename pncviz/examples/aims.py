"""What each example is to become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pncviz.data import check_labels, encode_labels
from pncviz.exceptions import AdapterError, LabelError, ParameterError
from pncviz.specs import Attack, Model

__all__ = ["AIMS", "Aim"]

#: Targets that are chosen row by row.
AIMS = ("random", "least_likely", "runner_up")


@dataclass(frozen=True, kw_only=True)
class Aim:
    """The target of each row, as an output unit; or none, to get away from a class.

    Attributes
    ----------
    given : int64 ndarray of shape (n_samples,), str or None
        Units, one of :data:`AIMS`, or nothing.
    units : int64 ndarray of shape (n_classes,)
        What may be chosen.
    """

    given: NDArray[np.int64] | str | None
    units: NDArray[np.int64]

    @classmethod
    def of(cls, target: Any, n: int, classes: NDArray[Any], units: NDArray[np.int64]) -> Aim:
        """Check a target: None, a label for all rows, a label for each, or one of :data:`AIMS`.

        Raises
        ------
        LabelError
            Labels that the model does not have, or not one for each row.

        Examples
        --------
        >>> Aim.of("cat", 2, np.array(["cat", "owl"]), np.array([0, 1])).given
        array([0, 0])
        """
        # A class that is called "random" is meant where there is one.
        named = isinstance(target, str) and target in AIMS and target not in classes.tolist()
        if target is None or named:
            return cls(given=None if target is None else str(target), units=units)
        if isinstance(target, bool) and classes.dtype.kind != "b":
            raise LabelError(f"`target` must be a label or a word, got {target!r}.")
        labels = np.full(n, target) if np.ndim(target) == 0 else target
        try:
            codes = encode_labels(check_labels(labels, n), classes)[1]
        except LabelError as error:
            words = ", ".join(f'"{word}"' for word in AIMS)
            raise LabelError(
                f"`target` must be None, {words}, a label of the model, or one for each row: "
                f"{error}"
            ) from error
        return cls(given=units[codes], units=units)

    @property
    def targeted(self) -> bool:
        """Whether there is a class to reach."""
        return self.given is not None

    def check(self, attack: Attack, model: Model) -> None:
        """Raise unless the attack can do this, and the model tells what it takes to choose.

        Raises
        ------
        ParameterError
            The attack can only be targeted, or only untargeted.
        AdapterError
            A target is to be chosen by probability, and the model has none.
        """
        mode = "targeted" if self.targeted else "untargeted"
        if mode not in attack.modes:
            other = "give `target`" if mode == "untargeted" else "leave `target` out"
            raise ParameterError(
                f"The attack {type(attack).__name__} cannot be {mode}, only "
                f"{' or '.join(sorted(attack.modes))}; {other}, or take another attack."
            )
        by_share = isinstance(self.given, str) and self.given != "random"
        if by_share and "probabilities" not in model.capabilities:
            raise AdapterError(
                f'target="{self.given}" needs probabilities, and the model offers '
                f"{', '.join(sorted(model.capabilities))}."
            )

    def choose(
        self,
        rows: range,
        own: NDArray[np.int64],
        share: NDArray[np.float64],
        stream: Callable[[int], np.random.Generator],
    ) -> NDArray[np.int64]:
        """Give the unit of each of these rows that the attack is about.

        Parameters
        ----------
        rows : range of int
        own : int64 ndarray of shape (n_rows,)
            The unit to get away from, which is never chosen.
        share : ndarray of shape (n_rows, n_units)
            Probabilities.
        stream : callable
            The random generator of a row.
        """
        if self.given is None:
            return own
        if not isinstance(self.given, str):
            return self.given[rows.start : rows.stop]
        allowed = self.units[None, :] != own[:, None]
        if self.given == "random":
            chosen = [
                self.units[may][stream(row).integers(np.count_nonzero(may))]
                for row, may in zip(rows, allowed, strict=True)
            ]
            return np.array(chosen, dtype=np.int64)
        sign = 1 if self.given == "runner_up" else -1
        score = np.where(allowed, sign * share[:, self.units], -np.inf)
        found: NDArray[np.int64] = self.units[score.argmax(axis=1)]
        return found
