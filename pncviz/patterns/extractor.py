"""Adversarial patterns as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from pncviz.data import (
    as_float32,
    check_labels,
    check_samples,
    resolve_image_shape,
)
from pncviz.exceptions import LabelError
from pncviz.patterns.course import MAX_BYTES, Course
from pncviz.patterns.setting import fitted_model
from pncviz.similarity import SimilarityTransformer
from pncviz.specs import Attack, Strategy

__all__ = ["AdversarialPatternExtractor"]

#: The parameters that are the course's.
_COURSE = (
    *("strategy", "attack", "max_iter", "max_loss", "min_confidence", "random_state", "labels"),
    *("batch_size", "deterministic", "precision", "n_blocks", "max_bytes", "verbose"),
    *("max_queries", "memory", "n_jobs"),
)


class AdversarialPatternExtractor(SimilarityTransformer):
    """Patterns of the classes as a model sees them; transforms samples to similarities with them.

    Parameters
    ----------
    estimator : skorch net, torch.nn.Module, or scikit-learn classifier
        An unfitted net is cloned and fitted; ``FrozenEstimator(net)`` and a bare module are used
        as they are.
    strategy : str or Strategy, default="zero"
        A name, or an instance of :func:`~pncviz.make_strategy`, whose parameters can then be
        searched as ``strategy__scale``.
    attack : str or Attack, default="gradient_descent"
        Likewise.
    max_iter : int, default=1000
    max_loss : float, optional
        Stop a pattern once its loss (nats for cross-entropy) is at most this.
    min_confidence : float, optional
        Stop a pattern once the target's probability is at least this.
    image_shape : (rows, columns) or (channels, rows, columns), optional
        How to label and draw flat samples.
    classes : array-like of shape (n_classes,), optional
        Labels of the output units, in order.
    labels : array-like, optional
        The classes to extract; all by default.
    similarity : str, default="pearson"
        The metric of ``transform``.
    batch_size : int, optional
        The most inputs at once; bounds memory.
    deterministic : bool, default=False
        The same bits for every batch size, order, subset of labels and number of threads.
    precision : {"float32", "float64"}, optional
        Compute on a copy of the module in this precision; by default in its own.
    n_blocks : int, default=0
        Keep sums over so many interleaved blocks of examples, for resampling.
    output : {"auto", "logits", "probabilities", "log_probabilities"}, default="auto"
        What a bare module gives.
    adapter : str, optional
        Force the adapter of that name.
    max_bytes : int
        Refuse to start if the patterns alone would take more.
    max_queries : int, optional
        The most inputs that an attack may ask the model about for one example; of a strategy that
        searches by itself, such as classification images, in all.
    memory : path or joblib.Memory, optional
        Where the answers of a model that is only asked are kept: the same call, after an
        interruption say, asks nothing twice.
    n_jobs : int, optional
        Processes that ask a scikit-learn classifier, as joblib counts them; None is one.
    random_state : int, RandomState, Generator or None, default=None
        Of the starts and, when a net is fitted, of its initialisation and shuffling.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    patterns_ : xarray.Dataset
        See :func:`~pncviz.extract_patterns`.
    estimator_ : the fitted estimator
    classes_ : ndarray of shape (n_classes,)
        The model's classes.
    labels_ : ndarray of shape (n_patterns,)
        The classes extracted.
    image_shape_ : tuple of int
    n_features_in_ : int
    n_iter_ : int
        The most updates that a pattern took.

    References
    ----------
    dough2020.

    Examples
    --------
    >>> from pncviz import load_dataset, make_classifier
    >>> data = load_dataset("overlapping")
    >>> net = make_classifier("fc", max_epochs=100)
    >>> extractor = AdversarialPatternExtractor(net, max_iter=100, random_state=0)
    >>> extractor.fit_transform(data.X, data.y).shape
    (4, 4)
    """

    def __init__(
        self,
        estimator: Any,
        *,
        strategy: str | Strategy = "zero",
        attack: str | Attack = "gradient_descent",
        max_iter: int = 1000,
        max_loss: float | None = None,
        min_confidence: float | None = None,
        image_shape: tuple[int, ...] | None = None,
        classes: Any = None,
        labels: Any = None,
        similarity: str = "pearson",
        batch_size: int | None = None,
        deterministic: bool = False,
        precision: str | None = None,
        n_blocks: int = 0,
        output: str = "auto",
        adapter: str | None = None,
        max_bytes: int = MAX_BYTES,
        max_queries: int | None = None,
        memory: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.strategy = strategy
        self.attack = attack
        self.max_iter = max_iter
        self.max_loss = max_loss
        self.min_confidence = min_confidence
        self.image_shape = image_shape
        self.classes = classes
        self.labels = labels
        self.similarity = similarity
        self.batch_size = batch_size
        self.deterministic = deterministic
        self.precision = precision
        self.n_blocks = n_blocks
        self.output = output
        self.adapter = adapter
        self.max_bytes = max_bytes
        self.max_queries = max_queries
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> AdversarialPatternExtractor:
        """Fit the estimator, unless it is frozen, and extract its patterns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), (n_samples, rows, columns) or \
                (n_samples, channels, rows, columns)
            The model sees samples in this shape.
        y : array-like of shape (n_samples,)

        Raises
        ------
        ValueError
            X, y or a parameter cannot be used, or there is only one class.
        ModelError
            The model cannot be reached, or cannot serve the attack.
        PluginError
            A strategy or attack broke its contract.
        """
        course = self._course()
        checked = check_samples(X, estimator=self)
        labels = check_labels(y, len(checked), X=X)
        if len(np.unique(labels)) < 2:
            raise LabelError(f"y has only one class, {labels[:1].tolist()}; patterns need two.")
        image_shape = resolve_image_shape(checked.shape[1:], self.image_shape)
        samples = as_float32(checked)
        self.estimator_, model, classes, units = fitted_model(
            self.estimator,
            samples,
            labels,
            image_shape=image_shape,
            classes=self.classes,
            output=self.output,
            adapter=self.adapter,
            seed=course.seed,
        )
        self.patterns_ = course.run(
            model,
            classes,
            units,
            image_shape=image_shape,
            data=(samples, labels),
            feature_names=getattr(self, "feature_names_in_", None),
        )
        self.classes_ = classes
        self.labels_ = self.patterns_["label"].values
        self.image_shape_ = image_shape
        self._sample_shape = samples.shape[1:]
        self.n_iter_ = int(self.patterns_["n_iter"].max())
        return self

    def _class_images(self) -> tuple[NDArray[Any], NDArray[Any]]:
        check_is_fitted(self, "patterns_")
        return self.labels_, self.patterns_["pattern"].values

    def _course(self) -> Course:
        return Course.checked(**{name: getattr(self, name) for name in _COURSE})
