"""How much is computed: MNIST and Fashion-MNIST, or a minute's worth of small digits."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Size"]


@dataclass(frozen=True)
class Size:
    """Of what all sections share; each has its own numbers beside.

    Attributes
    ----------
    quick : bool
    datasets : tuple of str
        That the kinds of classifier are shown on.
    n_train : int
        Images that each scikit-learn classifier learns from, the first ones.
    n_fields : int
        Noise fields that each kind of classifier is asked about.
    """

    quick: bool
    datasets: tuple[str, ...]
    n_train: int
    n_fields: int

    @property
    def main(self) -> str:
        """The dataset of all other sections."""
        return self.datasets[-1]


FULL = Size(quick=False, datasets=("digits", "mnist"), n_train=10_000, n_fields=20_000)
QUICK = Size(quick=True, datasets=("digits",), n_train=10_000, n_fields=2_000)
