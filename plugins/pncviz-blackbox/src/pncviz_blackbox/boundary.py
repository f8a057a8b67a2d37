"""The boundary attack: along the decision boundary towards the start, by labels alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ParameterError
from pncviz.synthesis import check_clip, check_count, check_number, hits, judged
from pncviz_blackbox.asking import Purse, flat_start, shaped
from pncviz_blackbox.directions import make_source
from pncviz_blackbox.places import Places, search_places
from pncviz_blackbox.proposals import length_of, proposed
from pncviz_blackbox.rates import Rates

__all__ = ["Boundary"]

#: Where the walk begins.
BEGINNINGS = ("samples", "noise")

#: A step towards the start that is a smaller share of the distance than this moves nothing.
_CONVERGED = 1e-7


class Boundary(Attack):
    r"""Begin at a point that is called as asked, and walk towards the start as long as it is.

    Each step goes a little along the sphere around the start, in a random direction, and then a
    little towards the start; it is taken if the model's label is still as asked. Lengths of both
    are adapted to how often that succeeds. What comes of it is a small change in L2.

    Parameters
    ----------
    beginning : {"samples", "noise"}, default="samples"
        "samples": of the data that the attack is prepared on, the nearest to the start that the
        model calls as asked; noise where there are no data, or where ten of them are not called so.
        "noise": noise at once, as in the paper for untargeted examples.
    n_tries : int, default=100
        Noises to try: uniform within ``clip``; without, normal ones around the start, whose scale
        grows from 1 to 32.
    n_halvings : int, default=10
        Of the line from the first point to the start, before the walk.
    spherical_step, source_step : float, default=0.01
        First lengths of the two parts of a step, as shares of the distance. The second, towards the
        start, must be below 1, and never grows beyond: past the start is no way to it.
    adaptation : float, default=1.5
        What lengths are multiplied with or divided by.
    n_kept : int, default=100
        Samples of each class to keep.
    clip : (low, high), optional
        Bounds of the input.

    Notes
    -----
    Each step asks once, and every fifth asks for the point on the sphere, too. ``n_iter`` counts
    steps tried. A row ends after ``max_iter`` steps, or where ``max_queries`` does not allow
    another, or where its steps have become too small to matter; ``max_loss`` and
    ``min_confidence`` have no meaning here and are not asked. ``stop_reason`` is "changed", or
    "not_found" where no point was found to begin with. Then the start is given back.

    Lengths grow where more than half of the points on the sphere are as asked, or a quarter of the
    steps are as asked and nearer, and shrink below a fifth or a tenth, as in foolbox; over 20
    points, and 30 steps. Of one feature the sphere is the point itself.

    References
    ----------
    brendel2018decision.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from pncviz.models import TorchModel
    >>> from pncviz.specs import Stop, Target
    >>> model = TorchModel(torch.nn.Linear(4, 3), input_shape=(4,))
    >>> target = Target(codes=torch.tensor([0, 1]))
    >>> rngs = [np.random.default_rng(row) for row in range(2)]
    >>> with model.session():
    ...     result = Boundary().run(model, torch.zeros(2, 4), target, Stop(max_queries=300), rngs)
    >>> result.stop_reason.tolist(), bool(result.n_queries.max() <= 300)
    (['changed', 'changed'], True)
    """

    needs = frozenset({"labels"})

    def __init__(
        self,
        beginning: str = "samples",
        n_tries: int = 100,
        n_halvings: int = 10,
        spherical_step: float = 0.01,
        source_step: float = 0.01,
        adaptation: float = 1.5,
        n_kept: int = 100,
        clip: tuple[float, float] | None = None,
    ) -> None:
        self.beginning = beginning
        self.n_tries = n_tries
        self.n_halvings = n_halvings
        self.spherical_step = spherical_step
        self.source_step = source_step
        self.adaptation = adaptation
        self.n_kept = n_kept
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        if self.beginning not in BEGINNINGS:
            raise ParameterError(
                f"`beginning` must be one of {', '.join(BEGINNINGS)}, got {self.beginning!r:.80}."
            )
        check_count("n_tries", self.n_tries)
        check_count("n_halvings", self.n_halvings, low=0)
        check_number("spherical_step", self.spherical_step, low=0, open_low=True)
        check_number("source_step", self.source_step, low=0, open_low=True)
        if self.source_step >= 1:
            raise ParameterError(
                f"`source_step` must be a number in (0, 1), got {self.source_step!r:.80}."
            )
        check_number("adaptation", self.adaptation, low=1, open_low=True)
        check_count("n_kept", self.n_kept)
        check_clip(self.clip)

    def prepare(self, X: ArrayLike | None, y: ArrayLike | None) -> None:
        """Keep the first samples of each class."""
        self._kept: dict[int, NDArray[np.float32]] = {}
        if X is None or y is None:
            return
        codes = np.asarray(y)
        for code in np.unique(codes):
            first = np.flatnonzero(codes == code)[: self.n_kept]
            found = np.stack([np.asarray(X[row], dtype=np.float32).ravel() for row in first])  # type: ignore[index] # arrays
            self._kept[int(code)] = found

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,
        rngs: Sequence[np.random.Generator],
    ) -> AttackResult:
        """Walk from points that are as asked towards n starts; with ``clip``, these are clipped."""
        walk = _Walk(self, model, start, target, stop)
        kept = getattr(self, "_kept", {}) if self.beginning == "samples" else {}
        n_tries, clip = self.n_tries, self.clip
        walk.begin(Places(walk.centre, target, rngs, kept=kept, n_tries=n_tries, clip=clip))
        walk.walk(rngs)
        reason = np.where(walk.found, "changed", "not_found")
        return judged(
            model,
            shaped(walk.x, start),
            target,
            n_iter=walk.n_iter,
            stop_reason=reason,
            n_queries=walk.purse.spent,
        )


class _Walk:
    """Rows on their way; one question of each is kept for the last judgement."""

    def __init__(
        self, attack: Boundary, model: Model, start: Tensor, target: Target, stop: Stop
    ) -> None:
        n = len(start)
        self.attack, self.model, self.target, self.stop = attack, model, target, stop
        self.centre = flat_start(start, attack.clip)
        self.x = self.centre.clone()
        self.purse = Purse(n, stop)
        self.n_iter = np.zeros(n, dtype=np.int64)
        self.found = np.zeros(n, dtype=bool)
        #: Rows that have a way to go.
        self.alive = np.arange(n)

    def asked(self, rows: NDArray[np.int64], points: Tensor) -> NDArray[np.bool_]:
        """Say which points are called as asked."""
        if not len(rows):
            return np.zeros(0, dtype=bool)
        self.purse.pay(rows)
        codes = self.target.codes[torch.from_numpy(rows).to(self.target.codes.device)]
        aim = Target(codes=codes, targeted=self.target.targeted)
        there: NDArray[np.bool_] = hits(self.model, self.model.tensor(points), aim).cpu().numpy()
        return there

    def begin(self, places: Places) -> None:
        """Find a point for each row that is as asked, and come near the boundary with it."""
        rows = self.alive[self.purse.affords(self.alive, 2)]
        there = self.asked(rows, self.centre[rows])
        self.found[rows[there]] = True
        self.alive = search_places(self, rows[~there], places)
        self.found[self.alive] = True
        # Between what is not as asked and what is.
        outside = self.centre.clone()
        for _ in range(self.attack.n_halvings):
            rows = self.alive[self.purse.affords(self.alive, 2)]
            if not len(rows):
                break
            middle = (outside[rows] + self.x[rows]) / 2
            there = self.asked(rows, middle)
            self.x[rows[there]] = middle[there]
            outside[rows[~there]] = middle[~there]

    def walk(self, rngs: Sequence[np.random.Generator]) -> None:
        """Take steps until no row can."""
        attack, rates = self.attack, Rates(len(self.x), self.attack.adaptation)
        spherical = torch.full((len(self.x),), float(attack.spherical_step), dtype=torch.float64)
        source = torch.full((len(self.x),), float(attack.source_step), dtype=torch.float64)
        draws = {row: make_source("gaussian", rngs[row]) for row in self.alive.tolist()}
        for k in range(self.stop.max_iter):
            checks = k % Rates.CHECK_EVERY == 0
            self.alive = self.alive[self.purse.affords(self.alive, 3 if checks else 2)]
            self.alive = self.alive[(source[self.alive] >= _CONVERGED).numpy()]
            if not len(self.alive):
                break
            rows = self.alive
            noise = torch.cat([draws[row](1, self.x.shape[1]) for row in rows.tolist()]).double()
            centre, x = self.centre[rows], self.x[rows]
            on_sphere, step = proposed(centre, x, noise, spherical[rows], source[rows], attack.clip)
            if checks:
                rates.note_sphere(rows, self.asked(rows, on_sphere))
            nearer = length_of(centre - step) < length_of(centre - x)
            taken = self.asked(rows, step) & nearer[:, 0].numpy()
            rates.note_step(rows, taken)
            self.x[rows[taken]] = step[torch.from_numpy(taken)]
            self.n_iter[rows] += 1
            rates.adapt(rows, spherical, source)
