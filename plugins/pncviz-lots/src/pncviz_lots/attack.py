"""LOTS: layerwise origin-target synthesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ParameterError
from pncviz.synthesis import UNTIL, awaited, check_clip, check_count, check_number
from pncviz_lots.goals import TARGETS, Goals, learn_goals
from pncviz_lots.representation import backpropagated, represented
from pncviz_lots.walks import Bounds, go_far, go_until_changed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LOTS"]

_MODES = ("target", "magnify", "reduce")
_SEARCHES = ("smallest", "linf")


class LOTS(Attack):
    r"""Move the representation at a layer, by its difference taken back to the input.

    The direction is B_l(f_l(x_t) − f_l(x_o)) (equation 3), or B_l(±f_l(x_o)) to magnify or reduce
    (equation 4): the gradient of <f_l(x), difference> with respect to the input.

    Parameters
    ----------
    layer : str, optional
        By ``module.named_modules()``. None, the default, is the logits.
    target : {"class_mean", "mean_image", "contrast", "image"}, default="class_mean"
        What x_t is for a class, of the data that come with the attack. "class_mean": the mean of
        the representations of its samples. "mean_image": the representation of the mean of its
        samples. "contrast": the difference itself is the class mean of the representations minus
        the mean of all other samples', wherever the origin lies. "image": the representation of
        one image, its first sample or that in ``targets``.
    targets : array-like of shape (n_units, \*input_shape), optional
        Chosen images, one per output unit, for ``target="image"``; no data are needed then.
    mode : {"target", "magnify", "reduce"}, default="target"
        The latter two do not look at a target class; only the search does.
    search : {"smallest", "linf"}, default="smallest"
        Take the smallest change along the direction at which the model gives what is asked, or
        a change whose largest component is ``epsilon`` (at most, where it is clipped or adjusted).
    epsilon : float, optional
        For ``search="linf"``, in units of the input.
    n_adjustments : int, default=1
        How often the direction is computed on the way ("step and adjust"). With "linf", in as many
        equal steps. With "smallest", each time a part of the way found is gone, the search starts
        again from there, and the smallest of the changes found is given.
    clip : (low, high), optional
        Bounds of the input.
    pixel_step : float, optional
        Round to whole multiples of it, such as 1/255. With "linf" the change may then exceed
        ``epsilon`` by half of it.
    limit : float, optional
        The largest change that ``search="smallest"`` tries; by default 16 times the width of
        ``clip``, or 1024 without.
    until : {"target", "changed"}, default="target"
        What ``search="smallest"`` waits for: the target, or, as the paper counts, any other label
        than the start's.

    Notes
    -----
    Untargeted, ``mode="target"`` moves to the nearest target of another class, by the distance
    at the layer. Targets at the layer are computed by the first run after :meth:`prepare`, and
    kept until it is called again: do so when the model's weights have changed.

    A start that is already what is asked stays as it is with ``search="smallest"``, and so its
    pattern is empty: with ``strategy="zero"`` that of the class which zeros are taken for, with
    "noise" that of a class whose noise is taken for it. Use ``search="linf"``, or "aai", to see
    them all.

    References
    ----------
    rozsa2017lots.

    Examples
    --------
    >>> from pncviz import extract_patterns, load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> net = make_classifier("fc", hidden=[8], max_epochs=100).fit(data.X, data.y)
    >>> attack = LOTS(layer="layers.1", search="linf", epsilon=0.5)
    >>> patterns = extract_patterns(net, attack=attack, X=data.X, y=data.y)
    >>> float(abs(patterns["pattern"]).max())
    0.5
    """

    needs = frozenset({"gradients", "layers"})

    _data: Any = None
    _learnt: Any = None

    def __init__(
        self,
        layer: str | None = None,
        target: str = "class_mean",
        targets: ArrayLike | None = None,
        mode: str = "target",
        search: str = "smallest",
        epsilon: float | None = None,
        n_adjustments: int = 1,
        clip: tuple[float, float] | None = None,
        pixel_step: float | None = None,
        limit: float | None = None,
        until: str = "target",
    ) -> None:
        self.layer = layer
        self.target = target
        self.targets = targets
        self.mode = mode
        self.search = search
        self.epsilon = epsilon
        self.n_adjustments = n_adjustments
        self.clip = clip
        self.pixel_step = pixel_step
        self.limit = limit
        self.until = until

    def validate(self) -> None:
        """Raise for a bad parameter."""
        if self.layer is not None and not isinstance(self.layer, str):
            raise ParameterError(
                f"`layer` must be None or the name of a layer, got {self.layer!r:.80}."
            )
        choices = {"target": TARGETS, "mode": _MODES, "search": _SEARCHES, "until": UNTIL}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in allowed:
                raise ParameterError(
                    f"`{name}` must be one of {', '.join(allowed)}, got {value!r:.80}."
                )
        if self.targets is not None and (self.target != "image" or self.mode != "target"):
            raise ParameterError('`targets` are images, for target="image" and mode="target" only.')
        if (self.epsilon is not None) != (self.search == "linf"):
            raise ParameterError(
                '`epsilon` belongs to search="linf", which needs it: the largest change of a '
                f'component; got {self.epsilon!r} with search="{self.search}".'
            )
        for name in ("epsilon", "pixel_step", "limit"):
            check_number(name, getattr(self, name), low=0, open_low=True, none=True)
        check_count("n_adjustments", self.n_adjustments)
        check_clip(self.clip)

    def prepare(self, X: ArrayLike | None, y: ArrayLike | None) -> None:
        """Keep the data that targets are taken from; nothing is computed yet."""
        self._data = None if X is None or y is None else (np.asarray(X), np.asarray(y))
        self._learnt = None

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],  # noqa: ARG002 # nothing random here
    ) -> AttackResult:
        """Move n starts; with ``clip``, the starts are clipped first."""
        start = start.detach() if self.clip is None else start.detach().clamp(*self.clip)
        difference = self._difference(model, start, target)

        def slope(x: Tensor) -> Tensor:
            return backpropagated(model, x, self.layer, difference)

        n = min(self.n_adjustments, stop.max_iter)
        bounds = Bounds(self.clip, self.pixel_step, self.limit)
        if self.epsilon is not None:  # which search="linf" has, and nothing else
            return go_far(model, start, slope, target, bounds, n=n, epsilon=self.epsilon)
        goal = awaited(model, start, target, self.until)
        return go_until_changed(model, start, slope, target, goal, bounds, n=n)

    # ---------------------------------------------------------------------- inside

    def _difference(
        self, model: Model, start: Tensor, target: Target
    ) -> Callable[[Tensor], Tensor]:
        """Say what is to be added to a representation: equations 3 and 4."""
        if self.mode != "target":
            sign = 1 if self.mode == "magnify" else -1
            return lambda origin: sign * origin
        goals, codes = self._goals(model), target.codes
        if target.targeted:
            goals.check_known(codes)
        else:
            with torch.no_grad():
                codes = goals.nearest_other(represented(model, start, self.layer), codes)
        if goals.way is not None:
            way = goals.way[codes]
            return lambda origin: way  # noqa: ARG005 # wherever it starts
        place = goals.place[codes]
        return lambda origin: place - origin

    def _goals(self, model: Model) -> Goals:
        """Give the targets at the layer, computed once for a model."""
        asked = (model, self.layer, self.target, self.targets)
        known = self._learnt
        if known is None or any(a is not b for a, b in zip(asked, known[0], strict=True)):
            known = asked, learn_goals(model, self.layer, self.target, self._data, self.targets)
            self._learnt = known
        goals: Goals = known[1]
        return goals
