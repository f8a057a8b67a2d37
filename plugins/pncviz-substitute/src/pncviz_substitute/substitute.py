"""A classifier that learns from another one's answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from pncviz import Strategy, make_classifier
from pncviz.data import as_float32, check_same_shape, check_samples, resolve_seed
from pncviz_substitute.course import Course, Spent
from pncviz_substitute.history import attrs_of, history_of
from pncviz_substitute.learning import substitute_model
from pncviz_substitute.limits import check_parameters
from pncviz_substitute.oracle import Oracle
from pncviz_substitute.starts import first_inputs, shape_of

__all__ = ["SubstituteClassifier"]

#: Not recorded with a result.
_LEFT_OUT = ("target", "estimator", "random_state")


class SubstituteClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """A differentiable copy of a black box, trained on nothing but its answers.

    A few inputs are shown to the target, and a net learns what it says. Then each input takes a
    step along the sign of the net's own gradient, to where the net expects a change; the target is
    asked about the new inputs too, and a net is trained on all of them; and so on. What comes out
    has gradients, so :func:`pncviz.extract_patterns` takes ``substitute_`` as it takes any net.

    Parameters
    ----------
    target : fitted estimator, torch.nn.Module, or callable
        Asked, and never looked into. A callable takes an array of inputs and gives labels, or
        probabilities of shape (n, n_classes). Give ``FrozenEstimator(target)`` where the
        substitute itself is cloned, since a clone of an estimator forgets what it learnt.
    estimator : unfitted skorch net, or another classifier with gradients, optional
        By default ``make_classifier("fc", optimizer="adam", max_epochs=50)``.
    n_rounds : int, default=6
        Augmentations; each doubles the inputs, unless there is a reservoir.
    step : float, default=0.1
        Change of every value, units of the input.
    period : int, optional
        Change the sign of ``step`` every so many rounds; None never does.
    reservoir : int, optional
        Step from so many inputs only, drawn at random, once ``reservoir_after`` rounds are done;
        queries then grow by a constant. None steps from all.
    reservoir_after : int, default=0
    max_queries : int, optional
        Never show the target more inputs. What does not fit is left out at random.
    answers : {"labels", "probabilities"}, default="labels"
        What is asked for. Probabilities need a net with CrossEntropyLoss.
    clip : (low, high), optional
        Bounds of the input.
    start : str or Strategy, default="noise"
        What the first inputs are where ``fit`` is given none: the starts of this strategy. Equal
        ones, such as zeros, are asked about once.
    n_starts : int, default=100
        How many of them.
    classes : array-like of shape (n_classes,), optional
        Labels that a callable may give, or those of a bare module's units, in order.
    input_shape : tuple of int, optional
        One input as the target takes it, where ``fit`` is given none; by default the target's
        ``n_features_in_``.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        What strategies and nets are told where inputs are flat.
    keep_rounds : bool, default=False
        Keep the substitute of each round in ``rounds_``.
    random_state : int, RandomState, Generator or None, default=None
        Of starts, reservoir and training.

    Attributes
    ----------
    substitute_ : fitted estimator
        Its classes are the places 0, 1, … in ``classes_``.
    classes_ : ndarray of shape (n_classes,)
        The target's.
    n_queries_ : int
        Inputs shown to the target, those of ``X_test`` not among them.
    n_rounds_ : int
        Augmentations made; fewer than ``n_rounds`` where ``max_queries`` came first.
    history_ : xarray.Dataset
        By round: ``n_queries``, ``step``, ``learnt``, ``foreseen`` (of the round's new inputs,
        before they were learnt), ``agreement`` (with ``X_test``), ``n_seen``.
    rounds_ : list of fitted estimators, with ``keep_rounds``
    X_ : float32 ndarray of shape (n_queries_, ...)
        The inputs shown.
    n_features_in_ : int

    References
    ----------
    papernot2017practical; period and reservoir, papernot2016transferability.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from pncviz import load_dataset
    >>> data = load_dataset("tiling")
    >>> box = LogisticRegression().fit(data.X.reshape(4, -1), data.y)
    >>> substitute = SubstituteClassifier(box, n_rounds=2, random_state=0).fit()
    >>> substitute.n_queries_, substitute.predict(data.X.reshape(4, -1)).shape
    (400, (4,))
    """

    def __init__(
        self,
        target: Any,
        *,
        estimator: Any = None,
        n_rounds: int = 6,
        step: float = 0.1,
        period: int | None = None,
        reservoir: int | None = None,
        reservoir_after: int = 0,
        max_queries: int | None = None,
        answers: str = "labels",
        clip: tuple[float, float] | None = None,
        start: str | Strategy = "noise",
        n_starts: int = 100,
        classes: ArrayLike | None = None,
        input_shape: tuple[int, ...] | None = None,
        image_shape: tuple[int, ...] | None = None,
        keep_rounds: bool = False,
        random_state: Any = None,
    ) -> None:
        self.target = target
        self.estimator = estimator
        self.n_rounds = n_rounds
        self.step = step
        self.period = period
        self.reservoir = reservoir
        self.reservoir_after = reservoir_after
        self.max_queries = max_queries
        self.answers = answers
        self.clip = clip
        self.start = start
        self.n_starts = n_starts
        self.classes = classes
        self.input_shape = input_shape
        self.image_shape = image_shape
        self.keep_rounds = keep_rounds
        self.random_state = random_state

    def fit(self, X: Any = None, y: Any = None, *, X_test: Any = None) -> SubstituteClassifier:  # noqa: ARG002 # scikit-learn's signature
        """Ask the target, and learn from its answers.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), optional
            The first inputs; without any, starts of the strategy ``start``.
        y : ignored
            The target says what things are.
        X_test : array-like of shape (n_test, ...), optional
            Inputs on which substitute and target are compared after each round. The target is
            asked about them too, on the experimenter's account: neither ``n_queries_`` nor
            ``max_queries`` count them.

        Raises
        ------
        ParameterError, ValueError
            A parameter, or X, cannot be used.
        NotFittedError
            The target is not fitted.
        ModelError
            The target cannot be asked, or the substitute has no gradients.
        LabelError
            The target's answers are none of its classes, or too few kinds to learn from.
        """
        check_parameters(self.get_params(deep=False))
        seed = resolve_seed(self.random_state)
        rng = np.random.default_rng(seed)
        starts = self._starts(X, rng)
        self._input_shape = tuple(starts.shape[1:])
        self.n_features_in_ = int(self._input_shape[0])
        oracle = Oracle(self.target, self.answers, self._input_shape, self.classes)
        net = self.estimator
        if net is None:
            net = make_classifier("fc", optimizer="adam", max_epochs=50)
        course = Course(
            oracle=oracle,
            estimator=net,
            n_rounds=int(self.n_rounds),
            step=float(self.step),
            period=self.period,
            reservoir=self.reservoir,
            reservoir_after=int(self.reservoir_after),
            max_queries=self.max_queries,
            clip=self.clip,
            image_shape=self.image_shape,
            seed=seed,
        )
        held_out = None if X_test is None else self._checked(X_test)
        self._keep(course.run(starts, rng, held_out), seed)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Say what the substitute calls each sample: an ndarray of shape (n_samples,)."""
        check_is_fitted(self, "substitute_")
        found: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return found

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Give the substitute's probabilities.

        Returns
        -------
        float64 ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self, "substitute_")
        samples = self._checked(X)
        model, place = substitute_model(self.substitute_, self._input_shape, len(self.classes_))
        return Spent.shares(model, place, samples, len(self.classes_))

    def _keep(self, spent: Spent, seed: int) -> None:
        self.classes_ = spent.oracle.classes
        self.substitute_ = spent.substitutes[-1]
        if self.keep_rounds:
            self.rounds_ = spent.substitutes
        self.X_, self.n_queries_ = spent.X, spent.oracle.n_queries
        self.n_rounds_ = len(spent.rounds) - 1
        given = self.get_params(deep=False).items()
        parameters = {name: value for name, value in given if name not in _LEFT_OUT}
        self.history_: xr.Dataset = history_of(
            spent.rounds, attrs_of("substitute_history", parameters, seed)
        )

    def _starts(self, X: Any, rng: np.random.Generator) -> NDArray[np.float32]:
        if X is not None:
            return as_float32(check_samples(X, estimator=self))
        shape = shape_of(self.target, self.input_shape)
        return first_inputs(self.start, shape, self.image_shape, int(self.n_starts), rng)

    def _checked(self, X: Any) -> NDArray[np.float32]:
        samples = as_float32(check_samples(X, estimator=self, reset=False))
        check_same_shape(samples, self._input_shape)
        return samples

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
