"""When training is enough."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback

__all__ = ["StopAt"]


class StopAt(Callback):  # type: ignore[misc] # skorch is untyped
    """Stop training at the first epoch that meets a loss or an accuracy.

    Both are of the validation part if there is one, else of the training data as seen in the epoch.

    Parameters
    ----------
    loss : float, optional
    accuracy : float, optional
        A share between 0 and 1.
    """

    def __init__(self, loss: float | None = None, accuracy: float | None = None) -> None:
        self.loss = loss
        self.accuracy = accuracy

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002 # skorch's signature
        """Look at the epoch's row of the history."""
        row = net.history[-1]
        part = "valid" if "valid_loss" in row else "train"
        if self.loss is not None and row[f"{part}_loss"] <= self.loss:
            raise KeyboardInterrupt  # how skorch's own EarlyStopping ends the loop
        if self.accuracy is not None and row[f"{part}_acc"] >= self.accuracy:
            raise KeyboardInterrupt
