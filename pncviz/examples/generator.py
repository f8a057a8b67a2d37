"""Adversarial examples of data as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from pncviz.data import check_labels, check_same_shape, resolve_image_shape
from pncviz.examples.checks import checked_out, checked_values
from pncviz.examples.course import Course
from pncviz.examples.holder import ExampleHolder, Last
from pncviz.models import is_frozen
from pncviz.specs import Attack

__all__ = ["AdversarialExampleGenerator"]

#: The parameters that are the course's.
_COURSE = (
    *("attack", "max_iter", "max_loss", "min_confidence", "random_state", "batch_size"),
    *("deterministic", "precision", "output", "adapter", "verbose"),
    *("max_queries", "memory", "n_jobs"),
)


class AdversarialExampleGenerator(ExampleHolder):
    """Adversarial examples of samples: what a model calls otherwise, as near to them as it gets.

    ``transform`` has no labels, so it leads away from what the model itself calls each sample;
    ``fit_transform`` and :meth:`generate` lead away from the true class. With a ``target`` all of
    them lead there. What became of each sample is kept in ``examples_``.

    Parameters
    ----------
    estimator : skorch net, torch.nn.Module, or scikit-learn classifier
        An unfitted net is cloned and fitted; ``FrozenEstimator(net)`` and a bare module are used
        as they are.
    attack : str or Attack, default="gradient_descent"
        A name, or an instance of :func:`~pncviz.make_attack`. For samples of integers its
        ``pixel_step`` is 1 and its ``clip`` the range of their dtype, unless it has others.
    target : label, array-like of labels, "random", "least_likely", "runner_up" or None
        A class for all samples, one for each, or one chosen for each among the others: at random,
        or the least or most probable. None leads away from a class instead.
    max_iter : int, default=100
    max_loss : float, optional
        Stop an example once its loss (nats for cross-entropy) is at most this; with a target
        only.
    min_confidence : float, optional
        Stop an example once the target's probability, or that of not being the class to get away
        from, is at least this.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        What a module that asks for its input shape is told, where samples are flat.
    classes : array-like of shape (n_classes,), optional
        Labels of the output units, in order.
    batch_size : int, optional
        The most samples at once; bounds memory.
    deterministic : bool, default=False
        The same bits for every batch size, order and number of threads.
    precision : {"float32", "float64"}, optional
        Compute on a copy of the module in this precision; by default in its own.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What a bare module gives.
    adapter : str, optional
        Force the adapter of that name.
    max_queries : int, optional
        The most inputs that an attack may ask the model about for one example.
    memory : path or joblib.Memory, optional
        Where the answers of a model that is only asked are kept: the same call, after an
        interruption say, asks nothing twice.
    n_jobs : int, optional
        Processes that ask a scikit-learn classifier, as joblib counts them; None is one.
    random_state : int, RandomState, Generator or None, default=None
        Of attacks and targets that draw, each sample by its row, and of a net's fit.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    examples_ : xarray.Dataset
        Of the last call of ``transform``, ``fit_transform`` or ``generate``. On (sample,):
        ``original_prediction``, ``prediction``, ``succeeded`` (the example is called the target,
        or no longer the label), ``already`` (the sample was so before), ``confidence`` (of the
        target, or of not being the label), ``loss``, ``n_iter``, ``stop_reason``, ``l2`` and
        ``linf`` of the change in units of the input; ``label`` and ``target`` if there are any.
        Judged by predicting again exactly what was returned.
    estimator_ : the fitted estimator
    classes_ : ndarray of shape (n_classes,)
        The model's classes.
    image_shape_ : tuple of int
    n_features_in_ : int
    n_iter_ : int
        The most updates that an example took in the last call; before one, ``max_iter``.

    Notes
    -----
    As with scikit-learn's ``TargetEncoder``, ``fit(X, y).transform(X)`` is not ``fit_transform(X,
    y)`` where the model errs: the former does not know.

    An example that ends just behind a decision boundary may be called otherwise when predicted in
    another batch size, since sums in float32 then differ in their last bit.

    References
    ----------
    szegedy2013intriguing, goodfellow2015explaining.

    Examples
    --------
    >>> from pncviz import load_dataset, make_classifier
    >>> data = load_dataset("tiling")
    >>> generator = AdversarialExampleGenerator(
    ...     make_classifier("fc", max_epochs=100), min_confidence=0.9, random_state=0)
    >>> generator.fit_transform(data.X, data.y).shape
    (4, 1, 6, 6)
    >>> generator.examples_["succeeded"].values.tolist()
    [True, True, True, True]
    """

    def __init__(
        self,
        estimator: Any,
        *,
        attack: str | Attack = "gradient_descent",
        target: Any = None,
        max_iter: int = 100,
        max_loss: float | None = None,
        min_confidence: float | None = None,
        image_shape: tuple[int, ...] | None = None,
        classes: Any = None,
        batch_size: int | None = None,
        deterministic: bool = False,
        precision: str | None = None,
        output: str = "auto",
        adapter: str | None = None,
        max_queries: int | None = None,
        memory: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.attack = attack
        self.target = target
        self.max_iter = max_iter
        self.max_loss = max_loss
        self.min_confidence = min_confidence
        self.image_shape = image_shape
        self.classes = classes
        self.batch_size = batch_size
        self.deterministic = deterministic
        self.precision = precision
        self.output = output
        self.adapter = adapter
        self.max_queries = max_queries
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> AdversarialExampleGenerator:
        """Fit the estimator, unless it is frozen, and prepare the attack.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), (n_samples, rows, columns) or \
                (n_samples, channels, rows, columns)
            The model sees samples in this shape. Of a dask or memory-mapped array a frozen
            estimator needs no more than the shape, unless the attack prepares on data.
        y : array-like of shape (n_samples,)
            A frozen estimator does without.

        Raises
        ------
        ValueError
            X, y or a parameter cannot be used, or there is only one class.
        ModelError
            The model cannot be reached, or cannot serve the attack.
        PluginError
            The attack broke its contract.
        """
        course = Course.checked(**{name: getattr(self, name) for name in _COURSE})
        source = checked_values(X, estimator=self)
        needless = y is None and is_frozen(self.estimator)
        labels = None if needless else check_labels(y, len(source), X=X)
        self.image_shape_ = resolve_image_shape(source.shape[1:], self.image_shape)
        self._fitted = course.fit(
            self.estimator,
            source,
            labels,
            image_shape=self.image_shape_,
            classes=self.classes,
            target=self.target,
        )
        self.estimator_, self.classes_ = self._fitted.estimator, self._fitted.classes
        self._sample_shape = tuple(source.shape[1:])
        self._course, self._last = course, Last()
        return self

    def transform(self, X: Any) -> Any:
        """Make an example of each sample, away from what the model calls it, or to the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            As in ``fit``.

        Returns
        -------
        ndarray of X's shape
            Of X's dtype if that is float32, float64 or an integer, else float32.

        Raises
        ------
        NotFittedError
        ValueError
            X cannot be used, or has samples of another shape than in ``fit``.
        PluginError
            The attack broke its contract.
        """
        return self.generate(X)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit, and make an example of each sample, away from its class or to the target."""
        return self.fit(X, y).generate(X, y)

    def generate(self, X: Any, y: Any = None, target: Any = None, *, out: Any = None) -> Any:
        """Make an example of each sample, away from its true class or to a target.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            As in ``fit``. Dask and memory-mapped arrays are not held whole.
        y : array-like of shape (n_samples,), optional
            True classes; by default what the model calls the samples.
        target : label, array-like of labels, "random", "least_likely" or "runner_up", optional
            By default the parameter ``target``.
        out : ndarray, numpy.memmap or the like, optional
            Where examples are written, ``out[first:last] = examples``; of X's shape and of the
            dtype that is returned.

        Returns
        -------
        ndarray of X's shape, or ``out``

        Raises
        ------
        NotFittedError
        LabelError
            y or ``target`` has labels that the model does not have.
        ParameterError
            The attack cannot do what is asked, or ``out`` does not fit.
        ValueError
            X cannot be used, or has samples of another shape than in ``fit``.
        PluginError
            The attack broke its contract.
        """
        check_is_fitted(self, "estimator_")
        source = checked_values(X, estimator=self, reset=False)
        check_same_shape(source, self._sample_shape)
        labels = None if y is None else check_labels(y, len(source), X=X)
        wanted = self.target if target is None else target
        out = checked_out(out, source)
        self._last.examples = self._course.run(self._fitted, source, labels, wanted, out)
        return out
