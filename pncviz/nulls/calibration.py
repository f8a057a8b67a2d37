"""How often each null cries wolf: p-values where there is nothing to find."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import binomtest
from scipy.stats import t as student

from pncviz.data import resolve_seed
from pncviz.dataset import common_attrs
from pncviz.exceptions import ParameterError
from pncviz.inference import draw_p_values, identification_test, phase_null
from pncviz.nulls.experiment import Case, Draws, make_experiment

__all__ = ["CASES", "NULLS", "calibrate_null"]

#: True nulls: patterns or contrasts without anything to find.
CASES = (
    "stationary noise",
    "noise where the data are",
    "untrained models",
    "shuffled-label models",
    "shuffled-label contrasts",
)

#: What p-values are computed by, and in which cases it promises to be right.
NULLS = {
    "identification": CASES,
    "phase": ("stationary noise",),
    "untrained models": ("untrained models",),
    "shuffled-label models": ("shuffled-label models",),
    "shuffled-label contrasts": ("shuffled-label contrasts",),
    "naive per pixel": (),
}

#: All observations share them, so they must be many for their own chance to be small.
PERMUTATIONS = 20_000

Images = NDArray[np.float64]


def calibrate_null(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    n: int = 1000,
    n_draws: int = 999,
    alpha: float = 0.05,
    sigma: float = 2.0,
    random_state: Any = None,
    verbose: int = 0,
    **params: Any,
) -> xr.Dataset:
    """Count how often each null gives p ≤ alpha where there is nothing to find.

    Every null meets every case of patterns (or contrasts) that know nothing of the classes:
    smooth noise that is alike everywhere; smooth noise as strong as the data vary at each pixel, so
    none where they never do; patterns of untrained models; patterns of models trained on shuffled
    labels; true patterns against contrasts of shuffled labels. Where null and case match, the share
    should be alpha; elsewhere it shows what goes wrong when the null is not true to the case.
    Similarity is Pearson's r.

    Parameters
    ----------
    estimator : AdversarialPatternExtractor, or what it takes
        An unfitted skorch net, trained in each draw; see :func:`~pncviz.model_null`.
    X : array-like of shape (n_samples, channels, rows, columns), or flat with ``image_shape``
    y : array-like of shape (n_samples,)
    n : int, default=1000
        Observations per case; each model, or draw, contributes one class.
    n_draws : int, default=999
        Draws that each observation is compared with.
    alpha : float, default=0.05
    sigma : float, default=2.0
        Of the Gaussian that smooths the noise, in pixels.
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0
        1 shows progress bars.
    **params
        Of :class:`~pncviz.AdversarialPatternExtractor`.

    Returns
    -------
    xarray.Dataset
        On (null, case): ``share`` of p ≤ alpha, its Clopper-Pearson 95 % interval ``lower`` and
        ``upper``, and ``matched``, whether the null promises alpha there.

    Raises
    ------
    ParameterError
        A number out of bounds, or tables, whose features have no neighbours.

    References
    ----------
    clopper1934use, adebayo2018sanity, prichard1994generating.

    Examples
    --------
    >>> from pncviz import load_dataset, make_classifier
    >>> data = load_dataset("digits")
    >>> net = make_classifier("fc", hidden=[30], max_epochs=15)
    >>> found = calibrate_null(net, data.X, data.y, n=3, n_draws=4, max_iter=300, random_state=0)
    >>> found["share"].shape
    (6, 5)
    """
    for name, value in (("n", n), ("n_draws", n_draws)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ParameterError(f"`{name}` must be a positive integer, got {value!r}.")
    if not isinstance(alpha, Real) or not 0 < alpha < 1:
        raise ParameterError(f"`alpha` must be between 0 and 1, got {alpha!r}.")
    if not isinstance(sigma, Real) or not sigma > 0:
        raise ParameterError(f"`sigma` must be a positive number, got {sigma!r}.")
    seed = resolve_seed(random_state)
    rng = np.random.default_rng(seed)
    cases, draws, shape = make_experiment(
        estimator, X, y, n, n_draws, sigma, rng, params | {"verbose": verbose}
    )
    share = np.empty((len(NULLS), len(CASES)))
    for j, case in enumerate(cases):
        for i, p in enumerate(_p_values(case, draws, shape, n_draws, rng)):
            share[i, j] = np.mean(p <= alpha)
    return _labelled(share, n, n_draws, alpha, sigma, seed)


def _p_values(
    case: Case, draws: Draws, shape: tuple[int, ...], n_draws: int, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Test every observation by every null, in the order of ``NULLS``."""
    n, k = max(len(case.patterns), len(case.contrasts)), case.patterns.shape[1]
    turn, classes = np.arange(n), np.arange(n) % k
    a = np.broadcast_to(case.patterns, (n, *case.patterns.shape[1:]))
    b = np.broadcast_to(case.contrasts, (n, *case.contrasts.shape[1:]))
    scores = np.einsum("nkf,njf->nkj", a, b, optimize=True)
    own_a, own_b = a[turn, classes], b[turn, classes]
    r = np.einsum("nf,nf->n", own_a, own_b)
    free = own_a.shape[1] - 2
    naive = student.sf(r * np.sqrt(free / np.maximum(1 - r**2, 1e-12)), free)
    return [
        identification_test(scores, np.arange(k), n_permutations=PERMUTATIONS, rng=rng)[0],
        _phase_p(r, own_a, own_b, shape, n_draws, rng),
        _drawn_p(r, own_b, draws.untrained, classes),
        _drawn_p(r, own_b, draws.shuffled_models, classes),
        _drawn_p(r, own_a, draws.shuffled_contrasts, classes),
        naive,
    ]


def _drawn_p(
    r: NDArray[np.float64], fixed: Images, draws: Images, classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compare each observation with the draws of its own class against the image that stays."""
    p = np.empty(len(r))
    for label in np.unique(classes):
        here = classes == label
        p[here] = draw_p_values(r[here], draws[:, label] @ fixed[here].T)
    return p


def _phase_p(
    r: NDArray[np.float64],
    a: Images,
    b: Images,
    shape: tuple[int, ...],
    n_draws: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    p = np.empty(len(r))
    # Observations of one block share their phases, so blocks are kept short.
    for block in np.array_split(np.arange(len(r)), math.ceil(len(r) / 25)):
        one, other = (part[block].reshape(-1, *shape) for part in (a, b))
        drawn = phase_null(one, other, "pearson", n_draws=n_draws, rng=rng)
        p[block] = draw_p_values(r[block], drawn)
    return p


def _labelled(
    share: NDArray[np.float64], n: int, n_draws: int, alpha: float, sigma: float, seed: int
) -> xr.Dataset:
    intervals = np.array(
        [[binomtest(round(value * n), n).proportion_ci() for value in row] for row in share]
    )
    matched = np.array([[case in good for case in CASES] for good in NULLS.values()])
    one = {"units": "1"}
    dims = ("null", "case")
    parameters = {"n": n, "n_draws": n_draws, "alpha": alpha, "sigma": sigma}
    attrs = common_attrs("similarities", parameters=parameters, random_state=seed)
    del attrs["kind"]  # a table of its own
    return xr.Dataset(
        {
            "share": (dims, share, {"long_name": "share of p at most alpha", **one}),
            "lower": (dims, intervals[..., 0], {"long_name": "95 % interval from", **one}),
            "upper": (dims, intervals[..., 1], {"long_name": "95 % interval to", **one}),
            "matched": (dims, matched, {"long_name": "whether alpha is promised", **one}),
        },
        coords={"null": list(NULLS), "case": list(CASES)},
        attrs=attrs,
    )
