"""The classifiers that adapters are compared on, beside those that the page trains anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC

__all__ = ["MORE", "Case"]


class Case(NamedTuple):
    """How one is made.

    Attributes
    ----------
    make : callable
    two : bool
        Told apart: digits below 5 and others, or all ten.
    """

    make: Callable[[], Any]
    two: bool = False


#: By the name that the table has.
MORE: dict[str, Case] = {
    "logistic regression, two classes": Case(lambda: LogisticRegression(max_iter=200), two=True),
    "one-vs-rest logistic regression": Case(lambda: OneVsRestClassifier(LogisticRegression())),
    "ridge classifier": Case(RidgeClassifier),
    "SGD, hinge loss": Case(lambda: SGDClassifier(random_state=0)),
    "SGD, log loss": Case(lambda: SGDClassifier(loss="log_loss", random_state=0)),
    "SGD, modified Huber loss": Case(
        lambda: SGDClassifier(loss="modified_huber", alpha=1.0, random_state=0)
    ),
    "perceptron": Case(lambda: Perceptron(random_state=0)),
    "linear SVM, two classes": Case(LinearSVC, two=True),
    "LDA (svd)": Case(LinearDiscriminantAnalysis),
    "PCA, QDA": Case(
        lambda: make_pipeline(PCA(20, random_state=0), QuadraticDiscriminantAnalysis())
    ),
    "nearest centroid (Manhattan)": Case(lambda: NearestCentroid(metric="manhattan")),
    "nearest centroid, shrunk, priors": Case(
        lambda: NearestCentroid(shrink_threshold=0.2, priors="empirical")
    ),
    "SVM (rbf), two classes": Case(SVC, two=True),
    "SVM (rbf), ties broken": Case(lambda: SVC(break_ties=True)),
    "SVM (rbf), one vs one": Case(lambda: SVC(decision_function_shape="ovo")),
    "SVM (linear)": Case(lambda: SVC(kernel="linear")),
    "SVM (poly)": Case(lambda: SVC(kernel="poly", coef0=1.0)),
    "SVM (sigmoid)": Case(lambda: SVC(kernel="sigmoid")),
    "nu-SVM (rbf)": Case(lambda: NuSVC(nu=0.05)),
    "MLP (tanh, two layers)": Case(
        lambda: MLPClassifier((50, 20), activation="tanh", max_iter=30, random_state=0)
    ),
    "MLP (logistic), two classes": Case(
        lambda: MLPClassifier((30,), activation="logistic", max_iter=30, random_state=0), two=True
    ),
    "min-max with clip, logistic": Case(
        lambda: make_pipeline(MinMaxScaler(clip=True), LogisticRegression(max_iter=200))
    ),
    "normaliser, PCA (whitened), SVM": Case(
        lambda: make_pipeline(Normalizer(), PCA(20, whiten=True, random_state=0), SVC())
    ),
    "scaler, PCA, MLP": Case(
        lambda: make_pipeline(
            StandardScaler(), PCA(20, random_state=0), MLPClassifier(max_iter=30, random_state=0)
        )
    ),
}
