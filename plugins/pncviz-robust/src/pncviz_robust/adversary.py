"""Adversarial batches, made from weights that change at every step."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ParameterError, PluginError
from pncviz.models import require
from pncviz.specs import Part
from pncviz.synthesis import blame, make_streams, run_attack
from pncviz_robust.learning import LearningModel

__all__ = ["Adversary"]


class Adversary:
    r"""What takes a batch away from its labels, by the weights of the moment.

    Parameters
    ----------
    attack : Attack
        Run untargeted.
    module : torch.nn.Module
    X : array-like of shape (n_samples, \*input_shape)
        Samples that are trained on.
    y : array-like of int of shape (n_samples,)
        Output units.
    max_iter : int
        The most steps of the attack.
    clip : (low, high), optional
        Bounds of what it gives.
    output : str, default="logits"
        What the module gives.

    Raises
    ------
    ParameterError
        The attack cannot be run untargeted.
    AdapterError
        The attack needs what the module does not offer.

    Examples
    --------
    >>> from pncviz import make_attack
    >>> module, X, y = nn.Linear(4, 3), np.zeros((2, 4)), np.array([0, 1])
    >>> adversary = Adversary(make_attack("gradient_descent"), module, X, y, max_iter=5)
    >>> adversary(torch.zeros(2, 4), torch.tensor([0, 1])).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        attack: Attack,
        module: nn.Module,
        X: ArrayLike,
        y: ArrayLike,
        *,
        max_iter: int,
        clip: tuple[float, float] | None = None,
        output: str = "logits",
    ) -> None:
        if "untargeted" not in attack.modes:
            raise ParameterError(
                f"`attack` must be able to move away from a label, and {attack} only moves towards "
                "one."
            )
        self.attack, self.clip, self.stop = attack, clip, Stop(max_iter=max_iter)
        self.model = LearningModel(module, input_shape=np.shape(X)[1:], output=output)
        require(self.model, attack)
        self.renew(X, y)
        self._streams = make_streams(_torch_seed(), range(2**62))
        self._n_batches = 0

    @property
    def prepares(self) -> bool:
        """Whether the attack learns from data."""
        return type(self.attack).prepare is not Part.prepare

    def renew(self, X: ArrayLike, y: ArrayLike) -> None:
        """Let the attack prepare on what is trained on: weights have changed since it last did."""
        if self.prepares:
            with blame(self.attack, "prepare"):
                self.attack.prepare(_read_only(X, np.float32), _read_only(y, np.int64))

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Give an adversarial example for each sample; module and random state stay as they are."""
        rngs = _Generators(self._streams, self._n_batches, len(x))
        self._n_batches += 1
        start = x.detach().to(self.model.dtype)
        target = Target(codes=y, targeted=False)
        # Held to its contract once; later batches are in a hurry.
        run = run_attack if self._n_batches == 1 else _run
        with self.model.session():
            result = run(self.model, self.attack, start, target, self.stop, rngs)
        moved = result.adversarial.detach()
        if moved.shape != start.shape or not bool(torch.isfinite(moved).all()):
            raise PluginError(
                f"{type(self.attack).__name__}.run gave NaN or infinity, or another shape than "
                f"{tuple(start.shape)}, in batch {self._n_batches} of the training."
            )
        return moved if self.clip is None else moved.clamp(*self.clip)


def _run(model: Model, attack: Attack, *args: Any) -> AttackResult:
    """Run an attack, and name it if it fails."""
    with blame(attack, "run"):
        return attack.run(model, *args)


def _torch_seed() -> int:
    """Derive a seed from the state of torch's generator, without drawing from it.

    A draw would shift the order of batches against that of other trainers.
    """
    state = torch.get_rng_state().numpy().tobytes()
    return int.from_bytes(hashlib.sha256(state).digest()[:8], "big")


def _read_only(values: ArrayLike, dtype: type[np.generic]) -> NDArray[Any]:
    view = np.asarray(values, dtype=dtype).view()
    view.flags.writeable = False
    return view


class _Generators(Sequence[np.random.Generator]):
    """One generator per row, made when it is asked for: most attacks ask for none."""

    def __init__(self, streams: Any, batch: int, n: int) -> None:
        self._streams, self._batch = streams, batch
        self._made: list[np.random.Generator | None] = [None] * n

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, row: int) -> np.random.Generator: ...

    @overload
    def __getitem__(self, row: slice) -> list[np.random.Generator]: ...

    def __getitem__(self, row: int | slice) -> np.random.Generator | list[np.random.Generator]:
        places = range(len(self._made))[row]
        if isinstance(places, range):
            return [self[place] for place in places]
        made = self._made[places]
        if made is None:
            made = self._made[places] = self._streams(self._batch, places)
        return made
