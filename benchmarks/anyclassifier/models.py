"""The classifiers of the page, each trained once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.anyclassifier.sizes import Size
from benchmarks.attacks.nets import NETS
from benchmarks.store import Store
from pncviz import Dataset, load_dataset, make_classifier
from pncviz.dataset.atomic import replacing

__all__ = ["KINDS", "classifier", "classifiers", "load", "net"]

#: How each kind is made; all else is scikit-learn's default.
KINDS: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: LogisticRegression(C=0.01, max_iter=500),
    "linear SVM": lambda: LinearSVC(C=0.01, random_state=0),
    "LDA": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1),
    "naive Bayes": lambda: GaussianNB(var_smoothing=0.1),
    "nearest centroid": lambda: NearestCentroid(),
    "SVM (rbf)": lambda: SVC(C=5),
    "MLP": lambda: MLPClassifier(hidden_layer_sizes=(100,), early_stopping=True, random_state=0),
    "pipeline (PCA, logistic)": lambda: make_pipeline(
        StandardScaler(), PCA(n_components=40, random_state=0), LogisticRegression(max_iter=1000)
    ),
    "k nearest neighbours": lambda: KNeighborsClassifier(n_neighbors=5),
    "decision tree": lambda: DecisionTreeClassifier(min_samples_leaf=5, random_state=0),
    "random forest": lambda: RandomForestClassifier(100, random_state=0),
    "gradient boosting": lambda: HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=15, random_state=0
    ),
}


def load(size: Size, dataset: str) -> Dataset:
    """Load a dataset with flat images in 0..1, and as many for training as the classifiers have."""
    data = load_dataset(dataset)
    n = size.n_train
    return replace(
        data,
        X=data.X[:n].reshape(len(data.X[:n]), -1),
        y=data.y[:n],
        X_test=data.X_test.reshape(len(data.X_test), -1),
    )


def classifier(store: Store, size: Size, dataset: str, kind: str) -> Any:
    """Give a fitted classifier, trained the first time that it is asked for."""
    made = KINDS[kind]()
    name = f"{dataset}-{kind}".replace(" ", "-").replace("(", "").replace(")", "").replace(",", "")
    # Our own files in our own folder; they are not for sharing.
    path = store.root / f"{name}.joblib"
    key = joblib.hash((repr(made), size.n_train, dataset))
    if path.exists():
        kept = joblib.load(path)
        if kept["key"] == key:
            return kept["estimator"]
    data = load(size, dataset)
    made.fit(data.X, data.y)
    with replacing(path) as temporary:
        joblib.dump({"key": key, "estimator": made}, temporary)
    return made


def classifiers(store: Store, size: Size, dataset: str) -> dict[str, Any]:
    """Give all kinds, fitted on a dataset."""
    return {kind: classifier(store, size, dataset, kind) for kind in KINDS}


def net(store: Store, size: Size, name: str, dataset: str | None = None) -> Any:
    """Give a skorch classifier by the recipe of ``docs/attacks.md``: lenet, fc or softmax.

    On small digits LeNet, which needs larger images, is replaced by ``fc``. LeNet takes images
    (1, rows, columns), the others take them as well.
    """
    import torch

    dataset = dataset or size.main
    if dataset == "digits" and name == "lenet":
        name = "fc"
    recipe = NETS[name]

    def train() -> Any:
        data = load_dataset(dataset)
        epochs = 60 if dataset == "digits" else recipe.epochs
        made = make_classifier(
            recipe.architecture,
            optimizer=recipe.optimizer,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            max_epochs=epochs,
            **recipe.params,
        )
        torch.manual_seed(recipe.seed)
        assert data.image_shape is not None  # all are of images
        return made.fit(data.X.reshape(-1, *data.image_shape), np.asarray(data.y))

    return store.model(f"net-{dataset}-{name}", {"recipe": repr(recipe), "data": dataset}, train)
