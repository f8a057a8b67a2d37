"""Representation inversion as an attack: make an input look, to a layer, like a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ParameterError
from pncviz.synthesis import check_clip, check_count, check_number, judged
from pncviz_robust.representation import Walk, nearness, representation, resolved_layer, walk

__all__ = ["RepresentationInversion"]

_TARGETS = ("mean", "sample")


class RepresentationInversion(Attack):
    r"""Descend the distance of R(x) from the representation of the target class.

    R is what a layer gives, by default what the last layer with weights takes. Steps follow the
    normalised gradient. Untargeted, the goal is the nearest representation of another class. Data
    must come with it: ``X`` and ``y``.

    Parameters
    ----------
    layer : str, optional
        By ``module.named_modules()``.
    target : {"mean", "sample"}, default="mean"
        The mean of the representations of the class's samples, or that of one sample, drawn for
        each example.
    n_samples : int or None, default=200
        The first so many samples of each class are used; None is all.
    n_steps : int, default=200
        Fewer where ``max_iter`` is less.
    step_size : float, default=0.5
        Euclidean length of the step at the steepest place that is met, units of the input;
        elsewhere steps are shorter in proportion.
    epsilon : float, optional
        Euclidean radius of a ball about the start, which is not left.
    clip : (low, high), optional
        Bounds of the input.

    Notes
    -----
    ``loss`` is the Euclidean distance from the goal at the layer, in its units.

    References
    ----------
    engstrom2019adversarial, section 4.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", hidden=[16], max_epochs=100).fit(data.X, data.y)
    >>> attack = RepresentationInversion(layer="layers.1")
    >>> patterns = extract_patterns(net, attack=attack, X=data.X, y=data.y)
    >>> bool(patterns["succeeded"].all())
    True
    """

    needs = frozenset({"gradients", "layers"})

    _data: Any = None

    def __init__(
        self,
        layer: str | None = None,
        target: str = "mean",
        n_samples: int | None = 200,
        n_steps: int = 200,
        step_size: float = 0.5,
        epsilon: float | None = None,
        clip: tuple[float, float] | None = None,
    ) -> None:
        self.layer = layer
        self.target = target
        self.n_samples = n_samples
        self.n_steps = n_steps
        self.step_size = step_size
        self.epsilon = epsilon
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        if self.layer is not None and not isinstance(self.layer, str):
            raise ParameterError(
                f"`layer` must be None or the name of a layer, got {self.layer!r:.80}."
            )
        if self.target not in _TARGETS:
            raise ParameterError(
                f"`target` must be one of {', '.join(_TARGETS)}, got {self.target!r:.80}."
            )
        check_count("n_samples", self.n_samples, none=True)
        check_count("n_steps", self.n_steps)
        check_number("step_size", self.step_size, low=0, open_low=True)
        check_number("epsilon", self.epsilon, low=0, open_low=True, none=True)
        check_clip(self.clip)

    def prepare(self, X: ArrayLike | None, y: ArrayLike | None) -> None:
        """Keep the data that the classes' representations are taken of."""
        self._data = None if X is None or y is None else (np.asarray(X), np.asarray(y))

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],
    ) -> AttackResult:
        """Move n starts; with ``clip``, they are clipped first."""
        layer = resolved_layer(model, self.layer)
        if self.clip is not None:
            start = start.clamp(*self.clip)
        found = walk(
            start,
            nearness(model, layer, self._goals(model, layer, start, target, rngs)),
            step_size=self.step_size,
            n_steps=min(self.n_steps, stop.max_iter),
            epsilon=self.epsilon,
            clip=self.clip,
            done=_rule(model, target, stop),
        )
        result = judged(model, found.x, target, n_iter=found.n_steps, stop_reason="max_iter")
        loss = found.value.double().cpu().numpy()
        reason = _reasons(found, stop, loss, result.confidence)
        return replace(result, loss=loss, stop_reason=reason)

    # ---------------------------------------------------------------------- inside

    def _goals(
        self,
        model: Model,
        layer: str,
        start: Tensor,
        target: Target,
        rngs: Sequence[np.random.Generator],
    ) -> Tensor:
        """Give the representation that each row is to have, (n, n_features)."""
        if self._data is None:
            raise ParameterError(
                "Representation inversion takes its targets from data; give `X` and `y`."
            )
        X, y = self._data
        asked = target.codes.tolist()
        units = sorted(set(asked)) if target.targeted else np.unique(y).tolist()
        known: dict[int, Tensor] = {}
        for unit in units:
            samples = X[y == unit][: self.n_samples]
            if not len(samples):
                raise ParameterError(f"The data have no sample of unit {unit}.")
            found = _represented(model, layer, samples)
            known[unit] = found if self.target == "sample" else found.mean(dim=0, keepdim=True)
        # One number per row, whatever the classes, so that no row's stream depends on others.
        places = [rng.random() for rng in rngs] if self.target == "sample" else [0.0] * len(asked)
        if target.targeted:
            return torch.stack([_chosen(known[c], u) for c, u in zip(asked, places, strict=True)])
        with torch.no_grad():
            here = representation(model, layer, start)
        rows = []
        for code, u, own in zip(asked, places, here, strict=True):
            others = [_chosen(known[unit], u) for unit in units if unit != code]
            if not others:
                raise ParameterError(f"The data have no class but unit {code}.")
            apart = [float((goal - own).norm()) for goal in others]
            rows.append(others[int(np.argmin(apart))])
        return torch.stack(rows)


def _chosen(rows: Tensor, place: float) -> Tensor:
    """Give the row at a share of the way through."""
    return rows[int(place * len(rows))]


def _represented(model: Model, layer: str, samples: Any) -> Tensor:
    size = model.batch_size
    with torch.no_grad():
        parts = [
            representation(model, layer, model.tensor(samples[first : first + size]))
            for first in range(0, len(samples), size)
        ]
    return torch.cat(parts)


def _rule(model: Model, target: Target, stop: Stop) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Make the stop rule of a walk; None if nothing but the number of steps ends it."""
    if stop.max_loss is None and stop.min_confidence is None:
        return None

    def done(x: Tensor, value: Tensor) -> Tensor:
        met = torch.zeros_like(value, dtype=torch.bool)
        if stop.max_loss is not None:
            met = met | (value <= stop.max_loss)
        if stop.min_confidence is not None:
            with torch.no_grad():
                share = model.probabilities(x).gather(1, target.codes[:, None])[:, 0]
            met = met | ((share if target.targeted else 1 - share) >= stop.min_confidence)
        return met

    return done


def _reasons(found: Walk, stop: Stop, loss: Any, confidence: Any) -> Any:
    reason = np.where(found.flat.cpu().numpy(), "vanished_gradient", "max_iter")
    if stop.min_confidence is not None:
        reason[confidence >= stop.min_confidence] = "min_confidence"
    if stop.max_loss is not None:
        reason[loss <= stop.max_loss] = "max_loss"
    return reason
